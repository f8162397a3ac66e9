"Sources cut into units, any bytes read as documents."

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pipelines import texts, write

from llm_practice.data.pipeline import process
from llm_practice.engine import rows as rows_module
from llm_practice.engine.recipe import (
    RecipeError,
)
from llm_practice.engine.rows import ReadOptions, span_lines

pytestmark = pytest.mark.usefixtures("quick_disk")


def test_missing_files_and_columns_are_named(tmp_path, made):
    with pytest.raises(RecipeError, match="nothing is there. Did you mean a.jsonl?"):
        process({"sources": [{"files": str(made / "b.jsonl")}], "steps": []}, tmp_path / "out")
    (made / "c.xyz").write_text("x")
    with pytest.raises(RecipeError, match="c.xyz: files can be .txt, .csv, .jsonl, .parquet"):
        process({"sources": [{"files": str(made / "c.xyz")}], "steps": []}, tmp_path / "out")
    with pytest.raises(RecipeError, match="no column 'content'. Did you mean text"):
        pq.write_table(pa.table({"text": ["x"]}), made / "d.parquet")
        process(
            {"sources": [{"files": str(made / "d.parquet"), "text": "content"}], "steps": []},
            tmp_path / "out",
        )
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_lines_cut_into_units_are_read_once(tmp_path):
    lines = [t + "·" * (i % 7) for i, t in enumerate(texts(300))]
    path = tmp_path / "x.txt"
    path.write_text("\n\n".join(lines) + "\r\nlast without an end", encoding="utf-8")
    seen = {}
    for unit_mb in (1, 0.003, 0.0005):
        out = tmp_path / f"out{unit_mb}"
        corpus = process(
            {"sources": [str(path)], "steps": [], "output": {"unit_mb": unit_mb}}, out, workers=1
        )
        seen[unit_mb] = [(row["id"], row["text"]) for row in corpus.rows()]
    assert [text for _, text in seen[1]] == [*lines, "last without an end"]
    assert all(rows == seen[1] for rows in seen.values())


