"The losses: equal to PyTorch over shapes, dtypes and extreme values; right gradients; errors that say what to do."

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.utils.class_weight import compute_class_weight
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from llm_practice.theory.loss import (
    binary_cross_entropy,
    bits,
    class_weights,
    cross_entropy,
    empirical_risk,
    entropy,
    kl_divergence,
    log_softmax,
    logsumexp,
    perplexity,
)

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
FULL = {torch.float64: torch.float64}  # what a loss comes back in: float32 for all others
CLOSE = {torch.float64: dict(rtol=1e-9, atol=1e-9), torch.float32: dict(rtol=1e-5, atol=1e-5),
         torch.bfloat16: dict(rtol=1e-2, atol=1e-2), torch.float16: dict(rtol=2e-3, atol=2e-3)}  # fmt: skip
SCALES = [0.0, 1e-3, 1.0, 30.0, 1e4]
quick = settings(deadline=None, max_examples=60)


def draw_logits(seed, shape, dtype, scale):
    "Logits of a scale, with some of them at exactly ±scale and 0."
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64).clamp(-1, 1) * scale
    special = torch.randint(-1, 2, shape, generator=generator) * float(scale)
    return torch.where(torch.rand(shape, generator=generator) < 0.3, special, values).to(dtype)


def value_and_gradient(function, logits, *arguments, **options):
    logits = logits.clone().requires_grad_()
    value = function(logits, *arguments, **options)
    return value.detach(), torch.autograd.grad(value.sum(), logits)[0]


@st.composite
def classification(draw):
    "Logits with classes in dimension 1, targets of which some are ignored but never all, and options."
    classes, rest = draw(st.integers(1, 9)), draw(st.sampled_from([(), (1,), (4,), (2, 3)]))
    seed, dtype, scale = (
        draw(st.integers(0, 10**6)),
        draw(st.sampled_from(DTYPES)),
        draw(st.sampled_from(SCALES)),
    )
    batch = draw(st.one_of(st.none(), st.integers(1, 5)))
    shape = (classes,) if batch is None else (batch, classes, *rest)
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, () if batch is None else (batch, *rest), generator=generator)
    weight = draw(st.sampled_from([None, torch.rand(classes, generator=generator) + 0.1]))
    ignored = torch.rand(targets.shape, generator=generator) < 0.4
    if targets.ndim and not ignored.all():
        targets = targets.masked_fill(ignored, -100)
    options = dict(
        weight=weight,
        label_smoothing=draw(st.sampled_from([0.0, 0.1, 1.0])),
        reduction=draw(st.sampled_from(["mean", "sum", "none"])),
    )
    return draw_logits(seed, shape, dtype, scale), targets, options


@quick
@given(classification())
def test_cross_entropy_is_that_of_pytorch(case):
    logits, targets, options = case
    value, gradient = value_and_gradient(cross_entropy, logits, targets, **options)
    exact, weight = logits.double(), options["weight"]
    theirs, their_gradient = value_and_gradient(
        F.cross_entropy,
        exact,
        targets,
        **{**options, "weight": None if weight is None else weight.double()},
    )
    assert value.dtype == FULL.get(logits.dtype, torch.float32) and gradient.dtype == logits.dtype
    assert value.isfinite().all() and gradient.isfinite().all()
    assert_close(value.double(), theirs, rtol=1e-5, atol=1e-5)
    assert_close(gradient.double(), their_gradient, **CLOSE[logits.dtype])


@quick
@given(classification())
def test_cross_entropy_in_the_same_dtype_is_that_of_pytorch(case):
    logits, targets, options = case
    weight = options["weight"] if options["weight"] is None else options["weight"].to(logits.dtype)
    theirs = F.cross_entropy(logits, targets, **{**options, "weight": weight})
    if theirs.isfinite().all():  # in float16, PyTorch's sum may overflow
        assert_close(cross_entropy(logits, targets, **{**options, "weight": weight}).to(logits.dtype), theirs,
                     rtol=3 * CLOSE[logits.dtype]["rtol"], atol=3 * CLOSE[logits.dtype]["atol"])  # fmt: skip


