"Tables as people write them: other separators, open quotes, two columns of one name, times of other ages."

import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import write

from llm_practice.data.pipeline import process
from llm_practice.engine.checks import numbered_names
from llm_practice.engine.reading import read_files
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
