"Recipes and their errors, crashes at every moment, hostile text, full and read-only disks, Ray, the command line."

import errno
import gzip
import importlib.util
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data import documents as documents_module
from llm_practice.data import pipeline
from llm_practice.data.pipeline import Corpus, link, losers, parts_to_take, process, publish, sha256, unite
from llm_practice.data.recipe import Batch, FolderError, PipelineError, Recipe, RecipeError, step

ROOT = Path(__file__).resolve().parent.parent
WORDS = "the rain in Spain falls on a plain while 北京 的 天气 很 好 and nobody minds".split()


@step("test_upper")
def upper(batch: Batch, times: int = 1, mode: str = "all") -> None:
    "Capital letters."
    batch["text"] = [text.upper() * times for text in batch["text"]]


@step("test_long", adds={"length": pa.int64()})
def long(batch: Batch, minimum: float = 10) -> None:
    "Remove short texts."
    batch["length"] = map(len, batch["text"])
    for row, length in enumerate(batch["length"]):
        if length < minimum:
            batch.remove(row, f"short: {length} < {minimum}")


@step("test_fragile")
def fragile(batch: Batch, word: str = "bad") -> None:
    "Fails on some texts, after it has changed others."
    for row, text in enumerate(batch["text"]):
        if word in text:
            raise ValueError(f"cannot bear {word}")
        batch["text"][row] = text + "!"


@step("test_same", kind="group")
def same(batch: Batch) -> tuple:
    "Keep the longest of the texts that begin with the same five characters."
    keys = [[int.from_bytes(text[:5].encode()[:7].ljust(7, b"\0"), "big") + 1] for text in batch["text"]]
    return np.array(keys, np.uint64), np.array([len(text) for text in batch["text"]])


def texts(count, seed=0):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(2, 40))) for _ in range(count)]


def write(path, rows):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def recipe_for(folder, steps=("test_upper", {"test_long": {"minimum": 20}}, "test_same"), **output):
    return {"sources": [{"name": "made", "files": str(folder)}], "steps": list(steps),
            "output": {"unit_mb": 0.01, "shard_mb": 0.01, **output}}  # fmt: skip


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch, request):
    "Waiting for the disk is most of the time of a small run; what is tested is the order of things."
    if "disk" not in request.node.name:
        monkeypatch.setattr(pipeline, "_sync", lambda path: None)


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.jsonl", [{"text": t, "n": i} for i, t in enumerate(texts(600))])
    write(folder / "b.jsonl.gz", [{"text": t} for t in texts(100, 1)])
    return folder


def everything(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


# Recipes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": []}, "recipe: 'source' is unknown. Did you mean sources?"),
        ({"sources": []}, "'sources' is missing or empty"),
        ({"sources": [{"file": "x"}]}, r"sources\[0\]: 'file' is unknown. Did you mean files?"),
        ({"sources": [{"files": "a.jsonl", "limit": 0}]}, r"sources\[0\]: limit=0 does not fit: it must be at least 1"),
        ({"sources": [{"files": "a.jsonl", "sample": 1.5}]}, "sample=1.5 does not fit"),
        ({"sources": [{"files": "a.jsonl", "language": False}]}, r"language=False does not fit: it takes text \(in quotes\)"),
        ({"sources": [{"files": "a.jsonl", "document": "lines"}]}, "one of line, file. Did you mean line?"),
        ({"sources": ["a/x.jsonl", "b/x.jsonl"]}, "two are called 'x'"),
        ({"sources": [{"limit": 3}]}, "give `name`"),
        ({"steps": ["test_uper"]}, r"steps\[0\]: step 'test_uper' is unknown. Did you mean test_upper?"),
        ({"steps": [{"test_long": {"minimun": 3}}]}, r"steps\[0\] \(test_long\): 'minimun' is unknown. Did you mean minimum?"),
        ({"steps": [{"test_long": {"minimum": "3"}}]}, "minimum='3' does not fit: it takes a number"),
        ({"steps": [{"test_long": 3}]}, "expected a mapping of options, found 3"),
        ({"steps": [{"test_long": {}, "test_upper": {}}]}, "one name with its options"),
        ({"output": {"shard_mb": -1}}, "shard_mb=-1 does not fit"),
        ({"output": {"compression": "zst"}}, "Did you mean zstd?"),
        ({"temperature": 0.0}, "temperature=0.0 must be above 0"),
        ({"seed": "x"}, "seed='x' does not fit: it takes a whole number"),
    ],
)
def test_errors_of_recipes_name_the_value_and_the_way_out(change, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.read({"sources": [{"files": "a.jsonl"}], "steps": [], **change})


def test_a_recipe_is_the_same_as_yaml_and_as_dictionary(tmp_path):
    import yaml

    given = {"name": "x", "sources": ["bbc-news", {"files": ["a/*.jsonl"], "weight": 2}], "steps": ["test_upper", {"test_long": {"minimum": 3}}]}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(given))
    assert Recipe.read(path) == Recipe.read(given) == Recipe.read(Recipe.read(given).as_dict())
    assert Recipe.read(path).folder == tmp_path
    with pytest.raises(RecipeError, match="no such recipe. Did you mean x.yaml?"):
        Recipe.read(tmp_path / "y.yaml")
    path.write_text("- a\n- b")
    with pytest.raises(RecipeError, match="expected a mapping with `sources` and `steps`, found list"):
        Recipe.read(path)


