"What the augmentation chapter promises: any text, aligned tags, the same under the same seed; errors."

import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data.augmentation import (
    Augmenter,
    BackTranslation,
    CountedContext,
    augment,
    augment_tagged,
    cut,
    cut_many,
    generator,
    meaning,
    mentions_of,
    overlap,
)
from llm_practice.data.sources import load, mirror
from llm_practice.engine.changes import CHANGES
from llm_practice.engine.edits import weave

# Any code point, halves of surrogate pairs included, and pieces that split, join and surprise in their own ways
ANY = st.text(st.characters(exclude_categories=()), max_size=40)
PIECES = [
    "film", "Market", "their", "WEEK", "isn't", "3.14", "10:30", "rn", "中文", "高兴", "房间很大", "权利", "𠀀", "々", "カナ", "ไทย",
    "é", "e\u0301", "नि", "\u0301", "中\u0301", "\ufe0f", "👩\u200d👩\u200d👧", "🇨🇳", "\u200b", "\u200d", "\u202e", "\u2066", "\u2069", "\ud800",
    "\udfff", "[MASK]", "\0", "\x1f", "\n", "\n\n", "\r\n", "\u2028", " ", "  ", "，", "。", ",", ".", "-", "_", "a" * 300, "不" * 50,
]  # fmt: skip
TEXT = st.one_of(
    ANY,
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
)
RATE = st.floats(0, 1)
METHOD = st.sampled_from(list(CHANGES))
TAGGED = st.lists(st.tuples(st.one_of(st.sampled_from([p for p in PIECES if p.strip()]), st.text(min_size=1, max_size=8)),
                            st.sampled_from(["O", "O", "B-PER", "I-PER", "I-LOC", "B-LOC"])), max_size=14)  # fmt: skip


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
    assert weave(words, gaps) == text
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
        found = [
            c
            for c in text
            if not c.isalnum() and not c.isspace() and unicodedata.category(c)[0] != "M"
        ]
        return sorted(found) if method == "swap" else found  # 3.14 takes its point along

    assert between(Augmenter(method, rate).text(text)) == between(text)


@settings(deadline=None, max_examples=200)
@given(TEXT, st.sampled_from(["swap", "delete"]), RATE)
def test_marks_stay_on_their_letters(text, method, rate):
    new, old = clusters(Augmenter(method, rate).text(text)), clusters(text)
    assert not new - old
    assert method == "delete" or new == old


@settings(deadline=None, max_examples=400)
@given(TAGGED, st.sampled_from([*CHANGES, "mentions"]), RATE, st.integers(0, 3))
@example([("Ann", "I-PER"), ("saw", "O"), ("then", "O"), ("Bob", "I-PER")], "delete", 1.0, 0)
@example([("Ann", "B-PER"), ("Lee", "I-PER"), ("film", "O")], "insert", 1.0, 0)
def test_tags_stay_with_their_words(tagged, method, rate, seed):
    words, tags = [w for w, _ in tagged], [t for _, t in tagged]
    pool = {"PER": [("Zoë", "de", "Vries"), ("王", "芳")], "LOC": [("中国",)]}
    new, new_tags = augment_tagged(words, tags, method, rate=rate, seed=seed, mentions=pool)
    assert len(new) == len(new_tags) and all(isinstance(word, str) for word in new)
    assert (new, new_tags) == augment_tagged(
        words, tags, method, rate=rate, seed=seed, mentions=pool
    )
    if method == "mentions":
        assert [kind for kind, _ in spans(new, new_tags)] == [
            kind for kind, _ in spans(words, tags)
        ]
        assert [w for w, t in zip(new, new_tags) if t == "O"] == [w for w, t in tagged if t == "O"]
    else:
        assert spans(new, new_tags) == spans(words, tags)
        assert bool(new) == bool(words)


def test_nothing_is_put_into_a_name():
    words, tags = (
        ["Good", "Film", "House", "saw", "a", "happy", "film"],
        ["B-ORG", "I-ORG", "I-ORG", "O", "O", "O", "O"],
    )
    for seed in range(40):
        new, new_tags = augment_tagged(words, tags, "insert", rate=1, seed=seed)
        assert new[:3] == words[:3] and new_tags[:4] == [*tags[:3], "O"] and len(new) == 11


