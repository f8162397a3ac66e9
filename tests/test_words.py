"What the chapter on words promises: places that point at what they name, any text, exact search, errors that help."

import json
import math
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data import words as module
from llm_practice.data.sources import load
from llm_practice.data.words import (
    LEMMA_METHODS,
    METHODS,
    STOP_LISTS,
    TAGS,
    HMMSegmenter,
    LatticeSegmenter,
    MaxMatch,
    Segmenter,
    Trie,
    default_segmenter,
    lemmas,
    segment,
    stop_words,
    unsure,
    viterbi,
    word_f1,
    words,
)

SCRIPT = Path(__file__).parent.parent / "bench" / "segment.py"

ANY = st.text(st.characters(exclude_categories=()))
PIECES = "the don't it's cats' e.g. U.S. Dr. 1,234.5 10:30 21st 3D well-known state-of-the-art @bbc #news a_b".split()
PIECES += ["https://bbc.co.uk/a?b=1#c", "www.x.cn", "me@mail.example.com", "naïve", "e\u0301", "\u0301", "👩🏽\u200d💻", "🇨🇳", "1️⃣", "\u200d"]
PIECES += ["研究", "研究生", "生命", "的", "人", "１９９８年", "３．５％", "38.5元", "一九九八年", "葛\U000e0100", "\U00020000", "の", "カナ", "한국", "ไทย"]
PIECES += [" ", "\n", "\t", "\u3000", "\u200b", "\u202e", "\ufeff", "\u00ad", "\ud83d", "\ude00", "😀", "，", "。", "……", "——", "...", "'", "’", "-", "\x00"]
PIECES += ["\uffff", "\ufffe", "\x1c", "\u2028", "a" * 300, "国" * 300, "7" * 300, "." * 50, "@" * 50, "://"]
TEXT = st.one_of(ANY, st.lists(st.sampled_from(PIECES), max_size=40).map("".join))

LINES = [["研究", "生命", "的", "起源"], ["研究生", "在", "北京", "学习"], ["他", "说", "的", "确实", "在理", "。"],
         ["１９９８年", "，", "中国", "人民", "在", "北京"], ["中国人民", "的", "生命"], ["李", "建兴", "说", "３．５％"]]  # fmt: skip
COUNTS = Counter(word for line in LINES for word in line)
ALL = [MaxMatch(COUNTS, way) for way in ("forward", "backward", "both")]
ALL += [LatticeSegmenter(COUNTS), HMMSegmenter.fit(LINES), LatticeSegmenter.fit(LINES)]


def without_space(text):
    return re.sub(r"\s", "", text)


# --- any text -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(TEXT, st.sampled_from(["en", "zh"]), st.booleans(), st.booleans())
@example("www." * 30 + " www.... http://", "en", True, True)
@example("\u0301 \u0301a\u0301", "zh", True, True)
@example("can't-won't n't 't o'-'s x’S", "en", True, True)
def test_places_point_at_what_they_name_and_gaps_give_the_text_back(text, language, contractions, hyphens):
    found = words(text, language, contractions=contractions, hyphens=hyphens, segmenter=ALL[-1])
    at, again = 0, ""
    for word in found:
        assert word.text and word.text == text[word.start : word.end] and word.start >= at
        again += text[at : word.start] + word.text
        assert re.fullmatch("[\\s\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*", text[at : word.start])
        at = word.end
    assert again + text[at:] == text
    assert {word.kind for word in found} <= {"word", "number", "url", "email", "tag", "sign"}


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


@pytest.mark.parametrize("text", ["国" * 40000, "中国人民" * 10000, "a" * 200000, "在北京" * 10000 + "国" * 9999])
def test_long_runs_without_a_border_stay_exact(text):
    for segmenter in ALL:
        found = segmenter.segment(text)
        assert "".join(found) == text
    assert ALL[0].segment("中国人民" * 10000) == ["中国人民"] * 10000


@pytest.mark.parametrize("text", ["www." * 20000, "a." * 20000, "1." * 20000, "a-" * 20000, "@" * 40000, "a\u0301" * 20000, "http://" * 9000,
                                  "a" * 64 + "@" + "a." * 20000, "7" * 40000 + "x", "🏽\u200d" * 20000, "1." * 9000 + "国"])  # fmt: skip
