"Steps, made input and runs in processes of their own, for the tests of the pipeline."

import gzip
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from llm_practice.engine.recipe import (
    Batch,
    step,
)

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
    keys = [
        [int.from_bytes(text[:5].encode()[:7].ljust(7, b"\0"), "big") + 1] for text in batch["text"]
    ]
    return np.array(keys, np.uint64), np.array([len(text) for text in batch["text"]])


@step("test_slow")
def slow(batch: Batch) -> None:
    "Takes its time."
    time.sleep(0.02)


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


def everything(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


class Crash(BaseException):
    "Stands for the power failing."


WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import pipelines
from llm_practice.data.pipeline import process
process(json.loads(sys.argv[2]), sys.argv[3], workers=int(sys.argv[4]))
"""


def start(recipe, out, workers=1):
    command = [
        sys.executable,
        "-c",
        WORKER,
        str(ROOT / "tests"),
        json.dumps(recipe),
        str(out),
        str(workers),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