def test_tagged_edits_of_corpora():
    daily = load("peoples-daily", quiet=True).select(range(60))
    for tokens, tags in zip(daily["tokens"], daily["tags"]):
        tags = [f"B-{tag}" if tag in (1, 2, 3) else "O" for tag in tags]
        for method in CHANGES:
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
        for method in CHANGES:
            assert spans(*augment_tagged(words, tags, method, rate=0.3)) == spans(words, tags)
        swapped = spans(*augment_tagged(words, tags, "mentions", rate=1, mentions=mentions))
        assert [kind for kind, _ in swapped] == [kind for kind, _ in spans(words, tags)]


def test_tagged_other_schemes_and_several_outside_tags():
    words, tags = (
        "the good film was shown in Paris".split(),
        ["DT", "JJ", "NN", "VB", "VB", "IN", "NNP"],
    )
    for seed in range(20):
        for method in CHANGES:
            new, new_tags = augment_tagged(
                words, tags, method, rate=0.6, seed=seed, outside=("JJ", "NN", "VB")
            )
            assert len(new) == len(new_tags)
            assert [w for w, t in zip(new, new_tags) if t in ("DT", "IN", "NNP")] == [
                "the",
                "in",
                "Paris",
            ]
    swapped = augment_tagged(words, tags, "swap", rate=1, outside=("JJ", "NN", "VB"))
    assert dict(zip(*swapped)) == dict(zip(words, tags))


def test_order_batch_and_process_make_no_difference():
    texts = [
        *load("bbc-news", quiet=True)["text"][:20],
        *load("chinese-reviews", quiet=True)["text"][:40],
    ]
    methods = list(CHANGES)
    whole = augment(texts, methods, rate=0.3, copies=2, keep=False)
    backwards = augment(texts[::-1], methods, rate=0.3, copies=2, keep=False)
    assert sorted(whole.texts) == sorted(backwards.texts)
    alone = [
        t
        for copy in range(2)
        for text in texts
        if (t := Augmenter(methods, 0.3).text(text, copy)) != text
    ]
    assert whole.texts == alone
    code = ("import json, sys; from llm_practice.data.augmentation import CHANGES, augment; "
            "print(json.dumps(augment(json.load(sys.stdin), list(CHANGES), rate=0.3, keep=False).texts))")  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(texts[18:24]),
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert json.loads(run.stdout) == augment(texts[18:24], methods, rate=0.3, keep=False).texts


def test_seed_copy_and_purpose_matter():
    draws = {
        generator("a", 1).random(),
        generator("a", 2).random(),
        generator("b", 1).random(),
        generator("a", 1, "x").random(),
    }
    assert len(draws) == 4
    alike = [f"{name} " + " ".join(map(str, range(100, 130))) for name in ("one", "two", "three")]
    assert len({Augmenter("delete", 0.3).text(text).split(" ", 1)[1] for text in alike}) == 3
    text = load("bbc-news", quiet=True)["text"][0]
    assert (
        len(
            {
                Augmenter("delete", 0.3, seed).text(text, copy)
                for seed in range(3)
                for copy in range(3)
            }
        )
        == 9
    )


def test_augment_keeps_labels_and_sources():
    texts, labels = ["A happy film.", "???", "很高兴看到这个电影"], ["pos", None, "pos"]
    found = augment(texts, ["synonyms", "delete"], labels=labels, copies=3, rate=0.4)
    assert found.texts[:3] == texts and found.methods[:3] == ["", "", ""]
    assert found.labels == [labels[i] for i in found.sources] and len(found) == len(
        found.methods
    ) == len(found.sources)
    assert found.unchanged == 3 + 12 - len(found) - 3 and found.unchanged >= 3
    assert all(text != texts[i] for text, i in list(zip(found.texts, found.sources))[3:])
    assert set(found.methods[3:]) <= {"synonyms", "delete"}
    assert augment([], "swap").texts == [] and augment(texts, "swap", copies=0).texts == texts
    both = augment(texts[:1], ["delete", "keyboard"], together=True, rate=1, keep=False)
    assert both.methods == ["delete+keyboard"]
    assert augment(iter(texts), "delete", labels=iter(labels)).labels[:3] == labels


