"Recipes, their errors, and the steps for people."

import pipelines
import pytest

from llm_practice.data import pipeline
from llm_practice.data.pipeline import process
from llm_practice.engine.recipe import RECIPE_STEPS, Recipe, RecipeError, describe_steps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": []}, "recipe: 'source' is unknown. Did you mean sources?"),
        ({"sources": []}, "'sources' is missing or empty"),
        ({"sources": [{"file": "x"}]}, r"sources\[0\]: 'file' is unknown. Did you mean files?"),
        (
            {"sources": [{"files": "a.jsonl", "limit": 0}]},
            r"sources\[0\]: limit=0 does not fit: it must be at least 1",
        ),
        ({"sources": [{"files": "a.jsonl", "sample": 1.5}]}, "sample=1.5 does not fit"),
        (
            {"sources": [{"files": "a.jsonl", "language": False}]},
            r"language=False does not fit: it takes text \(in quotes\)",
        ),
        (
            {"sources": [{"files": "a.jsonl", "document": "lines"}]},
            "one of line, file. Did you mean line?",
        ),
        ({"sources": ["a/x.jsonl", "b/x.jsonl"]}, "two are called 'x'"),
        ({"sources": [{"limit": 3}]}, "give `name`"),
        (
            {"steps": ["test_uper"]},
            r"steps\[0\]: step 'test_uper' is unknown. Did you mean test_upper?",
        ),
        (
            {"steps": [{"test_long": {"minimun": 3}}]},
            r"steps\[0\] \(test_long\): 'minimun' is unknown. Did you mean minimum?",
        ),
        (
            {"steps": [{"test_long": {"minimum": "3"}}]},
            "minimum='3' does not fit: it takes a number",
        ),
        ({"steps": [{"test_long": 3}]}, "expected a mapping of options, found 3"),
        ({"steps": [{"test_long": {}, "test_upper": {}}]}, "one name with its options"),
        ({"output": {"shard_mb": -1}}, "shard_mb=-1 does not fit"),
        ({"output": {"compression": "zst"}}, "Did you mean zstd?"),
        ({"temperature": 0.0}, "temperature=0.0 does not fit: it must be above 0"),
        ({"seed": "x"}, "seed='x' does not fit: it takes a whole number"),
    ],
)
def test_errors_of_recipes_name_the_value_and_the_way_out(change, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.read({"sources": [{"files": "a.jsonl"}], "steps": [], **change})


def test_a_recipe_is_the_same_as_yaml_and_as_dictionary(tmp_path):
    import yaml

    given = {
        "name": "x",
        "sources": ["bbc-news", {"files": ["a/*.jsonl"], "weight": 2}],
        "steps": ["test_upper", {"test_long": {"minimum": 3}}],
    }
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(given))
    assert Recipe.read(path) == Recipe.read(given) == Recipe.read(Recipe.read(given).as_dict())
    assert Recipe.read(path).folder == tmp_path
    with pytest.raises(RecipeError, match="no such recipe. Did you mean x.yaml?"):
        Recipe.read(tmp_path / "y.yaml")
    path.write_text("- a\n- b")
    with pytest.raises(
        RecipeError, match="expected a mapping with `sources` and `steps`, found list"
    ):
        Recipe.read(path)


def test_every_step_is_described():
    assert (
        RECIPE_STEPS is pipeline.RECIPE_STEPS
        and RECIPE_STEPS["test_upper"].function is pipelines.upper
    )
    assert {"normalise", "html", "filter", "mask", "near_dedup", "tokenize", "pack"} <= set(
        RECIPE_STEPS
    )
    text = describe_steps()
    for name, step in RECIPE_STEPS.items():
        assert f"\n{name}" in f"\n{text}" and all(
            f"      {option}: " in text for option in step.options().model_fields
        )


def test_what_is_no_list_and_no_source_is_named(tmp_path):
    for options in ({"keep": 1}, {"keep": None}, {"keep": {"en": 1}}):
        with pytest.raises(RecipeError, match=r"keep=.* does not fit: it takes a list\.$"):
            Recipe.read({"sources": ["bbc-news"], "steps": [{"language": options}]})
    for files, message in (
        ({"a": 1}, "it takes a list"),
        (5, "it takes a list"),
        ([], "give `name`"),
    ):
        with pytest.raises(RecipeError, match=message):
            Recipe.read({"sources": [{"files": files}]})
    with pytest.raises(RecipeError, match="is unknown. Known: name, description"):
        Recipe.read({1: 2})
    (tmp_path / "x.txt").write_text("one\n")
    steps = [{"exact_dedup": {"prefer": ["news"]}}]
    sources = [{"name": "new", "files": str(tmp_path / "x.txt")}]
    with pytest.raises(
        RecipeError, match="prefer='news' is no source of this recipe. Did you mean new"
    ):
        process({"sources": sources, "steps": steps}, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_the_home_folder_in_the_options_of_a_step(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    text = "It rained in Paris all day long, and nobody minded that at all, for once, I think."
    (tmp_path / "test.txt").write_text(f"{text}\n")
    (tmp_path / "x.txt").write_text(f"{text}\nIt snowed.\n")
    steps = [{"decontaminate": {"against": ["~/test.txt"]}}]
    made = process({"sources": ["~/x.txt"], "steps": steps}, tmp_path / "out", workers=1)
    assert [row["text"] for row in made.rows()] == ["It snowed."]
