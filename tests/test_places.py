"Nothing that a run did not make is ever deleted, replaced, or read back as input."

import os
import re

import pytest
from pipelines import everything, write

from llm_practice.cli import main
from llm_practice.data.pipeline import process
from llm_practice.engine.corpus import strangers
from llm_practice.engine.export import save_rows
from llm_practice.engine.files import check_outputs
from llm_practice.engine.recipe import FolderError, RecipeError

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.jsonl", [{"text": "It rained."}, {"text": "It snowed."}])
    return tmp_path


RECIPE = {"sources": [{"name": "made", "files": "in.jsonl"}], "steps": []}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name",
    ["README.md", "recipe.yaml", "data/mine.csv", "removed/x", "notes.txt", ".work/lock", ".work/final/x", "manifest.json", ".hidden", "data/part-00000.parquet"],
)  # fmt: skip
def test_a_folder_with_files_of_a_user_is_refused_and_stays_as_it_is(home, name, overwrite):
    path = home / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"mine": 1}')
    with pytest.raises(FolderError, match="no run has made|result of another recipe"):
        process(RECIPE, "out", workers=1, overwrite=overwrite)
    assert everything("out") == {name: b'{"mine": 1}'}


def test_what_is_put_into_a_result_is_kept(home):
    process(RECIPE, "out", workers=1)
    assert strangers("out") == []
    (home / "out" / "data" / "mine.parquet").write_text("mine")
    before = everything("out")
    assert len(process(RECIPE, "out", workers=1)) == 2  # finished: nothing is touched
    with pytest.raises(FolderError, match=r"data/mine\.parquet, which no run has made"):
        process(RECIPE, "out", workers=1, overwrite=True)
    assert everything("out") == before
    os.remove("out/data/mine.parquet")
    process({**RECIPE, "steps": ["normalise"]}, "out", workers=1, overwrite=True)


@pytest.mark.parametrize("name", ["README.md", "recipe.yaml", "data/part-00000.parquet"])
def test_what_somebody_changed_in_a_result_is_theirs(home, name):
    process(RECIPE, "out", workers=1)
    path = home / "out" / name
    path.write_bytes(path.read_bytes() + b"\nmine")
    before = everything("out")
    assert len(process(RECIPE, "out", workers=1)) == 2
    with pytest.raises(
        FolderError, match=f"{name}, which no run has made, or somebody has changed"
    ):
        process({**RECIPE, "steps": ["normalise"]}, "out", workers=1, overwrite=True)
    assert everything("out") == before
    path.unlink()
    process({**RECIPE, "steps": ["normalise"]}, "out", workers=1, overwrite=True)
    assert strangers("out") == []


def test_a_link_in_the_place_of_a_result_is_kept(home):
    process(RECIPE, "out", workers=1)
    os.rename("out/removed", "elsewhere")
    os.symlink("../elsewhere", "out/removed")
    with pytest.raises(FolderError, match="no run has made"):
        process(RECIPE, "out", workers=1, overwrite=True)
    assert (home / "elsewhere").is_dir()


