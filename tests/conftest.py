"What all tests share: no network, no progress bars, and the reasons for which some are skipped."

import os

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    TRANSFORMERS_VERBOSITY="error",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
)

# Side by side, each worker has its share of the cores: more threads would wait for each other.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

import pytest
import torch


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="no CUDA GPU")
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def quick_disk(monkeypatch, request):
    "Waiting for the disk is most of the time of a small run; what is tested is the order of things."
    from llm_practice.engine import files, runs

    if "disk" not in request.node.name:
        for module in (files, runs):
            monkeypatch.setattr(module, "sync", lambda path: None)


@pytest.fixture
def made(tmp_path):
    "A folder with 700 short documents, some of which begin alike."
    from pipelines import texts, write

    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.jsonl", [{"text": t, "n": i} for i, t in enumerate(texts(600))])
    write(folder / "b.jsonl.gz", [{"text": t} for t in texts(100, 1)])
    return folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    "A cache of `datasets` that no other test has filled."
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
