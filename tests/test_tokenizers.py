"""The tokenizer against the library's own encoder, itself, and texts that break things."""

import random
import subprocess
import sys

import pytest
from transformers import AutoTokenizer

from llm_practice.data.sources import find_model, load
from llm_practice.data.tokenizers import SPECIAL_TOKENS, from_vocabulary, longest_match, token_html, train_wordpiece


@pytest.fixture(scope="module")
def texts():
    reviews = load("chinese-reviews")["text"]
    return [*reviews[:2000], *reviews[-2000:], *load("bbc-news")["text"][:100]]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return train_wordpiece(texts, 5000)


def test_special_tokens_come_first_and_frame_a_text(tokenizer):
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS)
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id) == (0, 1, 4)
    ids = tokenizer("好", "坏")
    assert tokenizer.convert_ids_to_tokens(ids["input_ids"]) == ["[CLS]", "好", "[SEP]", "坏", "[SEP]"]
    assert ids["token_type_ids"] == [0, 0, 0, 1, 1]


def test_same_vocabulary_in_another_process_and_another_order(texts):
    code = (
        "import hashlib; from llm_practice.data.sources import load; from llm_practice.data.tokenizers import train_wordpiece;"
        "t = load('bbc-news')['text'][:60]; v = train_wordpiece(t, 3000).get_vocab();"
        "print('hash', hashlib.sha256(repr(sorted(v.items())).encode()).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert len({run.stdout.split()[-1] for run in runs}) == 1
    some = list(texts[:1500])
    first = train_wordpiece(some, 4000).get_vocab()
    random.Random(0).shuffle(some)
    assert train_wordpiece(some, 4000).get_vocab() == first


@pytest.mark.parametrize("settings", [{}, {"lowercase": False}, {"split_chinese": False}])
def test_saved_and_loaded_is_equal(settings, texts, tmp_path):
    made = train_wordpiece(texts[:500], 4000, **settings)
    made.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    probes = [*texts[:200], "Café ÉCOLE 北京 Ünïcode", "", "  ", "[MASK] 好"]
    assert loaded.get_vocab() == made.get_vocab()
    assert loaded(probes)["input_ids"] == made(probes)["input_ids"]
    assert (loaded.mask_token_id, loaded.pad_token_id) == (made.mask_token_id, made.pad_token_id)


def test_switches_do_what_they_say(texts):
    few = ["Hotel HOTEL hotel 中国人民 中国人民"] * 5
    assert train_wordpiece(few, 100).tokenize("HOTEL 中国人民") == ["hotel", "中", "国", "人", "民"]
    assert train_wordpiece(few, 100, lowercase=False).tokenize("HOTEL") == ["HOTEL"]
    assert train_wordpiece(few, 100, split_chinese=False).tokenize("中国人民") == ["中国人民"]


def test_rare_characters_are_unknown_and_a_vocabulary_is_not_exceeded(texts):
    small = train_wordpiece(texts, 5000, min_frequency=20)
    assert len(small) <= 5000
    assert train_wordpiece(["好好好 坏"], 50).tokenize("好坏") == ["好", "[UNK]"]
    assert len(train_wordpiece(["ab ab"], 50)) < 50


def test_longest_match_equals_the_library(tokenizer, texts):
    bert = AutoTokenizer.from_pretrained(find_model("minilm"))
    for model in (tokenizer, bert):
        vocabulary, backend = model.get_vocab(), model.backend_tokenizer
        words = {w for t in texts[::10] for w, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(t))}
        assert len(words) > 1000
        for word in words:
            assert longest_match(word, vocabulary) == [t.value for t in backend.model.tokenize(word)], word


def test_longest_match_by_hand():
    vocabulary = {"un": 0, "una": 1, "##ble": 2, "##a": 3, "##able": 4}
    assert longest_match("unable", vocabulary) == ["una", "##ble"]
    assert longest_match("unxable", vocabulary) == ["[UNK]"]
    assert longest_match("", vocabulary) == []


def test_offsets_point_into_the_text(tokenizer):
    text = "早餐  Café，Très bon！\n房间"
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    pieces = [text[a:b] for a, b in encoded["offset_mapping"]]
    assert "".join(pieces) == "".join(text.split())


def test_errors_name_the_value_and_the_way_out(texts):
    with pytest.raises(ValueError, match="vocab_size=100 is too small.*Raise it"):
        train_wordpiece(texts, 100)
    with pytest.raises(TypeError, match="one string.*list of texts"):
        train_wordpiece("今天天气", 100)
    with pytest.raises(ValueError, match="give more text"):
        train_wordpiece([], 100)
    with pytest.raises(ValueError, match=r"lacks \[PAD\]"):
        from_vocabulary(["[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"])


def test_html_is_escaped_and_shows_what_unknown_hides(tokenizer):
    shown = token_html("<b>好</b> ☃", tokenizer)
    assert "<b>" not in shown and "&lt;" in shown and "[UNK] ☃" in shown
