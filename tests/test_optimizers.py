"The optimisers: torch's own path over random configurations, states that change hands, schedules, clipping, errors."

import copy
import io
import itertools
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR
from transformers import (
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from llm_practice.theory.optimizers import (
    SGD,
    Adam,
    AdamW,
    RMSProp,
    Rule,
    clip_gradients,
    rising_steps,
    warmup_cosine,
    warmup_linear,
)

TWINS = {
    SGD: torch.optim.SGD,
    RMSProp: torch.optim.RMSprop,
    Adam: torch.optim.Adam,
    AdamW: torch.optim.AdamW,
}
# On one device both do the same operations in the same order; the tolerance is for versions of torch that do not.
CLOSE = {torch.float64: 1e-11, torch.float32: 1e-4, torch.bfloat16: 0.05}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]

share = st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999])
rate = st.sampled_from([0.0, 1e-4, 1e-3, 1e-2, 0.1])
decay = st.sampled_from([0.0, 0.0, 1e-3, 0.1])
eps = st.sampled_from([1e-12, 1e-8, 1e-3, 1.0])


@st.composite
def sgd_settings(draw):
    chosen = {"lr": draw(rate), "weight_decay": draw(decay), "momentum": draw(share)}
    if chosen["momentum"] and draw(st.booleans()):
        chosen["nesterov"] = True
    elif chosen["momentum"]:
        chosen["dampening"] = draw(st.sampled_from([0.0, 0.3, 0.9]))
    return chosen


rmsprop_settings = st.fixed_dictionaries(
    {"lr": rate, "alpha": share, "eps": eps, "weight_decay": decay, "momentum": share})  # fmt: skip
adam_settings = st.fixed_dictionaries(
    {"lr": rate, "betas": st.tuples(share, share), "eps": eps, "weight_decay": decay}
)
any_rule = st.one_of(
    st.tuples(st.just(SGD), sgd_settings()), st.tuples(st.just(RMSProp), rmsprop_settings),
    st.tuples(st.just(Adam), adam_settings), st.tuples(st.just(AdamW), adam_settings))  # fmt: skip


def parameters(seed=0, dtype=torch.float32, device="cpu"):
    "A matrix, a vector, a scalar, an empty tensor and a parameter that never gets a gradient."
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 4), (5,), (), (0, 2), (2, 2)]
    return [
        nn.Parameter(torch.randn(shape, generator=generator).to(device, dtype)) for shape in shapes
    ]


def give_gradients(params, step, scale=1.0):
    "The same for the same step; one parameter has none, one now and then."
    generator = torch.Generator().manual_seed(1000 + step)
    for i, p in enumerate(params):
        grad = (torch.randn(p.shape, generator=generator) * scale * 10.0 ** (i - 2)).to(
            p.device, p.dtype
        )
        p.grad = None if i == 4 or (i == 1 and step % 3 == 1) else grad


def run(optimizer, params, steps, first=0, scale=1.0):
    for step in range(first, first + steps):
        give_gradients(params, step, scale)
        optimizer.step()


def assert_same(ours, theirs, dtype=None):
    for a, b in zip(ours, theirs, strict=True):
        tolerance = CLOSE[dtype or a.dtype]
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def groups(params, how):
    "One group; two, of which one has a rate of its own; or named parameters."
    if how == "two":
        return [{"params": params[:2], "lr": 0.05}, {"params": params[2:], "weight_decay": 0.0}]
    return [(f"p{i}", p) for i, p in enumerate(params)] if how == "named" else params


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@given(chosen=any_rule, how=st.sampled_from(["one", "two", "named"]), seed=st.integers(0, 99),
       scale=st.sampled_from([1e-4, 1.0, 1e3]))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_the_path_is_that_of_torch(dtype, chosen, how, seed, scale):
    rule, kwargs = chosen
    ours, theirs = parameters(seed, dtype), parameters(seed, dtype)
    run(rule(groups(ours, how), **kwargs), ours, 12, scale=scale)
    run(TWINS[rule](groups(theirs, how), **kwargs), theirs, 12, scale=scale)
    assert_same([p.detach() for p in ours], [p.detach() for p in theirs])


