"Archives of the web and e-books, whole, cut off, damaged and hostile."

import gzip
import itertools
import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from written import PARTS, epub, html, read, seconds, warc, write, zstd

from llm_practice.data.sources import iter_documents, load
from llm_practice.engine import formats
from llm_practice.engine.formats import strip_markup, warc_rows
from llm_practice.engine.reading import read_files
from llm_practice.engine.rows import MissingPackageError, ReadOptions

MIRROR = Path(os.environ.get("LLM_PRACTICE_MIRROR") or "/nowhere")
needs_mirror = pytest.mark.skipif(
    not MIRROR.is_dir(), reason="LLM_PRACTICE_MIRROR is unset or names no folder"
)
pytestmark = pytest.mark.usefixtures("own_cache")


# ---- the web


def test_pages_of_a_warc(tmp_path):
    chinese = "<p>中文网页，内容很好。</p>"
    records = [
        html("meta", f"<meta charset='gb2312'>{chinese}".encode("gb18030")),
        (
            "response",
            "http://example.org/label",
            ("200 OK", [("Content-Type", "text/html; charset=big5")]),
            "<p>中文網頁</p>".encode("big5"),
        ),
        html("wrong", f"<meta charset='latin-1'>{chinese}".encode()),
        html("gone", b"<p>not found</p>", "404 Not Found"),
        (
            "response",
            "http://example.org/p",
            ("200 OK", [("Content-Type", "image/png")]),
            b"\x89PNG",
        ),
        html("packed", gzip.compress(b"<p>packed</p>"), "200 OK", ("Content-Encoding", "gzip")),
        html(
            "chunks",
            b"4\r\n<p>c\r\n8\r\nhunk</p>\r\n0\r\n\r\n",
            "200 OK",
            ("Transfer-Encoding", "chunked"),
        ),
        html("odd", b"\x8b\x07\x80\xff\xfe\x03", "200 OK", ("Content-Encoding", "zstd")),
        ("conversion", "http://example.org/wet", None, "plain 文".encode()),
        html("short", "<meta charset='gb2312'><p>镕</p>".encode("gb18030")),
    ]
    for packed in (True, False):
        path = write(tmp_path, f"a.warc{'.gz' * packed}", warc(records, packed))
        found, problems = read(path)
        texts = {d["origin"].rsplit("/", 1)[1]: d["text"] for d in found}
        assert (
            chinese in texts["meta"]
            and chinese in texts["wrong"]
            and texts["label"] == "<p>中文網頁</p>"
        )
        assert (
            texts["packed"] == "<p>packed</p>"
            and texts["chunks"] == "<p>chunk</p>"
            and texts["wet"] == "plain 文"
        )
        assert set(texts) == {"meta", "label", "wrong", "packed", "chunks", "wet", "short"}
        assert [(p.line, "packed with zstd" in p.reason) for p in problems] == [(8, True)]
        assert texts["short"] == "<meta charset='gb2312'><p>镕</p>"
        assert found[0]["licence"] == "unknown" and found[0]["id"] == f"{path.name}#1"
    rows = read_files(path, keep=["url", "date"], on_error=problems.append, quiet=True)
    assert (
        rows["line"][:] == [1, 2, 3, 6, 7, 9, 10]
        and rows[0]["encoding"] == "gb18030"
        and rows[0]["date"][:2] == "20"
    )


def test_one_damaged_record_costs_one_record(tmp_path):
    members = [warc([html(str(i), b"<p>page %d</p>" % i * 50)]) for i in range(30)]
    for at in range(20, len(members[10]), 7):
        damaged = bytearray(members[10])
        damaged[at] ^= 0x55
        path = write(
            tmp_path, "a.warc.gz", b"".join([*members[:10], bytes(damaged), *members[11:]])
        )
        found, problems = read(path)
        urls = [int(d["origin"].rsplit("/", 1)[1]) for d in found]
        assert set(range(30)) - set(urls) <= {10, 11} and 10 not in urls and len(problems) == 1, at
        assert all(d["text"] == f"<p>page {n}</p>" * 50 for d, n in zip(found, urls, strict=True))
        assert "reading goes on with the next sound record" in problems[0].reason


