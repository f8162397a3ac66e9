"A checkpoint is there as a whole or not at all, and puts everything back that the future depends on."

import json
import os
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from llm_practice.data.batching import Batches
from llm_practice.engine import checkpoints as library
from llm_practice.engine.checkpoints import (
    BrokenCheckpointError,
    checkpoints,
    data_digest,
    load_checkpoint,
    random_state,
    read_state,
    resume,
    save_checkpoint,
    set_random_state,
)
from llm_practice.engine.encoders import TextClassifier


def toy(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.rand(4, 3)).square().sum().backward()
    optimizer.step()


def draw():
    return random.random(), np.random.rand(), np.random.randn(), torch.rand(2).tolist()


def test_the_state_of_chance_goes_through_json_and_back():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    np.random.randn()  # leaves a second normal number in store
    saved = json.loads(json.dumps(random_state()))
    first = draw()
    set_random_state(saved)
    assert draw() == first


def test_a_run_that_is_loaded_goes_on_as_if_nothing_had_happened(tmp_path):
    model, optimizer = toy()
    for _ in range(3):
        step(model, optimizer)
    best = {name: value.clone() for name, value in model.state_dict().items()}
    other, its_optimizer = toy(9)
    path = save_checkpoint(tmp_path, model, optimizer, {"step": 3, "note": "评论"}, best)
    for _ in range(2):
        step(model, optimizer)
    state, kept = load_checkpoint(path, other, its_optimizer)
    for _ in range(2):
        step(other, its_optimizer)
    assert state == {"step": 3, "note": "评论"}
    assert all(torch.equal(kept[name], best[name]) for name in best)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))


def test_the_older_one_goes_only_when_the_new_one_is_there(tmp_path, monkeypatch):
    model, optimizer = toy()
    step(model, optimizer)
    first = save_checkpoint(tmp_path, model, optimizer, {"step": 1})

    def power_cut(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(library.os, "replace", power_cut)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, model, optimizer, {"step": 2})
    assert checkpoints(tmp_path) == [first]
    load_checkpoint(first, *toy(3))
    second = save_checkpoint(tmp_path, model, optimizer, {"step": 2})
    assert checkpoints(tmp_path) == [second] and [p.name for p in tmp_path.iterdir()] == [
        second.name
    ]


# ---- only what is ours


def listing(folder):
    "Every file below a folder, with what it holds."
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()
    }


FOREIGN = [
    "checkpoint-best/model.safetensors",
    "checkpoint-500/state.json",
    "checkpoint-0000001/model.safetensors",
    "checkpoint-00000001.bak/model.safetensors",
    "checkpoint-00000001-copy/state.json",
    "checkpoint-00000001/model.safetensors",  # our name, but no state of ours
    "checkpoint-00000003/notes.txt",
    "checkpoint-zeta",
    "checkpoint-000000002/model.safetensors",  # a digit more
    "checkpoint-٠٠٠٠٠٠٠٢/state.json",  # digits, and not ours
    ".checkpoint-00000002.part/diary.txt",
    "评论/checkpoint-00000001/state.json",
]


@pytest.mark.parametrize("keep", [1, 2])
def test_nothing_is_lost_that_is_not_a_checkpoint(tmp_path, keep):
    for name in FOREIGN:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    before = set(listing(tmp_path).values())
    model, optimizer = toy()
    with pytest.warns(UserWarning, match="checkpoint-00000001 was damaged or holds other files"):
        for number in range(1, 6):
            step(model, optimizer)
            save_checkpoint(tmp_path, model, optimizer, {"step": number}, keep=keep)
    assert before <= set(listing(tmp_path).values())
    whole = [p.name for p in checkpoints(tmp_path)]
    assert whole == [f"checkpoint-{n:08d}" for n in range(6 - keep, 6)]


def test_notes_inside_an_old_checkpoint_stay(tmp_path):
    model, optimizer = toy()
    step(model, optimizer)
    first = save_checkpoint(tmp_path, model, optimizer, {"step": 1})
    (first / "remarks.md").write_text("the best so far")
    save_checkpoint(tmp_path, model, optimizer, {"step": 2})
    assert [p.name for p in first.iterdir()] == ["remarks.md"]
    assert [p.name for p in checkpoints(tmp_path)] == ["checkpoint-00000002"]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
