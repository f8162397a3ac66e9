"Byte-pair encoding: the fast version against counting anew, and against the `tokenizers` library."

import itertools
import json
import re
import time
from collections import Counter

import pytest
from hostile import HOSTILE, LETTERS
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from llm_practice.data.sources import load
from llm_practice.engine.merges import apply_merges, learn_merges


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
    model.train_from_iterator(
        words,
        trainers.BpeTrainer(vocab_size=size, min_frequency=min_frequency, show_progress=False),
    )
    merges = [tuple(pair) for pair in json.loads(model.to_str())["model"]["merges"]]
    return model, sorted(model.get_vocab(), key=model.token_to_id), merges


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(LETTERS, st.integers(1, 5), min_size=1, max_size=12),
    st.integers(1, 40),
    st.sampled_from(["", "##"]),
    st.integers(1, 3),
)
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


@pytest.mark.parametrize(
    "name, size", [("bbc-news", 6000), ("peoples-daily", 9000), ("chinese-reviews", 7000)]
)
def test_merges_equal_the_librarys_on_real_text(name, size):
    words = [word for text in load(name)["text"][:900] for word in re.findall(r"\w+|[^\w\s]", text)]
    tokens, merges = learn_merges(Counter(words), size, min_frequency=2)
    model, *theirs = library_bpe(words, size, 2)
    assert theirs == [tokens, merges]
    ranks, known = {pair: rank for rank, pair in enumerate(merges)}, set(tokens)
    for text in [*load(name)["text"][-50:], *HOSTILE]:
        for word in text.split():
            kept = "".join(c for c in word if c in known)
            assert apply_merges(kept, ranks) == [
                token.value for token in model.model.tokenize(word)
            ]


def test_a_long_word_takes_no_long_time():
    texts = load("bbc-news")["text"][:100]
    _, merges = learn_merges(Counter(" ".join(texts[-100:]).split()), 1500)
    word, ranks = (
        "".join(texts[-100:]).replace(" ", "")[:100_000],
        {pair: rank for rank, pair in enumerate(merges)},
    )
    start = time.perf_counter()
    assert "".join(apply_merges(word, ranks)) == word
    assert time.perf_counter() - start < 20
