"Every word of a dictionary at every place, signs that stand for characters, chunks and columns."

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segmented import TEXT

from llm_practice.engine.matching import (
    WALL,
    Trie,
    chunks_above,
    columns,
    dictionary_forms,
    join_counts,
    longest_first,
    read_signs,
    spread_ranges,
    uncrossed,
)
from llm_practice.engine.text import HAN


@settings(deadline=None, max_examples=100)
@given(
    st.sets(st.text("甲乙丙\U00020000", min_size=1, max_size=5), max_size=15),
    st.text("甲乙丙丁\U00020000", max_size=30),
)
def test_the_trie_finds_every_word_everywhere(vocabulary, text):
    names = sorted(vocabulary)
    codes = np.array([*map(ord, text), 0xFFFF], np.uint32)
    single, longer = Trie(names).find(codes)
    found = {(i, names[w]) for i, w in enumerate(single.tolist()) if w >= 0}
    found |= {
        (p, names[w])
        for _, places, numbers in longer
        for p, w in zip(places.tolist(), numbers.tolist())
    }
    assert found == {(i, w) for w in names for i in range(len(text)) if text.startswith(w, i)}
    assert all(
        (np.array([len(names[w]) for w in numbers]) == size).all() for size, _, numbers in longer
    )


def test_a_dense_dictionary_gets_its_slots():
    "Every pair of 150 signs is a word: no base can be found by chance among so many children."
    signs = [chr(0x4E00 + i) for i in range(150)]
    names = [a + b for a in signs for b in signs]
    row = "".join(signs) + chr(WALL)
    single, longer = Trie(names).find(np.array(list(map(ord, row)), np.uint32))
    assert (single == -1).all() and [length for length, _, _ in longer] == [2]
    assert [names[word] for word in longer[0][2]] == [a + b for a, b in zip(signs, signs[1:])]


def test_a_trie_of_single_signs_and_an_empty_text():
    single, longer = Trie(["甲"]).find(np.array([ord("甲"), ord("乙")], np.uint32))
    assert single.tolist() == [0, -1] and longer == []
    single, longer = Trie(["甲乙"]).find(np.zeros(0, np.uint32))
    assert len(single) == 0 and longer == []


def kind_of(character):
    if character.isspace():
        return "wall"
    if character.isdigit():
        return "digit"
    if character.isalpha() and not re.match(f"[{HAN}\u3040-\u30ff]", character):
        return "letter"
    return (
        "mark" if character == "\u200d" or unicodedata.category(character)[0] == "M" else character
    )


def signs_by_hand(text):
    "Sign and place of each, one character at a time."
    kinds = [kind_of(character) for character in text]
    for i in range(1, len(text) - 1):
        if text[i] in ".．·" and kind_of(text[i - 1]) == kind_of(text[i + 1]) == "digit":
            kinds[i] = "digit"
    found = []
    for i, kind in enumerate(kinds):
        if kind == "mark" and i and kinds[i - 1] != "wall":
            continue
        if not (found and kind == found[-1][0] and kind in ("digit", "letter")):
            found.append((kind, i))
    names = {"wall": chr(WALL), "digit": "0", "letter": "a", "mark": "\ufffe"}
    odd = {"\uffff": "\ufffd", "\ufffe": "\ufffd"}
    odd |= {chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F) if not chr(c).isalnum()}
    odd |= dict(zip("\"'-[]{}.", "“‘—（）（）."))
    return [(names.get(kind) or odd.get(kind, kind), i) for kind, i in found]


@settings(deadline=None, max_examples=300)
@given(TEXT)
def test_signs_are_those_of_the_slow_form(text):
    signs = read_signs([text])
    expected = signs_by_hand(text + "\n")
    assert [(chr(c), p) for c, p in zip(signs.codes.tolist(), signs.places.tolist())] == expected
    assert signs.ends.tolist() == [len(text)] and len(signs.raw) == len(text) + 1


def test_words_of_one_form_are_one_word():
    assert dictionary_forms(["１９９８年", "3.14", "ＯＫ", "a b"]) == [
        "0年",
        "0",
        "a",
        f"a{chr(WALL)}a",
    ]
    names, counts = join_counts({"1998年": 2, "２００５年": 3, "a b": 9, "": 1})
    assert names == ["0年"] and counts.tolist() == [5]
    with pytest.raises(ValueError, match="no word among its 1 entries"):
        join_counts({" ": 1})


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 9), max_size=20))
def test_columns_hold_every_cell_once(sizes):
    begin = np.cumsum([0, *sizes])[:-1]
    few, begin, size = longest_first(begin.astype(np.int64), np.array(sizes, np.int64))
    assert sorted([n for _, n in few] + size.tolist()) == sorted(sizes)
    assert all(n >= max(size, default=0) for _, n in few)
    if len(size):
        start, row, step = columns(size)
        cells = sorted(zip(row.tolist(), step.tolist()))
        assert cells == [(r, s) for r, n in enumerate(size.tolist()) for s in range(n)]
        assert (start[step] + row == np.arange(len(row))).all()
    ranges = spread_ranges(np.array([3, 0], np.int64), np.array([2, 3], np.int64))
    assert ranges.tolist() == [3, 4, 0, 1, 2]


def test_chunks_lie_between_places_that_no_word_crosses():
    longer = [(2, np.array([0, 4]), np.array([0, 0])), (3, np.array([4]), np.array([1]))]
    free = uncrossed(8, longer)
    assert np.flatnonzero(free).tolist() == [0, 2, 3, 4, 7, 8]
    begin, size = chunks_above(free, 2)
    assert begin.tolist() == [4] and size.tolist() == [3]
