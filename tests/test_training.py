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
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    get_linear_schedule_with_warmup,
)

from llm_practice.data.batching import Batches, pad
from llm_practice.engine.checkpoints import checkpoints
from llm_practice.engine.history import running_mean
from llm_practice.pretraining.training import (
    WeightedLoss,
    backward,
    compute,
    mean_loss,
    model_loss,
    parameter_groups,
    predict,
    train,
    warmup_linear,
)
from llm_practice.theory.loss import class_weights

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


# ---- what is kept is good


def poison(model, at):
    "A loss that is finite; its gradient is not, in step `at`."
    calls = iter(range(1, 1000))

    def loss(m, batch):
        value = m(**batch).loss
        if next(calls) == at:
            weight = m.classifier.bias
            bad = (weight - weight.detach()).abs().sqrt().sum()  # 0, with a slope of 0/0
            return value + bad
        return value

    return loss


@pytest.mark.parametrize("at", [1, 5, 13])
def test_a_gradient_that_is_nan_reaches_neither_weights_nor_disk(tmp_path, at):
    model = toy()
    settings = dict(epochs=3, lr=1e-3, checkpoint_every=3, folder=tmp_path, on=CPU, show=False)
    with pytest.raises(FloatingPointError, match=rf"gradient's norm is nan at step {at} .*batches.batch\({(at - 1) // 6}, {(at - 1) % 6}\)"):  # fmt: skip
        train(model, Batches(toy_rows(), 16), loss=poison(model, at), **settings)
    assert all(p.isfinite().all() for p in model.parameters())
    saved = checkpoints(tmp_path)
    assert [int(p.name[-2:]) for p in saved] == [s for s in (3, 6, 9, 12) if s < at][-2:]
    again, calm = toy(7 if saved else 0), toy()
    train(again, Batches(toy_rows(), 16), **settings)
    train(calm, Batches(toy_rows(), 16), **{**settings, "folder": None})
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), calm.parameters()))


def test_a_bad_step_is_left_out_by_the_fused_kernel_itself():
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    weight.grad = torch.full((3,), math.nan)
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    assert torch.equal(weight, torch.ones(3))
    weight.grad, optimizer.found_inf = torch.ones(3), torch.zeros(())
    optimizer.step()
    assert (weight < 1).all() and float(optimizer.state[weight]["step"]) == 1


@pytest.mark.gpu
def test_a_bad_step_is_left_out_on_the_gpu(tmp_path):
    model = toy()
    with pytest.raises(FloatingPointError, match="gradient's norm is nan at step 4"):
        train(
            model,
            Batches(toy_rows(), 16),
            loss=poison(model, 4),
            folder=tmp_path,
            checkpoint_every=3,
            epochs=3,
            on=compute("cuda"),
            show=False,
        )
    assert all(p.isfinite().all() for p in model.parameters())
    assert [p.name for p in checkpoints(tmp_path)] == ["checkpoint-00000003"]


def test_a_rate_that_blows_the_weights_up_is_not_saved(tmp_path):
    with pytest.raises(FloatingPointError):
        train(
            toy(),
            Batches(toy_rows(), 16),
            lr=1e39,
            warmup=0,
            folder=tmp_path,
            checkpoint_every=1,
            on=CPU,
            show=False,
        )
    assert not checkpoints(tmp_path)


def test_what_a_validation_saves_beside_the_checkpoints_stays(tmp_path):
    batches, model = Batches(toy_rows(), 16), toy()

    def validate(m):
        m.save_pretrained(tmp_path / "checkpoint-best")
        (tmp_path / "checkpoint-last").write_text("a note")
        return {"loss": mean_loss(m, batches, on=CPU)}

    settings = dict(
        epochs=3, validate=validate, checkpoint_every=4, folder=tmp_path, on=CPU, show=False
    )
    first = train(model, batches, **settings)
    second = train(toy(3), batches, **settings)
    assert first.steps == second.steps
    assert {"checkpoint-best", "checkpoint-last"} < set(os.listdir(tmp_path))
    assert (tmp_path / "checkpoint-best" / "config.json").exists()