def test_what_was_written_over_a_file_of_an_old_checkpoint_stays(tmp_path, name):
    model, optimizer = toy()
    step(model, optimizer)
    first = save_checkpoint(tmp_path, model, optimizer, {"step": 1})
    (first / name).write_bytes(b"weights of somebody else")
    later = (first / "state.json").stat().st_mtime_ns + 10**9
    os.utime(first / name, ns=(later, later))
    for number in (2, 3):
        save_checkpoint(tmp_path, model, optimizer, {"step": number})
    assert listing(first) == {name: b"weights of somebody else"}
    assert resume(tmp_path, *toy(1), {})[0]["step"] == 3


def test_a_copied_folder_is_cleaned_up_as_the_first_was(tmp_path):
    model, optimizer = toy()
    step(model, optimizer)
    save_checkpoint(tmp_path / "a", model, optimizer, {"step": 1})
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # keeps the times
    for file in (tmp_path / "b" / "checkpoint-00000001").iterdir():
        file.touch()
    save_checkpoint(tmp_path / "b", model, optimizer, {"step": 2})
    assert os.listdir(tmp_path / "b") == ["checkpoint-00000002"]


def test_a_link_where_a_checkpoint_is_written_is_refused(tmp_path):
    model, optimizer = toy()
    step(model, optimizer)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.safetensors").write_text("not yours")
    (tmp_path / ".checkpoint-00000001.part").symlink_to(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="00000001.part is a link"):
        save_checkpoint(tmp_path, model, optimizer, {"step": 1})
    assert (tmp_path / "mine" / "model.safetensors").read_text() == "not yours"


@pytest.mark.parametrize("call", ["save_model", "save_file", "sync"])
def test_a_full_disk_does_not_stay_full_of_half_a_checkpoint(tmp_path, monkeypatch, call):
    model, optimizer = toy()
    step(model, optimizer)
    save_checkpoint(tmp_path, model, optimizer, {"step": 1})
    before = listing(tmp_path)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(library, call, full)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(tmp_path, model, optimizer, {"step": 2})
    assert listing(tmp_path) == before


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "1", None])
def test_a_step_and_a_number_to_keep_are_whole(tmp_path, wrong):
    for step, keep, name in ((wrong, 1, "step"), (1, wrong, "keep")):
        with pytest.raises(ValueError, match=f"{name}={wrong!r}: it must be a whole number"):
            save_checkpoint(tmp_path, *toy(), {"step": step}, keep=keep)
    save_checkpoint(tmp_path, *toy(), {"step": np.int64(3)}, keep=2.0)
    assert [p.name for p in checkpoints(tmp_path)] == ["checkpoint-00000003"]


def test_a_link_is_not_followed_when_old_ones_go(tmp_path):
    model, optimizer = toy()
    step(model, optimizer)
    elsewhere = save_checkpoint(tmp_path / "archive", model, optimizer, {"step": 1})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / elsewhere.name).symlink_to(elsewhere, target_is_directory=True)
    kept = listing(elsewhere)
    for number in (2, 3):
        save_checkpoint(tmp_path / "run", model, optimizer, {"step": number})
    assert listing(elsewhere) == kept


def test_steps_are_ordered_as_numbers_and_the_new_one_never_goes(tmp_path):
    model, optimizer = toy()
    step(model, optimizer)
    for number in (99_999_999, 100_000_000):
        newest = save_checkpoint(tmp_path, model, optimizer, {"step": number})
    assert checkpoints(tmp_path) == [newest]
    earlier = save_checkpoint(tmp_path, model, optimizer, {"step": 5})
    assert checkpoints(tmp_path) == [earlier, newest]
    again = save_checkpoint(tmp_path, model, optimizer, {"step": 5, "note": "twice"})
    assert again == earlier and read_state(again)["note"] == "twice"
    assert sorted(os.listdir(tmp_path)) == [earlier.name, newest.name]


# ---- broken files


def three(folder):
    "Two checkpoints that stay, of three."
    model, optimizer = toy()
    best = {"0.weight": torch.zeros(4, 3)}
    for number in (1, 2, 3):
        step(model, optimizer)
        save_checkpoint(
            folder, model, optimizer, {"step": number, "settings": {"lr": 1}}, best, keep=2
        )
    return checkpoints(folder)


