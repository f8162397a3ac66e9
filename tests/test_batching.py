"Splits keep copies together, batches lose nothing and are the same when asked for again, packed texts cannot see each other."

import functools
import hashlib
import itertools
import json
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, Value
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data.batching import (
    STOPPING,
    Batches,
    encode,
    mix_sources,
    pack,
    pack_batch,
    pad,
    pad_packed,
    sample,
    segment_mean,
    shares,
    split,
)
from llm_practice.data.sources import find_model
from llm_practice.engine.documents import DOCUMENT, document
from llm_practice.engine.text import exact_key

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=120)
few = settings(max_examples=40, deadline=None)


def dataset(rows):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b", "c"])})
    return Dataset.from_dict(
        {"text": [t for t, _ in rows], "label": [l for _, l in rows]}, features=features
    )


@few
@given(
    st.lists(
        st.tuples(
            st.sampled_from([f"text {i}" for i in range(30)] + ["同一句话", "同一句话 "]),
            st.integers(0, 2),
        ),
        min_size=20,
        max_size=120,
    ),
    st.randoms(),
)
def test_split_keeps_copies_together_and_rows_complete(rows, shuffler):
    parts = split(dataset(rows), test=0.2, validation=0.2)
    keys = [{exact_key(t) for t in part["text"]} for part in parts.values()]
    assert all(not a & b for i, a in enumerate(keys) for b in keys[i + 1 :])
    assert Counter(t for part in parts.values() for t in part["text"]) == Counter(
        t for t, _ in rows
    )


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
    batches = Batches(
        [{"input_ids": [1] * n} for n in lengths], size, shuffle=shuffle, window=window
    )
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
    rows = [
        {"input_ids": [1] * n} for n in torch.randint(1, 200, (2000,), generator=generator).tolist()
    ]
    cells = {
        window: sum(b["input_ids"].numel() for b in Batches(rows, 16, window=window))
        for window in (0, 50)
    }
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
    digest = lambda texts: hashlib.sha256("|".join(texts).encode()).hexdigest()[:16]
    assert digest(sample(data, 50, seed=3)["text"]) == "a225f4879518214e"
    assert digest(split(data, seed=5)["test"]["text"]) == "92922c1d11179a9f"


# --- small classes, many copies ---------------------------------------------------------------------------------------


def numbered_rows(labels):
    return Dataset.from_dict({"text": [f"row {i}" for i in range(len(labels))], "label": labels})


def test_many_small_classes_give_the_sizes_asked_for():
    for classes, size in ((77, 5), (100, 2), (40, 9)):
        parts = split(numbered_rows([i % classes for i in range(classes * size)]))
        count = classes * size
        assert abs(parts["test"].num_rows - 0.1 * count) <= 1
        assert abs(parts["validation"].num_rows - 0.1 * count) <= 1
        learned = Counter(parts["train"]["label"])
        assert len(learned) == classes and min(learned.values()) >= math.floor(0.8 * size)


def test_a_class_of_one_row_is_learned_and_said():
    labels = ["often"] * 60 + ["also"] * 60 + ["once"]
    with pytest.warns(UserWarning, match="1 of the classes have one text only .'once'."):
        parts = split(numbered_rows(labels))
    assert Counter(parts["train"]["label"])["once"] == 1
    assert 10 <= parts["test"].num_rows <= 14


def test_scores_are_no_classes():
    with pytest.warns(UserWarning, match="each of the 60 classes .*label=None"):
        parts = split(numbered_rows([i / 7 for i in range(60)]), seed=3)
    assert parts.num_rows == {"train": 48, "validation": 6, "test": 6}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("copies", [2, 15, 40])
def test_a_text_with_many_copies_does_not_burst_a_part(seed, copies):
    texts = ["again and again"] * copies + [f"once {i}" for i in range(100 - copies)]
    parts = split(Dataset.from_dict({"text": texts, "label": [0] * 100}), 0.1, 0.1, seed=seed)
    assert abs(parts["test"].num_rows - 10) <= 2 and abs(parts["validation"].num_rows - 10) <= 2
    assert sum("again and again" in part["text"] for part in parts.values()) == 1


