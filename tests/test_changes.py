"Each change touches its share of the words, and no word that is not free."

import numpy as np
import pytest

from llm_practice.data.augmentation import generator
from llm_practice.engine.changes import (
    CHANGES,
    delete,
    homophone_noise,
    insert,
    keyboard_noise,
    ocr_noise,
    outside_names,
    replace_mentions,
    replace_synonyms,
    swap,
    synonyms_of,
)
from llm_practice.engine.lexicons import look_alikes


def words_of(edits):
    return [edit.word for edit in edits]


@pytest.mark.parametrize("method", CHANGES)
def test_the_rate_is_the_share_of_words(method):
    words = "film market happy government game company good house their week".split() * 3
    counts = []
    for seed in range(300):
        new = words_of(CHANGES[method](words, 0.25, generator("x", seed)))
        counts.append(abs(len(new) - len(words)) or sum(a != b for a, b in zip(new, words)))
    if method == "swap":
        assert (
            5.5 < np.mean(counts) < 7.5
        )  # each swap moves two words, some of them equal, some back
    elif method == "homophones":
        assert 0 < np.mean(counts) <= 7.5 * 1.02
    else:
        assert np.mean(counts) == pytest.approx(7.5, rel=0.02)


@pytest.mark.parametrize("method", CHANGES)
def test_only_free_words_change(method):
    words = "film market happy government 电影 高兴 权利 their week game".split()
    free = [i % 2 == 0 for i in range(len(words))]
    for seed in range(30):
        new = words_of(CHANGES[method](words, 0.9, generator("x", seed), free))
        assert [w for w in new if w in words[1::2]].count("market") >= 1
        assert not set(words[1::2]) - set(new)


def test_sizes():
    words = "a b c d e f g h i j".split()
    rng = generator("x")
    assert sorted(words_of(swap(words, 1, rng))) == words
    assert len(delete(words, 1, rng)) == 1 and len(delete(words, 0.5, rng)) == 5
    assert words_of(delete(["only"], 1, rng)) == ["only"] and delete([], 1, rng) == []
    assert words_of(swap(["only"], 1, rng)) == ["only"]
    assert len(insert(["film"] * 10, 0.5, rng)) == 15 and words_of(insert(["xyzzy"], 1, rng)) == [
        "xyzzy"
    ]


def test_own_thesaurus_and_case():
    found = replace_synonyms(["Film", "x"], 1, generator("a"), synonyms={"film": ["movie"]})
    assert words_of(found) == ["Movie", "x"]
    assert synonyms_of("Film") and all(word[0].isupper() for word in synonyms_of("Film"))
    assert all(synonyms_of(word) == () for word in ("的", "the", "", "3"))


@pytest.mark.parametrize("word", ["Hello", "HELLO", "naïve", "房间", "2024"])
def test_a_typing_error_is_one_letter(word):
    new = words_of(keyboard_noise([word], 1, generator(word)))[0]
    assert len(new) == len(word) and new.isupper() == word.isupper()
    assert sum(a != b for a, b in zip(new, word)) == (0 if word in ("房间", "2024") else 1)


def test_misread_and_misheard():
    misread = {words_of(ocr_noise(["modern"], 1, generator("x", seed)))[0] for seed in range(60)}
    assert misread >= {"modem", "rnodern", "m0dern"}
    assert words_of(ocr_noise(["未"], 1, generator("x")))[0] in look_alikes()["未"]
    assert words_of(homophone_noise(["their"], 1, generator("x"))) == ["there"]


def test_names_and_what_stands_between_them():
    words, tags = ["Ann", "saw", "then", "Bob", "!"], ["I-PER", "O", "O", "I-PER", "O"]
    assert outside_names(words, tags) == [False, True, True, False, False]
    assert outside_names(words, tags, deleting=True) == [False, False, True, False, False]
    new = replace_mentions(words, tags, 1.0, generator("x"), {"PER": [("王", "芳")]})
    assert new == (
        ["王", "芳", "saw", "then", "王", "芳", "!"],
        ["B-PER", "I-PER", "O", "O", "B-PER", "I-PER", "O"],
    )


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="rate=2"):
        swap(["a", "b"], 2, generator("a"))
    with pytest.raises(ValueError, match="free has 1 values for 2 words"):
        delete(["a", "b"], 0.1, generator("a"), [True])
    with pytest.raises(TypeError, match="is a string: give a list of words"):
        swap("a b", 0.1, generator("a"))
