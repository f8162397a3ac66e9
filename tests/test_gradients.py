"Both engines against PyTorch on whatever hypothesis can think of; numerical gradients; backward functions written by hand."

import math
import random
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from llm_practice.theory.gradients import (
    SigmoidBCE,
    SoftmaxCrossEntropy,
    Tensor,
    Value,
    draw_graph,
    numerical_gradient,
    topological_order,
    unbroadcast,
)

many = settings(max_examples=150, deadline=None)
few = settings(max_examples=50, deadline=None)

# ---- the engine for numbers

OPERATIONS = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "-a": lambda a, b: -a,
    "3 - a": lambda a, b: 3 - a,
    "2 / a": lambda a, b: 2 / a,
    "a ** 3": lambda a, b: a**3,
    "a ** -2": lambda a, b: a**-2,
    "a ** 0": lambda a, b: a**0,
    "sqrt": lambda a, b: a**0.5,
    "exp": lambda a, b: a.exp(),
    "log": lambda a, b: a.log(),
    "tanh": lambda a, b: a.tanh(),
    "relu": lambda a, b: a.relu(),
}
NUMBERS = st.one_of(
    st.floats(-3, 3),
    st.floats(-1e4, 1e4),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e4, -1e4, 700.0, 1e-4, 1e-30, 1e30]),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(list(OPERATIONS)), st.integers(0, 99), st.integers(0, 99)),
    min_size=1,
    max_size=14,
)


def build(inputs, steps, touch=lambda node: node):
    "A random graph: each step applies an operation to any two earlier results, so results are shared."
    nodes = list(inputs)
    for name, i, j in steps:
        nodes.append(OPERATIONS[name](touch(nodes[i % len(nodes)]), touch(nodes[j % len(nodes)])))
    return nodes


def by_torch(numbers, steps, noise=None):
    "Values and gradients of all results; `noise` (a generator) shakes each operand and its gradient, as rounding may do."

    def shake(node):
        factor, of_gradient = (1 + 1e-11 * noise.uniform(-1, 1) for _ in range(2))
        node = node * factor
        node.register_hook(lambda gradient: gradient * of_gradient)
        return node

    touch = shake if noise else (lambda node: node)
    nodes = build(
        [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers],
        steps,
        touch,
    )
    [node.retain_grad() for node in nodes]
    nodes[-1].backward()
    return np.array(
        [[node.item(), 0.0 if node.grad is None else node.grad.item()] for node in nodes]
    )


@settings(max_examples=400, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=4), STEPS)
@example([0.0], [("relu", 0, 0)])
@example([0.0], [("a ** 3", 0, 0)])
@example([0.0], [("a ** 0", 0, 0)])
@example([-2.0], [("a ** 3", 0, 0), ("a / b", 1, 0)])
@example([0.5], [("a * b", 0, 0), ("a * b", 1, 1), ("a - b", 2, 0)])
@example([1e4, -1e4], [("tanh", 0, 0), ("relu", 1, 0), ("a - b", 2, 3)])
def test_numbers_agree_with_torch_or_say_what_is_wrong(numbers, steps):
    exact = by_torch(numbers, steps)
    noisy = np.stack([by_torch(numbers, steps, random.Random(seed)) for seed in range(4)])
    tame = (np.abs([exact, *noisy]) < 1e100).all()  # nan is not
    try:
        nodes = build([Value(number) for number in numbers], steps)
        nodes[-1].backward()
    except FloatingPointError as error:
        assert "has no finite real value" in str(error)
        assert not tame or (np.abs(exact[exact != 0]) < 1e-100).any(), (
            error
        )  # 1 / b overflows before a / b does
        return
    assume(tame)
    found = np.array([[node.data, node.grad or 0.0] for node in nodes])
    assert (
        np.abs(found - exact) <= 10 * np.abs(noisy - exact).max(0) + 1e-9 * np.abs(exact)
    ).all(), (found, exact)


