"""Near-duplicates: llm_practice beside text-dedup and rensa, on one core, in one run.

    python bench/dedup.py                                     # real packaged text with near-copies of known sizes
    python bench/dedup.py --input corpus.jsonl                # your own text, field `text` in each line
    python bench/dedup.py --input corpus.jsonl --truth pairs.jsonl --json result.json
    python bench/dedup.py --make folder --edits 0.01 0.05     # write input.jsonl and truth.jsonl, measure nothing

All tools get 5-word shingles and 112 permutations. What is timed, with the texts in memory and imports done:

- llm_practice: `near_duplicates(texts, similarity)`: signatures, bands, exact Jaccard index, clusters.
- text-dedup: the steps "MinHashing" and "Clustering" of its command `python -m text_dedup.minhash`, by its own clock,
  without its loading, filtering and saving; with SHA-1, its default hash, and with the faster xxh3.
- rensa: shingles joined in Python as its users do, `RMinHash.from_token_sets`, `RMinHashLSH.insert_many`, `query_all`
  with as many bands and rows as text-dedup chooses where they divide 112, union-find over the candidates. With
  `RMinHash.jaccard` at or above the threshold, as `RMinHashDeduplicator` asks.

Right and wrong are counted on pairs of documents in one cluster, against the pairs of `--truth` (closed transitively:
copies of one text are copies of each other). text-dedup's threshold is the middle of a soft curve: with its bands, pairs
of far smaller similarity pass with some probability. llm_practice's is exact. So it runs twice: `reach`, with the
similarity at which text-dedup still lets 1 % of the pairs through, finds what the others may find; `strict`, with
the threshold itself, finds what was asked for and nothing else.
"""

import argparse
import json
import os
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
TOOLS = {
    "llm_practice reach": "llm-practice",
    "llm_practice strict": "llm-practice",
    "text-dedup sha1": "text-dedup",
    "text-dedup xxh3": "text-dedup",
    "rensa": "rensa",
}
INSTALL = {
    "text-dedup": "pip install text-dedup==0.4.0  (its pin urllib3<=2.0 may clash with newer packages: use a venv of its own)",
    "rensa": "pip install rensa==0.5.0",
}


# --- text with near-copies of known sizes ---------------------------------------------------------------------------


def edit(tokens: list[str], share: float, pool: list[str], rng: random.Random) -> list[str]:
    "Replace, delete or insert a share of the tokens, at least one."
    tokens = list(tokens)
    for _ in range(max(1, round(share * len(tokens)))):
        place, kind = rng.randrange(len(tokens)), rng.choice(("replace", "delete", "insert"))
        if kind == "insert":
            tokens.insert(place, rng.choice(pool))
        elif kind == "replace" or len(tokens) == 1:
            tokens[place] = rng.choice(pool)
        else:
            del tokens[place]
    return tokens


def originals(texts: list[str], chinese: bool, smallest: int) -> list[str]:
    "Texts that share next to nothing: no natural copies, so that the truth is known. Plain Python, no MinHash."
    seen: set[str] = set()
    kept = []
    for text in texts:
        tokens = [c for c in text if c.isalnum()] if chinese else re.findall(r"\w+", text.lower())
        runs = {" ".join(tokens[i : i + 5]) for i in range(len(tokens) - 4)}
        if len(tokens) >= smallest and len(runs & seen) <= 0.05 * len(runs):
            kept.append(text)
        seen |= runs
    return kept


def make(
    folder: Path, language: str, edits: list[float], documents: int | None, seed: int
) -> tuple[Path, Path]:
    "Write input.jsonl (shuffled originals and copies) and truth.jsonl (pairs of row numbers)."
    from llm_practice.data.sources import load

    chinese = language == "zh"
    texts = list(load("chinese-reviews" if chinese else "bbc-news", quiet=True)["text"])
    base, rng = originals(texts, chinese, 50)[:documents], random.Random(seed)
    split, join = (list, "".join) if chinese else (str.split, " ".join)
    pool = [token for text in base for token in split(text)]
    rows = [(number, 0.0, text) for number, text in enumerate(base)]
    rows += [
        (number, share, join(edit(split(text), share, pool, rng)))
        for number, text in enumerate(base)
        for share in edits
    ]
    rng.shuffle(rows)
    folder.mkdir(parents=True, exist_ok=True)
    families = defaultdict(list)
    with open(folder / "input.jsonl", "w", encoding="utf-8") as file:
        for row, (number, share, text) in enumerate(rows):
            families[number].append((share, row))
            file.write(
                json.dumps({"text": text, "original": number, "edit": share}, ensure_ascii=False)
                + "\n"
            )
    with open(folder / "truth.jsonl", "w", encoding="utf-8") as file:
        for family in families.values():
            (_, first), *copies = sorted(family)
            for share, row in copies:
                file.write(json.dumps({"pair": [first, row], "edit": share}) + "\n")
    return folder / "input.jsonl", folder / "truth.jsonl"


