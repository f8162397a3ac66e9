"Splits keep copies together, batches lose nothing and are the same when asked for again, packed texts cannot see each other."

import functools
import hashlib
from collections import Counter

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data.batching import (
    Batches,
    encode,
    only_used_rows,
    pack,
    pack_batch,
    pack_lengths,
    pad,
    pad_packed,
    sample,
    segment_mean,
    split,
    unpad,
    use_groups,
)
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
    noisy = lambda rows, generator: {"x": torch.rand(3, generator=generator), **pad(rows)}
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
    assert encode(tokenizer, []) == encode(tokenizer, [], []) == []


def test_sample_and_split_draw_the_rows_that_they_always_drew():
    data = dataset([(f"row {i * i % 97} 号", (i * i % 7) % 3) for i in range(300)])
    drawn = "|".join([*sample(data, 50, seed=3)["text"], *split(data, seed=5)["test"]["text"]])
    assert hashlib.sha256(drawn.encode()).hexdigest()[:16] == "a9fb1ebc8f6b90bb"


# --- packing ---------------------------------------------------------------------------------------------------------


def best_fit_decreasing(lengths, capacity):
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        rooms.remove(min(fitting)) if fitting else None
        rooms.append((min(fitting) if fitting else capacity) - length)
    return sorted(rooms)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=80))), st.none() | st.integers(0, 9))
@example((10, [10, 10, 5, 5, 5, 1]), None)
def test_counts_pack_as_the_slow_rule_does(case, seed):
    capacity, lengths = case
    rows = pack_lengths(lengths, capacity, seed)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert sorted(capacity - sum(lengths[i] for i in row) for row in rows) == best_fit_decreasing(lengths, capacity)
    assert rows == pack_lengths(lengths, capacity, seed)


def test_a_million_texts_pack_full_and_another_seed_puts_others_together():
    lengths = np.clip(np.random.default_rng(0).lognormal(4, 1, 10**6).astype(int), 1, 512)
    rows = pack_lengths(lengths, 512, seed=0)
    assert lengths.sum() / (512 * len(rows)) > 0.999
    assert max(int(lengths[row].sum()) for row in rows[:1000]) <= 512
    assert np.bincount(np.concatenate([np.asarray(row) for row in rows])).tolist() == [1] * len(lengths)
    assert rows[0] != pack_lengths(lengths, 512, seed=1)[0]


