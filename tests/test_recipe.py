"Recipes tried on a few texts, and documents cut into rows of tokens."

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.data.pipeline import process
from llm_practice.data.recipe import (
    STEPS,
    Batch,
    PipelineError,
    Recipe,
    RecipeError,
    describe_steps,
    pack,
    packed_rows,
    tokenize,
    trial,
)
from llm_practice.data.sources import load

HOSTILE = ["e\u0301" * 40, "\u200b\ufeff", "\u202eabc", "\ud800 half", "👨‍👩‍👧" * 5, "好" * 3000, "", " ", "x" * 5000, "[SEP] [PAD]", "北京2008"]


def documents(batch):
    return [dict(zip(batch.columns, row)) for row in zip(*batch.columns.values())]


def packed(texts, capacity):
    batch = Batch({"id": [f"x#{i}" for i in range(len(texts))], "text": list(texts)})
    tokenize(batch, "minilm")
    return documents(pack(batch, capacity))


def test_a_trial_keeps_the_order_and_gives_reasons():
    texts = ["Ａ fine text that is written in English, １２３.", "НЕТ, это по-русски, не по-английски.", "Mail me at ann@example.org, and I will answer."]
    tried = trial(["normalise", {"language": {"keep": ["en"]}}, "mask"], texts)
    assert tried["id"] == ["trial#0", "trial#1", "trial#2"]
    assert tried["text"] == ["A fine text that is written in English, 123.", texts[1], "Mail me at [EMAIL], and I will answer."]
    assert [bool(reasons) for reasons in tried.reasons] == [False, True, False] and tried["confidence"][1] is not None
    russian = "НЕТ, это по-русски, не по-английски: ann@example.org."
    assert trial([{"language": {"keep": ["en"]}}, "mask"], [russian])["text"] == [russian]  # what was removed is left as it was
    assert len(trial(["normalise"], [])) == 0
    with pytest.raises(RecipeError, match="step 'normalize' is unknown. Did you mean normalise"):
        trial(["normalize"], texts)


def test_a_trial_says_what_a_run_says(tmp_path):
    texts = load("chinese-reviews", quiet=True)["text"][:400]
    steps = ["normalise", {"filter": {"rules": ["basic", "gopher_quality", "gopher_repetition"]}}, "mask"]
    (tmp_path / "x.txt").write_text("\n".join(t.replace("\n", " ") for t in texts), encoding="utf-8")
    corpus = process({"sources": [{"files": str(tmp_path / "x.txt"), "language": "zh"}], "steps": steps}, tmp_path / "out", workers=1)
    tried = trial(steps, [t for t in texts if t.strip()], "zh")
    assert [t for t, reasons in zip(tried["text"], tried.reasons) if not reasons] == [row["text"] for row in corpus.rows()]
    assert sorted(map(str, filter(None, tried.reasons))) == sorted(str(row["reasons"]) for row in corpus.removed())


def test_every_step_is_described():
    text = describe_steps()
    for name, step in STEPS.items():
        assert f"\n{name}" in f"\n{text}" and all(f"      {option}: " in text for option in step.options)


@given(st.lists(st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE)), min_size=1, max_size=12), st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_rows_hold_every_token_once(texts, capacity):
    found = packed(texts, capacity)
    rows = list(packed_rows(found, capacity))
    assert sorted(d["id"] for d in found) == sorted(f"x#{i}" for i in range(len(texts)))
    assert sorted(t for row in rows for t in row["input_ids"]) == sorted(t for d in found for t in d["input_ids"])
    assert all(sum(row["lengths"]) == len(row["input_ids"]) <= capacity and min(row["lengths"]) > 0 for row in rows)
    pieces = [tuple(row["input_ids"][sum(row["lengths"][:i]) :][:n]) for row in rows for i, n in enumerate(row["lengths"])]
    wanted = [tuple(d["input_ids"][a : a + capacity]) for d in found for a in range(0, len(d["input_ids"]), capacity)]
    assert sorted(pieces) == sorted(wanted)
    assert len(rows) == len({number for d in found for number in d["rows"]})


def test_packed_corpus_is_the_same_for_any_number_of_workers(tmp_path):
    recipe = {"sources": [{"name": "bbc-news", "limit": 200}, {"name": "chinese-reviews", "limit": 300}], "output": {"unit_mb": 0.1, "shard_mb": 0.2},
              "steps": ["normalise", "exact_dedup", {"tokenize": {"tokenizer": "minilm"}}, {"pack": {"capacity": 64}}]}  # fmt: skip
    one, two = (process(recipe, tmp_path / str(n), workers=n, progress=False) for n in (1, 2))
    assert [s["sha256"] for s in one.manifest["shards"]] == [s["sha256"] for s in two.manifest["shards"]] and len(one.manifest["shards"]) > 1
    found = list(one.rows())
    rows = list(packed_rows(found, 64))
    tokens = sum(len(row["input_ids"]) for row in found)
    assert sum(len(row["input_ids"]) for row in rows) == tokens > 0.95 * 64 * len(rows)
    assert len(rows) == len({number for row in found for number in row["rows"]})


def test_errors_of_tokens_and_rows_name_the_way_out():
    with pytest.raises(PipelineError, match="put the step `tokenize` before it"):
        trial(["pack"], ["a text"])
    for step, message in (({"tokenize": {"tokenizer": "minilmm"}}, "tokenizer='minilmm' cannot be loaded.*Did you mean minilm"),
                          ({"pack": {"capacity": 0}}, "capacity=0 does not fit: a row holds at least 1 token"),
                          ("tokenize", "'tokenizer' is missing, it has no default")):  # fmt: skip
        with pytest.raises(RecipeError, match=message):
            Recipe.read({"sources": ["bbc-news"], "steps": [step]})


def test_no_step_but_pack_depends_on_its_neighbours():
    texts = [*load("bbc-news", quiet=True)["text"][:15], *load("chinese-reviews", quiet=True)["text"][:15], *HOSTILE]
    order = random.Random(0).sample(range(len(texts)), len(texts))
    for step in ("html", "normalise", "mask", "language", {"tokenize": {"tokenizer": "minilm"}}):
        together = trial([step], [texts[i] for i in order])
        alone = [trial([step], [texts[i]]) for i in order]
        for column in set(together.columns) - {"id"}:
            assert together[column] == [one[column][0] for one in alone], (step, column)
        assert together.reasons == [one.reasons[0] for one in alone]