def test_what_did_not_take_part_has_no_gradient():
    x, other = Value(2.0), Value(3.0)
    unused = x * other
    (x * x).backward()
    assert x.grad == 4.0 and other.grad is None and unused.grad is None


def test_gradients_add_up_over_calls_as_in_torch():
    for number in (Value(0.7), torch.tensor(0.7, requires_grad=True)):
        middle = number * number
        result = middle.tanh() * middle
        result.backward() if isinstance(number, Value) else result.backward(retain_graph=True)
        once = float(number.grad)
        result.backward()
        assert float(number.grad) == pytest.approx(2 * once, rel=1e-6)


def test_a_gradient_that_arrives_is_passed_on():
    x = Value(3.0)
    (x * x).backward(0.5)
    assert x.grad == 3.0


@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_deep_graphs_do_not_overflow_the_stack(depth):
    limit = sys.getrecursionlimit()
    x = Value(1.0)
    total = x
    for i in range(depth):
        total = total + x if i % 2 else total * 1.0
    sys.setrecursionlimit(limit)
    total.backward()
    assert x.grad == 1 + depth // 2
    del total  # taking a deep graph apart must not recurse either


def test_deep_tensors_too():
    x = Tensor(np.ones((2, 1)))
    total = x
    for _ in range(10_000):
        total = total + x
    total.sum().backward()
    assert (x.grad == 10_001).all()


def test_many_paths_are_walked_once():
    x = Value(1.0)
    total = x
    for _ in range(200):
        total = total + total
    start = time.perf_counter()
    total.backward()
    assert x.grad == 2.0**200 and time.perf_counter() - start < 1


