"Folders of real mess: what lies there is read or named, each document is kept, removed or told, and nothing is touched."

import contextlib
import gzip
import hashlib
import os
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from written import CHINESE, LATIN, parquet, warc, zstd

from llm_practice.cli import main
from llm_practice.data.pipeline import process
from llm_practice.engine.encodings import other_than_text
from llm_practice.engine.files import arrow_source, walk_files
from llm_practice.engine.reading import file_rows, files_below, read_files, rows_of, stamped_files
from llm_practice.engine.recipe import FolderError, RecipeError
from llm_practice.engine.rows import BrokenFileError, ReadOptions, UnreadableRest

pytestmark = pytest.mark.usefixtures("quick_disk")

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4
FILES = {  # name, bytes, documents that are kept or removed
    "a.txt": (CHINESE.encode("gb18030"), 3),
    "b.TXT": (LATIN.encode("latin-1"), 3),
    "c.txt.gz": (gzip.compress(b"one\rtwo\r\n\n three\n"), 3),
    "d.txt": (b"one\rtwo\r\n\n three\n", 3),
    "e.jsonl": (b'{"text": "one"}\n{broken\n{"body": 1}\n', 3),
    "f.jsonl.zst": (zstd(b'{"text": "two"}\n'), 1),
    "g.csv": (b'n;text\n1;"a\nb"\n2;c\n3\n', 3),
    "h.csv": (b"n,body\n1,2\n", None),
    "i.parquet": (parquet({"text": ["one", "two"]}), 2),
    "j.parquet": (parquet({"body": ["one", "two"]}), None),
    "k.parquet": (b"PAR1 and nothing more", 1),
    "l.txt": (PNG, 1),
    "m.txt": (gzip.compress(b"one\n" * 99), 1),
    "n.txt.gz": (gzip.compress(PNG), 1),
    "o.txt.gz": (b"not packed", 1),
    "p.txt": (b"", 0),
    "q.txt": (b" \n\r\n", 0),
    "r.csv": (b"", 0),
    "s.warc": (warc([], packed=False), 0),
    "t.epub": (b"PK\x03\x04", 1),
    "u.md": (b"# other\n", None),
    "README": (b"other\n", None),
    ".hidden.txt": (b"hidden\n", None),
    os.fsdecode("报告.txt".encode("gbk")): (b"four\n", 1),
    os.fsdecode("caf\xe9.parquet".encode("latin-1")): (parquet({"text": ["five"]}), 1),
    "w x'\n.txt": ("六\n".encode("utf-16"), 1),
}
LINKS = {"round": ".", "up": "..", "dangling.txt": "nowhere.txt", "self": "self", "same.txt": "a.txt"}  # fmt: skip
PLACES = ["", "deep", "deep/er", ".git", "deep/__MACOSX", "空 间"]


def fill(top: Path, chosen) -> int:
    "Make a folder; gives the documents in it."
    documents = 0
    for place, name in chosen:
        folder = top / place
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        if name in LINKS:
            path.symlink_to(LINKS[name])
        elif name == "pipe.txt":
            os.mkfifo(path)
        else:
            path.write_bytes(FILES[name][0])
            documents += 0 if place in (".git", "deep/__MACOSX") else FILES[name][1] or 0
    return documents


def lying(top: Path) -> int:
    "How many things lie in a folder: files, links, pipes; a hidden folder is one thing."
    total = 0
    for place, folders, names in os.walk(top):
        shut = [n for n in folders if n[0] == "." or n == "__MACOSX" or (Path(place) / n).is_symlink()]  # fmt: skip
        folders[:] = [n for n in folders if n not in shut]
        total += len(shut) + len(names)
    return total


def state(top: Path) -> dict:
    "Everything in a folder, with its content and its time."
    found = {}
    for place, folders, names in os.walk(top):
        for path in (Path(place, name) for name in folders + names):
            kind = path.is_symlink() and os.readlink(path)
            data = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
            found[str(path)] = (kind, data, os.lstat(path).st_mtime_ns)
    return found


everything = [("", name) for name in [*FILES, *LINKS, "pipe.txt"]]


