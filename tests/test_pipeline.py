"The steps of the book on hostile text, trials, rows of tokens."

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import ROOT, texts, write

from llm_practice.data.pipeline import packed_rows, process, trial
from llm_practice.data.sources import load
from llm_practice.engine.recipe import RECIPE_STEPS, Batch, PipelineError, Recipe, RecipeError

pytestmark = pytest.mark.usefixtures("quick_disk")


HOSTILE = [
    "\ud800", "half \udfff pair", "\ud83d\ude00 joined", "\0\0\0", "a\0b", "", " ", "\u200b\u202e\ufeff", "e" + "\u0301" * 5000, "<p>" * 3000,
    "\n" * 50_000, "🧑‍🚀" * 500, "x" * 300_000, "中" * 100_000, "=cmd()", "1" * 5000, "NaN", "\x85\u2028\u2029\x1c", "'\"\\", "\uffff\U0010ffff",
    "<!-- " + "<a " * 2000, "{" * 3000, "ÿþ", "аҧсшәа العربية ไทย 한국어",
]  # fmt: skip


STANDARD = [
    "html",
    "normalise",
    "language",
    {"filter": {"rules": ["basic", "gopher_quality", "gopher_repetition", "c4", "fineweb"]}},
    "mask",
    "exact_dedup",
    "near_dedup",
]


def test_hostile_text_goes_through_all_steps(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        "\n".join(json.dumps({"text": t, "deep": t[:50]}) for t in HOSTILE), encoding="utf-8"
    )
    steps = STANDARD
    corpus = process({"sources": [str(path)], "steps": steps}, tmp_path / "out", workers=1)
    assert len(list(corpus.rows())) + len(list(corpus.removed())) == len(HOSTILE)
    assert not [row["id"] for row in corpus.removed("failed")]
    assert corpus.verify() and len(corpus.card) > 1000
    nothing = process({"sources": [str(path)], "steps": []}, tmp_path / "none", workers=1)
    assert [row["text"] for row in nothing.rows()][:3] == [
        "\ufffd",
        "half \ufffd pair",
        "😀 joined",
    ]


