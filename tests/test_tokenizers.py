"""The tokenizers against the library's own, themselves, and texts that break things."""

import functools
import itertools
import json
import random
import re
import subprocess
import sys
import time
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from llm_practice.data.sources import find_model, load
from llm_practice.data.tokenizers import (
    BYTE_LETTERS,
    SPECIAL_TOKENS,
    TRAINERS,
    _Lattice,
    align_tags,
    apply_merges,
    best_pieces,
    from_byte_letters,
    from_vocabulary,
    learn_merges,
    learn_unigram,
    longest_match,
    to_byte_letters,
    token_cost,
    token_html,
    train_bpe,
    train_wordpiece,
    well_formed,
    word_tags,
)


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
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
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
        words = {w for t in texts[::10] for w, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(t))}
        assert len(words) > 1000
        for word in words:
            assert longest_match(word, vocabulary) == [t.value for t in backend.model.tokenize(word)], word


def test_longest_match_by_hand():
    vocabulary = {"un": 0, "una": 1, "##ble": 2, "##a": 3, "##able": 4}
    assert longest_match("unable", vocabulary) == ["una", "##ble"]
    assert longest_match("unxable", vocabulary) == ["[UNK]"]
    assert longest_match("", vocabulary) == []
    assert longest_match("a" * 101, {"a": 0, "##a": 1}) == ["[UNK]"] and len(longest_match("a" * 100, {"a": 0, "##a": 1})) == 100


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


# --- trained by hand, held against the library ------------------------------------------------------------------------

LETTERS = st.text(st.sampled_from("abc好的中"), min_size=1, max_size=9)
HOSTILE = [
    "e\u0301\u0323\u0301" * 4,
    "\u200b\u200d\ufeff",
    "\u202egnirts desrever\u202c",
    "👩‍👩‍👧👍🏽🇨🇳",
    "x" * 5000,
    "好" * 3000,
    "a\u0300" * 700,
    "\x00\x01\x7f\t\r\n  ",
    "Ｆｕｌｌ　ｗｉｄｔｈ，１２３",
    "ﬁ Å Ω",
    "\U0001f9ff\U00020000\U0010ffff\ue000",
    "ด้้้้้็็็็็้้้้้",
    "don't  stop\n\n now ",
    "▁a ▁▁b",
    "##ing [MASK] [UNK] Ġthe",
    "",
    " ",
]
texts_of_all_kinds = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.text(st.sampled_from("the cat, 早餐很丰盛。é\u0301\u200b👍\u202e \n'sĠ▁"), max_size=60),
)
any_string = st.one_of(texts_of_all_kinds, st.text(st.characters(categories=["Cs", "Ll", "Lo", "Mn", "So"]), max_size=30))


def recounted(counts, size, prefix="", min_frequency=1):
    "BPE as it is told: all pairs counted anew for each merge."
    cuts = {word: [prefix * (i > 0) + c for i, c in enumerate(word)] for word in counts}
    tokens, merges = sorted(set().union(*counts).union(*cuts.values())), []
    while len(tokens) < size:
        number, pairs = {token: i for i, token in enumerate(tokens)}, Counter()
        for word, parts in cuts.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs or max(pairs.values()) < min_frequency:
            break
        a, b = pair = min(pairs, key=lambda p: (-pairs[p], number[p[0]], number[p[1]]))
        joined = a + b.removeprefix(prefix)
        for parts in cuts.values():
            i = 0
            while i < len(parts):
                if tuple(parts[i : i + 2]) == pair:
                    parts[i : i + 2] = [joined]
                i += 1
        tokens += [joined] if joined not in number else []
        merges.append(pair)
    return tokens, merges


def library_bpe(words, size, min_frequency=0):
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.train_from_iterator(words, trainers.BpeTrainer(vocab_size=size, min_frequency=min_frequency, show_progress=False))
    merges = [tuple(pair) for pair in json.loads(model.to_str())["model"]["merges"]]
    return model, sorted(model.get_vocab(), key=model.token_to_id), merges


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(LETTERS, st.integers(1, 5), min_size=1, max_size=12), st.integers(1, 40), st.sampled_from(["", "##"]), st.integers(1, 3))
def test_merges_equal_those_of_counting_anew(counts, size, prefix, min_frequency):
    found = learn_merges(counts, size, prefix=prefix, min_frequency=min_frequency)
    assert found == recounted(counts, size, prefix, min_frequency)
    backwards = dict(reversed(counts.items()))
    assert learn_merges(backwards, size, prefix=prefix, min_frequency=min_frequency) == found


