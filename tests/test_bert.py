"""The small BERT: its size, its start, and a build at a tiny size, from text to folder."""

import json

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
)

from llm_practice.data.batching import split
from llm_practice.data.sources import load
from llm_practice.data.tokenizers import train_wordpiece
from llm_practice.engine.text import exact_key
from llm_practice.pretraining import bert
from llm_practice.pretraining.bert import (
    bert_config,
    chunks,
    count_parameters,
    fill_masks,
    fresh_bert,
    look_at_neighbours,
    masked_accuracy,
    pretrained_chinese_bert,
    pretraining_texts,
    settings,
)
from llm_practice.pretraining.objectives import masked_batches

TINY = dict(
    vocab_size=1500, hidden_size=32, layers=1, heads=2, max_length=32, epochs=2, batch_size=16
)


@pytest.fixture(scope="module")
def texts():
    return load("chinese-reviews")["text"][:400]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return train_wordpiece(texts, 1500, min_frequency=3)


@pytest.mark.parametrize(
    "sizes", [(500, 32, 1, 2, 16), (1000, 48, 3, 4, 64), (6000, 128, 2, 4, 128)]
)
def test_formula_counts_what_the_model_has(sizes):
    config = bert_config(*sizes)
    assert sum(count_parameters(config).values()) == sum(
        p.numel() for p in BertForMaskedLM(config).parameters()
    )


def test_unknown_settings_are_refused():
    assert settings(epochs=7)["epochs"] == 7
    with pytest.raises(ValueError, match="epoch: not a setting; there are .*epochs"):
        settings(epoch=7)


@pytest.mark.parametrize("length", [5, 32, 128])
def test_heads_begin_at_their_neighbours(length):
    torch.manual_seed(0)
    model = BertForMaskedLM(bert_config(800, 128, 2, 4, 128)).eval()
    look_at_neighbours(model)
    ids = torch.randint(5, 800, (8, length))
    with torch.inference_mode():
        attention = model.bert(ids, output_attentions=True).attentions[0]
    for head, offset in enumerate((-1, 1, -2, 2)):
        inside = torch.arange(max(0, -offset), length - max(0, offset))
        looked = attention[:, head, inside].argmax(-1)
        assert (looked == inside + offset).float().mean() > 0.95, offset


def test_more_offsets_than_heads_are_refused():
    with pytest.raises(ValueError, match="4 offsets for 2 heads"):
        look_at_neighbours(BertForMaskedLM(bert_config(100, 32, 1, 2, 16)))


def test_fresh_models_are_repeatable_and_seeds_differ(tokenizer):
    sizes = {k: TINY[k] for k in ("hidden_size", "layers", "max_length")} | {"heads": 4}
    a, b, c = (fresh_bert(tokenizer, seed=seed, **sizes) for seed in (0, 0, 1))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))
    assert not torch.equal(
        a.bert.encoder.layer[0].output.dense.weight, c.bert.encoder.layer[0].output.dense.weight
    )


def test_chunks_lose_no_token_and_fit(tokenizer, texts):
    rows = chunks(tokenizer, texts, 16)
    assert max(len(row["input_ids"]) for row in rows) == 16
    inner = [i for row in rows for i in row["input_ids"][1:-1]]
    assert inner == [
        i for row in tokenizer(list(texts), add_special_tokens=False)["input_ids"] for i in row
    ]


def test_texts_have_no_copies_and_nothing_of_the_test_split():
    learn, held = pretraining_texts()
    parts = split(load("chinese-reviews"))
    keys = {exact_key(text) for text in learn}
    assert len(keys) == len(learn)
    assert not keys & {
        exact_key(text) for name in ("validation", "test") for text in parts[name]["text"]
    }
    assert not {exact_key(t) for t in held} & {exact_key(t) for t in parts["test"]["text"]}
    assert len(pretraining_texts(newspaper=True)[0]) > len(learn) + 19_000


