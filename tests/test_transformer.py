"The encoder against `transformers` and PyTorch: sizes, masks, files, gradients, precision; and what it refuses."

import json
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    CamembertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from llm_practice.data.sources import find_model
from llm_practice.theory.transformer import (
    RENAMES,
    Block,
    Encoder,
    EncoderForPreTraining,
    MaskedWordHead,
    MultiHeadAttention,
    RotaryAttention,
    attention,
    flop_count,
    parameter_count,
    rotate,
    sinusoidal,
)

SIZES = {
    "vocab_size": 60, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 16,
}  # fmt: skip
CLOSE = {"atol": 1e-5, "rtol": 0}
random_sizes = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def configs(draw):
    heads = draw(st.integers(1, 4))
    return BertConfig(
        vocab_size=draw(st.integers(2, 80)),
        hidden_size=heads * draw(st.integers(1, 9)),
        num_hidden_layers=draw(st.integers(0, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 50)),
        max_position_embeddings=draw(st.integers(1, 20)),
        type_vocab_size=draw(st.integers(1, 3)),
        hidden_act=draw(st.sampled_from(["gelu", "gelu_new", "relu", "silu"])),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5])),
        initializer_range=draw(st.sampled_from([0.02, 0.3])),
        is_decoder=draw(st.booleans()),
        pad_token_id=draw(st.sampled_from([0, 1, None])),
        attn_implementation="eager",
    )


@st.composite
def batches(draw, config):
    "Rows of random lengths from 1 token up, padded on the right, the whole batch sometimes further than needed."
    limit = config.max_position_embeddings
    lengths = draw(st.lists(st.integers(1, limit), min_size=1, max_size=4))
    width = draw(st.integers(max(lengths), limit))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    ids = torch.randint(config.vocab_size, (len(lengths), width), generator=generator)
    segments = torch.randint(config.type_vocab_size, ids.shape, generator=generator)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}


def renamed(state):
    "Our names and tensors for the weights of a model of `transformers`."
    translated = {}
    for name, weight in state.items():
        for old, new in RENAMES.items():
            name = name.replace(old, new)
        if not name.startswith(("masked_words.decoder.", "embeddings.")):
            translated[name] = weight
    return translated


def twins(config, ours=EncoderForPreTraining, theirs=BertForPreTraining, seed=0):
    "A random model of `transformers`, norms and biases included, and ours with the same weights."
    torch.manual_seed(seed)
    reference = theirs(config)
    with torch.no_grad():
        for parameter in reference.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model = ours(config)
    model.load_state_dict(renamed(reference.state_dict()))
    return model.eval(), reference.eval()


def saved(folder, theirs=BertForPreTraining, **changes):
    torch.manual_seed(0)
    reference = theirs(BertConfig(**{**SIZES, **changes})).eval()
    reference.save_pretrained(folder)
    return reference


# ---- the same as transformers


@random_sizes
@given(data=st.data(), config=configs())
def test_logits_of_random_sizes_lengths_and_masks(data, config):
    batch = data.draw(batches(config))
    ours, theirs = twins(config)
    with torch.inference_mode():
        (words, pairs), expected = ours(**batch), theirs(**batch)
    real = batch["attention_mask"].bool()
    scale = max(1.0, expected.prediction_logits[real].abs().max().item())
    assert_close(words[real], expected.prediction_logits[real], atol=1e-5 * scale, rtol=0)
    assert_close(pairs, expected.seq_relationship_logits, atol=1e-5 * scale, rtol=0)
    assert words.isfinite().all()