@few
@given(STEPS)
def test_order_has_parents_first_and_everything_once(steps):
    try:
        root = build([Value(1.5), Value(0.5)], steps)[-1]
    except FloatingPointError:
        assume(False)
    order = topological_order(root)
    place = {id(node): i for i, node in enumerate(order)}
    assert len(place) == len(order) and order[-1] is root
    assert all(place[id(parent)] < place[id(node)] for node in order for parent in node.parents)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: Value(0.0).log(),
            FloatingPointError,
            r"log\(0.0\) has no finite real value: its input must be above 0",
        ),
        (lambda: Value(-1e4).log(), FloatingPointError, r"log\(-10000.0\)"),
        (
            lambda: Value(1e4).exp(),
            FloatingPointError,
            r"exp\(10000.0\).*subtract the largest input first",
        ),
        (lambda: Value(1.0) / 0, FloatingPointError, r"power\(0.0, -1.0\).*divide by no 0"),
        (lambda: 1 / Value(-0.0), FloatingPointError, r"power\(-0.0, -1.0\)"),
        (
            lambda: Value(-8.0) ** (1 / 3),
            FloatingPointError,
            r"power\(-8.0, 0.33.*no root of a negative number",
        ),
        (lambda: Value(1e200) ** 2, FloatingPointError, r"power\(1e\+200, 2.0\)"),
        (lambda: (Value(0.0) ** 0.5).backward(), FloatingPointError, r"power\(0.0, -0.5\)"),
        (
            lambda: Value(2.0) ** Value(2.0),
            TypeError,
            r"exponent is a Value.*\(x.log\(\) \* n\).exp\(\)",
        ),
        (lambda: Value(2.0) ** "2", TypeError, "exponent is a str"),
        (lambda: Value(1.0) + "今天", TypeError, "a Value does not mix with the str '今天'"),
        (lambda: "今天" * Value(1.0), TypeError, "does not mix with the str"),
        (lambda: Value(1.0) - None, TypeError, "does not mix with the NoneType 'None'"),
        (lambda: 1j * Value(1.0), TypeError, "does not mix with the complex '1j'"),
        (lambda: Value(1.0) * np.ones(3), TypeError, "does not mix with the ndarray"),
        (lambda: np.ones(3) * Value(1.0), TypeError, "does not mix with the ndarray"),
        (lambda: Value(1.0) + Tensor([1.0]), TypeError, "a Value does not mix with the Tensor"),
        (lambda: Tensor([1.0]) + Value(1.0), TypeError, "a Tensor does not mix with the Value"),
        (lambda: Tensor([1.0]) * torch.ones(1), TypeError, "a Tensor does not mix with the Tensor"),
        (
            lambda: Tensor(["今天"]),
            TypeError,
            "the data holds <U2: a tensor is made of real numbers",
        ),
        (lambda: Tensor([1j]), TypeError, "complex128"),
        (
            lambda: Tensor(np.ones((2, 3))).backward(),
            ValueError,
            r"shape \(2, 3\) is not one number: take sum\(\) or mean\(\) first",
        ),
        (
            lambda: Tensor(np.ones((2, 3))).backward(np.ones(3)),
            ValueError,
            r"has shape \(3,\), the result \(2, 3\)",
        ),
        (
            lambda: Tensor(np.ones(3)) @ np.ones((3, 2)),
            ValueError,
            r"\(3,\) @ \(3, 2\): both need two axes or more",
        ),
        (lambda: Tensor(np.ones((2, 3))) @ np.ones((2, 3)), ValueError, "mismatch"),
        (lambda: Tensor(np.ones((0, 3))).mean(), ValueError, r"shape \(0, 3\) holds no numbers"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_numbers_of_numpy_are_numbers():
    x = Value(np.float32(2.0))
    result = np.float64(3.0) * x + np.int64(1)
    result.backward()
    assert isinstance(result, Value) and result.data == 7.0 and x.grad == 3.0


# ---- the engine for tensors


def compare(function, *arrays, rtol=1e-9, atol=1e-11):
    "The same function of our tensors and of torch's: equal values and gradients, for a random gradient that arrives."
    ours, theirs = (
        [Tensor(a) for a in arrays],
        [torch.tensor(a, requires_grad=True) for a in arrays],
    )
    result, reference = function(*ours), function(*theirs)
    np.testing.assert_allclose(result.data, reference.detach().numpy(), rtol=rtol, atol=atol)
    assert result.shape == tuple(reference.shape)
    arriving = np.random.default_rng(0).normal(size=result.shape).astype(result.data.dtype)
    result.backward(arriving)
    reference.backward(torch.tensor(arriving))
    for a, b in zip(ours, theirs):
        assert a.grad.shape == a.shape and a.grad.dtype == a.data.dtype
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=rtol, atol=atol)


def fill(shape, seed, positive=False):
    numbers = np.random.default_rng(seed).normal(size=shape)
    return np.abs(numbers) + 0.1 if positive else numbers


@many
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4), st.integers(0, 9),
       st.sampled_from(["a + b", "a - b", "a * b", "a / b"]))  # fmt: skip
def test_broadcasting_is_undone(shapes, seed, name):
    a, b = (fill(shape, seed + i, positive=i == 1) for i, shape in enumerate(shapes.input_shapes))
    compare(lambda a, b: OPERATIONS[name](a, b), a, b)


@few
@given(hnp.mutually_broadcastable_shapes(num_shapes=1, max_dims=4, max_side=4), st.integers(0, 9))
def test_unbroadcast_is_the_adjoint_of_broadcasting(shapes, seed):
    (shape,), result = shapes.input_shapes, shapes.result_shape
    x, g = fill(shape, seed), fill(result, seed + 1)
    back = unbroadcast(g, shape)
    assert back.shape == shape and math.isclose(
        (back * x).sum(), (g * np.broadcast_to(x, result)).sum(), abs_tol=1e-9
    )