CASES = [
    (SGD, {"lr": 0.05}),
    (SGD, {"lr": 0.05, "weight_decay": 0.1}),
    (SGD, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.01}),
    (SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    (RMSProp, {"lr": 1e-3, "weight_decay": 0.01}),
    (RMSProp, {"lr": 1e-3, "momentum": 0.9}),
    (Adam, {"lr": 1e-2, "weight_decay": 0.01}),
    (AdamW, {"lr": 1e-2, "weight_decay": 0.1}),
]
names = [f"{rule.__name__}-{'-'.join(kwargs)}" for rule, kwargs in CASES]
every_case = pytest.mark.parametrize("rule, kwargs", CASES, ids=names)


def network(seed=0, device="cpu"):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).to(device)


def batches(device="cpu"):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(64, 6, generator=generator).to(device), torch.randint(
        3, (64,), generator=generator
    ).to(device)


def train(model, optimizer, steps, device="cpu", closure=False):
    (x, y), losses = batches(device), []

    def measure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(steps):
        loss = optimizer.step(measure) if closure else measure()
        losses.append(loss.item())
        None if closure else optimizer.step()
    return losses


@pytest.mark.parametrize("device", DEVICES)
@every_case
def test_hundreds_of_steps_on_its_own_gradients(rule, kwargs, device):
    ours, theirs = network(device=device), network(device=device)
    mine = train(ours, rule(ours.parameters(), **kwargs), 300, device)
    other = train(theirs, TWINS[rule](theirs.parameters(), **kwargs), 300, device)
    assert mine[-1] < mine[0]
    assert mine == pytest.approx(other, abs=1e-3)
    assert_same(ours.parameters(), theirs.parameters(), torch.float32) if device == "cpu" else None


@every_case
def test_closure_is_called_once_with_gradients_on_and_its_loss_comes_back(rule, kwargs):
    plain, closed = network(), network()
    losses = train(plain, rule(plain.parameters(), **kwargs), 5)
    assert train(closed, rule(closed.parameters(), **kwargs), 5, closure=True) == losses
    assert_same(plain.parameters(), closed.parameters())
    calls = []
    with torch.no_grad():
        assert (
            rule(parameters(), **kwargs).step(lambda: calls.append(torch.is_grad_enabled()) or 7.5)
            == 7.5
        )
    assert calls == [True]
    assert rule(parameters(), **kwargs).step() is None


def saved(state):
    "Through a file and back."
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("first, second", [("ours", "ours"), ("ours", "torch"), ("torch", "ours")])
@every_case
def test_a_saved_state_goes_on_by_the_same_path(rule, kwargs, first, second):
    makers = {"ours": rule, "torch": TWINS[rule]}
    whole, relay = parameters(), parameters()
    run(makers[first](whole, **kwargs), whole, 20)
    starter = makers[first](relay, **kwargs)
    run(starter, relay, 9)
    state = saved(starter.state_dict())
    runner = makers[second](relay, lr=0.9)
    runner.load_state_dict(state)
    run(runner, relay, 11, first=9)
    assert_same(whole, relay)


@every_case
def test_states_have_the_names_shapes_and_types_of_torch(rule, kwargs):
    states = []
    for make in (rule, TWINS[rule]):
        params = parameters()
        optimizer = make(params, **kwargs)
        run(optimizer, params, 3)
        state = optimizer.state_dict()["state"]
        states.append(
            {
                i: {k: (v.dtype, v.shape) for k, v in entry.items()}
                for i, entry in state.items()
                if entry
            }
        )
        assert 4 not in state, "a parameter without a gradient has no state"
    assert states[0] == states[1]


@every_case
def test_copies_and_pickles_go_on_alone(rule, kwargs):
    model = network()
    pair = (model, rule(model.parameters(), **kwargs))
    train(*pair, 3)
    twin, other = copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))
    for each in (pair, twin, other):
        train(*each, 3)
    assert_same(model.parameters(), twin[0].parameters())
    assert_same(model.parameters(), other[0].parameters())


def test_gradients_are_not_changed_by_a_step():
    for rule, kwargs in CASES:
        params = parameters()
        optimizer = rule(params, **{**kwargs, "weight_decay": 0.1})
        for step in range(3):
            give_gradients(params, step)
            before = [None if p.grad is None else p.grad.clone() for p in params]
            optimizer.step()
            assert all(
                p.grad is None if b is None else torch.equal(p.grad, b)
                for p, b in zip(params, before)
            ), rule