def test_no_text_takes_the_rules_more_than_linear_time(text):
    import time

    start = time.process_time()
    for language in ("en", "zh"):
        words(text, language, segmenter=ALL[0])
    assert time.process_time() - start < 5


# --- the search against every possibility ---------------------------------------------------------------------------


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
        return sum(math.log(counts[w] / total) if w in counts else math.log(0.5 / total) if len(w) == 1 else -math.inf for w in cut)

    for text, found in zip(texts, LatticeSegmenter(counts).segment_batch(texts)):
        assert value(found) == pytest.approx(max(map(value, all_cuts(text))))


def longest_match(text, vocabulary, back):
    found = []
    while text:
        sizes = [n for n in range(len(text), 0, -1) if n == 1 or (text[-n:] if back else text[:n]) in vocabulary]
        piece = text[-sizes[0] :] if back else text[: sizes[0]]
        text = text[: -sizes[0]] if back else text[sizes[0] :]
        found.insert(0, piece) if back else found.append(piece)
    return found


@settings(deadline=None, max_examples=150)
@given(st.sets(st.text("甲乙丙", min_size=1, max_size=4), min_size=1, max_size=12), st.lists(st.text("甲乙丙丁 ", max_size=25), max_size=6))
def test_maximum_matching_is_the_plain_algorithm(vocabulary, texts):
    forward, backward, both = (MaxMatch(vocabulary, way).segment_batch(texts) for way in ("forward", "backward", "both"))
    for text, f, b, chosen in zip(texts, forward, backward, both):
        assert f == [w for part in text.split() for w in longest_match(part, vocabulary, False)]
        assert b == [w for part in text.split() for w in longest_match(part, vocabulary, True)]
        cost = [(len(cut), sum(len(w) == 1 for w in cut)) for cut in (chosen, f, b)]
        assert cost[0][0] <= min(cost[1][0], cost[2][0])


def test_both_ways_breaks_ties_by_single_characters_then_backward():
    assert MaxMatch({"甲乙", "乙丙丁", "丙丁"}).segment("甲乙丙丁") == ["甲乙", "丙丁"]  # equal numbers, fewer single ones
    assert MaxMatch({"甲乙", "乙丙"}).segment("甲乙丙") == ["甲", "乙丙"]  # backward


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("甲乙丙丁", max_size=60), min_size=1, max_size=12), st.integers(0, 99))
def test_side_by_side_viterbi_is_the_plain_one(texts, seed):
    rng = random.Random(seed)
    lines = [["".join(rng.choices("甲乙丙", k=rng.randint(1, 4))) for _ in range(6)] for _ in range(4)]
    model = HMMSegmenter.fit(lines)
    for text, found in zip(texts, model.segment_batch(texts)):
        tags = viterbi(model.emissions[:, model.row[[ord(c) for c in text]]].T, model.transitions) if text else ""
        assert "".join("S" if len(w) == 1 else "B" + "M" * (len(w) - 2) + "E" for w in found) == tags


def test_viterbi_is_the_best_row_of_tags():
    rng = np.random.default_rng(3)
    allowed = {"BM", "BE", "MM", "ME", "EB", "ES", "SB", "SS", "^B", "^S"}
    for size in range(1, 7):
        steps = {name: float(np.log(rng.random())) for name in sorted(allowed)}
        emissions = np.log(rng.random((size, 4)))

        def value(row, size=size, steps=steps, emissions=emissions):
            names = ["^" + row[0], *(a + b for a, b in pairwise(row))]
            legal = set(names) <= allowed and row[-1] in "ES"
            return sum(map(steps.get, names)) + sum(emissions[i, TAGS.index(t)] for i, t in enumerate(row)) if legal else -math.inf

        assert viterbi(emissions, steps) == max(map("".join, product(TAGS, repeat=size)), key=value)
    assert viterbi(np.zeros((0, 4)), steps) == ""


