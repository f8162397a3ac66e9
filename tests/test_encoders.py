"Any encoder becomes a classifier: in float32, with dropout by its own names, saved and loaded by `transformers`."

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AlbertConfig,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    CanineConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
    RoFormerConfig,
    T5Config,
    XLMRobertaConfig,
    pipeline,
)

from llm_practice.data.batching import Batches, encode, pad
from llm_practice.data.tokenizers import train_wordpiece
from llm_practice.engine.encoders import (
    TextClassifier,
    TextClassifierConfig,
    load_encoder,
    mean_class_loss,
    position_limit,
)
from llm_practice.finetuning.classification import evaluate, text_classifier
from llm_practice.pretraining.training import compute, train

CPU = compute("cpu", torch.float32)
TEXTS = ["a good film", "a bad film", "good good fun", "bad and long"] * 4
SIZES = dict(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
)
KINDS = {
    "bert": BertConfig(**SIZES, max_position_embeddings=20),
    "distilbert": DistilBertConfig(
        vocab_size=60, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=20
    ),
    "electra": ElectraConfig(**SIZES, embedding_size=8, max_position_embeddings=20),
    "deberta": DebertaV2Config(
        **SIZES, relative_attention=True, pos_att_type=["p2c", "c2p"], position_biased_input=False
    ),
    "modernbert": ModernBertConfig(**SIZES, pad_token_id=0, cls_token_id=2, sep_token_id=3),
    "roberta": RobertaConfig(**SIZES, max_position_embeddings=22),
    "xlm-roberta": XLMRobertaConfig(**SIZES, max_position_embeddings=22),
    "albert": AlbertConfig(**SIZES, embedding_size=8, max_position_embeddings=20),
}
LIMITED = [name for name in KINDS if name not in ("deberta", "modernbert")]


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(TEXTS, 60, min_frequency=1)


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    "A tiny encoder of each kind, stored in bfloat16."
    torch.manual_seed(1)
    place = tmp_path_factory.mktemp(request.param)
    AutoModel.from_config(KINDS[request.param]).bfloat16().save_pretrained(place)
    return place


def rows_of(tokenizer):
    return encode(tokenizer, TEXTS, [1, 0, 1, 0] * 4, max_length=16)


def test_every_encoder_learns_in_float32_and_goes_out_and_in(folder, tokenizer, tmp_path):
    model = text_classifier(folder, 2, dropout=0.0, names=["bad", "good"])
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    rows = rows_of(tokenizer)
    before = model(**pad(rows)).loss.item()
    train(model, Batches(rows, 4), epochs=12, lr=3e-3, on=CPU, show=False)
    assert model(**pad(rows)).loss.item() < before
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    batch = pad(rows)
    with torch.inference_mode():
        expected, found = model(**batch).logits, loaded.eval()(**batch).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert loaded.config.id2label == {0: "bad", 1: "good"}
    assert loaded.config.label2id == {"bad": 0, "good": 1}
    said = pipeline("text-classification", str(tmp_path), device="cpu", top_k=None)(TEXTS[:4])
    for one, p in zip(said, expected[:4].softmax(-1)):
        scores = {row["label"]: row["score"] for row in one}
        assert scores == pytest.approx({"bad": p[0].item(), "good": p[1].item()}, abs=1e-4)


def test_a_random_start_is_in_float32_too(folder):
    fresh = text_classifier(folder, 3, pretrained=False)
    known = text_classifier(folder, 3)
    assert {p.dtype for p in fresh.parameters()} == {torch.float32}
    assert [p.shape for p in fresh.parameters()] == [p.shape for p in known.parameters()]
    assert not all(torch.equal(a, b) for a, b in zip(fresh.parameters(), known.parameters()))


def test_dropout_reaches_every_encoder(folder, tokenizer):
    batch = pad(rows_of(tokenizer))
    still = text_classifier(folder, 2, dropout=0.0).train()
    assert torch.equal(still(**batch).logits, still(**batch).logits)
    shaken = load_encoder(folder, dropout=0.4).train()
    ids = batch["input_ids"]
    assert not torch.equal(shaken(ids).last_hidden_state, shaken(ids).last_hidden_state)
    rates = {m.p for m in shaken.modules() if isinstance(m, nn.Dropout)}
    assert rates == {0.4}


