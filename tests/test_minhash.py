"Signatures and candidates: any text, any order, any process."

import json
import os
import pickle
import random
import subprocess
import sys
import time
import unicodedata
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odd_texts import ANY, MIXED, words_of

from llm_practice.data.dedup import BloomFilter, jaccard, near_duplicates, shingles
from llm_practice.data.sources import load
from llm_practice.engine.grouping import merge_clusters
from llm_practice.engine.minhash import (
    EMPTY,
    MinHasher,
    band_keys,
    candidate_pairs,
    group_pairs,
    pair_jaccard,
    similar_pairs,
)
from llm_practice.engine.text import SPACELESS_RANGES


@pytest.fixture(scope="module")
def news():
    return list(load("bbc-news", quiet=True)["text"])


@pytest.fixture(scope="module")
def reviews():
    return list(load("chinese-reviews", quiet=True)["text"])


# --- shingles: a second implementation, a character at a time -------------------------------------------------------


def slow_shingles(text, words=5, characters=8, unit="auto"):
    def kind(c):
        if not (c.isalnum() or unicodedata.category(c)[0] == "M"):
            return 0
        spaceless = c.isalnum() and any(first <= ord(c) <= last for first, last in SPACELESS_RANGES)
        spaceless |= any(first <= ord(c) <= last for first, last in SPACELESS_RANGES)
        return 2 if unit == "characters" or (unit == "auto" and spaceless) else 1

    tokens, open_word = [], False
    for c in unicodedata.normalize("NFKC", text).casefold():
        if kind(c) == 2:
            tokens.append([c, words])
        elif kind(c) == 1 and open_word:
            tokens[-1][0] += c
        elif kind(c) == 1:
            tokens.append([c, characters])
        open_word = kind(c) == 1
    found = set()
    for i in range(len(tokens)):
        filled, j = 0, i
        while j < len(tokens) and filled < words * characters:
            filled += tokens[j][1]
            j += 1
        if filled >= words * characters or i == 0:
            found.add(" ".join(token for token, _ in tokens[i:j]))
    return found


def count_hashes(texts, hasher):
    return [
        len(set(part.tolist()))
        for hashes, counts in hasher.hashes(texts)
        for part in np.split(hashes, np.cumsum(counts)[:-1])
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(ANY, MIXED),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from(["auto", "words", "characters"]),
)
@example("ThinkPad的屏幕 很大 ok", 3, 5, "auto")
@example("a", 5, 8, "auto")
@example("\ud83d\ude00", 5, 8, "auto")
@example("กำ ก็", 1, 1, "auto")
def test_shingles_are_those_of_the_plain_way(text, words, characters, unit):
    expected = slow_shingles(text, words, characters, unit)
    assert shingles(text, words, characters, unit) == expected
    hasher = MinHasher(words=words, characters=characters, unit=unit)
    assert count_hashes([text, "x", text], hasher) == [len(expected), 1, len(expected)]


def test_shingles_of_known_texts():
    assert shingles("one two three four five six") == {
        "one two three four five",
        "two three four five six",
    }
    assert shingles("一二三四五六七八九") == {"一 二 三 四 五 六 七 八", "二 三 四 五 六 七 八 九"}
    assert shingles("too short") == {"too short"} and shingles("...") == set() == shingles("")
    assert shingles("It's 3.5", words=2) == {"it s", "s 3", "3 5"}
    assert jaccard(set(), set()) == 0 and jaccard({1, 2}, {2, 3}) == pytest.approx(1 / 3)


def test_hashes_do_not_depend_on_the_neighbours(news, reviews):
    texts = [*news[:150], *reviews[:300], "", "x" * 300_000, *news[150:160]]
    together = MinHasher().signatures(texts)
    alone = np.concatenate([MinHasher().signatures([text]) for text in texts])
    assert (together == alone).all()


def test_signatures_are_what_they_were():
    "Signatures are stored and compared across machines and years: these numbers must never change."
    signatures = MinHasher(permutations=3).signatures(
        ["The cat sat on the mat.", "屏幕很大，价格便宜，散热也不错。", ""]
    )
    assert signatures.tolist() == KNOWN
    assert signatures.dtype == np.uint32
    assert band_keys(signatures, 1, 3)[:, 0].tolist() == KNOWN_KEYS