@few
@given(
    st.lists(
        st.tuples(st.sampled_from([f"text {i}" for i in range(60)]), st.integers(0, 6)),
        min_size=2,
        max_size=90,
    ),
    st.integers(0, 3),
)
@pytest.mark.filterwarnings("ignore")
def test_no_class_is_kept_from_training(rows, seed):
    texts, labels = zip(*dict(rows).items())
    parts = split(Dataset.from_dict({"text": texts, "label": labels}), 0.2, 0.1, seed=seed)
    counts = Counter(labels)
    if len(counts) < len(labels) or len(counts) == 1:
        assert set(parts["train"]["label"]) == set(labels)
    assert sum(parts.num_rows.values()) == len(texts)
    assert parts["test"].num_rows > 0 or max(counts.values()) == 1


@pytest.mark.parametrize(
    ("texts", "labels", "error", "message"),
    [
        (["a", "b", "c"], [0, None, 1], ValueError, "row 1 has None for a class"),
        (["a", "b", "c"], [[0], [1], [0]], ValueError, r"row 0 has \[0\] for a class"),
        (["a", None, "c"], [0, 0, 1], TypeError, "text 1 is None"),
    ],
)
def test_rows_that_cannot_be_split(texts, labels, error, message):
    with pytest.raises(error, match=message):
        split(Dataset.from_dict({"text": texts, "label": labels}))


# --- texts and labels that do not fit ---------------------------------------------------------------------------------


@functools.cache
def transformers_tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(find_model("minilm"))


@pytest.mark.parametrize(
    ("texts", "labels", "error", "message"),
    [
        ("a good film", None, TypeError, "one string"),
        (["a", None], None, TypeError, "text 1 is None"),
        (["a", float("nan")], None, TypeError, "text 1 is nan"),
        (["a", "b"], ["good", "bad"], ValueError, "row 0 has the label 'good': number the classes"),
        (["a", "b"], [0, None], ValueError, "row 1 has the label None"),
        (["a", "b"], [0.0, float("nan")], ValueError, "row 1 has the label nan"),
        (["a", "b"], [[0, 1], [0, "B"]], ValueError, "row 1 has the label 'B'"),
        (["a", "b", "c"], [0, 1], ValueError, "3 texts but 2 labels"),
        (["a"], [0, 1], ValueError, "1 texts but 2 labels"),
    ],
)
def test_texts_and_labels_that_cannot_be_encoded(texts, labels, error, message):
    with pytest.raises(error, match=message):
        encode(transformers_tokenizer(), texts, labels)


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_length_without_room_is_refused(length):
    with pytest.raises(ValueError, match=f"max_length={length} leaves no room beside 2"):
        encode(transformers_tokenizer(), ["a"], max_length=length)


