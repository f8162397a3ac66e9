"""Chinese segmentation: llm_practice beside rjieba and jieba, F1 on the People's Daily and characters per second, on one core.

    python bench/segment.py                                   # one split, all of its test part, three timed runs of each tool
    python bench/segment.py --seeds 5 --json result.json
    python bench/segment.py --python /path/to/venv/bin/python # another Python that has jieba or rjieba
    python bench/segment.py --lines 2000 --repeat 1           # small

Repeated lines are dropped. The split is by blocks of fifty neighbouring lines, so that the words of an article do not
stand on both sides. Our segmenters learn from the training part, with its standard of what a word is. The peers bring
their own dictionaries and standards, so their F1 says how near those are to this one, not how good they are at their
own; and many words that are unknown to us are in their dictionaries. Each tool works in a process of its own, with the
texts in memory; imports, learning and the first texts (which load dictionaries) are outside of the clock. Times are CPU
times, the best of `--repeat` runs. What is not installed is named and left out.
"""

import os

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "ARROW_NUM_THREADS",
)
for name in THREADS:
    os.environ[name] = "1"

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = {
    "longest match": "maximum matching, both ways",
    "unigram lattice": "best path",
    "hidden Markov model": "alone",
    "lattice and model": "the default",
    "lattice and model, one by one": "the same, a call for each line",
}
PEERS = {
    "rjieba": ("rjieba", "pip install rjieba"),
    "jieba": ("jieba", "pip install jieba  (in a venv of its own: --python)"),
}
PEER_TOOLS = {
    "rjieba": "rjieba",
    "rjieba, model off": "rjieba",
    "jieba": "jieba",
    "jieba, model off": "jieba",
}


def tool(name: str, train: list[list[str]]):
    "A function from texts to words of each."
    if name in PEER_TOOLS:
        if PEER_TOOLS[name] == "rjieba":
            from rjieba import cut
        else:
            import logging

            import jieba

            jieba.setLogLevel(logging.WARNING)
            cut = jieba.lcut
        model = "off" not in name
        return lambda texts: (
            [cut(text, model) for text in texts]
            if PEER_TOOLS[name] == "rjieba"
            else [cut(text, HMM=model) for text in texts]
        )
    from llm_practice.engine.lattice import LatticeSegmenter
    from llm_practice.engine.segmenter import HMMSegmenter, MaxMatch

    counts = Counter(word for line in train for word in line)
    if name == "longest match":
        return MaxMatch(counts).segment_batch
    if name == "unigram lattice":
        return LatticeSegmenter(counts).segment_batch
    if name == "hidden Markov model":
        return HMMSegmenter.fit(train).segment_batch
    fitted = LatticeSegmenter.fit(train)
    return (
        fitted.segment_batch
        if "one by one" not in name
        else lambda texts: [fitted.segment(text) for text in texts]
    )


def work(name: str, source: Path, target: Path, repeat: int) -> None:
    "Run one tool; in a process of its own."
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    data = json.loads(source.read_text(encoding="utf-8"))
    start = time.process_time()
    cut = tool(name, data["train"])
    cut(data["texts"][:20])
    ready, times = time.process_time() - start, []
    for _ in range(repeat):
        start = time.process_time()
        found = cut(data["texts"])
        times.append(time.process_time() - start)
    package = PEER_TOOLS.get(name)
    result = {
        "ready": ready,
        "seconds": times,
        "found": found,
        "version": version(package) if package else None,
    }
    target.write_text(json.dumps(result), encoding="utf-8")


def has(python: str, package: str) -> bool:
    "Whether this Python can import a package."
    return (
        subprocess.run(
            [python, "-c", f"import {package}"], capture_output=True, check=False
        ).returncode
        == 0
    )