def test_own_thesaurus_and_function():
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
    (lambda: augment(["a"], labels=[1, 2]), "there are 2 labels for 1 texts"),
    (lambda: augment(["a"], copies=-1), "copies=-1"),
    (lambda: augment(["a"], copies=True), "copies=True"),
    (lambda: augment_tagged(["a"], []), "there are 1 words and 0 tags"),
    (lambda: augment_tagged("ab", ["O", "O"]), "give two lists of the same length"),
    (lambda: augment_tagged(["a"], ["O"], "mentions"), "pass mentions=mentions_of"),
    (lambda: augment_tagged(["a"], ["O"], BackTranslation(list, list)), "BackTranslation rewrites whole texts"),
    (lambda: augment_tagged(["a"], ["O"], "swop"), "method='swop' is unknown"),
    (lambda: mentions_of([(["a"], ["S-PER"])]), "tag 'S-PER' of word 0 is not BIO"),
    (lambda: meaning(["a"], []), "there are 1 texts before and 0 after"),
    (lambda: meaning(["很好"], ["好"]), "which MiniLM cannot read: use overlap"),
])  # fmt: skip
def test_errors_name_the_value(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("call, words", [
    (lambda: augment("one text"), "texts is one string ('one text'): pass a list of texts"),
    (lambda: augment(["a", None]), "text 1 is None, of type NoneType"),
    (lambda: cut(3), "text=3 is of type int"),
])  # fmt: skip
def test_wrong_types(call, words):
    with pytest.raises(TypeError) as caught:
        call()
    assert words in str(caught.value)


def test_context_by_counting():
    texts = [
        "the stock market fell",
        "the housing market fell",
        "the stock market rose",
        "房间很干净",
        "房间非常干净",
    ]
    context = CountedContext(texts)
    assert (
        context.candidates("The", "market")[0][0] == "stock"
        and context.candidates("xyz", "zyx") == []
    )
    assert Augmenter(context, 1).text("The housing market fell").startswith("The stock ")
    assert Augmenter(context, 1).text("") == ""
    assert (
        "非常" in Augmenter(context, 1).text("房间很干净")
        or Augmenter(context, 1).text("房间很干净") == "房间很干净"
    )
    new, tags = augment_tagged(
        ["the", "housing", "market", "fell"], ["O", "B-X", "O", "O"], context, rate=1
    )
    assert new[1] == "housing" and tags == ["O", "B-X", "O", "O"]


def test_back_translation():
    there, back = (
        lambda texts: [text[::-1] for text in texts],
        lambda texts: [text[::-1] + "!" for text in texts],
    )
    both = BackTranslation(there, back)
    assert both("ab") == "ab!" and both.many(["ab", "", " \n", "c"]) == ["ab!", "", " \n", "c!"]
    found = augment(["ab", ""], both, labels=[1, 2])
    assert (
        found.texts == ["ab", "", "ab!"]
        and found.labels == [1, 2, 1]
        and found.methods[-1] == "BackTranslation"
    )
    assert Augmenter([both, "swap"], together=True).text("ab") == "ab!"


@settings(deadline=None, max_examples=100)
@given(TEXT, TEXT)
def test_overlap_is_a_share(a, b):
    same, found = overlap([a], [a])[0], overlap([a], [b])[0]
    assert same == 1 and 0 <= found <= 1 and found == overlap([b], [a])[0]


def test_meaning_orders_changes():
    texts = [
        "The film was shown in all cinemas of the country last week.",
        "Shares in the bank fell sharply on Monday.",
    ]
    near, far = (
        [
            "The movie was shown in every cinema of the country last week.",
            "Stock in the bank fell sharply on Monday.",
        ],
        texts[::-1],
    )
    assert (meaning(texts, texts) > 0.999).all() and (
        meaning(texts, near) > meaning(texts, far) + 0.3
    ).all()


def test_many_are_cut_as_one_by_one():
    texts = [*load("chinese-reviews", quiet=True)["text"][:60], "Café 3.5", ""]
    assert cut_many(texts) == [cut(text) for text in texts]
