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


@pytest.mark.parametrize(
    ("label", "code"),
    [("EN", "en"), ("English", "en"), ("en-US", "en"), ("eng", "en"), ("zh_CN", "zh"), ("zh-Hant-TW", "zh"), ("中文", "zh"), ("Chinese (simplified)", "zh"), ("DE", "de"), ("", None), (" ", None), ("unknown", None), ("und", None), ("N/A", None), (None, None)],
)  # fmt: skip
def test_languages_are_known_however_they_are_spelled(label, code):
    from llm_practice.engine.documents import document, language_code

    assert language_code(label) == code
    assert document("text", "a#1", "a", language=label)["language"] == code


def test_a_language_in_any_spelling_keeps_the_document(tmp_path):
    from pipelines import write

    from llm_practice.data.pipeline import process

    labels = ["EN", "English", "en-US", "zh_CN", "", "unknown", None]
    text = "The rain in Spain falls mainly on the plain, and nobody minds it at all."
    write(tmp_path / "x.jsonl", [{"text": text, "language": label} for label in labels])
    made = process({"sources": [str(tmp_path / "x.jsonl")], "steps": ["language"]}, tmp_path / "out", 1)  # fmt: skip
    assert [row["language"] for row in made.rows()] == ["en", "en", "en", "zh", "en", "en", "en"]