@few
@given(LENGTHS, st.sampled_from([40, 41, 64, 200]), st.none() | st.integers(0, 3), st.booleans())
def test_a_packed_batch_has_every_token_once_at_its_place(lengths, capacity, seed, of_tokens):
    rows = [{"input_ids": [1000 * i + t + 1 for t in range(n)], "labels": [i] * n if of_tokens else i} for i, n in enumerate(lengths)]
    packed = pack(rows, capacity, seed)
    batch = pad_packed(packed, pad_id=0)
    real = batch["segment_ids"] > 0
    assert sorted(batch["input_ids"][real].tolist()) == sorted(i for row in rows for i in row["input_ids"])
    assert (batch["input_ids"][real] % 1000 - 1 == batch["position_ids"][real]).all() and not batch["input_ids"][~real].any()
    order = [number for row in packed for number in row["rows"]]
    text_of = torch.tensor([-1, *order])[batch["segment_ids"]]
    assert (text_of[real] == batch["input_ids"][real] // 1000).all()
    if of_tokens:
        assert (batch["labels"][real] == text_of[real]).all() and (batch["labels"][~real] == -100).all()
    else:
        assert batch["labels"].tolist() == order
    sees = batch["attention_mask"][:, 0] == 0
    assert (sees == (text_of[:, :, None] == text_of[:, None, :])).all() and sees.any(-1).all()


@few
@given(LENGTHS)
def test_layouts_of_one_batch_hold_the_same(lengths):
    rows = [{"input_ids": [i + 1] * n, "labels": i} for i, n in enumerate(lengths)]
    for batch in (pack_batch(rows), unpad(rows)):
        segments, ids = batch["segment_ids"], batch["input_ids"]
        found = {int(ids[segments == s][0]): int((segments == s).sum()) for s in range(1, len(rows) + 1)}
        assert found == {i + 1: n for i, n in enumerate(lengths)}
        assert [int(ids[segments == s][0]) - 1 for s in range(1, len(rows) + 1)] == batch["labels"].tolist()
    assert pack_batch(rows)["input_ids"].numel() <= len(lengths) * max(lengths)
    assert unpad(rows)["input_ids"].shape == (1, sum(lengths)) and (unpad(rows)["groups"].prod(1)).sum() == sum(lengths)


def test_packed_rows_are_rows_for_batches():
    rows = [{"input_ids": [1] * (1 + i % 30), "labels": i} for i in range(300)]
    batches = Batches(pack(rows, 32), 4, collate=pad_packed)
    labels = [label for batch in batches for label in batch["labels"].tolist()]
    assert sorted(labels) == list(range(300))


# --- texts that cannot see each other --------------------------------------------------------------------------------


@functools.cache
def minilm():
    from transformers import AutoModel, AutoTokenizer

    folder = find_model("minilm")
    with torch.inference_mode(False):
        model = AutoModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval()
    return AutoTokenizer.from_pretrained(folder), model


HOSTILE = ["é" * 3 + "e\u0301\u0301", "zero\u200bwidth\u200d\u200c", "\u202eright to left\u202c שלום", "\ud800 alone \udfff", "\ud83d\ude00",
           "👩‍👩‍👧‍👦🇨🇳", "长" * 300, "w" * 5000, "", " ", "房间很干净，服务也好。", "It rained.", "\x00\ufeff\ufffd", "[SEP] [CLS] [PAD] [MASK]"]  # fmt: skip
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=30) | st.text(alphabet="的一是不了人我在有 \u0301\u200b\ud800", max_size=40), min_size=1, max_size=9)


def alone(rows):
    _, model = minilm()
    return [model(torch.tensor([row["input_ids"]])).last_hidden_state[0] for row in rows]


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.integers(0, 5))
@example(HOSTILE, 0)
@torch.inference_mode()
def test_any_texts_packed_or_unpadded_are_as_if_alone(texts, seed):
    tokenizer, model = minilm()
    rows = encode(tokenizer, texts, list(range(len(texts))), max_length=48)
    expected = alone(rows)
    packed = pack(rows, 64, seed)
    batch = pad_packed(packed)
    for attention, mask in (("eager", batch["attention_mask"]), ("sdpa", batch["attention_mask"]), ("sdpa", batch["attention_mask"] == 0)):
        model.set_attn_implementation(attention)
        found = model(batch["input_ids"], attention_mask=mask, position_ids=batch["position_ids"]).last_hidden_state
        for segment, number in enumerate((n for row in packed for n in row["rows"]), 1):
            torch.testing.assert_close(found[batch["segment_ids"] == segment], expected[number], atol=2e-5, rtol=1e-4)
    pooled = segment_mean(found, batch["segment_ids"])
    torch.testing.assert_close(pooled, torch.stack([expected[n].mean(0) for n in batch["labels"].tolist()]), atol=2e-5, rtol=1e-4)
    long = unpad(rows)
    use_groups(model)
    found = model(long["input_ids"], position_ids=long["position_ids"], groups=long["groups"]).last_hidden_state
    model.set_attn_implementation("eager")
    for segment, number in enumerate(long["labels"].tolist(), 1):
        torch.testing.assert_close(found[long["segment_ids"] == segment], expected[number], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", [pad, pack_batch, unpad])
def test_gradients_do_not_depend_on_the_layout(layout):
    tokenizer, model = minilm()
    rows = encode(tokenizer, ["It rained.", "房间很干净", "Nothing had been decided by the minister."], max_length=32)
    weight = model.encoder.layer[0].attention.self.query.weight

    def gradient(batch):
        model.zero_grad()
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids", "groups") if name in batch}
        segments = batch.get("segment_ids")
        if segments is None:
            segments = batch["attention_mask"] * torch.arange(1, len(batch["input_ids"]) + 1)[:, None]
        segment_mean(model(**inputs).last_hidden_state, segments).square().sum().backward()
        return weight.grad.clone()

    expected = sum(gradient(pad([row])) for row in rows)
    if layout is unpad:
        use_groups(model)
    found = gradient(layout(rows))
    model.set_attn_implementation("eager")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


def test_groups_that_do_not_add_up_are_refused():
    _, model = minilm()
    use_groups(model)
    try:
        with pytest.raises(ValueError, match=r"groups=\[\[1, 3\]\] do not add up to 4 tokens"):
            model(torch.tensor([[1, 2, 3, 4]]), groups=torch.tensor([[1, 3]]))
    finally:
        model.set_attn_implementation("eager")


# --- rows of the embedding -------------------------------------------------------------------------------------------


def small_bert(seed=0):
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    shape = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 20}
    return BertModel(BertConfig(**shape, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), add_pooling_layer=False)


