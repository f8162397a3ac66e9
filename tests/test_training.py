"The training loop: equal to plain PyTorch, honest when it accumulates, and the same after SIGKILL."

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, get_linear_schedule_with_warmup

from llm_practice.data.batching import Batches, pad
from llm_practice.engine.checkpoints import checkpoints
from llm_practice.engine.history import running_mean
from llm_practice.pretraining.training import (
    backward,
    compute,
    mean_loss,
    parameter_groups,
    predict,
    train,
    warmup_linear,
)

CPU = compute("cpu", torch.float32)
# A run in a process of its own: slow enough to be killed in the middle, with dropout, so that random states matter.
RUN = """
import sys, time, torch
from transformers import BertConfig, BertForSequenceClassification
from llm_practice.data.batching import Batches
from llm_practice.pretraining.training import compute, mean_loss, model_loss, train
from safetensors.torch import save_model
folder, out, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
torch.manual_seed(int(sys.argv[4]))
model = BertForSequenceClassification(BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                                 intermediate_size=64, max_position_embeddings=16, num_labels=3))
generator = torch.Generator().manual_seed(1)
rows = [{"input_ids": torch.randint(5, 50, (3 + i % 9,), generator=generator).tolist(), "labels": i % 3} for i in range(160)]
batches, held = Batches(rows, 8), Batches(rows[:40], 8, shuffle=False)
def loss(model, batch):
    time.sleep(pause)
    return model_loss(model, batch)
on = compute("cpu")
history = train(model, batches, epochs=3, lr=1e-3, accumulate=2, loss=loss, validate=lambda m: {"loss": mean_loss(m, held, on=on)},
                validate_every=7, folder=folder, checkpoint_every=4, seed=3, on=on, show=False)
assert len(history.steps) == 30, len(history.steps)
save_model(model, out)
"""


def toy(seed=0, **changes):
    torch.manual_seed(seed)
    sizes = dict(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                 max_position_embeddings=16, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)  # fmt: skip
    return BertForSequenceClassification(BertConfig(**{**sizes, **changes}))


def toy_rows(count=96):
    "The label can be read off the first token."
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(5, 50, (3 + i % 9,), generator=generator).tolist() for i in range(count)]
    return [{"input_ids": row, "labels": row[0] % 3} for row in ids]


def run(folder, out, pause=0.0, seed=0):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(out), str(pause), str(seed)]
    )


@pytest.mark.parametrize("kills", [1, 3])
def test_killed_and_resumed_is_bit_for_bit_the_same(tmp_path, kills):
    assert run(tmp_path / "calm", tmp_path / "calm.safetensors").wait() == 0
    randomly, folder = random.Random(kills), tmp_path / "hit"
    for kill in range(kills):
        process, before = (
            run(folder, tmp_path / "no", 0.03, seed=kill),
            [p.name for p in checkpoints(folder)],
        )
        while [p.name for p in checkpoints(folder)] == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(randomly.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert checkpoints(folder) and not (tmp_path / "no").exists(), (
            "killed too late to test anything"
        )
    assert run(folder, tmp_path / "resumed.safetensors", seed=9).wait() == 0
    calm, resumed = (
        load_file(tmp_path / "calm.safetensors"),
        load_file(tmp_path / "resumed.safetensors"),
    )
    assert calm.keys() == resumed.keys()
    assert all(torch.equal(calm[name], resumed[name]) for name in calm)


def test_one_step_is_adamw_of_pytorch():
    ours, theirs, rows = toy(), toy(), toy_rows(16)
    train(
        ours,
        Batches(rows, 16, shuffle=False),
        lr=1e-2,
        warmup=0.0,
        clip=math.inf,
        on=CPU,
        show=False,
    )
    optimizer = torch.optim.AdamW(parameter_groups(theirs, 0.01), lr=1e-2)
    theirs(**Batches(rows, 16, shuffle=False).batch(0, 0)).loss.backward()
    optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("total, share", [(1, 0.1), (7, 0.5), (100, 0.1), (100, 0.0)])
def test_schedule_is_that_of_transformers(total, share):
    theirs = get_linear_schedule_with_warmup(
        torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), int(share * total), total
    )
    assert [warmup_linear(s, total, share) for s in range(total + 1)] == pytest.approx(
        [theirs.lr_lambdas[0](s) for s in range(total + 1)]
    )


@pytest.mark.parametrize("cuts", [[16], [5, 11], [1, 2, 13], [15, 1]])
def test_accumulated_gradient_is_that_of_the_whole_batch(cuts):
    rows = toy_rows(16)
    whole, parts = toy().eval(), toy().eval()
    one = backward(whole, [pad(rows)], on=CPU)
    starts = [sum(cuts[:i]) for i in range(len(cuts))]
    many = backward(parts, [pad(rows[s : s + c]) for s, c in zip(starts, cuts)], on=CPU)
    torch.testing.assert_close(one, many)
    for a, b in zip(whole.parameters(), parts.parameters()):
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-3)