def test_missing_files_and_columns_are_named(tmp_path, made):
    with pytest.raises(RecipeError, match="nothing is there. Did you mean a.jsonl?"):
        process({"sources": [{"files": str(made / "b.jsonl")}], "steps": []}, tmp_path / "out")
    (made / "c.xyz").write_text("x")
    with pytest.raises(RecipeError, match="c.xyz: files can be .txt, .csv, .jsonl, .parquet"):
        process({"sources": [{"files": str(made / "c.xyz")}], "steps": []}, tmp_path / "out")
    with pytest.raises(RecipeError, match="no column 'content'. Did you mean text"):
        pq.write_table(pa.table({"text": ["x"]}), made / "d.parquet")
        process({"sources": [{"files": str(made / "d.parquet"), "text": "content"}], "steps": []}, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


# Nothing is lost and nothing doubled


def test_every_document_comes_out_once(tmp_path, made):
    corpus = process(recipe_for(made), tmp_path / "out", workers=1)
    kept, removed = list(corpus.rows()), list(corpus.removed())
    assert len(kept) + len(removed) == 700 and len({row["id"] for row in kept + removed}) == 700
    counts = {s["step"]: s["removed"] for s in corpus.manifest["steps"]}
    assert counts["test_long"] == sum(r["step"] == "test_long" for r in removed) > 0
    assert counts["test_same"] == sum(r["step"] == "test_same" for r in removed) > 0
    assert len(kept) == len(corpus) == corpus.manifest["documents"] == sum(s["rows"] for s in corpus.manifest["shards"])
    assert len(corpus.manifest["shards"]) > 1 and corpus.verify() > 2
    starts = [row["text"][:5] for row in kept]
    assert len(set(starts)) == len(starts)
    best = {}
    for text in (row["text"] for row in kept + removed if row["step" if "step" in row else "text"] != "test_long"):
        best[text.upper()[:5]] = max(best.get(text.upper()[:5], 0), len(text))
    assert all(len(row["text"]) == best[row["text"][:5]] for row in kept)
    winner = {row["id"] for row in kept}
    assert all(row["reasons"][0].removeprefix("test_same: of ") in winner for row in removed if row["step"] == "test_same")


def test_lines_cut_into_units_are_read_once(tmp_path):
    lines = [t + "·" * (i % 7) for i, t in enumerate(texts(300))]
    path = tmp_path / "x.txt"
    path.write_text("\n\n".join(lines) + "\r\nlast without an end", encoding="utf-8")
    seen = {}
    for unit_mb in (1, 0.003, 0.0005):
        out = tmp_path / f"out{unit_mb}"
        corpus = process({"sources": [str(path)], "steps": [], "output": {"unit_mb": unit_mb}}, out, workers=1)
        seen[unit_mb] = [(row["id"], row["text"]) for row in corpus.rows()]
    assert [text for _, text in seen[1]] == [*lines, "last without an end"]
    assert all(rows == seen[1] for rows in seen.values())


@given(st.lists(st.sampled_from(["", "a", "bb", "二", "ccc "]), max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_every_border_gives_every_line_once(lines, end, ended):
    data = end.join(lines).encode() + (end.encode() if ended and lines else b"")
    read = lambda start, stop: list(documents_module._byte_lines(io.BytesIO(data), start, stop))  # noqa: E731
    whole = read(0, len(data))
    assert b"".join(line for _, line in whole) == data
    for border in range(1, len(data)):
        assert read(0, border) + read(border, len(data)) == whole


def test_all_kinds_of_files_say_the_same(tmp_path):
    import csv

    rows = [{"text": t, "n": i} for i, t in enumerate(texts(50))]
    write(tmp_path / "a.jsonl", rows)
    write(tmp_path / "b.jsonl.gz", rows)
    (tmp_path / "c.jsonl.zst").write_bytes(pa.compress((tmp_path / "a.jsonl").read_bytes(), "zstd", asbytes=True))
    with open(tmp_path / "d.csv", "w", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, ["text", "n"]).writeheader(), csv.DictWriter(file, ["text", "n"]).writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet", row_group_size=7)
    (tmp_path / "f.txt").write_text("\n".join(r["text"] for r in rows), encoding="utf-8")
    (tmp_path / "g.jsonl").write_text((tmp_path / "a.jsonl").read_text(encoding="utf-8"), encoding="utf-16")
    corpus = process({"sources": [str(tmp_path / "*.*")], "steps": [], "output": {"unit_mb": 0.0001}}, tmp_path / "out", workers=1)
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
    corpus = process({"sources": [{"files": str(tmp_path / "*.txt"), "document": "file"}], "steps": []}, tmp_path / "out", workers=1)
    assert [row["text"] for row in corpus.rows()] == ["one\ntwo", "三\n四"]


def test_limit_sample_and_weight(tmp_path, made):
    write(tmp_path / "few.jsonl", [{"text": t} for t in texts(80, 5)])
    sources = [{"name": "many", "files": str(made)}, {"name": "few", "files": str(tmp_path / "few.jsonl")}]
    read = lambda name, **more: process({"sources": [{**sources[0], **more}, sources[1]], "steps": []}, tmp_path / name, workers=1)  # noqa: E731
    assert [s["read"] for s in read("limit", limit=150).manifest["sources"]] == [150, 80]
    first, again = read("sample", sample=0.5), process({"sources": [{**sources[0], "sample": 0.5}], "steps": [], "output": {"unit_mb": 0.003}}, tmp_path / "again")
    assert 280 < first.manifest["sources"][0]["read"] < 420
    assert [r["id"] for r in first.rows() if r["source"] == "many"] == [r["id"] for r in again.rows()]
    weighed = [{**sources[0], "weight": 1}, {**sources[1], "weight": 1}]
    corpus = process({"sources": weighed, "steps": ["test_upper"]}, tmp_path / "mix", workers=1)
    many, few = (s["characters"] for s in corpus.manifest["sources"])
    assert 0.6 < many / few < 1.6 and corpus.manifest["sources"][1]["kept"] == 80
    assert len(corpus) + corpus.manifest["steps"][-1]["removed"] == 780


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(1, 1e9), min_size=1), st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 100)))
@settings(deadline=None)
def test_shares_are_as_wanted(sizes, weights):
    take = parts_to_take(sizes, weights)
    assert all(0 < part <= 1 + 1e-9 for part in take.values())
    ratios = [sizes[n] * part / weights[n] for n, part in take.items()]
    assert not ratios or (max(ratios) / min(ratios) < 1 + 1e-6 and max(take.values()) > 1 - 1e-9)