# ---- which weights are best


def scored(scores, **settings):
    "Train with given scores; the model, the weights at each validation, the history or the error."
    model, kept, given = toy(), [], iter(scores)

    def validate(m):
        kept.append({k: v.clone() for k, v in m.state_dict().items()})
        return {settings.get("monitor", "loss"): next(given)}

    settings = dict(epochs=len(scores), validate=validate, on=CPU, show=False) | settings
    return model, kept, train(model, Batches(toy_rows(32), 16), **settings)


def which(model, kept):
    "The validations whose weights the model has."
    now = model.state_dict()
    return [i for i, w in enumerate(kept) if all(torch.equal(now[k], w[k]) for k in w)]


@pytest.mark.parametrize(
    ("scores", "settings", "best"),
    [
        ([math.nan, 0.5, 0.3, 0.4], {}, 2),
        ([0.5, math.nan, 0.6], {}, 0),
        ([math.inf, 7.0], {}, 1),
        ([-math.inf, 7.0], {}, 1),
        ([0.5, math.inf, 0.6], dict(monitor="f1"), 2),
        ([9.0, 4.0, 6.0], dict(monitor="perplexity"), 1),
        ([9.0, 4.0, 6.0], dict(monitor="valid/RMSE"), 1),
        ([0.2, 0.9, 0.3], dict(monitor="rougeL"), 1),
        ([0.2, 0.9, 0.3], dict(monitor="regret", mode="min"), 0),
        ([0.2, 0.9, 0.3], dict(monitor="loss", mode="max"), 1),
    ],
)
def test_the_best_weights_are_those_of_the_best_finite_score(scores, settings, best):
    model, kept, _ = scored(scores, **settings)
    assert which(model, kept) == [best]


def test_scores_that_are_never_finite_are_told_and_count_for_patience():
    with pytest.warns(UserWarning, match="no validation gave a finite loss: .* last weights"):
        model, kept, history = scored([math.nan] * 5, patience=2)
    assert len(history.validations) == 2 and "no better loss in 2" in history.stopped


def test_patience_counts_what_is_not_better():
    assert len(scored([5, 4, 3, 2, 1], patience=1)[2].validations) == 5
    assert len(scored([5, 4, 4, 2, 1], patience=1)[2].validations) == 3


@pytest.mark.parametrize("end", [FloatingPointError, KeyboardInterrupt, RuntimeError])
def test_however_a_run_ends_the_model_has_its_best_weights(end):
    model, kept, calls = toy(), [], iter(range(100))

    def loss(m, batch):
        if next(calls) == 9:
            if end is not FloatingPointError:
                raise end("now")
            return m(**batch).loss * math.nan
        return m(**batch).loss

    def validate(m):
        kept.append({k: v.clone() for k, v in m.state_dict().items()})
        return {"loss": [0.5, 0.1, 0.2, 0.3][len(kept) - 1]}

    with pytest.raises(end):
        train(
            model,
            Batches(toy_rows(32), 16),
            epochs=9,
            loss=loss,
            validate=validate,
            on=CPU,
            show=False,
        )
    assert which(model, kept) == [1] and not model.training