def test_it_learns_and_early_stopping_keeps_the_best(tmp_path):
    batches, held = Batches(toy_rows(), 16), Batches(toy_rows(), 32, shuffle=False)
    model, scores = toy(), iter([0.2, 0.9, 0.5, 0.4, 0.3])
    seen = []

    def validate(m):
        seen.append({k: v.clone() for k, v in m.state_dict().items()})
        return {"f1": next(scores)}

    history = train(
        model,
        batches,
        epochs=9,
        lr=5e-3,
        validate=validate,
        monitor="f1",
        patience=2,
        on=CPU,
        show=False,
    )
    assert len(history.validations) == 4 and "no better f1" in history.stopped
    assert all(torch.equal(seen[1][k], v) for k, v in model.state_dict().items())
    fresh = toy()
    before = mean_loss(fresh.eval(), held, on=CPU)
    train(fresh, batches, epochs=10, lr=1e-2, on=CPU, show=False)
    assert mean_loss(fresh, held, on=CPU) < before / 2


def test_a_finished_run_is_not_run_again(tmp_path):
    batches, model = Batches(toy_rows(), 16), toy()
    first = train(model, batches, folder=tmp_path, on=CPU, show=False)
    again, boom = toy(5), lambda m, b: pytest.fail("trained again")
    second = train(again, batches, folder=tmp_path, on=CPU, show=False, loss=boom)
    assert first.steps == second.steps
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))


def test_a_half_written_checkpoint_is_not_taken(tmp_path):
    batches = Batches(toy_rows(), 16)
    train(toy(), batches, folder=tmp_path, on=CPU, show=False)
    (tmp_path / ".checkpoint-00000099.part").mkdir()
    assert [p.name for p in checkpoints(tmp_path)] == ["checkpoint-00000006"]


def test_errors_name_the_value_and_the_way_out(tmp_path):
    batches = Batches(toy_rows(), 16)
    train(toy(), batches, folder=tmp_path, on=CPU, show=False)
    with pytest.raises(ValueError, match=r"'lr': 5e-05.*'lr': 0.1.*use another folder"):
        train(toy(), batches, lr=0.1, folder=tmp_path, on=CPU, show=False)
    with pytest.raises(FloatingPointError, match="loss is nan at step 1.*lower lr"):
        train(toy(), batches, loss=lambda m, b: m(**b).loss * math.nan, on=CPU, show=False)
    with pytest.raises(ValueError, match="monitor='f2' is not among the scores of validate: f1"):
        train(toy(), batches, validate=lambda m: {"f1": 1}, monitor="f2", on=CPU, show=False)
    with pytest.raises(ValueError, match="epochs=0: it must be at least 1"):
        train(toy(), batches, epochs=0, on=CPU, show=False)


def test_predictions_come_in_the_order_of_the_rows():
    rows, model = toy_rows(50), toy().eval()
    together = predict(model, Batches(rows, 7, shuffle=False), CPU)
    alone = torch.cat([predict(model, Batches([row], 1, shuffle=False), CPU) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_bfloat16_reaches_the_same_loss():
    batches, held = Batches(toy_rows(), 16), Batches(toy_rows(), 32, shuffle=False)
    losses = {}
    for dtype in (torch.float32, torch.bfloat16):
        model, on = toy(), compute("cpu", dtype)
        train(model, batches, epochs=8, lr=5e-3, on=on, show=False)
        losses[dtype] = mean_loss(model, held, on=on)
    assert losses[torch.bfloat16] == pytest.approx(losses[torch.float32], abs=0.15)


@pytest.mark.gpu
def test_mixed_precision_on_the_gpu_trains_to_the_same_score():
    batches, held = Batches(toy_rows(), 16), Batches(toy_rows(), 32, shuffle=False)
    losses = {}
    for on in (CPU, compute("cuda")):
        model = toy()
        train(model, batches, epochs=8, lr=5e-3, on=on, show=False)
        losses[on.device.type] = mean_loss(model, held, on=on)
    assert losses["cuda"] == pytest.approx(losses["cpu"], abs=0.15)


@pytest.mark.gpu
@pytest.mark.parametrize("first, second", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_moves_between_cpu_and_gpu(tmp_path, first, second):
    batches, stop = Batches(toy_rows(), 16), iter(range(8))

    def cut(m, b):
        if next(stop, None) is None:
            raise KeyboardInterrupt
        return m(**b).loss

    settings = dict(epochs=3, lr=5e-3, folder=tmp_path, checkpoint_every=4, show=False)
    with pytest.raises(KeyboardInterrupt):
        train(toy(), batches, **settings, loss=cut, on=compute(first, torch.float32))
    moved, whole = toy(5), toy()
    train(moved, batches, **settings, on=compute(second, torch.float32))
    train(whole, batches, **{**settings, "folder": None}, on=CPU)
    for a, b in zip(moved.parameters(), whole.parameters()):
        torch.testing.assert_close(a.cpu(), b, atol=1e-3, rtol=1e-2)


def test_the_last_two_checkpoints_stay_and_nothing_else(tmp_path):
    train(
        toy(),
        Batches(toy_rows(), 16),
        epochs=3,
        folder=tmp_path,
        checkpoint_every=2,
        on=CPU,
        show=False,
    )
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-00000016", "checkpoint-00000018"]
    assert {p.name for p in Path(tmp_path, "checkpoint-00000018").iterdir()} == {
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    }


def test_the_running_mean_has_no_bias_of_its_start():
    assert running_mean([3.0] * 5) == pytest.approx([3.0] * 5)
    weights = [0.5 * 0.9 ** (2 - i) for i in range(3)]
    assert running_mean([1.0, 5.0, 2.0], 0.9)[-1] == pytest.approx(
        sum(w * v for w, v in zip(weights, (1, 5, 2))) / sum(weights)
    )