def turn_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "other": lambda path: path.write_bytes(b'{"a": 1}'),
}
FILES = ["model.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_broken_checkpoint_is_named_and_the_one_before_is_taken(tmp_path, file, damage):
    older, newest = three(tmp_path)
    DAMAGES[damage](newest / file)
    with pytest.raises(BrokenCheckpointError, match=f"{newest.name}/{file}"):
        load_checkpoint(newest, *toy(4))
    model, optimizer = toy(4)
    with pytest.warns(UserWarning, match=f"{newest.name}/{file}.*Going on from .*{older.name}"):
        state, best = resume(tmp_path, model, optimizer, {"lr": 1})
    assert state["step"] == 2 and list(best) == ["0.weight"]
    DAMAGES[damage](older / file)
    with pytest.raises(BrokenCheckpointError, match=f"no checkpoint .* is whole.*{file}"):
        resume(tmp_path, model, optimizer, {"lr": 1})


@pytest.mark.parametrize("file", FILES[:3])
def test_one_wrong_bit_is_seen(tmp_path, file):
    newest = three(tmp_path)[-1]
    turn_a_bit(newest / file)
    with pytest.raises(BrokenCheckpointError, match=f"{file} is cut or was changed"):
        load_checkpoint(newest, *toy(4))


@pytest.mark.parametrize("other", ['"step": 2', '"lr": 2', '"lr": 1.0'])
def test_a_state_that_was_changed_is_seen(tmp_path, other):
    older, newest = three(tmp_path)
    name = other.split(":")[0]
    text = (newest / "state.json").read_text()
    (newest / "state.json").write_text(re.sub(name + r": \d+", other, text, count=1))
    with pytest.raises(BrokenCheckpointError, match="state.json was changed"):
        read_state(newest)
    with pytest.warns(UserWarning, match=f"Going on from .*{older.name}"):
        assert resume(tmp_path, *toy(4), {"lr": 1})[0]["step"] == 2


# ---- another model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": 4}, "num_attention_heads is 2 there and 4 here"),
        ({"hidden_act": "relu"}, "hidden_act is 'gelu' there and 'relu' here"),
        ({"layer_norm_eps": 1e-3}, "layer_norm_eps is 1e-12 there and 0.001 here"),
        ({"hidden_dropout_prob": 0.5}, "hidden_dropout_prob is 0.1 there and 0.5 here"),
        ({"id2label": {0: "好", 1: "坏"}, "name_or_path": "elsewhere", "use_cache": False}, ""),
    ],
)
@pytest.mark.parametrize("ours", [False, True])
def test_a_model_with_the_same_tensors_and_other_settings(tmp_path, change, message, ours):
    def made(**changes):
        torch.manual_seed(0)
        sizes = dict(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
        config = BertConfig(**{**sizes, "intermediate_size": 8, **changes})
        model = TextClassifier(BertModel(config), 2) if ours else BertModel(config)
        return model, torch.optim.SGD(model.parameters(), lr=0.1)

    save_checkpoint(tmp_path, *made(), {"step": 1})
    if not message:
        assert resume(tmp_path, *made(**change), {})[0]["step"] == 1
        return
    with pytest.raises(ValueError, match=("encoder." if ours else "fit: ") + message):
        resume(tmp_path, *made(**change), {})


def test_another_model_is_refused_and_left_as_it_was(tmp_path):
    path = three(tmp_path)[-1]
    wide = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 7))
    half = toy(1)[0].bfloat16()
    frozen, freed = toy(1)[0], toy(1)[0]
    frozen[0].weight.requires_grad_(False)
    adamw = lambda m: torch.optim.AdamW([p for p in m.parameters() if p.requires_grad])
    tries = {
        "2.weight is float32 2x4 trained there and float32 7x4 trained here": (wide, adamw(wide)),
        "0.weight is float32 4x3 trained there and bfloat16 4x3": (half, adamw(half)),
        "0.weight is float32 4x3 trained there and float32 4x3 frozen here": (
            frozen,
            adamw(frozen),
        ),
        "AdamW there and SGD here": (freed, torch.optim.SGD(freed.parameters(), lr=1)),
        "or in another order": (freed, torch.optim.AdamW(reversed(list(freed.parameters())))),
    }
    for message, (model, optimizer) in tries.items():
        before = [p.clone() for p in model.parameters()]
        with pytest.raises(ValueError, match=message):
            load_checkpoint(path, model, optimizer)
        assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_frozen_first_and_free_then_is_an_error_and_no_crash(tmp_path):
    model = toy()[0]
    model[0].requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    step(model, optimizer)
    path = save_checkpoint(tmp_path, model, optimizer, {"step": 1})
    free = toy()[0]
    with pytest.raises(
        ValueError, match="0.weight is .* frozen there and .* trained here.*freeze its"
    ):
        load_checkpoint(path, free, torch.optim.AdamW(free.parameters(), fused=True))