# ---- arguments


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(clip=-1), "clip=-1: it must be a norm above 0"),
        (dict(clip=math.nan), "clip=nan"),
        (dict(clip="1"), "clip='1'"),
        (dict(weight_decay=-1), "weight_decay=-1: it must be a number from 0"),
        (dict(lr=0), "lr=0: it must be a number above 0"),
        (dict(lr=-1e-3), "lr=-0.001"),
        (dict(lr="5e-5"), "lr='5e-5'"),
        (dict(betas=(0.9, 1.0)), "betas="),
        (dict(betas=0.9), "betas=0.9"),
        (dict(warmup=1.5), "warmup=1.5: it must be a share"),
        (dict(epochs=1.5), "epochs=1.5: it must be at least 1, and a whole number"),
        (dict(epochs=math.nan), "epochs=nan"),
        (dict(epochs=True), "epochs=True"),
        (dict(accumulate=0), "accumulate=0"),
        (dict(accumulate=2.5), "accumulate=2.5"),
        (dict(checkpoint_every=0.5), "checkpoint_every=0.5"),
        (dict(validate_every=0, validate=lambda m: {"loss": 1}), "validate_every=0"),
        (dict(patience=0, validate=lambda m: {"loss": 1}), "patience=0: it must be at least 1"),
        (dict(patience=2), "patience without validate"),
        (dict(validate_every=3, mode="min"), "validate_every and mode without validate"),
        (dict(seed=-1), "seed=-1"),
        (dict(monitor="regret", validate=lambda m: {"regret": 1}), "monitor='regret': say which"),
        (dict(monitor="f1", mode="up", validate=lambda m: {"f1": 1}), "mode='up'"),
        (dict(validate=lambda m: 0.5), "validate gave 0.5: it must give scores by name"),
        (dict(validate=lambda m: {"loss": 1, "report": "good"}), "validate gave report='good'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # workers must agree on the names
)
def test_an_argument_out_of_range_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        train(toy(), Batches(toy_rows(32), 16), **{"on": CPU, "show": False, **settings})


def test_no_clipping_is_zero_none_or_infinity():
    made = []
    for limit in (0, None, math.inf):
        made.append(toy())
        train(made[-1], Batches(toy_rows(32), 16), clip=limit, lr=1e-2, on=CPU, show=False)
    for one, two, three in zip(*[m.parameters() for m in made]):
        assert torch.equal(one, two) and torch.equal(one, three)
    assert not torch.equal(made[0].classifier.weight, toy().classifier.weight)


def test_numbers_of_numpy_and_whole_floats_are_taken_and_saved(tmp_path):
    import numpy as np

    settings = dict(epochs=np.int64(2), lr=np.float32(1e-3), accumulate=2.0, seed=np.int32(4))
    history = train(toy(), Batches(toy_rows(), 16), **settings, folder=tmp_path, on=CPU, show=False)
    again = train(toy(), Batches(toy_rows(), 16), **settings, folder=tmp_path, on=CPU, show=False)
    assert len(history.steps) == 6 and history.steps == again.steps


def test_every_parameter_frozen_and_other_precisions_are_named():
    with pytest.raises(ValueError, match="every parameter is frozen: set requires_grad"):
        train(toy().requires_grad_(False), Batches(toy_rows(32), 16), on=CPU, show=False)
    for dtype in (torch.float16, torch.float64):
        with pytest.raises(ValueError, match=f"dtype={dtype}: it must be torch.float32 or"):
            compute("cpu", dtype)
    with pytest.raises(ValueError, match="weight_decay=nan"):
        parameter_groups(toy(), math.nan)
    with pytest.raises(ValueError, match="beta=1: it must be"):
        running_mean([1.0], 1)


# ---- resuming


def test_other_data_precision_head_or_frozen_parts_are_refused(tmp_path):
    rows = toy_rows()
    settings = dict(epochs=2, folder=tmp_path, checkpoint_every=4, show=False)
    train(toy(), Batches(rows, 16), on=CPU, **settings)
    relabelled = [{**row, "labels": (row["labels"] + (i == 50)) % 3} for i, row in enumerate(rows)]
    for batches in (Batches(relabelled, 16), Batches(rows, 16, seed=5)):
        with pytest.raises(ValueError, match="checkpoint-00000012 was made with {'data':"):
            train(toy(), batches, on=CPU, **settings)
    with pytest.raises(ValueError, match="'precision': 'float32'.*'precision': 'bfloat16'"):
        train(toy(), Batches(rows, 16), on=compute("cpu", torch.bfloat16), **settings)
    with pytest.raises(ValueError, match="classifier.weight is float32 3x32 trained there and float32 4x32"):  # fmt: skip
        train(toy(num_labels=4), Batches(rows, 16), on=CPU, **settings)
    partly = toy()
    partly.bert.embeddings.requires_grad_(False)
    with pytest.raises(ValueError, match="embeddings.* trained there and .* frozen here"):
        train(partly, Batches(rows, 16), on=CPU, **settings)