@settings(deadline=None, max_examples=100)
@given(st.sets(st.text("甲乙丙\U00020000", min_size=1, max_size=5), max_size=15), st.text("甲乙丙丁\U00020000", max_size=30))
def test_the_trie_finds_every_word_everywhere(vocabulary, text):
    names = sorted(vocabulary)
    codes = np.array([*map(ord, text), 0xFFFF], np.uint32)
    single, longer = Trie(names).find(codes)
    found = {(i, names[w]) for i, w in enumerate(single.tolist()) if w >= 0}
    found |= {(p, names[w]) for _, places, numbers in longer for p, w in zip(places.tolist(), numbers.tolist())}
    assert found == {(i, w) for w in names for i in range(len(text)) if text.startswith(w, i)}
    assert all((np.array([len(names[w]) for w in numbers]) == size).all() for size, _, numbers in longer)


# --- learning -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daily():
    rows = load("peoples-daily", quiet=True)["tokens"][:6000]
    return rows[:5000], rows[5000:]


def test_the_order_of_the_chapter_holds_on_real_text(daily):
    train, test = daily
    known, texts = Counter(word for line in train for word in line), ["".join(line) for line in test]
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
    assert together == [cut for half in (texts[:77], texts[77:]) for cut in fitted.segment_batch(half)]
    assert together[:300] == [fitted.segment(text) for text in texts[:300]]
    total = sum(fitted.numbers)
    logp, lattice = dict(zip(fitted.words, np.log(fitted.numbers / total))), LatticeSegmenter(Counter(w for line in train for w in line))
    for text, found in zip(texts[:200], lattice.segment_batch(texts)):
        if re.fullmatch("[一-鿿，。、]+", text):
            best = [0.0]
            for end in range(1, len(text) + 1):
                edges = [best[i] + logp.get(text[i:end], math.log(0.5 / total) if end - i == 1 else -math.inf) for i in range(max(0, end - 20), end)]
                best.append(max(edges))
            assert sum(logp.get(word, math.log(0.5 / total)) for word in found) == pytest.approx(best[-1])


def test_unsure_keeps_what_a_dictionary_would_not_know():
    lines = [["甲乙", "丙", "丁戊", "甲乙", "丙"], ["甲乙"], ["己庚"]]
    counts = Counter(word for line in lines for word in line)
    assert unsure(lines, counts, 1) == [["丙", "丁戊"], ["丙"], ["己庚"]]
    assert unsure(lines, counts, 2) == [["丙", "丁戊"], ["丙"], ["己庚"]]
    assert unsure(lines, counts, 3) == [list(line) for line in lines]


def test_numbers_and_letters_count_as_one_sign():
    cut = LatticeSegmenter({"1998年": 3, "生于": 1}).segment
    assert cut("生于２００５年") == ["生于", "２００５年"] == [*cut("生于"), *cut("２００５年")]
    assert cut("3.5年") == ["3.5年"] and cut("iPhone 生于") == ["iPhone", "生于"]


@pytest.mark.parametrize("made", [ALL[3], ALL[4], ALL[5]], ids=["lattice", "hmm", "both"])
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
        LatticeSegmenter.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="no JSON"):
        HMMSegmenter.load(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="list"):
        HMMSegmenter.load(path)
    with pytest.raises(FileNotFoundError):
        HMMSegmenter.load(tmp_path / "absent.json")


def test_one_call_segments_by_every_method():
    for method in METHODS:
        if method == "rjieba":
            pytest.importorskip("rjieba")
        assert "".join(segment("他说的 确实在理", method)) == "他说的确实在理"
    assert default_segmenter() is default_segmenter("best")
    assert segment("研究生命的起源") == ["研究", "生命", "的", "起源"]


# --- scores ---------------------------------------------------------------------------------------------------------


def test_word_f1_by_hand():
    gold, ours = [["研究", "生命", "的"], ["好"]], [["研究生", "命", "的"], ["好"]]
    scores = word_f1(ours, gold, known=["研究", "的"])
    assert scores["precision"] == scores["recall"] == scores["f1"] == 0.5
    assert scores["oov_rate"] == 0.5 and scores["oov_recall"] == 0.5 and scores["known_recall"] == 0.5
    assert word_f1([], []) == {"precision": 0, "recall": 0, "f1": 0}
    with pytest.raises(ValueError, match="text 1 is not the same"):
        word_f1([["a"], ["b"]], [["a"], ["c"]])
    with pytest.raises(ValueError):
        word_f1([["a"]], [])


