"One process, several, Ray: the same bytes, and nobody stays behind."

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from pipelines import ROOT, WORKER, everything, recipe_for

from llm_practice.data.pipeline import process
from llm_practice.engine.recipe import PipelineError

pytestmark = pytest.mark.usefixtures("quick_disk")


def test_workers_and_engine_change_nothing(tmp_path, made):
    process(recipe_for(made), tmp_path / "one", workers=1)
    process(recipe_for(made), tmp_path / "two", workers=2)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed: pip install 'llm-practice[scale]'",
)
def test_ray_gives_the_same_bytes(tmp_path, made):
    recipe = recipe_for(made, ["exact_dedup", "near_dedup", "test_same"], unit_mb=0.03)
    process(recipe, tmp_path / "local", workers=1)
    code = WORKER.replace("workers=int(sys.argv[4])", "engine='ray', workers=2")
    command = [
        sys.executable,
        "-c",
        code,
        str(ROOT / "tests"),
        json.dumps(recipe),
        str(tmp_path / "ray"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert everything(tmp_path / "ray") == everything(tmp_path / "local")


PARENT = """
import os, sys, time
from llm_practice.engine.workers import Local
def sleep(path):
    open(f"{path}.{os.getpid()}", "w").close()
    time.sleep(60)
list(Local(2).run(sleep, [f"{sys.argv[1]}/{n}" for n in range(2)]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_workers_leave_with_a_parent_that_was_killed(tmp_path):
    run = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    limit = time.time() + 120
    while len(list(tmp_path.iterdir())) < 2 and run.poll() is None and time.time() < limit:
        time.sleep(0.05)
    workers = [psutil.Process(int(path.suffix[1:])) for path in tmp_path.iterdir()]
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert len(gone) == 2 and not alive


def test_without_ray_the_way_out_is_said(tmp_path, made, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r'pip install "llm-practice\[scale\]"'):
        process(recipe_for(made), tmp_path / "out", engine="ray")