def steps(model, rows, count=12):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    for number in range(count):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (1 + number % 3)
        batch = pad(rows[number % 4 :: 4])
        (model(**batch).last_hidden_state[..., 0] * batch["attention_mask"]).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def test_used_rows_end_as_the_whole_table_does():
    rows = [{"input_ids": [1 + (i * j) % 23 for j in range(1, 2 + i % 9)]} for i in range(24)]
    whole, some = small_bert(), small_bert()
    before = some.get_input_embeddings().weight.detach().clone()
    steps(whole, rows)
    with only_used_rows(some, rows):
        assert some.get_input_embeddings().weight.shape[0] <= 25
        steps(some, rows)
    assert list(some.state_dict()) == list(whole.state_dict())
    for (name, a), b in zip(whole.named_parameters(), some.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=name)
    assert not torch.allclose(before[40:], some.get_input_embeddings().weight[40:])


def test_used_rows_come_back_after_an_error_and_an_unknown_token_is_named():
    model = small_bert()
    before, table = model.get_input_embeddings().weight.detach().clone(), model.get_input_embeddings()
    with pytest.raises(IndexError, match="token 7 is not in the rows"), only_used_rows(model, [{"input_ids": [3, 5]}]):
        model(torch.tensor([[3, 7]]))
    assert model.get_input_embeddings() is table and torch.equal(table.weight, before)


def test_a_shared_output_layer_is_refused():
    from transformers import BertConfig, BertForMaskedLM

    model = BertForMaskedLM(BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8))
    with pytest.raises(ValueError, match="BertForMaskedLM uses its embedding as output layer"), only_used_rows(model, []):
        pass


@pytest.mark.parametrize("call, message", [
    (lambda: pack_lengths([3, 12], 10), "text 1 has 12 tokens, a row holds 1 to capacity=10"),
    (lambda: pack_lengths([3, 0], 10), "text 1 has 0 tokens"),
    (lambda: split(dataset([("a", 0)]), test=0.6, validation=0.5), "test=0.6, validation=0.5 leave no training rows"),
    (lambda: split(dataset([("a", 0)]), label="topic"), "column 'topic' is not in the data set: it has text, label"),
    (lambda: sample(dataset([("a", 0)]), 5), "size=5 rows cannot be drawn from 1"),
    (lambda: Batches([], 4), "no rows to make batches of"),
    (lambda: Batches([{"input_ids": [1]}], 0), "batch_size=0"),
])  # fmt: skip
def test_errors_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_another_seed_puts_other_texts_of_one_length_together():
    together = [{frozenset(row) for row in pack_lengths([3] * 40, 6, seed)} for seed in (0, 0, 1)]
    assert together[0] == together[1] != together[2]