@random_sizes
@given(data=st.data(), config=configs())
def test_vectors_weights_and_pooler_of_random_sizes(data, config):
    batch, maps = data.draw(batches(config)), []
    ours, theirs = twins(config, Encoder, BertModel)
    with torch.inference_mode():
        hidden, expected = ours(**batch, attentions=maps), theirs(**batch, output_attentions=True)
        pooled = ours.pool(hidden)
    real = batch["attention_mask"].bool()
    assert_close(hidden[real], expected.last_hidden_state[real], **CLOSE)
    assert_close(pooled, expected.pooler_output, **CLOSE)
    assert len(maps) == config.num_hidden_layers
    for map_, other in zip(maps, expected.attentions or ()):
        assert_close(map_.transpose(1, 2)[real], other.transpose(1, 2)[real], **CLOSE)
        to_padding = map_.transpose(1, 2)[real].masked_select(
            ~real.repeat_interleave(real.sum(1), 0)[:, None]
        )
        assert (to_padding == 0).all()


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_gradients_are_those_of_transformers(data):
    config = BertConfig(
        **SIZES,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    batch = data.draw(batches(config))
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    ours, theirs = twins(config)
    F.cross_entropy(ours(**batch)[0].flatten(0, 1), labels.flatten()).backward()
    F.cross_entropy(theirs(**batch).prediction_logits.flatten(0, 1), labels.flatten()).backward()
    expected = renamed({name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        if parameter.grad is not None:
            assert_close(parameter.grad, expected[name], msg=lambda m, n=name: f"{n}: {m}", **CLOSE)


def test_dropout_falls_on_the_same_numbers():
    config = BertConfig(
        **SIZES,
        hidden_dropout_prob=0.3,
        attention_probs_dropout_prob=0.4,
        attn_implementation="eager",
    )
    ours, theirs = twins(config, Encoder, BertModel)
    ids = torch.randint(60, (2, 9))
    outputs = []
    for model in (ours.train(), theirs.train()):
        torch.manual_seed(7)
        outputs.append(model(ids))
    assert_close(outputs[0], outputs[1].last_hidden_state, **CLOSE)
    assert not torch.allclose(ours(ids), ours(ids)) and torch.equal(ours.eval()(ids), ours(ids))


@pytest.fixture(scope="module")
def minilm():
    folder = find_model("minilm")
    reference = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    return AutoTokenizer.from_pretrained(folder), Encoder.from_pretrained(folder), reference


TEXTS = [
    "The bank raised its rates, so he sat down on the bank of the river.",
    "",
    "a",
    "人外有人，天外有天。这本书我很喜欢！",
    "👩‍👩‍👧‍👦 \u202e txet \x00 \ufeff ﷽ ½ ＡＢＣ",
    "word " * 700,
    "tokenizer " * 60,
]


@pytest.mark.parametrize(
    "texts", [TEXTS, TEXTS[:5], ["one", "two"], [TEXTS[5]]], ids=["all", "short", "equal", "full"]
)
@pytest.mark.parametrize("side", ["right", "left"])
def test_packaged_weights(minilm, texts, side):
    tokenizer, ours, theirs = minilm
    limit = 512 if len(texts) == 1 else 150
    batch = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=limit,
        padding_side=side,
        return_tensors="pt",
    )
    with torch.inference_mode():
        hidden, expected = ours(**batch), theirs(**batch)
        pooled = ours.pool(hidden)
    real = batch["attention_mask"].bool()
    assert_close(hidden[real], expected.last_hidden_state[real], **CLOSE)
    assert_close(pooled[real[:, 0]], expected.pooler_output[real[:, 0]], **CLOSE)


def test_packaged_weights_with_pairs_of_sentences(minilm):
    tokenizer, ours, theirs = minilm
    batch = tokenizer(
        [("Is it raining?", "Take an umbrella."), ("Yes.", "天")], padding=True, return_tensors="pt"
    )
    real = batch["attention_mask"].bool()
    assert batch["token_type_ids"].any()
    with torch.inference_mode():
        assert_close(ours(**batch)[real], theirs(**batch).last_hidden_state[real], **CLOSE)


def test_bfloat16_stays_near(minilm):
    tokenizer, ours, _ = minilm
    batch = tokenizer(TEXTS[:4], padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    with torch.inference_mode():
        exact = ours(**batch)[real]
        with torch.autocast("cpu", torch.bfloat16):
            mixed = ours(**batch)[real].float()
        half = Encoder.from_pretrained(find_model("minilm")).bfloat16()(**batch)[real].float()
    for rough in (mixed, half):
        assert F.cosine_similarity(exact, rough, dim=-1).min() > 0.99
        assert not torch.equal(exact, rough)


# ---- masks


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(1, 6),
    st.integers(0, 2**31),
)
def test_attention_is_that_of_pytorch(batch, heads, length, places, size, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(batch, heads, n, size, generator=generator) for n in (length, places, places)
    )
    mask = torch.rand(batch, 1, length, places, generator=generator) < 0.5
    mask[..., 0] = True
    mixed, weights = attention(q, k, v, mask)
    assert_close(mixed, F.scaled_dot_product_attention(q, k, v, mask), **CLOSE)
    assert_close(weights.sum(-1), torch.ones(batch, heads, length))
    assert (weights[~mask.expand_as(weights)] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_query_without_a_place_to_look_gives_no_nan(dtype):
    q, k, v = (torch.randn(2, 4, 8, dtype=dtype, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[True] * 4, [False] * 4])[:, None]
    mixed, _ = attention(q, k, v, mask)
    mixed.sum().backward()
    assert mixed.isfinite().all() and q.grad.isfinite().all()
    assert_close(mixed[1], v[1].mean(0, keepdim=True).expand(4, -1), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("scale", [1e4, 1e18])
def test_extreme_scores_stay_finite(scale):
    q, k, v = (scale * torch.randn(3, 5, 8) for _ in range(3))
    mixed, weights = attention(q, k, v, torch.ones(5, 5, dtype=torch.bool).tril())
    assert mixed.isfinite().all() and weights.isfinite().all()


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    q = torch.randn(1, 200, 8)
    weights = attention(q, q, q, dropout=0.25)[1]
    assert (weights == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert weights.sum().item() == pytest.approx(200, rel=0.05)


@settings(deadline=None, max_examples=20)
@given(config=configs(), extra=st.integers(0, 5), length=st.integers(1, 9), seed=st.integers(0, 99))
def test_padding_changes_nothing(config, extra, length, seed):
    config.max_position_embeddings = length + extra
    torch.manual_seed(seed)
    model = Encoder(config).eval()
    ids = torch.randint(config.vocab_size, (2, length))
    padded = torch.cat([ids, torch.randint(config.vocab_size, (2, extra))], 1)
    mask = torch.cat([torch.ones(2, length), torch.zeros(2, extra)], 1)
    for kind in (torch.long, torch.bool, torch.float32):
        assert_close(model(padded, mask.to(kind))[:, :length], model(ids), **CLOSE)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 12), st.integers(0, 10), st.integers(0, 99))
def test_no_leak_from_the_future(length, cut, seed):
    cut = min(cut, length - 2)
    torch.manual_seed(seed)
    model = Encoder(BertConfig(**{**SIZES, "initializer_range": 0.3, "is_decoder": True})).eval()
    ids = torch.randint(60, (2, length))
    other = torch.cat([ids[:, : cut + 1], (ids[:, cut + 1 :] + 1) % 60], 1)
    assert_close(model(ids)[:, : cut + 1], model(other)[:, : cut + 1], atol=1e-6, rtol=0)
    assert not torch.allclose(model(ids)[:, cut + 1 :], model(other)[:, cut + 1 :], atol=1e-4)


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("layer", [MultiHeadAttention, RotaryAttention])
def test_gradients_to_the_future_are_exactly_zero(pre_norm, layer):
    torch.manual_seed(0)
    config = BertConfig(**SIZES)
    block, x = Block(config, pre_norm).eval(), torch.randn(1, 6, 24, requires_grad=True)
    block.attention = layer(config).eval()
    y = block(x, torch.ones(6, 6, dtype=torch.bool).tril())[0]
    for i in range(6):
        (gradient,) = torch.autograd.grad(y[0, i].square().sum(), x, retain_graph=True)
        assert (gradient[0, i + 1 :] == 0).all() and (gradient[0, : i + 1].abs().sum(1) > 0).all()


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_block_without_positions_is_equivariant(pre_norm):
    torch.manual_seed(0)
    block, x, order = (
        Block(BertConfig(**SIZES), pre_norm).eval(),
        torch.randn(2, 9, 24),
        torch.randperm(9),
    )
    assert_close(block(x[:, order])[0], block(x)[0][:, order], **CLOSE)


# ---- files


@pytest.mark.parametrize("theirs", [BertForPreTraining, BertForMaskedLM, BertModel])
def test_files_of_several_models_with_parts_left_out(tmp_path, theirs):
    reference, ids = saved(tmp_path, theirs), torch.randint(60, (2, 7))
    model = Encoder.from_pretrained(tmp_path, ignore=("masked_words", "pair", "pooler"))
    assert not model.training
    core = reference if theirs is BertModel else reference.bert
    assert_close(model(ids), core(ids).last_hidden_state, **CLOSE)


def test_a_file_of_the_pretraining_model_needs_nothing_left_out(tmp_path):
    reference, ids = saved(tmp_path), torch.randint(60, (2, 7))
    words, pairs = EncoderForPreTraining.from_pretrained(tmp_path)(ids)
    assert_close(words, reference(ids).prediction_logits, **CLOSE)
    assert_close(pairs, reference(ids).seq_relationship_logits, **CLOSE)


def test_names_of_the_first_bert_files_and_their_copies(tmp_path):
    "Older files say gamma and beta, and hold position numbers and the tied matrix a second time."
    reference, ids = saved(tmp_path), torch.randint(60, (2, 7))
    weights = load_file(tmp_path / "model.safetensors")
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    old = {
        next((n.replace(new, first) for new, first in names.items() if new in n), n): w
        for n, w in weights.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(16)[None]
    old["cls.predictions.decoder.weight"] = weights[
        "bert.embeddings.word_embeddings.weight"
    ].clone()
    old["cls.predictions.decoder.bias"] = weights["cls.predictions.bias"].clone()
    save_file(old, tmp_path / "model.safetensors")
    assert_close(
        EncoderForPreTraining.from_pretrained(tmp_path)(ids)[0],
        reference(ids).prediction_logits,
        **CLOSE,
    )


def test_a_missing_weight_is_named(tmp_path):
    saved(tmp_path, BertModel)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.attention.self.key.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"missing \['blocks.1.attention.key.bias'\], surplus \[\]"
    ):
        Encoder.from_pretrained(tmp_path)
    assert Encoder.from_pretrained(tmp_path, ignore=("blocks.1.attention.key.bias",))


def test_a_surplus_weight_is_named(tmp_path):
    saved(tmp_path, BertForPreTraining)
    with pytest.raises(ValueError, match=r"missing \[\], surplus .*pair.weight.*see `ignore`"):
        Encoder.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="surplus .*masked_words.dense.weight"):
        Encoder.from_pretrained(tmp_path, ignore=("pair",))


def test_a_model_of_another_size_is_refused(tmp_path):
    saved(tmp_path, BertModel)
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace('"vocab_size": 60', '"vocab_size": 61'))
    with pytest.raises(RuntimeError, match="words.weight.*60.*61"):
        Encoder.from_pretrained(tmp_path)


def test_a_file_of_an_encoder_has_no_heads(tmp_path):
    saved(tmp_path, BertModel)
    with pytest.raises(ValueError, match="missing .*masked_words.bias"):
        EncoderForPreTraining.from_pretrained(tmp_path)


@pytest.mark.parametrize("place", ["nowhere", "google-bert/bert-base-uncased"])
def test_a_folder_that_is_not_there(place):
    with pytest.raises(FileNotFoundError, match=f"{place}.*snapshot_download"):
        Encoder.from_pretrained(place)


@pytest.mark.parametrize("kind", [RobertaConfig, XLMRobertaConfig, CamembertConfig])
def test_a_model_with_the_same_names_is_refused(tmp_path, kind):
    "Its weights would fit, but its positions are counted from 2."
    AutoModel.from_config(kind(**SIZES, type_vocab_size=1)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"{kind.model_type}', not BERT: .*AutoModel"):
        Encoder.from_pretrained(tmp_path)


def test_positions_of_another_kind_are_refused(tmp_path):
    saved(tmp_path, BertModel)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text()) | {"position_embedding_type": "relative_key"}
    file.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="'relative_key' positions"):
        Encoder.from_pretrained(tmp_path)


