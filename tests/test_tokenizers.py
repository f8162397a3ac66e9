"""The tokenizers against the library's own, themselves, and texts that break things."""

import functools
import json
import random
import re
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest
from hostile import HOSTILE, any_string, texts_of_all_kinds
from hypothesis import given, settings
from tokenizers import models
from transformers import AutoTokenizer

from llm_practice.data.sources import find_model, load
from llm_practice.data.tokenizers import (
    BYTE_LETTERS,
    SPECIAL_TOKENS,
    TRAINERS,
    best_pieces,
    from_byte_letters,
    from_vocabulary,
    longest_match,
    read_back,
    to_byte_letters,
    token_cost,
    token_html,
    train_bpe,
    train_wordpiece,
)
from llm_practice.engine.merges import apply_merges, learn_merges
from llm_practice.engine.text import replace_surrogates


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
    assert tokenizer.convert_ids_to_tokens(ids["input_ids"]) == [
        "[CLS]",
        "好",
        "[SEP]",
        "坏",
        "[SEP]",
    ]
    assert ids["token_type_ids"] == [0, 0, 0, 1, 1]


def test_same_vocabulary_in_another_process_and_another_order(texts):
    code = (
        "import hashlib; from llm_practice.data.sources import load; from llm_practice.data.tokenizers import train_wordpiece;"
        "t = load('bbc-news')['text'][:60]; v = train_wordpiece(t, 3000).get_vocab();"
        "print('hash', hashlib.sha256(repr(sorted(v.items())).encode()).hexdigest())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert len({run.stdout.split()[-1] for run in runs}) == 1
    some = list(texts[:1500])
    first = train_wordpiece(some, 4000).get_vocab()
    random.Random(0).shuffle(some)
    assert train_wordpiece(some, 4000).get_vocab() == first


@pytest.mark.parametrize("switches", [{}, {"lowercase": False}, {"split_chinese": False}])
def test_saved_and_loaded_is_equal(switches, texts, tmp_path):
    made = train_wordpiece(texts[:500], 4000, **switches)
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
        words = {
            w
            for t in texts[::10]
            for w, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(t))
        }
        assert len(words) > 1000
        for word in words:
            assert longest_match(word, vocabulary) == [
                t.value for t in backend.model.tokenize(word)
            ], word


def test_longest_match_by_hand():
    vocabulary = {"un": 0, "una": 1, "##ble": 2, "##a": 3, "##able": 4}
    assert longest_match("unable", vocabulary) == ["una", "##ble"]
    assert longest_match("unxable", vocabulary) == ["[UNK]"]
    assert longest_match("", vocabulary) == []
    assert (
        longest_match("a" * 101, {"a": 0, "##a": 1}) == ["[UNK]"]
        and len(longest_match("a" * 100, {"a": 0, "##a": 1})) == 100
    )


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
    assert "\ud83d" not in token_html("\ud83d 好", tokenizer)
    assert "<b>" not in shown and "&lt;" in shown and "[UNK] ☃" in shown


def test_wordpiece_is_bpe_with_other_marks(texts):
    some = texts[::6]
    backend = train_wordpiece(some, 3000).backend_tokenizer
    words = [
        w
        for text in some
        for w, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
    ]
    single = Counter("".join(words))
    frequent = {letter for letter, count in single.items() if count >= 2}
    ours, _ = learn_merges(
        Counter(words), 5000, prefix="##", first=SPECIAL_TOKENS, alphabet=frequent, min_frequency=2
    )
    made = train_wordpiece(some, 5000)
    assert made.convert_ids_to_tokens(range(len(made))) == ours


@given(any_string)
@settings(max_examples=200, deadline=None)
def test_bytes_bring_any_string_back(text):
    letters = to_byte_letters(text)
    assert from_byte_letters(letters) == text
    assert (
        letters.isprintable() and " " not in letters and set(letters) <= set(BYTE_LETTERS.values())
    )


def test_letters_of_no_byte_are_refused():
    with pytest.raises(ValueError, match="'好' stands for no byte"):
        from_byte_letters("Ġ好")
    assert from_byte_letters("æĹ", errors="replace") == "\ufffd"


