"The lattice finds the best of all cuts, and with its model keeps the order that the chapter shows."

import math
import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.data.sources import load
from llm_practice.data.words import word_f1
from llm_practice.engine.lattice import LatticeSegmenter, rare_stretches
from llm_practice.engine.segmenter import HMMSegmenter, MaxMatch


def all_cuts(text):
    for cuts in product((False, True), repeat=len(text) - 1):
        found, start = [], 0
        for place, cut in enumerate([*cuts, True], 1):
            if cut:
                found.append(text[start:place])
                start = place
        yield found


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.text("甲乙丙", min_size=1, max_size=4), st.integers(1, 50), min_size=1, max_size=12),
       st.lists(st.text("甲乙丙丁", min_size=1, max_size=8), min_size=1, max_size=12))  # fmt: skip
def test_the_lattice_finds_the_best_of_all_cuts(counts, texts):
    total = sum(counts.values())

    def value(cut):
        return sum(
            math.log(counts[w] / total)
            if w in counts
            else math.log(0.5 / total)
            if len(w) == 1
            else -math.inf
            for w in cut
        )

    for text, found in zip(texts, LatticeSegmenter(counts).segment_batch(texts)):
        assert value(found) == pytest.approx(max(map(value, all_cuts(text))))


@pytest.fixture(scope="module")
def daily():
    rows = load("peoples-daily", quiet=True)["tokens"][:6000]
    return rows[:5000], rows[5000:]


def test_the_order_of_the_chapter_holds_on_real_text(daily):
    train, test = daily
    known, texts = (
        Counter(word for line in train for word in line),
        ["".join(line) for line in test],
    )
    both = word_f1(MaxMatch(known).segment_batch(texts), test, known)
    lattice = word_f1(LatticeSegmenter(known).segment_batch(texts), test, known)
    full = word_f1(LatticeSegmenter.fit(train).segment_batch(texts), test, known)
    of_all = word_f1(LatticeSegmenter.fit(train, rare=None).segment_batch(texts), test, known)
    assert full["f1"] > max(both["f1"], lattice["f1"], of_all["f1"]) and full["f1"] > 0.87
    assert full["oov_recall"] > 3 * lattice["oov_recall"]
    assert lattice["known_recall"] > both["known_recall"] > 0.95


def test_a_text_is_cut_alike_alone_and_in_company(daily):
    train, test = daily
    fitted, texts = LatticeSegmenter.fit(train), ["".join(line) for line in test]
    together = fitted.segment_batch(texts)
    assert together == [
        cut for half in (texts[:77], texts[77:]) for cut in fitted.segment_batch(half)
    ]
    assert together[:300] == [fitted.segment(text) for text in texts[:300]]
    total = sum(fitted.numbers)
    logp, lattice = (
        dict(zip(fitted.words, np.log(fitted.numbers / total))),
        LatticeSegmenter(Counter(w for line in train for w in line)),
    )
    for text, found in zip(texts[:200], lattice.segment_batch(texts)):
        if re.fullmatch("[一-鿿，。、]+", text):
            best = [0.0]
            for end in range(1, len(text) + 1):
                edges = [
                    best[i]
                    + logp.get(text[i:end], math.log(0.5 / total) if end - i == 1 else -math.inf)
                    for i in range(max(0, end - 20), end)
                ]
                best.append(max(edges))
            assert sum(logp.get(word, math.log(0.5 / total)) for word in found) == pytest.approx(
                best[-1]
            )


def test_rare_stretches_keep_what_a_dictionary_would_not_know():
    lines = [["甲乙", "丙", "丁戊", "甲乙", "丙"], ["甲乙"], ["己庚"]]
    counts = Counter(word for line in lines for word in line)
    assert rare_stretches(lines, counts, 1) == [["丙", "丁戊"], ["丙"], ["己庚"]]
    assert rare_stretches(lines, counts, 2) == [["丙", "丁戊"], ["丙"], ["己庚"]]
    assert rare_stretches(lines, counts, 3) == [list(line) for line in lines]


def test_numbers_and_letters_count_as_one_sign():
    cut = LatticeSegmenter({"1998年": 3, "生于": 1}).segment
    assert cut("生于２００５年") == ["生于", "２００５年"] == [*cut("生于"), *cut("２００５年")]
    assert cut("3.5年") == ["3.5年"] and cut("iPhone 生于") == ["iPhone", "生于"]


def test_a_file_keeps_the_smoothing(tmp_path):
    lines = [["今天", "天气", "好"], ["明天", "好"]]
    model = HMMSegmenter.fit(lines, smoothing=0.7)
    model.save(tmp_path / "hmm.json")
    LatticeSegmenter({"今天": 2}, model).save(tmp_path / "lattice.json")
    assert (
        HMMSegmenter.load(tmp_path / "hmm.json").smoothing
        == LatticeSegmenter.load(tmp_path / "lattice.json").hmm.smoothing
        == 0.7
    )


@pytest.mark.parametrize(
    "counts, said", [({"一": 0}, "count of '一' is 0"), ({"一": math.nan}, "count of '一' is nan")]
)
def test_errors_name_the_value(counts, said):
    with pytest.raises(ValueError, match=said):
        LatticeSegmenter(counts)
