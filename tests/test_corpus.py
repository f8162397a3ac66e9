"A corpus that somebody has changed."

import pytest
from pipelines import recipe_for

from llm_practice.data.pipeline import process
from llm_practice.engine.recipe import PipelineError

pytestmark = pytest.mark.usefixtures("quick_disk")


def test_a_changed_file_is_found(tmp_path, made):
    corpus = process(recipe_for(made), tmp_path / "out", workers=1)
    shard = tmp_path / "out" / corpus.manifest["shards"][0]["path"]
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(
        PipelineError, match=r"part-00000.parquet: sha256 is .* make the corpus again"
    ):
        corpus.verify()
