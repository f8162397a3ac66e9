"The fast packing makes the rows of the slow rule, loses no text, and stays fast for a million."

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.engine.packing import pack_lengths, patterns


def best_fit_decreasing(lengths, capacity):
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        rooms.remove(min(fitting)) if fitting else None
        rooms.append((min(fitting) if fitting else capacity) - length)
    return sorted(rooms)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 40).flatmap(
        lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=80))
    ),
    st.none() | st.integers(0, 9),
)
@example((10, [10, 10, 5, 5, 5, 1]), None)
def test_counts_pack_as_the_slow_rule_does(case, seed):
    capacity, lengths = case
    rows = pack_lengths(lengths, capacity, seed)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert sorted(capacity - sum(lengths[i] for i in row) for row in rows) == best_fit_decreasing(
        lengths, capacity
    )
    assert rows == pack_lengths(lengths, capacity, seed)


def test_a_million_texts_pack_full_and_another_seed_puts_others_together():
    lengths = np.clip(np.random.default_rng(0).lognormal(4, 1, 10**6).astype(int), 1, 512)
    rows = pack_lengths(lengths, 512, seed=0)
    assert lengths.sum() / (512 * len(rows)) > 0.999
    assert max(int(lengths[row].sum()) for row in rows[:1000]) <= 512
    assert np.bincount(np.concatenate([np.asarray(row) for row in rows])).tolist() == [1] * len(
        lengths
    )
    assert rows[0] != pack_lengths(lengths, 512, seed=1)[0]


def test_another_seed_puts_other_texts_of_one_length_together():
    together = [{frozenset(row) for row in pack_lengths([3] * 40, 6, seed)} for seed in (0, 0, 1)]
    assert together[0] == together[1] != together[2]


def test_patterns_hold_all_counts_and_no_row_overflows():
    counts = {7: 2, 5: 1, 3: 4, 2: 3}
    found = patterns(counts, 10)
    assert all(sum(length * times for length, times in content) <= 10 for _, content in found)
    for length, count in counts.items():
        assert count == sum(
            rows * times for rows, content in found for l, times in content if l == length
        )


@pytest.mark.parametrize("lengths, message", [
    ([3, 12], "text 1 has 12 tokens, a row holds 1 to capacity=10"),
    ([3, 0], "text 1 has 0 tokens"),
])  # fmt: skip
def test_errors_name_the_text(lengths, message):
    with pytest.raises(ValueError, match=message):
        pack_lengths(lengths, 10)
