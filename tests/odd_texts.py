"Any text at all, and texts of invented words, for the tests of duplicates."

import random

from hypothesis import strategies as st

# Any code point, halves of surrogate pairs included, and many that split, join and fold in their own ways
ANY = st.text(st.characters(exclude_categories=()))
PIECES = [
    "the",
    "cat",
    "sat",
    "中",
    "文",
    "很好",
    "の",
    "ไทย",
    "한국",
    "é",
    "e\u0301",
    "\u0301",
    "ß",
    "ﬁ",
    "ＡＢ",
    "İ",
    "½",
    "８",
]
PIECES += [
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\x00",
    "\u200b",
    "\u202e",
    "\ufeff",
    "\ud83d",
    "\ude00",
    "😀",
    "，",
    "。",
    ".",
    "_",
    "\u3000",
]
MIXED = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
TEXTS = st.lists(st.one_of(ANY, MIXED), max_size=8)


def words_of(count, seed=0):
    rng = random.Random(seed)
    return " ".join("".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(count))