def test_columns_of_tokens_are_kept():
    rows = [
        {"input_ids": [5, 6, 7], "token_type_ids": [0, 1, 1], "labels": 0},
        {"input_ids": [5], "token_type_ids": [1], "labels": 1, "text": "x"},
    ]
    with pytest.raises(ValueError, match="row 0 has 3 tokens but 1 token_type_ids"):
        pad([{**rows[0], "token_type_ids": [0]}, rows[1]])
    rows[0]["text"] = "abc"
    batch = pad(rows)
    assert batch["token_type_ids"].tolist() == [[0, 1, 1], [1, 0, 0]] and "text" not in batch
    packed = pad_packed(pack(rows, 5))
    assert packed["token_type_ids"].tolist()[0][:4] == [0, 1, 1, 1]
    own = pad([{"input_ids": [5, 6], "attention_mask": [1, 0]}, {"input_ids": [7]}], length=3)
    assert own["attention_mask"].tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows to make a batch of"),
        ([{"input_ids": [1], "labels": 0}, {"input_ids": [1]}], "row 1 has input_ids, row 0 has"),
        (
            [{"input_ids": [1], "labels": 0}, {"input_ids": [1], "labels": "x"}],
            "row 1 has the label",
        ),
        ([{"input_ids": [1], "labels": 0}, {"input_ids": [1], "labels": None}], "row 1 .* None"),
        ([{"input_ids": [1, 2], "labels": [0]}], "row 0 has 2 tokens but 1 labels"),
        ([{"input_ids": [1]}, {"input_ids": [1] * 9}], "row 1 has 9 tokens, the batch 4"),
    ],
)
def test_rows_that_make_no_batch(rows, message):
    with pytest.raises(ValueError, match=message):
        pad(rows, length=4)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, "good"], "row 1 has the label 'good'"),
        (["good", 0], "row 0 has the label 'good'"),
        ([0, None], "row 1 has the label None"),
        ([[0, 1], [1]], "3 labels for 4 tokens: give one for each token"),
    ],
)
def test_labels_that_cannot_be_packed(labels, message):
    rows = [{"input_ids": [5, 6], "labels": label} for label in labels]
    with pytest.raises(ValueError, match=message):
        pad_packed(pack(rows, 8))


# --- mixtures ----------------------------------------------------------------------------------------------------


def documents(source: str, language: str) -> IterableDataset:
    rows = [document(f"text {i}", f"{source}#{i}", source, language=language) for i in range(90)]
    return Dataset.from_list(rows, features=DOCUMENT).to_iterable_dataset()


def numbered(name: str, rows: int) -> Dataset:
    return Dataset.from_dict({"text": [f"{name}{i}" for i in range(rows)]})


SIZES = st.dictionaries(st.text(max_size=3), st.floats(1e-3, 1e12), min_size=1, max_size=6)


@given(SIZES, st.floats(0.01, 1e6) | st.just(math.inf))
@settings(deadline=None, max_examples=200)
def test_shares_add_up_and_keep_the_order(sizes, temperature):
    p = shares(sizes, temperature)
    assert abs(sum(p.values()) - 1) < 1e-9
    names = sorted(sizes, key=sizes.get)
    assert all(p[a] <= p[b] + 1e-12 for a, b in itertools.pairwise(names))


def test_shares_at_known_temperatures():
    sizes = {"a": 1, "b": 100}
    assert shares(sizes) == pytest.approx({"a": 1 / 101, "b": 100 / 101})
    assert shares(sizes, 2) == pytest.approx({"a": 1 / 11, "b": 10 / 11})
    assert shares(sizes, math.inf) == {"a": 0.5, "b": 0.5} and shares(sizes, 0.001)["b"] == 1
    for temperature in (0, -1, math.nan):
        with pytest.raises(ValueError, match="must be above 0"):
            shares(sizes, temperature)
    with pytest.raises(ValueError, match="b has the size 0"):
        shares({"a": 1, "b": 0})


def test_a_mixture_has_the_shares_that_were_asked_for():
    parts = {"a": numbered("a", 9000), "b": numbered("b", 3000)}
    counts = Counter(
        row["text"][0] for row in mix_sources(parts, weights={"a": 1, "b": 3}, seed=1).take(3000)
    )
    assert abs(counts["b"] / 3000 - 0.75) < 0.03
    counts = Counter(row["text"][0] for row in mix_sources(parts, temperature=1).take(3000))
    assert abs(counts["a"] / 3000 - 0.75) < 0.03
    counts = Counter(
        row["text"][0]
        for row in mix_sources(parts, weights={"a": 1, "b": 1}, lengths={"a": 9, "b": 1}).take(3000)
    )
    assert abs(counts["a"] / 3000 - 0.1) < 0.03


