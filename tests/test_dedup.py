"What the deduplication chapter promises: any text, any order, any process; errors; the references."

import json
import random
import subprocess
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odd_texts import ANY, MIXED, words_of

from llm_practice.data.dedup import (
    BloomFilter,
    collision_probability,
    contamination,
    decontaminate,
    deduplicate,
    drop_parts,
    jaccard,
    near_duplicates,
    optimal_bands,
    repeated_parts,
    shingles,
)
from llm_practice.data.sources import load
from llm_practice.engine.spans import cut_spans, repeated_spans
from llm_practice.engine.text import exact_keys

SCRIPT = Path(__file__).parent.parent / "bench" / "dedup.py"


@pytest.fixture(scope="module")
def news():
    return list(load("bbc-news", quiet=True)["text"])


@pytest.fixture(scope="module")
def reviews():
    return list(load("chinese-reviews", quiet=True)["text"])


# --- the curve ------------------------------------------------------------------------------------------------------


def test_bands():
    assert collision_probability(0.0, 14, 8) == 0 and collision_probability(1.0, 14, 8) == 1
    for threshold in (0.2, 0.5, 0.7, 0.9, 1.0):
        bands, rows = optimal_bands(threshold)
        assert bands * rows <= 112 and collision_probability(threshold, bands, rows) >= 0.95
        assert (
            collision_probability(threshold, 112 // (rows + 1), rows + 1) < 0.95 or threshold == 1.0
        )


# --- near-duplicates against the truth ------------------------------------------------------------------------------


def test_all_pairs_of_the_news_are_found(news):
    "Every pair with an index of 0.7 or more, counted by a search over all shingles."
    holders = {}
    for row, text in enumerate(news):
        for shingle in shingles(text):
            holders.setdefault(shingle, []).append(row)
    sizes = Counter(row for rows in holders.values() for row in rows)
    shared = Counter(pair for rows in holders.values() for pair in combinations(rows, 2))
    expected = {pair: n / (sizes[pair[0]] + sizes[pair[1]] - n) for pair, n in shared.items()}
    expected = {pair: index for pair, index in expected.items() if index >= 0.7}
    found = near_duplicates(news)
    pairs = dict(zip(map(tuple, found.pairs.tolist()), found.jaccard.tolist()))
    assert all(pairs[pair] == pytest.approx(expected[pair]) for pair in pairs)
    assert len(pairs) >= 0.98 * len(expected)


def test_the_known_duplicates(news):
    result = deduplicate(load("bbc-news", quiet=True))
    report = result.report()
    assert report.loc["exact", "documents"] == 104 and 50 <= report.loc["near", "documents"] <= 60
    assert len(result.kept) + len(result.removed) == 2225
    assert near_duplicates(result.kept["text"]).clusters == []


def test_half_of_the_reviews_are_copies():
    result = deduplicate(load("chinese-reviews", quiet=True))
    assert 0.50 < len(result.removed) / 35_124 < 0.52
    example = result.removed[0]
    assert example["reasons"][0].startswith(("exact: of row ", "near: of row ")) and example[
        "of"
    ] not in set(result.removed["row"])


def sample_of_copies(news, reviews, seed):
    rng = random.Random(seed)
    texts = [*rng.sample(news, 60), *rng.sample(reviews, 60)]
    for text in texts[:90]:
        tokens = list(text)
        for _ in range(rng.choice([0, 1, 2, 3, 8])):
            tokens[rng.randrange(len(tokens))] = rng.choice("abc中文 ")
        texts.append("".join(tokens))
    return texts + texts[:10]


@pytest.mark.parametrize("chains", [True, False])
def test_what_is_kept_does_not_depend_on_the_order(news, reviews, chains):
    texts = sample_of_copies(news, reviews, 0)
    rows = [{"text": text, "source": i % 7} for i, text in enumerate(texts)]
    kept, pairs = set(), set()
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        result = deduplicate(Dataset.from_list(rows), threshold=0.4, chains=chains)
        kept.add(tuple(sorted((row["text"], row["source"]) for row in result.kept)))
        found = near_duplicates([row["text"] for row in rows], threshold=0.4)
        pairs.add(
            frozenset(
                frozenset((rows[a]["text"], rows[b]["text"])) for a, b in found.pairs.tolist()
            )
        )
        stays = set(range(len(rows))) - set(result.removed["row"])
        assert set(result.removed["of"]) <= stays
    assert len(kept) == 1 and len(pairs) == 1


def test_order_does_not_matter_in_groups_beyond_the_limit():
    "Pages of one template: more members than each is paired with."
    body = words_of(200)
    texts = [f"{body} {words_of(3, seed)}" for seed in range(150)]
    seen = set()
    for seed in range(3):
        random.Random(seed).shuffle(texts)
        found = near_duplicates(texts, limit=4)
        seen.add(frozenset(frozenset((texts[a], texts[b])) for a, b in found.pairs.tolist()))
        assert len(found.clusters) == 1 and len(found.clusters[0]) == 150
    assert len(seen) == 1


def test_chains():
    words = words_of(300).split()
    texts = [" ".join(words[move : move + 200]) for move in (0, 25, 50)]
    long = Dataset.from_dict({"text": texts, "quality": [3.0, 2.0, 1.0]})
    one, two = (deduplicate(long, score="quality", chains=chains) for chains in (True, False))
    assert one.kept["text"] == texts[:1] and one.removed["jaccard"][1] < 0.7
    assert two.kept["text"] == [texts[0], texts[2]] and two.removed["of"] == [0]


def test_the_best_copy_stays():
    text = words_of(60)
    rows = Dataset.from_dict(
        {
            "text": [text, text.upper() + "!", text + " more", words_of(60, 1)],
            "quality": [1, 5, 3, 0],
            "id": [7, 8, 9, 10],
        }
    )
    assert deduplicate(rows, score="quality").kept["id"] == [8, 10]
    assert deduplicate(rows, score=lambda row: -row["id"]).kept["id"] == [7, 10]
    assert deduplicate(rows).kept["id"] == [9, 10]
    only_exact = deduplicate(rows, threshold=None, score="quality")
    assert only_exact.kept["id"] == [8, 9, 10] and only_exact.removed["reasons"] == [
        ["exact: of row 1"]
    ]
    near = deduplicate(rows, score="quality")
    assert [r[0].split(",")[0] for r in near.removed["reasons"]] == [
        "exact: of row 1",
        "near: of row 1",
    ]
    assert near.removed["row"] == [0, 2] and near.removed.column_names == [
        "text",
        "quality",
        "id",
        "reasons",
        "row",
        "of",
        "jaccard",
    ]


def test_a_copy_of_a_removed_copy_names_the_one_that_stays():
    text = words_of(60)
    rows = Dataset.from_dict({"text": [text + " more", text, text.upper()]})
    result = deduplicate(rows)
    assert result.kept["text"] == [text + " more"] and result.removed["of"] == [0, 0]
    assert all(reason[0].startswith("near: of row 0") for reason in result.removed["reasons"])
    assert result.examples("near")["copy of"].tolist()[0].startswith(text[:20])


# --- parts ----------------------------------------------------------------------------------------------------------


def test_parts():
    texts = ["Title\n\nShare  this\npage", "Other\n\nＳｈａｒｅ this", "share this\nshare this"]
    parts = repeated_parts(texts)
    assert parts == {"share this": 3}
    assert drop_parts(texts[0], parts) == "Title\n\npage" and drop_parts(texts[2], parts) == ""
    assert repeated_parts(["a\n\nb", "a\n\nc"], "paragraph") == {"a": 2}
    with pytest.raises(ValueError, match="unit='word' is unknown: use one of line, paragraph"):
        repeated_parts(["a"], "word")


# --- Bloom filter ---------------------------------------------------------------------------------------------------


def test_bloom_filter_keeps_its_promise():
    bloom = BloomFilter(5000, 0.01)
    old, new = [f"old {i}" for i in range(5000)], [f"new {i}" for i in range(20_000)]
    first = bloom.seen(old)
    assert first.mean() < 0.01 and bloom.seen(old).all()
    alarms = np.mean([text in bloom for text in new])
    assert 0.007 < alarms < 0.013 and bloom.error_now() == pytest.approx(alarms, abs=0.003)
    assert bloom.size / 5000 == pytest.approx(1.44 * np.log2(100), rel=0.01)


def test_bloom_filters_merge_and_know_repeats_within_a_batch():
    one, two, both = BloomFilter(100), BloomFilter(100), BloomFilter(100)
    assert one.seen(["a", "b", "a"]).tolist() == [False, False, True]
    two.seen(["c"])
    both.seen(["a", "b", "c"])
    one |= two
    assert (one.bits == both.bits).all() and "c" in one and "d" not in one
    assert one.seen([]).tolist() == []
    with pytest.raises(ValueError, match="cannot be merged"):
        one |= BloomFilter(1000)
    with pytest.raises(ValueError, match="capacity=0"):
        BloomFilter(0)


# --- contamination --------------------------------------------------------------------------------------------------


def test_contamination():
    a, b = words_of(100, 1), words_of(100, 2)
    train = [words_of(100, 3), f"{words_of(30, 4)} {a} {words_of(30, 5)}", " ".join(b.split()[:50])]
    leaks = contamination(iter(train), [a, b, words_of(100, 6)])
    assert leaks["train"].tolist() == [1, 2] and leaks["test"].tolist() == [0, 1]
    assert leaks["share"].tolist() == pytest.approx([1.0, 38 / 88])
    assert (
        contamination([], [a]).empty
        and contamination([a], []).empty
        and contamination(["", "。"], [a, ""]).empty
    )
    result = decontaminate(Dataset.from_dict({"text": train}), Dataset.from_dict({"text": [a, b]}))
    assert result.kept["text"] == [train[0], train[2]] and result.removed["reasons"] == [
        ["leak: 100% of test row 0"]
    ]
    assert (
        len(
            decontaminate(
                Dataset.from_dict({"text": train}), Dataset.from_dict({"text": [a, b]}), share=0.4
            ).kept
        )
        == 1
    )


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: shingles("a", unit="word"),
            "unit='word' is unknown: use one of auto, words, characters",
        ),
        (lambda: optimal_bands(1.5), "threshold=1.5 must be above 0 and at most 1"),
        (lambda: optimal_bands(0.7, recall=1.0), "recall=1.0 must be between 0 and 1"),
        (lambda: optimal_bands(0.01, 16), "16 permutations cannot find pairs of 0.01"),
        (
            lambda: deduplicate(Dataset.from_dict({"body": ["a"]})),
            "column='text' is not there: use one of body",
        ),
        (lambda: deduplicate(Dataset.from_dict({"text": ["a"], "of": [1]})), "has a column 'of'"),
        (
            lambda: deduplicate(
                Dataset.from_dict({"text": ["a b", "a b"], "q": [1.0, float("nan")]}), score="q"
            ),
            "score of row 1 is nan",
        ),
    ],
)
def test_errors_name_the_value_and_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_texts_that_are_none():
    with pytest.raises(TypeError, match="text 1 is None, of type NoneType: give strings"):
        near_duplicates(["a", None])
    with pytest.raises(TypeError, match="texts is one string"):
        near_duplicates("abc")