def test_frozen_parameters_stay_and_can_be_added_later():
    model = network()
    head, body = model[2], model[0]
    optimizer, start = AdamW(head.parameters(), lr=0.01), body.weight.clone()
    train(model, optimizer, 3)
    assert torch.equal(body.weight, start)
    optimizer.add_param_group({"params": body.parameters(), "lr": 0.001})
    train(model, optimizer, 3)
    assert not torch.equal(body.weight, start) and [g["lr"] for g in optimizer.param_groups] == [
        0.01,
        0.001,
    ]


def test_steps_are_counted_in_float32_whatever_the_default_dtype():
    torch.set_default_dtype(torch.bfloat16)
    try:
        p = nn.Parameter(torch.zeros(1))
        for optimizer in (Adam([p]), RMSProp([p])):
            p.grad = torch.ones(1)
            for _ in range(300):
                optimizer.step()
            assert optimizer.state[p]["step"] == 300
    finally:
        torch.set_default_dtype(torch.float32)


def test_schedulers_and_tensor_rates_of_torch_work():
    def losses(make, **rate):
        model = network()
        optimizer = make(model.parameters(), **rate)
        plans = [LambdaLR(optimizer, lambda s: warmup_cosine(s, 20)),
                 OneCycleLR(optimizer, 0.1, total_steps=20, cycle_momentum=False)]  # fmt: skip
        out = []
        for step in range(20):
            out += train(model, optimizer, 1)
            plans[step // 10].step()
        return out

    assert losses(Adam, lr=0.01) == pytest.approx(losses(torch.optim.Adam, lr=0.01), abs=1e-5)
    for rule in TWINS:
        plain, tensor = parameters(), parameters()
        run(rule(plain, lr=0.01), plain, 4)
        run(rule(tensor, lr=torch.tensor(0.01)), tensor, 4)
        assert_same(plain, tensor)


# ---- two meanings of weight decay


@given(lr=st.floats(1e-4, 0.1), strength=st.floats(0, 1), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_penalty_and_decay_are_one_for_sgd_only(lr, strength, seed):
    coupled, by_hand = parameters(seed, torch.float64), parameters(seed, torch.float64)
    optimizer = SGD(coupled, lr=lr, weight_decay=strength)
    for step in range(8):
        give_gradients(coupled, step), give_gradients(by_hand, step)
        optimizer.step()
        with torch.no_grad():
            [p.copy_((1 - lr * strength) * p - lr * p.grad) for p in by_hand if p.grad is not None]
    assert_same(coupled, by_hand)
    penalty, decoupled = parameters(seed, torch.float64), parameters(seed, torch.float64)
    run(Adam(penalty, lr=0.01, weight_decay=0.5), penalty, 8)
    run(AdamW(decoupled, lr=0.01, weight_decay=0.5), decoupled, 8)
    assert (penalty[0] - decoupled[0]).abs().max() > 1e-4


def test_adam_does_not_notice_the_scale_of_the_loss_and_starts_with_full_steps():
    small, large = parameters(dtype=torch.float64), parameters(dtype=torch.float64)
    start = [p.detach().clone() for p in small]
    run(Adam(small, lr=0.01, eps=1e-16), small, 1)
    torch.testing.assert_close((small[0] - start[0]).abs(), torch.full_like(small[0], 0.01))
    run(Adam(large, lr=0.01, eps=1e-16), large, 1, scale=1e4)
    assert_same(small, large)


# ---- schedules


@given(total=st.integers(1, 300), warmup=st.floats(0, 1))
@settings(deadline=None)
def test_schedules_are_those_of_transformers(total, warmup):
    dummy = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    linear = get_linear_schedule_with_warmup(dummy, rising_steps(total, warmup), total).lr_lambdas[
        0
    ]
    cosine = get_cosine_schedule_with_warmup(dummy, rising_steps(total, warmup), total).lr_lambdas[
        0
    ]
    steps = range(total + 1)
    assert [warmup_linear(s, total, warmup) for s in steps] == pytest.approx(
        [linear(s) for s in steps]
    )
    assert [warmup_cosine(s, total, warmup) for s in steps] == pytest.approx(
        [cosine(s) for s in steps], abs=1e-12
    )


@given(total=st.integers(1, 200), warmup=st.floats(0, 1), floor=st.floats(0, 1))
@settings(deadline=None)
def test_schedules_rise_then_fall_within_their_bounds(total, warmup, floor):
    rising = rising_steps(total, warmup)
    for factors, low in (([warmup_linear(s, total, warmup) for s in range(total + 1)], 0.0),
                         ([warmup_cosine(s, total, warmup, floor) for s in range(total + 1)], floor)):  # fmt: skip
        up, down = factors[: rising + 1], factors[rising:]
        assert up == sorted(up) or rising == total
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(down))
        assert max(factors) <= 1 + 1e-12 and min(down) >= low - 1e-12


@pytest.mark.parametrize("schedule", [warmup_linear, warmup_cosine])
def test_schedules_at_their_boundaries(schedule):
    assert schedule(0, 100) == 0 and schedule(10, 100) == 1 and schedule(5, 100) == 0.5
    assert schedule(100, 100) == pytest.approx(0, abs=1e-12) and schedule(
        500, 100
    ) == pytest.approx(0, abs=1e-12)
    assert schedule(0, 100, 0.0) == 1 and schedule(0, 1) == 1 and schedule(99, 100, 1.0) == 0.99
    assert schedule(55, 100) == pytest.approx(0.5)


def test_cosine_ends_at_its_floor_and_is_that_of_torch():
    assert (
        warmup_cosine(100, 100, floor=0.1)
        == warmup_cosine(10**6, 100, floor=0.1)
        == pytest.approx(0.1)
    )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.2)
    for step in range(50):
        assert warmup_cosine(step, 50, 0.0, 0.2) == pytest.approx(plan.get_last_lr()[0])
        optimizer.step(), plan.step()


