"Rows that differ, written to files of every kind and read again."

import datetime
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.cli import main
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
        "tags": pa.list_(pa.string()),
    }
    found = pq.read_table(tmp_path / "x.parquet").to_pydict()
    assert found["n"] == [1, None, 2**53 + 1] and found["x"][0] == 0.1234567890123
    assert found["mixed"] == ["1", "b", None] and found["tags"] == [["a"], None, None]
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


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([2**64 - 1, 1], pa.uint64()),
        ([1, *[None] * 600, 2**64 - 1], pa.uint64()),
        ([-1, *[None] * 600, 2**64 - 1], pa.string()),
        ([2**63, -1], pa.string()),
        ([2**70], pa.string()),
        ([2**53 + 1, *[None] * 600, 0.5], pa.string()),
        ([0.5, *[None] * 600, 3], pa.float64()),
        ([["a"], [], None], pa.list_(pa.string())),
        ([[]], pa.list_(pa.string())),
        ([[1], *[None] * 600, [0.5]], pa.list_(pa.float64())),
        ([[1], *[None] * 600, ["a"]], pa.string()),
        ([[1], 1], pa.string()),
        ([{"a": 1}, {"a": 2}], pa.struct([("a", pa.int64())])),
        ([{"a": 1}, {"b": 2}], pa.string()),
        ([{"a": 1}, *[None] * 600, {"b": 2}], pa.string()),
        ([{}], pa.string()),
        ([{"a": None}], pa.string()),
        ([True, None], pa.bool_()),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, pa.DataType) else "",
)
def test_a_column_of_json_gets_the_type_that_holds_all_of_it(tmp_path, values, kind):
    save_rows(rows_with(*({"x": value} for value in values)), tmp_path / "x.parquet", "body")
    found = pq.read_table(tmp_path / "x.parquet")["x"]
    assert found.type == kind
    same = lambda value: None if value is None else json.loads(value)
    assert (
        list(map(same, found.to_pylist()) if kind == pa.string() else found.to_pylist()) == values
    )


NOON = datetime.datetime(2026, 11, 28, 12, 0, 0, 123456)
TYPED = {
    "list": pa.array([["a", None], [], None]),
    "deep": pa.array([[{"n": 1, "at": NOON}], [], None]),
    "bytes": pa.array([b"\xff\x00", b"", None]),
    "fixed": pa.array([b"ab", b"cd", None], pa.binary(2)),
    "at": pa.array([NOON, None, NOON], pa.timestamp("us")),
    "there": pa.array([NOON, None, NOON], pa.timestamp("us", "Asia/Shanghai")),
    "nano": pa.array([1, 2**62, None], pa.timestamp("ns")),
    "day": pa.array([NOON.date(), None, None]),
    "time": pa.array([NOON.time(), None, None]),
    "span": pa.array([-1, 86_400_000_001, None], pa.duration("us")),
    "price": pa.array([Decimal("1.50"), Decimal("-1000.00"), None], pa.decimal128(12, 2)),
    "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
    "map": pa.array([[("a", b"1")], [], None], pa.map_(pa.string(), pa.binary())),
    "small": pa.array([1, 2, None], pa.int8()),
    "large": pa.array([2**64 - 1, 0, None], pa.uint64()),
    "single": pa.array([0.1, 2, None], pa.float32()),
    "nothing": pa.nulls(3),
    "truth": pa.array([True, False, None]),
    "long": pa.array(["a", "中", None], pa.large_string()),
}


def test_what_came_from_parquet_has_its_types_again(tmp_path):
    table = pa.table({"text": ["one", "two", "three"], **TYPED})
    pq.write_table(table, tmp_path / "in.parquet")
    command = ["--workers", "1", "--exact", "--quiet"]
    assert main(["dedup", str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.parquet"), *command]) == 0  # fmt: skip
    before, after = (pq.read_table(tmp_path / name) for name in ("in.parquet", "out.parquet"))
    for name in before.column_names:
        assert after[name].type == before[name].type, name
        assert after[name].to_pylist() == before[name].to_pylist(), name


def test_files_of_two_types_and_changed_values_fall_back(tmp_path):
    pq.write_table(pa.table({"text": ["one"], "n": pa.array([1], pa.int8()), "t": [NOON]}), tmp_path / "a.parquet")  # fmt: skip
    pq.write_table(pa.table({"text": ["two"], "n": pa.array([300]), "t": [NOON]}), tmp_path / "b.parquet")  # fmt: skip
    (tmp_path / "c.jsonl").write_text('{"text": "three", "t": "noon"}\n')
    names = [str(tmp_path / name) for name in ("a.parquet", "b.parquet", "c.jsonl")]
    for number in (2, 3):
        out = tmp_path / f"out{number}.parquet"
        assert main(["dedup", *names[:number], "-o", str(out), "--workers", "1", "--quiet"]) == 0
        found = pq.read_table(out)
        assert found["n"].to_pylist() == [1, 300, None][:number]
        assert found["t"].type == (pa.timestamp("us") if number == 2 else pa.string())


def test_facts_of_a_document_are_json_and_columns_of_a_user_stay(tmp_path):
    facts = {"x": float("nan"), "deep": [{"y": (float("-inf"), 1)}]}
    refuse = lambda name: pytest.fail(f"{name} is no JSON")
    found = json.loads(document("a", "a#0", "made", meta=facts)["meta"], parse_constant=refuse)
    assert found == {"x": None, "deep": [{"y": [None, 1]}]}
    row = {**rows_with({"step": "mine", "reasons": 3})[0], "step": "mask", "reasons": ["why"]}
    save_rows([row], tmp_path / "x.jsonl", "body")
    assert back(tmp_path / "x.jsonl") == [{"body": "text 0", "step": "mine", "reasons": 3, "step_2": "mask", "reasons_2": "why"}]  # fmt: skip
