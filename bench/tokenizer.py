"""Tokenizers by hand beside the `tokenizers` library, on one core, in one run: `python bench/tokenizer.py [--input FILE] [--json FILE]`.

Trained and encoded with are BPE, byte-level BPE, WordPiece and unigram: ours are the functions of the chapter, written
in Python and numpy; the library's are written in Rust. Both get the same texts, the same vocabulary size, and the
library's own normalisers and pre-tokenizers (ours calls them from Python, text by text). Training includes cutting the
texts into words. Encoding is timed on texts that were not trained on, with what the library learnt, so that both give
the same tokens; ours remembers the words that it has cut, as the library does. `same` is the share of tokens (training:
of the vocabulary, in place for BPE; encoding: of texts) that are equal. For unigram, whose training has no single right
result, the losses of both are printed. `--input` takes any JSONL (also .gz) with a field `text`; without it, packaged
English and Chinese texts are used. All times are CPU times.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import functools
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from llm_practice.book import hardware
from llm_practice.data.tokenizers import BYTE_LETTERS, best_pieces, longest_match, spaced
from llm_practice.engine.merges import apply_merges, learn_merges
from llm_practice.engine.text import replace_surrogates
from llm_practice.engine.unigram import learn_unigram, unigram_loss

KINDS = {"bpe": "BPE", "bytes": "byte-level BPE", "wordpiece": "WordPiece", "unigram": "unigram"}


def packaged(megabytes: float) -> dict[str, list[str]]:
    "English news; Chinese reviews and newspaper."
    from llm_practice.data.sources import load

    english = list(load("bbc-news", quiet=True)["text"])
    reviews, daily = (
        list(load(name, quiet=True)["text"]) for name in ("chinese-reviews", "peoples-daily")
    )
    chinese = [text for pair in zip(reviews, daily) for text in pair]
    return {"English": cut(english, megabytes), "Chinese": cut(chinese, megabytes)}


def cut(texts: list[str], megabytes: float | None) -> list[str]:
    "The first texts, up to so many megabytes."
    total = np.cumsum([len(text.encode("utf-8", "replace")) for text in texts])
    return texts[: int(np.searchsorted(total, megabytes * 1e6)) + 1] if megabytes else texts


def read(path: Path, megabytes: float | None) -> dict[str, list[str]]:
    "The texts of a JSONL file."
    texts = []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(filter(str.strip, file), 1):
            try:
                texts.append(replace_surrogates(json.loads(line)["text"]))
            except (ValueError, KeyError, TypeError, AttributeError):
                sys.exit(
                    f"{path}, line {number}: it is not a JSON object with a string in the field 'text'"
                )
    if len(texts) < 10:
        sys.exit(
            f"{path} has {len(texts)} documents: at least 10 are needed, one in ten is kept for encoding"
        )
    return {path.name: cut(texts, megabytes)}


def untrained(kind: str) -> Tokenizer:
    "The library's tokenizer of one kind, with its rules for words."
    model = {
        "bpe": models.BPE,
        "bytes": models.BPE,
        "wordpiece": models.WordPiece,
        "unigram": models.Unigram,
    }[kind]
    tokenizer = Tokenizer(model(unk_token="[UNK]") if kind in ("bpe", "wordpiece") else model())
    if kind == "wordpiece":
        tokenizer.normalizer, tokenizer.pre_tokenizer = (
            normalizers.BertNormalizer(),
            pre_tokenizers.BertPreTokenizer(),
        )
    elif kind == "bytes":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        spaced(tokenizer)
    return tokenizer


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    normal = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def timed(call: Callable[[], Any], repeat: int) -> tuple[Any, float]:
    "The value of a call, and the shortest of its CPU times."
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        value = call()
        seconds.append(time.process_time() - start)
    return value, min(seconds)


def train_ours(kind: str, counts: Counter, size: int) -> Any:
    first = ["[UNK]", *(sorted(BYTE_LETTERS.values()) if kind == "bytes" else ())]
    if kind == "unigram":
        return learn_unigram(counts, size - 1)
    return learn_merges(counts, size, prefix="##" if kind == "wordpiece" else "", first=first)


def train_theirs(kind: str, texts: list[str], size: int) -> Tokenizer:
    tokenizer, settings = (
        untrained(kind),
        {"vocab_size": size, "special_tokens": ["[UNK]"], "show_progress": False},
    )
    trainer = {
        "bpe": lambda: trainers.BpeTrainer(**settings),
        "bytes": lambda: trainers.BpeTrainer(
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **settings
        ),
        "wordpiece": lambda: trainers.WordPieceTrainer(limit_alphabet=10**6, **settings),
        "unigram": lambda: trainers.UnigramTrainer(unk_token="[UNK]", **settings),
    }[kind]()
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encoder(kind: str, tokenizer: Tokenizer) -> Callable[[str], list[str]]:
    "Ours, with what the library learnt: from a word to its pieces."
    vocabulary, state = tokenizer.get_vocab(), json.loads(tokenizer.to_str())["model"]
    if kind == "wordpiece":
        return functools.cache(lambda word: longest_match(word, vocabulary))
    if kind == "unigram":
        scores = {piece: score for piece, score in state["vocab"]}
        longest, floor = max(map(len, scores)), min(scores.values()) - 10
        return functools.cache(lambda word: best_pieces(word, scores, "[UNK]", longest, floor))
    ranks = {tuple(pair): rank for rank, pair in enumerate(state["merges"])}
    return functools.cache(lambda word: apply_merges(word, ranks, vocabulary))


def losses(
    mine: list[tuple[str, float]], tokenizer: Tokenizer, counts: Counter
) -> tuple[float, float]:
    "-log P per character of the training words, under ours and under the library's unigram."
    theirs = [
        (piece, score)
        for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]
        if piece != "[UNK]"
    ]
    return unigram_loss(mine, counts), unigram_loss(theirs, counts)


def compare(kind: str, texts: list[str], size: int, repeat: int) -> list[dict]:
    "Train on nine texts in ten, encode the tenth."
    train, new = [text for i, text in enumerate(texts) if i % 10], texts[::10]
    megabytes = [sum(len(text.encode()) for text in side) / 1e6 for side in (train, new)]
    tokenizer, their_seconds = timed(lambda: train_theirs(kind, train, size), repeat)
    rules = untrained(kind)
    counts, counting = timed(
        lambda: Counter(word for text in train for word in words_of(rules, text)), repeat
    )
    made, learning = timed(lambda: train_ours(kind, counts, size), repeat)
    theirs = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    mine = [piece for piece, _ in made] if kind == "unigram" else made[0]
    exact = kind in ("bpe", "bytes")
    same = float(mine == theirs) if exact else len(set(mine) & set(theirs)) / len(theirs)
    rows = [{"work": "train", "library": their_seconds, "ours": counting + learning, "counting": counting, "MB": megabytes[0],
             "same": same, "words": len(counts)}]  # fmt: skip
    if kind == "unigram":
        rows[0]["loss_ours"], rows[0]["loss_library"] = losses(made, tokenizer, counts)

    def encode() -> list[list[str]]:
        piece = encoder(kind, tokenizer)
        return [[part for word in words_of(rules, text) for part in piece(word)] for text in new]

    def encode_theirs() -> list[list[int]]:
        fresh = Tokenizer.from_str(tokenizer.to_str())
        start = time.process_time()
        found = fresh.encode_batch(new, add_special_tokens=False)
        spent.append(time.process_time() - start)
        return [encoding.ids for encoding in found]

    spent: list[float] = []
    for _ in range(repeat):
        ids = encode_theirs()
    pieces, seconds = timed(encode, repeat)
    vocabulary = tokenizer.get_vocab()
    equal = [
        [vocabulary[part] for part in row if part in vocabulary] == found
        for row, found in zip(pieces, ids)
    ]
    _, cutting = timed(lambda: [words_of(rules, text) for text in new], 1)
    rows.append({"work": "encode", "library": min(spent), "ours": seconds, "counting": cutting, "MB": megabytes[1],
                 "same": sum(equal) / len(equal), "words": len({word for text in new for word in words_of(rules, text)})})  # fmt: skip
    for row in rows:
        row["library_MB_s"], row["ours_MB_s"] = row["MB"] / row["library"], row["MB"] / row["ours"]
        row["ratio"] = row["library"] / row["ours"]
    return [{"tokenizer": KINDS[kind], **row} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--input", type=Path, help="JSONL with a field `text` (also .gz); default: packaged texts"
    )
    parser.add_argument(
        "--megabytes",
        type=float,
        help="use only so many megabytes (default: 3 of each packaged text, all of a file)",
    )
    parser.add_argument(
        "--vocabulary", type=int, default=8000, help="tokens to train (default 8000)"
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=KINDS,
        default=list(KINDS),
        help="which tokenizers (default all)",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=3,
        help="runs of everything, of which the best counts (default 3)",
    )
    parser.add_argument("--json", type=Path, help="write all figures there")
    arguments = parser.parse_args()
    if arguments.input and not arguments.input.is_file():
        sys.exit(f"--input {arguments.input}: there is no such file")
    if arguments.repeat < 1:
        sys.exit(f"--repeat {arguments.repeat}: at least one run is needed")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    corpora = (
        read(arguments.input, arguments.megabytes)
        if arguments.input
        else packaged(arguments.megabytes or 3)
    )
    report(corpora, arguments)


def report(corpora: dict[str, list[str]], arguments: argparse.Namespace) -> None:
    "Run, print the table as it grows, write the JSON."
    rows = []
    print(
        f"{'text':<10} {'tokenizer':<15} {'work':<7} {'library MB/s':>12} {'ours MB/s':>10} {'ours/library':>12} {'words cut':>10} {'same':>7}"
    )
    for name, texts in corpora.items():
        for kind in arguments.kinds:
            for row in compare(kind, texts, arguments.vocabulary, arguments.repeat):
                rows.append({"text": name, **row})
                share = row["counting"] / row["ours"]
                print(f"{name[:10]:<10} {row['tokenizer']:<15} {row['work']:<7} {row['library_MB_s']:>12.2f} {row['ours_MB_s']:>10.2f} "
                      f"{row['ratio']:>12.2f} {share:>10.0%} {row['same']:>7.1%}", flush=True)  # fmt: skip
                if "loss_ours" in row:
                    print(
                        f"{'':<26} loss per character: ours {row['loss_ours']:.4f}, library {row['loss_library']:.4f}"
                    )
    print(
        "\nwords cut: the part of our time that goes into cutting texts into words, which is done by the library's own rules."
    )
    print(
        "same: BPE and byte-level: 100 % if all tokens and their numbers are equal; WordPiece and unigram: tokens in both."
    )
    versions = {package: version(package) for package in ("tokenizers", "transformers", "numpy")}
    print(
        f"{hardware('cpu')}, Python {sys.version.split()[0]}, "
        + ", ".join(f"{name} {v}" for name, v in versions.items())
    )
    if arguments.json:
        facts = {"input": str(arguments.input or "packaged"), "vocabulary": arguments.vocabulary, "hardware": hardware("cpu"),
                 "versions": versions, "documents": {name: len(texts) for name, texts in corpora.items()}}  # fmt: skip
        arguments.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