@settings(max_examples=100, deadline=None)
@given(st.lists(LETTERS, min_size=1, max_size=30), st.integers(1, 60), st.integers(0, 3))
def test_merges_equal_the_librarys_and_each_token_has_one_origin(words, size, min_frequency):
    tokens, merges = learn_merges(Counter(words), size, min_frequency=min_frequency)
    assert library_bpe(words, size, min_frequency)[1:] == (tokens, merges)
    assert len({"".join(pair) for pair in merges}) == len(merges)


@pytest.mark.parametrize("name, size", [("bbc-news", 6000), ("peoples-daily", 9000), ("chinese-reviews", 7000)])
def test_merges_equal_the_librarys_on_real_text(name, size):
    words = [word for text in load(name)["text"][:900] for word in re.findall(r"\w+|[^\w\s]", text)]
    tokens, merges = learn_merges(Counter(words), size, min_frequency=2)
    model, *theirs = library_bpe(words, size, 2)
    assert theirs == [tokens, merges]
    ranks, known = {pair: rank for rank, pair in enumerate(merges)}, set(tokens)
    for text in [*load(name)["text"][-50:], *HOSTILE]:
        for word in text.split():
            kept = "".join(c for c in word if c in known)
            assert apply_merges(kept, ranks) == [token.value for token in model.model.tokenize(word)]


def test_wordpiece_is_bpe_with_other_marks(texts):
    some = texts[::6]
    backend = train_wordpiece(some, 3000).backend_tokenizer
    words = [w for text in some for w, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))]
    single = Counter("".join(words))
    frequent = {letter for letter, count in single.items() if count >= 2}
    ours, _ = learn_merges(Counter(words), 5000, prefix="##", first=SPECIAL_TOKENS, alphabet=frequent, min_frequency=2)
    made = train_wordpiece(some, 5000)
    assert made.convert_ids_to_tokens(range(len(made))) == ours


def test_a_long_word_takes_no_long_time(texts):
    _, merges = learn_merges(Counter(" ".join(texts[-100:]).split()), 1500)
    word, ranks = "".join(texts[-100:]).replace(" ", "")[:100_000], {pair: rank for rank, pair in enumerate(merges)}
    start = time.perf_counter()
    assert "".join(apply_merges(word, ranks)) == word
    assert time.perf_counter() - start < 20


@given(any_string)
@settings(max_examples=200, deadline=None)
def test_bytes_bring_any_string_back(text):
    letters = to_byte_letters(text)
    assert from_byte_letters(letters) == text
    assert letters.isprintable() and " " not in letters and set(letters) <= set(BYTE_LETTERS.values())


def test_letters_of_no_byte_are_refused():
    with pytest.raises(ValueError, match="'好' stands for no byte"):
        from_byte_letters("Ġ好")
    assert from_byte_letters("æĹ", errors="replace") == "\ufffd"


# --- unigram ---------------------------------------------------------------------------------------------------------


def all_cuts(word):
    return [[word]] + [[word[:i], *rest] for i in range(1, len(word)) for rest in all_cuts(word[i:])] if word else [[]]


