"""Run, check and keep the book: `python tools/book.py run [--jobs N] [NOTEBOOK …] | check | outputs | readme | constraints`.

`run` executes every chapter in a fresh kernel into `_book/`; a chapter whose code, imported library code, packages and
profile are unchanged keeps the outputs that it has there. With `--jobs` several run side by side, each bound to its own
share of the cores, so that the times that they print are those of so many cores and not of a busy machine (they name
the number). `outputs` copies them into `nbs/`.
"""

import argparse
import ast
import base64
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from queue import Queue
from threading import Lock

import nbformat
from execnb.nbio import nb2str, read_nb
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbdev.clean import clean_nb
from nbdev.config import get_config
from nbdev.export import nb_export

ROOT = Path(__file__).resolve().parent.parent
NBS, BOOK = ROOT / "nbs", ROOT / "_book"
PACKAGES = (
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "tokenizers",
    "numpy",
    "matplotlib",
    "scikit-learn",
)
# No chapter needs the network, and progress bars of libraries say nothing on a page.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "PYTHONWARNINGS": "ignore", "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}  # fmt: skip
ALONE = ("15_pipeline", "18_bert", "22_classification")  # These keep all cores busy themselves
RECORD, RECORDING = BOOK / "keys.json", Lock()  # The keys of what is in `_book/`
PARSING = Lock()  # CPython 3.11 counts the parser's depth over all threads: two at once can fail
WIDGET = "application/vnd.jupyter.widget-view+json"


def chapters() -> list[Path]:
    "The notebooks in the order of their numbers; the front matter, which reports on the chapters, last."
    found = [
        p
        for p in NBS.rglob("*.ipynb")
        if not any(part.startswith((".", "_")) for part in p.relative_to(NBS).parts)
    ]
    return sorted(found, key=lambda p: (p.parent == NBS, p.name))


def longest_first(paths: list[Path]) -> list[Path]:
    "By the time that each took last: in this order they keep all cores busy to the end."
    return sorted(
        paths, key=lambda path: -nbformat.read(path, 4).metadata.get("book", {}).get("seconds", 0)
    )


def shares(jobs: int) -> list[set[int]]:
    "The cores of each of some jobs; empty sets where a process cannot be bound to cores."
    if jobs == 1 or not hasattr(os, "sched_getaffinity"):
        return [set() for _ in range(jobs)]
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[job::jobs]) or {cores[job % len(cores)]} for job in range(jobs)]


def code_of(nb: nbformat.NotebookNode) -> str:
    "The code of a notebook."
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")


