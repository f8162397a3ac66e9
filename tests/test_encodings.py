"Which encoding a file is in, when nobody said."

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import CHINESE, LATIN, TRADITIONAL, read, write

from llm_practice.data.sources import load
from llm_practice.engine import encodings
from llm_practice.engine.encodings import detect_encoding, guess_encoding
from llm_practice.engine.reading import read_files
from llm_practice.engine.rows import BrokenFileError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (CHINESE, "utf-16"),
        (CHINESE, "utf-16-le"),
        (CHINESE, "utf-16-be"),
        (CHINESE, "utf-32"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL, "utf-8"),
        (LATIN, "latin-1"),
        (LATIN, "utf-8"),
        (LATIN, "utf-16"),
        ("plain ASCII\nand nothing else\n", "ascii"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_encodings_are_detected(tmp_path, text, encoding, streaming):
    path = tmp_path / "notes.txt"
    path.write_bytes(text.encode(encoding))
    assert [row["text"] for row in read_files(path, streaming=streaming)] == text.splitlines()


def test_real_chinese_text_is_detected_in_gb18030():
    daily = load("peoples-daily", "train[:300]", quiet=True)["text"]
    long_enough = [text for text in daily if len(text) >= 12]
    hits = sum(
        text.encode("gb18030").decode(guess_encoding(text.encode("gb18030"))) == text
        for text in long_enough
    )
    assert hits / len(long_enough) > 0.97


def test_utf8_wins_and_a_foreign_byte_far_into_the_file_is_seen(tmp_path):
    path = tmp_path / "late.txt"
    path.write_bytes(b"plain line\n" * 30_000 + CHINESE.encode("gb18030"))
    assert detect_encoding(path) == "gb18030"
    path.write_bytes(b"plain line\n" * 30_000 + CHINESE.encode("utf-8"))
    assert detect_encoding(path) == "utf-8"


def test_a_given_encoding_overrules_detection(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes("中".encode("gb18030"))
    assert read_files(path, encoding="gb18030", quiet=True)["text"][:] == ["中"]


def test_a_damaged_utf8_file_is_not_taken_for_another_encoding(tmp_path):
    path = tmp_path / "damaged.txt"
    path.write_bytes(CHINESE.encode() + b"\xa35\n")
    for streaming in (False, True):
        with pytest.raises(BrokenFileError, match=r"damaged\.txt:4: not utf-8 .*pass encoding="):
            list(read_files(path, streaming=streaming))


def test_zero_bytes_do_not_make_utf8_another_encoding(tmp_path):
    path = write(tmp_path, "a.txt", CHINESE.replace("，", "\0").encode())
    assert detect_encoding(path) == "utf-8" and len(read(path)[0]) == 3
    for encoding in ("utf-16-le", "utf-16-be"):
        assert (
            detect_encoding(write(tmp_path, "b.txt", "plain words\n".encode(encoding) * 5))
            == encoding
        )
    assert (
        detect_encoding(write(tmp_path, "c.txt", (CHINESE * 9).encode("gb18030") + b"\0"))
        == "gb18030"
    )


def test_only_the_first_part_of_a_large_file_is_asked_for_its_encoding(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "PROBE", 1 << 17)
    path = write(tmp_path, "a.txt", b"plain line\n" * 20_000 + CHINESE.encode("gb18030"))
    found, problems = read(path)
    assert len(found) == 20_000 and [p.line for p in problems] == [20_001, 20_002, 20_003]


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=150)
def test_any_bytes_get_a_guess(data):
    data.decode(guess_encoding(data), "replace")