@many
@given(hnp.array_shapes(min_dims=0, max_dims=3, max_side=4), STEPS, st.integers(0, 9))
def test_tensors_agree_with_torch_on_random_expressions(shape, steps, seed):
    safe = [
        (name, i, j)
        for name, i, j in steps
        if name not in ("log", "sqrt", "2 / a", "a / b", "a ** -2", "exp")
    ]
    function = lambda *inputs: sum((n.tanh() for n in build(inputs, safe)), inputs[0])
    compare(function, fill(shape, seed), fill(shape, seed + 1), rtol=1e-7)


@pytest.mark.parametrize("name", ["log", "sqrt", "2 / a", "a ** -2", "exp"])
def test_functions_of_positive_tensors(name):
    compare(lambda a: OPERATIONS[name](a, a), fill((3, 4), 0, positive=True))


@many
@given(
    hnp.mutually_broadcastable_shapes(signature="(a,b),(b,c)->(a,c)", max_dims=2, max_side=4),
    st.integers(0, 9),
)
def test_products_of_matrices(shapes, seed):
    a, b = (fill(shape, seed + i) for i, shape in enumerate(shapes.input_shapes))
    compare(lambda a, b: a @ b, a, b)


def test_a_plain_array_may_stand_on_the_left():
    w = Tensor(fill((3, 2), 0))
    left = fill((4, 3), 1)
    (left @ w).sum().backward()
    np.testing.assert_allclose(w.grad, left.T @ np.ones((4, 2)))
    assert isinstance(left * Tensor(left), Tensor)


@pytest.mark.parametrize(
    "index",
    [
        0, -1, slice(1, 3), (slice(None), 1), Ellipsis, np.array([2, 2, 2]), np.array([[0, 3], [3, 0]]),
        np.array([True, False, True, True]), (np.arange(4), np.array([4, 4, 0, 1])), (slice(None), None, slice(0, 2)),
    ],
    ids=str,
)  # fmt: skip
def test_look_ups(index):
    in_torch = (
        tuple(torch.tensor(i) if isinstance(i, np.ndarray) else i for i in index)
        if isinstance(index, tuple)
        else index
    )
    in_torch = torch.tensor(index) if isinstance(index, np.ndarray) else in_torch
    compare(lambda x: x[index if isinstance(x, Tensor) else in_torch], fill((4, 5), 0))


@few
@given(hnp.arrays(np.int64, (3, 7), elements=st.integers(0, 4)))
def test_an_embedding_adds_up_the_uses_of_a_row(ids):
    table, weight = Tensor(fill((5, 2), 0)), fill((3, 7, 2), 1)
    (table[ids] * weight).sum().backward()
    reference = torch.tensor(table.data, requires_grad=True)
    (F.embedding(torch.tensor(ids), reference) * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(table.grad, reference.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 0)])
def test_sums_and_means(axis, keepdims):
    in_numpy = {"axis": axis, "keepdims": keepdims}
    in_torch = {"dim": tuple(range(3)) if axis is None else axis, "keepdim": keepdims}
    words = lambda x: in_numpy if isinstance(x, Tensor) else in_torch
    compare(lambda x: x.sum(**words(x)), fill((2, 3, 4), 0))
    compare(lambda x: x.mean(**words(x)), fill((2, 3, 4), 0))


def test_shapes_are_moved_back():
    compare(lambda x: x.reshape(6, 4).mT @ x.reshape(6, -1), fill((2, 3, 4), 0))
    compare(lambda x: (x.mT * x[:, :1, :1]).sum(), fill((2, 3, 4), 0))


def test_float32_stays_float32():
    compare(lambda a, b: 2 * (a * 3 - 1) ** 2 / (b.relu() + 0.5) + (a @ b.mT).mean(), fill((3, 3), 0).astype(np.float32),
            fill((3, 3), 1).astype(np.float32), rtol=1e-4, atol=1e-4)  # fmt: skip