def test_a_run_goes_on_from_the_checkpoint_before_a_broken_one(tmp_path):
    batches, stop = Batches(toy_rows(), 16), iter(range(11))

    def cut(m, b):
        if next(stop, None) is None:
            raise KeyboardInterrupt
        return m(**b).loss

    settings = dict(epochs=3, lr=5e-3, checkpoint_every=4, show=False, on=CPU)
    with pytest.raises(KeyboardInterrupt):
        train(toy(), batches, **settings, folder=tmp_path, loss=cut)
    model_file = tmp_path / "checkpoint-00000008" / "model.safetensors"
    model_file.write_bytes(model_file.read_bytes()[:5000])
    resumed, calm = toy(8), toy()
    with pytest.warns(UserWarning) as said:
        train(resumed, batches, **settings, folder=tmp_path)
    assert "00000008/model.safetensors is cut" in str(said[0].message)
    assert "Going on from" in str(said[0].message) and "00000004" in str(said[0].message)
    train(calm, batches, **settings)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), calm.parameters()))


# ---- means over labels


def test_a_piece_without_a_label_that_counts_changes_nothing():
    rows = toy_rows(12)
    none = [{**row, "labels": -100} for row in toy_rows(5)]
    alone, with_nothing = toy().eval(), toy().eval()
    expected = backward(alone, [pad(rows)], on=CPU)
    pieces = [pad(none), pad(rows), pad(none)]
    torch.testing.assert_close(backward(with_nothing, pieces, on=CPU), expected)
    for a, b in zip(alone.parameters(), with_nothing.parameters()):
        torch.testing.assert_close(a.grad, b.grad)
    assert float(backward(toy(), [pad(none)], on=CPU)) == 0
    mixed = [*rows[:6], *none, *rows[6:]]
    batches = Batches(mixed, 1, shuffle=False)
    assert mean_loss(alone, batches, on=CPU) == pytest.approx(float(expected), abs=1e-5)
    with pytest.raises(ValueError, match="no label counts in these batches"):
        mean_loss(alone, Batches(none, 2, shuffle=False), on=CPU)
    with pytest.raises(ValueError, match="the batch has no labels, it has input_ids, attention"):
        backward(alone, [{k: v for k, v in pad(rows).items() if k != "labels"}], on=CPU)


@pytest.mark.parametrize("size", [1, 3, 5, 16])
def test_class_weights_in_pieces_are_those_of_the_batch(size):
    rows = toy_rows(16)
    loss = WeightedLoss(class_weights(torch.tensor([row["labels"] for row in rows]), 3) ** 2)
    whole, parts = toy().eval(), toy().eval()
    one = backward(whole, [pad(rows)], loss, CPU)
    many = backward(parts, [pad(rows[s : s + size]) for s in range(0, 16, size)], loss, CPU)
    torch.testing.assert_close(one, many)
    for a, b in zip(whole.parameters(), parts.parameters()):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-3)
    batches = Batches(rows, size, shuffle=False)
    assert mean_loss(whole, batches, loss, CPU) == pytest.approx(float(one), abs=1e-5)


# ---- the schedule and the predictions


@pytest.mark.parametrize(("warmup", "peak"), [(0, 1), (15 / 22, 15), (7 / 22, 7), (1, 22)])
def test_the_full_rate_is_reached_in_the_last_step_of_the_warm_up(warmup, peak):
    batches = Batches(toy_rows(22), 1)
    history = train(toy(), batches, lr=1e-3, warmup=warmup, on=CPU, show=False)
    rates = [row["lr"] for row in history.steps]
    assert rates.index(max(rates)) + 1 == peak and max(rates) == 1e-3 and min(rates) > 0
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak - 1 :] == sorted(
        rates[peak - 1 :], reverse=True
    )