def test_padding_changes_nothing_for_any_encoder(folder, tokenizer):
    model, rows = text_classifier(folder, 2, dropout=0.0).eval(), rows_of(tokenizer)[:4]
    with torch.inference_mode():
        alone = torch.cat([model(**pad([row])).logits for row in rows])
        torch.testing.assert_close(
            model(**pad(rows, length=18)).logits, alone, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("kind", LIMITED)
def test_a_text_that_is_too_long_is_named(kind):
    model = TextClassifier(AutoModel.from_config(KINDS[kind]), 2)
    assert position_limit(model) == 20
    rows = [{"input_ids": [5] * size, "labels": 0} for size in (3, 20, 21)]
    model(**pad(rows[:2]))
    with pytest.raises(ValueError, match="row 2 of the batch has 21 tokens.*reads 20"):
        model(**pad(rows))
    with pytest.raises(ValueError, match="row 2 has 21 tokens, the model reads 20"):
        evaluate(model, rows, on=CPU)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_token_types_reach_the_encoder(kind):
    model = TextClassifier(AutoModel.from_config(KINDS[kind]), 2).eval()
    row = {"input_ids": [5, 6, 7, 8]}
    other = {**row, "token_type_ids": [0, 0, 1, 1]}
    assert not torch.allclose(model(**pad([row])).logits, model(**pad([other])).logits, atol=1e-6)


@pytest.mark.parametrize("first", ["import llm_practice", "import transformers"])
def test_a_new_process_needs_only_the_import(first, tmp_path):
    torch.manual_seed(0)
    model = TextClassifier(AutoModel.from_config(KINDS["electra"]), 3, names="xyz").eval()
    model.save_pretrained(tmp_path)
    ids = torch.arange(5, 11)[None]
    code = (
        f"{first}\nimport llm_practice\nimport json, torch\n"
        "from transformers import AutoModelForSequenceClassification as Auto\n"
        f"model = Auto.from_pretrained({str(tmp_path)!r})\n"
        "logits = model(torch.arange(5, 11)[None]).logits[0].tolist()\n"
        "print(json.dumps([logits, list(model.config.id2label.values())]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    logits, names = json.loads(done.stdout.splitlines()[-1])
    assert names == ["x", "y", "z"]
    torch.testing.assert_close(torch.tensor([logits]), model(ids).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "before",
    [
        "import llm_practice",
        "from transformers import AutoConfig\nimport llm_practice",
        "import llm_practice\nfrom transformers.models.auto.modeling_auto import AutoModel",
        "import llm_practice, importlib.util as u\nu.find_spec('transformers.models.auto.configuration_auto')",
        "import datasets, evaluate, seqeval, llm_practice.finetuning.metrics",
    ],
)
def test_a_configuration_alone_is_known(before, tmp_path):
    TextClassifierConfig(KINDS["bert"], num_labels=3).save_pretrained(tmp_path)
    code = (
        f"{before}\nfrom transformers import AutoConfig\n"
        f"config = AutoConfig.from_pretrained({str(tmp_path)!r})\n"
        "from transformers import AutoModelForSequenceClassification as Auto\n"
        "print(Auto.from_config(config).config.encoder.model_type)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "bert"


def test_importing_the_library_loads_nothing_heavy():
    code = "import sys, llm_practice; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    more = "import transformers, llm_practice, sys; print('llm_practice.engine.encoders' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", more], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_encoder_keeps_its_weights_and_its_way_of_attention():
    encoder = AutoModel.from_config(KINDS["bert"], attn_implementation="sdpa")
    weights = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    model = TextClassifier(encoder, 2)
    assert encoder.config._attn_implementation == "sdpa" and model.encoder is encoder
    assert all(torch.equal(weight, encoder.state_dict()[n]) for n, weight in weights.items())


def test_a_half_precision_encoder_is_widened_and_a_half_classifier_runs():
    model = TextClassifier(AutoModel.from_config(KINDS["bert"]).bfloat16(), 2)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.bfloat16()(torch.tensor([[5, 6]])).logits.dtype == torch.float32


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 5], "row 1 of the batch has the label 5: 2 classes are numbered 0 to 1"),
        ([-1, 0], "row 0 of the batch has the label -1"),
        ([0.0, 1.0], "labels are torch.float32"),
        ([0], "one whole number for each of 2 rows"),
        ([[0], [1]], "one whole number for each of 2 rows"),
    ],
)
def test_labels_that_cannot_be_learned(labels, message):
    with pytest.raises(ValueError, match=message):
        mean_class_loss(torch.zeros(2, 2), torch.tensor(labels))


