"Unigram training: the lattice against the list of all cuts."

from collections import Counter

import numpy as np
import pytest
from hostile import LETTERS
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.data.sources import load
from llm_practice.data.tokenizers import best_pieces
from llm_practice.engine.unigram import (
    Lattice,
    best_cuts,
    expected_counts,
    learn_unigram,
    seed_pieces,
    unigram_loss,
)


def all_cuts(word):
    return (
        [[word]] + [[word[:i], *rest] for i in range(1, len(word)) for rest in all_cuts(word[i:])]
        if word
        else [[]]
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(LETTERS, min_size=1, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_expected_counts_are_sums_over_all_cuts(words, rng):
    pieces = sorted(
        {
            word[i:j]
            for word in words
            for i in range(len(word))
            for j in range(i + 1, len(word) + 1)
            if j == i + 1 or rng.random() < 0.5
        }
    )
    scores, counts = (
        np.array([rng.uniform(-9, -1) for _ in pieces]),
        np.array([rng.randrange(1, 9) for _ in words], float),
    )
    number, expected, totals = (
        {piece: i for i, piece in enumerate(pieces)},
        np.zeros(len(pieces)),
        [],
    )
    for word, count in zip(words, counts):
        cuts = [
            [number[piece] for piece in cut]
            for cut in all_cuts(word)
            if all(piece in number for piece in cut)
        ]
        weights = np.exp([scores[cut].sum() for cut in cuts])
        totals.append(np.log(weights.sum()))
        for cut, weight in zip(cuts, weights / weights.sum()):
            np.add.at(expected, cut, weight * count)
    lattice = Lattice(words, pieces)
    found, total = expected_counts(lattice, scores, counts)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(total, totals)
    owner, used = best_cuts(lattice, scores)
    for i, word in enumerate(words):
        best = best_pieces(word, dict(zip(pieces, scores)))
        assert "".join(best) == word
        assert scores[used[owner == i]].sum() == pytest.approx(
            sum(scores[number[piece]] for piece in best)
        )


def test_dropping_pieces_leaves_the_lattice_of_the_rest():
    words, pieces = (
        ["football", "footstep", "all"],
        ["a", "b", "e", "f", "l", "o", "p", "s", "t", "foot", "ball", "all", "oo"],
    )
    lattice, kept = (
        Lattice(words, pieces),
        np.array([len(piece) == 1 or piece == "all" for piece in pieces]),
    )
    lattice.keep(kept)
    fewer = Lattice(words, [piece for piece, keep in zip(pieces, kept) if keep])
    for ours, theirs in zip((*lattice.forth, *lattice.back), (*fewer.forth, *fewer.back)):
        np.testing.assert_array_equal(ours, theirs)


def test_unigram_is_the_same_each_time_and_keeps_all_letters():
    reviews = load("chinese-reviews")["text"]
    texts = [*reviews[:2000], *reviews[-2000:], *load("bbc-news")["text"][:100]]
    counts = Counter(word for text in texts[::8] for word in text.split())
    first = learn_unigram(counts, 2500)
    assert learn_unigram(dict(reversed(counts.items())), 2500) == first
    pieces = [piece for piece, _ in first]
    assert len(set(pieces)) == len(pieces) == max(2500, len(set("".join(counts))))
    assert set("".join(counts)) <= set(pieces)
    assert learn_unigram({"aaaa": 3, "b": 1}, 1)[0][0] == "a"


def test_unigram_errors():
    with pytest.raises(ValueError, match="give more text"):
        learn_unigram({"": 3}, 10)
    with pytest.raises(ValueError, match="shrink=1.5 must lie between"):
        learn_unigram({"ab": 3}, 10, shrink=1.5)


def test_seeds_are_all_letters_and_the_substrings_with_the_largest_product():
    counts = {"abab": 3, "cab": 2, "d": 1}
    found = seed_pieces(counts, 2)
    assert list(found)[:4] == ["a", "b", "c", "d"] and found["a"] == 8
    assert list(found)[4:] == ["ab", "abab"] and found["ab"] == 8 * 2 and found["abab"] == 3 * 4
    assert set(seed_pieces(counts, 99, max_length=2)) == {"a", "b", "c", "d", "ab", "ba", "ca"}
    own = learn_unigram(counts, 6, seeds=found)
    assert {piece for piece, _ in own} <= set(found)


def test_the_loss_is_that_of_all_cuts():
    pieces = [("a", -1.0), ("b", -2.0), ("ab", -2.5)]
    expected = -np.logaddexp(-3.0, -2.5) / 2
    assert unigram_loss(pieces, {"ab": 7, "axb": 3}) == pytest.approx(expected)
