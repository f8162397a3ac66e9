"Files written for the tests of reading: any text, packed and not, archives of the web and e-books."

import gzip
import io
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from llm_practice.data.sources import iter_documents
from llm_practice.engine.reading import Problem

CHINESE = "今天的天气很好，我们一起去公园看花。\n他在学校里学习中文，已经三年了。\n这本书的内容不错，值得一看！\n"
TRADITIONAL = "今天的天氣很好，我們一起去公園看花。\n他在學校裡學習中文，已經三年了。\n這本書的內容不錯，值得一看！\n"
LATIN = "The café was closed.\nIt cost £5.50 for a pint.\nNaïve readers lose it.\n"


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
        record = writer.create_warc_record(
            url, kind, payload=io.BytesIO(body), http_headers=headers, **kind_of_text
        )
        writer.write_record(record)
    return file.getvalue()


def html(url: str, body: bytes, status: str = "200 OK", *headers: tuple) -> tuple:
    return (
        "response",
        f"http://example.org/{url}",
        (status, [("Content-Type", "text/html"), *headers]),
        body,
    )


def epub(
    chapters: dict[str, str | bytes],
    spine: list[str] | None = None,
    more: dict[str, bytes] | None = None,
) -> bytes:
    file = io.BytesIO()
    names = spine if spine is not None else list(chapters)
    items = "".join(
        f'<item id="i{i}" href="{n}" media-type="application/xhtml+xml"/>'
        for i, n in enumerate(names)
    )
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


PARTS = {
    "a.txt": CHINESE.encode("gb18030"),
    "a.txt.gz": gzip.compress(CHINESE.encode()),
    "a.jsonl": b'{"text": "a\\ud83d", "n": [1, {}]}\n{"text": "\xe4\xb8\xad"}\n',
    "a.jsonl.zst": zstd(b'{"text": "one"}\n' * 50),
    "a.csv": b'id,text\n1,"a\nb"\n2,c\n',
    "a.parquet": parquet({"text": ["one", "two", "三"] * 20}, row_group_size=20),
    "a.warc": warc(
        [html("a", b"<p>one</p>"), html("b", "<meta charset=gbk>二".encode("gbk"))], packed=False
    ),
    "a.warc.gz": warc([html(str(i), b"<p>one %d</p>" % i) for i in range(4)]),
    "a.epub": epub({"1.xhtml": "<p>one</p>", "2.xhtml": "<p>two</p>"}),
}


def seconds(function) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start
