"Which encoding a file is in, when nobody said."

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import CHINESE, LATIN, TRADITIONAL, read, write

from llm_practice.data.sources import load
from llm_practice.engine import encodings
from llm_practice.engine.encodings import (
    detect_encoding,
    encoding_evidence,
    guess_encoding,
    other_encoding,
)
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


HERE = ["没什么", "什么时候来", "房间很大，离地铁站也近", "我们等了很久", "早餐还不错"]


@pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
def test_characters_that_pass_for_utf8_do_not_settle_the_guess(tmp_path, encoding):
    text = "\n".join([*["没什么"] * 40, *HERE]) + "\n"
    path = write(tmp_path, "chat.txt", text.encode(encoding))
    assert encoding_evidence(path) == ("gb18030", "guess")
    assert [row["text"] for row in read(path)[0]] == text.splitlines()
    few = write(tmp_path, "few.txt", "没什么\n".encode(encoding))
    assert detect_encoding(few) == "gb18030"


@pytest.mark.parametrize("word", ["Привет", "λόγος", "éèê", "ʃəˈ", "شكرا", "שלום", "ñandú"])
def test_short_files_of_other_scripts_stay_utf8(tmp_path, word):
    assert encoding_evidence(write(tmp_path, "a.txt", f"{word}\n".encode())) == ("utf-8", "bytes")


@pytest.mark.parametrize(
    ("strange", "other"),
    [("Zürich, naïve", "latin-1"), ("这一行是别处来的", "gbk"), ("這一行是別處來的", "big5")],
)
def test_strange_lines_in_utf8_are_told_and_the_others_kept(tmp_path, strange, other):
    lines = "".join(f"第{i}行，说的是房间和服务。\n" for i in range(200))
    for at in (0, 100, 200):
        before, after = lines.splitlines(True)[:at], lines.splitlines(True)[at:]
        data = "".join(before).encode() + strange.encode(other) + b"\n" + "".join(after).encode()
        found, problems = read(write(tmp_path, f"{other}{at}.txt", data))
        assert [row["text"] for row in found] == lines.splitlines()
        assert [p.line for p in problems] == [at + 1]


@pytest.mark.parametrize(
    ("usual", "main", "strange"),
    [
        ("第{}行，说的是房间和服务。", "gbk", "窗外是海，早上很美。"),
        ("第{}行，說的是房間和服務。", "big5", "窗外是海，早上很美。"),
        ("Nº {} déjà vu, très bien", "latin-1", "Größe für Straße"),
    ],
)
def test_a_line_of_utf8_in_another_encoding_is_told(tmp_path, usual, main, strange):
    lines = [usual.format(i) for i in range(100)]
    data = "\n".join(lines[:50]).encode(main) + f"\n{strange}\n".encode()
    path = write(tmp_path, "a.txt", data + "\n".join(lines[50:]).encode(main))
    found, problems = read(path)
    assert [row["text"] for row in found] == lines and [p.line for p in problems] == [51]


@pytest.mark.parametrize(
    "text", ["It is 20 °C today.", "5 £ each", "café", "“Yes” – he said…", "½ cup", "¿Qué?", "35 € ou 40 €"]
)  # fmt: skip
def test_few_western_signs_are_not_chinese(text):
    assert guess_encoding(text.encode("cp1252")) == "cp1252"


@pytest.mark.parametrize(
    "text", ["今天天气很好", "Hello there", "第一行\n第二行是英文 and more\n", "x"]
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_one_line_of_utf16_without_a_mark(tmp_path, text, encoding):
    path = write(tmp_path, "a.txt", text.encode(encoding))
    assert detect_encoding(path) == encoding


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Всеобщая декларация прав человека", "cp1251"),
        ("Всеобщая декларация прав человека", "koi8-r"),
        ("吾輩は猫である。名前はまだ無い。", "shift_jis"),
        ("吾輩は猫である。名前はまだ無い。", "euc_jp"),
        ("모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다", "euc_kr"),
        ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι", "cp1253"),
    ],
)
def test_what_is_not_known_is_asked_and_not_destroyed(tmp_path, text, encoding):
    path = write(tmp_path, "a.txt", f"{text}\nplain\n".encode(encoding))
    found, problems = read(path)
    assert [row["text"] for row in found] == ["plain"] and [p.line for p in problems] == [1]
    assert "pass encoding=" in problems[0].reason
    assert read_files(path, encoding=encoding, quiet=True)["text"][:] == [text, "plain"]


