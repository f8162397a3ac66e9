"Profiles, artefacts, fonts and stills; the package without nbdev; notebooks and modules fit for strangers."

import importlib.util
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import pytest

from llm_practice import book

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    str(p.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for p in (ROOT / "llm_practice").rglob("[!_]*.py")
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_PRACTICE_CACHE", str(tmp_path))
    return tmp_path


def test_an_artefact_is_built_once_for_its_settings(cache):
    built = []
    folders = [book.artefact("a", built.append, size=size) for size in (1, 1, 2)]
    assert len(built) == 2 and folders[0] == folders[1] != folders[2]
    assert json.loads((folders[2] / "settings.json").read_text())["size"] == 2


def test_a_failed_build_publishes_nothing_and_is_gone_on_with(cache):
    def build(folder):
        if not (folder / "half").exists():
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        book.artefact("b", build)
    assert not [p for p in cache.iterdir() if p.is_dir() and not p.name.endswith(".building")]
    assert (book.artefact("b", build) / "half").exists()


def _build_slowly(cache):
    import os

    os.environ["LLM_PRACTICE_CACHE"] = str(cache)

    def build(folder):
        with open(Path(cache) / "builds", "a") as file:
            file.write("x")
        time.sleep(0.5)

    book.artefact("slow", build)


def test_two_processes_build_one_artefact(cache):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_build_slowly, args=(cache,)) for _ in range(2)]
    [p.start() for p in both], [p.join() for p in both]
    assert [p.exitcode for p in both] == [0, 0] and (cache / "builds").read_text() == "x"


def test_profiles(monkeypatch):
    monkeypatch.setenv("LLM_PRACTICE_PROFILE", "full")
    assert book.pick(quick=1, full=2) == 2
    monkeypatch.setenv("LLM_PRACTICE_PROFILE", "huge")
    with pytest.raises(
        ValueError, match="LLM_PRACTICE_PROFILE='huge' is unknown: set it to one of quick, full"
    ):
        book.profile()


def test_figures_have_a_font_with_chinese_characters():
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    book.set_style()
    family = book.cjk_font()
    if family is None:
        pytest.skip("no font with Chinese characters here: pip install mplfonts")
    assert family in matplotlib.rcParams["font.family"]
    assert all(ord(c) in FT2Font(findfont(family)).get_charmap() for c in "大规模语言模型交叉熵")


def test_a_missing_font_is_said(monkeypatch):
    monkeypatch.setattr(book, "CJK_FONTS", ("No Such Font",) * 4)
    with pytest.warns(
        UserWarning, match="No font with Chinese characters was found.*pip install mplfonts"
    ):
        book.set_style()


def test_the_still_is_what_the_widget_shows_first():
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import HTML
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    with capture_output() as captured:
        book.try_it(lambda n: HTML(f"<b>{n}</b>"), n=[4, 2])
    shown = captured.outputs[-1].data
    assert shown["text/html"] == "<b>4</b>" and "application/vnd.jupyter.widget-view+json" in shown