def test_ten_megabytes_on_one_line(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("word " * 2_000_000 + "\nshort enough to be kept\n", encoding="utf-8")
    start = time.perf_counter()
    corpus = process(
        {"sources": [str(path)], "steps": ["normalise", "exact_dedup", "near_dedup"]},
        tmp_path / "out",
        workers=1,
    )
    assert [len(row["text"]) for row in corpus.rows()] == [
        9_999_999,
        23,
    ] and time.perf_counter() - start < 40


def test_the_recipe_of_the_book_is_one():
    recipe = Recipe.read(ROOT / "recipes" / "corpus.yaml")
    assert {"bbc-news", "chinese-reviews"} < {source.name for source in recipe.sources}
    assert {"normalise", "mask", "exact_dedup", "near_dedup"} < {name for name, _ in recipe.steps}


def test_texts_of_a_test_set_are_removed(tmp_path):
    rows = texts(60, 9)
    long = [" ".join(texts(3, 100 + i)) for i in range(40)]
    write(tmp_path / "test.jsonl", [{"text": t} for t in long[:5]])
    write(
        tmp_path / "in.jsonl",
        [{"text": t} for t in rows + long[5:] + [f"before {t} after" for t in long[:5]]],
    )
    recipe = {
        "sources": [str(tmp_path / "in.jsonl")],
        "steps": [{"decontaminate": {"against": [str(tmp_path / "test.jsonl")]}}],
    }
    corpus = process(recipe, tmp_path / "out", workers=1)
    assert len(corpus) == 95 and all(
        r["text"].startswith("before") and "100% of test text" in r["reasons"][0]
        for r in corpus.removed()
    )
    with pytest.raises(
        RecipeError,
        match="against: 'bbc-new' is neither a file nor packaged. Did you mean bbc-news",
    ):
        Recipe.read({**recipe, "steps": [{"decontaminate": {"against": ["bbc-new"]}}]})


def test_a_filter_finds_out_the_language_that_nobody_said(tmp_path):
    path = write(
        tmp_path / "in.jsonl",
        [
            {"text": "It rained in Paris, and nobody minded that at all, for once."},
            {"text": "天气很好，我们出去走走。", "language": ""},
            {"text": "Il pleut.", "language": "fr"},
            {"text": "…", "language": None},
            {"text": "it rained in paris and nobody minded", "language": "EN-gb"},
        ],
    )
    steps = [{"filter": {"rules": ["basic"]}}]
    corpus = process({"sources": [str(path)], "steps": steps}, tmp_path / "out", workers=1)
    why = {row["text"]: row["reasons"] for row in corpus.removed()}
    assert why["Il pleut."] == ["no_rules: there are none for fr"]
    assert why["…"] == ["no_rules: there are none for und"] and len(corpus) + len(why) == 5
    source = {"files": str(path), "language": "English"}
    said = process({"sources": [source], "steps": steps}, tmp_path / "out2", workers=1)
    assert [row["reasons"] for row in said.removed() if row["text"] == "…"] != [why["…"]]


@pytest.mark.parametrize("label", ["EN", "English", "en-US", "eng"])
def test_languages_of_a_trial_and_of_a_step_may_be_spelled_in_any_way(label):
    texts = ["It rained in Paris, and nobody minded.", "Nobody at all."]
    steps = ["normalise", {"language": {"keep": [label]}}, {"filter": {"rules": ["basic"]}}]
    assert not any(trial(steps, texts, label).reasons[:1])
    assert trial(steps[:2], texts, label)["language"] == ["en", "en"]
    assert not any(trial(["language"], texts, label).reasons)
    assert all(trial([{"language": {"keep": ["ZH"]}}], texts, label).reasons)
    with pytest.raises(RecipeError, match="keep='Klingonese' names no language: use codes"):
        trial([{"language": {"keep": ["Klingonese"]}}], texts)


HOSTILE_TOKENS = [
    "e\u0301" * 40,
    "\u200b\ufeff",
    "\u202eabc",
    "\ud800 half",
    "👨‍👩‍👧" * 5,
    "好" * 3000,
    "",
    " ",
    "x" * 5000,
    "[SEP] [PAD]",
    "北京2008",
]


def documents(batch):
    return [dict(zip(batch.columns, row)) for row in zip(*batch.columns.values())]


def packed(texts, capacity):
    batch = Batch({"id": [f"x#{i}" for i in range(len(texts))], "text": list(texts)})
    RECIPE_STEPS["tokenize"].function(batch, "minilm")
    return documents(RECIPE_STEPS["pack"].function(batch, capacity))


def test_a_trial_keeps_the_order_and_gives_reasons():
    texts = [
        "Ａ fine text that is written in English, １２３.",
        "НЕТ, это по-русски, не по-английски.",
        "Mail me at ann@example.org, and I will answer.",
    ]
    tried = trial(["normalise", {"language": {"keep": ["en"]}}, "mask"], texts)
    assert tried["id"] == ["trial#0", "trial#1", "trial#2"]
    assert tried["text"] == [
        "A fine text that is written in English, 123.",
        texts[1],
        "Mail me at [EMAIL], and I will answer.",
    ]
    assert [bool(reasons) for reasons in tried.reasons] == [False, True, False] and tried[
        "confidence"
    ][1] is not None
    russian = "НЕТ, это по-русски, не по-английски: ann@example.org."
    assert trial([{"language": {"keep": ["en"]}}, "mask"], [russian])["text"] == [
        russian
    ]  # what was removed is left as it was
    assert len(trial(["normalise"], [])) == 0
    with pytest.raises(RecipeError, match="step 'normalize' is unknown. Did you mean normalise"):
        trial(["normalize"], texts)


def test_a_trial_says_what_a_run_says(tmp_path):
    texts = load("chinese-reviews", quiet=True)["text"][:400]
    steps = [
        "normalise",
        {"filter": {"rules": ["basic", "gopher_quality", "gopher_repetition"]}},
        "mask",
    ]
    (tmp_path / "x.txt").write_text(
        "\n".join(t.replace("\n", " ") for t in texts), encoding="utf-8"
    )
    corpus = process(
        {"sources": [{"files": str(tmp_path / "x.txt"), "language": "zh"}], "steps": steps},
        tmp_path / "out",
        workers=1,
    )
    tried = trial(steps, [t for t in texts if t.strip()], "zh")
    assert [t for t, reasons in zip(tried["text"], tried.reasons) if not reasons] == [
        row["text"] for row in corpus.rows()
    ]
    assert sorted(map(str, filter(None, tried.reasons))) == sorted(
        str(row["reasons"]) for row in corpus.removed()
    )


@given(
    st.lists(
        st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE_TOKENS)), min_size=1, max_size=12
    ),
    st.integers(1, 40),
)
@settings(deadline=None, max_examples=40)
def test_rows_hold_every_token_once(texts, capacity):
    found = packed(texts, capacity)
    rows = list(packed_rows(found, capacity))
    assert sorted(d["id"] for d in found) == sorted(f"x#{i}" for i in range(len(texts)))
    assert sorted(t for row in rows for t in row["input_ids"]) == sorted(
        t for d in found for t in d["input_ids"]
    )
    assert all(
        sum(row["lengths"]) == len(row["input_ids"]) <= capacity and min(row["lengths"]) > 0
        for row in rows
    )
    pieces = [
        tuple(row["input_ids"][sum(row["lengths"][:i]) :][:n])
        for row in rows
        for i, n in enumerate(row["lengths"])
    ]
    wanted = [
        tuple(d["input_ids"][a : a + capacity])
        for d in found
        for a in range(0, len(d["input_ids"]), capacity)
    ]
    assert sorted(pieces) == sorted(wanted)
    assert len(rows) == len({number for d in found for number in d["rows"]})