@quick
@given(st.integers(0, 10**6), st.sampled_from([(), (1,), (7,), (2, 3, 2)]), st.sampled_from(DTYPES), st.sampled_from(SCALES),
       st.booleans(), st.sampled_from(["mean", "sum", "none"]))  # fmt: skip
def test_binary_cross_entropy_is_that_of_pytorch(seed, shape, dtype, scale, hard, reduction):
    logits = draw_logits(seed, shape, dtype, scale)
    targets = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    targets = targets.round() if hard else targets
    value, gradient = value_and_gradient(binary_cross_entropy, logits, targets, reduction=reduction)
    theirs, their_gradient = value_and_gradient(
        F.binary_cross_entropy_with_logits, logits.double(), targets.double(), reduction=reduction
    )
    assert value.dtype == FULL.get(dtype, torch.float32) and gradient.dtype == dtype
    assert_close(value.double(), theirs, rtol=1e-5, atol=1e-5)
    assert_close(gradient.double(), their_gradient, **CLOSE[dtype])


def test_binary_cross_entropy_keeps_the_smallest_losses():
    "A right answer at logit 30 costs e^-30, not 0; and so for both classes."
    for dtype in (torch.float64, torch.float32):
        logits = torch.tensor([30.0, -30.0], dtype=dtype)
        loss = binary_cross_entropy(logits, torch.tensor([1.0, 0.0]), reduction="none")
        assert_close(loss, torch.full((2,), math.exp(-30), dtype=dtype), rtol=1e-5, atol=0)


@quick
@given(
    st.integers(0, 10**6),
    st.sampled_from([(1,), (6,), (3, 4), (2, 1, 5)]),
    st.sampled_from(DTYPES),
    st.sampled_from(SCALES),
    st.data(),
)
def test_logsumexp_and_log_softmax_are_those_of_pytorch(seed, shape, dtype, scale, data):
    logits = draw_logits(seed, shape, dtype, scale)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    for ours, theirs in ((logsumexp, torch.logsumexp), (log_softmax, torch.log_softmax)):
        value, gradient = value_and_gradient(ours, logits, dim)
        expected, expected_gradient = value_and_gradient(theirs, logits.double(), dim)
        assert (
            value.dtype == gradient.dtype == dtype
            and value.isfinite().all()
            and gradient.isfinite().all()
        )
        assert_close(value.double(), expected, **CLOSE[dtype])
        assert_close(
            gradient.double(),
            expected_gradient,
            rtol=CLOSE[dtype]["rtol"],
            atol=CLOSE[dtype]["atol"] * max(1, shape[dim]),
        )


def test_classes_that_are_ruled_out():
    logits = torch.tensor([[0.0, -math.inf, 1.0]], requires_grad=True)
    assert_close(
        cross_entropy(logits, torch.tensor([2])), F.cross_entropy(logits, torch.tensor([2]))
    )
    assert torch.autograd.grad(cross_entropy(logits, torch.tensor([2])), logits)[0].isfinite().all()
    padding, targets = (
        torch.tensor([[-math.inf, 0.0, 1.0]] * 3),
        torch.tensor([1, -100, 2]),
    )  # class 0 is never said
    assert_close(
        value_and_gradient(cross_entropy, padding, targets),
        value_and_gradient(F.cross_entropy, padding, targets),
    )
    assert logsumexp(torch.full((2, 3), -math.inf)).tolist() == [-math.inf] * 2
    assert logsumexp(torch.tensor([math.inf, 0.0])).item() == math.inf
    assert logsumexp(torch.tensor([math.nan, 0.0])).isnan()