def splits(seeds: int, lines: int | None):
    "For each seed: lines to learn from and lines to test on, copies dropped, cut by blocks of fifty lines."
    from datasets import Dataset

    from llm_practice.data.batching import split
    from llm_practice.data.sources import load
    from llm_practice.engine.text import exact_keys

    daily = load("peoples-daily", quiet=True)
    rows = list(dict(zip(exact_keys(daily["text"]), daily["tokens"])).values())[:lines]
    blocks = Dataset.from_dict(
        {"line": range(len(rows)), "block": [str(i // 50) for i in range(len(rows))]}
    )
    for seed in range(seeds):
        parts = split(blocks, test=0.1, validation=0, label=None, text="block", key=str, seed=seed)
        yield tuple([rows[i] for i in parts[part]["line"]] for part in ("train", "test"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1, help="so many splits (default 1)")
    parser.add_argument("--lines", type=int, help="only the first so many lines of the corpus")
    parser.add_argument(
        "--repeat",
        type=int,
        default=3,
        help="timed runs of each tool, of which the best counts (default 3)",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        help="another Python that has peers (may be given several times)",
    )
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--work", nargs=3, metavar=("TOOL", "IN", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(
            arguments.work[0], Path(arguments.work[1]), Path(arguments.work[2]), arguments.repeat
        )
    if arguments.seeds < 1 or arguments.repeat < 1:
        sys.exit("--seeds and --repeat must be at least 1")
    if arguments.lines is not None and arguments.lines < 1000:
        sys.exit(f"--lines {arguments.lines}: at least 1000, or the test part is too small")
    where = {tool: sys.executable for tool in OURS}
    for package, (module, install) in PEERS.items():
        found = next(
            (python for python in [sys.executable, *arguments.python] if has(python, module)), None
        )
        if found:
            where |= {tool: found for tool, needs in PEER_TOOLS.items() if needs == package}
        else:
            print(f"{package} is not installed and left out: {install}", flush=True)
    report(where, arguments)


def report(where: dict[str, str], arguments: argparse.Namespace) -> None:
    "Run, print the table, write the JSON."
    from statistics import mean, stdev

    from llm_practice.book import hardware
    from llm_practice.data.words import word_f1

    runs: dict[str, list[dict]] = {tool: [] for tool in where}
    characters, versions = 0, {"Python": platform.python_version(), "numpy": version("numpy")}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.json"), Path(folder, "out.json")
        for train, test in splits(arguments.seeds, arguments.lines):
            texts, known = (
                ["".join(line) for line in test],
                {word for line in train for word in line},
            )
            characters = sum(map(len, texts))
            source.write_text(json.dumps({"train": train, "texts": texts}), encoding="utf-8")
            for name, python in where.items():
                command = [
                    python,
                    __file__,
                    "--work",
                    name,
                    str(source),
                    str(target),
                    "--repeat",
                    str(arguments.repeat),
                ]
                subprocess.run(command, check=True)
                result = json.loads(target.read_text(encoding="utf-8"))
                if result["version"]:
                    versions[PEER_TOOLS[name]] = result["version"]
                scores = word_f1(result["found"], test, known)
                runs[name].append(
                    {
                        **scores,
                        "ready_s": result["ready"],
                        "characters_s": characters / min(result["seconds"]),
                    }
                )
    try:
        versions["llm-practice"] = version("llm-practice")
    except PackageNotFoundError:
        versions["llm-practice"] = "source"
    rows = []
    for name, found in runs.items():
        row = {key: mean(run[key] for run in found) for key in found[0]}
        row["f1_spread"] = stdev(run["f1"] for run in found) if len(found) > 1 else None
        rows.append({"tool": name, **row})
    speed = {row["tool"]: row["characters_s"] for row in rows}
    print(
        f"\n{'tool':<31}{'F1':>8}{'spread':>8}{'unknown':>9}{'known':>8}{'ready s':>9}{'Mchar/s':>9}"
        + "".join(f"{'x ' + p:>10}" for p in PEERS if p in speed)
    )
    for row in rows:
        row["ratios"] = {peer: row["characters_s"] / speed[peer] for peer in PEERS if peer in speed}
        line = f"{row['tool']:<31}{row['f1']:>8.4f}{'' if row['f1_spread'] is None else format(row['f1_spread'], '.4f'):>8}"
        line += f"{row['oov_recall']:>9.3f}{row['known_recall']:>8.4f}{row['ready_s']:>9.2f}{row['characters_s'] / 1e6:>9.2f}"
        print(line + "".join(f"{ratio:>10.2f}" for ratio in row["ratios"].values()))
    facts = {
        "seeds": arguments.seeds,
        "lines": arguments.lines,
        "characters": characters,
        "hardware": hardware("cpu"),
        "versions": versions,
    }
    print(
        f"\nunknown, known: recall of words that the training part lacks, has. {characters:,} characters in the last test part."
    )
    print(
        f"{hardware('cpu')}, one of them used; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({**facts, "tools": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