def test_of_two_best_cuts_the_one_with_the_longer_last_piece_is_taken():
    scores = {"<unk>": -9.0, "a": -1.0, "bc": -1.0, "ab": -1.0, "c": -1.0, "b": -5.0}
    library = models.Unigram(list(scores.items()), unk_id=0)
    for word, pieces in (("abc", ["a", "bc"]), ("abcabc", ["a", "bc", "a", "bc"])):
        assert (
            best_pieces(word, scores) == pieces == [token.value for token in library.tokenize(word)]
        )


@pytest.fixture(scope="module")
def four(texts):
    some = [*texts[::5], "Café au lait, 早餐。\n\n"] * 2
    return {name: train(some, 4500) for name, train in TRAINERS.items()}


def hidden(tokenizer, text):
    return tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)


@given(texts_of_all_kinds)
@settings(max_examples=150, deadline=None)
def test_what_was_encoded_comes_back(four, text):
    ids = hidden(four["bytes"], text)["input_ids"]
    assert (
        four["bytes"].decode(ids) == text
        and four["bytes"].unk_token_id not in ids
        or "[UNK]" in text
    )
    for name in ("bpe", "unigram"):
        found = four[name].decode(hidden(four[name], text)["input_ids"])
        if "[UNK]" not in found and not re.search(r"\[(PAD|CLS|SEP|MASK)\]|▁", text):
            assert found == four[name].backend_tokenizer.normalizer.normalize_str(
                text
            ).removeprefix(" ")


@given(texts_of_all_kinds)
@settings(max_examples=150, deadline=None)
def test_offsets_point_at_what_they_name(four, text):
    for name, model in four.items():
        encoded, normalise = hidden(model, text), model.backend_tokenizer.normalizer
        tokens, spans, reached = encoded.tokens(), encoded["offset_mapping"], 0
        covered = set()
        for token, (start, end) in zip(tokens, spans):
            assert 0 <= start <= end <= len(text)
            covered.update(range(start, end))
            named = text[start:end]
            if token in SPECIAL_TOKENS:
                continue
            if name == "bytes":
                if from_byte_letters(token, "replace").isascii():
                    assert from_byte_letters(token) == named
                else:
                    assert from_byte_letters(token, "ignore") in named
            elif name == "wordpiece":
                assert token.removeprefix("##") in normalise.normalize_str(named)
            elif unicodedata.is_normalized("NFC", text):
                assert (
                    token.replace("▁", " ").strip() == named.replace("▁", " ").strip()
                    or token == "▁"
                )
            reached = max(reached, end)
        if name != "wordpiece":
            assert covered >= {
                i for i, c in enumerate(text) if not c.isspace()
            } or not unicodedata.is_normalized("NFC", text)


@given(texts_of_all_kinds)
@settings(max_examples=100, deadline=None)
def test_by_hand_cuts_as_the_library_does(four, text):
    backends = {name: model.backend_tokenizer for name, model in four.items()}
    for name in ("bpe", "unigram", "wordpiece"):
        backend, vocabulary = backends[name], four[name].get_vocab()
        state = json.loads(backend.to_str())["model"]
        normal = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
        if name == "bpe":
            ranks = {tuple(pair): rank for rank, pair in enumerate(state["merges"])}
            cut = functools.partial(apply_merges, ranks=ranks, vocabulary=vocabulary)
        elif name == "unigram":
            scores = {piece: score for piece, score in state["vocab"]}
            cut = functools.partial(best_pieces, scores=scores, longest=16)
        else:
            cut = functools.partial(longest_match, vocabulary=vocabulary)
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal):
            if len(word) <= 1000:
                theirs = [
                    t.value if t.value in vocabulary else "[UNK]"
                    for t in backend.model.tokenize(word)
                ]
                assert cut(word) == theirs, (name, word)