# --- English --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, found",
    [
        ("I don't know, it's Anna's.", "I do n't know , it 's Anna 's ."),
        ("We’ve won’t CAN'T", "We ’ve wo n’t CA N'T"),
        ("rock 'n' roll, players' '90s", "rock ' n ' roll , players ' ' 90s"),
        ("state-of-the-art end- -start", "state-of-the-art end - - start"),
        ("$1,234.50 at 10:30 on 21st, 3D 4GB", "$ 1,234.50 at 10:30 on 21st , 3D 4GB"),
        ("The U.S. and e.g. Dr. Who etc.", "The U.S. and e.g. Dr. Who etc."),
        ("See https://bbc.co.uk/news?id=1. Or www.x.org!", "See https://bbc.co.uk/news?id=1 . Or www.x.org !"),
        ("Mail a.b+c@mail.example.com, @bbc #news #1", "Mail a.b+c@mail.example.com , @bbc #news # 1"),
        ("Wait... what?! -- yes", "Wait ... what ? ! -- yes"),
        ("👩🏽\u200d💻🇨🇳ok", "👩🏽\u200d💻 🇨🇳 ok"),
        ("中文ok", "中 文 ok"),
        ("co\u00adop soft", "co\u00adop soft"),
    ],
)
def test_english_rules(text, found):
    assert [word.text for word in words(text)] == found.split(" ")


def test_options_of_words():
    assert [w.text for w in words("don't", contractions=False)] == ["don't"]
    assert [w.text for w in words("a well-known end", hyphens=True)] == ["a", "well", "-", "known", "end"]
    assert [w.text for w in words("don't-know's", hyphens=True)] == ["don't", "-", "know", "'s"]
    kinds = {w.text: w.kind for w in words("e.g. 3.5 x@y.org http://z.cn/ #a it 3D !")}
    assert kinds == {"e.g.": "word", "3.5": "number", "x@y.org": "email", "http://z.cn/": "url", "#a": "tag", "it": "word", "3D": "word", "!": "sign"}


