"""The rules of the house: `python tools/house.py [NOTEBOOK or MODULE …]` measures notebooks and modules, and lists what breaks a rule.

Layers and circles are import-linter's, style is ruff's (both in pyproject.toml); the rest is counted here. What must stay
an exception stands in `tools/exceptions.txt` with its reason; an entry that is no longer needed is a fault too.
"""

import argparse
import ast
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NBS, LIBRARY, EXCEPTIONS = ROOT / "nbs", ROOT / "llm_practice", ROOT / "tools" / "exceptions.txt"
MODULE, FUNCTION, CLASS, LESSON, RUN, WORDS, NEAR = 400, 25, 40, 25, 60, 3700, 3
EXPORT = re.compile(r"^#\|\s*exports?\b", re.M)
DEFINITION = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)


@dataclass
class Found:
    "What was measured: numbers by name, and the places that break a rule."

    numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    broken: list[tuple[str, str, str]] = field(default_factory=list)  # Rule, place, what is there

    def limit(self, rule: str, place: str, size: int, limit: int) -> None:
        "Keep a size, and the place where it is over the limit."
        self.numbers[rule].append(size)
        if size > limit:
            self.broken.append((rule, place, f"{size} > {limit}"))


def lines_of(text: str) -> int:
    "Lines that hold something, directives of nbdev and Quarto left out."
    return sum(bool(line.strip()) and not line.startswith("#|") for line in text.splitlines())


def python_of(source: str) -> ast.Module:
    "The code of a cell, magics left out."
    kept = (line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    return ast.parse("\n".join(kept))


# ---- notebooks


def check_notebook(path: Path, found: Found) -> None:
    "Cells, exports and words of a notebook."
    cells = nbformat.read(path, 4).cells
    name = str(path.relative_to(NBS).with_suffix(""))
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    for number, cell in enumerate(code):
        place = f"{name}: {next(line for line in [*cell.source.splitlines(), ''] if not line.startswith('#|'))[:60]}"
        if not EXPORT.search(cell.source):
            found.limit("lines of a lesson cell", place, lines_of(cell.source), LESSON)
            continue
        found.numbers["lines of an exported cell"].append(lines_of(cell.source))
        defined = [
            node.name for node in python_of(cell.source).body if isinstance(node, DEFINITION)
        ]
        found.limit("definitions in an exported cell", place, len(defined), 1)
        near = "\n".join(other.source for other in code[number + 1 : number + 1 + NEAR])
        for export in (name for name in defined if not name.startswith("_")):
            used = re.search(rf"\b{export}\b", near)
            found.numbers["exports used within three code cells"].append(int(bool(used)))
            if not used:
                found.broken.append(
                    ("exports used within three code cells", f"{name}: {export}", "not used")
                )
    runs(cells, name, found)
    if path.parent.name != "engine":
        words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
        found.limit("words of a chapter", name, words, WORDS)


def runs(cells: list, name: str, found: Found) -> None:
    "Exported lines between two moments of prose or a value."
    size, first = 0, ""
    for cell in [*cells, None]:
        if cell is not None and cell.cell_type == "code" and EXPORT.search(cell.source):
            first = (
                first
                or next(
                    (line for line in cell.source.splitlines() if not line.startswith("#|")), ""
                )[:60]
            )
            size += lines_of(cell.source)
        elif size:
            found.limit("exported lines without prose or value", f"{name}: {first}", size, RUN)
            size, first = 0, ""


# ---- modules


def body_lines(node: ast.AST, lines: list[str]) -> int:
    "Lines of a function or class that hold something; signatures and docstrings left out, its own and those inside."
    hidden: set[int] = set()
    for inner in ast.walk(node):
        if isinstance(inner, DEFINITION):
            start = min([inner.lineno, *(d.lineno for d in inner.decorator_list)])
            hidden.update(range(start, inner.body[0].lineno))
            if ast.get_docstring(inner) is not None:
                hidden.update(range(inner.body[0].lineno, inner.body[0].end_lineno + 1))
    return sum(
        bool(lines[i - 1].strip())
        for i in range(node.lineno, node.end_lineno + 1)
        if i not in hidden
    )


def module_lines(text: str) -> int:
    "Lines of a module as a reader meets them, without what nbdev writes between cells."
    kept = re.sub(r"# %% auto #0\n__all__ = \[.*?\]\n", "", text, flags=re.S)
    return len([line for line in kept.splitlines() if not line.startswith("# %%")])


def check_module(path: Path, found: Found) -> None:
    "Sizes, private names and imports by string of a module."
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    name = ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
    found.limit("lines of a module", name, module_lines(text), MODULE)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.limit("lines of a class", f"{name}.{node.name}", body_lines(node, lines), CLASS)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.limit(
                "lines of a function", f"{name}.{node.name}", body_lines(node, lines), FUNCTION
            )
    for what in private_names(tree):
        found.broken.append(("private names across modules", name, what))
    if name != "book" and re.search(r"\bimport_module\(|\b__import__\(", text):
        found.broken.append(("imports by string", name, "import_module"))


def private_names(tree: ast.Module) -> Iterator[str]:
    "Private names of other modules of the library that a module uses."
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (
            node.level or (node.module or "").startswith("llm_practice")
        ):
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if re.match(r"_[^_]", alias.name)
            )
            modules |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
        ):
            if re.match(r"_[a-z]", node.attr) and node.value.id.islower():
                yield f"{node.value.id}.{node.attr}"


