"The array signals against plain Python, and any text as input."

import random
import re
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data.quality import FILTERS
from llm_practice.data.sources import load
from llm_practice.engine.signals import GROUPS, SHORT_LINE, STOP_WORDS, signal_arrays, signals
from llm_practice.engine.tokens import (
    END,
    SIGN,
    TextArray,
    find_tokens,
    repeated_keys,
    signal_kinds,
    signal_tokens,
    token_hashes,
)

PIECES = (
    [
        "the",
        "The",
        "of",
        "cat",
        "sat",
        "don't",
        "it's",
        "we'll",
        "5km",
        "1,000",
        "R&B",
        "J.",
        "U.S.",
        "e.g.",
        "--",
        "a-b",
        "x;--",
        "-5",
        "- ",
    ]
    + [
        " ",
        " ",
        " ",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        "\t",
        "\u3000",
        "\u2028",
        "\x85",
        "\x0c",
        ".",
        "...",
        "....",
        "…",
        "#",
        "•",
        "-",
        "!",
        "?",
        ",",
        ";",
        '"',
    ]
    + [
        "{",
        "}",
        "lorem ipsum",
        "Lorem Ipsum",
        "javascript",
        "uses cookies",
        "Terms of Use",
        "privacy policy",
        "一",
        "的",
        "了",
        "不",
        "。",
        "”",
        "！",
        "中文",
    ]
    + [
        "\u200b",
        "\u0301",
        "\ud800",
        "\x00",
        "\ufffd",
        "👨‍👩‍👧",
        "١٢",
        "ａ",
        "É",
        "'",
        "’s",
        "a" * 1001,
        "the cat sat on the mat. " * 3,
    ]
)
MIX = st.lists(
    st.one_of(st.sampled_from(PIECES), st.characters(exclude_categories=())), max_size=60
).map("".join)
ENDS, PUNCTUATION = (set(map(chr, np.flatnonzero(signal_kinds() & bit))) for bit in (END, SIGN))


def top(words: list[str], n: int) -> int:
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    return max(len(gram) * times for gram, times in grams.most_common(1)) if grams else 0


def repeated(words: list[str], n: int) -> int:
    seen, total, at = set(), 0, 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            total, at = total + sum(map(len, gram)), at + n
        else:
            seen.add(gram)
            at += 1
    return total


def again(parts: list[str]) -> tuple[int, int]:
    seen, number, characters = set(), 0, 0
    for part in parts:
        if part in seen:
            number, characters = number + 1, characters + len(part)
        seen.add(part)
    return number, characters


def reference(text: str, language: str) -> dict[str, float]:
    "What datatrove's loops compute, on our tokens."
    words = signal_tokens(text, language)
    real = [w for w in words if any(c not in PUNCTUATION for c in w)]
    per, lines, size = max(1, len(words)), text.splitlines(), max(1, len(text))
    starts, stops = [line.lstrip() for line in lines], [line.rstrip() for line in lines]
    paragraphs, rows = (
        re.split(r"\n{2,}", text.strip()) if text.strip() else [],
        re.split(r"\n+", text),
    )
    full = [row for row in text.split("\n") if row.strip()]
    out = {
        "words": len(real), "word_length": sum(map(len, real)) / max(1, len(real)), "hash_signs": text.count("#") / per,
        "ellipses": (text.count("...") + text.count("…")) / per,
        "bullet_lines": sum(s.startswith(("•", "-")) for s in starts) / max(1, len(lines)),
        "ellipsis_lines": sum(s.endswith(("...", "…")) for s in stops) / max(1, len(lines)),
        "alpha_words": sum(any(map(str.isalpha, w)) for w in words) / per,
        "stop_words": len(set(STOP_WORDS[language]) & set(words)), "characters": len(text),
        "repeated_paragraphs": again(paragraphs)[0] / max(1, len(paragraphs)), "repeated_paragraph_chars": again(paragraphs)[1] / size,
        "repeated_lines": again(rows)[0] / len(rows), "repeated_line_chars": again(rows)[1] / size,
        "ended_rows": sum(row[-1] in ENDS for row in full) / max(1, len(full)),
        "short_rows": sum(len(row) <= SHORT_LINE[language] for row in full) / max(1, len(full)),
        "repeated_row_chars": again(full)[1] / max(1, len(text) - text.count("\n")), "breaks": text.count("\n") / per,
    }  # fmt: skip
    out |= {f"top_{n}gram": top(words, n) / size for n in (2, 3, 4)}
    return out | {f"repeated_{n}grams": repeated(words, n) / size for n in range(5, 11)}


def assert_equal(texts: list[str], language: str) -> None:
    table = signals(texts, language)
    for row, text in enumerate(texts):
        wanted = reference(text, language)
        if not text:
            wanted["repeated_lines"] = 0.0
        got = table.loc[row, list(wanted)].astype(float)
        np.testing.assert_allclose(
            got.to_numpy(),
            np.array(list(wanted.values()), float),
            atol=1e-12,
            err_msg=repr((text, list(wanted))),
        )


