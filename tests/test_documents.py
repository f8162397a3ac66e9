"One form for every document, with its provenance."

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.engine.documents import dialogue_text, document
from llm_practice.engine.text import replace_surrogates


def test_dialogues_become_text():
    assert dialogue_text(["Hello", "你好"]) == "Hello\n你好"
    assert (
        dialogue_text(
            [{"role": "user", "content": "a"}, {"from": "gpt", "value": "b"}, {"text": "c"}]
        )
        == "user: a\ngpt: b\nc"
    )
    for wrong in ([1], [{}], [{"role": "user"}], [["a"]], [None]):
        with pytest.raises(ValueError, match="a turn is a string, or has one of content"):
            dialogue_text(wrong)


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)),
)
@settings(deadline=None, max_examples=100)
def test_a_document_keeps_text_and_facts(text, meta):
    row = document(text, "a#1", "a", meta=meta)
    assert (
        row["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        and row["licence"] == "unknown"
        and row["origin"] == "a#1"
    )
    assert set(json.loads(row["meta"])) == {replace_surrogates(k) for k in meta}