def test_a_file_in_half_precision_is_read_in_full(tmp_path):
    reference = saved(tmp_path, BertModel).bfloat16()
    reference.save_pretrained(tmp_path)
    assert Encoder.from_pretrained(tmp_path).words.weight.dtype == torch.float32


# ---- what is refused


@pytest.mark.parametrize("shape", [(1, 17), (1, 0), (5,), (1, 2, 3)])
def test_input_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match="max_position_embeddings=16"):
        Encoder(BertConfig(**SIZES))(torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize("shape", [(1, 4), (2, 5), (5,), (1, 1, 1, 5), (1, 5, 5)])
def test_mask_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"attention_mask has shape .*\(1, 5\)"):
        Encoder(BertConfig(**SIZES))(torch.zeros(1, 5, dtype=torch.long), torch.ones(shape))


def test_sizes_that_do_not_go_together():
    with pytest.raises(ValueError, match="hidden_size=24 .*num_attention_heads=5"):
        Encoder(BertConfig(**{**SIZES, "num_attention_heads": 5}))
    with pytest.raises(ValueError, match="hidden_act='swash' .*gelu"):
        Encoder(BertConfig(**SIZES, hidden_act="swash"))
    with pytest.raises(ValueError, match="tie_word_embeddings=False"):
        MaskedWordHead(BertConfig(**SIZES, tie_word_embeddings=False))
    with pytest.raises(ValueError, match="7 features"):
        rotate(torch.zeros(3, 7))
    with pytest.raises(ValueError, match="width=7"):
        sinusoidal(3, 7)


