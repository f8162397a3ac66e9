"A masked model reads around the mask and takes any text; translators keep texts and lines apart."

import shutil
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data.augmentation import (
    Augmenter,
    BackTranslation,
    Contextual,
    augment_tagged,
    cut,
    generator,
)
from llm_practice.data.sources import find_model
from llm_practice.engine import rewriting

PIECES = ["film", "Market", "isn't", "3.14", "中文", "房间很大", "e\u0301", "中\u0301", "👩\u200d👩\u200d👧", "\u202e", "\ud800", "\udfff",
          "[MASK]", "\0", "\n\n", "\u2028", " ", "，", ".", "a" * 300, "不" * 50]  # fmt: skip
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
)


def encodes(text):
    try:
        return bool(text.encode("utf-8")) or True
    except UnicodeEncodeError:
        return False


@pytest.fixture(scope="module")
def masked():
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(find_model("minilm"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    return Contextual(BertForMaskedLM(config), tokenizer, top_k=5)


@settings(deadline=None, max_examples=40)
@given(TEXT)
@example("The film is [MASK] good. [MASK]")
@example("film " * 2000)
@example("a" * 3000 + " film " + "b" * 3000)
def test_contextual_takes_any_text(masked, text):
    text = text[:12000]
    augmenter = Augmenter(masked, 0.1 if len(text) > 400 else 0.5)
    if len(cut(text)[0]) > 200:
        augmenter = Augmenter(masked, 0.005)
    new = augmenter.text(text)
    assert new == augmenter.text(text) and (encodes(new) or not encodes(text))


def test_contextual_words(masked):
    words = "The new film of the week was shown in 房间".split()
    new = [edit.word for edit in masked.edits(words, 1.0, generator("x"))]
    assert len(new) == len(words) and new[0][0].isupper() and len(new[-1]) == 2
    assert all(word.isalpha() for word in new) and sum(a != b for a, b in zip(new, words)) >= 8
    assert all(token.isalpha() for token, _ in masked.candidates("The film was", "."))
    chances = [p for _, p in masked.candidates("The film was", ".")]
    assert chances == sorted(chances, reverse=True) and len(chances) <= 5
    new, tags = augment_tagged(words, ["O", "O", "B-X", *["O"] * 7], masked, rate=1.0)
    assert new[2] == "film" and tags[2] == "B-X"


def test_contextual_reads_around_the_mask(masked):
    "The model sees the text on both sides with the mask in place of the word."
    seen, inner = [], masked.model

    class Spy:
        device = inner.device

        def eval(self):
            return self

        def __call__(self, **batch):
            seen.append(masked.tokenizer.decode(batch["input_ids"][0]))
            return inner(**batch)

    spy = Contextual(Spy(), masked.tokenizer, top_k=5)
    Augmenter(spy, 1.0).text("Films, good ones.")
    assert sorted(seen) == sorted(
        [
            "[CLS] [MASK], good ones. [SEP]",
            "[CLS] films, [MASK] ones. [SEP]",
            "[CLS] films, good [MASK]. [SEP]",
        ]
    )


def test_a_mask_in_the_text_is_no_mask(masked, monkeypatch):
    read, inner = [], masked.model

    class Spy:
        device = inner.device

        def __call__(self, **batch):
            read.append(int((batch["input_ids"] == masked.tokenizer.mask_token_id).sum()))
            return inner(**batch)

    monkeypatch.setattr(masked, "model", Spy())
    Augmenter(masked, 1.0).text("[MASK] a film [MASK] of [MASK][MASK]")
    assert read and set(read) == {1}


def test_contextual_needs_a_mask():
    with pytest.raises(ValueError, match="has no mask token"):
        Contextual(None, object())


def test_apertium_absent(monkeypatch):
    monkeypatch.setattr(rewriting.shutil, "which", lambda name: None)
    with pytest.raises(
        RuntimeError,
        match="Apertium is not installed: run `apt-get install apertium apertium-eng-spa`",
    ):
        BackTranslation.apertium()


APERTIUM = pytest.mark.skipif(
    not shutil.which("apertium") or not Path("/usr/share/apertium/modes/eng-spa.mode").exists(),
    reason="no apertium with eng-spa",
)


@APERTIUM
def test_apertium_keeps_texts_and_lines_apart():
    translated = BackTranslation.apertium()
    texts = [
        "The house is big.\n\nI am happy.",
        "",
        "The film was good",
        "a\u0301 \ud800 中文 \0 [x] ^y$ {z} \\ / @ < >",
        "  one \r\n two  ",
    ]
    found = translated.many(texts)
    assert (
        len(found) == len(texts)
        and found[1] == ""
        and "\n\n" in found[0]
        and "happy" in found[0].split("\n\n")[1].lower()
    )
    assert all(map(encodes, found)) and found == [translated(text) for text in texts]
    assert "film" in found[2].lower() and found[4].startswith("  ") and "\r\n" in found[4]


@APERTIUM
def test_apertium_unknown_pair():
    with pytest.raises(RuntimeError, match="Apertium has no pair 'eng-tlh', only"):
        BackTranslation.apertium("eng", "tlh")