@given(st.integers(0, 1000), st.integers(0, 60), st.sampled_from(STOPPING))
@settings(deadline=None, max_examples=25)
def test_a_mixture_is_repeatable_and_resumes_anywhere(seed, cut, stop):
    make = lambda: mix_sources(
        {"a": numbered("a", 40), "b": numbered("b", 9)},
        weights={"b": 1, "a": 2},
        seed=seed,
        stopping_strategy=stop,
    )
    whole = [row["text"] for row in make()]
    stream = make()
    head = [row["text"] for row in itertools.islice(stream, cut)]
    state = json.loads(json.dumps(stream.state_dict()))
    again = make()
    again.load_state_dict(state)
    assert head + [row["text"] for row in again] == whole or cut >= len(whole)
    for name in "ab":
        mine = [text for text in whole if text[0] == name]
        size = {"a": 40, "b": 9}[name]
        assert mine == [f"{name}{i % size}" for i in range(len(mine))]


def test_what_happens_when_a_source_runs_out():
    parts = {"a": numbered("a", 400), "b": numbered("b", 10)}
    counts = {}
    for stop in STOPPING:
        counts[stop] = Counter(
            r["text"] for r in mix_sources(parts, weights={"a": 1, "b": 1}, stopping_strategy=stop)
        )
    first, every, once = counts.values()
    assert first.total() < 60 and max(first.values()) == 1
    assert len(every) == 410 and every["b0"] > 10 and len(once) == once.total() == 410


def test_mixtures_of_documents_and_streams():
    stream = mix_sources(
        {"zh": documents("chatter", "zh"), "en": documents("chat", "en")},
        weights={"en": 1, "zh": 1},
    )
    assert isinstance(stream, IterableDataset) and stream.features == DOCUMENT
    assert {row["language"] for row in stream.take(20)} == {"en", "zh"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"a": 1}}, "weights name a; the sources are a, b"),
        ({"weights": {"a": 1, "b": 0}}, r"weights\['b'\]=0: it must be above 0"),
        ({"weights": {"a": 1, "b": math.nan}}, r"weights\['b'\]=nan"),
        ({"lengths": {"a": 1}}, "lengths name a"),
        ({"weights": {"a": 1, "b": 1}, "temperature": 1}, "either weights= or temperature="),
        ({"temperature": 0}, "must be above 0"),
        ({"stopping_strategy": "never"}, "stopping_strategy='never' is unknown"),
    ],
)
def test_mixtures_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        mix_sources({"a": numbered("a", 5), "b": numbered("b", 5)}, **options)


def test_mixtures_of_what_does_not_fit():
    with pytest.raises(ValueError, match="one source or more"):
        mix_sources({})
    with pytest.raises(ValueError, match="zh is a stream, whose size is not known: pass sizes="):
        mix_sources({"zh": documents("chatter", "zh")})
    with pytest.raises(
        ValueError, match=r"the columns of a \(text\) and zh \(id, text, .*mix documents"
    ):
        mix_sources(
            {"a": numbered("a", 5), "zh": documents("chatter", "zh")}, weights={"a": 1, "zh": 1}
        )


# --- packing ---------------------------------------------------------------------------------------------------------