def test_signatures_are_the_same_in_a_process_with_another_hash_seed(news):
    code = "import sys, json; from llm_practice.data.dedup import *; from llm_practice.engine.minhash import *; from llm_practice.engine.text import *; t = json.load(sys.stdin); h = MinHasher(); s = h.signatures(t);"
    code += "b = BloomFilter(100); b.seen(t); print(json.dumps([s.tolist(), band_keys(s, 22, 5).tolist(), exact_keys(t), b.bits.tolist()]))"
    outputs = {
        subprocess.run([sys.executable, "-c", code], input=json.dumps(news[:5]), capture_output=True, text=True, check=True,
                       env=os.environ | {"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")
    }  # fmt: skip
    assert (
        len(outputs) == 1
        and json.loads(outputs.pop())[0] == MinHasher().signatures(news[:5]).tolist()
    )


def test_stages_can_be_sent_to_other_processes():
    for thing in (
        MinHasher(words=3),
        BloomFilter(10),
        near_duplicates(["a b c d e f", "a b c d e f"]),
    ):
        again = pickle.loads(pickle.dumps(thing))
        assert type(again) is type(thing)
    assert pickle.loads(pickle.dumps(MinHasher(words=3))) == MinHasher(words=3)


def test_equal_minima_estimate_the_index():
    words = words_of(400).split()
    pairs = [
        (" ".join(words[:250]), " ".join(words[move : move + 250])) for move in range(5, 150, 5)
    ]
    exact = np.array([jaccard(shingles(a), shingles(b)) for a, b in pairs])
    z = []
    for seed in range(60):
        left, right = (MinHasher(seed=seed).signatures(side) for side in zip(*pairs))
        z.append(((left == right).mean(axis=1) - exact) / np.sqrt(exact * (1 - exact) / 112))
    assert abs(np.mean(z)) < 0.3 and 0.85 < np.std(z) < 1.15


def test_candidates_share_a_band():
    signatures = np.random.default_rng(0).integers(0, 3, (60, 12), dtype=np.uint32)
    for bands, rows in ((4, 3), (3, 4), (12, 1), (1, 12), (2, 5)):
        parts = signatures[:, : bands * rows].reshape(60, bands, rows)
        expected = {
            (i, j)
            for i, j in combinations(range(60), 2)
            if (parts[i] == parts[j]).all(axis=1).any()
        }
        assert (
            set(map(tuple, candidate_pairs(signatures, bands, rows, limit=60).tolist())) == expected
        )


def test_keys_of_different_bands_differ():
    keys = band_keys(np.zeros((2, 8), np.uint32), 4, 2)
    assert (keys[0] == keys[1]).all() and len(set(keys[0].tolist())) == 4


def test_a_large_group_is_paired_in_linear_work():
    keys, identity = (
        np.zeros(20_000, np.uint64),
        np.random.default_rng(0).integers(0, 2**63, 20_000).astype(np.uint64),
    )
    pairs = group_pairs(keys, identity, limit=8)
    assert len(pairs) < 8 * 20_000
    assert (merge_clusters(np.arange(20_000), pairs) == 0).all()


def test_order_does_not_matter_for_candidates(news):
    texts, rng = [*news[:200], *(text[50:] for text in news[:50])], random.Random(0)
    found = set()
    for _ in range(3):
        rng.shuffle(texts)
        pairs = candidate_pairs(MinHasher().signatures(texts), 22, 5)
        found.add(frozenset(frozenset((texts[a], texts[b])) for a, b in pairs.tolist()))
    assert len(found) == 1


def test_similar_pairs_are_the_candidates_with_the_index(news, reviews):
    texts = sorted({*news[:300], *reviews[:2000]})
    pairs, index = similar_pairs(texts, 0.4, 37, 3)
    assert np.allclose(index, pair_jaccard(texts, pairs)) and (index >= 0.4).all()
    assert np.allclose(index, [jaccard(shingles(texts[a]), shingles(texts[b])) for a, b in pairs])
    candidates = candidate_pairs(MinHasher().signatures(texts), 37, 3, limit=len(texts))
    exact = pair_jaccard(texts, candidates)
    assert set(map(tuple, candidates[exact >= 0.45].tolist())) <= set(map(tuple, pairs.tolist()))
    assert (
        len(similar_pairs([], 0.4, 37, 3)[0]) == 0
        and len(pair_jaccard([], np.empty((0, 2), int))) == 0
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: MinHasher(unit="word"),
            "unit='word' is unknown: use one of auto, words, characters",
        ),
        (lambda: MinHasher(permutations=0), "permutations=0 must be at least 1"),
        (lambda: MinHasher(words=0), "words=0 must be at least 1"),
        (
            lambda: band_keys(np.zeros((1, 4), np.uint32), 3, 2),
            "bands=3 of rows=2 do not fit into signatures of 4 numbers",
        ),
    ],
)
def test_errors_name_the_value_and_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_texts_that_are_none():
    with pytest.raises(TypeError, match="a text is None, of type NoneType: give strings"):
        MinHasher().signatures(["a", None])


@settings(max_examples=250, deadline=None)
@given(st.lists(st.one_of(ANY, MIXED), min_size=8, max_size=8))
@example(["", "\x00", "\ud800", "\n" * 50, "😀", "a", "a ", " "])
def test_any_text(texts):
    signatures = MinHasher().signatures(texts)
    assert signatures.shape == (len(texts), 112)
    assert all((row == EMPTY).all() == (not shingles(text)) for text, row in zip(texts, signatures))


@pytest.mark.parametrize(
    "unit",
    ["word ", "x", "中", "\n", "\x00", "e\u0301", "\u200b", "\ud800", "😀", "a 中", "a\nb\n", ". "],
    ids=[
        "words",
        "one word",
        "Chinese",
        "newlines",
        "NUL",
        "marks",
        "zero-width",
        "surrogates",
        "emoji",
        "mixed",
        "lines",
        "signs",
    ],
)
def test_time_is_linear(unit):
    def seconds(length):
        text, start = (unit * (length // len(unit) + 1))[:length], time.process_time()
        MinHasher().signatures([text])
        return time.process_time() - start

    seconds(1000)
    small, large = seconds(100_000), seconds(1_000_000)
    assert large < 40 * small + 0.5


KNOWN = [
    [262159628, 3080950582, 161230594],
    [239452558, 252260071, 1699332133],
    [4294967295, 4294967295, 4294967295],
]
KNOWN_KEYS = [10316597722734426007, 2681150625540720144, 10979447258589012344]