def test_a_token_classifier_gives_a_tensor_for_each_row():
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=4)  # fmt: skip
    rows = [{"input_ids": row["input_ids"]} for row in toy_rows(13)]
    model = BertForTokenClassification(config)
    answers = predict(model, Batches(rows, 4, shuffle=False), CPU)
    assert [tuple(a.shape) for a in answers] == [(len(row["input_ids"]), 4) for row in rows]
    for row, answer in zip(rows, answers):
        with torch.inference_mode():
            alone = model(torch.tensor([row["input_ids"]])).logits[0]
        torch.testing.assert_close(answer, alone, atol=1e-5, rtol=1e-4)
    config.num_labels = 2
    with pytest.raises(ValueError, match="gives no logits, but start_logits, end_logits"):
        predict(BertForQuestionAnswering(config), Batches(rows, 4, shuffle=False), CPU)


def test_a_model_without_a_loss_is_named_with_what_it_got():
    rows = [{"input_ids": row["input_ids"]} for row in toy_rows(8)]
    with pytest.raises(ValueError, match="gives no loss for a batch of input_ids, attention_mask"):
        model_loss(toy(), pad(rows))
    with pytest.raises(ValueError, match="gives no loss for a batch of input:"):
        model_loss(nn.Linear(3, 2), {"input": torch.zeros(1, 3)})


# ---- what strangers give


class Given:
    "Batches as they are."

    def __init__(self, *batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def batch(self, epoch, index):
        return self.batches[index]


def test_gradients_from_before_are_no_part_of_a_run():
    fresh, used = toy(), toy()
    (1000 * used(**pad(toy_rows(8))).loss).backward()
    for model in (fresh, used):
        train(model, Batches(toy_rows(32), 16), lr=1e-2, clip=0, on=CPU, show=False)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), used.parameters()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_is_not_trained(dtype):
    with pytest.raises(ValueError, match=f"is {dtype}, too coarse .*call model.float"):
        train(toy().to(dtype), Batches(toy_rows(32), 16), on=CPU, show=False)
    partly = toy().to(dtype).requires_grad_(False)
    partly.classifier.float().requires_grad_(True)
    assert len(parameter_groups(partly)[0]["params"]) == 1


@pytest.mark.parametrize("name", ["lr", "weight_decay", "warmup", "clip", "epochs", "accumulate", "seed"])  # fmt: skip
def test_true_is_no_number(name):
    import numpy as np

    for value in (True, np.bool_(True), torch.tensor(True)):
        with pytest.raises(ValueError, match=f"{name}="):
            train(toy(), Batches(toy_rows(32), 16), on=CPU, show=False, **{name: value})


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda m, b: m(**b).logits.sum(1), "gave torch.float32 of shape"),
        (lambda m, b: m(**b).loss.detach(), r"gave torch.float32 of shape \(\)"),
        (lambda m, b: m(**b).loss * 1j, "gave torch.complex64"),
        (lambda m, b: 0.5, "gave 0.5"),
        (lambda m, b: None, "gave None"),
        (lambda m, b: (m(**b).loss, 1), "gave "),
    ],
    ids="vector detached complex number nothing pair".split(),
)
def test_what_is_no_loss(loss, message):
    with pytest.raises(ValueError, match=message + ".*it must give one real number"):
        train(toy(), Batches(toy_rows(32), 16), loss=loss, on=CPU, show=False)


def test_what_is_no_batch():
    batch = {**pad(toy_rows(4)), "text": ["a"] * 4}
    for call in (train, predict, mean_loss):
        with pytest.raises(ValueError, match="text of the batch is a list, which no model takes"):
            call(toy(), Given(batch), on=CPU)
    for wrong in ([batch], iter([batch]), torch.utils.data.DataLoader([1])):
        with pytest.raises(TypeError, match="batches are a .*such as Batches"):
            train(toy(), wrong, on=CPU, show=False)
    halves = Batches(toy_rows(8), 4, collate=lambda rows: pad(rows * 2))
    with pytest.raises(ValueError, match="16 answers for 8 rows"):
        predict(toy(), halves, CPU)


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "run").write_text("a file")
    steps = []
    with pytest.raises(FileExistsError, match="run"):
        train(
            toy(),
            Batches(toy_rows(32), 16),
            folder=tmp_path / "run",
            loss=lambda m, b: steps.append(1) or m(**b).loss,
            on=CPU,
            show=False,
        )
    assert not steps and (tmp_path / "run").read_text() == "a file"