@few
@given(LENGTHS, st.sampled_from([40, 41, 64, 200]), st.none() | st.integers(0, 3), st.booleans())
def test_a_packed_batch_has_every_token_once_at_its_place(lengths, capacity, seed, of_tokens):
    rows = [
        {"input_ids": [1000 * i + t + 1 for t in range(n)], "labels": [i] * n if of_tokens else i}
        for i, n in enumerate(lengths)
    ]
    packed = pack(rows, capacity, seed)
    batch = pad_packed(packed, pad_id=0)
    real = batch["segment_ids"] > 0
    assert sorted(batch["input_ids"][real].tolist()) == sorted(
        i for row in rows for i in row["input_ids"]
    )
    assert (batch["input_ids"][real] % 1000 - 1 == batch["position_ids"][real]).all() and not batch[
        "input_ids"
    ][~real].any()
    order = [number for row in packed for number in row["rows"]]
    text_of = torch.tensor([-1, *order])[batch["segment_ids"]]
    assert (text_of[real] == batch["input_ids"][real] // 1000).all()
    if of_tokens:
        assert (batch["labels"][real] == text_of[real]).all() and (
            batch["labels"][~real] == -100
        ).all()
    else:
        assert batch["labels"].tolist() == order
    sees = batch["attention_mask"][:, 0] == 0
    assert (sees == (text_of[:, :, None] == text_of[:, None, :])).all() and sees.any(-1).all()


@few
@given(LENGTHS)
def test_layouts_of_one_batch_hold_the_same(lengths):
    rows = [{"input_ids": [i + 1] * n, "labels": i} for i, n in enumerate(lengths)]
    for batch in (pack_batch(rows),):
        segments, ids = batch["segment_ids"], batch["input_ids"]
        found = {
            int(ids[segments == s][0]): int((segments == s).sum()) for s in range(1, len(rows) + 1)
        }
        assert found == {i + 1: n for i, n in enumerate(lengths)}
        assert [int(ids[segments == s][0]) - 1 for s in range(1, len(rows) + 1)] == batch[
            "labels"
        ].tolist()
    assert pack_batch(rows)["input_ids"].numel() <= len(lengths) * max(lengths)


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
        model = AutoModel.from_pretrained(
            folder, add_pooling_layer=False, attn_implementation="eager"
        ).eval()
    return AutoTokenizer.from_pretrained(folder), model


HOSTILE = ["é" * 3 + "e\u0301\u0301", "zero\u200bwidth\u200d\u200c", "\u202eright to left\u202c שלום", "\ud800 alone \udfff", "\ud83d\ude00",
           "👩‍👩‍👧‍👦🇨🇳", "长" * 300, "w" * 5000, "", " ", "房间很干净，服务也好。", "It rained.", "\x00\ufeff\ufffd", "[SEP] [CLS] [PAD] [MASK]"]  # fmt: skip
TEXTS = st.lists(
    st.sampled_from(HOSTILE)
    | st.text(max_size=30)
    | st.text(alphabet="的一是不了人我在有 \u0301\u200b\ud800", max_size=40),
    min_size=1,
    max_size=9,
)


def alone(rows):
    _, model = minilm()
    return [model(torch.tensor([row["input_ids"]])).last_hidden_state[0] for row in rows]


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.integers(0, 5))
@example(HOSTILE, 0)
@torch.inference_mode()
def test_any_texts_packed_are_as_if_alone(texts, seed):
    tokenizer, model = minilm()
    rows = encode(tokenizer, texts, list(range(len(texts))), max_length=48)
    expected = alone(rows)
    packed = pack(rows, 64, seed)
    batch = pad_packed(packed)
    for attention, mask in (
        ("eager", batch["attention_mask"]),
        ("sdpa", batch["attention_mask"]),
        ("sdpa", batch["attention_mask"] == 0),
    ):
        model.set_attn_implementation(attention)
        found = model(
            batch["input_ids"], attention_mask=mask, position_ids=batch["position_ids"]
        ).last_hidden_state
        for segment, number in enumerate((n for row in packed for n in row["rows"]), 1):
            torch.testing.assert_close(
                found[batch["segment_ids"] == segment], expected[number], atol=2e-5, rtol=1e-4
            )
    pooled = segment_mean(found, batch["segment_ids"])
    torch.testing.assert_close(
        pooled,
        torch.stack([expected[n].mean(0) for n in batch["labels"].tolist()]),
        atol=2e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("layout", [pad, pack_batch])
def test_gradients_do_not_depend_on_the_layout(layout):
    tokenizer, model = minilm()
    rows = encode(
        tokenizer,
        ["It rained.", "房间很干净", "Nothing had been decided by the minister."],
        max_length=32,
    )
    weight = model.encoder.layer[0].attention.self.query.weight

    def gradient(batch):
        model.zero_grad()
        inputs = {
            name: batch[name]
            for name in ("input_ids", "attention_mask", "position_ids")
            if name in batch
        }
        segments = batch.get("segment_ids")
        if segments is None:
            segments = (
                batch["attention_mask"] * torch.arange(1, len(batch["input_ids"]) + 1)[:, None]
            )
        segment_mean(model(**inputs).last_hidden_state, segments).square().sum().backward()
        return weight.grad.clone()

    expected = sum(gradient(pad([row])) for row in rows)
    found = gradient(layout(rows))
    model.set_attn_implementation("eager")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


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


# ---- what strangers give

ROWS = [{"input_ids": [2, 7 + i, 3], "labels": i % 2} for i in range(6)]


@pytest.mark.parametrize("texts", [{"a": 1}, {"a"}, pd.DataFrame({"t": ["a"]}), b"ab", None, 3], ids="dict set table bytes none number".split())  # fmt: skip
def test_texts_without_an_order_are_refused(texts):
    tokenizer = transformers_tokenizer()
    with pytest.raises(TypeError, match="texts (are given as|is one string).*pass a list"):
        encode(tokenizer, texts)
    if texts is not None:
        with pytest.raises(TypeError, match="labels (are given as|is one string).*pass a list"):
            encode(tokenizer, ["a"], texts)


def test_columns_of_every_kind_are_taken():
    texts, labels = ["a b", "c"], [1, 0]
    expected = encode(transformers_tokenizer(), texts, labels)
    table = pd.DataFrame({"t": texts, "l": labels}, index=[7, 3])
    column = Dataset.from_dict({"t": texts, "l": labels})
    for t, l in (
        (tuple(texts), tuple(labels)),
        (iter(texts), iter(labels)),
        (np.array(texts), np.array(labels)),
        (table["t"], table["l"]),
        (column["t"], column["l"]),
        (texts, torch.tensor(labels)),
        (texts, table["l"].astype("Int64")),
        (texts, [np.int8(1), torch.tensor(0)]),
    ):
        found = encode(transformers_tokenizer(), t, l)
        assert found == expected and all(type(row["labels"]) is int for row in found)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (pd.Series([0, None], dtype="Int64"), "row 1 has the label <NA>: drop"),
        ([0, float("inf")], "row 1 has the label inf: give whole numbers"),
        ([1j, 0], "row 0 has the label 1j: give whole numbers"),
        ([0, pd.Timestamp("2020-01-01")], "row 1 has the label Timestamp"),
        ([np.array([1, 2, np.nan]), [1, 2, 3]], "row 0 has the label nan"),
        ([torch.tensor([0.0, math.nan, 1.0]), [0, 1, 1]], "row 0 has the label nan"),
    ],
    ids="missing infinite complex date array tensor".split(),
)
def test_labels_that_are_no_numbers(labels, message):
    with pytest.raises(ValueError, match=message):
        encode(transformers_tokenizer(), ["a", "b"], labels)