def test_the_loss_counts_the_labels_that_are_there():
    logits = torch.randn(4, 3, requires_grad=True)
    some = torch.tensor([2, -100, 0, -100])
    expected = nn.functional.cross_entropy(logits, some)
    torch.testing.assert_close(mean_class_loss(logits, some), expected)
    loss = mean_class_loss(logits, torch.full((4,), -100))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("classes", [0, 1, -2, 2.0, True])
def test_one_class_is_no_choice(classes):
    with pytest.raises(ValueError, match=f"num_labels={classes!r}"):
        TextClassifier(AutoModel.from_config(KINDS["bert"]), classes)


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_names_that_do_not_fit(names):
    with pytest.raises(ValueError, match="2 classes need as many different names"):
        TextClassifier(AutoModel.from_config(KINDS["bert"]), 2, names=names)


def test_what_is_no_encoder_is_refused(tmp_path):
    TextClassifier(AutoModel.from_config(KINDS["bert"]), 2).save_pretrained(tmp_path / "ours")
    with pytest.raises(ValueError, match="TextClassifier.from_pretrained"):
        text_classifier(tmp_path / "ours", 2)
    T5Config(vocab_size=60, d_model=16, num_layers=1, num_heads=2).save_pretrained(tmp_path / "t5")
    with pytest.raises(ValueError, match="of the kind t5, which is no encoder"):
        text_classifier(tmp_path / "t5", 2, pretrained=False)
    KINDS["bert"].save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="dropout=1.5"):
        text_classifier(tmp_path / "bert", 2, pretrained=False, dropout=1.5)
    assert AutoConfig.from_pretrained(tmp_path / "ours").encoder.model_type == "bert"


@pytest.mark.parametrize("names", [["a", None], ["1", 1], [True, 1.5], ["a", ["b"]]], ids=repr)
def test_names_that_are_none_or_become_the_same(names):
    with pytest.raises(ValueError, match="2 classes need as many different names"):
        TextClassifier(AutoModel.from_config(KINDS["bert"]), 2, names=names)


@pytest.mark.parametrize("names", [{0: "a", 1: "b"}, {"a", "b"}, 2], ids=["dict", "set", "number"])
def test_names_without_an_order(names):
    with pytest.raises(TypeError, match="names are given as .*: pass a list"):
        TextClassifier(AutoModel.from_config(KINDS["bert"]), 2, names=names)


@pytest.mark.parametrize(
    "names",
    [["好", "坏"], ["", "b"], (1, 2), np.array(["x", "y"]), ["a b", 'a"b'], (c for c in "ab")],
    ids="chinese empty numbers numpy quotes generator".split(),
)
def test_names_go_out_and_in(names, tmp_path):
    model = TextClassifier(AutoModel.from_config(KINDS["bert"]), np.int64(2), names=names)
    expected = model.config.id2label
    assert all(type(name) is str for name in expected.values())
    model.save_pretrained(tmp_path)
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path).config
    assert config.id2label == expected
    assert config.label2id == {name: i for i, name in expected.items()}


