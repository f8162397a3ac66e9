"""Fine-tuning MiniLM on the leads of BBC News: rows a second of this book's loop and of what one would use instead.

`python bench/finetuning.py [--rows 320] [--json FILE]`; all ways see the same rows, in the same run, one after the other."""

import argparse
import json
import os
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import (
    AutoTokenizer,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from llm_practice.book import hardware
from llm_practice.data.batching import Batches, encode, split
from llm_practice.data.sources import find_model, load
from llm_practice.finetuning.classification import TextClassificationDataset, lead, train_epoch
from llm_practice.training import compute, train

BATCH = 32


def model():
    torch.manual_seed(0)
    return BertForSequenceClassification.from_pretrained(find_model("minilm"), num_labels=5)


def naive(texts, labels, tokenizer, rows):
    dataset, net = TextClassificationDataset(texts[:64], labels[:64], tokenizer), model()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-5)
    return 64, lambda: train_epoch(net, dataset, BATCH, optimizer)


def trainer(bf16):
    def make(texts, labels, tokenizer, rows):
        arguments = TrainingArguments(
            tempfile.mkdtemp(), per_device_train_batch_size=BATCH, num_train_epochs=1, report_to=[], save_strategy="no",
            logging_strategy="no", disable_tqdm=True, train_sampling_strategy="group_by_length", bf16=bf16,
            use_cpu=not torch.cuda.is_available(), dataloader_pin_memory=False)  # fmt: skip
        job = Trainer(model(), arguments, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer))
        return len(rows), job.train

    return make


def ours(dtype):
    def make(texts, labels, tokenizer, rows):
        net, on = model(), compute(dtype=dtype)
        return len(rows), lambda: train(net, Batches(rows, BATCH), lr=2e-5, on=on, show=False)

    return make


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=320, help="rows trained on (default 320)")
    parser.add_argument("--json", help="write the result to this file")
    options = parser.parse_args()
    part, tokenizer = split(load("bbc-news"))["train"].select(range(options.rows)), AutoTokenizer.from_pretrained(find_model("minilm"))
    texts, labels = [lead(text) for text in part["text"]], part["label"]
    rows = encode(tokenizer, texts, labels, max_length=96)
    ways = {"padded to 512, float32 (64 rows)": naive, "Trainer, grouped by length, float32": trainer(False),
            "Trainer, grouped by length, bfloat16": trainer(True), "this book, float32": ours(torch.float32),
            "this book, chosen precision": ours(None)}  # fmt: skip
    result = {"hardware": hardware(), "precision": str(compute().dtype), "rows_per_second": {}}
    for name, make in ways.items():
        count, run = make(texts, labels, tokenizer, rows)
        start = time.perf_counter()
        run()
        result["rows_per_second"][name] = count / (time.perf_counter() - start)
    slowest = min(result["rows_per_second"].values())
    print(f"{result['hardware']}, {result['precision']} where chosen")
    for name, speed in result["rows_per_second"].items():
        print(f"{name:40} {speed:8.1f} rows/s {speed / slowest:6.1f} x")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