def check_names(paths: list[Path], found: Found) -> None:
    "A public name means one thing in the whole package."
    homes = defaultdict(list)
    for path in paths:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            names = [node.name] if isinstance(node, DEFINITION) else []
            names += [
                n.id
                for target in targets
                for n in ast.walk(target)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            ]
            for name in names:
                if not name.startswith("_"):
                    homes[name].append(".".join(path.relative_to(LIBRARY).with_suffix("").parts))
    for name, modules in homes.items():
        if len(set(modules)) > 1:
            found.broken.append(
                ("public names with two meanings", name, ", ".join(sorted(set(modules))))
            )


# ---- together


def library_modules() -> list[Path]:
    "The exported modules."
    return sorted(path for path in LIBRARY.rglob("*.py") if not path.name.startswith("_"))


def notebooks() -> list[Path]:
    "The notebooks of the book."
    return sorted(
        path
        for path in NBS.rglob("*.ipynb")
        if not any(part.startswith(".") for part in path.parts)
    )


def measure(paths: list[Path] | None = None) -> Found:
    "Everything, or some notebooks and modules."
    found, paths = Found(), paths or [*notebooks(), *library_modules()]
    for path in paths:
        (check_notebook if path.suffix == ".ipynb" else check_module)(path, found)
    check_names(library_modules(), found)
    return found


def exceptions() -> dict[tuple[str, str], str]:
    "What may break a rule: rule and place, with the reason."
    rows = [
        line.split(" | ")
        for line in EXCEPTIONS.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    return {(rule, place): reason for rule, place, reason in rows}


def faults(found: Found) -> list[str]:
    "What breaks a rule without being an exception, and exceptions that nothing needs."
    allowed = exceptions()
    broken = {(rule, place) for rule, place, _ in found.broken}
    stale = [
        f"{rule} | {place}: no longer needed in {EXCEPTIONS.name}"
        for rule, place in allowed
        if (rule, place) not in broken
    ]
    return [
        f"{rule} | {place}: {what}"
        for rule, place, what in found.broken
        if (rule, place) not in allowed
    ] + stale


def table(found: Found) -> str:
    "The numbers as a table: count, median, nine of ten, largest."
    rows = ["| | number | median | 90 % | largest | over the limit |", "|---|---|---|---|---|---|"]
    over = {rule: sum(r == rule for r, _, _ in found.broken) for rule in found.numbers}
    for rule, values in found.numbers.items():
        tenths = statistics.quantiles([*values, values[-1]], n=10)
        share = f"{over[rule]} ({over[rule] / len(values):.1%})"
        rows.append(
            f"| {rule} | {len(values)} | {statistics.median(values):.0f} | {tenths[-1]:.0f} | {max(values)} | {share} |"
        )
    return "\n".join(rows)


def main() -> int:
    "Print the table and the faults."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks or modules (default: all)")
    paths = [path.resolve() for path in parser.parse_args().paths]
    found = measure(paths)
    wrong = faults(found)
    if paths:
        wrong = [line for line in wrong if "no longer needed" not in line]
    print(table(found), *wrong, f"{len(wrong)} faults", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