# --- the tools, each in a process of its own ------------------------------------------------------------------------


def read_texts(path: str) -> list[str]:
    "The field `text` of each line."
    texts = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = json.loads(line)
            if not isinstance(row.get("text"), str):
                raise SystemExit(f"{path}, line {number}: there is no string in the field `text`")
            texts.append(row["text"])
    return texts


def pairs_to_labels(count: int, pairs) -> list[int]:
    "Cluster of each document: union-find."
    parent = list(range(count))

    def find(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in pairs:
        a, b = find(a), find(b)
        parent[max(a, b)] = min(a, b)
    return [find(item) for item in range(count)]


def run_llm_practice(path: str, similarity: float, permutations: int) -> tuple[float, list[int]]:
    from llm_practice.data.dedup import near_duplicates
    from llm_practice.engine.minhash import MinHasher

    texts, hasher = read_texts(path), MinHasher(permutations=permutations)
    near_duplicates(texts[:50] + texts[:1], similarity, hasher)
    start = time.perf_counter()
    found = near_duplicates(texts, similarity, hasher)
    seconds = time.perf_counter() - start
    return seconds, pairs_to_labels(
        len(texts), ((cluster[0], row) for cluster in found.clusters for row in cluster)
    )


def run_text_dedup(
    path: str, threshold: float, permutations: int, hash_func: str
) -> tuple[float, list[int]]:
    import datasets
    from text_dedup import minhash
    from text_dedup.utils import IOArgs, MetaArgs, MinHashArgs

    datasets.disable_progress_bars()
    clocks = []

    class Timer(minhash.Timer):
        def __init__(self):
            super().__init__()
            clocks.append(self)

    minhash.Timer = Timer
    with tempfile.TemporaryDirectory() as folder:
        minhash.main.callback(
            io_args=IOArgs(
                path="json",
                data_files=path,
                split="train",
                cache_dir=f"{folder}/cache",
                output=f"{folder}/out",
                num_proc=None,
            ),
            meta_args=MetaArgs(column="text"),
            minhash_args=MinHashArgs(
                ngram=5, num_perm=permutations, threshold=threshold, hash_func=hash_func
            ),
        )
    times = clocks[-1].elapsed_times
    return times["MinHashing"] + times["Clustering"], [
        minhash.uf.find(row) for row in range(len(read_texts(path)))
    ]


def run_rensa(
    path: str, threshold: float, permutations: int, bands: int
) -> tuple[float, list[int]]:
    from rensa import RMinHash, RMinHashLSH

    texts = read_texts(path)
    start = time.perf_counter()
    sets = []
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        sets.append([" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))])
    sketches = RMinHash.from_token_sets(sets, num_perm=permutations, seed=42)
    index = RMinHashLSH(threshold=threshold, num_perm=permutations, num_bands=bands)
    index.insert_many(sketches)
    pairs = []
    for row, candidates in enumerate(index.query_all(sketches)):
        pairs += [
            (row, other)
            for other in candidates
            if other > row and sketches[row].jaccard(sketches[other]) >= threshold
        ]
    labels = pairs_to_labels(len(texts), pairs)
    return time.perf_counter() - start, labels


def run_one(tool: str, settings: dict, out: str) -> None:
    "What the child process does."
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {settings["core"]})
    path, threshold, permutations = (
        settings["input"],
        settings["threshold"],
        settings["permutations"],
    )
    if tool.startswith("llm_practice"):
        seconds, labels = run_llm_practice(
            path, threshold if tool.endswith("strict") else settings["reach"], permutations
        )
    elif tool.startswith("text-dedup"):
        seconds, labels = run_text_dedup(path, threshold, permutations, tool.split()[1])
    else:
        seconds, labels = run_rensa(path, threshold, permutations, settings["rensa_bands"])
    Path(out).write_text(json.dumps({"seconds": seconds, "peak_mib": peak_mib(), "labels": labels}))


def peak_mib() -> float:
    "The most memory that this process had. Linux hands `ru_maxrss` on to child processes, so its own record comes first."
    status = Path("/proc/self/status")
    if status.exists():
        return (
            next(
                int(line.split()[1])
                for line in status.read_text().splitlines()
                if line.startswith("VmHWM")
            )
            / 1024
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


# --- right and wrong ------------------------------------------------------------------------------------------------


def read_truth(path: str, count: int) -> tuple[list[int], dict[float, list[tuple[int, int]]]]:
    "True clusters, and the pairs by size of edit. A line is `[a, b]`, or an object with `pair`, or with `left` and `right`."
    pairs, by_edit = [], defaultdict(list)
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        pair = (
            row if isinstance(row, list) else row.get("pair") or [row.get("left"), row.get("right")]
        )
        if len(pair) != 2 or not all(isinstance(item, int) and 0 <= item < count for item in pair):
            raise SystemExit(
                f"{path}, line {number}: {pair!r} is no pair of row numbers from 0 to {count - 1}"
            )
        pairs.append(tuple(pair))
        if isinstance(row, dict) and "edit" in row:
            by_edit[row["edit"]].append(tuple(pair))
    return pairs_to_labels(count, pairs), dict(sorted(by_edit.items()))


def count_pairs(labels) -> int:
    return sum(size * (size - 1) // 2 for size in Counter(labels).values())


def scores(found: list[int], truth: list[int], by_edit: dict) -> dict:
    "Precision, recall and F1 over pairs in one cluster; recall for each size of edit."
    right = count_pairs(zip(found, truth))
    precision, recall = right / max(1, count_pairs(found)), right / max(1, count_pairs(truth))
    result = {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-12, precision + recall),
    }
    result["recall_by_edit"] = {
        str(share): sum(found[a] == found[b] for a, b in pairs) / len(pairs)
        for share, pairs in by_edit.items()
    }
    return result


# --- the run --------------------------------------------------------------------------------------------------------


def text_dedup_bands(threshold: float, permutations: int) -> tuple[int, int]:
    "The bands and rows that text-dedup (and datasketch) choose: the least sum of the two error areas."
    steps = [(i + 0.5) / 2000 for i in range(2000)]

    def error(bands: int, rows: int) -> float:
        curve = [1 - (1 - s**rows) ** bands for s in steps]
        return sum(p if s < threshold else 1 - p for s, p in zip(steps, curve))

    sizes = [
        (b, r)
        for b in range(1, permutations + 1)
        for r in range(1, permutations // b + 1)
        if b * r > 0.7 * permutations
    ]
    return min(sizes, key=lambda size: error(*size))


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def measure(args: argparse.Namespace, path: str, truth_path: str | None) -> dict:
    texts = read_texts(path)
    bands, rows = text_dedup_bands(args.threshold, args.permutations)
    reach = args.reach or round((1 - 0.99 ** (1 / bands)) ** (1 / rows), 2)
    rensa_bands = min(
        (b for b in range(1, args.permutations + 1) if args.permutations % b == 0),
        key=lambda b: abs(b - bands),
    )
    settings = {"input": path, "threshold": args.threshold, "reach": reach, "permutations": args.permutations,
                "rensa_bands": rensa_bands, "core": args.core}  # fmt: skip
    truth = read_truth(truth_path, len(texts)) if truth_path else None
    results: dict[str, dict] = {}
    for tool, package in TOOLS.items():
        if not installed(package):
            print(f"{tool}: not installed, left out. {INSTALL[package]}", file=sys.stderr)
            continue
        runs = [run_child(tool, settings) for _ in range(args.repeat)]
        if not all(runs):
            continue
        best = min(runs, key=lambda run: run["seconds"])
        results[tool] = {"version": installed(package), "seconds": best["seconds"], "documents_per_second": len(texts) / best["seconds"],
                         "peak_mib": best["peak_mib"], "documents_removed": len(texts) - len(set(best["labels"]))}  # fmt: skip
        if truth:
            results[tool] |= scores(best["labels"], *truth)
    size = {
        "documents": len(texts),
        "megabytes": round(
            sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) / 1e6, 3
        ),
    }
    from llm_practice.book import hardware

    machine = {
        "cpu": hardware("cpu"),
        "cores_used": 1,
        "python": platform.python_version(),
        "numpy": installed("numpy"),
    }
    settings |= {"text_dedup_bands": bands, "text_dedup_rows": rows, "repeat": args.repeat}
    return {
        "input": size,
        "settings": settings,
        "machine": machine,
        "tools": results,
        "ratios": ratios(results),
    }


def run_child(tool: str, settings: dict) -> dict | None:
    environment = os.environ | {name: "1" for name in THREADS} | {"HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out.json"
        done = subprocess.run(
            [sys.executable, __file__, "--child", tool, json.dumps(settings), out],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(f"{tool}: failed\n{done.stderr[-2000:]}", file=sys.stderr)
            return None
        return json.loads(Path(out).read_text())


def ratios(results: dict[str, dict]) -> dict[str, dict[str, float]]:
    "Ours over theirs, for every pair of tools and every figure; above 1 is better, except for memory."
    found = {}
    for ours in (name for name in results if name.startswith("llm_practice")):
        for peer in (name for name in results if not name.startswith("llm_practice")):
            names = [
                n
                for n in ("documents_per_second", "peak_mib", "precision", "recall", "f1")
                if n in results[peer]
            ]
            found[f"{ours} / {peer}"] = {
                name: results[ours][name] / max(1e-12, results[peer][name]) for name in names
            }
    return found


def table(result: dict) -> str:
    edits = next(
        (list(r["recall_by_edit"]) for r in result["tools"].values() if r.get("recall_by_edit")), []
    )
    scored = any("f1" in row for row in result["tools"].values())
    head = ["tool", "version", "docs/s", "MiB"] + (
        ["precision", "recall", "F1", *(f"found at {100 * float(e):g} %" for e in edits)]
        if scored
        else ["removed"]
    )
    lines = [head]
    for tool, row in result["tools"].items():
        figures = (
            [f"{row[name]:.4f}" for name in ("precision", "recall", "f1")]
            if scored
            else [str(row["documents_removed"])]
        )
        lines.append([tool, row["version"], f"{row['documents_per_second']:,.0f}", f"{row['peak_mib']:.0f}", *figures,
                      *(f"{row['recall_by_edit'][e]:.3f}" for e in edits)])  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    rows = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths))
        )
        for line in lines
    ]
    s, shown = result["settings"], result["input"]
    rows.append(
        f"\n{shown['documents']:,} documents, {shown['megabytes']} MB; {result['machine']['cpu']}, one core used; best of {s['repeat']}"
    )
    rows.append(
        f"threshold {s['threshold']}, reach {s['reach']}; text-dedup uses {s['text_dedup_bands']} bands of {s['text_dedup_rows']}, rensa {s['rensa_bands']} bands"
    )
    for pair, values in result["ratios"].items():
        rows.append(
            f"{pair}: {values['documents_per_second']:.1f} times the documents/s"
            + (f", {values['f1']:.3f} times the F1" if "f1" in values else "")
        )
    return "\n".join(rows)


def main() -> None:
    if len(sys.argv) == 5 and sys.argv[1] == "--child":
        return run_one(sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="JSONL with the field `text`; by default text is made, as with --make",
    )
    parser.add_argument(
        "--truth",
        metavar="FILE",
        help="JSONL of true pairs of row numbers (from 0), such as [0, 17]",
    )
    parser.add_argument("--json", metavar="FILE", help="write every figure and ratio here")
    parser.add_argument("--threshold", type=float, default=0.7, help="Jaccard index (default 0.7)")
    parser.add_argument(
        "--reach",
        type=float,
        help="similarity for `llm_practice reach` (default: where text-dedup passes 1 %% of pairs)",
    )
    parser.add_argument(
        "--permutations", type=int, default=112, help="numbers in a signature (default 112)"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of each tool, the fastest counts (default 1)"
    )
    parser.add_argument(
        "--core", type=int, default=0, help="the core that all tools run on (default 0)"
    )
    making = parser.add_argument_group(
        "text with near-copies of known sizes, from the packaged news (en) or reviews (zh)"
    )
    making.add_argument(
        "--make", metavar="FOLDER", help="write input.jsonl and truth.jsonl there and stop"
    )
    making.add_argument("--language", choices=("en", "zh"), default="en")
    making.add_argument(
        "--edits",
        type=float,
        nargs="+",
        default=[0.01, 0.02, 0.03, 0.05, 0.1],
        metavar="SHARE",
        help="one copy of each text for each share of its words (zh: characters) replaced, deleted or inserted",
    )
    making.add_argument(
        "--documents", type=int, help="how many originals (default: all that share next to nothing)"
    )
    making.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.truth and not args.input:
        parser.error("--truth belongs to an --input")
    if args.make:
        print(*make(Path(args.make), args.language, args.edits, args.documents, args.seed))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, truth = (
            (args.input, args.truth)
            if args.input
            else map(str, make(Path(folder), args.language, args.edits, args.documents, args.seed))
        )
        result = measure(args, path, truth)
    result["settings"]["input"] = (
        args.input or f"made: {args.language}, edits {args.edits}, seed {args.seed}"
    )
    print(table(result))
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