@given(
    st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from([*FILES, *LINKS, "pipe.txt"])),
        max_size=12,
        unique=True,
    )
)
@example(everything)
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
def test_what_lies_in_a_folder_is_read_or_named(chosen):
    with tempfile.TemporaryDirectory() as home:
        top, out = Path(home, "in"), Path(home, "out")
        top.mkdir(exist_ok=True)
        (top / "sure.txt").write_text("sure\n")
        documents = fill(top, chosen) + 1
        before = state(top)
        corpus = process({"sources": [{"name": "made", "files": str(top)}]}, out, workers=1)
        assert state(top) == before
        manifest = corpus.manifest
        (source,), (facts,) = manifest["sources"], manifest["inputs"]
        passed = source.get("passed", [])
        assert len(facts["files"]) + len(passed) == lying(top)
        assert all(one["reason"] for one in passed)
        removed = list(corpus.removed())
        same = sum(n == "same.txt" and (p, "a.txt") in chosen for p, n in chosen)
        assert source["read"] == len(corpus) + len(removed) == documents
        assert len({row["id"] for row in [*corpus.rows(), *removed]}) == documents
        assert sum(one["reason"] == "second name: of a.txt" for one in passed) <= same


def test_the_summary_tells_what_is_passed_over(tmp_path, capsys):
    fill(tmp_path / "in", everything)
    command = ["dedup", str(tmp_path / "in"), "-o", str(tmp_path / "out.jsonl"), "--exact", "--workers", "1"]  # fmt: skip
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert (
        "passed over  u.md: kind not read: .md" in said and "would read   d.txt: 17 bytes" in said
    )
    assert main(command) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("3 of the files empty", "2 passed over, kind not read (README 1, .md 1)", "2 passed over, no column 'text'",
                  "2 passed over, a link to a folder", "2 passed over, a link that leads nowhere", "1 passed over, no regular file",
                  "1 passed over, hidden", "1 passed over, second name"):  # fmt: skip
        assert words in said, words


@contextlib.contextmanager
def nobody():
    "Be a user who may not read everything, where one may."
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


@pytest.mark.parametrize("pattern", ["in", "in/**/*.txt"])
def test_what_may_not_be_read_is_removed_with_the_reason(pattern):
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o777)
        for name in ("in/a.txt", "in/shut/b.txt", "in/c.txt"):
            Path(home, name).parent.mkdir(exist_ok=True)
            Path(home, name).write_text(f"{name}\n")
        os.chmod(Path(home, "in/c.txt"), 0)
        os.chmod(Path(home, "in/shut"), 0)
        try:
            with nobody():
                recipe = {"sources": [{"name": "made", "files": str(Path(home, pattern))}]}
                corpus = process(recipe, Path(home, "out"), workers=1)
                problems = []
                files = stamped_files(Path(home, "in"))
                list(file_rows(files, ReadOptions(), problems.append))
                with pytest.raises(BrokenFileError, match="may not be read"):
                    list(file_rows(files, ReadOptions(), "raise"))
        finally:
            os.chmod(Path(home, "in/shut"), 0o755)
        assert [row["text"] for row in corpus.rows()] == ["in/a.txt"]
        reasons = {row["id"]: row["reasons"][0] for row in corpus.removed()}
        assert sorted(reasons) == ["made/c.txt#end", "made/shut#end"]
        assert all("may not be read: change its permissions" in why for why in reasons.values())
        assert sorted(problem.path for problem in problems) == ["c.txt", "shut"]


def test_names_and_patterns_reach_a_file_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(Path("in"), [("", "a.txt"), ("", "same.txt"), ("", "round"), ("deep", "d.txt"), ("", "u.md")])  # fmt: skip
    names = ["in/a.txt", "./in/a.txt", str(tmp_path / "in/a.txt"), "in/same.txt", "in", "in/*", "in/**"]  # fmt: skip
    corpus = process({"sources": [{"name": "made", "files": names}]}, "out", workers=1)
    (source,) = corpus.manifest["sources"]
    assert source["read"] == len(corpus) == 6
    passed = {(one["path"], one["reason"].partition(":")[0]) for one in source["passed"]}
    assert {("same.txt", "second name"), ("u.md", "kind not read")} <= passed
    with pytest.raises(
        RecipeError, match=r"nothing that can be read is there: .*; u.md: kind not read"
    ):
        process({"sources": ["in/*.md"]}, "out2")
    with pytest.raises(RecipeError, match=r"in/u.md: files can be"):
        process({"sources": [{"files": ["in/u.md"]}]}, "out2")
    Path("in/h.csv").write_bytes(FILES["h.csv"][0])
    with pytest.raises(RecipeError, match="no column 'text'"):
        process({"sources": ["in/*.csv"]}, "out2")
    with pytest.raises(RecipeError, match="no column 'text'"):
        process({"sources": [{"name": "x", "files": ["in", "in/h.csv"]}]}, "out2")


