"What texts share: pieces of documents, runs of a test set."

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_texts import ANY, MIXED, words_of

from llm_practice.data.dedup import shingles
from llm_practice.engine.spans import RunIndex, cut_spans, repeated_spans, repeated_substrings


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("ab中", max_size=25), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(2, 3),
)
def test_spans_cover_what_several_documents_share(texts, length, documents):
    def windows(text):
        return {text[i : i + length] for i in range(len(text) - length + 1)}

    counts = Counter(window for text in texts for window in windows(text))
    for text, spans in zip(texts, repeated_spans(texts, length, documents)):
        expected = {
            i for i in range(len(text) - length + 1) if counts[text[i : i + length]] >= documents
        }
        assert {i for start, end, _ in spans for i in range(start, end - length + 1)} == expected
        covered = {i for start in expected for i in range(start, start + length)}
        assert cut_spans(text, spans) == "".join(c for i, c in enumerate(text) if i not in covered)
        assert all(counts[text[start : start + length]] == number for start, _, number in spans)


def test_repeated_substrings():
    footer = "All rights reserved by the publisher."
    found = repeated_substrings(
        [f"{words_of(20, i)} {footer} {words_of(9, -i - 1)}" for i in range(6)],
        length=20,
        documents=3,
    )
    assert len(found) == 1 and footer in found["text"][0] and found["documents"][0] == 6
    assert repeated_substrings([], 5).empty and repeated_substrings(["abc"], 5).empty
    with pytest.raises(ValueError, match="documents=1"):
        repeated_spans(["a"], 5, 1)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(ANY, MIXED), max_size=6))
def test_spans_of_any_text_can_be_cut(texts):
    for text, spans in zip(texts, repeated_spans(texts, 3)):
        assert all(0 <= start < end <= len(text) and number >= 2 for start, end, number in spans)
        rest = iter(text)
        assert all(character in rest for character in cut_spans(text, spans))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(ANY, MIXED), max_size=5), st.lists(st.one_of(ANY, MIXED), max_size=5))
def test_runs_are_those_of_sets(train, test):
    found = RunIndex(test, words=2, characters=3).search(iter(train))
    runs = [[shingles(text, 2, 3) for text in texts] for texts in (train, test)]
    expected = {
        (i, j): len(a & b) / len(b)
        for i, a in enumerate(runs[0])
        for j, b in enumerate(runs[1])
        if a & b
    }
    assert {(a, b): share for a, b, share in found.itertuples(index=False)} == pytest.approx(
        expected
    )
    assert (np.diff(found["share"]) <= 0).all()