def test_modules_import_without_nbdev_and_fastcore():
    code = f"""
import sys
for name in ("nbdev", "fastcore", "execnb", "ghapi", "pytest", "seqeval"):
    sys.modules[name] = None
import importlib
for module in {MODULES}:
    importlib.import_module(module)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(ROOT.glob("nbs/**/[!.]*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_say_nothing_of_the_machine_they_ran_on(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(root|home|Users|work)/\w|/tmp/\w|site-packages", text)


@pytest.mark.parametrize("path", sorted(ROOT.glob("nbs/**/[0-9]*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_keep_the_style(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert re.match(r"# .+\n\n?> .+", "".join(cells[0]["source"])), (
        "a title, then a sentence after >"
    )
    headings = [
        line
        for c in cells
        if c["cell_type"] == "markdown"
        for line in "".join(c["source"]).splitlines()
    ]
    assert "## Summary" in headings and any(h.startswith("## References") for h in headings)


QUESTION = re.compile(
    r"\A\*\*(\d)\. .+\*\*\n\n((?:<details><summary>.+</summary>\n\n(?:Right|No)\. \S[\s\S]*?\n\n</details>\n?)+)\Z"
)
ANSWER = re.compile(r"</summary>\n\n(Right|No)\. ([\s\S]*?)\n\n</details>")


def quiz(path):
    "The questions of a chapter's quiz: the cells between its heading and the next."
    cells = [c["source"] if isinstance(c["source"], str) else "".join(c["source"])
             for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "markdown"]  # fmt: skip
    heading = next(i for i, cell in enumerate(cells) if re.search(r"^## Quiz", cell, re.M))
    rest = cells[heading + 1 :]
    return rest[: next((i for i, cell in enumerate(rest) if cell.startswith("#")), len(rest))]


QUIZZED = [
    p
    for p in sorted(ROOT.glob("nbs/*/[0-9]*.ipynb"))
    if p.parent.name == "theory" or "## Quiz" in p.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", QUIZZED, ids=lambda p: p.stem)
def test_a_quiz_explains_every_answer(path):
    questions = quiz(path)
    assert len(questions) == 5
    for number, cell in enumerate(questions, 1):
        match = QUESTION.match(cell.strip() + "\n")
        assert match and int(match[1]) == number, cell
        answers = ANSWER.findall(match[2])
        assert len(answers) == match[2].count("<summary>") >= 3, cell
        assert [verdict for verdict, _ in answers].count("Right") == 1, cell
        assert all(len(why.split()) >= 5 for _, why in answers), cell


def test_a_missing_package_names_the_command():
    assert book.import_optional("json", "json").loads("1") == 1
    with pytest.raises(
        ImportError, match="needs the package no-such. Install it: pip install no-such"
    ):
        book.import_optional("no_such_module", "no-such")


def load_runner():
    "Import tools/book.py."
    spec = importlib.util.spec_from_file_location("book_runner", ROOT / "tools" / "book.py")
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    return runner


@pytest.fixture
def runner(monkeypatch):
    "The runner, with chapters that do nothing but note that they ran, from when to when."
    tool, ran = load_runner(), {}

    def chapter(path, alone, cores):
        start = time.monotonic()
        time.sleep(0.05)
        ran[path.stem] = start, time.monotonic()
        return (1.0, True) if path.stem != "bad" else sys.exit("bad failed")

    monkeypatch.setattr(tool, "run_chapter", chapter)
    return tool, ran


def test_chapters_side_by_side_stop_at_the_first_failure(runner):
    tool, ran = runner
    paths = [Path("a"), Path("b"), Path("c")]
    assert sorted(tool.side_by_side(paths, 2)) == [(path, 1.0, True) for path in paths]
    with pytest.raises(SystemExit, match="bad failed"):
        list(tool.side_by_side([Path("bad"), *(Path(str(i)) for i in range(16))], 2))
    assert "0" in ran and "15" not in ran


def test_cores_are_dealt_out():
    tool = load_runner()
    assert tool.shares(1) == [set()] and len(tool.shares(3)) == 3
    if hasattr(os, "sched_getaffinity"):
        assert set.union(*tool.shares(2)) <= os.sched_getaffinity(0) and all(tool.shares(2))


def test_a_chapter_is_recorded_with_its_key(monkeypatch, tmp_path):
    tool = load_runner()
    monkeypatch.setattr(tool, "RECORD", tmp_path / "keys.json")
    assert tool.recorded("a", "1") is None and tool.recorded("b", "2") is None
    assert (tool.recorded("a"), tool.recorded("b"), tool.recorded("c")) == ("1", "2", None)


# name of the module, what its files hold, what is asked for, what the error says
BROKEN = [
    ("half_there", {"__init__": "import a_part_nobody_has"}, "half_there",
     "half-there is installed, but importing half_there failed .*a_part_nobody_has.* pip install a_part_nobody_has"),
    ("old_there", {"__init__": "from json import no_such_name"}, "old_there",
     "is installed, but importing .*cannot import name 'no_such_name'.*upgrade --force-reinstall old-there"),
    ("lib_there", {"__init__": "raise OSError('libx.so: cannot open shared object')"}, "lib_there",
     "is installed, but importing lib_there failed .OSError: libx.so"),
    ("typo_there", {"__init__": "1 +"}, "typo_there", "failed .SyntaxError"),
    ("sub_there", {"__init__": ""}, "sub_there.lexicon",
     "is installed, but importing sub_there.lexicon failed .*--upgrade --force-reinstall sub-there"),
    ("deep_there", {"__init__": "", "inner": "raise RuntimeError('numpy 1 was expected')"}, "deep_there.inner",
     "failed .RuntimeError: numpy 1 was expected"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "files", "module", "message"), BROKEN, ids=[b[0] for b in BROKEN])
def test_a_package_that_is_there_and_fails_says_why(
    tmp_path, monkeypatch, name, files, module, message
):
    (tmp_path / name).mkdir()
    for file, text in files.items():
        (tmp_path / name / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=message) as caught:
        book.import_optional(module, name.replace("_", "-"))
    assert "Install it" not in str(caught.value)


def test_a_submodule_of_a_missing_package_names_the_command_too():
    with pytest.raises(ImportError, match="Install it: pip install no-such"):
        book.import_optional("no_such_module.part.deeper", "no-such")
