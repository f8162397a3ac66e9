"The rules of the house hold, and each rule sees what breaks it."

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import grimp
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent


def load_house():
    "Import tools/house.py."
    spec = importlib.util.spec_from_file_location("house", ROOT / "tools" / "house.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module
    spec.loader.exec_module(module)
    return module


house = load_house()


def test_the_book_keeps_the_rules():
    wrong = house.faults(house.measure())
    assert not wrong, "\n".join(wrong)


def test_every_exception_has_a_reason_and_their_number_is_fixed():
    reasons = house.exceptions()
    assert all(len(reason.split()) >= 4 for reason in reasons.values())
    assert len(reasons) == MOST_EXCEPTIONS, (
        "an exception was added or is gone: the number here may only fall"
    )


MOST_EXCEPTIONS = 4


def run(*command):
    "Run a tool of the environment; its status and what it says."
    done = subprocess.run(
        [Path(sys.executable).parent / command[0], *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=lambda c: c[0])
def test_ruff_has_nothing_to_say(command):
    status, said = run("ruff", *command, ".")
    assert status == 0, said


def test_layers_hold():
    status, said = run("lint-imports", "--no-cache")
    assert status == 0, said


# ---- inside a part, imports go to lower numbers


def homes():
    "Part and number of the notebook that exports each module."
    found = {}
    for path in house.notebooks():
        code = "\n".join(
            cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"
        )
        module = re.search(r"^#\|\s*default_exp\s+(\S+)", code, re.M)
        number = re.match(r"e?(\d+)_", path.name)
        if module:
            found[f"llm_practice.{module[1]}"] = (path.parent.name, int(number[1]))
    return found


def backward(edges, places):
    "Imports inside a part that go to a notebook with a higher number."
    known = [(a, b) for a, b in edges if a != b and a in places and b in places]
    inside = [(a, b) for a, b in known if places[a][0] == places[b][0]]
    return [(a, b) for a, b in inside if places[a][1] <= places[b][1]]


def test_imports_inside_a_part_go_to_lower_numbers():
    places, graph = homes(), grimp.build_graph("llm_practice", cache_dir=None)
    edges = [(a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)]
    assert len(edges) > 30 and not backward(edges, places)


def test_an_import_from_a_later_chapter_is_seen():
    places = {"a": ("data", 5), "b": ("data", 7), "c": ("theory", 1)}
    assert backward([("a", "b"), ("b", "a"), ("c", "b")], places) == [("a", "b")]


def test_a_module_has_the_name_of_its_notebook():
    for path in house.notebooks():
        code = "\n".join(
            cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"
        )
        module = re.search(r"^#\|\s*default_exp\s+(\S+)", code, re.M)
        if module and path.parent.name != "appendix":  # `book` and `cli` stand at the top
            assert module[1] == f"{path.parent.name}.{re.sub(r'^e?[0-9]+_', '', path.stem)}"


# ---- each rule sees what breaks it


def broken(tmp_path, monkeypatch, *cells):
    "The rules that a notebook of some cells breaks; a cell that begins with # is prose."
    monkeypatch.setattr(house, "NBS", tmp_path)
    nb = nbformat.v4.new_notebook()
    new = nbformat.v4
    nb.cells = [
        new.new_markdown_cell(c) if c.startswith("# ") else new.new_code_cell(c) for c in cells
    ]
    path = tmp_path / "data" / "01_x.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nb, path)
    found = house.Found()
    house.check_notebook(path, found)
    return {rule for rule, _, _ in found.broken}


LINES = "\n".join(f"x{i} = {i}" for i in range(26))
ONE = "#| export\ndef f():\n    return 1"
LONG = "#| export\n" + "\n".join(f"X{i} = {i}" for i in range(31))


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ([LINES], "lines of a lesson cell"),
        ([ONE + "\n\ndef _g():\n    return 2", "f()"], "definitions in an exported cell"),
        ([ONE, "1", "2", "3", "f()"], "exports used within three code cells"),
        ([LONG, LONG], "exported lines without prose or value"),
        (["# word " * 3700], "words of a chapter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_notebook_is_seen(tmp_path, monkeypatch, cells, rule):
    assert broken(tmp_path, monkeypatch, *cells) == {rule}


@pytest.mark.parametrize(
    "cells",
    [[ONE, "f()"], [ONE, "1", "2", "f()"], [LONG, "# so", LONG], [LONG, "X1", LONG], [LINES[:100]]],
)
def test_a_good_notebook_is_let_through(tmp_path, monkeypatch, cells):
    assert broken(tmp_path, monkeypatch, *cells) == set()


def module_faults(tmp_path, monkeypatch, text):
    "The rules that a module breaks."
    monkeypatch.setattr(house, "LIBRARY", tmp_path)
    (tmp_path / "x.py").write_text(text)
    found = house.Found()
    house.check_module(tmp_path / "x.py", found)
    return {rule for rule, _, _ in found.broken}


BODY = "\n".join(f"    x{i} = {i}" for i in range(26))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("\n".join(f"x = {i}" for i in range(401)), "lines of a module"),
        (f"def f(\n    a,\n):\n{BODY}\n", "lines of a function"),
        (
            "class A:\n"
            + "\n".join(
                f"    def f{i}(self):\n        a = 1\n        b = 2\n        return a + b\n"
                for i in range(14)
            ),
            "lines of a class",
        ),
        ("from llm_practice.data.words import _walk\n", "private names across modules"),
        ("from llm_practice.data import words\n\nwords._walk()\n", "private names across modules"),
        ("import importlib\n\nimportlib.import_module('x')\n", "imports by string"),
    ],
)
def test_a_bad_module_is_seen(tmp_path, monkeypatch, text, rule):
    assert module_faults(tmp_path, monkeypatch, text) == {rule}


def test_signatures_and_docstrings_do_not_count(tmp_path, monkeypatch):
    signature = (
        "def f(\n"
        + "".join(f"    a{i},  # What it is\n" for i in range(30))
        + '):\n    """One.\n\n'
        + "    More.\n" * 30
        + '    """\n'
    )
    assert (
        module_faults(
            tmp_path,
            monkeypatch,
            signature + BODY.replace("x25 = 25", "return 1").replace("    x0 = 0\n", ""),
        )
        == set()
    )


def test_a_name_with_two_homes_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(house, "LIBRARY", tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(
            "STEPS = 1\n_own = 2\n\n\ndef clean():\n    return 1\n"
        )
    found = house.Found()
    house.check_names(sorted(tmp_path.glob("*.py")), found)
    assert sorted(place for _, place, _ in found.broken) == ["STEPS", "clean"]


def test_an_exception_that_nothing_needs_is_a_fault(tmp_path, monkeypatch):
    listed = tmp_path / "exceptions.txt"
    listed.write_text(
        "# reasons\nlines of a module | data.x | it is a table of facts\nlines of a module | data.y | so it is\n"
    )
    monkeypatch.setattr(house, "EXCEPTIONS", listed)
    found = house.Found()
    found.limit("lines of a module", "data.x", 500, 400)
    found.limit("lines of a module", "data.z", 500, 400)
    assert [fault.split(":")[0] for fault in house.faults(found)] == [
        "lines of a module | data.z",
        "lines of a module | data.y",
    ]


def test_private_names_of_an_object_are_its_own_matter():
    tree = ast.parse("from llm_practice.data.words import Trie\n\nTrie._x\nself._y\n")
    assert list(house.private_names(tree)) == []