@settings(max_examples=250, deadline=None)
@given(st.lists(MIX, min_size=1, max_size=5), st.sampled_from(["en", "zh"]))
@example(["\n", "\n\n", "a\n", "\na", " \n \n", "", "\r\n", "\r"], "en")
@example(["a b a b a b a b", "a b", "b a b", "a", "", "a b a b c d a b a b c d"], "en")
@example(["x ...\n…\n....\n......\n. . .", "-\n•\n - a", "..\n."], "en")
def test_signals_equal_the_loops(texts, language):
    assert_equal(texts, language)


def test_signals_equal_the_loops_on_real_text():
    news, plays = (
        load("bbc-news", quiet=True)["text"][:60],
        load("shakespeare", quiet=True)["text"][:3],
    )
    assert_equal(
        [*news, *(play[:15_000] for play in plays), news[0] * 3, "\n".join([news[1][:200]] * 5)],
        "en",
    )
    daily = load("peoples-daily", quiet=True)["text"]
    assert_equal(["\n".join(daily[i : i + 9]) for i in range(0, 300, 9)], "zh")


@settings(max_examples=100, deadline=None)
@given(st.lists(MIX, min_size=2, max_size=6), st.sampled_from(["en", "zh"]))
def test_a_document_does_not_depend_on_its_neighbours(texts, language):
    together = signals(texts, language)
    alone = pd.concat([signals([text], language) for text in texts], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, check_dtype=False)


def test_batches_are_cut_at_any_size():
    texts = [*load("bbc-news", "train[:40]", quiet=True)["text"], "", "x" * 3000, ""]
    whole = signals(texts)
    for size in (1, 500, 5000):
        pd.testing.assert_frame_equal(
            pd.DataFrame(signal_arrays(texts, "en", list(GROUPS), size)), whole
        )
    assert len(signals([])) == 0 and list(signals([]).columns) == list(whole.columns)


@settings(max_examples=200, deadline=None)
@given(MIX, st.sampled_from(["en", "zh"]))
def test_tokens_are_the_text_without_its_spaces(text, language):
    tokens = signal_tokens(text, language)
    assert "".join(tokens) == "".join(c for c in text if not c.isspace())
    assert all(tokens) and not any(c.isspace() for token in tokens for c in token)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's we'll don't can't I'm you've.", "It 's we 'll do n't ca n't I 'm you 've ."),
        ("the players' goal, rock'n'roll", "the players ' goal , rock'n'roll"),
        ("$1,000.50 and 40% of 5km at 8am", "$ 1,000.50 and 40 % of 5 km at 8 am"),
        ("U.S. J. Smith e.g. this.That end.", "U.S. J. Smith e.g. this . That end ."),
        (
            "share-holder 2004-05 -5 well,-- no--yes --",
            "share - holder 2004 - 05 -5 well,-- no -- yes --",
        ),
        ("R&B AC/DC 9/11 12:30 a:b", "R&B AC / DC 9/11 12:30 a : b"),
        ("Wait... what?! (yes)", "Wait ... what ? ! ( yes )"),
    ],
)
def test_english_is_cut_as_spacy_cuts_it(text, tokens):
    assert signal_tokens(text) == tokens.split()


def test_chinese_is_cut_into_characters():
    assert signal_tokens("他在R&B店花了1,000元。", "zh") == [
        "他",
        "在",
        "R&B",
        "店",
        "花",
        "了",
        "1,000",
        "元",
        "。",
    ]


