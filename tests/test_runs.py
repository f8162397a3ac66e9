"Crashes at every moment, full and read-only disks, folders with another's work, shares of sources."

import errno
import os
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipelines import Crash, everything, recipe_for, start, texts, write

from llm_practice.data.pipeline import process
from llm_practice.engine import runs, shards
from llm_practice.engine.corpus import Corpus
from llm_practice.engine.recipe import FolderError
from llm_practice.engine.runs import parts_to_take

pytestmark = pytest.mark.usefixtures("quick_disk")


def test_limit_sample_and_weight(tmp_path, made):
    write(tmp_path / "few.jsonl", [{"text": t} for t in texts(80, 5)])
    sources = [
        {"name": "many", "files": str(made)},
        {"name": "few", "files": str(tmp_path / "few.jsonl")},
    ]
    read = lambda name, **more: process(
        {"sources": [{**sources[0], **more}, sources[1]], "steps": []}, tmp_path / name, workers=1
    )
    assert [s["read"] for s in read("limit", limit=150).manifest["sources"]] == [150, 80]
    first, again = (
        read("sample", sample=0.5),
        process(
            {"sources": [{**sources[0], "sample": 0.5}], "steps": [], "output": {"unit_mb": 0.003}},
            tmp_path / "again",
        ),
    )
    assert 280 < first.manifest["sources"][0]["read"] < 420
    assert [r["id"] for r in first.rows() if r["source"] == "many"] == [
        r["id"] for r in again.rows()
    ]
    weighed = [{**sources[0], "weight": 1}, {**sources[1], "weight": 1}]
    corpus = process({"sources": weighed, "steps": ["test_upper"]}, tmp_path / "mix", workers=1)
    many, few = (s["characters"] for s in corpus.manifest["sources"])
    assert 0.6 < many / few < 1.6 and corpus.manifest["sources"][1]["kept"] == 80
    assert len(corpus) + corpus.manifest["steps"][-1]["removed"] == 780


@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(1, 1e9), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 100)),
)
@settings(deadline=None)
def test_shares_are_as_wanted(sizes, weights):
    take = parts_to_take(sizes, weights)
    assert all(0 < part <= 1 + 1e-9 for part in take.values())
    ratios = [sizes[n] * part / weights[n] for n, part in take.items()]
    assert not ratios or (max(ratios) / min(ratios) < 1 + 1e-6 and max(take.values()) > 1 - 1e-9)


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