@pytest.mark.parametrize("scale", [0.0, 1.0, 40.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_by_finite_differences(scale, smoothing):
    torch.manual_seed(0)
    logits = (torch.randn(4, 5, dtype=torch.float64) * scale).requires_grad_()
    targets, weight = torch.tensor([0, 4, -100, 2]), torch.rand(5, dtype=torch.float64)
    for name in ("mean", "sum", "none"):
        assert gradcheck(
            lambda z, name=name: cross_entropy(z, targets, weight, smoothing, reduction=name),
            logits,
        )
    targets = torch.tensor([[0.0, 1.0, 0.3, 1.0, 0.0]], dtype=torch.float64).expand(4, 5)
    assert gradcheck(lambda z: binary_cross_entropy(z, targets), logits)
    assert gradcheck(logsumexp, logits) and gradcheck(log_softmax, logits)
    assert gradgradcheck(lambda z: cross_entropy(z, torch.tensor([0, 4, -100, 2])), logits)


def test_gradients_of_entropy_and_divergence():
    p, q = (torch.rand(3, 4, dtype=torch.float64).softmax(-1).requires_grad_() for _ in range(2))
    assert gradcheck(lambda z: entropy(z.softmax(-1)), p)
    assert gradcheck(lambda y, z: kl_divergence(y.softmax(-1), z.softmax(-1)), (p, q))
    q = torch.tensor([0.5, 0.5, 0.0], requires_grad=True)
    assert torch.autograd.grad(kl_divergence(torch.tensor([1.0, 0.0, 0.0]), q), q)[0].tolist() == [
        -2,
        0,
        0,
    ]


@quick
@given(
    st.integers(0, 10**6),
    st.integers(1, 8),
    st.sampled_from([1e-3, 1.0, 20.0, 1e4]),
    st.sampled_from(DTYPES),
)
def test_entropy_and_divergence_are_those_of_scipy(seed, classes, scale, dtype):
    logits = [draw_logits(seed + i, (3, classes), torch.float64, scale) for i in range(2)]
    p, q = (z.softmax(-1).to(dtype) for z in logits)
    assert_close(
        entropy(p).double(),
        torch.tensor(stats.entropy(p.double(), axis=-1)),
        **{k: 3 * v for k, v in CLOSE[dtype].items()},
    )
    assert (entropy(p) >= 0).all() and (bits(entropy(p)) <= math.log2(classes) + 0.02).all()
    assert_close(kl_divergence(p, p), torch.zeros_like(entropy(p)), rtol=0, atol=1e-6)
    if ((q == 0) & (p > 0)).any():
        with pytest.raises(
            ValueError, match="q is 0 where p is .* the divergence is infinite: give q some mass"
        ):
            kl_divergence(p, q)
    else:
        theirs = torch.tensor(stats.entropy(p.double(), q.double(), axis=-1))
        assert_close(
            kl_divergence(p, q).double(),
            theirs,
            rtol=CLOSE[dtype]["rtol"],
            atol=10 * CLOSE[dtype]["atol"],
        )
        assert (kl_divergence(p, q) >= -10 * CLOSE[dtype]["atol"]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_probabilities_at_0_and_1(dtype):
    certain = torch.tensor([1.0, 0.0], dtype=dtype)
    assert entropy(certain).item() == 0 and kl_divergence(certain, certain).item() == 0
    assert kl_divergence(certain, torch.tensor([0.5, 0.5], dtype=dtype)).item() == pytest.approx(
        math.log(2), rel=1e-6
    )
    assert entropy(torch.ones(3, 1, dtype=dtype)).tolist() == [0, 0, 0]
    assert (
        binary_cross_entropy(
            torch.tensor([1e4, -1e4], dtype=dtype), torch.tensor([1.0, 0.0])
        ).item()
        == 0
    )
    assert binary_cross_entropy(
        torch.tensor([1e4], dtype=dtype), torch.tensor([0.0])
    ).item() == float(torch.tensor(1e4, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_distributions_of_a_whole_vocabulary_are_taken_as_such(dtype):
    p = torch.randn(4, 50_000).softmax(-1).to(dtype)
    assert entropy(p).isfinite().all()


def test_sums_do_not_overflow_in_half_precision():
    logits, targets = (
        torch.zeros(20_000, 100, dtype=torch.float16),
        torch.zeros(20_000, dtype=torch.long),
    )
    assert F.cross_entropy(logits, targets, reduction="sum").isinf()
    assert cross_entropy(logits, targets, reduction="sum").item() == pytest.approx(
        20_000 * math.log(100), rel=1e-5
    )
    assert empirical_risk(torch.full((100_000,), 9.0, dtype=torch.float16)).item() == 9
    assert logsumexp(torch.zeros(50_000, dtype=torch.float16)).item() == pytest.approx(
        math.log(50_000), rel=1e-3
    )


def test_pieces_add_up_to_the_whole():
    "What a training loop does: sums over pieces, divided by all labels; or means, weighted by their labels."
    logits, targets = torch.randn(40, 6), torch.randint(6, (40,))
    targets[torch.rand(40) < 0.5] = -100
    targets[0] = 1
    pieces = list(zip(logits.split([17, 20, 3]), targets.split([17, 20, 3])))
    counts = torch.tensor([int((t != -100).sum()) for _, t in pieces])
    whole = cross_entropy(logits, targets)
    assert_close(sum(cross_entropy(z, t, reduction="sum") for z, t in pieces) / counts.sum(), whole)
    means = torch.stack(
        [cross_entropy(z, t) if (t != -100).any() else torch.zeros(()) for z, t in pieces]
    )
    assert_close(empirical_risk(means, counts), whole)


def test_integer_targets_of_every_kind():
    logits = torch.randn(3, 4)
    for dtype in (torch.int64, torch.int32, torch.uint8):
        assert_close(
            cross_entropy(logits, torch.tensor([0, 3, 1], dtype=dtype)),
            F.cross_entropy(logits, torch.tensor([0, 3, 1])),
        )
    assert_close(
        cross_entropy(logits, torch.tensor([0, 3, 1]), ignore_index=0),
        F.cross_entropy(logits, torch.tensor([0, 3, 1]), ignore_index=0),
    )
    assert_close(
        cross_entropy(logits, torch.tensor([0, -1, 1]), ignore_index=-1),
        F.cross_entropy(logits, torch.tensor([0, -1, 1]), ignore_index=-1),
    )
    assert_close(
        binary_cross_entropy(logits, torch.ones(3, 4, dtype=torch.bool)), F.softplus(-logits).mean()
    )


@given(st.floats(0, 700))
@quick
def test_perplexity_and_bits(loss):
    assert perplexity(loss) == pytest.approx(math.exp(loss), rel=1e-9)
    assert 2 ** bits(loss) == pytest.approx(math.exp(loss), rel=1e-9)
    assert isinstance(perplexity(loss), float)


def test_perplexity_of_tensors():
    loss = torch.tensor([0.0, math.log(2)], dtype=torch.bfloat16, requires_grad=True)
    result = perplexity(loss)
    assert result.dtype == torch.float32 and result.tolist() == pytest.approx([1, 2], rel=1e-2)
    assert_close(torch.autograd.grad(result.sum(), loss)[0], result.detach().bfloat16())
    assert perplexity(entropy(torch.full((7,), 1 / 7))).item() == pytest.approx(7, rel=1e-5)


@quick
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda extra: [*range(5), *extra]))
def test_class_weights_are_those_of_scikit_learn(targets):
    weights = class_weights(torch.tensor([*targets, -100]), 5)
    assert_close(
        weights.double(),
        torch.tensor(compute_class_weight("balanced", classes=np.arange(5), y=np.array(targets))),
        rtol=1e-5,
        atol=1e-6,
    )
    assert_close(class_weights(torch.tensor(targets).reshape(1, -1), 5), weights)
    assert weights[torch.tensor(targets)].sum().item() == pytest.approx(len(targets), rel=1e-5)


def test_label_smoothing_has_its_minimum_at_the_smoothed_target():
    wanted = torch.tensor([0.92, 0.02, 0.02, 0.02, 0.02])
    at_best = cross_entropy(wanted.log(), torch.tensor(0), label_smoothing=0.1)
    assert_close(at_best, entropy(wanted))
    assert all(
        cross_entropy(wanted.log() + 0.1 * torch.randn(5), torch.tensor(0), label_smoothing=0.1)
        > at_best
        for _ in range(50)
    )


LOGITS = torch.zeros(4, 5)
BAD = [
    (
        lambda: cross_entropy(LOGITS, torch.tensor([0, 1, 2, 5])),
        "target 5 is out of range: 5 classes are numbered 0 to 4, and -100 .ignore_index. marks",
    ),
    (lambda: cross_entropy(LOGITS, torch.tensor([0, 1, -1, 2])), "target -1 is out of range"),
    (
        lambda: cross_entropy(LOGITS, torch.tensor([0, 1, -100, 2]), ignore_index=-1),
        "target -100 is out of range.*-1 .ignore_index. marks",
    ),
    (
        lambda: cross_entropy(LOGITS, torch.tensor([0, 1])),
        r"targets have shape \(2,\), but logits \(4, 5\) need \(4,\)$",
    ),
    (
        lambda: cross_entropy(torch.zeros(2, 7, 50), torch.zeros(2, 7).long()),
        r"logits \(2, 7, 50\) need \(2, 50\); the classes stand in dimension 1",
    ),
    (
        lambda: cross_entropy(LOGITS, torch.zeros(4, 5)),
        "targets are torch.float32: give class numbers",
    ),
    (
        lambda: cross_entropy(torch.zeros(4, 0), torch.zeros(4).long()),
        r"logits have shape \(4, 0\): dimension 1 holds no classes",
    ),
    (
        lambda: cross_entropy(torch.zeros(()), torch.tensor(0)),
        r"logits have shape \(\): dimension -1 holds no classes",
    ),
    (
        lambda: cross_entropy(LOGITS, torch.full((4,), -100)),
        "no target counts.*torch gives nan.*reduction='sum'",
    ),
    (lambda: cross_entropy(LOGITS[:0], torch.zeros(0).long()), "no target counts"),
    (
        lambda: cross_entropy(
            LOGITS, torch.zeros(4).long(), weight=torch.tensor([0.0, 1, 1, 1, 1])
        ),
        "no target counts",
    ),
    (
        lambda: cross_entropy(LOGITS, torch.zeros(4).long(), weight=torch.ones(4)),
        r"weight has shape \(4,\): give one for each of the 5 classes",
    ),
    (
        lambda: cross_entropy(
            LOGITS, torch.zeros(4).long(), weight=torch.tensor([1.0, 1, -2, 1, 1])
        ),
        "weight holds -2",
    ),
    (
        lambda: cross_entropy(
            LOGITS, torch.zeros(4).long(), weight=torch.tensor([1.0, 1, math.nan, 1, 1])
        ),
        "weight holds nan",
    ),
    (
        lambda: cross_entropy(LOGITS, torch.zeros(4).long(), label_smoothing=1.5),
        "label_smoothing=1.5 is out of range: use 0",
    ),
    (
        lambda: cross_entropy(LOGITS, torch.zeros(4).long(), reduction="avg"),
        "reduction='avg' is unknown: use mean, sum or none",
    ),
    (
        lambda: binary_cross_entropy(LOGITS, torch.full((4, 5), 2)),
        "target 2 is out of range: use 0, 1 or a probability",
    ),
    (
        lambda: binary_cross_entropy(LOGITS, torch.full((4, 5), math.nan)),
        "target nan is out of range",
    ),
    (
        lambda: binary_cross_entropy(LOGITS, torch.zeros(4)),
        r"targets: shape \(4,\), logits: shape \(4, 5\); they must be the same",
    ),
    (lambda: binary_cross_entropy(LOGITS[:0], LOGITS[:0]), "no target counts"),
    (lambda: binary_cross_entropy(LOGITS, LOGITS, reduction="max"), "reduction='max' is unknown"),
    (
        lambda: entropy(torch.tensor([1.5, -0.5])),
        "p holds 1.5, which is no probability: give values from 0 to 1",
    ),
    (lambda: entropy(torch.tensor([math.nan, 1.0])), "p holds nan"),
    (lambda: entropy(torch.tensor([0.5, 0.2])), "p adds up to 0.7 along dimension -1, not to 1"),
    (
        lambda: entropy(torch.tensor([[0.5, 0.5], [0.1, 0.9]]), dim=0),
        "p adds up to 0.6 along dimension 0|p adds up to 1.4",
    ),
    (
        lambda: kl_divergence(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])),
        "q is 0 where p is 1, so the divergence is infinite",
    ),
    (lambda: kl_divergence(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])), "q holds 2"),
    (
        lambda: kl_divergence(torch.tensor([1.0]), torch.tensor([0.5, 0.5])),
        r"p: shape \(1,\), q: shape \(2,\); they must be the same",
    ),
    (
        lambda: perplexity(-0.1),
        "a loss of -0.1 nats has no perplexity: give a mean cross-entropy, from 0 to 710",
    ),
    (lambda: perplexity(1e4), "a loss of 10000 nats has no perplexity"),
    (lambda: perplexity(math.nan), "a loss of nan nats"),
    (lambda: perplexity(torch.tensor(1e4)), "a loss of 10000 nats.*from 0 to 89"),
    (lambda: empirical_risk(torch.tensor([])), "nothing to average: 0 losses"),
    (
        lambda: empirical_risk(torch.ones(3), torch.zeros(3)),
        "nothing to average: 3 losses, whose weights add up to 0",
    ),
    (
        lambda: empirical_risk(torch.ones(3), torch.ones(2)),
        r"weights: shape \(2,\), losses: shape \(3,\); they must be the same",
    ),
    (lambda: empirical_risk(torch.ones(3), torch.tensor([1, -1, 3])), "weight -1 is negative"),
    (
        lambda: class_weights(torch.tensor([0, 1, 1]), 3),
        "class 2 does not occur among 3 targets: give it examples",
    ),
    (
        lambda: class_weights(torch.tensor([0, 1, 3]), 3),
        "target 3 is out of range: 3 classes are numbered 0 to 2",
    ),
    (lambda: class_weights(torch.tensor([-100]), 3), "class 0 does not occur among 0 targets"),
    (
        lambda: logsumexp(torch.zeros(3, 0)),
        r"logits have shape \(3, 0\): dimension -1 holds no classes",
    ),
]


