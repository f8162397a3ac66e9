"""Masking is random: these tests look at its distribution, with fixed seeds and wide bounds."""

import math

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
)

from llm_practice.data.batching import encode, pack
from llm_practice.data.sources import find_model, load
from llm_practice.pretraining.objectives import (
    MaskedCollator,
    PairCollator,
    mask_tokens,
    masked_and_pair_loss,
    masked_batches,
    masked_html,
    masked_lm_loss,
    pair_loss,
)

MASK, VOCAB, SPECIAL = 4, 6000, range(5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tokens(rows=3000, length=100, seed=99):
    return torch.randint(5, VOCAB, (rows, length), generator=seeded(seed))


def sigmas(successes, n, p):
    return abs(successes - n * p) / math.sqrt(n * p * (1 - p))


@pytest.fixture(scope="module")
def bert():
    return AutoTokenizer.from_pretrained(find_model("minilm"), model_max_length=10**6)


@pytest.mark.parametrize("prob", [0.05, 0.15, 0.4])
def test_rates_are_those_of_the_paper(prob):
    ids = tokens()
    seen, labels = mask_tokens(ids, MASK, VOCAB, SPECIAL, prob, seeded(1))
    chosen = labels != -100
    n = int(chosen.sum())
    assert sigmas(n, ids.numel(), prob) < 5
    assert sigmas(int((seen == MASK)[chosen].sum()), n, 0.8) < 5
    assert (
        sigmas(int(((seen != MASK) & (seen != ids))[chosen].sum()), n, 0.1 * (1 - 1 / (VOCAB - 5)))
        < 5
    )
    assert sigmas(int((seen == ids)[chosen].sum()), n, 0.1) < 5


def test_every_place_is_as_likely():
    _, labels = mask_tokens(tokens(20000, 20), MASK, VOCAB, SPECIAL, generator=seeded(2))
    counts = (labels != -100).sum(0).float()
    chi_square = ((counts - 3000) ** 2 / (20000 * 0.15 * 0.85)).sum().item()
    assert chi_square < 20 + 6 * math.sqrt(40)


def test_random_tokens_are_uniform_over_ordinary_ones():
    ids = torch.full((4000, 100), 7)
    seen, labels = mask_tokens(ids, MASK, 25, SPECIAL, 0.5, seeded(3))
    others = seen[(labels != -100) & (seen != MASK) & (seen != 7)]
    counts = torch.bincount(others, minlength=25).float()
    assert counts[:5].sum() == 0
    counts = counts[[i for i in range(5, 25) if i != 7]]
    expected = counts.sum() / 19
    assert ((counts - expected) ** 2 / expected).sum() < 18 + 6 * math.sqrt(36)


def test_labels_are_the_original_where_chosen_and_the_rest_is_untouched():
    ids = tokens(200)
    before = ids.clone()
    seen, labels = mask_tokens(ids, MASK, VOCAB, SPECIAL, generator=seeded())
    chosen = labels != -100
    assert torch.equal(ids, before)
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(seen[~chosen], ids[~chosen])


def test_special_tokens_and_padding_are_never_chosen():
    ids = torch.randint(0, 8, (500, 50), generator=seeded())
    seen, labels = mask_tokens(ids, MASK, VOCAB, SPECIAL, 1.0, seeded())
    assert (labels[ids < 5] == -100).all() and torch.equal(seen[ids < 5], ids[ids < 5])
    assert (labels[ids >= 5] != -100).all()


def test_repeatable_under_a_generator_and_new_without():
    ids = tokens(50)
    same = [mask_tokens(ids, MASK, VOCAB, SPECIAL, generator=seeded(5)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*same))
    free = [mask_tokens(ids, MASK, VOCAB, SPECIAL)[1] for _ in range(2)]
    assert not torch.equal(*free)


def test_same_distribution_as_transformers(bert):
    ids = torch.randint(1000, 30000, (2000, 100), generator=seeded(6))
    torch.manual_seed(6)
    theirs = DataCollatorForLanguageModeling(bert, mlm_probability=0.15).torch_mask_tokens(
        ids.clone(), torch.zeros_like(ids).bool())  # fmt: skip
    ours = mask_tokens(
        ids, bert.mask_token_id, len(bert), bert.all_special_ids, generator=seeded(6)
    )
    for share in (
        lambda s, y: y != -100,
        lambda s, y: s == bert.mask_token_id,
        lambda s, y: (y != -100) & (s == ids),
    ):
        a, b = (share(*pair).float().mean().item() for pair in (ours, theirs))
        assert abs(a - b) < 5 * math.sqrt(2 * a * (1 - a) / ids.numel())


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (7,), (2, 3, 4)])
def test_any_shape(shape):
    seen, labels = mask_tokens(torch.full(shape, 9), MASK, VOCAB, SPECIAL, generator=seeded())
    assert seen.shape == labels.shape == shape and seen.dtype == labels.dtype == torch.int64


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="prob=15"):
        mask_tokens(tokens(1), MASK, VOCAB, SPECIAL, 15)
    with pytest.raises(ValueError, match="mask_id=9000.*6000"):
        mask_tokens(tokens(1), 9000, VOCAB, SPECIAL)