def test_a_second_save_beside_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "pytorch_model.bin").write_bytes(b"old")
    ids = torch.arange(5, 11)[None]
    for kind, classes in (("bert", 2), ("roberta", 3), ("distilbert", 4)):
        model = TextClassifier(AutoModel.from_config(KINDS[kind]), classes).eval()
        model.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-5, rtol=1e-4)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_classifier_of_theirs_is_named_and_its_encoder_taken(tmp_path):
    theirs = BertForSequenceClassification(KINDS["bert"])
    theirs.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="of the kind bert: load it with AutoModelForSequence"):
        TextClassifier.from_pretrained(tmp_path)
    ours = text_classifier(tmp_path, 5)
    words = "embeddings.word_embeddings.weight"
    assert torch.equal(ours.encoder.get_parameter(words), theirs.bert.get_parameter(words))


@pytest.mark.parametrize("kind", ["bert", "electra", "deberta", "modernbert"])
@pytest.mark.parametrize("damage", ["prefix", "layer", "cut"])
def test_weights_that_would_stay_random_are_told(tmp_path, kind, damage):
    AutoModel.from_config(KINDS[kind]).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:3000])
    else:
        kept = {f"student.{name}": w for name, w in weights.items()}
        if damage == "layer":
            kept = {name: w for name, w in weights.items() if ".1." not in name}
        save_file(kept, file, metadata={"format": "pt"})
    found = "cannot be read" if damage == "cut" else "has no weights for .*of another model"
    with pytest.raises(ValueError, match=found):
        load_encoder(tmp_path)


@pytest.mark.parametrize("dropout", [1, -0.1, "0.1", None, True, float("nan")], ids=repr)
def test_a_dropout_that_is_no_share(dropout, tmp_path):
    KINDS["bert"].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="dropout="):
        text_classifier(tmp_path, 2, pretrained=False, dropout=dropout)
    text_classifier(tmp_path, 2, pretrained=False, dropout=np.float32(0.2))


def test_shapes_that_are_no_batch():
    model = TextClassifier(AutoModel.from_config(KINDS["bert"]), 2)
    ids = torch.arange(5, 11)
    for wrong in ((ids,), (ids[None], torch.ones(1, 3)), (torch.zeros(2, 0, dtype=torch.long),)):
        with pytest.raises(ValueError, match=r"input_ids \(.*both are \(rows, tokens\)"):
            model(*wrong)


def test_evaluation_of_what_chooses_no_class(tokenizer):
    rows = rows_of(tokenizer)
    with pytest.raises(ValueError, match="an answer for each token: evaluate needs"):
        evaluate(BertForTokenClassification(KINDS["bert"]), rows, on=CPU)
    one = BertForSequenceClassification(BertConfig(**SIZES, num_labels=1))
    with pytest.raises(ValueError, match="for each row, one score: evaluate needs 2 classes"):
        evaluate(one, [{**row, "labels": 0} for row in rows], on=CPU)
    model = TextClassifier(AutoModel.from_config(KINDS["bert"]), 2)
    result = evaluate(model, iter(rows), (name for name in ("好", 2)), on=CPU)
    assert "好" in result["report"] or "2" in result["report"]
    nn.init.constant_(model.classifier.bias, float("nan"))
    with pytest.raises(ValueError, match="logits of row 0 are nan .16 such"):
        evaluate(model, rows, on=CPU)


@pytest.mark.parametrize(
    "config",
    [
        RoFormerConfig(**SIZES, max_position_embeddings=20, embedding_size=16),
        GPT2Config(vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=20),
        CanineConfig(**{k: v for k, v in SIZES.items() if k != "vocab_size"}, max_position_embeddings=20),
        MPNetConfig(**SIZES, max_position_embeddings=22),
        DebertaV2Config(**SIZES, max_position_embeddings=20, position_biased_input=True),
    ],
    ids=lambda config: config.model_type,
)  # fmt: skip
def test_tables_of_positions_by_other_names(config):
    model = TextClassifier(AutoModel.from_config(config), 2)
    assert position_limit(model) == model.limit == 20
    model(torch.full((1, 20), 5))
    with pytest.raises(ValueError, match="row 0 of the batch has 21 tokens.*reads 20"):
        model(torch.full((1, 21), 5))