def test_chinese_stretches_go_to_the_segmenter_that_was_given():
    class Halves(Segmenter):
        def segment_batch(self, texts):
            return [[text[: len(text) // 2 or 1], *([text[len(text) // 2 :]] if len(text) > 1 else [])] for text in texts]

    found = words("看ABC里的东西，１９９８年", "zh", segmenter=Halves())
    assert [w.text for w in found] == ["看", "ABC", "里的", "东西", "，", "１９", "９８年"]
    assert [(w.start, w.end) for w in found] == [(0, 1), (1, 4), (4, 6), (6, 8), (8, 9), (9, 11), (11, 14)]


# --- lists and forms ------------------------------------------------------------------------------------------------


def test_stop_words_are_lower_case_words_of_their_language():
    for language, sources in STOP_LISTS.items():
        for source in sources:
            if source == "iso":
                pytest.importorskip("stopwordsiso")
            found = stop_words(language, source)
            assert len(found) > 100 and all(word == word.lower().strip() != "" for word in found)
            assert all(bool(re.search("[一-鿿]", word)) == (language == "zh") for word in found)
    assert "the" in stop_words() and "的" in stop_words("zh", "iso") and "没有" in stop_words("zh")


def test_lemmas_and_stems():
    pytest.importorskip("simplemma"), pytest.importorskip("Stemmer")
    assert lemmas(["mice", "were", "studies"]) == ["mouse", "be", "study"]
    assert lemmas(["hopping", "ponies"], method="porter") == ["hop", "poni"]
    assert lemmas(["跑", "跑了"], "zh") == ["跑", "跑了"]
    assert lemmas([]) == [] and lemmas(iter(["cats", "cats"])) == ["cat", "cat"]


@settings(deadline=None, max_examples=100)
@given(st.lists(TEXT, max_size=6), st.sampled_from(LEMMA_METHODS))
def test_lemmas_take_any_text(tokens, method):
    pytest.importorskip("simplemma"), pytest.importorskip("Stemmer")
    found = lemmas(tokens, method=method)
    assert len(found) == len(tokens) and all(bool(a) == bool(b) for a, b in zip(tokens, found))


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: words(None), TypeError, "NoneType: give a string"),
        (lambda: words("a", "de"), ValueError, "language='de' is unknown: use en or zh"),
        (lambda: segment("a", "best?"), ValueError, "method='best\\?' is unknown: use one of forward"),
        (lambda: ALL[0].segment_batch("一二"), TypeError, "one string"),
        (lambda: ALL[0].segment_batch(["一", None]), TypeError, "text 1 is None"),
        (lambda: ALL[0].segment(b"x"), TypeError, "bytes"),
        (lambda: MaxMatch(["一"], "up"), ValueError, "direction='up'"),
        (lambda: MaxMatch([]), ValueError, "no word among its 0 entries"),
        (lambda: MaxMatch([" ", "a b"]), ValueError, "no word among its 2 entries"),
        (lambda: LatticeSegmenter({"一": 0}), ValueError, "count of '一' is 0"),
        (lambda: LatticeSegmenter({"一": math.nan}), ValueError, "count of '一' is nan"),
        (lambda: HMMSegmenter.fit([]), ValueError, "no words to learn from"),
        (lambda: HMMSegmenter.fit([[], [""]]), ValueError, "no words to learn from"),
        (lambda: stop_words("de"), ValueError, "language='de'"),
        (lambda: stop_words("zh", "sklearn"), ValueError, "no list for zh: use one of snownlp, iso"),
        (lambda: lemmas("cats"), TypeError, "one string"),
        (lambda: lemmas(["cats"], "de"), ValueError, "language='de'"),
        (lambda: lemmas(["cats"], method="nltk"), ValueError, "method='nltk'"),
    ],
)
def test_errors_name_the_value_and_the_way_out(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize("package, call", [("simplemma", lambda: lemmas(["a"])), ("PyStemmer", lambda: lemmas(["a"], method="porter")),
                                           ("stopwordsiso", lambda: stop_words("en", "iso")), ("rjieba", lambda: segment("一", "rjieba"))])  # fmt: skip
def test_an_absent_package_is_named(package, call, monkeypatch):
    monkeypatch.setitem(sys.modules, {"PyStemmer": "Stemmer"}.get(package, package), None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        call()


def test_the_library_imports_without_the_optional_packages():
    code = "import sys\nfor name in ('simplemma', 'Stemmer', 'stopwordsiso', 'rjieba', 'snownlp', 'sklearn'): sys.modules[name] = None\n"
    code += "from llm_practice.data.words import words\nassert [w.text for w in words('it works')] == ['it', 'works']"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_every_export_has_a_test_or_is_a_list_of_choices():
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(re.search(rf"\b{name}\b", text) for name in module.__all__ if name not in ("HAN", "Word"))


def test_the_bench_names_what_is_wrong(tmp_path):
    run = subprocess.run([sys.executable, str(SCRIPT), "--lines", "10"], capture_output=True, text=True, check=False)
    assert run.returncode and "at least 1000" in run.stderr
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps({"train": LINES, "texts": ["研究生命的起源"]}))
    run = subprocess.run([sys.executable, str(SCRIPT), "--work", "lattice and model", str(source), str(target)], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and json.loads(target.read_text())["found"] == [["研究", "生命", "的", "起源"]]


def test_a_file_keeps_the_smoothing(tmp_path):
    lines = [["今天", "天气", "好"], ["明天", "好"]]
    model = HMMSegmenter.fit(lines, smoothing=0.7)
    model.save(tmp_path / "hmm.json")
    LatticeSegmenter({"今天": 2}, model).save(tmp_path / "lattice.json")
    assert HMMSegmenter.load(tmp_path / "hmm.json").smoothing == LatticeSegmenter.load(tmp_path / "lattice.json").hmm.smoothing == 0.7
