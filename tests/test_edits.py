"Words and gaps: cutting loses nothing, edits give text again, rates and flags are checked."

import pytest

from llm_practice.engine.edits import (
    Edit,
    apply_edits,
    check_rate,
    cut_texts,
    default_gaps,
    free_places,
    weave,
)


def cut(text):
    return cut_texts(
        [text], lambda runs: [[run[i : i + 2] for i in range(0, len(run), 2)] for run in runs]
    )[0]


def test_spaces_after_deletion_and_insertion():
    def dropped(text, word):
        words, gaps = cut(text)
        return apply_edits([Edit(w, i, i) for i, w in enumerate(words) if w != word], gaps)

    assert dropped("one two three", "two") == "one three"
    assert dropped("one two, three", "two") == "one, three"
    assert dropped("one two.\n\nthree", "one") == "two.\n\nthree"
    assert dropped("one two three", "three") == "one two"
    assert dropped("我们 abc 去", "abc") == "我们 去"
    assert dropped("abc中def", "中") == "abc def"
    gaps = cut("我们去")[1]
    assert (
        apply_edits([Edit("我们", 0, 0), Edit("咱们", None, 0), Edit("去", 1, 1)], gaps)
        == "我们咱们去"
    )


def test_cutting_many_is_cutting_one_by_one():
    texts = [
        "",
        "Café: 3.5 stars",
        "房间很大，wifi慢",
        "e\u0301" * 5,
        "中\u0301文\ufe0f",
        "一二三 四五",
    ]
    pairs = [cut(text) for text in texts]
    segment = lambda runs: [[run[i : i + 2] for i in range(0, len(run), 2)] for run in runs]
    assert pairs == cut_texts(texts, segment) and [weave(*pair) for pair in pairs] == texts
    assert cut_texts(["房间"])[0][0] == ["房", "间"]


def test_edits_that_change_nothing_give_the_text_back():
    for text in ("One, two.", "房间 很大 😀", "a\n\nb"):
        words, gaps = cut(text)
        assert apply_edits([Edit(word, i, i) for i, word in enumerate(words)], gaps) == text
    assert default_gaps(["我们", "去", "BBC", "News"]) == ["", "", " ", " ", ""] and default_gaps(
        []
    ) == [""]


@pytest.mark.parametrize("rate", [1.5, -0.1, "0.1", float("nan"), True])
def test_a_rate_is_a_share(rate):
    with pytest.raises(ValueError, match="it is the share of words to change"):
        check_rate(rate)


def test_flags_fit_the_words():
    assert free_places(["a", "b"], [False, True]) == [1] and free_places(["a", "b"], None) == [0, 1]
    with pytest.raises(ValueError, match="free has 1 values for 2 words"):
        free_places(["a", "b"], [True])
    with pytest.raises(TypeError, match="is a string: give a list of words"):
        free_places("a b", None)