def test_packed_corpus_is_the_same_for_any_number_of_workers(tmp_path):
    recipe = {"sources": [{"name": "bbc-news", "limit": 200}, {"name": "chinese-reviews", "limit": 300}], "output": {"unit_mb": 0.1, "shard_mb": 0.2},
              "steps": ["normalise", "exact_dedup", {"tokenize": {"tokenizer": "minilm"}}, {"pack": {"capacity": 64}}]}  # fmt: skip
    one, two = (process(recipe, tmp_path / str(n), workers=n, progress=False) for n in (1, 2))
    assert [s["sha256"] for s in one.manifest["shards"]] == [
        s["sha256"] for s in two.manifest["shards"]
    ] and len(one.manifest["shards"]) > 1
    found = list(one.rows())
    rows = list(packed_rows(found, 64))
    tokens = sum(len(row["input_ids"]) for row in found)
    assert sum(len(row["input_ids"]) for row in rows) == tokens > 0.95 * 64 * len(rows)
    assert len(rows) == len({number for row in found for number in row["rows"]})


def test_errors_of_tokens_and_rows_name_the_way_out():
    with pytest.raises(PipelineError, match="put the step `tokenize` before it"):
        trial(["pack"], ["a text"])
    for step, message in (({"tokenize": {"tokenizer": "minilmm"}}, "tokenizer='minilmm' cannot be loaded.*Did you mean minilm"),
                          ({"pack": {"capacity": 0}}, "capacity=0 does not fit: it must be at least 1"),
                          ("tokenize", "'tokenizer' is missing, it has no default"),
                          ({"decontaminate": {"against": ["bbc-news"], "share": 1.5}}, "share=1.5 does not fit: it must be at most 1")):  # fmt: skip
        with pytest.raises(RecipeError, match=message):
            Recipe.read({"sources": ["bbc-news"], "steps": [step]})


def test_no_step_but_pack_depends_on_its_neighbours():
    texts = [
        *load("bbc-news", quiet=True)["text"][:15],
        *load("chinese-reviews", quiet=True)["text"][:15],
        *HOSTILE_TOKENS,
    ]
    order = random.Random(0).sample(range(len(texts)), len(texts))
    for step in ("html", "normalise", "mask", "language", {"tokenize": {"tokenizer": "minilm"}}):
        together = trial([step], [texts[i] for i in order])
        alone = [trial([step], [texts[i]]) for i in order]
        for column in set(together.columns) - {"id"}:
            assert together[column] == [one[column][0] for one in alone], (step, column)
        assert together.reasons == [one.reasons[0] for one in alone]


def test_the_step_html_leaves_text_alone_and_keeps_what_it_removes(tmp_path):
    lines = ["I <3 you", "if x < 5 and y > 3", "<三国演义> 很好", "<div class='ad > x'></div>"]
    path = tmp_path / "a.txt"
    path.write_text("\n".join(lines))
    corpus = process({"sources": [str(path)], "steps": ["html"]}, tmp_path / "out", workers=1)
    assert [row["text"] for row in corpus.rows()] == lines[:3]
    assert [row["text"] for row in corpus.removed()] == lines[3:]
