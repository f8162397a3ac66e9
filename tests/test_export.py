"Rows that differ, written to files of every kind and read again."

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.engine.documents import document
from llm_practice.engine.export import column_types, save_rows
from llm_practice.engine.reading import rows_of
from llm_practice.engine.recipe import RecipeError
from llm_practice.engine.rows import ReadOptions

JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8).filter(lambda t: "\0" not in t and "\r" not in t),
    st.lists(st.integers(), max_size=3),
)


def rows_with(*metas):
    return [document(f"text {n}", f"made#{n}", "made", meta=meta) for n, meta in enumerate(metas)]


def back(path):
    return [row for _, row, _ in rows_of(path, ReadOptions("body"))]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_json_lines_keep_every_value(tmp_path_factory, metas):
    path = tmp_path_factory.mktemp("export") / "x.jsonl"
    save_rows(rows_with(*metas), path, "body")
    assert back(path) == [{"body": f"text {n}", **meta} for n, meta in enumerate(metas)]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_tables_hold_rows_of_any_shape(tmp_path_factory, metas):
    folder = tmp_path_factory.mktemp("export")
    for name in ("x.csv", "x.csv.gz", "x.parquet"):
        save_rows(rows_with(*metas), folder / name, "body")
        found = back(folder / name)
        assert [row["body"] for row in found] == [f"text {n}" for n in range(len(metas))]
        assert set(found[0]) == {"body"}.union(*metas)


def test_types_hold_all_values_and_whole_numbers_stay_whole(tmp_path):
    metas = [
        {"n": 1, "x": 0.1234567890123, "mixed": 1, "tags": ["a"]},
        {"n": None, "x": 3, "mixed": "b"},
        {"n": 2**53 + 1},
    ]
    save_rows(rows_with(*metas), tmp_path / "x.parquet", "body")
    types = {field.name: field.type for field in pq.read_schema(tmp_path / "x.parquet")}
    assert types == {
        "body": pa.string(),
        "n": pa.int64(),
        "x": pa.float64(),
        "mixed": pa.string(),
        "tags": pa.string(),
    }
    found = pq.read_table(tmp_path / "x.parquet").to_pydict()
    assert found["n"] == [1, None, 2**53 + 1] and found["x"][0] == 0.1234567890123
    assert found["mixed"] == ["1", "b", None] and json.loads(found["tags"][0]) == ["a"]
    save_rows(rows_with(*metas), tmp_path / "x.csv", "body")
    assert [row["n"] for row in back(tmp_path / "x.csv")] == ["1", "", str(2**53 + 1)]
    assert column_types([{"n": 1}] * 600 + [{"n": "late"}]).field("n").type == pa.string()


def test_half_characters_are_written_and_other_names_refused(tmp_path):
    row = {**document("fine", "made#0", "made"), "text": "half \ud83d"}
    for name in ("x.txt", "x.jsonl", "x.csv", "x.parquet"):
        save_rows([row], tmp_path / name, "body")
        assert (tmp_path / name).stat().st_size
    with pytest.raises(RecipeError, match="a result can be .txt, .jsonl, .csv, .parquet"):
        save_rows([row], tmp_path / "x.xlsx")


def test_json_lines_hold_only_what_json_knows(tmp_path):
    meta = {"x": float("nan"), "deep": [{"y": float("inf")}], "n": 2**64 - 1, "b": b"\xff\x00"}
    save_rows(rows_with(meta), tmp_path / "x.jsonl", "body")
    refuse = lambda name: pytest.fail(f"{name} is no JSON")
    found = json.loads((tmp_path / "x.jsonl").read_text(), parse_constant=refuse)
    wanted = {"x": None, "deep": [{"y": None}], "n": 2**64 - 1, "b": "/wA="}
    assert found == {"body": "text 0", **wanted}
    save_rows(rows_with({"n": 2**64 - 1}), tmp_path / "x.parquet", "body")
    assert str(back(tmp_path / "x.parquet")[0]["n"]) == str(2**64 - 1)