@pytest.fixture(scope="module")
def built(texts, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("LLM_PRACTICE_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setattr(
        bert, "pretraining_texts", lambda newspaper=False: (list(texts[:320]), list(texts[320:]))
    )
    patch.setattr(
        bert, "look_at_neighbours", lambda model: look_at_neighbours(model, offsets=(-1, 1))
    )
    patch.setitem(bert.SETTINGS, "quick", {**bert.SETTINGS["quick"], **TINY})
    yield pretrained_chinese_bert(show=False)
    patch.undo()


def test_the_folder_is_one_that_transformers_loads(built):
    tokenizer = AutoTokenizer.from_pretrained(built)
    assert tokenizer.model_max_length == 32
    ids = tokenizer("房间很好", return_tensors="pt")
    assert AutoModelForMaskedLM.from_pretrained(built)(**ids).logits.shape[-1] == len(tokenizer)
    classifier = AutoModelForSequenceClassification.from_pretrained(built, num_labels=2)
    assert classifier(**ids).logits.shape == (1, 2)
    assert not (built / "run").exists()


def test_training_lowered_the_loss_and_was_written_down(built):
    record = json.loads((built / "history.json").read_text())
    losses = [row["loss"] for row in record["steps"]]
    assert sum(losses[-5:]) < sum(losses[:5]) - 2
    assert record["hardware"] and record["seconds"] > 0 and record["validations"]


def test_the_second_call_builds_nothing(built, monkeypatch):
    class BuiltAgain(Exception):
        pass

    def build(*args, **settings):
        raise BuiltAgain

    monkeypatch.setattr(bert, "_build", build)
    assert pretrained_chinese_bert() == built
    with pytest.raises(BuiltAgain):
        pretrained_chinese_bert(epochs=7)


def test_fill_masks_gives_probabilities_and_refuses_a_text_without_gap(built):
    tokenizer, model = (
        AutoTokenizer.from_pretrained(built),
        AutoModelForMaskedLM.from_pretrained(built),
    )
    gaps = fill_masks(model, tokenizer, "房间[MASK]好，[MASK]务也好", top=3)
    assert [len(gap) for gap in gaps] == [3, 3]
    assert all(1 >= a[1] >= b[1] > 0 for gap in gaps for a, b in zip(gap, gap[1:]))
    with pytest.raises(ValueError, match=r"no \[MASK\] in '房间'"):
        fill_masks(model, tokenizer, "房间")


def test_accuracy_of_a_model_that_knows_the_answer(tokenizer, texts):
    class Knows(torch.nn.Module):
        def bert(self, input_ids, attention_mask):
            return type("Out", (), {"last_hidden_state": self.answer})

        def cls(self, hidden):
            return torch.nn.functional.one_hot(
                hidden.squeeze(-1).clamp(min=0), len(tokenizer)
            ).float()

    batches, model = (
        masked_batches(tokenizer, chunks(tokenizer, texts[:32], 32), 200, shuffle=False),
        Knows(),
    )
    labels = batches.batch(0, 0)["labels"]
    model.answer = labels[..., None]
    assert masked_accuracy(model, batches) == 1.0
    model.answer = torch.where(labels % 2 == 0, labels, 0)[..., None]
    chosen = labels[labels != -100]
    assert masked_accuracy(model, batches) == pytest.approx((chosen % 2 == 0).float().mean().item())


def test_base_size_has_the_published_number_of_parameters():
    assert 109e6 < sum(count_parameters(BertConfig()).values()) < 111e6


def test_the_first_texts_are_a_sample_of_both_classes():
    known = dict(zip(*(load("chinese-reviews", quiet=True)[name] for name in ("text", "label"))))
    for part in pretraining_texts():
        assert 0.4 < sum(known[text] for text in part[:600]) / 600 < 0.6


@pytest.mark.parametrize("length", [-1, 0, 1, 2])
def test_rows_without_room_are_refused(tokenizer, length):
    with pytest.raises(ValueError, match=f"max_length={length} leaves no room"):
        chunks(tokenizer, ["房间很好"], length)


def test_rows_of_nothing_of_one_string_and_of_gaps(tokenizer):
    assert chunks(tokenizer, [], 16) == [] == chunks(tokenizer, [""], 16)
    with pytest.raises(TypeError, match="one string"):
        chunks(tokenizer, "房间很好", 16)
    with pytest.raises(TypeError, match="text 1 is None"):
        chunks(tokenizer, ["房间", None], 16)
    assert len(chunks(tokenizer, ["half a pair \ud83d"], 16)) == 1
    assert len(chunks(tokenizer, ["房间很好" * 10], 3)) == 40


def test_rows_need_a_tokenizer_with_both_ends():
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(
        tokenizer_object=train_wordpiece(["好 好"], 50).backend_tokenizer
    )
    with pytest.raises(ValueError, match=r"no \[CLS\] or no \[SEP\]"):
        chunks(bare, ["好"], 16)


def test_a_gap_that_would_be_cut_off_is_said(built):
    tokenizer, model = (
        AutoTokenizer.from_pretrained(built),
        AutoModelForMaskedLM.from_pretrained(built),
    )
    for text in ("好" * 40 + "[MASK]", "[MASK]" + "好" * 40 + "[MASK]"):
        with pytest.raises(ValueError, match=r"the text has 4\d tokens, with \[MASK\].*reads 32"):
            fill_masks(model, tokenizer, text)
    assert len(fill_masks(model, tokenizer, "好" * 29 + "[MASK]")) == 1
    with pytest.raises(ValueError, match="top=0"):
        fill_masks(model, tokenizer, "[MASK]", top=0)
    with pytest.raises(TypeError, match="text 0 is None"):
        fill_masks(model, tokenizer, None)