def test_a_record_that_is_not_what_its_checksum_says_is_no_page(tmp_path):
    data = warc([html(str(i), b"<p>page %d</p>" % i) for i in range(5)], packed=False).replace(
        b"page 2", b"rage 2"
    )
    for name, packed in (
        ("a.warc", data),
        ("b.warc.gz", gzip.compress(data)),
        ("c.warc.zst", zstd(data)),
    ):
        found, problems = read(write(tmp_path, name, packed))
        assert [d["text"][8] for d in found] == list("0134") and [p.line for p in problems] == [3]
        assert "checksum" in problems[0].reason
    odd = data.replace(b"WARC-Block-Digest: sha1:", b"WARC-Block-Digest: sha1:%")
    found, problems = read(write(tmp_path, "d.warc", odd))
    assert (
        not found
        and [p.line for p in problems] == [1, 2, 3, 4, 5]
        and "is no checksum" in problems[0].reason
    )


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
        assert bool(problems) != any(
            start - 4 * (not packed) <= end <= start for start in starts
        ), end


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
    assert (
        found[0]["origin"] == "http://www.iana.org/"
        and "Internet Assigned Numbers" in found[0]["text"]
    )


@needs_mirror
def test_a_real_warc_with_damage(tmp_path):
    data = bytearray((MIRROR / "local/warc_samples/iana.warc.gz").read_bytes())
    whole = [d["text"] for d in read(MIRROR / "local/warc_samples/iana.warc.gz")[0]]
    data[300_000:300_020] = b"\xff" * 20
    found, problems = read(write(tmp_path, "a.warc.gz", bytes(data)))
    assert (
        len(problems) == 1
        and len(found) >= len(whole) - 1
        and {d["text"] for d in found} <= set(whole)
    )


@needs_mirror
def test_real_pages_go_through_a_warc_unchanged(tmp_path):
    pages = load("local/html_article_benchmark", split="test", quiet=True)
    records = [
        ("response", p["url"], ("200 OK", [("Content-Type", "text/html")]), p["html"].encode())
        for p in pages
    ]
    found, problems = read(write(tmp_path, "a.warc.gz", warc(records)))
    assert (
        not problems
        and [d["text"] for d in found] == pages["html"][:]
        and [d["origin"] for d in found] == pages["url"][:]
    )


def test_a_record_that_trips_the_parser_is_told_in_words_for_its_reader(tmp_path):
    "Damage that unpacking does not notice may raise anything inside the parser."
    data = bytearray(
        gzip.compress(
            warc([html(str(i), b"<p>page %d</p>" % i * 50) for i in range(30)], packed=False)
        )
    )
    for at in range(600, len(data) - 20, 40):
        damaged = bytes(data[:at]) + bytes(10) + bytes(data[at + 10 :])
        for problem in read(write(tmp_path, "a.warc.gz", damaged))[1]:
            assert (
                "object has no attribute" not in problem.reason and "NoneType" not in problem.reason
            )


# ---- books


def test_chapters_of_a_book(tmp_path):
    chapters = {
        "a%20b.xhtml": "unused",
        "1.xhtml": "<html><head><title>T</title></head><body><h1>One</h1><p>a<i>b</i> c<br/>d</p></body></html>",
    }
    path = write(
        tmp_path,
        "a.epub",
        epub({"a b.xhtml": "<p>zero &amp; &eacute;</p>", **chapters}, ["a%20b.xhtml", "1.xhtml"]),
    )
    found, problems = read(path)
    assert [d["text"] for d in found] == ["zero & é", "One\nab c\nd"] and not problems
    assert (
        found[0]["licence"] == "CC0"
        and found[0]["language"] == "en"
        and json.loads(found[0]["meta"])["title"] == "A & B"
    )
    assert [d["text"] for d in read(path, unit="file")[0]] == ["zero & é\n\nOne\nab c\nd"]


