"Strings made to break things, for the tests of tokenizers, cleaning and languages."

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

# Any code point, halves of surrogate pairs included, and many of those that the steps look for
ANY = st.text(st.characters(exclude_categories=()))
NASTY = st.lists(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from(
            [
                "&amp;",
                "&",
                "#",
                "3",
                "８",
                ";",
                "amp;",
                "lt;",
                "<",
                ">",
                "br",
                "<br/>",
                "<!--",
                "-->",
                "<p",
                " class='",
            ]
            + [
                "\u200b",
                "\u200d",
                "\ufeff",
                "\u202e",
                "\ud83d",
                "\ude00",
                "\r",
                "\n",
                "\u2028",
                "\x85",
                " ",
                "\u3000",
            ]
            + [
                "\xa0",
                "ａ",
                "！",
                "!",
                "e",
                "\u0301",
                "\u0323",
                "👨",
                "\ufe0f",
                "中",
                "가",
                "\u1100",
                "\u1161",
                "'",
            ]
        ),
    ),
    max_size=40,
).map("".join)
