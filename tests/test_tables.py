"Tables as people write them: other separators, open quotes, two columns of one name, times of other ages."

import csv
import datetime
import io
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipelines import write

from llm_practice.data.pipeline import process
from llm_practice.engine.checks import numbered_names
from llm_practice.engine.documents import document
from llm_practice.engine.export import save_rows, stored_types
from llm_practice.engine.reading import read_files, rows_of
from llm_practice.engine.recipe import RecipeError
from llm_practice.engine.rows import BadRow, NoColumn, ReadOptions, csv_rows, table_head

pytestmark = pytest.mark.usefixtures("quick_disk")


def rows(text, **options):
    return list(csv_rows(io.StringIO(text, newline=""), "utf-8", ReadOptions(**options)))


def good(text, **options):
    return [row for _, row in rows(text, **options) if not isinstance(row, BadRow)]


def test_an_open_quote_costs_one_row():
    lines = ["id,text", *(f"{n},row {n}" for n in range(2, 1001))]
    lines[2], lines[499], lines[799] = '3,"open', '500,"a, b"', '800,"also open'
    found = rows("\n".join(lines) + "\n")
    bad = [(number, str(row)) for number, row in found if isinstance(row, BadRow)]
    assert [number for number, _ in bad] == [3, 800] and len(found) == 999
    assert found[498] == (500, {"id": "500", "text": "a, b"})
    assert found[1][1].raw == b'3,"open\n' and found[-1][0] == 1000


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(st.lists(st.tuples(st.text(alphabet='ab,;|"\n 中', max_size=6).filter(str.strip), st.integers()), min_size=1, max_size=6))  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_the_separator_is_found(delimiter, table):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([("n", "text", "more, or less"), *((n, t, "x") for t, n in table)])  # fmt: skip
    found = good(out.getvalue())
    assert [(row["text"], row["n"]) for row in found] == [(t, str(n)) for t, n in table]
    assert table_head(io.StringIO(out.getvalue()), [], ReadOptions())[1] == delimiter


def test_a_separator_that_is_said_goes_before_one_that_is_found():
    assert good("a;text\n1;2\n", column="a;text") == [{"a;text": "1;2"}]
    assert good("a:text\n1:2\n", delimiter=":") == [{"a": "1", "text": "2"}]
    with pytest.raises(NoColumn, match="no column 'text'; there are: id, body"):
        rows("id;body\n1;2\n")
    with pytest.raises(ValueError, match="delimiter='::' parts no columns"):
        ReadOptions(delimiter="::")


def test_two_columns_of_one_name(tmp_path):
    assert good("n,text,n,n_2\n1,a,2,3\n") == [{"n": "1", "text": "a", "n_3": "2", "n_2": "3"}]
    assert numbered_names(["", "text", "", ""]) == ["", "text", "_2", "_3"]
    with pytest.raises(NoColumn, match="two columns are called 'text'"):
        rows("text,text\na,b\n")
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "x.parquet")
    for name, text in (("x.csv", "text,text\na,b\n"), ("x.parquet", None)):
        if text:
            (tmp_path / name).write_text(text)
        with pytest.raises(RecipeError, match="two columns are called 'text'"):
            process({"sources": [str(tmp_path / name)], "steps": []}, tmp_path / "out", workers=1)
    (tmp_path / "x.jsonl").write_text('{"text": "a", "text": "b"}\n{"text": "c \\"text\\" d"}\n')
    made = process({"sources": [str(tmp_path / "x.jsonl")], "steps": []}, tmp_path / "out", 1)
    assert len(made) == 1 and "two values are called 'text'" in str(next(made.removed())["reasons"])