def test_books_in_other_encodings(tmp_path):
    chapter = "<?xml version='1.0' encoding='gb2312'?><p>朱镕基说，今天的天气很好。</p>".encode(
        "gb18030"
    )
    assert (
        read(write(tmp_path, "a.epub", epub({"1.xhtml": chapter})))[0][0]["text"]
        == "朱镕基说，今天的天气很好。"
    )


LAUGHS = (
    "<!DOCTYPE l [<!ENTITY a 'ha'>"
    + "".join(f"<!ENTITY {y} '{f'&{x};' * 10}'>" for x, y in zip("abcdefghi", "bcdefghij"))
    + "]>"
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 and nothing more", "damaged .epub file"),
        (epub({}), "names no chapters"),
        (epub({"1.xhtml": "x"}, more={"META-INF/container.xml": b"<container/>"}), "not an EPUB"),
        (epub({"1.xhtml": "x"}, more={"b/p.opf": b"<package>"}), "is no XML"),
        (
            epub({"1.xhtml": "x"}, more={"b/p.opf": (LAUGHS + "<package>&j;</package>").encode()}),
            "not an EPUB",
        ),
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
    path = write(
        tmp_path, "a.epub", epub({"bomb.xhtml": "a" * 60_000_000, "good.xhtml": "<p>good</p>"})
    )
    monkeypatch.setattr(formats, "LONGEST", 10_000)
    tracemalloc.start()
    found, problems = read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        most < 20_000_000
        and [d["text"] for d in found] == ["good"]
        and "longer than 10,000 bytes" in problems[0].reason
    )


# ---- mark-up


@pytest.mark.parametrize(
    "unit",
    [
        "<",
        "<!--",
        "<a ",
        "</",
        '<a b="',
        "&",
        "<script>",
        "<!",
        "<p>",
        "a<b",
        "<p/>x",
        "<!-- -->",
        "<head>",
    ],
)
def test_taking_out_markup_takes_linear_time(unit):
    strip_markup(unit * 1000)
    small, large = (seconds(lambda n=n: strip_markup(unit * n)) for n in (20_000, 160_000))
    assert large < 30 * max(small, 0.01)


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_markup_is_survived(markup):
    assert "\n\n" not in strip_markup(markup)


def test_text_without_markup_stays():
    assert (
        strip_markup("a &lt;b&gt; c<style>x</style><script>y</script> d<!-- e --> f")
        == "a <b> c\nd f"
    )


@pytest.mark.parametrize(
    "text", ["I <3 you", "x < 5 and y > 3", "a<b", "<三国演义>", "if a <b: c", "<", "</", "a & b"]
)
def test_where_no_tag_is_nothing_goes(text):
    assert strip_markup(text) == text


def test_text_beside_tags_stays():
    assert (
        strip_markup("<p>I <3 you, x < 5</p><p>《<三国演义>》&nbsp;&lt;b&gt;")
        == "I <3 you, x < 5\n《<三国演义>》 <b>"
    )


@pytest.mark.parametrize("depth", [10, 300, 3000, 30_000])
def test_text_behind_any_number_of_open_tags_is_found(depth):
    assert strip_markup("<div>a" * depth + "<p>the end").split("\n") == ["a"] * depth + ["the end"]


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("spelled", ["hex", "HEX", "base32", "small base32", "wrong"])
def test_a_right_checksum_in_any_spelling_keeps_the_page(tmp_path, kind, spelled):
    import base64
    import hashlib

    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>It rained all day in Paris.</p>"
    digest = hashlib.new(kind, body).digest()
    base32 = base64.b32encode(digest).decode()
    wrong = "0" * len(digest.hex())
    shown = {"hex": digest.hex(), "HEX": digest.hex().upper(), "base32": base32, "small base32": base32.lower(), "wrong": wrong}  # fmt: skip
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.org/\r\nWARC-Block-Digest: {kind}:{shown[spelled]}\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n"
    (tmp_path / "x.warc").write_bytes(head.encode() + body + b"\r\n\r\n")
    found = [row for _, row, _ in warc_rows(tmp_path / "x.warc", ReadOptions())]
    assert isinstance(found[0], dict) == (spelled != "wrong")
