"Segmenters keep every character, and the fast search is the plain one."

import math
import random
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from segmented import ALL, TEXT

from llm_practice.engine.segmenter import TAGS, HMMSegmenter, MaxMatch, Segmenter, viterbi


def without_space(text):
    return "".join(text.split())


@settings(deadline=None, max_examples=300)
@given(st.lists(TEXT, max_size=5))
@example(["\u0301", " \u0301", "", "\n", "a\n\nb", "\uffff\ufffe", "\ud83d\ude00"])
@example(["3.5.6", "·1·2·", "１．", "a1a"])
def test_segmenters_keep_every_character(texts):
    for segmenter in ALL:
        found = segmenter.segment_batch(texts)
        assert len(found) == len(texts)
        for text, cut in zip(texts, found):
            assert "".join(cut) == without_space(text) and all(cut)
        assert found == [segmenter.segment(text) for text in texts]


@pytest.mark.parametrize(
    "text", ["国" * 40000, "中国人民" * 10000, "a" * 200000, "在北京" * 10000 + "国" * 9999]
)
def test_long_runs_without_a_border_stay_exact(text):
    for segmenter in ALL:
        found = segmenter.segment(text)
        assert "".join(found) == text
    assert ALL[0].segment("中国人民" * 10000) == ["中国人民"] * 10000


def longest_match(text, vocabulary, back):
    found = []
    while text:
        sizes = [
            n
            for n in range(len(text), 0, -1)
            if n == 1 or (text[-n:] if back else text[:n]) in vocabulary
        ]
        piece = text[-sizes[0] :] if back else text[: sizes[0]]
        text = text[: -sizes[0]] if back else text[sizes[0] :]
        found.insert(0, piece) if back else found.append(piece)
    return found


@settings(deadline=None, max_examples=150)
@given(
    st.sets(st.text("甲乙丙", min_size=1, max_size=4), min_size=1, max_size=12),
    st.lists(st.text("甲乙丙丁 ", max_size=25), max_size=6),
)
def test_maximum_matching_is_the_plain_algorithm(vocabulary, texts):
    forward, backward, both = (
        MaxMatch(vocabulary, way).segment_batch(texts) for way in ("forward", "backward", "both")
    )
    for text, f, b, chosen in zip(texts, forward, backward, both):
        assert f == [w for part in text.split() for w in longest_match(part, vocabulary, False)]
        assert b == [w for part in text.split() for w in longest_match(part, vocabulary, True)]
        cost = [(len(cut), sum(len(w) == 1 for w in cut)) for cut in (chosen, f, b)]
        assert cost[0][0] <= min(cost[1][0], cost[2][0])


def test_both_ways_breaks_ties_by_single_characters_then_backward():
    assert MaxMatch({"甲乙", "乙丙丁", "丙丁"}).segment("甲乙丙丁") == [
        "甲乙",
        "丙丁",
    ]  # equal numbers, fewer single ones
    assert MaxMatch({"甲乙", "乙丙"}).segment("甲乙丙") == ["甲", "乙丙"]  # backward


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("甲乙丙丁", max_size=60), min_size=1, max_size=12), st.integers(0, 99))
def test_side_by_side_viterbi_is_the_plain_one(texts, seed):
    rng = random.Random(seed)
    lines = [
        ["".join(rng.choices("甲乙丙", k=rng.randint(1, 4))) for _ in range(6)] for _ in range(4)
    ]
    model = HMMSegmenter.fit(lines)
    for text, found in zip(texts, model.segment_batch(texts)):
        tags = (
            viterbi(model.emissions[:, model.row[[ord(c) for c in text]]].T, model.transitions)
            if text
            else ""
        )
        assert (
            "".join("S" if len(w) == 1 else "B" + "M" * (len(w) - 2) + "E" for w in found) == tags
        )


def test_viterbi_is_the_best_row_of_tags():
    rng = np.random.default_rng(3)
    allowed = {"BM", "BE", "MM", "ME", "EB", "ES", "SB", "SS", "^B", "^S"}
    for size in range(1, 7):
        steps = {name: float(np.log(rng.random())) for name in sorted(allowed)}
        emissions = np.log(rng.random((size, 4)))

        def value(row, size=size, steps=steps, emissions=emissions):
            names = ["^" + row[0], *(a + b for a, b in pairwise(row))]
            legal = set(names) <= allowed and row[-1] in "ES"
            return (
                sum(map(steps.get, names))
                + sum(emissions[i, TAGS.index(t)] for i, t in enumerate(row))
                if legal
                else -math.inf
            )

        assert viterbi(emissions, steps) == max(map("".join, product(TAGS, repeat=size)), key=value)
    assert viterbi(np.zeros((0, 4)), steps) == ""


@pytest.mark.parametrize(
    "made", [ALL[0], ALL[3], ALL[4], ALL[5]], ids=["longest", "lattice", "hmm", "both"]
)
def test_saved_and_loaded_segments_alike(made, tmp_path):
    path = tmp_path / "segmenter.json"
    made.save(path)
    again = type(made).load(path)
    texts = ["研究生命的起源", "他说的确实在理。", "中国 人民１９９８年", "罗宾逊在\ud83d北京"]
    assert again.segment_batch(texts) == made.segment_batch(texts)
    assert [p.name for p in tmp_path.iterdir()] == ["segmenter.json"]


def test_a_wrong_file_is_refused(tmp_path):
    path = tmp_path / "x.json"
    ALL[4].save(path)
    with pytest.raises(ValueError, match="'hmm' and not 'lattice'"):
        type(ALL[3]).load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="no JSON"):
        HMMSegmenter.load(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="list"):
        HMMSegmenter.load(path)
    with pytest.raises(FileNotFoundError):
        HMMSegmenter.load(tmp_path / "absent.json")


def test_signs_that_cannot_be_written_survive_a_file(tmp_path):
    made = HMMSegmenter.fit([["罗\ud83d宾", "说"], ["\ude00"]])
    made.save(tmp_path / "model.json")
    again = HMMSegmenter.load(tmp_path / "model.json")
    assert again.settings() == made.settings() and "\ud83d" in again.counts[0]["M"]


def test_a_segmenter_says_where_words_begin():
    with pytest.raises(NotImplementedError):
        Segmenter().segment("一")


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: ALL[0].segment_batch("一二"), TypeError, "one string"),
        (lambda: ALL[0].segment_batch(["一", None]), TypeError, "text 1 is None"),
        (lambda: ALL[0].segment(b"x"), TypeError, "bytes"),
        (lambda: MaxMatch(["一"], "up"), ValueError, "direction='up'"),
        (lambda: MaxMatch([]), ValueError, "no word among its 0 entries"),
        (lambda: MaxMatch([" ", "a b"]), ValueError, "no word among its 2 entries"),
        (lambda: HMMSegmenter.fit([]), ValueError, "no words to learn from"),
        (lambda: HMMSegmenter.fit([[], [""]]), ValueError, "no words to learn from"),
    ],
)
def test_errors_name_the_value_and_the_way_out(call, error, said):
    with pytest.raises(error, match=said):
        call()