def test_settings_of_the_optimiser_come_back(tmp_path):
    model, optimizer = toy()
    optimizer.param_groups[0].update(lr=0.003, betas=(0.7, 0.8))
    step(model, optimizer)
    path, (other, its) = save_checkpoint(tmp_path, model, optimizer, {"step": 1}), toy(2)
    load_checkpoint(path, other, its)
    assert its.param_groups[0]["lr"] == 0.003 and its.param_groups[0]["betas"] == (0.7, 0.8)


@pytest.mark.parametrize("rule", ["SGD", "AdamW", "RMSprop"])
def test_other_rules_and_memory_orders_go_on_the_same(tmp_path, rule):
    def turned(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        model[0].weight = nn.Parameter(torch.rand(3, 4).t())  # not contiguous
        return model, getattr(torch.optim, rule)(model.parameters(), lr=0.01)

    (other, its), (model, optimizer) = turned(5), turned(0)
    step(model, optimizer)
    path = save_checkpoint(tmp_path, model, optimizer, {"step": 1})
    step(model, optimizer)
    load_checkpoint(path, other, its)
    step(other, its)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))


def test_the_digest_sees_text_labels_order_and_size():
    rows = [{"input_ids": [1, i % 7, 2], "labels": i % 3} for i in range(40)]
    other = [dict(row) for row in rows]
    other[17] = {"input_ids": [1, 17 % 7, 2], "labels": 0}
    base = data_digest(Batches(rows, 4))
    assert base == data_digest(Batches([dict(row) for row in rows], 4))
    for batches in (Batches(other, 4), Batches(rows, 4, seed=1), Batches(rows, 8)):
        assert data_digest(batches) != base
    assert data_digest(Batches(rows, 4, shuffle=False)) != base


@pytest.mark.parametrize("place", [0, 137, 499])
def test_the_digest_sees_every_row(place):
    rows = [{"input_ids": [1, i % 7, 2], "labels": i % 3, "note": "评论"} for i in range(500)]
    base = data_digest(Batches(rows, 2))
    for change in ({"labels": 7}, {"input_ids": [1, 9, 2]}, {"note": "评\ud800论"}):
        other = [*rows[:place], {**rows[place], **change}, *rows[place + 1 :]]
        assert data_digest(Batches(other, 2)) != base
    long = [{"input_ids": np.arange(3000) * (i != place)} for i in range(500)]
    other = [{"input_ids": row["input_ids"].copy()} for row in long]
    assert data_digest(Batches(long, 2)) == data_digest(Batches(other, 2))
    other[place]["input_ids"][1500] += 1  # repr shows the ends of a long array only
    assert data_digest(Batches(long, 2)) != data_digest(Batches(other, 2))


# ---- interrupted anywhere


def cut_at(patch, number):
    "Let the call with this number to anything that writes, syncs, renames or removes be the last."
    calls = iter(range(10_000))

    def counted(function):
        def call(*args, **kwargs):
            if next(calls) == number:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return call

    for name in ("save_model", "save_file", "sha256", "sync", "_make_room", "_remove"):
        patch.setattr(library, name, counted(getattr(library, name)))
    patch.setattr(library.os, "replace", counted(os.replace))


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("same_step", [False, True])
def test_a_save_that_is_cut_anywhere_leaves_a_whole_checkpoint(
    tmp_path, monkeypatch, keep, same_step
):
    cuts = 0
    while True:
        folder, (model, optimizer) = tmp_path / str(cuts), toy()
        for number in (1, 2, 3):
            step(model, optimizer)
            save_checkpoint(folder, model, optimizer, {"step": number}, keep=2)
        with monkeypatch.context() as patch:
            cut_at(patch, cuts)
            try:
                last = {"step": 3 if same_step else 4}
                save_checkpoint(folder, model, optimizer, last, keep=keep)
                break
            except KeyboardInterrupt:
                cuts += 1
        state, _ = resume(folder, *toy(8), {})
        assert state["step"] >= 2
        step(model, optimizer)
        newest = save_checkpoint(folder, model, optimizer, {"step": 5}, keep=keep)
        assert resume(folder, *toy(8), {})[0]["step"] == 5
        assert checkpoints(folder)[-1] == newest and len(checkpoints(folder)) == keep
    assert cuts >= 9