@pytest.mark.parametrize("name", TRAINERS)
def test_each_kind_is_saved_and_loaded(name, four, texts, tmp_path):
    made = four[name]
    made.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    probes = [*texts[:60], *texts[-20:], *HOSTILE]
    assert (
        loaded.get_vocab() == made.get_vocab()
        and loaded(probes)["input_ids"] == made(probes)["input_ids"]
    )
    assert [loaded.decode(ids) for ids in loaded(probes)["input_ids"]] == [
        made.decode(ids) for ids in made(probes)["input_ids"]
    ]
    assert made.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS)
    assert (loaded.pad_token_id, loaded.unk_token_id, loaded.mask_token_id) == (0, 1, 4)
    assert made("a", "b").tokens()[0] == "[CLS]" and made("a", "b").tokens().count("[SEP]") == 2


@pytest.mark.parametrize("name", TRAINERS)
def test_each_kind_is_the_same_from_texts_in_another_order(name, texts):
    some, train = list(texts[::20]), TRAINERS[name]
    first = train(some, 2500)
    assert len(first) <= 2500
    random.Random(1).shuffle(some)
    assert train(some, 2500).backend_tokenizer.to_str() == first.backend_tokenizer.to_str()


@pytest.mark.parametrize("name", TRAINERS)
def test_each_kind_takes_broken_text_and_refuses_what_is_none(name):
    train = TRAINERS[name]
    made = train(["half a pair \ud83d and 早餐 " * 3, "", "e\u0301\u200b"] * 2, 400)
    assert token_cost(made, ["\udc00 a"])["tokens"] > 0
    with pytest.raises(TypeError, match="one string.*list of texts"):
        train("今天天气", 400)
    with pytest.raises(TypeError, match="text 1 is None.*drop the empty rows"):
        train(["a", None], 400)
    with pytest.raises(ValueError, match="vocab_size=3 is too small.*Raise it"):
        train(["今天天气 今天天气"], 3)
    for nothing in ([], ["", ""]):
        with pytest.raises(ValueError, match="give more text"):
            train(nothing, 400)


def test_rare_characters_are_unknown_to_bpe_and_unigram():
    for name in ("bpe", "unigram"):
        made = TRAINERS[name](["好好好 ab ab 坏"], 50)
        assert made("坏")["input_ids"][-2] == made.unk_token_id not in made("好 ab")["input_ids"]
    assert train_bpe(["HOTEL Hotel hotel"] * 3, 60, lowercase=True).tokenize("HOTEL") == ["▁hotel"]


def test_cost_counts_tokens_characters_and_unknown(four):
    cost = token_cost(four["wordpiece"], ["早 餐", "☃"])
    assert cost == {"tokens": 3, "per_character": 1.0, "unknown": pytest.approx(1 / 3)}
    assert token_cost(four["bytes"], [])["tokens"] == 0


def test_lone_surrogates_are_replaced_and_offsets_stay():
    text = "a\ud83d早\udc00"
    assert replace_surrogates(text) == "a\ufffd早\ufffd" and replace_surrogates("plain") == "plain"


@given(texts_of_all_kinds)
@settings(max_examples=100, deadline=None)
def test_what_comes_back_is_what_is_said(four, text):
    for spaces in ("", " ", "  "):
        after = spaces + text
        for name in ("bpe", "unigram"):
            found = four[name].decode(hidden(four[name], after)["input_ids"])
            if "[UNK]" not in found and not re.search(r"\[(PAD|CLS|SEP|MASK)\]", after):
                assert found == read_back(after)


@pytest.mark.parametrize("name", ["bpe", "unigram"])
def test_one_space_at_the_beginning_is_lost_and_no_other(name):
    trained = TRAINERS[name](["ab abc ab, abcd"] * 4, 40)
    cases = {" ab": "ab", "  ab": " ab", "ab": "ab", "ab ": "ab ", "ab▁ab": "ab ab", " ": ""}
    for text, expected in cases.items():
        ids = trained(text, add_special_tokens=False)["input_ids"]
        assert trained.decode(ids) == expected == read_back(text), text
    low = TRAINERS[name](["AB abc ab"] * 4, 40, lowercase=True)
    assert low.decode(low(" AB", add_special_tokens=False)["input_ids"]) == read_back(" AB", True)
