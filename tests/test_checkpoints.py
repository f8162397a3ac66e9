"A checkpoint is there as a whole or not at all, and puts everything back that the future depends on."

import json
import random

import numpy as np
import pytest
import torch
from torch import nn

from llm_practice.engine import checkpoints as library
from llm_practice.engine.checkpoints import (
    checkpoints,
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
)


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