# ---- counts, start, positions


@random_sizes
@given(config=configs(), batch=st.integers(1, 3), data=st.data())
def test_counts_are_those_of_the_model(config, batch, data):
    length = data.draw(st.integers(1, config.max_position_embeddings))
    model, counts = EncoderForPreTraining(config), parameter_count(config)
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters())
    assert sum(counts.values()) == sum(p.numel() for p in BertForPreTraining(config).parameters())
    encoder = sum(p.numel() for p in Encoder(config).parameters())
    assert counts["embeddings"] + counts["blocks"] + counts["pooler"] == encoder
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(batch, length, dtype=torch.long))
    assert counter.get_total_flops() == sum(flop_count(config, batch, length).values())


def test_a_fresh_model_starts_as_bert_does():
    torch.manual_seed(0)
    config = BertConfig(
        **{**SIZES, "vocab_size": 5000, "hidden_size": 96, "initializer_range": 0.05}
    )
    model = EncoderForPreTraining(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(0.05, rel=0.1), name
        elif parameter.ndim == 1:
            assert (parameter == (1.0 if "norm.weight" in name else 0.0)).all(), name
    ids = torch.randint(5000, (4, 16))
    loss = F.cross_entropy(model.eval()(ids)[0].flatten(0, 1), torch.randint(5000, (64,)))
    assert loss.item() == pytest.approx(math.log(5000), rel=0.1)


def test_the_words_are_tied():
    model = EncoderForPreTraining(BertConfig(**SIZES))
    assert not any(
        p.shape == model.words.weight.shape
        for n, p in model.named_parameters()
        if n != "words.weight"
    )
    model(torch.tensor([[3, 4]]))[0][..., 9].sum().backward()
    assert model.words.weight.grad[9].abs().sum() > 0 and model.words.weight.grad[3].abs().sum() > 0


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 300), st.integers(0, 99))
def test_rotary_scores_depend_on_the_distance(length, half, shift, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k = torch.randn(2, 2, length, 2 * half, generator=generator, dtype=torch.float64).unbind()
    moved = torch.arange(length) + shift
    assert_close(
        rotate(q) @ rotate(k).mT, rotate(q, moved) @ rotate(k, moved).mT, atol=1e-3, rtol=0
    )
    assert_close(rotate(q).norm(dim=-1), q.norm(dim=-1), atol=1e-5, rtol=1e-5)
    angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(half) / half)
    cos, sin = (torch.cat([f(angles)] * 2, -1)[None] for f in (torch.cos, torch.sin))
    theirs = apply_rotary_pos_emb(q[None], k[None], cos.double(), sin.double())
    assert_close((rotate(q)[None], rotate(k)[None]), theirs, atol=1e-5, rtol=0)