def test_a_tokenizer_without_mask_is_refused(bert):
    without = PreTrainedTokenizerFast(
        tokenizer_object=bert.backend_tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    )
    with pytest.raises(ValueError, match=r"no \[MASK\]"):
        MaskedCollator(without)


def test_batches_have_new_gaps_each_epoch_and_the_same_when_asked_again(bert):
    rows = encode(bert, load("bbc-news")["text"][:64], max_length=64)
    batches = masked_batches(bert, rows, batch_size=16, shuffle=False, window=0)
    first, again, later = batches.batch(0, 1), batches.batch(0, 1), batches.batch(1, 1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["labels"], later["labels"])
    original = torch.where(first["labels"] != -100, first["labels"], first["input_ids"])
    assert original[0, : len(rows[16]["input_ids"])].tolist() == rows[16]["input_ids"]
    assert (first["labels"][first["attention_mask"] == 0] == -100).all()


def test_loss_equals_the_models_own_and_so_do_gradients():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    model = BertForMaskedLM(config).eval()
    seen, labels = mask_tokens(tokens(4, 30), MASK, VOCAB, SPECIAL, generator=seeded())
    batch = {"input_ids": seen, "attention_mask": torch.ones_like(seen), "labels": labels}
    grads = []
    for loss in (model(**batch).loss, masked_lm_loss(model, batch)):
        grads.append(
            (loss, *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))
        )
    for a, b in zip(*grads):
        assert (a is None and b is None) or torch.allclose(a, b, atol=1e-5)
    assert abs(grads[0][0].item() - math.log(VOCAB)) < 0.3


def test_nothing_to_predict_gives_zero_not_nan():
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    batch = {"input_ids": torch.full((2, 5), 9), "attention_mask": torch.ones(2, 5, dtype=torch.long),
             "labels": torch.full((2, 5), -100)}  # fmt: skip
    loss = masked_lm_loss(BertForMaskedLM(config), batch)
    loss.backward()
    assert loss.item() == 0


def test_html_colours_and_escapes(bert):
    ids = bert("a <b> word")["input_ids"]
    shown = masked_html([bert.mask_token_id, *ids[1:]], [ids[1], *[-100] * (len(ids) - 1)], bert)
    assert "[MASK]" in shown and "&lt;" in shown and "<b>" not in shown


def test_packed_texts_are_guessed_as_if_each_stood_alone():
    tokenizer = AutoTokenizer.from_pretrained(find_model("minilm"))
    torch.manual_seed(0)
    model = BertForMaskedLM(
        BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    ).eval()
    rows = pack(encode(tokenizer, load("bbc-news", quiet=True)["text"][:9], max_length=40), 100)
    batch = MaskedCollator(tokenizer)(rows, torch.Generator().manual_seed(1))
    total, count = 0.0, 0
    for ids, labels, segments in zip(batch["input_ids"], batch["labels"], batch["segment_ids"]):
        for text in segments[segments > 0].unique():
            mine = segments == text
            alone = {
                "input_ids": ids[mine][None],
                "labels": labels[mine][None],
                "attention_mask": torch.ones(1, int(mine.sum()), dtype=torch.long),
            }
            number = int((alone["labels"] != -100).sum())
            total, count = total + number * masked_lm_loss(model, alone).item(), count + number
    assert count > 20 and abs(total / count - masked_lm_loss(model, batch).item()) < 1e-5


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_vectors_that_are_not_pairs_are_refused(rows):
    with pytest.raises(ValueError, match=f"{rows} vectors are not pairs"):
        pair_loss(torch.rand(rows, 4))


