"A file is there as a whole or not at all."

import pytest
from pipelines import Crash

from llm_practice.engine.files import publish, sha256


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path):
    with pytest.raises(Crash), publish(tmp_path / "x") as part:
        part.write_text("half")
        raise Crash
    assert not list(tmp_path.iterdir())
    with publish(tmp_path / "x") as part:
        part.write_text("whole")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_text() == "whole" and sha256(tmp_path / "x").startswith("5d57")