def test_rotary_attention_sees_order_and_keeps_its_type():
    torch.manual_seed(0)
    config, x = BertConfig(**SIZES), torch.randn(1, 6, 24)
    layer = RotaryAttention(config).eval()
    assert not torch.allclose(layer(x.flip(1))[0], layer(x)[0].flip(1), atol=1e-3)
    assert layer.bfloat16()(x.bfloat16())[0].dtype == torch.bfloat16


def test_sinusoidal_positions_know_their_distance():
    table = sinusoidal(300, 64)
    products = table @ table.T
    assert_close(products.diagonal(3), products[0, 3].expand(297), atol=1e-3, rtol=0)
    assert_close(table[5, :2], torch.tensor([math.sin(5), math.cos(5)]))
    assert_close(
        table[7, -2:],
        torch.tensor([math.sin(7 * 10000 ** (-62 / 64)), math.cos(7 * 10000 ** (-62 / 64))]),
    )


# ---- on a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_the_gpu_gives_the_same_vectors(minilm, dtype, atol):
    tokenizer, ours, _ = minilm
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=512, return_tensors="pt")
    real = batch["attention_mask"].bool()
    on_gpu = Encoder.from_pretrained(find_model("minilm")).to("cuda", dtype)
    with torch.inference_mode():
        expected = ours(**batch)[real]
        found = on_gpu(**batch.to("cuda")).float().cpu()[real]
    assert_close(found, expected, atol=atol, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("causal", [False, True])
def test_parity_with_transformers_on_the_gpu(causal):
    ours, theirs = twins(BertConfig(**SIZES, is_decoder=causal, attn_implementation="eager"))
    ours, theirs = ours.cuda(), theirs.cuda()
    ids = torch.randint(60, (3, 11), device="cuda")
    mask = (torch.arange(11, device="cuda") < torch.tensor([[11], [1], [6]], device="cuda")).long()
    with torch.inference_mode():
        (words, pairs), expected = ours(ids, mask), theirs(ids, attention_mask=mask)
    assert_close(words[mask.bool()], expected.prediction_logits[mask.bool()], atol=1e-4, rtol=0)
    assert_close(pairs, expected.seq_relationship_logits, atol=1e-4, rtol=0)


@pytest.mark.gpu
def test_rotation_and_attention_on_the_gpu():
    q, k, v = (torch.randn(2, 3, 40, 16, device="cuda") for _ in range(3))
    mask = torch.ones(40, 40, dtype=torch.bool, device="cuda").tril()
    assert_close(
        attention(q, k, v, mask)[0],
        F.scaled_dot_product_attention(q, k, v, is_causal=True),
        atol=1e-4,
        rtol=1e-3,
    )
    assert_close(rotate(q).cpu(), rotate(q.cpu()), atol=1e-4, rtol=0)
