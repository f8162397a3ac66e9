"Wrong readings, scripts, languages and listed words, for any text."

import pytest
from hostile import ANY, NASTY
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.data.cleaning import STEPS, normalise
from llm_practice.data.sources import load
from llm_practice.engine.languages import (
    chinese_script,
    common_share,
    find_listed,
    identify,
    repair,
    to_simplified,
    to_traditional,
)

# ---- wrong readings


@pytest.mark.parametrize(
    ("written_in", "read_as"),
    [("utf-8", "latin-1"), ("gb18030", "latin-1"), ("gb18030", "cp1252"), ("big5hkscs", "latin-1")],
)
def test_wrong_readings_of_chinese_are_undone(written_in, read_as):
    text = "这家酒店的服务很好，房间也很干净，我们下次还会再来住。"
    text = to_traditional(text) if written_in == "big5hkscs" else text
    try:
        wrong = text.encode(written_in).decode(read_as)
    except UnicodeError:
        pytest.skip(f"{read_as} has no such bytes")
    assert wrong != text and repair(wrong) == text


def test_real_wrong_readings_are_undone_and_right_text_stays():
    reviews = sorted(set(load("chinese-reviews", quiet=True)["text"]))
    garbled = next(text for text in reviews if "\ue714" in text)
    assert "房間硬體設施" in repair(garbled)
    some = [
        *reviews[::40],
        *load("bbc-news", "train[:100]", quiet=True)["text"],
        *load("peoples-daily", "train[:500]", quiet=True)["text"],
    ]
    assert sum(repair(text) != text for text in some) <= 2
    assert (
        repair("caf\u00c3\u00a9 costs \u00c2\u00a35") == "caf\u00e9 costs \u00a35"
        and repair("王克迪") == "王克迪"
        and repair("") == ""
    )


@settings(max_examples=150, deadline=None)
@given(st.one_of(ANY, NASTY))
def test_repair_takes_any_text(text):
    assert isinstance(repair(text), str)


# ---- scripts and languages


def test_scripts():
    assert (
        to_traditional("发展很快，头发很长。") == "發展很快，頭髮很長。"
        and to_simplified("發展很快，頭髮很長。") == "发展很快，头发很长。"
    )
    assert [chinese_script(text) for text in ("发展", "發展", "發展和发展", "天人", "", "abc")] == [
        "simplified",
        "traditional",
        "mixed",
        "either",
        "either",
        "either",
    ]


@settings(max_examples=150, deadline=None)
@given(st.one_of(ANY, NASTY))
def test_converters_take_any_text(text):
    to_simplified(text).encode("utf-8"), to_traditional(text).encode("utf-8"), chinese_script(text)
    steps = (*STEPS, to_simplified)
    once = normalise(text, steps)
    assert normalise(once, steps) == once


def test_languages():
    assert (
        identify("The committee met on Monday and agreed to wait.")[0] == "en"
        and identify("房间很干净，服务员也很热情。")[0] == "zh"
    )
    assert identify("房間很乾淨，服務員也很熱情。")[0] == "zh" and identify("12:30 !!!") == (
        "und",
        0.0,
    ) == identify("")
    assert identify("Le comité s'est réuni lundi et a décidé d'attendre encore.")[0] == "fr"
    assert 0 <= identify("hm")[1] <= 1 and identify("\ud800a" * 9)[0]


# ---- listed words


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet=st.sampled_from(list("ab1 -中文"))),
    st.frozensets(st.text(alphabet=st.sampled_from(list("ab1 中")), max_size=3), max_size=4),
)
def test_listed_words_stand_in_the_text_between_borders(text, words):
    for word in find_listed(text, words):
        assert word in words and word in text
    padded = frozenset(word for word in words if word.strip() and word == word.strip())
    for word in padded:
        assert find_listed(f"，{word}，", frozenset({word})) == [word]


def test_common_characters():
    assert (
        common_share("hotel") == 1.0
        and common_share("\ue714" * 9) == 0.0
        and 0.2 < common_share("这家酒店的服务很好，房间也很干净") < 1
    )