def test_tensors_share_nothing_with_arrays_or_each_other():
    given_array = np.ones(3)
    a, b = Tensor(given_array), Tensor(np.ones(3))
    a.data -= 1
    (a + b).sum().backward()
    a.grad += 5
    assert (given_array == 1).all() and (b.grad == 1).all()


def test_not_a_number_is_not_hidden():
    x = Tensor([math.nan, -1.0, 2.0])
    np.testing.assert_array_equal(x.relu().data, [math.nan, 0.0, 2.0])
    assert math.isnan(Value(math.nan).relu().data)


# ---- numerical gradients


@few
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, max_side=3), elements=st.floats(-100, 100)),
       st.integers(0, 9))  # fmt: skip
def test_numerical_gradients_of_smooth_functions(x, seed):
    weight, before = fill(x.shape, seed), x.copy()
    f = lambda x: (weight * np.sin(x)).sum() + (x**2).sum()
    exact, size = weight * np.cos(x) + 2 * x, 1 + np.abs(f(x)) + np.abs(x).max()
    central, forward = numerical_gradient(f, x), numerical_gradient(f, x, method="forward")
    np.testing.assert_allclose(central, exact, atol=1e-8 * size)
    np.testing.assert_allclose(forward, exact, atol=1e-5 * size)
    assert central.shape == x.shape and (x == before).all()


@pytest.mark.parametrize("method", ["central", "forward"])
def test_torch_and_numpy_give_the_same(method):
    x = fill((3, 4), 0)
    ours = numerical_gradient(lambda t: (t**3).sum(), x, method=method)
    for tensor in (torch.tensor(x, requires_grad=True), torch.tensor(x.T.copy()).T):
        theirs = numerical_gradient(lambda t: (t**3).sum(), tensor, method=method)
        assert theirs.dtype == torch.float64 and not theirs.requires_grad and theirs.shape == (3, 4)
        np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-6)
    np.testing.assert_allclose(
        numerical_gradient(lambda t: (t**3).sum(), x.T, method=method), ours.T, rtol=1e-6
    )


def test_parabolas_are_exact_for_central_differences_only():
    f = lambda x: (x * x).sum()
    x = np.array([0.3, -2.0])
    assert np.abs(numerical_gradient(f, x, step=1e-2) - 2 * x).max() < 1e-12
    np.testing.assert_allclose(
        numerical_gradient(f, x, step=1e-2, method="forward") - 2 * x, 1e-2, rtol=1e-6
    )


def test_the_distance_that_was_travelled_counts():
    x = np.array([100.0], dtype=np.float32)
    assert numerical_gradient(lambda x: float(x[0]), x, step=1e-5 * 1.3)[0] == 1.0


def test_large_coordinates_get_large_steps():
    x = np.array([1e8, 1e-3])
    np.testing.assert_allclose(numerical_gradient(lambda x: (x**2).sum(), x)[0], 2e8, rtol=1e-8)


def test_how_often_f_is_asked():
    asked = []
    for method in ("central", "forward"):
        asked.append(0)

        def f(x):
            asked[-1] += 1
            return x.sum()

        numerical_gradient(f, np.ones((3, 5)), method=method)
    assert asked == [30, 16]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_float_format_is_held(dtype):
    x = torch.tensor([1.0, -2.0], dtype=dtype)
    found = numerical_gradient(lambda x: (x.double() ** 2).sum(), x)
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.double(), torch.tensor([2.0, -4.0]).double(), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize(
    "x, arguments, error, message",
    [
        (np.array([1, 2]), {}, TypeError, "x holds int64, which has no room for small steps"),
        (torch.tensor([1, 2]), {}, TypeError, "x holds torch.int64"),
        (np.array([1j]), {}, TypeError, "complex128"),
        (np.array(["很好"]), {}, TypeError, "<U2"),
        (
            np.ones(2),
            {"method": "middle"},
            ValueError,
            "method='middle' is unknown: use central or forward",
        ),
        (np.ones(2), {"step": 0}, ValueError, "step=0: it must be a positive number"),
        (np.ones(2), {"step": -1e-5}, ValueError, "step=-1e-05"),
        (np.ones(2), {"step": math.nan}, ValueError, "step=nan"),
        (np.ones(2), {"step": math.inf}, ValueError, "step=inf"),
        (
            np.ones(2),
            {"step": 1e-20},
            ValueError,
            r"step=1e-20 is lost in rounding at x\[0\]=1 \(float64\): use a larger",
        ),
        ([1.0, 2.0], {"step": 1e-20}, ValueError, "lost in rounding"),
        (np.array([math.nan]), {}, FloatingPointError, r"f is nan at x\[0\]=nan"),
    ],
)
def test_bad_questions_are_refused(x, arguments, error, message):
    with pytest.raises(error, match=message):
        numerical_gradient(lambda x: x.sum(), x, **arguments)