@pytest.mark.parametrize("call, message", BAD)
def test_errors_name_the_value_and_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_sum_and_none_of_nothing_are_zero_with_a_gradient_of_zero():
    logits = torch.randn(4, 5, requires_grad=True)
    nothing = torch.full((4,), -100)
    for reduction in ("sum", "none"):
        value = cross_entropy(logits, nothing, label_smoothing=0.1, reduction=reduction)
        assert not value.any() and not torch.autograd.grad(value.sum(), logits)[0].any()


def test_what_is_given_is_not_changed():
    logits, targets, weight = torch.randn(3, 4), torch.tensor([0, -100, 2]), torch.rand(4)
    before = [t.clone() for t in (logits, targets, weight)]
    cross_entropy(logits, targets, weight, 0.1)
    log_softmax(logits), logsumexp(logits)
    assert all(torch.equal(a, b) for a, b in zip(before, (logits, targets, weight)))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_gpu_gives_what_the_cpu_gives(dtype, scale):
    logits, targets = draw_logits(0, (16, 1000), dtype, scale), torch.randint(1000, (16,))
    targets[::3] = -100
    weight = torch.rand(1000) + 0.1
    for arguments, function in (
        ((targets, weight, 0.1), cross_entropy),
        ((torch.rand(16, 1000),), binary_cross_entropy),
        ((), logsumexp),
        ((), log_softmax),
    ):
        here = value_and_gradient(function, logits, *arguments)
        there = value_and_gradient(
            function,
            logits.cuda(),
            *(a.cuda() if isinstance(a, torch.Tensor) else a for a in arguments),
        )
        assert all(t.is_cuda for t in there)
        for a, b in zip(here, there):
            assert_close(b.cpu(), a, **CLOSE[dtype])
    p = logits.float().softmax(-1).clamp(min=1e-9)
    p = p / p.sum(-1, keepdim=True)
    assert_close(kl_divergence(p.cuda(), p.roll(1, 1).cuda()).cpu(), kl_divergence(p, p.roll(1, 1)))
    assert_close(entropy(p.cuda()).cpu(), entropy(p))
    assert_close(class_weights(torch.arange(7).cuda(), 7).cpu(), torch.ones(7))
    with pytest.raises(
        ValueError, match="target 1000 is out of range"
    ):  # and the device is still usable: no assertion ran on it
        cross_entropy(logits.cuda(), torch.full((16,), 1000).cuda())
    assert torch.ones(1).cuda().item() == 1


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.uint8, torch.bool])
def test_integers_are_not_rounded_on_the_way_back(dtype):
    logits = torch.tensor([[3, 1, 0], [0, 5, 2]]).to(dtype)
    for ours, theirs in ((log_softmax, torch.log_softmax), (logsumexp, torch.logsumexp)):
        assert ours(logits).dtype == torch.float32
        assert_close(ours(logits), theirs(logits.float(), -1))
    assert_close(
        cross_entropy(logits, torch.tensor([0, 2])),
        torch.nn.functional.cross_entropy(logits.float(), torch.tensor([0, 2])),
    )