def test_a_column_that_no_line_has_is_an_error(tmp_path):
    write(tmp_path / "x.jsonl", [{"body": "a", "n": 1}, {"body": "b"}])
    recipe = {"sources": [{"files": str(tmp_path / "x.jsonl"), "text": "boddy"}], "steps": []}
    with pytest.raises(RecipeError, match=r"no column 'boddy'.*Did you mean body\?"):
        process(recipe, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()
    write(tmp_path / "x.jsonl", [{"n": 1}, {"body": "late"}])
    made = process({"sources": [{"files": str(tmp_path / "x.jsonl"), "text": "body"}]}, tmp_path / "out", 1)  # fmt: skip
    assert [row["text"] for row in made.rows()] == ["late"]


def test_times_beyond_the_calendar(tmp_path):
    columns = {
        "text": pa.array(["a", "b"]),
        "when": pa.array([2**61, 0], pa.timestamp("us")),
        "span": pa.array([2**62, 0], pa.duration("s")),
        "day": pa.array([2**30, 0], pa.int32()).cast(pa.date32()),
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    made = process({"sources": [str(tmp_path / "x.parquet")], "steps": []}, tmp_path / "out", 1)
    assert [row["text"] for row in made.rows()] == ["a", "b"]


@pytest.mark.parametrize("keep", [(), ("n",)])
def test_files_without_one_usable_row_give_an_empty_dataset(tmp_path, keep):
    (tmp_path / "x.jsonl").write_text("{broken\n[1]\n")
    problems = []
    found = read_files(tmp_path / "x.jsonl", keep=keep, on_error=problems.append, quiet=True)
    assert found.column_names == ["text", *keep, "path", "line", "encoding"] and len(found) == 0
    assert [problem.line for problem in problems] == [1, 2]


SIGNS = st.text(alphabet="ab \"',;|\t\r\n中Ａé\u3000\u2028=#\\0", max_size=8)


@given(
    st.lists(st.lists(SIGNS, min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([("utf-8", None), ("utf-8-sig", None), ("utf-16", None), ("gb18030", "gb18030"), ("utf-16-le", "utf-16-le")]),
)  # fmt: skip
@settings(deadline=None, max_examples=120)
def test_any_table_is_read_as_it_was_written(table, delimiter, quoting, end, encoding):
    if any(set("\r\n") & set(sign) for row in table for sign in row):
        quoting = csv.QUOTE_ALL  # Python's writer leaves line ends of another kind bare
    out, names = io.StringIO(newline=""), ["n", "text", "more, or; less"]
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([names, *table])  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "x.csv")
        path.write_bytes(out.getvalue().encode(encoding[0]))
        found = [row for _, row, _ in rows_of(path, ReadOptions(encoding=encoding[1]))]
    assert [list(row.values()) for row in found] == table and list(found[0]) == names


VALUES = {
    "whole": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "large": (st.integers(0, 2**64 - 1), pa.uint64()),
    "tiny": (st.integers(-128, 127), pa.int8()),
    "real": (st.floats(allow_nan=False, allow_infinity=False), pa.float64()),
    "single": (st.floats(width=32, allow_nan=False, allow_infinity=False), pa.float32()),
    "truth": (st.booleans(), pa.bool_()),
    "words": (SIGNS, pa.large_string()),
    "bytes": (st.binary(max_size=6), pa.binary()),
    "days": (st.dates(), pa.date32()),
    "times": (st.datetimes(), pa.timestamp("us")),
    "hours": (st.times(), pa.time64("us")),
    "spans": (st.timedeltas(datetime.timedelta(days=-9999), datetime.timedelta(days=9999)), pa.duration("us")),
    "prices": (st.decimals(-10**6, 10**6, places=3, allow_nan=False), pa.decimal128(12, 3)),
    "lists": (st.lists(st.one_of(st.none(), SIGNS), max_size=3), pa.list_(pa.string())),
    "deep": (st.fixed_dictionaries({"a": st.binary(max_size=3), "b": st.lists(st.dates(), max_size=2)}),
             pa.struct([("a", pa.binary()), ("b", pa.list_(pa.date32()))])),
}  # fmt: skip


@given(st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_parquet_file_keeps_its_types_and_values(data):
    kinds = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, unique=True))
    count = data.draw(st.integers(1, 5))
    columns = {"text": pa.array([f"text {n}" for n in range(count)])}
    for name in kinds:
        some, kind = VALUES[name]
        values = data.draw(st.lists(st.one_of(st.none(), some), min_size=count, max_size=count))
        columns[name] = pa.array(values, kind)
    with tempfile.TemporaryDirectory() as home:
        before, after = Path(home, "in.parquet"), Path(home, "out.parquet")
        pq.write_table(pa.table(columns), before)
        read = [row for _, row, _ in rows_of(before, ReadOptions())]
        save_rows([document(r["text"], "x", "x", meta={k: r[k] for k in kinds}) for r in read], after,
                  stored=stored_types([before]))  # fmt: skip
        first, last = pq.read_table(before), pq.read_table(after)
    assert last.schema.equals(first.schema) and last.to_pylist() == first.to_pylist()


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "text ", "数"]), SIGNS, min_size=4), min_size=1, max_size=5))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_any_strings_come_back_from_every_kind_of_file(metas):
    documents = [document(f"t {n}", f"x#{n}", "x", meta=meta) for n, meta in enumerate(metas)]
    with tempfile.TemporaryDirectory() as home:
        for name in ("x.csv", "x.csv.zst", "x.jsonl", "x.jsonl.gz", "x.parquet"):
            save_rows(documents, Path(home, name))
            found = [row for _, row, _ in rows_of(Path(home, name), ReadOptions())]
            assert found == [{"text": f"t {n}", **meta} for n, meta in enumerate(metas)], name