@pytest.mark.parametrize(("place", "where"), [(1, "labels"), (0, "input_ids")])
def test_a_label_or_a_token_out_of_range_is_named(place, where):
    rows = toy_rows(4)
    rows[2] = {"input_ids": [5, 6 + 90 * (place == 0), 7], "labels": 5 if place else 1}
    with pytest.raises(ValueError, match=f"{where} from .* one is no class or no token"):
        train(toy(), Batches(rows, 4, shuffle=False), on=CPU, show=False)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 5, 1, 2], "class 5 is out of range: 3 classes .*labels of the batch: number 1"),
        ([0, -1, 1, 2], "class -1 is out of range"),
        ([0.0, 0.5, 1.0, 2.0], "labels of the batch: number 1 is 0.5"),
    ],
    ids=["5", "-1", "0.5"],
)
def test_weights_for_labels_that_are_no_class(labels, message):
    batch = {**pad(toy_rows(4)), "labels": torch.tensor(labels)}
    with pytest.raises(ValueError, match=message):
        backward(toy(), [batch], WeightedLoss([1, 2, 3]), CPU)


def test_weights_of_no_label_are_no_loss():
    batch = {**pad(toy_rows(4)), "labels": torch.full((4,), -100)}
    model = toy()
    loss = WeightedLoss([1, 2, 3])(model, batch)
    loss.backward()
    assert loss == 0 and not model.classifier.weight.grad.any()
    for wrong in ([1, -1, 1], [1, math.nan, 1], [[1, 2, 3]], 2.0):
        with pytest.raises(ValueError, match="give a number from 0 for each class"):
            WeightedLoss(wrong)


def test_a_running_mean_that_became_nan_is_not_saved(tmp_path):
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.norm = toy(), nn.BatchNorm1d(3)

        def forward(self, **batch):
            with torch.no_grad():
                self.norm.running_mean += math.nan
            return self.inner(**batch)

    with pytest.raises(FloatingPointError, match="norm.running_mean is nan after step 1"):
        train(
            Normed(),
            Batches(toy_rows(32), 16),
            folder=tmp_path,
            checkpoint_every=1,
            on=CPU,
            show=False,
        )
    assert not checkpoints(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_is_cut_between_any_two_writes_ends_with_the_same_weights(
    tmp_path, monkeypatch, seed
):
    from llm_practice.engine import checkpoints as written

    randomly = random.Random(seed)
    settings = dict(epochs=3, lr=5e-3, checkpoint_every=randomly.randint(1, 4), show=False, on=CPU)
    settings |= dict(accumulate=randomly.randint(1, 2), seed=seed)
    held = Batches(toy_rows(16), 16, shuffle=False)
    settings |= dict(validate=lambda m: {"loss": mean_loss(m, held, on=CPU)})
    calm = toy(hidden_dropout_prob=0.2)
    train(calm, Batches(toy_rows(64), 16), **settings)
    for _ in range(40):
        calls, end = iter(range(10**6)), randomly.randint(0, 40)

        def counted(function, calls=calls, end=end):
            def call(*args, **kwargs):
                if next(calls) == end:
                    raise KeyboardInterrupt
                return function(*args, **kwargs)

            return call

        start = randomly.randint(1, 99) if checkpoints(tmp_path) else 0
        again = toy(start, hidden_dropout_prob=0.2)
        with monkeypatch.context() as patch:
            for name in "save_model save_file sha256 sync _make_room _remove _clear".split():
                patch.setattr(written, name, counted(getattr(written, name)))
            patch.setattr(written.os, "replace", counted(os.replace))
            try:
                train(again, Batches(toy_rows(64), 16), folder=tmp_path, **settings)
                break
            except KeyboardInterrupt:
                continue
    else:
        train(again, Batches(toy_rows(64), 16), folder=tmp_path, **settings)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), calm.parameters()))


def test_devices_that_are_not_there_are_named():
    for wrong in ("gpu", "CPU", "cpu:x"):
        with pytest.raises(ValueError, match=f"device='{wrong}' is unknown"):
            compute(wrong)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device='cuda:1': this machine has none"):
            compute("cuda:1")