def library_files(code: str, seen: set[Path] | None = None) -> set[Path]:
    "The files of the library that some code imports, directly or through others."
    seen = set() if seen is None else seen
    code = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))
    for node in ast.walk(ast.parse(code)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for name in names:
            path = ROOT / Path(*name.split(".")).with_suffix(".py")
            if name.startswith("llm_practice.") and path.exists() and path not in seen:
                seen.add(path)
                library_files(path.read_text(encoding="utf-8"), seen)
    return seen


def installed(package: str) -> str:
    "A package's version."
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def digest(*parts: str) -> str:
    "A short hash of some texts."
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def key_of(path: Path, nb: nbformat.NotebookNode) -> str:
    "What a chapter's outputs depend on; the front page also reports the other chapters' run times."
    with PARSING:
        files = [p.read_text(encoding="utf-8") for p in sorted(library_files(code_of(nb)))]
    others = (
        [json.dumps(nbformat.read(p, 4).metadata.get("book", {})) for p in chapters()[:-1]]
        if path.name == "index.ipynb"
        else []
    )
    return digest(
        code_of(nb),
        *files,
        *map(installed, PACKAGES),
        os.environ.get("LLM_PRACTICE_PROFILE", "quick"),
        *others,
    )


# ---- running


def execute(nb: nbformat.NotebookNode, folder: Path, tell) -> float:
    "Run a notebook in a fresh kernel; `tell(number)` is called before each cell. Returns seconds."
    for cell in nb.cells:
        if cell.cell_type == "code" and re.search(r"^#\|\s*eval:\s*false", cell.source, re.M):
            cell.metadata.tags = ["skip-execution"]
    client = NotebookClient(nb, timeout=None, kernel_name="python3", store_widget_state=False, record_timing=False,
                            extra_arguments=["--IPKernelApp.log_level=40"],
                            resources={"metadata": {"path": str(folder)}})  # fmt: skip
    client.on_cell_start = lambda cell, cell_index: tell(cell_index)
    start = time.perf_counter()
    client.execute()
    seconds = time.perf_counter() - start
    for cell in nb.cells:
        cell.metadata.pop("tags", None)
        for output in cell.get("outputs", []):
            if (
                len(output.get("data", {})) > 2
            ):  # a widget with its still: the widget died with the kernel
                output.data.pop(WIDGET, None)
    return seconds


def with_outputs(
    source: nbformat.NotebookNode, run: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    "The source's prose with the outputs of a run of the same code."
    outputs = iter([cell.outputs for cell in run.cells if cell.cell_type == "code"])
    for cell in source.cells:
        if cell.cell_type == "code":
            cell.outputs = next(outputs)
    source.metadata["book"] = run.metadata["book"]
    return source


def recorded(name: str, key: str | None = None) -> str | None:
    "The key under which a chapter last ran; with `key`, this one is recorded from now on."
    with RECORDING:
        keys = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        if key is not None:
            RECORD.write_text(json.dumps({**keys, name: key}, indent=1))
    return keys.get(name)


def run_chapter(
    path: Path, alone: bool = True, cores: set[int] | None = None
) -> tuple[float, bool]:
    "Bring one chapter's outputs in `_book/` up to date, on these cores; returns its run time and whether it ran now."
    name, nb = str(path.relative_to(NBS)), nbformat.read(path, 4)
    target, key = BOOK / name, key_of(path, nb)
    if recorded(name) == key and target.exists():
        nb = with_outputs(nb, nbformat.read(target, 4))
        nbformat.write(nb, target)
        return nb.metadata["book"]["seconds"], False
    if cores:
        os.sched_setaffinity(0, cores)  # of this thread, and so of the kernel that it starts
    terminal = alone and sys.stdout.isatty()
    current = [0]

    def tell(number: int) -> None:
        current[0] = number
        if terminal:
            print(f"\r{name}: cell {number + 1} of {len(nb.cells)} ", end="", flush=True)

    try:
        seconds = execute(nb, path.parent, tell)
    except (CellExecutionError, DeadKernelError) as error:
        cell = nb.cells[current[0]]
        sys.exit(f"\n{name}, cell {current[0] + 1} failed:\n\n{cell.source}\n\n{error}")
    from llm_practice.book import hardware, profile

    # The hardware is asked for in this thread, which has the chapter's cores.
    nb.metadata["book"] = {
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        "profile": profile(),
        "code": digest(code_of(nb)),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, target)
    recorded(name, key)
    return seconds, True


def run(jobs: int = 1, only: list[Path] | None = None) -> None:
    "Run the chapters whose outputs are out of date, or some of them; the front matter after all others."
    check_exports()
    os.environ.update({k: v for k, v in ENVIRONMENT.items() if k not in os.environ})
    os.environ.pop("LLM_PRACTICE_MIRROR", None)
    given = os.environ.get("OMP_NUM_THREADS")
    start, number, paths = time.perf_counter(), 0, only or chapters()
    front = [path for path in paths if path.parent == NBS]
    alone = [path for path in paths if path.stem in ALONE]
    others = longest_first([path for path in paths if path not in front + alone])
    for part, count in ((alone, 1), (others, jobs), (front, 1)):
        os.environ["OMP_NUM_THREADS"] = given or str(max(1, (os.cpu_count() or 1) // count))
        for path, seconds, fresh in side_by_side(part, count):
            number += 1
            name = str(path.relative_to(NBS))
            said = f"{name:<40} {seconds:6.1f} s{'' if fresh else '  (unchanged)'}"
            print(f"\r[{number:2}/{len(paths)}] {said}", flush=True)
    for gone in (
        set()
        if only
        else set(BOOK.rglob("*.ipynb")) - {BOOK / path.relative_to(NBS) for path in paths}
    ):
        gone.unlink()
    print(f"The chapters took {time.perf_counter() - start:.0f} s.")


def side_by_side(paths: list[Path], jobs: int) -> Iterator[tuple[Path, float, bool]]:
    "Chapters with their run times, as they end; after a failure those that have not begun are left."
    free: Queue = Queue()
    for cores in shares(jobs):
        free.put(cores)

    def work(path: Path) -> tuple[float, bool]:
        cores = free.get()
        try:
            return run_chapter(path, jobs == 1, cores)
        finally:
            free.put(cores)

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(work, path): path for path in paths}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        finally:
            pool.shutdown(cancel_futures=True)


# ---- keeping


def outputs() -> None:
    "Put the outputs in `_book/` into the notebooks in `nbs/`, cleaned; then renew the front page and README.md."
    for path in chapters():
        if path.name == "index.ipynb":
            os.environ.update(ENVIRONMENT)
            run_chapter(path)
        executed, source = BOOK / path.relative_to(NBS), nbformat.read(path, 4)
        run = nbformat.read(executed, 4) if executed.exists() else None
        if run is None or code_of(run) != code_of(source):
            sys.exit(
                f"{executed.relative_to(ROOT)} is missing or of other code: run `make book` first"
            )
        nbformat.write(with_outputs(source, run), path)
        path.write_text(cleaned(path), encoding="utf-8")
    readme()


def cleaned(path: Path) -> str:
    "A notebook as nbdev_clean would write it."
    nb, cfg = read_nb(path), get_config()
    clean_nb(nb, allowed_metadata_keys=cfg.allowed_metadata_keys.split(), clean_ids=cfg.clean_ids)
    return nb2str(nb)


def readme_text() -> tuple[str, bytes | None]:
    "README.md and its picture, made from the front page: prose, tables and the figure that its cells show."
    cfg, nb, parts, picture = get_config(), nbformat.read(NBS / "index.ipynb", 4), [], None
    base = cfg.doc_host + cfg.doc_baseurl
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                parts.append("".join(data["text/markdown"]))
            elif "image/png" in data:
                picture = base64.b64decode(data["image/png"])
                parts.append("![What pretraining buys](nbs/images/readme.png)")
    text = "\n\n".join(parts)
    page = lambda path: re.sub(r"(^|/)e?[0-9]+_", r"\1", path)
    text = re.sub(
        r"\]\((?!https?:)([\w/]+)\.ipynb(#[^)]*)?\)",
        lambda m: f"]({base}/{page(m[1])}.html{m[2] or ''})",
        text,
    )
    return (
        f"<!-- Made from nbs/index.ipynb by `make outputs`: edit the notebook. -->\n\n{text}\n",
        picture,
    )


def readme() -> None:
    "Write README.md from the front page."
    text, picture = readme_text()
    (ROOT / "README.md").write_text(text, encoding="utf-8")
    if picture:
        (NBS / "images").mkdir(exist_ok=True)
        (NBS / "images" / "readme.png").write_bytes(picture)


def constraints() -> None:
    "Write the installed versions, each for the Python versions that it supports, to constraints.txt."
    lines = ["# The exact versions that the book was last run with, written by `make constraints`."]
    for dist in sorted(distributions(), key=lambda d: d.name.lower()):
        if dist.name.lower() in ("pip", "setuptools", "wheel", get_config().lib_name):
            continue
        oldest = re.search(r">=?\s*(3\.\d+)", dist.metadata.get("Requires-Python") or "")
        marker = f' ; python_version >= "{oldest[1]}"' if oldest and int(oldest[1][2:]) > 10 else ""
        lines.append(f"{dist.name}=={dist.version.split('+')[0]}{marker}")
    (ROOT / "constraints.txt").write_text("\n".join(dict.fromkeys(lines)) + "\n")


# ---- checks


def check_exports() -> None:
    "Stop if a module differs from what its notebook exports."
    library = get_config().lib_path
    with tempfile.TemporaryDirectory() as folder:
        for path in chapters():
            nb_export(path, lib_path=Path(folder) / library.name)
        made = Path(folder) / library.name
        fresh = {
            p.relative_to(made): p.read_text(encoding="utf-8")
            for p in made.rglob("*.py")
            if p.name != "_modidx.py"
        }
    relative = lambda text: re.sub(r"(File to edit: |# %% )\S*?nbs/", r"\1nbs/", text)
    kept = {p.relative_to(library): p.read_text(encoding="utf-8") for p in library.rglob("*.py")}
    stale = sorted(
        str(p)
        for p, text in fresh.items()
        if p.name != "__init__.py" and relative(kept.get(p, "")) != relative(text)
    )
    orphans = sorted(
        str(p)
        for p in kept
        if p.name not in ("__init__.py", "__main__.py", "_modidx.py") and p not in fresh
    )
    if stale or orphans:
        sys.exit(
            f"not in step with the notebooks: {', '.join(stale + orphans)} in {library.name}/: run `make export`"
        )


def check() -> None:
    "Stop if exports, notebooks or README.md are not as they are committed by `nbdev_export` and `make outputs`."
    check_exports()
    for path in chapters():
        name, nb = path.relative_to(ROOT), nbformat.read(path, 4)
        if path.read_text(encoding="utf-8") != cleaned(path):
            sys.exit(f"{name} is not clean: run `make outputs`, or `nbdev_clean --fname {name}`")
        if nb.metadata.get("book", {}).get("code") != digest(code_of(nb)):
            sys.exit(f"{name} holds outputs of other code: run `make book outputs`")
    text, picture = readme_text()
    image = NBS / "images" / "readme.png"
    if (ROOT / "README.md").read_text(encoding="utf-8") != text or (
        picture and (not image.exists() or image.read_bytes() != picture)
    ):
        sys.exit("README.md is not in step with nbs/index.ipynb: run `make outputs`")
    print(
        f"{len(chapters())} notebooks: exports in step, outputs belong to the code, clean; README.md in step"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["run", "check", "outputs", "readme", "constraints"])
    parser.add_argument("notebooks", nargs="*", type=Path, help="run: these only (default: all)")
    parser.add_argument(
        "--jobs", type=int, default=1, help="run: chapters side by side (default: 1)"
    )
    arguments = parser.parse_intermixed_args()
    if arguments.jobs < 1:
        parser.error(f"--jobs {arguments.jobs}: at least 1")
    wanted = [path.resolve() for path in arguments.notebooks]
    unknown = [str(path) for path in wanted if path not in chapters()]
    if unknown:
        parser.error(f"{unknown[0]}: not a notebook of the book")
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if arguments.command == "run":
        run(arguments.jobs, wanted)
    else:
        globals()[arguments.command]()