STOPS = [Crash, KeyboardInterrupt, OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken")]


@given(
    st.lists(st.tuples(st.sampled_from(STOPS), st.integers(1, 45)), max_size=5),
    st.sampled_from([["test_upper"], ["test_same"], ["test_upper", "test_same", {"test_long": {"minimum": 30}}, "test_same"]]),
    st.sampled_from([0.001, 0.004, 1]),
    st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
def test_any_interruptions_end_in_the_same_bytes(stops, steps, unit_mb, old):
    with tempfile.TemporaryDirectory() as home:
        path = write(Path(home, "x.jsonl"), [{"text": t} for t in texts(60)])
        recipe, out = recipe_for(path, steps, unit_mb=unit_mb), Path(home, "out")
        process(recipe, Path(home, "whole"), workers=1)
        if old:
            process(recipe_for(path, [], unit_mb=unit_mb), out, workers=1)
        replace, input_before = os.replace, path.read_bytes()
        for stop, number in stops:
            calls = iter(range(1, 10**6))

            def failing(source, target, stop=stop, number=number, calls=calls):
                if next(calls) == number:
                    raise stop
                replace(source, target)

            with mock.patch.object(os, "replace", failing):
                try:
                    process(recipe, out, workers=1, overwrite=old)
                    old = False  # what is finished is not made again
                except (Crash, KeyboardInterrupt, OSError):
                    pass
        process(recipe, out, workers=1, overwrite=old)
        assert everything(out) == everything(Path(home, "whole"))
        assert path.read_bytes() == input_before and {p.name for p in Path(home).iterdir()} == {"x.jsonl", "whole", "out"}  # fmt: skip


def test_a_crash_while_the_old_result_is_replaced(tmp_path, monkeypatch, made):
    old, new = recipe_for(made, ["test_upper"]), recipe_for(made)
    process(new, tmp_path / "whole", workers=1)
    whole, replace = everything(tmp_path / "whole"), os.replace
    for crash_at in range(1, 12):
        out, count = tmp_path / f"out{crash_at}", 0
        process(old, out, workers=1)

        def failing(source, target, out=out, crash_at=crash_at):
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


def kill_and_resume(tmp_path, recipe, seed, workers, span):
    rng, out, kills = random.Random(seed), tmp_path / f"out{seed}", 0
    for _ in range(40):
        run = start(recipe, out, workers)
        limit = time.time() + 60
        while (
            run.poll() is None
            and not (out / ".work" / "begun.json").exists()
            and time.time() < limit
        ):
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
    recipe = recipe_for(
        made, ["test_slow", {"test_long": {"minimum": 20}}, "test_same", "test_upper"]
    )
    process(recipe, tmp_path / "whole", workers=1)
    out, kills = kill_and_resume(tmp_path, recipe, seed, workers, 0.7)
    assert kills and everything(out) == everything(tmp_path / "whole")


@pytest.mark.nightly
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("seed", range(10, 22))
def test_killed_at_many_moments(tmp_path, made, seed):
    recipe = recipe_for(
        made, ["test_slow", {"test_long": {"minimum": 20}}, "test_same", "test_upper"]
    )
    process(recipe, tmp_path / "whole", workers=1)
    out, kills = kill_and_resume(tmp_path, recipe, seed, 1 + seed % 2, 0.3)
    assert kills and everything(out) == everything(tmp_path / "whole")


def test_another_recipe_in_the_same_folder_is_refused(tmp_path, made, monkeypatch):
    out = tmp_path / "out"
    process(recipe_for(made), out, workers=1)
    before = everything(out)
    assert len(process(recipe_for(made), out)) == Corpus(out).manifest["documents"]
    with pytest.raises(FolderError, match=r"result of another recipe(.|\n)*steps(.|\n)*overwrite"):
        process(recipe_for(made, ["test_upper"]), out)
    assert everything(out) == before
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_write_result", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            process(recipe_for(made, ["test_upper"]), out, workers=1, overwrite=True)
    assert {k: v for k, v in everything(out).items() if not k.startswith(".work")} == before
    with pytest.raises(FolderError, match="unfinished run with another recipe"):
        process(recipe_for(made, ["test_long"]), out)
    write(made / "a.jsonl", [{"text": "changed since"}])
    with pytest.raises(FolderError, match="unfinished run with another recipe, input or version"):
        process(recipe_for(made, ["test_upper"]), out)
    process(recipe_for(made, ["test_upper"]), out, workers=1, overwrite=True)
    assert (
        Corpus(out).manifest["recipe"]["steps"] == ["test_upper"] and not (out / ".work").exists()
    )


def test_two_runs_in_one_folder(tmp_path, made):
    from filelock import FileLock

    (tmp_path / "out" / ".work").mkdir(parents=True)
    with (
        FileLock(tmp_path / "out" / ".work" / "lock"),
        pytest.raises(FolderError, match="another run is at work"),
    ):
        process(recipe_for(made), tmp_path / "out")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_leaves_the_old_output_whole(tmp_path, made, workers):
    "A real one: a small file system in memory, where this process may make one."
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.name != "posix"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], capture_output=True
        ).returncode
    ):
        pytest.skip("no right to make a small file system here")
    try:
        rng = random.Random(0)
        process(recipe_for(made / "b.jsonl.gz"), disk / "out", workers=1)
        before = everything(disk / "out")
        write(tmp_path / "large.jsonl", [{"text": rng.randbytes(3000).hex()} for _ in range(300)])
        with pytest.raises(
            FolderError,
            match="the disk is full. Make room. Finished units are kept and the earlier output",
        ):
            process(
                recipe_for(tmp_path / "large.jsonl", ["test_upper"], unit_mb=0.1),
                disk / "out",
                workers=workers,
                overwrite=True,
            )
        assert {
            k: v for k, v in everything(disk / "out").items() if not k.startswith(".work")
        } == before
        assert Corpus(disk / "out").verify() and list(
            (disk / "out" / ".work").rglob("*.kept.parquet")
        )
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert (
            len(
                process(
                    recipe_for(tmp_path / "large.jsonl", ["test_upper"], unit_mb=0.1),
                    disk / "out",
                    workers=1,
                )
            )
            == 300
        )
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission")])  # fmt: skip
def test_troubles_of_the_disk_in_words(tmp_path, made, monkeypatch, number, words):
    out = tmp_path / "out"
    process(recipe_for(made), out, workers=1)
    before = everything(out)

    def failing(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(shards.pq.ParquetWriter, "write_table", failing)
    with pytest.raises(FolderError, match=words):
        process(recipe_for(made, ["test_upper"]), out, workers=1, overwrite=True)
    assert {k: v for k, v in everything(out).items() if not k.startswith(".work")} == before


def test_a_folder_that_is_a_file_or_read_only(tmp_path, made):
    with pytest.raises(FolderError, match="this is a file, not a folder"):
        process(recipe_for(made), made / "a.jsonl")
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.name == "posix"
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "none", str(disk)], capture_output=True
        ).returncode
    ):
        try:
            with pytest.raises(FolderError, match="the disk is read-only. Use another folder"):
                process(recipe_for(made), disk / "out")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    elif os.geteuid():
        disk.chmod(0o500)
        with pytest.raises(FolderError, match="no permission to write here"):
            process(recipe_for(made), disk / "out")
