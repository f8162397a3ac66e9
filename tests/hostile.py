"Strings made to break things, for the tests of tokenizers."

from hypothesis import strategies as st

LETTERS = st.text(st.sampled_from("abc好的中"), min_size=1, max_size=9)
HOSTILE = [
    "e\u0301\u0323\u0301" * 4,
    "\u200b\u200d\ufeff",
    "\u202egnirts desrever\u202c",
    "👩‍👩‍👧👍🏽🇨🇳",
    "x" * 5000,
    "好" * 3000,
    "a\u0300" * 700,
    "\x00\x01\x7f\t\r\n  ",
    "Ｆｕｌｌ　ｗｉｄｔｈ，１２３",
    "ﬁ Å Ω",
    "\U0001f9ff\U00020000\U0010ffff\ue000",
    "ด้้้้้็็็็็้้้้้",
    "don't  stop\n\n now ",
    "▁a ▁▁b",
    "##ing [MASK] [UNK] Ġthe",
    "",
    " ",
]
texts_of_all_kinds = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.text(st.sampled_from("the cat, 早餐很丰盛。é\u0301\u200b👍\u202e \n'sĠ▁"), max_size=60),
)
any_string = st.one_of(
    texts_of_all_kinds,
    st.text(st.characters(categories=["Cs", "Ll", "Lo", "Mn", "So"]), max_size=30),
)