def test_how_an_encoding_is_known_can_be_said(tmp_path):
    marked = write(tmp_path, "a.txt", "中文".encode("utf-8-sig"))
    page = write(tmp_path, "b.html", '<meta charset="big5"><p>我們的文章'.encode("big5"))
    assert encoding_evidence(marked).known_by == "mark"
    assert encoding_evidence(page) == ("big5hkscs", "label")
    assert encoding_evidence(write(tmp_path, "c.txt", CHINESE.encode("gbk"))).known_by == "guess"


RUSSIAN, GREEK, JAPANESE, KOREAN, POLISH, TURKISH = (
    "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "すべての人間は、生まれながらにして自由であり、尊厳と権利とについて平等である。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw, są obdarzeni rozumem.",
    "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler, kardeşçe davranmalıdırlar.",
)


@pytest.mark.parametrize("text", [RUSSIAN, GREEK, JAPANESE, "Всё", "perché no, così è più facile"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_other_alphabets_in_utf16_without_a_mark(tmp_path, text, encoding):
    path = write(tmp_path, "a.txt", f"{text}\n".encode(encoding))
    assert detect_encoding(path) == encoding and read(path)[0][0]["text"] == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        ("Свобода слова", "koi8-r"),
        (GREEK, "cp1253"),
        (JAPANESE, "euc_jp"),
        ("これはペンです", "euc_jp"),
        (JAPANESE, "shift_jis"),
        (KOREAN, "euc_kr"),
        ("우리는 사람이다", "euc_kr"),
        (POLISH, "cp1250"),
        (TURKISH, "cp1254"),
    ],
)
def test_other_languages_are_asked_for_and_not_read_as_chinese_or_western(text, encoding):
    assert guess_encoding(text.encode(encoding)) == "utf-8"


@pytest.mark.parametrize(
    "text", ["Nº 5: déjà vu, très bien, où ça, Noël, île, août, leçon", "Größe für Straße, schöne Grüße, Äpfel, Öl", "¿Qué? ¡Él también! España, añ"[:26]]
)  # fmt: skip
def test_western_languages_stay_western(text):
    assert guess_encoding(text.encode("cp1252")) == "cp1252"


LINES = {
    "gbk": "窗外是海，早上很美，我们还会来。",
    "big5": "窗外是海，早上很美，我們還會來。",
    "shift_jis": "吾輩は猫である。名前はまだ無い。",
    "euc_kr": KOREAN,
    "cp1251": "Всеобщая декларация прав",
}


@pytest.mark.parametrize("main", ["gbk", "big5", "cp1252", "utf-8"])
@pytest.mark.parametrize("strange", LINES)
def test_a_line_of_another_encoding_is_told_and_the_others_kept(tmp_path, main, strange):
    if main == strange:
        return
    usual = {
        "gbk": "第{}行，说的是房间和服务。",
        "utf-8": "第{}行，说的是房间和服务。",
        "big5": "第{}行，說的是房間和服務。",
        "cp1252": "Nº {} Größe für Straße",
    }[main]
    lines = [usual.format(i) for i in range(50)]
    data = "\n".join(lines[:25]).encode(main) + b"\n" + LINES[strange].encode(strange) + b"\n"
    found, problems = read(write(tmp_path, "a.txt", data + "\n".join(lines[25:]).encode(main)))
    assert [row["text"] for row in found] == lines and [p.line for p in problems] == [26]


def test_rare_chinese_and_a_given_encoding_are_left_alone():
    for text in ("氤氲蓊郁氍毹饕餮魑魅魍魉", "こんにちは、世界の皆さん", "Привет всем людям"):
        assert other_encoding(text, "gb18030") is None
    assert other_encoding("Всеобщая декларация прав", "cp1251") is None


def test_one_strange_line_does_not_make_a_file_utf16(tmp_path):
    lines = [f"line {i} of plain words" for i in range(50)]
    data = "\n".join(lines).encode() + b"\n" + "窗外是海".encode("utf-16-le")
    found, problems = read(write(tmp_path, "a.txt", data))
    assert [row["text"] for row in found] == lines and len(problems) == 1