@given(
    st.lists(st.sampled_from(["", "a", "bb", "二", "ccc "]), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_every_border_gives_every_line_once(lines, end, ended):
    data = end.join(lines).encode() + (end.encode() if ended and lines else b"")
    read = lambda start, stop: list(
        span_lines(io.BytesIO(data), "utf-8", ReadOptions(span=(start, stop)))
    )
    whole = read(0, len(data))
    assert "".join(line for _, line in whole).encode() == data
    for border in range(1, len(data)):
        assert read(0, border) + read(border, len(data)) == whole


def test_all_kinds_of_files_say_the_same(tmp_path):

    rows = [{"text": t, "n": i} for i, t in enumerate(texts(50))]
    write(tmp_path / "a.jsonl", rows)
    write(tmp_path / "b.jsonl.gz", rows)
    (tmp_path / "c.jsonl.zst").write_bytes(
        pa.compress((tmp_path / "a.jsonl").read_bytes(), "zstd", asbytes=True)
    )
    with open(tmp_path / "d.csv", "w", newline="", encoding="utf-8") as file:
        (
            csv.DictWriter(file, ["text", "n"]).writeheader(),
            csv.DictWriter(file, ["text", "n"]).writerows(rows),
        )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet", row_group_size=7)
    (tmp_path / "f.txt").write_text("\n".join(r["text"] for r in rows), encoding="utf-8")
    (tmp_path / "g.jsonl").write_text(
        (tmp_path / "a.jsonl").read_text(encoding="utf-8"), encoding="utf-16"
    )
    corpus = process(
        {"sources": [str(tmp_path / "*.*")], "steps": [], "output": {"unit_mb": 0.0001}},
        tmp_path / "out",
        workers=1,
    )
    found = {}
    for row in corpus.rows():
        found.setdefault(row["id"].split("/")[1][0], []).append(row)
    assert set(found) == set("abcdefg")
    for name, part in found.items():
        assert [row["text"] for row in part] == [row["text"] for row in rows]
        assert name == "f" or [int(json.loads(row["meta"])["n"]) for row in part] == list(range(50))


def test_a_document_in_each_file(tmp_path):
    for i, text in enumerate(["one\ntwo", "三\n四", "  \n"]):
        (tmp_path / f"{i}.txt").write_text(text, encoding="utf-8")
    corpus = process(
        {"sources": [{"files": str(tmp_path / "*.txt"), "document": "file"}], "steps": []},
        tmp_path / "out",
        workers=1,
    )
    assert [row["text"] for row in corpus.rows()] == ["one\ntwo", "三\n四"]


def test_broken_rows_are_removed_with_a_reason(tmp_path):
    path = tmp_path / "x.jsonl"
    good = json.dumps({"text": "good"}).encode()
    deep = b"[" * 100_000
    lines = [
        '{"text": "好好好"}'.encode(),
        good,
        b"{broken",
        b"[1, 2]",
        b'{"text": 3}',
        b'{"other": "x"}',
        b'{"text": "\xff\xfe bytes"}',
        deep,
        b"9" * 10_000,
        b'"text"',
        good,
    ]
    path.write_bytes(b"\n".join(lines))
    corpus = process({"sources": [str(path)], "steps": []}, tmp_path / "out", workers=1)
    assert [row["text"] for row in corpus.rows()] == [
        "好好好",
        "good",
        "good",
    ]
    assert [row["reasons"][0].split(":")[0] for row in corpus.removed()] == ["read"] * 8
    assert next(corpus.removed("read: broken JSON"))["text"] == "{broken"


def test_a_cut_off_archive_gives_what_it_has_and_says_so(tmp_path):
    rows = [{"text": t} for t in texts(2000)]
    whole = write(tmp_path / "whole.jsonl.gz", rows)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole.read_bytes()[:-3000])
    (tmp_path / "cut.jsonl.zst").write_bytes(
        pa.compress(gzip.decompress(whole.read_bytes()), "zstd", asbytes=True)[:-3000]
    )
    (tmp_path / "no.csv.gz").write_bytes(b"not packed at all")
    for name, least in (("cut.jsonl.gz", 1000), ("cut.jsonl.zst", 0), ("no.csv.gz", 0)):
        corpus = process(
            {"sources": [str(tmp_path / name)], "steps": []}, tmp_path / f"out{name}", workers=1
        )
        assert least <= len(corpus) < 2000
        assert next(corpus.removed("read: damaged"))["reasons"][0].endswith(
            "the rest of the file was not read"
        )


def test_a_line_too_long_for_memory_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "LONGEST", 50_000)
    path = tmp_path / "x.txt"
    path.write_bytes(b"one\n" + b"y" * 200_001 + b"\ntwo\n" + b"z" * 50_001)
    corpus = process({"sources": [str(path)], "steps": []}, tmp_path / "out", workers=1)
    assert [row["text"] for row in corpus.rows()] == ["one", "two"]
    assert [row["reasons"] for row in corpus.removed()] == [["read: longer than 50,000 bytes"]] * 2


@given(st.lists(st.binary(max_size=60), max_size=40), st.sampled_from([".txt", ".jsonl", ".csv"]))
@example([b"\x00\x80"], ".csv")
@settings(deadline=None, max_examples=25)
def test_any_bytes_are_input(tmp_path_factory, lines, suffix):
    folder = tmp_path_factory.mktemp("any")
    path = folder / f"x{suffix}"
    path.write_bytes((b"text,n\n" if suffix == ".csv" else b"") + b"\n".join(lines) + b"\n")
    source = {
        "files": str(path),
        **({"encoding": "utf-8"} if suffix == ".csv" else {}),
    }  # a guess may hide the first line
    corpus = process(
        {"sources": [source], "steps": ["test_upper"], "output": {"unit_mb": 0.0002}},
        folder / "out",
        workers=1,
    )
    ids = [row["id"] for row in [*corpus.rows(), *corpus.removed()]]
    assert len(ids) == len(set(ids)) == corpus.manifest["sources"][0]["read"]


def test_rows_of_a_parquet_file_keep_their_numbers_in_its_parts(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"text": [f"row {i} " + "x" * 50 for i in range(1, 301)]}), path, row_group_size=50
    )
    size = path.stat().st_size
    for unit_mb in (size / 4e6, 1):
        corpus = process(
            {"sources": [str(path)], "output": {"unit_mb": unit_mb}},
            tmp_path / f"out{unit_mb}",
            workers=1,
        )
        assert [
            (row["id"].rpartition("#")[2], row["text"].split()[1]) for row in corpus.rows()
        ] == [(str(i), str(i)) for i in range(1, 301)]