def test_the_linear_schedule_is_that_of_the_training_loop():
    from llm_practice.pretraining import training

    for total, warmup in ((1, 0.1), (7, 0.5), (100, 0.1), (100, 0.0), (33, 1.0)):
        for step in range(total + 3):
            assert warmup_linear(step, total, warmup) == training.warmup_linear(step, total, warmup)


# ---- clipping


@pytest.mark.parametrize("device", DEVICES)
@given(seed=st.integers(0, 99), scale=st.sampled_from([0.0, 1e-8, 1e-3, 1.0, 1e4]),
       limit=st.sampled_from([1e-6, 0.1, 1.0, 30.0, math.inf]),
       dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))  # fmt: skip
@settings(deadline=None)
def test_clipping_is_that_of_torch(device, seed, scale, limit, dtype):
    ours, theirs = parameters(seed, dtype, device), parameters(seed, dtype, device)
    give_gradients(ours, seed, scale), give_gradients(theirs, seed, scale)
    norm, other = clip_gradients(ours, limit), nn.utils.clip_grad_norm_(theirs, limit)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.02}[dtype]
    torch.testing.assert_close(norm.double(), other.double(), atol=0, rtol=tolerance)
    for a, b in zip(ours, theirs):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=0, rtol=2 * tolerance)
    clipped = math.sqrt(
        sum(p.grad.double().square().sum().item() for p in ours if p.grad is not None)
    )
    assert clipped <= limit * (1 + (0.02 if dtype == torch.bfloat16 else 1e-5))


def test_clipping_takes_one_tensor_a_generator_mixed_types_and_nothing():
    p = nn.Parameter(torch.zeros(2))
    assert clip_gradients(p) == 0 and clip_gradients([]) == 0
    p.grad = torch.tensor([3.0, 4.0])
    assert clip_gradients((q for q in [p]), 1.0) == 5 and p.grad.norm() == pytest.approx(1)
    half, wide = (
        nn.Parameter(torch.zeros(2, dtype=torch.bfloat16)),
        nn.Parameter(torch.zeros(2, dtype=torch.float64)),
    )
    half.grad, wide.grad = torch.tensor([3.0, 0.0]).bfloat16(), torch.tensor([0.0, 4.0]).double()
    assert clip_gradients([half, wide], 2.5) == 5
    assert (
        half.grad.dtype == torch.bfloat16
        and half.grad[0] == 1.5
        and wide.grad[1] == pytest.approx(2, rel=1e-5)
    )


def test_the_norm_of_many_bfloat16_gradients_is_taken_in_float32():
    many = [nn.Parameter(torch.zeros(1, dtype=torch.bfloat16)) for _ in range(1000)]
    for p in many:
        p.grad = torch.ones_like(p)
    assert clip_gradients(many, math.inf).item() == pytest.approx(math.sqrt(1000), rel=1e-6)