def test_bad_functions_are_refused():
    with pytest.raises(ValueError, match=r"f returned shape \(3,\): return one number"):
        numerical_gradient(lambda x: x * 2, np.ones(3))
    with pytest.raises(FloatingPointError, match=r"f is inf at x\[1\]=.*: use a smaller step"):
        numerical_gradient(lambda x: math.inf if x[1] != 1 else 0.0, np.ones(3))
    assert numerical_gradient(lambda x: 0.0, np.ones((0, 3))).shape == (0, 3)


@few
@given(st.lists(st.floats(0.1, 2), min_size=2, max_size=2), STEPS)
def test_the_judge_agrees_with_the_engine(numbers, steps):
    smooth = [
        (name, i, j)
        for name, i, j in steps
        if name in ("a + b", "a - b", "a * b", "tanh", "-a", "3 - a")
    ]
    f = lambda inputs: sum((n.tanh() for n in build(inputs, smooth)), Value(0.0))
    values = [Value(number) for number in numbers]
    f(values).backward()
    judged = numerical_gradient(
        lambda x: f([Value(number) for number in x]).data, np.array(numbers)
    )
    np.testing.assert_allclose(
        [v.grad for v in values], judged, atol=1e-4 * (1 + np.abs(judged).max())
    )


# ---- backward functions written by hand


@few
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 99), st.sampled_from([0.1, 1.0, 10.0]))
def test_backward_by_hand_passes_gradcheck(rows, classes, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    logits = (
        torch.randn(rows, classes, generator=generator, dtype=torch.float64) * scale
    ).requires_grad_()
    labels = torch.randint(classes, (rows,), generator=generator)
    targets = torch.rand(rows, classes, generator=generator, dtype=torch.float64)
    bce = SigmoidBCE.apply
    for function, truth in (
        (SoftmaxCrossEntropy.apply, labels),
        (bce, targets),
        (bce, targets.round()),
    ):
        assert gradcheck(function, (logits, truth)) and gradgradcheck(function, (logits, truth))


@many
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(-1e4, 1e4)), st.integers(0, 99),
       st.sampled_from([torch.float32, torch.float64]))  # fmt: skip