# Groups


@given(st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=2), max_size=30), st.randoms())
@settings(deadline=None)
def test_clusters_are_those_of_a_graph_in_any_order(keys, rng):
    import networkx as nx

    count = len(keys)
    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from((i, j) for i in range(count) for j in range(i) if any(a == b for a, b in zip(keys[i], keys[j])))
    rows = [(np.uint64(k * 10 + band), doc) for doc, pair in enumerate(keys) for band, k in enumerate(pair)]
    rng.shuffle(rows)
    labels = np.arange(count)
    for part in (rows[::2], rows[1::2], rows):
        words = np.array([[k] for k, _ in part], np.uint64).reshape(-1, 1)
        labels = unite(labels, link(words, np.array([doc for _, doc in part], np.int64)))
    wanted = {doc: min(cluster) for cluster in nx.connected_components(graph) for doc in cluster}
    assert labels.tolist() == [wanted[doc] for doc in range(count)]


def test_the_best_of_a_cluster_stays():
    labels = np.array([0, 0, 2, 0, 2, 5])
    score = np.array([[5, 9], [7, 4], [1, 1], [7, 3], [1, 1], [0, 0]])
    assert losers(labels, score).tolist() == [3, 3, -1, -1, 2, -1]
    assert losers(np.empty(0, np.int64), np.empty((0, 2))).tolist() == []


def test_what_is_kept_does_not_depend_on_the_order(tmp_path):
    rows = [{"text": t} for t in texts(400, 3)]
    kept = set()
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        write(tmp_path / f"{seed}.jsonl", rows)
        corpus = process(recipe_for(tmp_path / f"{seed}.jsonl", ["exact_dedup", "near_dedup", "test_same"]), tmp_path / f"out{seed}", workers=1)
        kept.add(tuple(sorted(row["text"] for row in corpus.rows())))
    assert len(kept) == 1 and 0 < len(kept.pop()) < 400


@pytest.mark.parametrize("workers", [1, 2])
def test_many_buckets_find_what_one_finds(tmp_path, made, monkeypatch, workers):
    recipe = recipe_for(made, ["exact_dedup", "near_dedup", "test_same"])
    process(recipe, tmp_path / "one", workers=1)
    monkeypatch.setattr(pipeline, "_BUCKET", 40)
    process(recipe, tmp_path / "many", workers=workers)
    assert everything(tmp_path / "one") == everything(tmp_path / "many")


# Killed and started again


class Crash(BaseException):
    "Stands for the power failing."


