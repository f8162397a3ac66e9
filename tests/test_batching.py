"Splits keep copies together, batches lose nothing and are the same when asked for again."

from collections import Counter

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.data.batching import Batches, encode, pad, sample, split
from llm_practice.data.cleaning import dedup_key
from llm_practice.data.sources import find_model

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=120)
few = settings(max_examples=40, deadline=None)


def dataset(rows):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b", "c"])})
    return Dataset.from_dict({"text": [t for t, _ in rows], "label": [l for _, l in rows]}, features=features)


@few
@given(st.lists(st.tuples(st.sampled_from([f"text {i}" for i in range(30)] + ["同一句话", "同一句话 "]), st.integers(0, 2)), min_size=20, max_size=120), st.randoms())
def test_split_keeps_copies_together_and_rows_complete(rows, shuffler):
    parts = split(dataset(rows), test=0.2, validation=0.2)
    keys = [{dedup_key(t) for t in part["text"]} for part in parts.values()]
    assert all(not a & b for i, a in enumerate(keys) for b in keys[i + 1 :])
    assert Counter(t for part in parts.values() for t in part["text"]) == Counter(t for t, _ in rows)


def test_split_is_stratified_and_does_not_depend_on_the_order_of_rows():
    rows = [(f"row {i}", i % 3 if i % 10 else 2) for i in range(900)]
    parts, again = split(dataset(rows)), split(dataset(rows[::-1]))
    for name, part in parts.items():
        assert sorted(part["text"]) == sorted(again[name]["text"])
    whole, test = Counter(l for _, l in rows), Counter(parts["test"]["label"])
    assert all(abs(test[label] - 0.1 * count) <= 1 for label, count in whole.items())
    assert sorted(split(dataset(rows), seed=1)["test"]["text"]) != sorted(parts["test"]["text"])


@few
@given(LENGTHS, st.integers(1, 9), st.booleans(), st.sampled_from([0, 1, 50]))
def test_an_epoch_has_every_row_once(lengths, size, shuffle, window):
    batches = Batches([{"input_ids": [1] * n} for n in lengths], size, shuffle=shuffle, window=window)
    for epoch in (0, 3):
        plan = batches.plan(epoch)
        assert sorted(row for batch in plan for row in batch) == list(range(len(lengths)))
        assert len(plan) == len(batches) and all(len(batch) <= size for batch in plan)
    assert sum(int(batch["attention_mask"].sum()) for batch in batches) == sum(lengths)


def test_the_same_numbers_give_the_same_batch_in_any_order():
    rows = [{"input_ids": list(range(1, 2 + i % 17)), "labels": i} for i in range(200)]
    noisy = lambda rows, generator: {"x": torch.rand(3, generator=generator), **pad(rows)}  # noqa: E731
    one, other = (Batches(rows, 16, collate=noisy, random_collate=True, seed=4) for _ in range(2))
    forward = {(e, i): one.batch(e, i) for e in (0, 1) for i in range(len(one))}
    for (e, i), batch in reversed(forward.items()):
        assert all(torch.equal(batch[name], tensor) for name, tensor in other.batch(e, i).items())
    assert not torch.equal(forward[0, 0]["x"], forward[1, 0]["x"])


def test_like_lengths_together_wastes_less():
    generator = torch.Generator().manual_seed(0)
    rows = [{"input_ids": [1] * n} for n in torch.randint(1, 200, (2000,), generator=generator).tolist()]
    cells = {window: sum(b["input_ids"].numel() for b in Batches(rows, 16, window=window)) for window in (0, 50)}
    assert cells[50] < 0.65 * cells[0]


@few
@given(LENGTHS)
def test_padding_is_exact(lengths):
    rows = [{"input_ids": [7] * n, "labels": [2] * n} for n in lengths]
    batch = pad(rows, pad_id=9)
    assert batch["input_ids"].shape == (len(lengths), max(lengths))
    assert (batch["attention_mask"].sum(1) == torch.tensor(lengths)).all()
    assert ((batch["input_ids"] == 9) == (batch["attention_mask"] == 0)).all()
    assert ((batch["labels"] == -100) == (batch["attention_mask"] == 0)).all()


def test_sample_is_stratified_and_repeatable():
    data = dataset([(f"row {i}", 0 if i % 4 else 1) for i in range(400)])
    drawn = sample(data, 40, seed=1)
    assert Counter(drawn["label"]) == {0: 30, 1: 10}
    assert drawn["text"] == sample(data, 40, seed=1)["text"] != sample(data, 40, seed=2)["text"]
    assert len(set(drawn["text"])) == 40


def test_encode_cuts_and_does_not_pad():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(find_model("minilm"))
    rows = encode(tokenizer, ["a", "a b c d e f g h"], [0, 1], max_length=6)
    assert [len(row["input_ids"]) for row in rows] == [3, 6] and rows[1]["labels"] == 1


@pytest.mark.parametrize("call, message", [
    (lambda: split(dataset([("a", 0)]), test=0.6, validation=0.5), "test=0.6, validation=0.5 leave no training rows"),
    (lambda: split(dataset([("a", 0)]), label="topic"), "column 'topic' is not in the data set: it has text, label"),
    (lambda: sample(dataset([("a", 0)]), 5), "size=5 rows cannot be drawn from 1"),
    (lambda: Batches([], 4), "no rows to make batches of"),
    (lambda: Batches([{"input_ids": [1]}], 0), "batch_size=0"),
])  # fmt: skip
def test_errors_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
