"Any bytes as files: what is sound is read, what is not is reported."

import contextlib
import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, IterableDataset
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from written import CHINESE, PARTS, parquet, read, seconds, write, zstd

from llm_practice.data.sources import documents, iter_documents
from llm_practice.engine import rows as rows_module
from llm_practice.engine.documents import DOCUMENT
from llm_practice.engine.reading import read_files
from llm_practice.engine.rows import BrokenFileError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


# ---- lines


def test_broken_lines_are_reported_with_their_bytes_and_all_others_are_read(tmp_path):
    path = write(tmp_path, "a.txt", CHINESE.encode() + b"\xa35 for a pint\nfour\n\xff\n")
    found, problems = read(path)
    assert [d["text"] for d in found] == [*CHINESE.splitlines(), "four"]
    assert [(p.line, p.raw) for p in problems] == [(4, b"\xa35 for a pint\n"), (6, b"\xff\n")]
    assert "byte 0xa3 at character 1" in problems[0].reason and str(problems[0]).startswith(
        "a.txt:4: not utf-8"
    )
    found, problems = read(path, errors="replace")
    assert [d["text"] for d in found][3:] == [
        "\ufffd5 for a pint",
        "four",
        "\ufffd",
    ] and not problems


@pytest.mark.parametrize("streaming", [False, True])
def test_a_function_gets_every_problem_each_time(tmp_path, streaming):
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n{"text": \n{"text": "c"}\n')
    for _ in range(2):
        problems = []
        rows = list(read_files(path, on_error=problems.append, streaming=streaming, quiet=True))
        assert [r["text"] for r in rows] == ["a", "c"]
        assert [(p.path, p.line, p.raw) for p in problems] == [("a.jsonl", 2, b'{"text": \n')]


@given(
    st.lists(
        st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=8
    )
)
@example([b"\xe4\xb8", b"ok", b"\xed\xa0\x80", b"\0"])
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
def test_any_lines_are_text_or_problems(folder, lines):
    path = write(folder, "lines.txt", b"".join(line + b"\n" for line in lines))
    found, problems = read(path, encoding="utf-8")
    good = {json.loads(d["meta"])["line"]: d["text"].encode() + b"\n" for d in found}
    bad = {p.line: p.raw for p in problems if p.raw is not None}
    for number, line in enumerate(lines, 1):
        if line.decode("utf-8", "replace").strip():
            assert {**good, **bad}[number] == line + b"\n" and (number in good) != (number in bad)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-32"])
@given(
    text=st.text(
        st.characters(
            exclude_categories=["Cs"], exclude_characters="\r\n\x85\u2028\u2029\x1c\x1d\x1e\x0b\x0c"
        ),
        max_size=60,
    )
)
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_what_was_written_is_read(folder, encoding, text):
    path = write(folder, "notes.txt", (text + "\n" + CHINESE).encode(encoding))
    found, problems = read(path, encoding=encoding)
    assert [d["text"] for d in found] == [
        line for line in (text, *CHINESE.splitlines()) if line.strip()
    ] and not problems


# ---- any bytes as any kind of file


def mutate(data: bytes, draw) -> bytes:
    "The bytes with a few of them changed, cut out, put in, or cut off."
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.binary(max_size=12))
        data = data[:at] + piece + data[at + draw(st.sampled_from([0, len(piece), 40])) :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def survives(folder: Path, name: str, data: bytes) -> None:
    "Reading ends, gives documents that Arrow can hold, and only our own error where one is raised."
    path = write(folder, name, data)
    found, problems = read(path, errors="replace" if len(data) % 2 else "strict")
    pa.table({key: [d[key] for d in found] for key in DOCUMENT}, schema=DOCUMENT.arrow_schema)
    assert all(str(p).startswith(name) and p.reason for p in problems)
    with contextlib.suppress(BrokenFileError):
        list(iter_documents(path, unit="file"))


@pytest.mark.parametrize("name", PARTS)
@given(data=st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
def test_damaged_files_are_survived(folder, name, data):
    survives(folder, name, mutate(PARTS[name], data.draw))


@pytest.mark.parametrize("name", PARTS)
@given(data=st.binary(max_size=300))
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_survived(folder, name, data):
    survives(folder, name, data)


@pytest.mark.nightly
@pytest.mark.parametrize("name", PARTS)
@given(data=st.data())
@settings(deadline=None, max_examples=12_000, suppress_health_check=list(HealthCheck))
def test_damaged_files_are_survived_all_night(folder, name, data):
    survives(folder, name, mutate(PARTS[name], data.draw))


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("line.txt", "中" * 100),
        ("newlines.txt", "\n" * 300),
        ("zero.txt", "\0" * 300),
        ("marks.txt", "a\u0301\u200b\u202e" * 40),
        ("bytes.txt", b"\xff\xfe\xfd" * 100),
        ("deep.jsonl", "[" * 300),
        ("open.csv", 'text\n"' + "a" * 300),
        ("quotes.csv", '"' * 300),
        ("bomb.warc", b"WARC/1.0\r\n" + b"\n" * 290),
        ("magic.warc.gz", b"\x1f\x8b\x08" * 100),
    ],
)
def test_time_grows_as_the_file_does(tmp_path, name, unit):
    unit = unit if isinstance(unit, bytes) else unit.encode()
    small, large = (write(tmp_path, f"{n}{name}", unit * n) for n in (2_000, 16_000))
    read(small)
    assert seconds(lambda: read(large)) < 30 * max(0.02, seconds(lambda: read(small)))