@pytest.mark.parametrize(
    ("text", "sentences", "lorem", "curly"),
    [
        ("One two three. Four five six.\nSeven eight nine!\nno end here\ntoo short.", 3, 0, 0),
        ('He said "go away now." Then he left us.\nIs it? Yes it is, U.S. law says.', 4, 0, 0),
        (
            "This is fine here.\nYou need JavaScript to see it.\nThis site uses cookies a lot.",
            1,
            0,
            0,
        ),
        ("A { b c.\nLorem ipsum dolor sit amet.", 2, 1, 1),
        ("A { without an end\nlorem ipsum and so on", 0, 0, 0),
        ("It goes on and on...\n" + "a" * 1001 + " b c d.", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_c4(text, sentences, lorem, curly):
    row = signals([text], groups=["c4"]).iloc[0]
    assert (row["sentences"], row["lorem_ipsum"], row["curly_brackets"]) == (
        sentences,
        lorem,
        curly,
    )


SHAPES = {
    "one line": "a", "spaces": " ", "line ends": "\n", "marks": "e\u0301\u0316", "invisible": "a\u200b", "direction": "\u202ea", "zeros": "\0",
    "half pairs": "\ud800", "broken": "\ufffd", "emoji": "👨‍👩‍👧", "dots": "...", "dashes": "-a", "digits": "1.", "Chinese": "的中", "mixed": "a中1!",
    "quotes": "'s", "again": "the cat ", "brackets": "{[", "returns": "\r\n",
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear_in_the_size(shape):
    seconds = []
    for size in (100_000, 800_000):
        text = SHAPES[shape] * (size // len(SHAPES[shape]))
        start = time.process_time()
        signals([text], "zh" if shape == "Chinese" else "en")
        seconds.append(time.process_time() - start)
    assert seconds[1] < 8 * 4 * max(seconds[0], 0.02), seconds


@pytest.mark.nightly
@pytest.mark.parametrize("shape", SHAPES)
def test_ten_megabytes_of_anything(shape):
    text = SHAPES[shape] * (10_000_000 // len(SHAPES[shape]))
    start = time.process_time()
    signals([text, "a"], "en"), signals([text, "a"], "zh")
    assert time.process_time() - start < 120


def fuzz(number: int, seed: int) -> list[str]:
    "Random documents: pieces, random code points, damaged real text."
    rng = random.Random(seed)
    real = (
        load("bbc-news", quiet=True)["text"][:50]
        + load("chinese-reviews", quiet=True)["text"][:200]
    )
    documents = []
    for _ in range(number):
        kind = rng.random()
        if kind < 0.4:
            text = "".join(rng.choices(PIECES, k=rng.randrange(60)))
        elif kind < 0.6:
            text = "".join(
                chr(
                    rng.choice(
                        (
                            rng.randrange(0x110000),
                            rng.randrange(0x250),
                            rng.randrange(0xD800, 0xE000),
                        )
                    )
                )
                for _ in range(rng.randrange(80))
            )
        else:
            text = rng.choice(real)[: rng.randrange(600)]
            for _ in range(rng.randrange(6)):
                at, piece = rng.randrange(len(text) + 1), rng.choice(PIECES)
                text = text[:at] + piece * rng.choice((1, 1, 1, 9)) + text[at + rng.randrange(4) :]
        documents.append(text)
    return documents


@pytest.mark.parametrize("number", [2000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_random_documents(number):
    documents = fuzz(number, seed=number)
    for language in FILTERS:
        table = signals(documents, language)
        assert (
            len(table) == number
            and np.isfinite(table.to_numpy(float)).all()
            and (table.to_numpy(float) >= 0).all()
        )
        shares = [
            name
            for name in table
            if name.startswith(("repeated", "alpha", "ended", "short", "bullet"))
        ]
        assert (table[shares].to_numpy() <= 1).all()
        for rule in FILTERS[language].values():
            assert [not found for found in rule.batch(documents[:500])] == rule.keep(
                documents[:500]
            ).tolist()
    if number <= 2000:
        assert_equal(documents[::10], "en"), assert_equal(documents[::10], "zh")


def test_groups_are_independent():
    texts = load("bbc-news", quiet=True)["text"][:20]
    whole = signals(texts)
    for group in GROUPS:
        part = signals(texts, groups=[group])
        pd.testing.assert_frame_equal(part, whole[list(part.columns)])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=80))
def test_repeated_keys_are_those_that_occur_twice(numbers):
    keys = np.array([(number * 0x9E3779B97F4A7C15) % 2**64 for number in numbers], np.uint64)
    where, first, count = repeated_keys(keys)
    times = Counter(numbers)
    assert where.tolist() == [i for i, number in enumerate(numbers) if times[number] > 1]
    assert dict(zip(first.tolist(), count.tolist())) == {
        numbers.index(number): n for number, n in times.items() if n > 1
    }


def test_hashes_do_not_depend_on_the_batch():
    texts = ["the cat sat", "naïve the", "中文 the cat", "x" * 3000 + " the"]
    alone = [
        dict(zip(signal_tokens(text), token_hashes(TextArray([text])).tolist())) for text in texts
    ]
    joined = "\n".join(texts)
    pieces, hashes = find_tokens(TextArray(texts)), token_hashes(TextArray(texts))
    together = {
        joined[a:b]: key
        for a, b, key in zip(pieces.start.tolist(), pieces.end.tolist(), hashes.tolist())
    }
    assert all(together[token] == key for known in alone for token, key in known.items()) and len(
        set(together.values())
    ) == len(together)


def test_errors_name_the_way_out():
    with pytest.raises(ValueError, match="language='fr' is unknown: use one of en, zh"):
        signals(["a"], "fr")
    with pytest.raises(ValueError, match="groups='gofer' is unknown: use one of gopher_quality"):
        signals(["a"], groups=["gofer"])
    with pytest.raises(TypeError, match="one string"):
        signals("a")
    with pytest.raises(TypeError, match="None, of type NoneType"):
        signals(["a", None])