@pytest.mark.parametrize("temperature", [0, -0.1, float("nan"), float("inf")])
def test_a_temperature_that_means_nothing_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature=.*above 0"):
        pair_loss(torch.rand(4, 4), temperature)


def test_a_vocabulary_without_ordinary_tokens_is_refused():
    with pytest.raises(ValueError, match="all 3 tokens are special"):
        mask_tokens(torch.tensor([[0, 1]]), 2, 3, [0, 1])


# ---- what the rows have stays


def typed(size=8):
    "Rows of two segments, the last token padding."
    types, mask = [0] * (size // 2) + [1] * (size - size // 2), [1] * (size - 1) + [0]
    return [
        {"input_ids": [2, *range(10 + i, 8 + i + size), 3], "token_type_ids": types}
        | {"attention_mask": mask, "labels": 1}
        for i in range(4)
    ]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(find_model("minilm"))


def test_masking_keeps_types_and_padding(tokenizer):
    rows = typed()
    batch = MaskedCollator(tokenizer)(rows, seeded())
    assert batch["token_type_ids"].tolist() == [row["token_type_ids"] for row in rows]
    assert batch["attention_mask"].tolist() == [row["attention_mask"] for row in rows]
    packed = MaskedCollator(tokenizer)(
        pack([{k: row[k] for k in ("input_ids", "token_type_ids")} for row in rows], 40), seeded()
    )
    assert packed["token_type_ids"].sum() == 16 and packed["attention_mask"].ndim == 4


def test_halves_keep_the_types_of_their_tokens(tokenizer):
    rows = typed()
    batch = PairCollator(tokenizer, prob=0)(rows, seeded())
    for i, row in enumerate(rows):
        of = dict(zip(row["input_ids"], row["token_type_ids"]))
        for half in (i, 4 + i):
            real = batch["input_ids"][half] != tokenizer.pad_token_id
            pairs = zip(batch["input_ids"][half][real], batch["token_type_ids"][half][real])
            assert all(of[int(token)] == int(kind) for token, kind in pairs)
    assert batch["attention_mask"].shape == batch["input_ids"].shape


def test_types_reach_the_loss(tokenizer):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)  # fmt: skip
    model = BertForMaskedLM(config).eval()
    batch = PairCollator(tokenizer, prob=0.5)(typed(), seeded())
    other = {**batch, "token_type_ids": 1 - batch["token_type_ids"]}
    for loss in (masked_lm_loss, masked_and_pair_loss):
        assert loss(model, batch) != loss(model, other)
    theirs = model(**batch).loss
    torch.testing.assert_close(masked_lm_loss(model, batch), theirs)


@pytest.mark.parametrize("prob", ["0.1", None, True, math.nan, -0.1, 1.1], ids=repr)
def test_a_probability_is_checked_when_it_is_given(tokenizer, prob):
    with pytest.raises(ValueError, match="prob=.*from 0 to 1, such as 0.15"):
        masked_batches(tokenizer, typed(), prob=prob)
    with pytest.raises(ValueError, match="prob="):
        mask_tokens(torch.tensor([[7]]), 4, 50, [0], prob)


def test_arguments_that_mask_nothing_right(tokenizer):
    with pytest.raises(ValueError, match="input_ids are torch.float32"):
        mask_tokens(torch.rand(2, 3), 4, 50, [0])
    for wrong in (None, 1.5, True, "4"):
        with pytest.raises(ValueError, match=f"mask_id={wrong!r}"):
            mask_tokens(torch.tensor([[7]]), wrong, 50, [0])
    for collate in (MaskedCollator(tokenizer), PairCollator(tokenizer)):
        with pytest.raises(ValueError, match="no rows to make a batch of"):
            collate([])
    with pytest.raises(ValueError, match="weight=nan"):
        _weighted(math.nan)


def _weighted(weight):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)  # fmt: skip
    batch = {"input_ids": torch.randint(5, 50, (4, 6)), "labels": torch.full((4, 6), 7)}
    batch |= {"attention_mask": torch.ones(4, 6)}
    return masked_and_pair_loss(BertForMaskedLM(config), batch, weight)