def test_a_result_has_a_name_that_can_be_written_down(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    with pytest.raises(FolderError, match="the name of a result must be UTF-8"):
        process({"sources": [str(tmp_path / "a.txt")]}, tmp_path / os.fsdecode(b"\xc4\xe3"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (PNG, "a PNG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
        (gzip.compress(b"a", mtime=0), "packed with gzip: give it a name that ends in .gz"),
        (zstd(b"a" * 9 + bytes(9)), "packed with zstd: give it a name that ends in .zst"),
        (b"PK\x03\x04\x14\0\x06\0", "a ZIP archive, or a document of an office"),
        (b"%PDF-1.4\n%\x01\x02", "a PDF document"),
        (bytes(range(256)), "binary data"),
        ("text in UTF-16, 无标记".encode("utf-16-le"), None),
        ("with a mark".encode("utf-16"), None),
        (b"%PDF-1.4 is how a PDF begins.\n", None),
        (b"one zero \0 in a text that is long enough to be one" * 3, None),
        (b"\x1b[31mred\x1b[0m and a bell", None),
        (CHINESE.encode("gbk"), None),
        (LATIN.encode("latin-1"), None),
        (b"", None),
    ],
    ids=lambda value: str(value)[:16] if not isinstance(value, bytes) else "",
)  # fmt: skip
def test_what_is_no_text(tmp_path, data, what):
    assert other_than_text(data) == what
    for name in ("x.txt", "x.jsonl", "x.csv"):
        (tmp_path / name).write_bytes(data)
        problems = []
        list(read_files(tmp_path / name, on_error=problems.append, streaming=True))
        assert (f"this is no text, but {what}" in map(lambda p: p.reason, problems)) == bool(what)


def test_a_window_that_is_too_large_is_told(tmp_path):
    block = b"one\n"
    frame = b"\x28\xb5\x2f\xfd\x00\xa8" + (1 | len(block) << 3).to_bytes(3, "little") + block
    (tmp_path / "x.txt.zst").write_bytes(frame)
    with pytest.raises(UnreadableRest, match="unpack it with zstd -d --long=31"):
        list(rows_of(tmp_path / "x.txt.zst", ReadOptions()))


@given(st.lists(st.sampled_from(["a", "中", "\r", "\n", "\r\n", " b"]), max_size=12))
@settings(deadline=None, max_examples=60)
def test_lines_end_in_the_same_places_packed_or_not_cut_or_whole(pieces):
    text = "".join(pieces)
    with tempfile.TemporaryDirectory() as home:
        plain, packed = Path(home, "x.txt"), Path(home, "x.txt.gz")
        plain.write_bytes(text.encode())
        packed.write_bytes(gzip.compress(text.encode()))
        size = plain.stat().st_size
        options = [ReadOptions(encoding="utf-8"), *(ReadOptions(encoding="utf-8", span=span) for span in [(0, size // 2), (size // 2, size)])]  # fmt: skip
        read = lambda path, how: [row["text"] for _, row, _ in rows_of(path, how)] if size else []
        whole = read(plain, options[0])
        assert (
            whole == read(packed, options[0]) == read(plain, options[1]) + read(plain, options[2])
        )
        assert whole == [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]  # fmt: skip


def test_encodings_in_which_a_line_end_is_no_line_feed(tmp_path):
    (tmp_path / "x.txt").write_bytes("one\ntwo\n三\n".encode("utf-7") + "HELLO\n".encode("utf-7"))
    (tmp_path / "y.txt").write_bytes("one\x85two\x85".encode("cp037"))
    for name, codec, count in (("x.txt", "utf-7", 4), ("y.txt", "cp037", 1)):
        source = {"name": "made", "files": str(tmp_path / name), "encoding": codec}
        corpus = process({"sources": [source], "output": {"unit_mb": 1e-5}}, tmp_path / codec, 1)
        assert len(corpus) == corpus.manifest["sources"][0]["read"] == count


def test_a_name_that_arrow_cannot_know(tmp_path):
    path = tmp_path / os.fsdecode("报.parquet".encode("gbk"))
    path.write_bytes(parquet({"text": ["one"]}))
    assert pq.read_table(arrow_source(path))["text"].to_pylist() == ["one"]
    assert arrow_source("a.parquet") == "a.parquet"
    assert walk_files(tmp_path) == ([path], []) and files_below(tmp_path)[0] == [path]


def test_a_corpus_as_input_does_not_bring_its_removed_documents_back(tmp_path):
    (tmp_path / "in.txt").write_text("It rained.\nIt rained.\nIt snowed.\n")
    recipe = {"sources": [str(tmp_path / "in.txt")], "steps": ["exact_dedup"]}
    process(recipe, tmp_path / "corpus", workers=1, progress=False)
    files, passed = files_below(tmp_path / "corpus")
    assert [path.parent.name for path in files] == ["data"]
    assert ("removed", "what a corpus has removed") in [(path.name, why) for path, why in passed]
