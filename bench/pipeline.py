"""The pipeline at work: documents and MB per second with 1 and 2 Ray workers, and peak memory as the input grows.

    python bench/pipeline.py                            # 0.1 GB of text made from the packaged sources
    python bench/pipeline.py --gb 0.1 1 --json out.json
    python bench/pipeline.py --gb 0.1 1 5 --steps exact_dedup near_dedup    # what memory depends on
    python bench/pipeline.py --input crawl.jsonl        # a JSONL of yours, with the field `text`

Memory is that of the process and all its children, Ray's servers and object store included: the sum of their resident
sets, sampled four times a second. Shared pages are counted once for each process, so it is an upper bound.
"""

import argparse
import contextlib
import importlib.metadata
import json
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from llm_practice.book import hardware
from llm_practice.data.pipeline import process
from llm_practice.data.sources import load

STEPS = [
    "normalise",
    {"filter": {"rules": ["gopher_quality", "gopher_repetition"]}},
    "exact_dedup",
    "near_dedup",
]


def sentences() -> dict[str, list[str]]:
    "Real sentences of both languages."
    english = [
        s
        for name in ("bbc-news", "shakespeare")
        for text in load(name, quiet=True)["text"]
        for s in re.split(r"(?<=[.!?])\s+", text)
    ]
    chinese = [
        s for name in ("peoples-daily", "chinese-reviews") for s in load(name, quiet=True)["text"]
    ]
    return {"en": [s for s in english if len(s) > 20], "zh": [s for s in chinese if len(s) > 8]}


def make(path: Path, gigabytes: float, copies: float = 0.2, seed: int = 0) -> Path:
    "A JSONL of documents put together from real sentences; a share of them are copies of earlier ones with a sentence exchanged."
    rng, pool, size, recent = random.Random(seed), sentences(), 0, []
    with open(path, "w", encoding="utf-8") as file:
        while size < gigabytes * 1e9:
            if recent and rng.random() < copies:
                language, parts = rng.choice(recent)
                parts = list(parts)
                parts[rng.randrange(len(parts))] = rng.choice(pool[language])
            else:
                language = "en" if rng.random() < 0.8 else "zh"
                parts = rng.choices(pool[language], k=rng.randint(5, 40))
                recent = [*recent[-999:], (language, parts)]
            line = (
                json.dumps(
                    {"text": (" " if language == "en" else "").join(parts), "language": language},
                    ensure_ascii=False,
                )
                + "\n"
            )
            size += file.write(line) if line.isascii() else file.write(line) and len(line.encode())
    return path


class Memory:
    "The most memory that this process and all its children took, in MB."

    def __enter__(self) -> "Memory":
        self.peak, self.stop, self.base = 0.0, threading.Event(), self.now()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def now(self) -> float:
        total = 0
        for one in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
        return total / 1e6

    def watch(self) -> None:
        while not self.stop.wait(0.25):
            self.peak = max(self.peak, self.now())

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join()


def measure(
    path: Path, steps: list, engine: str, workers: int, folder: Path, unit_mb: float
) -> dict:
    "One run."
    recipe = {
        "sources": [{"name": "input", "files": str(path)}],
        "steps": steps,
        "output": {"unit_mb": unit_mb},
    }
    shutil.rmtree(folder, ignore_errors=True)
    with Memory() as memory:
        start = time.perf_counter()
        corpus = process(recipe, folder, workers=workers, engine=engine, progress=False)
        seconds = time.perf_counter() - start
    read, size = corpus.manifest["sources"][0]["read"], path.stat().st_size / 1e6
    row = {"engine": engine, "workers": workers, "MB": round(size), "documents": read, "kept": len(corpus), "seconds": seconds,
           "documents/s": read / seconds, "MB/s": size / seconds, "peak MB": memory.peak,
           "shards": [s["sha256"] for s in corpus.manifest["shards"]]}  # fmt: skip
    shutil.rmtree(folder)
    return row


def show(rows: list[dict]) -> None:
    "The table."
    print(
        f"{'engine':8}{'workers':>8}{'MB':>8}{'documents':>11}{'seconds':>9}{'docs/s':>9}{'MB/s':>7}{'speed-up':>10}{'peak MB':>9}"
    )
    for row in rows:
        speed = f"{row['speed-up']:.2f}" if "speed-up" in row else ""
        print(f"{row['engine']:8}{row['workers']:>8}{row['MB']:>8,}{row['documents']:>11,}{row['seconds']:>9.1f}{row['documents/s']:>9,.0f}"
              f"{row['MB/s']:>7.2f}{speed:>10}{row['peak MB']:>9,.0f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gb",
        type=float,
        nargs="+",
        default=[0.1],
        help="sizes of the input to make, in GB (default: 0.1)",
    )
    parser.add_argument(
        "--input", type=Path, help="a JSONL with the field `text`, instead of made input"
    )
    parser.add_argument(
        "--steps",
        nargs="+",
        default=STEPS,
        help="steps without options (default: normalise, Gopher's filters, both comparisons)",
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=["local:1", "local:2", "ray:1", "ray:2"],
        help="engine:workers (default: all four)",
    )
    parser.add_argument(
        "--unit-mb", type=float, default=8, help="size of a unit of work (default: 8)"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to put input and output (default: a temporary folder)"
    )
    parser.add_argument("--json", type=Path, help="write the results to this file")
    args = parser.parse_args()
    versions = {}
    for package in ("llm-practice", "ray", "pyarrow", "numpy", "joblib"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    rows: list[dict] = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for size in [None] if args.input else args.gb:
            path = args.input or make(Path(folder) / "input.jsonl", size)
            for engine, workers in (run.split(":") for run in args.runs):
                if engine == "ray" and versions["ray"] == "absent":
                    print(
                        "Ray is not installed: pip install 'llm-practice[scale]'", file=sys.stderr
                    )
                    continue
                rows.append(
                    measure(
                        path, args.steps, engine, int(workers), Path(folder) / "out", args.unit_mb
                    )
                )
                print(f"{engine}:{workers} done in {rows[-1]['seconds']:.0f} s", file=sys.stderr)
            same = [row for row in rows if row["MB"] == round(path.stat().st_size / 1e6)]
            assert len({tuple(row["shards"]) for row in same}) == 1, "two runs gave different bytes"
    for row in rows:
        one = next(
            (
                r
                for r in rows
                if (r["engine"], r["workers"], r["MB"]) == (row["engine"], 1, row["MB"])
            ),
            None,
        )
        if one and row["workers"] > 1:
            row["speed-up"] = row["documents/s"] / one["documents/s"]
    print(
        f"{hardware('cpu')}; "
        + ", ".join(f"{k} {v}" for k, v in versions.items())
        + "; every run of a size gave the same bytes"
    )
    show(rows)
    if args.json:
        args.json.write_text(
            json.dumps(
                {
                    "hardware": hardware("cpu"),
                    "versions": versions,
                    "steps": args.steps,
                    "runs": rows,
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
