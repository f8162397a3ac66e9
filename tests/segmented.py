"Any text, and segmenters that learned from a few lines, for the tests of segmenters and words."

from collections import Counter

from hypothesis import strategies as st

from llm_practice.engine.lattice import LatticeSegmenter
from llm_practice.engine.segmenter import HMMSegmenter, MaxMatch

ANY = st.text(st.characters(exclude_categories=()))
PIECES = "the don't it's cats' e.g. U.S. Dr. 1,234.5 10:30 21st 3D well-known state-of-the-art @bbc #news a_b".split()
PIECES += [
    "https://bbc.co.uk/a?b=1#c",
    "www.x.cn",
    "me@mail.example.com",
    "naïve",
    "e\u0301",
    "\u0301",
    "👩🏽\u200d💻",
    "🇨🇳",
    "1️⃣",
    "\u200d",
]
PIECES += [
    "研究",
    "研究生",
    "生命",
    "的",
    "人",
    "１９９８年",
    "３．５％",
    "38.5元",
    "一九九八年",
    "葛\U000e0100",
    "\U00020000",
    "の",
    "カナ",
    "한국",
    "ไทย",
]
PIECES += [
    " ",
    "\n",
    "\t",
    "\u3000",
    "\u200b",
    "\u202e",
    "\ufeff",
    "\u00ad",
    "\ud83d",
    "\ude00",
    "😀",
    "，",
    "。",
    "……",
    "——",
    "...",
    "'",
    "’",
    "-",
    "\x00",
]
PIECES += [
    "\uffff",
    "\ufffe",
    "\x1c",
    "\u2028",
    "a" * 300,
    "国" * 300,
    "7" * 300,
    "." * 50,
    "@" * 50,
    "://",
]
TEXT = st.one_of(ANY, st.lists(st.sampled_from(PIECES), max_size=40).map("".join))

LINES = [["研究", "生命", "的", "起源"], ["研究生", "在", "北京", "学习"], ["他", "说", "的", "确实", "在理", "。"],
         ["１９９８年", "，", "中国", "人民", "在", "北京"], ["中国人民", "的", "生命"], ["李", "建兴", "说", "３．５％"]]  # fmt: skip
COUNTS = Counter(word for line in LINES for word in line)
ALL = [MaxMatch(COUNTS, way) for way in ("forward", "backward", "both")]
ALL += [LatticeSegmenter(COUNTS), HMMSegmenter.fit(LINES), LatticeSegmenter.fit(LINES)]