def test_nothing_has_no_copies():
    empty = Dataset.from_dict({"text": ["a b"]}).select([])
    result = deduplicate(empty)
    assert len(result.kept) == len(result.removed) == 0 and "jaccard" in result.removed.column_names
    assert near_duplicates([]).clusters == [] and near_duplicates(["", "", ":)"]).clusters == [
        [0, 1]
    ]


# --- hostile text ---------------------------------------------------------------------------------------------------


def everything(texts):
    "Run all that takes text, and check what must hold for any."
    found = near_duplicates(texts, threshold=0.5)
    for (a, b), index in zip(found.pairs.tolist(), found.jaccard):
        assert texts[a] == texts[b] or index == pytest.approx(
            jaccard(shingles(texts[a]), shingles(texts[b])), abs=1e-3
        )
    assert len(exact_keys(texts)) == len(texts)
    spans = repeated_spans(texts, 3)
    assert all(
        cut_spans(text, found) in (text, *[cut_spans(text, found)])
        for text, found in zip(texts, spans)
    )
    counts = repeated_parts(texts)
    assert all(isinstance(drop_parts(text, counts), str) for text in texts)
    BloomFilter(100).seen(texts)
    contamination(texts[:2], texts[2:])


@settings(max_examples=250, deadline=None)
@given(st.lists(st.one_of(ANY, MIXED), min_size=8, max_size=8))
@example(["", "\x00", "\ud800", "\n" * 50, "😀", "a", "a ", " "])
def test_any_text(texts):
    everything(texts)