def test_a_norm_that_is_not_finite_comes_back_as_it_is():
    for bad in (math.nan, math.inf):
        p = nn.Parameter(torch.zeros(2))
        p.grad = torch.tensor([bad, 1.0])
        assert not torch.isfinite(clip_gradients([p]))


# ---- what makes no sense is refused, with the value and the way out


@pytest.mark.parametrize("rule, bad, said", [
    (SGD, {"lr": -0.1}, r"lr=-0.1: it must be a number from 0"),
    (Adam, {"lr": math.nan}, r"lr=nan"),
    (AdamW, {"lr": math.inf}, r"lr=inf"),
    (Adam, {"lr": "1e-3"}, r"lr='1e-3': it must be a number"),
    (RMSProp, {"lr": None}, r"lr=None"),
    (SGD, {"momentum": -0.5}, r"momentum=-0.5: it must be a number from 0 to below 1, such as 0.9"),
    (SGD, {"momentum": 1.0}, r"momentum=1.0"),
    (SGD, {"dampening": 1.0}, r"dampening=1.0"),
    (SGD, {"nesterov": True}, r"nesterov=True with momentum=0 .* needs momentum above 0"),
    (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, r"dampening=0.1: it needs .*dampening=0"),
    (SGD, {"weight_decay": -1}, r"weight_decay=-1: it must be a number from 0, such as 0.01"),
    (RMSProp, {"alpha": 1.0}, r"alpha=1.0: it must be a number from 0 to below 1, such as 0.99"),
    (RMSProp, {"eps": 0}, r"eps=0: it must be a number above 0, such as 1e-8"),
    (Adam, {"eps": -1e-8}, r"eps=-1e-08"),
    (Adam, {"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\): it must be two numbers from 0 to below 1"),
    (AdamW, {"betas": (-0.1, 0.999)}, r"betas=\(-0.1, 0.999\)"),
    (Adam, {"betas": 0.9}, r"betas=0.9: it must be two numbers"),
    (Adam, {"betas": (0.9,)}, r"betas=\(0.9,\)"),
])  # fmt: skip
def test_bad_settings_are_named(rule, bad, said):
    with pytest.raises(ValueError, match=said):
        rule(parameters(), **bad)
    with pytest.raises(ValueError, match=said):
        rule([{"params": parameters(), **bad}])
    optimizer = rule(parameters())
    with pytest.raises(ValueError, match=said):
        optimizer.add_param_group({"params": parameters(1), **bad})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("rule", TWINS)
def test_no_parameters(rule):
    model = network()
    used = model.parameters()
    list(used)
    for nothing in ([], used, [{"params": []}], [{"params": iter(())}]):
        with pytest.raises(ValueError, match="no parameters to optimise: pass model.parameters"):
            rule(nothing)
    assert len(rule([{"params": model.parameters()}, {"params": []}]).param_groups) == 2
    with pytest.raises(TypeError):
        rule(nn.Parameter(torch.zeros(2)))


@pytest.mark.parametrize("rule", TWINS)
def test_sparse_and_complex(rule):
    table = nn.Embedding(9, 4, sparse=True)
    table(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(
        RuntimeError, match=r"sparse gradient .* shape \(9, 4\).*sparse=False.*SparseAdam"
    ):
        rule(table.parameters(), lr=0.1).step()
    number = nn.Parameter(torch.zeros(3, dtype=torch.complex64))
    number.grad = torch.ones_like(number)
    with pytest.raises(
        RuntimeError, match=r"complex parameter \(shape \(3,\)\): pass torch.view_as_real"
    ):
        rule([number], lr=0.1).step()


def test_states_of_other_rules_are_refused_before_anything_changes():
    foreign = [
        (SGD, Adam(parameters()), "has no momentum, dampening: it is not of SGD"),
        (Adam, SGD(parameters()), "has no betas, eps: it is not of Adam"),
        (
            RMSProp,
            torch.optim.RMSprop(parameters(), centered=True),
            "centered=True: RMSProp does not do that",
        ),
        (
            Adam,
            torch.optim.Adam(parameters(), amsgrad=True),
            "amsgrad=True: Adam does not do that, use a class",
        ),
        (SGD, torch.optim.SGD(parameters(), maximize=True), "maximize=True"),
        (Adam, AdamW(parameters()), "decoupled_weight_decay=True: Adam does not do that"),
        (
            Adam,
            torch.optim.Adam(parameters(), decoupled_weight_decay=True),
            "decoupled_weight_decay=True",
        ),
        (AdamW, Adam(parameters()), "decoupled_weight_decay=False: AdamW does not do that"),
    ]
    for rule, other, said in foreign:
        optimizer = rule(parameters(), lr=0.25)
        with pytest.raises(ValueError, match=said):
            optimizer.load_state_dict(other.state_dict())
        assert optimizer.param_groups[0]["lr"] == 0.25


def test_decay_keeps_its_meaning_in_the_adam_of_torch():
    ours, theirs = parameters(), parameters()
    optimizer, other = AdamW(ours, lr=0.01, weight_decay=0.5), torch.optim.Adam(theirs)
    other.load_state_dict(optimizer.state_dict())
    run(optimizer, ours, 5), run(other, theirs, 5)
    assert_same(ours, theirs)


def test_a_rule_without_a_formula_says_so():
    class Empty(Rule):
        pass

    params = parameters()
    give_gradients(params, 0)
    with pytest.raises(
        NotImplementedError, match=r"Empty has no update\(p, grad, state, group\): write it"
    ):
        Empty(params).step()


@pytest.mark.parametrize("schedule", [warmup_linear, warmup_cosine])
def test_bad_schedules_are_named(schedule):
    with pytest.raises(
        ValueError, match=r"warmup=500: it is a share of the run and no longer than it.*n / 100"
    ):
        schedule(3, 100, 500)
    for bad in (-0.1, 1.01, math.nan):
        with pytest.raises(ValueError, match=f"warmup={bad}"):
            schedule(3, 100, bad)
    with pytest.raises(ValueError, match="total=0: a run has at least one step"):
        schedule(0, 0)
    with pytest.raises(ValueError, match="step=-1: steps count from 0"):
        schedule(-1, 10)
    with pytest.raises(ValueError, match="floor=2: it is a share of the rate"):
        warmup_cosine(0, 10, floor=2)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan])
