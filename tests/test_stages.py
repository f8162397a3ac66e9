"Steps that fail, comparisons in any order and in many buckets."

import random

import pytest
from pipelines import everything, recipe_for, texts, write

from llm_practice.data.pipeline import process
from llm_practice.engine import stages
from llm_practice.engine.recipe import PipelineError

pytestmark = pytest.mark.usefixtures("quick_disk")


def test_every_document_comes_out_once(tmp_path, made):
    corpus = process(recipe_for(made), tmp_path / "out", workers=1)
    kept, removed = list(corpus.rows()), list(corpus.removed())
    assert len(kept) + len(removed) == 700 and len({row["id"] for row in kept + removed}) == 700
    counts = {s["step"]: s["removed"] for s in corpus.manifest["steps"]}
    assert counts["test_long"] == sum(r["step"] == "test_long" for r in removed) > 0
    assert counts["test_same"] == sum(r["step"] == "test_same" for r in removed) > 0
    assert (
        len(kept)
        == len(corpus)
        == corpus.manifest["documents"]
        == sum(s["rows"] for s in corpus.manifest["shards"])
    )
    assert len(corpus.manifest["shards"]) > 1 and corpus.verify() > 2
    starts = [row["text"][:5] for row in kept]
    assert len(set(starts)) == len(starts)
    best = {}
    for text in (
        row["text"]
        for row in kept + removed
        if row["step" if "step" in row else "text"] != "test_long"
    ):
        best[text.upper()[:5]] = max(best.get(text.upper()[:5], 0), len(text))
    assert all(len(row["text"]) == best[row["text"][:5]] for row in kept)
    winner = {row["id"] for row in kept}
    assert all(
        row["reasons"][0].removeprefix("test_same: of ") in winner
        for row in removed
        if row["step"] == "test_same"
    )


def test_what_is_kept_does_not_depend_on_the_order(tmp_path):
    rows = [{"text": t} for t in texts(400, 3)]
    kept = set()
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        write(tmp_path / f"{seed}.jsonl", rows)
        corpus = process(
            recipe_for(tmp_path / f"{seed}.jsonl", ["exact_dedup", "near_dedup", "test_same"]),
            tmp_path / f"out{seed}",
            workers=1,
        )
        kept.add(tuple(sorted(row["text"] for row in corpus.rows())))
    assert len(kept) == 1 and 0 < len(kept.pop()) < 400


@pytest.mark.parametrize("workers", [1, 2])
def test_many_buckets_find_what_one_finds(tmp_path, made, monkeypatch, workers):
    recipe = recipe_for(made, ["exact_dedup", "near_dedup", "test_same"])
    process(recipe, tmp_path / "one", workers=1)
    monkeypatch.setattr(stages, "KEYS_IN_BUCKET", 40)
    process(recipe, tmp_path / "many", workers=workers)
    assert everything(tmp_path / "one") == everything(tmp_path / "many")


def test_a_step_that_fails_costs_one_document(tmp_path):
    rows = [{"text": f"text {i}" + (" bad" if i % 50 == 7 else "")} for i in range(200)]
    corpus = process(
        {"sources": [str(write(tmp_path / "x.jsonl", rows))], "steps": ["test_fragile"]},
        tmp_path / "out",
        workers=1,
    )
    assert len(corpus) == 196 and all(
        row["text"].endswith("!") and not row["text"].endswith("!!") for row in corpus.rows()
    )
    assert {row["reasons"][0] for row in corpus.removed()} == {
        "failed: ValueError: cannot bear bad"
    }


def test_a_step_that_always_fails_stops_the_run(tmp_path):
    rows = [{"text": f"bad {i}"} for i in range(200)]
    with pytest.raises(
        PipelineError, match="test_fragile failed on 200 of 200 documents.*cannot bear bad"
    ):
        process(
            {"sources": [str(write(tmp_path / "x.jsonl", rows))], "steps": ["test_fragile"]},
            tmp_path / "out",
            workers=1,
        )


def test_an_empty_source_makes_an_empty_corpus(tmp_path):
    (tmp_path / "x.txt").write_text("")
    corpus = process(recipe_for(tmp_path / "x.txt"), tmp_path / "out", workers=1)
    assert len(corpus) == 0 and list(corpus.rows()) == [] and "0 documents" in corpus.card