@pytest.mark.nightly
@settings(max_examples=5000, deadline=None)
@given(st.lists(st.one_of(ANY, MIXED), min_size=20, max_size=20))
def test_any_text_100_000(texts):
    everything(texts)


def test_ten_megabytes_in_one_line_and_a_million_line_breaks():
    start = time.process_time()
    line = "The quick brown fox 跳过了 the lazy dog. " * 270_000
    found = near_duplicates([line, line + "x", "\n" * 1_000_000, ""], threshold=0.5)
    assert found.pairs.tolist() == [[0, 1]] and len(line) > 10_000_000
    assert drop_parts("a\n" * 500_000, {"a"}).strip("\n") == ""
    assert time.process_time() - start < 60


# --- the benchmark script -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_benchmark_runs(tmp_path, language):
    made = [
        sys.executable,
        SCRIPT,
        "--make",
        tmp_path,
        "--language",
        language,
        "--documents",
        "40",
        "--edits",
        "0.01",
        "0.02",
    ]
    subprocess.run(made, check=True, capture_output=True)
    run = [
        sys.executable,
        SCRIPT,
        "--input",
        tmp_path / "input.jsonl",
        "--truth",
        tmp_path / "truth.jsonl",
        "--json",
        tmp_path / "out.json",
    ]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["input"]["documents"] == 120
    reach = result["tools"]["llm_practice reach"]
    assert reach["f1"] == 1.0 and reach["documents_per_second"] > 0 and "docs/s" in done.stdout
    for peer in ("text-dedup", "rensa"):
        assert (
            any(name.startswith(peer) for name in result["tools"])
            or f"pip install {peer}" in done.stderr
        )


def test_the_benchmark_names_a_bad_line(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"body": "b"}\n')
    done = subprocess.run(
        [sys.executable, SCRIPT, "--input", tmp_path / "in.jsonl"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode and "line 2: there is no string in the field `text`" in done.stderr