def test_a_line_of_ten_megabytes_and_one_that_is_too_long(tmp_path, monkeypatch):
    path = write(tmp_path, "long.txt", "中文" * 1_700_000 + "\nshort\n")
    assert [len(d["text"]) for d in read(path)[0]] == [3_400_000, 5]
    monkeypatch.setattr(rows_module, "LONGEST", 1000)
    found, problems = read(path)
    assert [d["text"] for d in found] == ["short"] and [p.line for p in problems] == [1]
    assert "longer than 1,000 characters" in problems[0].reason
    assert "longer than" in read(path, unit="file")[1][0].reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "\\ud83d"}', "half a character"),
        ('{"text": "a", "x": ["\\udc00"]}', "half a character"),
        ('{"text": ' + "[" * 100_000 + "}", "broken JSON"),
        ('{"text": "a", "x": ' + "9" * 5000 + "}", "broken JSON"),
        ('{"text": {"a": 1}}', "holds a dict, not text"),
        ('{"text": [1]}', "a turn is a string"),
    ],
)
def test_hostile_json_is_a_problem_of_its_line(tmp_path, line, reason):
    found, problems = read(write(tmp_path, "a.jsonl", f'{line}\n{{"text": "good"}}\n'))
    assert (
        [d["text"] for d in found] == ["good"]
        and [p.line for p in problems] == [1]
        and reason in problems[0].reason
    )


def test_half_characters_in_json_can_be_replaced_and_whole_ones_stay(tmp_path):
    path = write(
        tmp_path, "a.jsonl", '{"text": "a\\ud83d", "t": "\\udc00"}\n{"text": "\\ud83d\\ude00"}\n'
    )
    found, problems = read(path, errors="replace")
    assert [d["text"] for d in found] == ["a\ufffd", "😀"] and not problems
    assert json.loads(found[0]["meta"])["t"] == "\ufffd"


def test_csv_goes_on_after_a_broken_row(tmp_path):
    path = write(tmp_path, "a.csv", 'id,text\n1,one\n2,"tw"o\n3,three,3\n4,"fo\nur"\n5,five\n')
    found, problems = read(path)
    assert [d["text"] for d in found] == ["one", "fo\nur", "five"]
    assert [(p.line, p.raw) for p in problems] == [(3, b'2,"tw"o\n'), (4, b"3,three,3\n")]


def test_a_damaged_row_group_costs_itself(tmp_path):
    data = bytearray(
        parquet(
            {"text": [f"row {i}" * 50 for i in range(300)]}, row_group_size=100, compression="zstd"
        )
    )
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0)
    start = group.dictionary_page_offset or group.data_page_offset
    data[start + 30 : start + 60] = bytes(30)
    found, problems = read(write(tmp_path, "a.parquet", bytes(data)))
    assert (
        len(found) == 200
        and len(problems) == 1
        and "rows 101 to 200 are damaged" in problems[0].reason
    )


def test_parquet_strings_that_are_not_utf8(tmp_path):
    strings = pa.array([b"good", b"ba\xff", b"better"]).view(pa.string())
    path = write(tmp_path, "a.parquet", parquet({"text": strings}))
    found, problems = read(path)
    assert [d["text"] for d in found] == ["good", "better"] and [p.line for p in problems] == [2]
    assert [d["text"] for d in read(path, errors="replace")[0]] == ["good", "ba\ufffd", "better"]


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zstd)])
@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv"])
def test_packed_files_hold_the_same(tmp_path, kind, suffix, pack):
    lines = CHINESE.splitlines()
    plain = {
        "txt": CHINESE,
        "csv": "text\n" + CHINESE,
        "jsonl": "".join(json.dumps({"text": line}) + "\n" for line in lines),
    }[kind]
    found, problems = read(write(tmp_path, f"a.{kind}{suffix}", pack(plain.encode())))
    assert [d["text"] for d in found] == lines and not problems


