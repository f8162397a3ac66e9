"""Fine-tuning MiniLM on short texts: llm_practice beside padding to 512, dynamic padding and `Trainer`, in one run.

    python bench/batching.py                                  # headline and first paragraph of the packaged BBC News
    python bench/batching.py --text headline --epochs 2
    python bench/batching.py --input texts.jsonl --json result.json     # lines with `text` and `label`

All train the same classifier (chapter 22) from the same weights on the same texts, with the same batch size, number of
epochs, peak learning rate, warm-up, linear decay, weight decay and clipping. What is timed is the training itself, after
a few steps of warm-up with another model; tokenizing, loading and scoring are not. A rate counts texts and their real
tokens, never padding. Every row says what came out: training loss, loss and accuracy on the held-out texts (scored in
float32), so that nobody is fast by learning less. Padding to 512 is timed for a few steps only and trains too little to be
scored; with --padded-steps 0 it makes them all.

- padding to 512: the loop of chapter 22's beginning: every text to 512 tokens, float32, torch's AdamW, dropout.
- dynamic padding: random batches, each as wide as its longest text, float32, dropout.
- Trainer: `transformers.Trainer` with `train_sampling_strategy="group_by_length"`, padding per batch, eager attention
  (faster here than sdpa on short texts), its fused AdamW, nothing logged or saved; float32 and bfloat16, with the model's dropout and without.
- llm_practice: `train` with `Batches` of like length, bfloat16 where the processor has it, no dropout, and
  `only_used_rows`. Then with one thing changed: the model's dropout; the whole embedding table; random batches, packed
  (`pack_batch`).

"of peak" is the arithmetic of the encoder's linear layers for real tokens, forward and backward, per second, as a share
of what a large matrix product reaches in the same run, in the same precision, with the same threads.
"""

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import time
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

os.environ.update(
    HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false"
)

import torch
import torch.nn.functional as F
from datasets import Dataset

from llm_practice.book import hardware
from llm_practice.data.batching import (
    Batches,
    encode,
    pack_batch,
    pad,
    sample,
    segment_mean,
    split,
)
from llm_practice.data.sources import find_model, load
from llm_practice.engine.embeddings import only_used_rows
from llm_practice.finetuning.classification import lead, text_classifier
from llm_practice.pretraining.training import Compute, compute, predict, train

OURS = "llm_practice"
clock = time.perf_counter
NAMES = ("padding to 512", "dynamic padding", "Trainer float32", "Trainer float32, no dropout", "Trainer bfloat16", "Trainer bfloat16, no dropout",
         OURS, f"{OURS}, dropout", f"{OURS}, whole table", f"{OURS}, packed")  # fmt: skip


# --- data -----------------------------------------------------------------------------------------------------------


def read(path: str | None, text: str) -> Dataset:
    "Rows with `text` and `label` (numbers from 0)."
    if path is None:
        news = load("bbc-news", quiet=True)
        cut = {"headline": lambda article: article.split("\n", 1)[0], "lead": lead}[text]
        return Dataset.from_dict(
            {"text": [cut(article) for article in news["text"]], "label": news["label"][:]}
        )
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        if not isinstance(row.get("text"), str) or "label" not in row:
            raise SystemExit(f"{path}, line {number}: a line needs `text` (a string) and `label`")
        rows.append(row)
    names = {
        name: number for number, name in enumerate(sorted({str(row["label"]) for row in rows}))
    }
    if len(names) < 2:
        raise SystemExit(f"{path}: {len(names)} different labels, a classifier needs at least 2")
    return Dataset.from_dict(
        {"text": [row["text"] for row in rows], "label": [names[str(row["label"])] for row in rows]}
    )


def peak(dtype: torch.dtype, size: int = 2048) -> float:
    "Operations per second of a large matrix product."
    a, times = torch.randn(size, size).to(dtype), []
    for _ in range(8):
        start = clock()
        a @ a
        times.append(clock() - start)
    return 2 * size**3 / min(times)


# --- ways to train: each returns seconds, texts trained on, real tokens, mean loss of the last epoch ------------------


def linear_flops(model) -> int:
    "Operations for one token, forward and backward, in the encoder's linear layers."
    return 6 * sum(
        m.weight.numel() for m in model.encoder.modules() if isinstance(m, torch.nn.Linear)
    )


def plain_loop(
    model, rows, args, length: int | None, steps: int | None
) -> tuple[float, int, int, float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    batches = Batches(
        rows,
        args.batch_size,
        collate=lambda part: pad(part, length=length),
        window=0,
        seed=args.seed,
    )
    total, losses, texts, tokens = len(batches) * args.epochs, [], 0, 0
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / max(1, 0.1 * total), (total - s) / (0.9 * total))
    )
    model.train()
    start = clock()
    for step in range(min(steps or total, total)):
        batch = batches.batch(*divmod(step, len(batches)))
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        texts, tokens = texts + len(batch["labels"]), tokens + int(batch["attention_mask"].sum())
    last = losses[-len(batches) :]
    return clock() - start, texts, tokens, sum(last) / len(last)