@pytest.mark.parametrize(
    "arguments",
    [
        "in.jsonl -o out.jsonl --removed in.jsonl",
        "in.jsonl -o in.jsonl",
        "in.jsonl -o link.jsonl",
        "in.jsonl -o out.jsonl --removed out.jsonl",
        "in.jsonl -o out.jsonl --removed ./deep/../out.jsonl",
        "in.jsonl -o out.jsonl --removed gone.xlsx",
        "in.jsonl -o out.jsonl --removed deep",
        "in.jsonl -o out --removed out/gone.jsonl",
        "deep -o deep/out.jsonl",
        "deep -o deep/out",
        "deep -o out.jsonl --removed deep/more/gone.txt",
        "same -o deep/out.csv",
        "deep/x.jsonl -o deep",
        "*.jsonl -o out.jsonl",
        "**/*.jsonl -o deep/new/out.jsonl",
        "deep/** -o deep/new/out.jsonl",
        "** -o out.parquet",
        "deep/*.parquet -o deep/out.parquet",
        "in.jsonl -o .",
        "in.jsonl -o old.jsonl/out.txt",
        "in.jsonl -o out.jsonl --removed .out.jsonl.work/gone.jsonl",
    ],
)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_every_name_is_checked_before_anything_is_read(home, capsys, arguments, overwrite):
    (home / "deep").mkdir()
    write(home / "deep" / "x.jsonl", [{"text": "one"}])
    write(home / "old.jsonl", [{"text": "old"}])
    os.symlink("in.jsonl", "link.jsonl")
    os.symlink("deep", "same")
    before = everything(home)
    code = main(["dedup", *arguments.split(), "--workers", "1", *overwrite])
    assert code in (1, 2) and re.search("use a|result can be", capsys.readouterr().err)
    assert everything(home) == before and not list(home.glob(".*"))


def test_a_result_that_is_there_needs_overwrite_and_a_link_never_gives_way(home):
    write(home / "gone.jsonl", [])
    command = ["dedup", "in.jsonl", "-o", "out.jsonl", "--workers", "1", "--removed", "gone.jsonl"]
    assert main(command) == 1 and not (home / "out.jsonl").exists()
    assert main([*command, "--overwrite"]) == 0 and len(everything(home)) == 3
    with pytest.raises(FolderError, match="is there already"):
        save_rows([], "in.jsonl")
    os.symlink("nowhere.jsonl", "dangling.jsonl")
    with pytest.raises(FolderError, match="this is a link"):
        save_rows([], "dangling.jsonl", overwrite=True)
    with pytest.raises(RecipeError, match="a result can be"):
        save_rows([], "in.docx")


def test_the_recipe_itself_is_not_replaced_by_its_result(home):
    (home / "recipe.yaml").write_text("sources: [in.jsonl]\nsteps: []\n")
    before = everything(home)
    assert main(["process", "recipe.yaml", "-o", ".", "--overwrite"]) == 1
    assert everything(home) == before


def test_a_hidden_work_folder_of_a_user_is_kept(home):
    (home / ".out.jsonl.work").mkdir()
    (home / ".out.jsonl.work" / "mine").write_text("mine")
    assert main(["dedup", "in.jsonl", "-o", "out.jsonl", "--workers", "1", "--overwrite"]) == 1
    assert (home / ".out.jsonl.work" / "mine").read_text() == "mine"


def test_names_that_have_nothing_to_do_with_each_other(home):
    (home / "a").mkdir()
    check_outputs(["out.jsonl", "gone.jsonl"], ["in.jsonl", "a", "a/*.jsonl", "*.csv"])
    check_outputs(["b/out.jsonl"], ["*.jsonl"])
    check_outputs(["ab"], ["a"])
    with pytest.raises(ValueError, match="lies inside the input"):
        check_outputs(["a/b/c.txt"], ["a"])


def test_the_home_folder_in_a_recipe(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    recipe = {"sources": [{"name": "made", "files": "~/in.jsonl"}], "steps": []}
    assert len(process(recipe, "~/out", workers=1)) == 2 and (home / "out").is_dir()


def test_links_in_a_circle_and_hidden_folders_are_not_read_twice_or_at_all(home):
    for name in ("a/x.jsonl", "a/.git/x.jsonl", "a/.ipynb_checkpoints/x.jsonl", "a/__MACOSX/x.jsonl"):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        write(home / name, [{"text": name}])
    os.symlink(".", "a/round")
    for number, files in enumerate(("a", "a/**/*.jsonl", "a/*.jsonl")):
        recipe = {"sources": [{"name": "made", "files": files}], "steps": []}
        found = [row["text"] for row in process(recipe, f"out{number}", workers=1).rows()]
        assert found.count("a/x.jsonl") == 1 and not any(".git" in text for text in found)