def test_a_packed_file_is_read_up_to_the_break(tmp_path):
    lines = [f"line {i} {i * i}" for i in range(20_000)]
    for suffix, pack in ((".gz", gzip.compress), (".zst", zstd)):
        data = pack("\n".join(lines).encode())
        found, problems = read(write(tmp_path, f"a.txt{suffix}", data[: len(data) // 2]))
        assert 1000 < len(found) < 20_000 and [d["text"] for d in found] == lines[: len(found)]
        assert (
            len(problems) == 1
            and problems[0].line == len(found) + 1
            and "damaged" in problems[0].reason
        )


def test_unknown_options_and_codecs(tmp_path):
    path = write(tmp_path, "a.txt", "one\n")
    with pytest.raises(ValueError, match="encoding='utf-99' is unknown"):
        read_files(path, encoding="utf-99")
    with pytest.raises(ValueError, match="errors='ignore' is unknown: use one of strict, replace"):
        documents(path, errors="ignore")
    with pytest.raises(ValueError, match="on_error='pass' is unknown"):
        iter_documents(path, on_error="pass")


# ---- files of one's own


def test_formats_and_provenance(tmp_path):
    write(tmp_path, "a.txt", "one\n\ntwo\r\n")
    write(tmp_path, "b.jsonl", '{"text": "three", "label": 1}\n\n{"text": "four", "label": 0}\n')
    write(tmp_path, "c.csv", 'id,text\n1,"fi\nve"\n2,six\n')
    write(tmp_path, "d.txt.gz", gzip.compress("七\n".encode("gb18030") + CHINESE.encode("gb18030")))
    (tmp_path / "below").mkdir()
    Dataset.from_dict({"text": ["eight"]}).to_parquet(tmp_path / "below/e.parquet")
    write(tmp_path, "ignored.pdf", "nothing")
    rows = [
        (r["path"], r["line"], r["text"], r["encoding"]) for r in read_files(tmp_path, quiet=True)
    ]
    assert rows[:7] == [
        ("a.txt", 1, "one", "utf-8"),
        ("a.txt", 3, "two", "utf-8"),
        ("b.jsonl", 1, "three", "utf-8"),
        ("b.jsonl", 3, "four", "utf-8"),
        ("below/e.parquet", 1, "eight", "utf-8"),
        ("c.csv", 3, "fi\nve", "utf-8"),
        ("c.csv", 4, "six", "utf-8"),
    ]
    assert rows[7] == ("d.txt.gz", 1, "七", "gb18030")


def test_columns_are_kept_and_whole_files_read(tmp_path):
    path = write(tmp_path, "b.jsonl", '{"body": "three", "label": 1}\n')
    assert read_files(path, column="body", keep=["label"], quiet=True)[0]["label"] == 1
    path = write(tmp_path, "a.txt", "one\n\ntwo\n")
    assert read_files(path, unit="file", quiet=True)["text"][:] == ["one\n\ntwo\n"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", "", r"empty\.txt: the file is empty"),
        ("blank.txt", "\n \n", r"blank\.txt: there is no text in this file"),
        (
            "broken.jsonl",
            '{"text": "a"}\n{"text": "b"}\n{"text": \n',
            r"broken\.jsonl:3: broken JSON, .* at character",
        ),
        (
            "list.jsonl",
            '{"text": "a"}\n[1]\n',
            r"list\.jsonl:2: expected a JSON object, found list",
        ),
        (
            "column.jsonl",
            '{"body": "a", "id": 1}\n',
            r"column\.jsonl:1: no column 'text'; there are: body, id",
        ),
        ("null.jsonl", '{"text": null}\n', r"null\.jsonl:1: 'text' holds None, not text"),
        ("column.csv", "id,body\n1,a\n", r"column\.csv:1: no column 'text'; there are: id, body"),
        (
            "long.csv",
            "id,text\n1,a\n2,b,c\n",
            r"long\.csv:3: 3 fields where the first line names 2",
        ),
        ("short.csv", "id,text\n1,a\n2\n", r"short\.csv:3: 1 fields where the first line names 2"),
        ("quote.csv", 'id,text\n1,"a\n', r"quote\.csv:\d: broken CSV"),
        ("header.csv", "id,text\n", r"header\.csv: there is no text"),
        (
            "cut.txt.gz",
            gzip.compress(b"hello\n" * 100, mtime=0)[:-10],
            r"cut\.txt\.gz:\d+: damaged \.gz file after line",
        ),
        ("plain.txt.gz", "not packed\n", r"plain\.txt\.gz: damaged \.gz file"),
        ("broken.parquet", b"PAR1 and nothing more", r"broken\.parquet: damaged \.parquet file"),
        ("page.pdf", "%PDF", r"files can be \.txt"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_broken_files_name_the_place(tmp_path, name, content, message, streaming):
    path = write(tmp_path, name, content)
    with pytest.raises(BrokenFileError, match=message):
        list(read_files(path, streaming=streaming))


def test_missing_file_folder_column_and_option(tmp_path):
    write(tmp_path, "notes.txt", "one\n")
    with pytest.raises(BrokenFileError, match=r"Did you mean notes\.txt"):
        read_files(tmp_path / "note.txt")
    (tmp_path / "void").mkdir()
    with pytest.raises(BrokenFileError, match="in this folder or below"):
        read_files(tmp_path / "void")
    Dataset.from_dict({"body": ["a"]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(BrokenFileError, match="no column 'text'; there are: body"):
        read_files(tmp_path / "p.parquet")
    with pytest.raises(BrokenFileError, match="no column 'label'"):
        read_files(tmp_path / "p.parquet", column="body", keep=["label"])
    with pytest.raises(ValueError, match="unit='page' is unknown: use one of line, file"):
        read_files(tmp_path / "notes.txt", unit="page")


def test_broken_rows_and_files_can_be_skipped(tmp_path):
    write(tmp_path, "a.jsonl", '{"text": "a"}\n{"text": \n{"text": "c"}\n')
    write(tmp_path, "b.txt", "")
    write(tmp_path, "c.txt", "d\n")
    with pytest.warns(UserWarning, match="skipped"):
        rows = list(read_files(tmp_path, on_error="skip", streaming=True))
    found = [(row["path"], row["line"], row["text"]) for row in rows]
    assert found == [("a.jsonl", 1, "a"), ("a.jsonl", 3, "c"), ("c.txt", 1, "d")]


def test_a_changed_file_is_read_anew(tmp_path):
    path = write(tmp_path, "notes.txt", "one\n")
    assert read_files(path, quiet=True)["text"][:] == ["one"]
    write(tmp_path, "notes.txt", "three\n")
    assert read_files(path, quiet=True)["text"][:] == ["three"]


def test_streaming_keeps_memory_flat(tmp_path):
    path = tmp_path / "large.txt"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(
            f"第{i}行，这一行很长，足够长，长得可以了。{'文' * 200}\n" for i in range(20_000)
        )
    stream = read_files(path, streaming=True)
    assert isinstance(stream, IterableDataset)
    peaks = []
    for rows in (1_000, 8_000):
        tracemalloc.start()
        assert sum(1 for _ in stream.take(rows)) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert path.stat().st_size > 12_000_000
    assert peaks[1] < 1.5 * peaks[0] + 500_000 and peaks[1] < 4_000_000


def test_a_read_dataset_is_mapped_from_disk(tmp_path):
    path = write(tmp_path, "notes.txt", "one\ntwo\n")
    assert read_files(path, quiet=True).cache_files


def test_code_is_read_whole_in_the_encoding_that_it_names(tmp_path):
    write(tmp_path, "a.py", "# -*- coding: latin-1 -*-\nprice = '£'\n".encode("latin-1"))
    write(tmp_path, "b.py", "名 = 1\n\n\n二 = 2\n")
    write(tmp_path, "c.txt", "ignored\n")
    found = read_files(tmp_path, suffixes=[".py"], quiet=True)
    assert found["text"][:] == ["# -*- coding: latin-1 -*-\nprice = '£'\n", "名 = 1\n\n\n二 = 2\n"]
    assert found["path"][:] == ["a.py", "b.py"]


@pytest.mark.parametrize("streaming", [False, True])
def test_numbers_of_more_than_64_bits_lose_no_digit(tmp_path, streaming):
    numbers = [1, 2**63 - 1, -(2**63), 2**64 - 1, 2**70, None]
    lines = (json.dumps({"text": "a", "id": n}) + "\n" for n in numbers)
    (tmp_path / "x.jsonl").write_text("".join(lines))
    found = read_files(tmp_path / "x.jsonl", keep=["id"], quiet=True, streaming=streaming)
    assert [str(row["id"]) for row in found] == list(map(str, numbers))