def test_labels_of_tokens_may_be_arrays():
    rows = [{"input_ids": [2, 7, 3], "labels": np.array([0, 1, 2])}]
    rows += [
        {"input_ids": [2, 3], "labels": torch.tensor([1, 1]), "attention_mask": np.array([1, 1])}
    ]
    rows[0]["attention_mask"] = [1, 1, 1]
    batch = pad(rows)
    assert batch["labels"].tolist() == [[0, 1, 2], [1, 1, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    with pytest.raises(ValueError, match="row 1 has 2 tokens but 3 labels"):
        pad([rows[0], {**rows[1], "labels": np.array([1, 1, 1])}])


@pytest.mark.parametrize("wrong", ["x", 1.5, True, math.nan, None, -1])
def test_numbers_of_batches_are_whole(wrong):
    for name in ("batch_size", "window"):
        with pytest.raises(ValueError, match=f"{name}={wrong!r}: it must be a whole number"):
            Batches(ROWS, **{name: wrong})
    if wrong != -1:
        with pytest.raises(ValueError, match=f"seed={wrong!r}: it must be a whole number"):
            Batches(ROWS, seed=wrong)
        with pytest.raises(ValueError, match="max_length="):
            encode(transformers_tokenizer(), ["a"], max_length=wrong)
        with pytest.raises(ValueError, match=f"pad_id={wrong!r}"):
            pad(ROWS, pad_id=wrong)
        with pytest.raises(ValueError, match=f"size={wrong!r}"):
            sample(dataset([("a", 0), ("b", 1)]), wrong)
    with pytest.raises(ValueError, match=f"capacity={wrong!r}"):
        pack(ROWS, wrong)
    if wrong is not None:
        with pytest.raises(ValueError, match=f"seed={wrong!r}"):
            pack(ROWS, seed=wrong)
        with pytest.raises(ValueError, match=f"length={wrong!r}"):
            pad_packed(pack(ROWS), length=wrong)


def test_the_same_seed_in_another_type_is_the_same_seed():
    expected = Batches(ROWS, 2, seed=5).plan(3)
    for seed in (np.int64(5), 5.0, torch.tensor(5), np.float32(5)):
        assert Batches(ROWS, np.int16(2), seed=seed, window=np.int8(50)).plan(3) == expected


@pytest.mark.parametrize("rows", [(row for row in ROWS), {"input_ids": [[1]]}, set()], ids="generator dict set".split())  # fmt: skip
def test_rows_without_numbers_are_refused(rows):
    with pytest.raises(TypeError, match="rows are given as .*pass a list"):
        Batches(rows, 2)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"input_ids": [2, 3]}, "row 1 has input_ids, row 0 has input_ids, labels"),
        ({"input_ids": [2], "labels": 1, "token_type_ids": [1]}, "row 1 has .*token_type_ids"),
        ({"input_ids": [2, 0], "labels": 1, "attention_mask": [1, 0]}, "row 1 has"),
    ],
    ids="label types mask".split(),
)
def test_texts_in_a_row_have_the_same(second, message):
    with pytest.raises(ValueError, match=message):
        pack([{"input_ids": [2, 7, 3], "labels": 0}, second])
    padded = [{"input_ids": [2, 7, 0], "attention_mask": [1, 1, 0]}]
    with pytest.raises(ValueError, match="row 0 is padded .its attention_mask has a 0"):
        pack(padded)