def test_bad_limits_are_named(bad):
    with pytest.raises(ValueError, match=f"max_norm={bad}: it must be above 0"):
        clip_gradients(parameters(), bad)


@pytest.mark.gpu
@every_case
def test_a_state_moves_to_the_gpu_and_back(rule, kwargs):
    ours, moved = parameters(), parameters(device="cuda")
    first = rule(ours, **kwargs)
    run(first, ours, 9)
    with torch.no_grad():
        [a.copy_(b) for a, b in zip(moved, ours)]
    second = rule(moved, **kwargs)
    second.load_state_dict(first.state_dict())
    run(first, ours, 6, first=9), run(second, moved, 6, first=9)
    assert_same([p.cpu() for p in moved], ours, torch.float32)


@pytest.mark.gpu
def test_the_gradient_scaler_of_mixed_precision_works():
    (x, y), results = batches("cuda"), []
    for make in (AdamW, torch.optim.AdamW):
        model, scaler = network(device="cuda"), torch.amp.GradScaler()
        optimizer = make(model.parameters(), lr=1e-2)
        for _ in range(20):
            optimizer.zero_grad()
            with torch.autocast("cuda", torch.float16):
                loss = nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer), scaler.update()
        results.append(loss.item())
    assert results[0] == pytest.approx(results[1], abs=1e-2)


@pytest.mark.parametrize("total", [3, 7, 22, 49, 100, 1000])
def test_n_of_n_steps_as_a_share_are_n_steps(total):
    for number in range(total + 1):
        assert rising_steps(total, number / total) == number
        factors = [warmup_linear(step, total, number / total) for step in range(total + 1)]
        assert factors[number] == 1 or number == total


def test_true_and_parts_of_a_step_are_no_settings():
    weight = torch.nn.Parameter(torch.ones(2))
    for name in ("lr", "weight_decay"):
        for value in (True, torch.tensor(True)):
            with pytest.raises(ValueError, match=f"{name}="):
                AdamW([weight], **{name: value})
    for schedule in (warmup_linear, warmup_cosine):
        for total in (2.5, "3", True, math.inf, math.nan):
            with pytest.raises(ValueError, match="total="):
                schedule(1, total)
        with pytest.raises(ValueError, match="step=nan: steps count from 0"):
            schedule(math.nan, 10)
        with pytest.raises(ValueError, match="warmup=True"):
            schedule(1, 10, True)