@settings(max_examples=60, deadline=None)
@given(st.lists(LETTERS, min_size=1, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_expected_counts_are_sums_over_all_cuts(words, rng):
    pieces = sorted({word[i:j] for word in words for i in range(len(word)) for j in range(i + 1, len(word) + 1) if j == i + 1 or rng.random() < 0.5})
    scores, counts = np.array([rng.uniform(-9, -1) for _ in pieces]), np.array([rng.randrange(1, 9) for _ in words], float)
    number, expected, totals = {piece: i for i, piece in enumerate(pieces)}, np.zeros(len(pieces)), []
    for word, count in zip(words, counts):
        cuts = [[number[piece] for piece in cut] for cut in all_cuts(word) if all(piece in number for piece in cut)]
        weights = np.exp([scores[cut].sum() for cut in cuts])
        totals.append(np.log(weights.sum()))
        for cut, weight in zip(cuts, weights / weights.sum()):
            np.add.at(expected, cut, weight * count)
    lattice = _Lattice(words, pieces)
    found, total = lattice.expected(scores, counts)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(total, totals)
    owner, used = lattice.best(scores)
    for i, word in enumerate(words):
        best = best_pieces(word, dict(zip(pieces, scores)))
        assert "".join(best) == word
        assert scores[used[owner == i]].sum() == pytest.approx(sum(scores[number[piece]] for piece in best))


def test_dropping_pieces_leaves_the_lattice_of_the_rest():
    words, pieces = ["football", "footstep", "all"], ["a", "b", "e", "f", "l", "o", "p", "s", "t", "foot", "ball", "all", "oo"]
    lattice, kept = _Lattice(words, pieces), np.array([len(piece) == 1 or piece == "all" for piece in pieces])
    lattice.keep(kept)
    fewer = _Lattice(words, [piece for piece, keep in zip(pieces, kept) if keep])
    for ours, theirs in zip((*lattice.forth, *lattice.back), (*fewer.forth, *fewer.back)):
        np.testing.assert_array_equal(ours, theirs)


def test_unigram_is_the_same_each_time_and_keeps_all_letters(texts):
    counts = Counter(word for text in texts[::8] for word in text.split())
    first = learn_unigram(counts, 2500)
    assert learn_unigram(dict(reversed(counts.items())), 2500) == first
    pieces = [piece for piece, _ in first]
    assert len(set(pieces)) == len(pieces) == max(2500, len(set("".join(counts))))
    assert set("".join(counts)) <= set(pieces)
    assert learn_unigram({"aaaa": 3, "b": 1}, 1)[0][0] == "a"


def test_of_two_best_cuts_the_one_with_the_longer_last_piece_is_taken():
    scores = {"<unk>": -9.0, "a": -1.0, "bc": -1.0, "ab": -1.0, "c": -1.0, "b": -5.0}
    library = models.Unigram(list(scores.items()), unk_id=0)
    for word, pieces in (("abc", ["a", "bc"]), ("abcabc", ["a", "bc", "a", "bc"])):
        assert best_pieces(word, scores) == pieces == [token.value for token in library.tokenize(word)]


def test_unigram_errors():
    with pytest.raises(ValueError, match="give more text"):
        learn_unigram({"": 3}, 10)
    with pytest.raises(ValueError, match="shrink=1.5 must lie between"):
        learn_unigram({"ab": 3}, 10, shrink=1.5)


# --- four tokenizers --------------------------------------------------------------------------------------------------


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
    assert four["bytes"].decode(ids) == text and four["bytes"].unk_token_id not in ids or "[UNK]" in text
    for name in ("bpe", "unigram"):
        found = four[name].decode(hidden(four[name], text)["input_ids"])
        if "[UNK]" not in found and not re.search(r"\[(PAD|CLS|SEP|MASK)\]|▁", text):
            assert found == four[name].backend_tokenizer.normalizer.normalize_str(text).removeprefix(" ")


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
                assert token.replace("▁", " ").strip() == named.replace("▁", " ").strip() or token == "▁"
            reached = max(reached, end)
        if name != "wordpiece":
            assert covered >= {i for i, c in enumerate(text) if not c.isspace()} or not unicodedata.is_normalized("NFC", text)


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
                theirs = [t.value if t.value in vocabulary else "[UNK]" for t in backend.model.tokenize(word)]
                assert cut(word) == theirs, (name, word)


@pytest.mark.parametrize("name", TRAINERS)
def test_each_kind_is_saved_and_loaded(name, four, texts, tmp_path):
    made = four[name]
    made.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    probes = [*texts[:60], *texts[-20:], *HOSTILE]
    assert loaded.get_vocab() == made.get_vocab() and loaded(probes)["input_ids"] == made(probes)["input_ids"]
    assert [loaded.decode(ids) for ids in loaded(probes)["input_ids"]] == [made.decode(ids) for ids in made(probes)["input_ids"]]
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
    with pytest.raises(TypeError, match="a text is None.*drop the empty rows"):
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


def test_lone_surrogates_are_replaced_and_offsets_stay():
    text = "a\ud83d早\udc00"
    assert well_formed(text) == "a\ufffd早\ufffd" and well_formed("plain") == "plain"


def test_cost_counts_tokens_characters_and_unknown(four):
    cost = token_cost(four["wordpiece"], ["早 餐", "☃"])
    assert cost == {"tokens": 3, "per_character": 1.0, "unknown": pytest.approx(1 / 3)}
    assert token_cost(four["bytes"], [])["tokens"] == 0


# --- tags -------------------------------------------------------------------------------------------------------------

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def test_tags_of_english_and_chinese_words(four):
    bert = AutoTokenizer.from_pretrained(find_model("minilm"))
    words, tags = ["Thierry", "Henry", "left", "Highbury", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"]
    first = align_tags(words, tags, bert, names=NAMES)
    assert first.tokens()[1:9] == ["thierry", "henry", "left", "high", "##bury", ".", "[SEP]"][:8]
    assert first["labels"] == [-100, 1, 2, 0, 3, -100, 0, -100]
    assert align_tags(words, tags, bert, names=NAMES, pieces="all")["labels"] == [-100, 1, 2, 0, 3, 4, 0, -100]
    assert align_tags(words, tags, bert, pieces="all")["labels"][4:6] == ["B-LOC", "I-LOC"]
    assert align_tags(words, [1, 2, 0, 3, 0], bert)["labels"] == first["labels"]
    zh = align_tags(["北京", "可以", "的"], ["B-LOC", "O", "O"], four["wordpiece"], names=NAMES, pieces="all")
    assert zh.tokens() == ["[CLS]", "北", "京", "可", "以", "的", "[SEP]"] and zh["labels"] == [-100, 3, 4, 0, 0, 0, -100]
    assert word_tags(zh["labels"], zh.word_ids(), 3) == [3, 0, 0]


def test_a_name_whose_first_word_has_no_piece_begins_at_the_next(four):
    words, tags = ["\u200b", "Henry", "Smith", "in", "\u200b", "Rome"], ["B-PER", "I-PER", "I-PER", "O", "B-LOC", "B-LOC"]
    found = align_tags(words, tags, four["wordpiece"])
    assert word_tags(found["labels"], found.word_ids(), 6) == ["O", "B-PER", "I-PER", "O", "O", "B-LOC"]
    found = align_tags(["\u200b", "\u200b", "Henry", "x"], ["B-PER", "I-PER", "I-LOC", "O"], four["wordpiece"])
    assert word_tags(found["labels"], found.word_ids(), 4) == ["O", "O", "I-LOC", "O"]


@given(
    st.lists(st.tuples(texts_of_all_kinds.filter(lambda text: len(text) < 80), st.sampled_from(NAMES)), max_size=8),
    st.sampled_from(["first", "all"]),
    st.sampled_from(["", " "]),
)
@settings(max_examples=150, deadline=None)
def test_tags_survive_the_way_to_tokens_and_back(four, pairs, pieces, space):
    words, tags = [word for word, _ in pairs], [tag for _, tag in pairs]
    for model in four.values():
        found = align_tags(words, tags, model, names=NAMES, pieces=pieces, space=space)
        owners = found.word_ids()
        assert len(found["labels"]) == len(found["input_ids"]) == len(owners)
        assert all((label == -100) == (owner is None) for label, owner in zip(found["labels"], owners)) or pieces == "first"
        back = word_tags(found["labels"], owners, len(words), missing=None)
        for i, (tag, label) in enumerate(zip(tags, back)):
            assert (label is None) == (i not in owners)
            assert label is None or NAMES[label] == tag or tag.startswith("I-") and NAMES[label] == "B" + tag[1:]
        begun = [label for label in found["labels"] if label != -100 and NAMES[label].startswith("B-")]
        assert len(begun) <= sum(tag != "O" for tag in tags)


def test_space_makes_words_as_in_running_text(four):
    words = ["The", "hotel", "was", "good"]
    running = four["bytes"](" ".join(words))["input_ids"]
    assert align_tags(words, ["O"] * 4, four["bytes"], space=" ")["input_ids"] == running
    assert align_tags(words, ["O"] * 4, four["bytes"])["input_ids"] != running
    assert align_tags(words, ["O"] * 4, four["bpe"])["input_ids"] == four["bpe"](" ".join(words))["input_ids"]


def test_tags_errors_name_the_value_and_the_way_out(four):
    model = four["wordpiece"]
    for call, error, pattern in [
        (lambda: align_tags("Henry", ["O"], model), TypeError, "one string.*list of words"),
        (lambda: align_tags(["a", "b"], ["O"], model), ValueError, "2 words have 1 tags"),
        (lambda: align_tags(["a"], ["B-FOO"], model, names=NAMES), ValueError, "'B-FOO' is not among the names: O, B-PER"),
        (lambda: align_tags(["a"], [9], model, names=NAMES), ValueError, "tag 9 is not among"),
        (lambda: align_tags(["a"], [-1], model, names=NAMES), ValueError, "tag -1 is not among"),
        (lambda: align_tags(["a"], [None], model, names=NAMES), ValueError, "tag None is not among"),
        (lambda: align_tags(["a"], ["O"], model, pieces="last"), ValueError, "pieces='last' is unknown: use one of first, all"),
        (lambda: align_tags(["北京"], ["B-X"], model, names=["O", "B-X"], pieces="all"), ValueError, "'I-X' is needed.*pieces='first'"),
        (lambda: align_tags(["a"], ["O"], object()), TypeError, "use a fast tokenizer"),
        (lambda: align_tags(["a"], ["O"], model, return_overflowing_tokens=True), ValueError, "cut the words up"),
        (lambda: word_tags([1, 2], [0], 1), ValueError, "2 labels for 1 tokens"),
    ]:
        with pytest.raises(error, match=pattern):
            call()


def test_tags_with_truncation_and_padding(four):
    found = align_tags(["好"] * 50, ["O"] * 50, four["wordpiece"], names=NAMES, truncation=True, max_length=12)
    assert len(found["labels"]) == 12 and found["labels"][-1] == -100
    found = align_tags(["好"], ["O"], four["wordpiece"], names=NAMES, padding="max_length", max_length=6)
    assert found["labels"] == [-100, 0, -100, -100, -100, -100]
    assert word_tags(found["labels"], found.word_ids(), 1) == [0]