@pytest.mark.parametrize("share", ["0.1", None, True, math.nan, -0.1, 10])
def test_shares_of_a_split_are_numbers(share):
    rows = dataset([("a", 0), ("b", 1), ("c", 0)])
    for name in ("test", "validation"):
        with pytest.raises(ValueError, match=f"{name}={share!r}: it must be a number from 0 to 1"):
            split(rows, **{name: share})
    with pytest.raises(ValueError, match="temperature=.*it must be above 0"):
        shares({"a": 1, "b": 2}, share) if share not in (10,) else shares({"a": 1}, 0)


@pytest.mark.parametrize("kind", [list, DatasetDict, pd.DataFrame, "stream"], ids="list dict table stream".split())  # fmt: skip
def test_what_cannot_be_split_is_told_how(kind):
    rows = Dataset.from_dict({"text": ["a"], "label": [0]})
    given = {list: [], DatasetDict: DatasetDict({"train": rows}), pd.DataFrame: rows.to_pandas()}
    with pytest.raises(TypeError, match="cannot be split: make a Dataset of it"):
        split(given.get(kind, rows.to_iterable_dataset()))
    with pytest.raises(ValueError, match="no rows to split"):
        split(rows.select([]))


def test_a_label_that_is_nan_is_no_class():
    rows = Dataset.from_dict({"text": list("abcd"), "label": [0.0, math.nan, 1.0, math.nan]})
    with pytest.raises(ValueError, match="row 1 has nan for a class"):
        split(rows)