@example(np.array([[1e4, -1e4], [-1e4, 1e4]]), 0, torch.float32)
@example(np.array([[1e4]]), 0, torch.float32)
def test_losses_by_hand_are_torchs_at_any_logit(logits, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(logits.shape[1], (len(logits),), generator=generator)
    targets = torch.randint(2, logits.shape, generator=generator).to(dtype)
    for ours, theirs, truth in ((SoftmaxCrossEntropy.apply, F.cross_entropy, labels),
                                (SigmoidBCE.apply, F.binary_cross_entropy_with_logits, targets)):  # fmt: skip
        a, b = (torch.tensor(logits, dtype=dtype, requires_grad=True) for _ in range(2))
        loss, reference = ours(a, truth), theirs(b, truth)
        (loss * 3).backward(), (reference * 3).backward()
        assert torch.isfinite(loss) and torch.isfinite(a.grad).all()
        torch.testing.assert_close(
            loss, reference, rtol=1e-5, atol=1e-2 if dtype == torch.float32 else 1e-9
        )
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: SoftmaxCrossEntropy.apply(torch.zeros(2, 3), torch.tensor([0, 3])),
            "labels run from 0 to 3: use 0 to 2",
        ),
        (
            lambda: SoftmaxCrossEntropy.apply(torch.zeros(2, 3), torch.tensor([-100, 1])),
            "labels run from -100 to 1",
        ),
        (
            lambda: SoftmaxCrossEntropy.apply(torch.zeros(3), torch.tensor([0])),
            r"logits \(3,\) and labels \(1,\): make",
        ),
        (
            lambda: SoftmaxCrossEntropy.apply(torch.zeros(2, 3), torch.tensor([0, 1, 2])),
            r"make them \(B, K\), \(B,\)",
        ),
        (
            lambda: SigmoidBCE.apply(torch.zeros(2, 1), torch.zeros(2)),
            r"logits \(2, 1\) and targets \(2,\) differ",
        ),
    ],
)
def test_losses_name_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- drawing


def test_drawings():
    x = Value(2.0, name="x")
    z = x * x + 1
    z.name = "z"
    texts = [t.get_text() for t in draw_graph(z).texts]
    assert {"x\n2", "z: +\n5", "constant\n1", "×\n4"} <= set(texts)
    z.backward()
    assert "x\n2\n∂ 4" in [t.get_text() for t in draw_graph(z).texts]
    long = Tensor(np.ones((2, 3)), name="词")
    for _ in range(12):
        long = long.tanh()
    long.sum().backward()
    assert any(t.get_text().startswith("词   2 × 3   ‖∂‖") for t in draw_graph(long).texts)
    assert len(draw_graph(Value(1.0)).texts) == 1
    plt.close("all")


def test_graphs_that_nobody_could_read_are_refused():
    total = Value(0.0)
    for _ in range(50):
        total = total + 1
    with pytest.raises(
        ValueError,
        match="the graph has 101 nodes, too many to read: draw a part, or raise limit=60",
    ):
        draw_graph(total)
    assert draw_graph(total, limit=200).texts
    plt.close("all")


# ---- on a GPU


@pytest.mark.gpu
def test_on_the_gpu():
    logits = torch.randn(4, 5, dtype=torch.float64, device="cuda", requires_grad=True)
    labels, targets = (
        torch.randint(5, (4,), device="cuda"),
        torch.rand(4, 5, dtype=torch.float64, device="cuda"),
    )
    assert gradcheck(SoftmaxCrossEntropy.apply, (logits, labels)) and gradcheck(
        SigmoidBCE.apply, (logits, targets)
    )
    assert gradgradcheck(SoftmaxCrossEntropy.apply, (logits, labels)) and gradgradcheck(
        SigmoidBCE.apply, (logits, targets)
    )
    found = numerical_gradient(lambda z: F.cross_entropy(z, labels), logits)
    assert found.device == logits.device
    torch.testing.assert_close(
        found, torch.autograd.grad(F.cross_entropy(logits, labels), logits)[0], rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SigmoidBCE.apply(torch.zeros(2), torch.tensor([1.0, -1.0])), "targets holds -1"),
        (lambda: SigmoidBCE.apply(torch.zeros(2), torch.tensor([2, 0])), "targets holds 2"),
        (
            lambda: SigmoidBCE.apply(torch.zeros(2), torch.tensor([0.5, math.nan])),
            "targets holds nan",
        ),
        (lambda: SigmoidBCE.apply(torch.zeros(0), torch.zeros(0)), "targets is empty"),
        (
            lambda: SoftmaxCrossEntropy.apply(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)),
            "there is no label, and so no mean",
        ),
    ],
)
def test_a_mean_of_nothing_and_a_target_that_is_none_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