def trainer(model, rows, args, tokenizer, dtype: torch.dtype) -> tuple[float, int, int, float]:
    from transformers import (
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    class Clock(TrainerCallback):
        def on_train_begin(self, *_, **__):
            self.start = clock()

        def on_train_end(self, *_, **__):
            self.seconds = clock() - self.start

    watch, steps = Clock(), -(-len(rows) // args.batch_size) * args.epochs
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder, use_cpu=True, bf16=dtype == torch.bfloat16, per_device_train_batch_size=args.batch_size,
            num_train_epochs=args.epochs, learning_rate=args.lr, weight_decay=0.01, warmup_steps=round(0.1 * steps), max_grad_norm=1.0,
            train_sampling_strategy="group_by_length", optim="adamw_torch_fused", seed=args.seed, report_to=[], save_strategy="no",
            logging_strategy="steps", logging_steps=max(1, steps // args.epochs), disable_tqdm=True, remove_unused_columns=False)  # fmt: skip
        run = Trainer(
            model,
            settings,
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[watch],
        )
        run.remove_callback(
            next(
                (
                    type(c)
                    for c in run.callback_handler.callbacks
                    if type(c).__name__ == "PrinterCallback"
                ),
                None,
            )
        )
        run.train()
    losses = [row["loss"] for row in run.state.log_history if "loss" in row]
    return (
        watch.seconds,
        len(rows) * args.epochs,
        sum(len(r["input_ids"]) for r in rows) * args.epochs,
        losses[-1],
    )


def ours(model, rows, args, kind: str, dtype: torch.dtype) -> tuple[float, int, int, float]:
    packed = kind == "packed"
    collate, window = (pack_batch, 0) if packed else (pad, 50)
    batches = Batches(rows, args.batch_size, collate=collate, window=window, seed=args.seed)

    def loss(model, batch):
        if not packed:
            return model(**batch).loss
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
        vectors = segment_mean(model.encoder(**inputs).last_hidden_state, batch["segment_ids"])
        return F.cross_entropy(model.classifier(model.dropout(vectors)).float(), batch["labels"])

    start = clock()
    with nullcontext() if kind == "whole table" else only_used_rows(model.encoder, rows):
        history = train(
            model,
            batches,
            epochs=args.epochs,
            lr=args.lr,
            loss=loss,
            seed=args.seed,
            on=Compute(torch.device("cpu"), dtype),
            show=False,
        )
    seconds = clock() - start
    last = [row["loss"] for row in history.steps[-len(batches) :]]
    return (
        seconds,
        len(rows) * args.epochs,
        sum(len(r["input_ids"]) for r in rows) * args.epochs,
        sum(last) / len(last),
    )


# --- the run --------------------------------------------------------------------------------------------------------


def run(name: str, rows, args, tokenizer, classes: int, steps: int | None = None):
    "One way to train: the trained model, its figures, its precision."
    fast = compute("cpu").dtype if args.dtype == "auto" else getattr(torch, args.dtype)
    dropped = name in NAMES[:2] or name in (
        "Trainer float32",
        "Trainer bfloat16",
        f"{OURS}, dropout",
    )
    torch.manual_seed(args.seed), random.seed(args.seed)
    model = text_classifier(
        find_model("minilm"), classes, dropout=0.1 if dropped else 0.0, seed=args.seed
    )
    if name.startswith("Trainer"):
        dtype = torch.bfloat16 if "bfloat16" in name else torch.float32
        return model, trainer(model, rows, args, tokenizer, dtype), dtype
    if name.startswith(OURS):
        kind = next((kind for kind in ("whole table", "packed") if name.endswith(kind)), "best")
        return model, ours(model, rows, args, kind, fast), fast
    return (
        model,
        plain_loop(model, rows, args, 512 if "512" in name else None, steps),
        torch.float32,
    )


def score(model, rows) -> dict[str, float]:
    logits = predict(
        model, Batches(rows, 64, shuffle=False), Compute(torch.device("cpu"), torch.float32)
    )
    labels = torch.tensor([row["labels"] for row in rows])
    return {
        "test_loss": float(F.cross_entropy(logits, labels)),
        "test_accuracy": float((logits.argmax(1) == labels).float().mean()),
    }


def measure(args) -> dict:
    from transformers import AutoTokenizer

    data = read(args.input, args.text)
    parts = split(data, test=0.2, validation=0, seed=args.seed)
    if args.samples and args.samples < len(parts["train"]):
        parts["train"] = sample(parts["train"], args.samples, seed=args.seed)
    tokenizer, classes = AutoTokenizer.from_pretrained(find_model("minilm")), max(data["label"]) + 1
    rows, test = (
        encode(tokenizer, parts[n]["text"][:], parts[n]["label"][:], args.max_length)
        for n in ("train", "test")
    )
    random.Random(args.seed).shuffle(rows)
    peaks, results, lengths = (
        {d: peak(d) for d in (torch.float32, torch.bfloat16)},
        {},
        [len(row["input_ids"]) for row in rows],
    )
    for name in args.only or NAMES:
        steps = args.padded_steps if name == "padding to 512" else None
        run(
            name,
            rows[: 3 * args.batch_size] if not steps else rows[: args.batch_size],
            args,
            tokenizer,
            classes,
            1 if steps else None,
        )
        best = None
        for _ in range(args.repeat):
            with nullcontext() if steps is None else torch.random.fork_rng():
                model, figures, dtype = run(name, rows, args, tokenizer, classes, steps)
            best = figures if best is None or figures[0] < best[0] else best
        seconds, texts, tokens, loss = best
        whole = texts == len(rows) * args.epochs
        results[name] = {"dtype": str(dtype).removeprefix("torch."), "seconds": seconds, "texts": texts, "texts_per_second": texts / seconds,
                         "tokens_per_second": tokens / seconds, "of_peak": tokens * linear_flops(model) / seconds / peaks[dtype],
                         "training_loss": loss, **(score(model, test) if whole else {})}  # fmt: skip
        print(line(name, results[name]), flush=True)
        del model
        gc.collect()
    machine = {"hardware": hardware("cpu"), "threads": torch.get_num_threads(), "gflops": {str(d).removeprefix("torch."): p / 1e9 for d, p in peaks.items()},
               **{package: version(package) for package in ("torch", "transformers", "accelerate")}}  # fmt: skip
    size = {"source": args.input or f"bbc-news, {args.text}", "texts": len(rows), "test_texts": len(test), "classes": classes,
            "mean_tokens": sum(lengths) / len(lengths), "longest": max(lengths)}  # fmt: skip
    settings = {
        key: value for key, value in vars(args).items() if key not in ("json", "input", "text")
    }
    return {
        "input": size,
        "settings": settings,
        "machine": machine,
        "ways": results,
        "ratios": ratios(results),
    }


def ratios(results: dict[str, dict]) -> dict[str, float]:
    "Texts per second, ours over theirs."
    speed = {name: row["texts_per_second"] for name, row in results.items()}
    mine, peers = (
        [n for n in speed if n.startswith(OURS)],
        [n for n in speed if not n.startswith(OURS)],
    )
    found = {f"{name} / {peer}": speed[name] / speed[peer] for name in mine for peer in peers}
    trainers = [n for n in peers if n.startswith("Trainer")]
    groups = {"best Trainer": [n for n in trainers if "no dropout" not in n], "best Trainer, no dropout": [n for n in trainers if "no dropout" in n],
              "best Trainer, float32": [n for n in trainers if "float32" in n]}  # fmt: skip
    for label, group in groups.items():
        found |= {
            f"{name} / {label}": speed[name] / max(speed[n] for n in group)
            for name in mine
            if group
        }
    return found


def line(name: str, row: dict) -> str:
    scored = (
        f"{row['training_loss']:9.3f}  {row['test_loss']:9.3f}  {row['test_accuracy']:8.3f}"
        if "test_loss" in row
        else f"{'(a few steps)':>20}"
    )
    return f"{name:30} {row['dtype']:9} {row['texts_per_second']:8.1f} {row['tokens_per_second']:9.0f} {row['of_peak']:8.2f}  {scored}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--input", metavar="FILE", help="JSONL with `text` and `label`; by default packaged news"
    )
    parser.add_argument(
        "--text",
        choices=("headline", "lead"),
        default="lead",
        help="what of the packaged news (default lead)",
    )
    parser.add_argument(
        "--samples", type=int, help="train on so many texts, classes in proportion (default: all)"
    )
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--max-length", type=int, default=128, help="longer texts are cut, for all (default 128)"
    )
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: what torch takes")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: seconds of processor time, for a machine that does other things (default wall)",
    )
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of llm_practice (default: bfloat16 where it is fast)",
    )
    parser.add_argument(
        "--padded-steps",
        type=int,
        default=2,
        help="steps that are timed with padding to 512; 0: all (default 2)",
    )
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of each, the fastest counts (default 1)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, metavar="NAME", help=f"some of: {', '.join(NAMES)}"
    )
    parser.add_argument("--json", metavar="FILE", help="write every figure and ratio here")
    args = parser.parse_args()
    for name in ("epochs", "batch_size", "repeat"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} {getattr(args, name)}: at least 1")
    if args.clock == "cpu":
        global clock
        clock = time.process_time
    if args.threads:
        torch.set_num_threads(args.threads)
    print(
        f"{'way':30} {'dtype':9} {'texts/s':>8} {'tokens/s':>9} {'of peak':>8}  {'loss':>9}  {'test loss':>9}  {'accuracy':>8}",
        flush=True,
    )
    result = measure(args)
    size, machine = result["input"], result["machine"]
    print(f"\n{size['texts']:,} texts ({size['source']}), {size['mean_tokens']:.1f} tokens on average, {size['longest']} at most; "
          f"{args.epochs} epochs, batches of {args.batch_size}\n{machine['hardware']}, {machine['threads']} threads, {args.clock} time; matrix products: "
          + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in machine["gflops"].items())
          + "".join(f"; {name} {machine[name]}" for name in ("torch", "transformers")))  # fmt: skip
    for pair, ratio in result["ratios"].items():
        if pair.startswith((f"{OURS} /", f"{OURS}, dropout /")):
            print(f"{pair}: {ratio:.2f} times the texts/s")
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