def test_a_crash_at_any_publication_loses_and_doubles_nothing(tmp_path, monkeypatch):
    write(tmp_path / "x.jsonl", [{"text": t} for t in texts(120)])
    recipe = recipe_for(tmp_path / "x.jsonl", unit_mb=0.004)
    process(recipe, tmp_path / "whole", workers=1)
    whole, replace, count = everything(tmp_path / "whole"), os.replace, 0

    def failing(source, target):
        nonlocal count
        count += 1
        if count == crash_at:
            Path(source).with_name(f".{Path(source).name}.77-1.part").touch()
            raise Crash
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    crash_at = 0
    process(recipe, tmp_path / "counted", workers=1)
    total = count
    assert everything(tmp_path / "counted") == whole and total > 30
    for crash_at in range(1, total + 1):
        count, out = 0, tmp_path / f"out{crash_at}"
        with pytest.raises(Crash):
            process(recipe, out, workers=1)
        with pytest.raises(FolderError, match="its run is not finished"):
            Corpus(out)
        count = -(10**9)
        process(recipe, out, workers=1)
        assert everything(out) == whole, f"after a crash at {crash_at} of {total}"


def test_a_crash_while_the_old_result_is_replaced(tmp_path, monkeypatch, made):
    old, new = recipe_for(made, ["test_upper"]), recipe_for(made)
    process(new, tmp_path / "whole", workers=1)
    whole, replace = everything(tmp_path / "whole"), os.replace
    for crash_at in range(1, 12):
        out, count = tmp_path / f"out{crash_at}", 0
        process(old, out, workers=1)

        def failing(source, target):
            nonlocal count
            moves = {Path(source).parent.name, Path(target).parent.name} & {"old", out.name}
            count += bool(moves)
            if moves and count == crash_at:
                raise Crash
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", failing)
            try:
                process(new, out, workers=1, overwrite=True)
            except Crash:
                process(new, out, workers=1)
        assert everything(out) == whole
    assert count < crash_at


WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import test_pipeline
from llm_practice.data.pipeline import process
process(json.loads(sys.argv[2]), sys.argv[3], workers=int(sys.argv[4]))
"""


def start(recipe, out, workers=1):
    command = [sys.executable, "-c", WORKER, str(ROOT / "tests"), json.dumps(recipe), str(out), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_and_resume(tmp_path, recipe, seed, workers, span):
    rng, out, kills = random.Random(seed), tmp_path / f"out{seed}", 0
    for _ in range(40):
        run = start(recipe, out, workers)
        limit = time.time() + 60
        while run.poll() is None and not (out / ".work" / "begun.json").exists() and time.time() < limit:
            time.sleep(0.01)
        try:
            run.wait(rng.uniform(0, span))
            assert run.returncode == 0, run.stdout.read()
            return out, kills
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
            run.stdout.close()
            kills, span = kills + 1, span * 1.3
    raise AssertionError("never came to an end")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(("seed", "workers"), [(1, 1), (2, 2)])
def test_killed_and_started_again_it_ends_in_the_same_bytes(tmp_path, made, seed, workers):
    recipe = recipe_for(made, ["test_slow", {"test_long": {"minimum": 20}}, "test_same", "test_upper"])
    process(recipe, tmp_path / "whole", workers=1)
    out, kills = kill_and_resume(tmp_path, recipe, seed, workers, 0.7)
    assert kills and everything(out) == everything(tmp_path / "whole")


@pytest.mark.nightly
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("seed", range(10, 22))
def test_killed_at_many_moments(tmp_path, made, seed):
    recipe = recipe_for(made, ["test_slow", {"test_long": {"minimum": 20}}, "test_same", "test_upper"])
    process(recipe, tmp_path / "whole", workers=1)
    out, kills = kill_and_resume(tmp_path, recipe, seed, 1 + seed % 2, 0.3)
    assert kills and everything(out) == everything(tmp_path / "whole")


@step("test_slow")
def slow(batch: Batch) -> None:
    "Takes its time."
    time.sleep(0.02)


def test_workers_and_engine_change_nothing(tmp_path, made):
    process(recipe_for(made), tmp_path / "one", workers=1)
    process(recipe_for(made), tmp_path / "two", workers=2)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'llm-practice[scale]'")
def test_ray_gives_the_same_bytes(tmp_path, made):
    recipe = recipe_for(made, ["exact_dedup", "near_dedup", "test_same"], unit_mb=0.03)
    process(recipe, tmp_path / "local", workers=1)
    code = WORKER.replace("workers=int(sys.argv[4])", "engine='ray', workers=2")
    command = [sys.executable, "-c", code, str(ROOT / "tests"), json.dumps(recipe), str(tmp_path / "ray")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert everything(tmp_path / "ray") == everything(tmp_path / "local")


def test_without_ray_the_way_out_is_said(tmp_path, made, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r'pip install "llm-practice\[scale\]"'):
        process(recipe_for(made), tmp_path / "out", engine="ray")


# Folders


def test_another_recipe_in_the_same_folder_is_refused(tmp_path, made, monkeypatch):
    out = tmp_path / "out"
    process(recipe_for(made), out, workers=1)
    before = everything(out)
    assert len(process(recipe_for(made), out)) == Corpus(out).manifest["documents"]
    with pytest.raises(FolderError, match=r"result of another recipe(.|\n)*steps(.|\n)*overwrite"):
        process(recipe_for(made, ["test_upper"]), out)
    assert everything(out) == before
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_write_result", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            process(recipe_for(made, ["test_upper"]), out, workers=1, overwrite=True)
    assert {k: v for k, v in everything(out).items() if not k.startswith(".work")} == before
    with pytest.raises(FolderError, match="unfinished run with another recipe"):
        process(recipe_for(made, ["test_long"]), out)
    write(made / "a.jsonl", [{"text": "changed since"}])
    with pytest.raises(FolderError, match="unfinished run with another recipe, input or version"):
        process(recipe_for(made, ["test_upper"]), out)
    process(recipe_for(made, ["test_upper"]), out, workers=1, overwrite=True)
    assert Corpus(out).manifest["recipe"]["steps"] == ["test_upper"] and not (out / ".work").exists()


def test_two_runs_in_one_folder(tmp_path, made):
    from filelock import FileLock

    (tmp_path / "out" / ".work").mkdir(parents=True)
    with FileLock(tmp_path / "out" / ".work" / "lock"), pytest.raises(FolderError, match="another run is at work"):
        process(recipe_for(made), tmp_path / "out")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_leaves_the_old_output_whole(tmp_path, made, workers):
    "A real one: a small file system in memory, where this process may make one."
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name != "posix" or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("no right to make a small file system here")
    try:
        rng = random.Random(0)
        process(recipe_for(made / "b.jsonl.gz"), disk / "out", workers=1)
        before = everything(disk / "out")
        write(tmp_path / "large.jsonl", [{"text": rng.randbytes(3000).hex()} for _ in range(300)])
        with pytest.raises(FolderError, match="the disk is full. Make room. Finished units are kept and the earlier output"):
            process(recipe_for(tmp_path / "large.jsonl", ["test_upper"], unit_mb=0.1), disk / "out", workers=workers, overwrite=True)
        assert {k: v for k, v in everything(disk / "out").items() if not k.startswith(".work")} == before
        assert Corpus(disk / "out").verify() and list((disk / "out" / ".work").rglob("*.kept.parquet"))
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert len(process(recipe_for(tmp_path / "large.jsonl", ["test_upper"], unit_mb=0.1), disk / "out", workers=1)) == 300
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission")])  # fmt: skip
def test_troubles_of_the_disk_in_words(tmp_path, made, monkeypatch, number, words):
    out = tmp_path / "out"
    process(recipe_for(made), out, workers=1)
    before = everything(out)

    def failing(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pipeline.pq.ParquetWriter, "write_table", failing)
    with pytest.raises(FolderError, match=words):
        process(recipe_for(made, ["test_upper"]), out, workers=1, overwrite=True)
    assert {k: v for k, v in everything(out).items() if not k.startswith(".work")} == before


def test_a_folder_that_is_a_file_or_read_only(tmp_path, made):
    with pytest.raises(FolderError, match="this is a file, not a folder"):
        process(recipe_for(made), made / "a.jsonl")
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name == "posix" and not subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(disk)], capture_output=True).returncode:
        try:
            with pytest.raises(FolderError, match="the disk is read-only. Use another folder"):
                process(recipe_for(made), disk / "out")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    elif os.geteuid():
        disk.chmod(0o500)
        with pytest.raises(FolderError, match="no permission to write here"):
            process(recipe_for(made), disk / "out")


def test_a_changed_file_is_found(tmp_path, made):
    corpus = process(recipe_for(made), tmp_path / "out", workers=1)
    shard = tmp_path / "out" / corpus.manifest["shards"][0]["path"]
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(PipelineError, match=r"part-00000.parquet: sha256 is .* make the corpus again"):
        corpus.verify()


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path):
    with pytest.raises(Crash), publish(tmp_path / "x") as part:
        part.write_text("half")
        raise Crash
    assert not list(tmp_path.iterdir())
    with publish(tmp_path / "x") as part:
        part.write_text("whole")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_text() == "whole" and sha256(tmp_path / "x").startswith("5d57")


# Hostile text

HOSTILE = [
    "\ud800", "half \udfff pair", "\ud83d\ude00 joined", "\0\0\0", "a\0b", "", " ", "\u200b\u202e\ufeff", "e" + "\u0301" * 5000, "<p>" * 3000,
    "\n" * 50_000, "🧑‍🚀" * 500, "x" * 300_000, "中" * 100_000, "=cmd()", "1" * 5000, "NaN", "\x85\u2028\u2029\x1c", "'\"\\", "\uffff\U0010ffff",
    "<!-- " + "<a " * 2000, "{" * 3000, "ÿþ", "аҧсшәа العربية ไทย 한국어",
]  # fmt: skip
STANDARD = ["html", "normalise", "language", {"filter": {"rules": ["basic", "gopher_quality", "gopher_repetition", "c4", "fineweb"]}}, "mask", "exact_dedup", "near_dedup"]


def test_hostile_text_goes_through_all_steps(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"text": t, "deep": t[:50]}) for t in HOSTILE), encoding="utf-8")
    steps = STANDARD
    corpus = process({"sources": [str(path)], "steps": steps}, tmp_path / "out", workers=1)
    assert len(list(corpus.rows())) + len(list(corpus.removed())) == len(HOSTILE)
    assert not [row["id"] for row in corpus.removed("failed")]
    assert corpus.verify() and len(corpus.card) > 1000
    nothing = process({"sources": [str(path)], "steps": []}, tmp_path / "none", workers=1)
    assert [row["text"] for row in nothing.rows()][:3] == ["\ufffd", "half \ufffd pair", "😀 joined"]


def test_broken_rows_are_removed_with_a_reason(tmp_path):
    path = tmp_path / "x.jsonl"
    good = json.dumps({"text": "good"}).encode()
    deep = b"[" * 100_000
    lines = ["{\"text\": \"好好好\"}".encode(), good, b"{broken", b"[1, 2]", b'{"text": 3}', b'{"other": "x"}', b'{"text": "\xff\xfe bytes"}', deep, b"9" * 10_000, b'"text"', good]
    path.write_bytes(b"\n".join(lines))
    corpus = process({"sources": [str(path)], "steps": []}, tmp_path / "out", workers=1)
    assert [row["text"] for row in corpus.rows()] == ["好好好", "good", "\ufffd\ufffd bytes", "good"]
    assert [row["reasons"][0].split(":")[0] for row in corpus.removed()] == ["read"] * 7
    assert next(corpus.removed("read: broken JSON"))["text"] == "{broken"


def test_a_cut_off_archive_gives_what_it_has_and_says_so(tmp_path):
    rows = [{"text": t} for t in texts(2000)]
    whole = write(tmp_path / "whole.jsonl.gz", rows)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole.read_bytes()[:-3000])
    (tmp_path / "cut.jsonl.zst").write_bytes(pa.compress(gzip.decompress(whole.read_bytes()), "zstd", asbytes=True)[:-3000])
    (tmp_path / "no.csv.gz").write_bytes(b"not packed at all")
    for name, least in (("cut.jsonl.gz", 1000), ("cut.jsonl.zst", 0), ("no.csv.gz", 0)):
        corpus = process({"sources": [str(tmp_path / name)], "steps": []}, tmp_path / f"out{name}", workers=1)
        assert least <= len(corpus) < 2000
        assert next(corpus.removed("read: damaged"))["reasons"][0].endswith("the rest of the file was not read")


def test_a_line_too_long_for_memory_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(documents_module, "LONGEST", 50_000)
    path = tmp_path / "x.txt"
    path.write_bytes(b"one\n" + b"y" * 200_001 + b"\ntwo\n" + b"z" * 50_001)
    corpus = process({"sources": [str(path)], "steps": []}, tmp_path / "out", workers=1)
    assert [row["text"] for row in corpus.rows()] == ["one", "two"]
    assert [row["reasons"] for row in corpus.removed()] == [["read: longer than 50,000 bytes"]] * 2


def test_ten_megabytes_on_one_line(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("word " * 2_000_000 + "\nshort enough to be kept\n", encoding="utf-8")
    start = time.perf_counter()
    corpus = process({"sources": [str(path)], "steps": ["normalise", "exact_dedup", "near_dedup"]}, tmp_path / "out", workers=1)
    assert [len(row["text"]) for row in corpus.rows()] == [9_999_999, 23] and time.perf_counter() - start < 40


def test_a_step_that_fails_costs_one_document(tmp_path):
    rows = [{"text": f"text {i}" + (" bad" if i % 50 == 7 else "")} for i in range(200)]
    corpus = process({"sources": [str(write(tmp_path / "x.jsonl", rows))], "steps": ["test_fragile"]}, tmp_path / "out", workers=1)
    assert len(corpus) == 196 and all(row["text"].endswith("!") and not row["text"].endswith("!!") for row in corpus.rows())
    assert {row["reasons"][0] for row in corpus.removed()} == {"failed: ValueError: cannot bear bad"}


def test_a_step_that_always_fails_stops_the_run(tmp_path):
    rows = [{"text": f"bad {i}"} for i in range(200)]
    with pytest.raises(PipelineError, match="test_fragile failed on 200 of 200 documents.*cannot bear bad"):
        process({"sources": [str(write(tmp_path / "x.jsonl", rows))], "steps": ["test_fragile"]}, tmp_path / "out", workers=1)


@given(st.lists(st.binary(max_size=60), max_size=40), st.sampled_from([".txt", ".jsonl", ".csv"]))
@example([b"\x00\x80"], ".csv")
@settings(deadline=None, max_examples=25)
def test_any_bytes_are_input(tmp_path_factory, lines, suffix):
    folder = tmp_path_factory.mktemp("any")
    path = folder / f"x{suffix}"
    path.write_bytes((b"text,n\n" if suffix == ".csv" else b"") + b"\n".join(lines) + b"\n")
    source = {"files": str(path), **({"encoding": "utf-8"} if suffix == ".csv" else {})}  # a guess may hide the first line
    corpus = process({"sources": [source], "steps": ["test_upper"], "output": {"unit_mb": 0.0002}}, folder / "out", workers=1)
    ids = [row["id"] for row in [*corpus.rows(), *corpus.removed()]]
    assert len(ids) == len(set(ids)) == corpus.manifest["sources"][0]["read"]


def test_rows_of_a_parquet_file_keep_their_numbers_in_its_parts(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": [f"row {i} " + "x" * 50 for i in range(1, 301)]}), path, row_group_size=50)
    size = path.stat().st_size
    for unit_mb in (size / 4e6, 1):
        corpus = process({"sources": [str(path)], "output": {"unit_mb": unit_mb}}, tmp_path / f"out{unit_mb}", workers=1)
        assert [(row["id"].rpartition(":")[2], row["text"].split()[1]) for row in corpus.rows()] == [(str(i), str(i)) for i in range(1, 301)]


def test_an_empty_source_makes_an_empty_corpus(tmp_path):
    (tmp_path / "x.txt").write_text("")
    corpus = process(recipe_for(tmp_path / "x.txt"), tmp_path / "out", workers=1)
    assert len(corpus) == 0 and list(corpus.rows()) == [] and "0 documents" in corpus.card


# The command line


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    from llm_practice.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return run


def test_help_is_there_at_once_and_without_torch():
    code = "import sys; from llm_practice.cli import main\ntry: main(['process', '--help'])\nfinally: print(*sys.modules)"
    start = time.perf_counter()
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "worked example:" in shown and time.perf_counter() - start < 5
    assert not {"torch", "datasets", "pandas", "numpy", "pyarrow"} & set(shown.split())


@pytest.mark.parametrize("name", ["clean", "dedup", "augment", "tokenize", "process"])
def test_the_worked_examples_work(name, tmp_path):
    from llm_practice.cli import COMMANDS

    if not Path("/bin/sh").exists():
        pytest.skip("no shell on this system")
    example = COMMANDS[name].example.split("worked example:\n")[1].split("\n\n")[0].replace("\n  ", "\n")
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "llm-practice").write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; from llm_practice.cli import main; sys.exit(main())" "$@"\n')
    (bin / "llm-practice").chmod(0o755)
    example = example.replace("limit: 5000", "limit: 200").replace("- bbc-news", "- {name: bbc-news, limit: 600}").replace("less ", "cat ")
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    done = subprocess.run(["/bin/sh", "-ec", example], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    wanted = {"clean": '{"text": "Call me: [PHONE]", "n": 1}', "dedup": "2  kept → out.txt\nIt rained.\nIt snowed.", "process": "near_dedup: of bbc-news:", "augment": '"label": 1, "augmented": "s',
              "tokenize": '{"text": "It rained in Paris.", "input_ids": [101, 2009, '}  # fmt: skip
    assert wanted[name] in done.stdout


def test_formats_columns_and_the_removed(cli, tmp_path):
    write(tmp_path / "in.jsonl", [{"body": "It rained.", "n": 1, "tags": ["a"]}, {"body": "it rained", "n": 2}, {"body": "雪,\n\"x\"", "x": 0.5}])
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.csv.zst", "a.parquet"):
        code, out, _ = cli("dedup", "in.jsonl", "-o", name, "--text", "body", "--exact", "--removed", "gone.jsonl", "--overwrite")
        assert code == 0 and "2  kept" in out
        assert [p.name for p in tmp_path.glob(".*")] == []
        again = process({"sources": [{"files": str(tmp_path / name), "text": "body"}], "steps": []}, tmp_path / f"again-{name}", workers=1)
        rows = list(again.rows())
        assert [row["text"] for row in rows] == ["It rained.", '雪,\n"x"'] and json.loads(rows[0]["meta"])["n"] in (1, "1")
    assert json.loads((tmp_path / "gone.jsonl").read_text())["reasons"].startswith("exact_dedup: of input/in.jsonl@")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.field("n").type == pa.int64() and table.schema.field("x").type == pa.float64()
    assert cli("dedup", "in.jsonl", "-o", "a.txt", "--text", "body", "--exact")[0] == 0
    assert (tmp_path / "a.txt").read_text() == 'It rained.\n雪, "x"\n'


def test_errors_of_the_command_line_are_for_people(cli, tmp_path):
    write(tmp_path / "in.jsonl", [{"text": "It rained."}])
    (tmp_path / "there.txt").write_text("old")
    (tmp_path / "r.yaml").write_text("sources: [in.jsonl]\nsteps: [exact_dedup]\n")
    for code, message, *arguments in (
        (1, "there.txt: this file is there already; use another name, or replace it with --overwrite", "dedup", "in.jsonl", "-o", "there.txt"),
        (2, "o.xlsx: a result can be .txt, .jsonl", "dedup", "in.jsonl", "-o", "o.xlsx"),
        (2, "nothing is there. Did you mean in.jsonl?", "dedup", "inn.jsonl", "-o", "o.txt"),
        (2, "no such recipe. Did you mean r.yaml?", "process", "rr.yaml", "-o", "out"),
        (2, "rules: 'gopher' is unknown. Did you mean gopher_", "clean", "in.jsonl", "-o", "o.txt", "--rules", "gopher"),
        (1, "there is no corpus here", "removed", "nowhere"),
        (2, "step 'dedup' is unknown", "steps", "dedup"),
    ):  # fmt: skip
        found, out, err = cli(*arguments)
        assert (found, out) == (code, "") and message in err and "Traceback" not in err
    assert (tmp_path / "there.txt").read_text() == "old"
    with pytest.raises(SystemExit, match="2"):
        cli("clan")


def test_process_twice_and_another_recipe(cli, tmp_path):
    write(tmp_path / "in.jsonl", [{"text": t} for t in texts(30)])
    (tmp_path / "r.yaml").write_text("sources: [in.jsonl]\nsteps: [exact_dedup]\n")
    assert cli("process", "r.yaml", "-o", "out", "--quiet") == (0, "", "")
    assert cli("process", "r.yaml", "-o", "out")[0] == 0
    (tmp_path / "r.yaml").write_text("sources: [in.jsonl]\nsteps: []\n")
    code, _, err = cli("process", "r.yaml", "-o", "out")
    assert code == 1 and "result of another recipe" in err and "--overwrite" in err
    assert cli("process", "r.yaml", "-o", "out", "--overwrite")[0] == 0
    code, out, _ = cli("removed", "out")
    assert code == 0 and "30  kept" in out


def test_ctrl_c_says_how_to_go_on(cli, tmp_path, monkeypatch):
    write(tmp_path / "in.jsonl", [{"text": "x"}])
    monkeypatch.setattr(pipeline, "process", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    code, _, err = cli("dedup", "in.jsonl", "-o", "o.txt")
    assert code == 130 and "type the same command again to go on" in err


def test_commands_are_open(cli):
    from llm_practice import cli as module

    @module.command("hello", "Say it.", "worked example:\n  llm-practice hello", module.argument("--name", default="you"))
    def hello(args):
        print("hello", args.name)
        return 0

    try:
        assert cli("hello", "--name", "me") == (0, "hello me\n", "")
    finally:
        del module.COMMANDS["hello"]


def test_the_recipe_of_the_book_is_one():
    recipe = Recipe.read(ROOT / "recipes" / "corpus.yaml")
    assert {"bbc-news", "chinese-reviews"} < {source["name"] for source in recipe.sources}
    assert {"normalise", "mask", "exact_dedup", "near_dedup"} < {name for name, _ in recipe.steps}


def test_texts_of_a_test_set_are_removed(tmp_path):
    rows = texts(60, 9)
    long = [" ".join(texts(3, 100 + i)) for i in range(40)]
    write(tmp_path / "test.jsonl", [{"text": t} for t in long[:5]])
    write(tmp_path / "in.jsonl", [{"text": t} for t in rows + long[5:] + [f"before {t} after" for t in long[:5]]])
    recipe = {"sources": [str(tmp_path / "in.jsonl")], "steps": [{"decontaminate": {"against": [str(tmp_path / "test.jsonl")]}}]}
    corpus = process(recipe, tmp_path / "out", workers=1)
    assert len(corpus) == 95 and all(r["text"].startswith("before") and "100% of test text" in r["reasons"][0] for r in corpus.removed())
    with pytest.raises(RecipeError, match="against: 'bbc-new' is neither a file nor packaged. Did you mean bbc-news"):
        Recipe.read({**recipe, "steps": [{"decontaminate": {"against": ["bbc-new"]}}]})


def test_a_filter_needs_a_language(tmp_path):
    path = write(tmp_path / "in.jsonl", [{"text": "It rained in Paris, and nobody minded."}, {"text": "天气很好，我们出去走走。", "language": "zh"}, {"text": "Il pleut.", "language": "fr"}])
    steps = [{"filter": {"rules": ["basic"]}}]
    with pytest.raises(PipelineError, match="nobody said in which language in/in.jsonl@0 is: put the step `language` before"):
        process({"sources": [str(path)], "steps": steps}, tmp_path / "out", workers=1)
    corpus = process({"sources": [{"files": str(path), "language": "en"}], "steps": steps}, tmp_path / "out2", workers=1)
    assert len(corpus) == 2 and next(corpus.removed())["reasons"] == ["no_rules: there are none for fr"]
