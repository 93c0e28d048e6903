"""Every optimizer: it descends, it is PyTorch's, it does no more work than it must."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

import pellucid as pe
from pellucid import optim
from pellucid.core.interpreter import evaluate
from pellucid.core.node import placeholder, topological, tracing
from pellucid.core.tensor import Tensor, tensor
from pellucid.core.tree import leaves, map_tree

from .samples import OPTIMIZERS, TRANSFORMATIONS, OptimizerSample, rows

SAMPLES = dict(rows(OPTIMIZERS))
each_optimizer = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


def parameters(dtype=np.float64) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return {
        "w": pe.parameter(rng.standard_normal((5, 3)), dtype, role="weight"),
        "b": pe.parameter(rng.standard_normal(3), dtype, role="bias"),
    }


def made_up_gradients(step: int, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {
        name: (np.sin(v) * 2 + 0.5 * rng.standard_normal(v.shape)).astype(v.dtype)
        for name, v in values.items()
    }


def test_every_optimizer_and_transformation_has_a_row():
    assert set(OPTIMIZERS) == set(optim.OPTIMIZERS) | set(optim.COMBINATIONS)
    assert set(TRANSFORMATIONS) == set(optim.TRANSFORMATIONS)


@each_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_and_the_form_of_the_state(sample: OptimizerSample, dtype):
    rule, weights = sample.make(), parameters(dtype)
    state = rule.init(weights)
    gradients = {k: pe.tensor(np.ones(p.shape, dtype)) for k, p in weights.items()}
    assert all(isinstance(leaf, np.ndarray) for leaf in leaves(state))
    loss = pe.tensor(np.ones((), dtype))
    for step in (np.int32(0), np.uint32(1), 2):
        updates, new_state = rule.update(gradients, state, weights, step, loss)
        assert list(updates) == list(weights)
        for name, p in weights.items():
            assert (updates[name].shape, updates[name].dtype) == (p.shape, p.dtype)
        shapes = map_tree(lambda x: (x.shape, x.dtype), new_state)
        assert shapes == map_tree(lambda x: (x.shape, x.dtype), state)
        state = new_state


@each_optimizer
def test_traced_and_eager_agree(sample: OptimizerSample):
    rule, weights = sample.make(), parameters()
    state = map_tree(tensor, rule.init(weights))
    gradients = made_up_gradients(0, {k: p.numpy() for k, p in weights.items()})
    loss = np.float64(0.5)
    eager = rule.update(map_tree(tensor, gradients), state, weights, 3, tensor(loss))
    with tracing():
        g = {k: Tensor(placeholder(v.shape, v.dtype, k)) for k, v in gradients.items()}
        step = Tensor(placeholder((), np.dtype(np.uint32), "step"))
        value = Tensor(placeholder((), loss.dtype, "loss"))
        traced = rule.update(g, state, weights, step, value)
    feeds = {g[k].node: v for k, v in gradients.items()}
    feeds |= {step.node: np.uint32(3), value.node: loss}
    found = evaluate([t.node for t in leaves(traced)], feeds)
    for value, expected in zip(found, leaves(eager), strict=True):
        np.testing.assert_array_equal(value, expected.numpy())


COUNTED = {key: sample for key, sample in SAMPLES.items() if sample.work is not None}


@pytest.mark.parametrize("sample", COUNTED.values(), ids=COUNTED)
def test_work_per_element(sample: OptimizerSample):
    rule, weights = sample.make(), parameters()
    with tracing():
        g = {k: Tensor(placeholder(p.shape, p.dtype, k)) for k, p in weights.items()}
        step = Tensor(placeholder((), np.dtype(np.uint32), "step"))
        state = map_tree(lambda a: Tensor(placeholder(a.shape, a.dtype)), rule.init(weights))
        updates, new_state = rule.update(g, state, weights, step)
    changed = [leaf.node for leaf in leaves(new_state) if leaf.shape == (5, 3)]
    nodes = topological([updates["w"].node, *changed])
    work = Counter(n.name for n in nodes if n.shape == (5, 3) and n.primitive.kind == "elementwise")
    assert work == sample.work


def has_one_rate(sample: OptimizerSample) -> bool:
    """Searches find their own step; what holds another rule has the rate of that."""
    rule = sample.make()
    scales = [t for t in rule.transformations if t.scale is not None]
    return "learning_rate" in rule.arguments and len(scales) == 1


@pytest.mark.parametrize(
    "sample", [pytest.param(s, id=i) for i, s in SAMPLES.items() if has_one_rate(s)]
)
def test_its_rate_can_be_changed(sample: OptimizerSample):
    rule, weights = sample.make(), parameters()
    rate = rule.arguments["learning_rate"]
    rate = rate.arguments["learning_rate"] if isinstance(rate, optim.Schedule) else rate
    arguments = rule.arguments | {"learning_rate": lambda t: rate / (2.0 + t)}
    direct = optim.OPTIMIZERS[rule.name](**arguments)
    changed = rule.with_rate(lambda rate_then, t: rate / (2.0 + t))
    assert repr(changed) == repr(rule)
    gradients = map_tree(tensor, made_up_gradients(0, {k: p.numpy() for k, p in weights.items()}))
    for found, expected in zip(
        leaves(changed.update(gradients, rule.init(weights), weights, 3)),
        leaves(direct.update(gradients, rule.init(weights), weights, 3)),
        strict=True,
    ):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_a_rate_that_is_changed_is_one():
    seen = []

    def change(rate, t):
        seen.append((rate.item(), t.item()))
        return rate

    rule, weights = optim.sgd(optim.step_decay(0.5, 0.5, 2)).with_rate(change), parameters()
    rule.update({k: pe.tensor(p.numpy()) for k, p in weights.items()}, {}, weights, 5)
    assert set(seen) == {(0.125, 5.0)}
    for other, count in ((optim.l2(0.1), 0), (optim.chain(optim.adam(), optim.sgd()), 2)):
        with pytest.raises(ValueError, match=f"has {count} learning rates; expected one"):
            optim.chain(other).with_rate(change)


@pytest.mark.parametrize("sample", [pytest.param(s, id=i) for i, s in SAMPLES.items() if s.formula])
def test_hundred_steps_as_the_formula(sample: OptimizerSample):
    assert sample.formula is not None
    rule, own = sample.make(), parameters()
    expected = {k: p.numpy().copy() for k, p in own.items()}
    memory: dict[str, dict] = {name: {} for name in own}
    state = rule.init(own)
    for step in range(100):
        gradients = made_up_gradients(step, {k: p.numpy() for k, p in own.items()})
        updates, state = rule.update(map_tree(tensor, gradients), state, own, step)
        optim.apply_updates(own, updates)
        used = rule.weights(state, own)
        for name, w in expected.items():
            kept = memory[name]
            expected[name] = sample.formula(w, gradients[name], kept, step, name == "w")
            np.testing.assert_allclose(own[name].numpy(), expected[name], rtol=1e-10, atol=1e-10)
            held = kept.get("rule", kept).get("used", expected[name])
            np.testing.assert_allclose(used[name].numpy(), held, rtol=1e-10, atol=1e-10)


def test_every_optimizer_and_transformation_is_held_against_another():
    """Against PyTorch, a formula, or, for searches, the plain loop in test_searches."""
    held = {
        t.name for s in SAMPLES.values() if s.torch or s.formula for t in s.make().transformations
    }
    for name, samples in OPTIMIZERS.items():
        assert any(s.torch or s.formula or s.make().full_batch for s in samples), name
    assert held >= set(optim.TRANSFORMATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("sample", [pytest.param(s, id=i) for i, s in SAMPLES.items() if s.torch])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hundred_steps_as_pytorch(sample: OptimizerSample, dtype):
    assert sample.torch is not None
    tolerance = sample.tolerance if dtype is np.float64 else 2e-5
    torch = pytest.importorskip("torch")
    rule, own = sample.make(), parameters(dtype)
    theirs = {k: torch.tensor(p.numpy().copy(), requires_grad=True) for k, p in own.items()}
    reference = sample.torch(
        torch.optim,
        [
            {"params": [theirs["w"]], "weight_decay": sample.decay},
            {"params": [theirs["b"]], "weight_decay": 0.0},
        ],
    )
    state = rule.init(own)
    for step in range(100):
        for group in reference.param_groups:
            group["lr"] = sample.rate(step) if sample.rate else group["lr"]
        gradients = made_up_gradients(step, {k: p.numpy() for k, p in own.items()})
        updates, state = rule.update(map_tree(tensor, gradients), state, own, step)
        optim.apply_updates(own, updates)
        for name, p in theirs.items():
            p.grad = torch.tensor(gradients[name])
        if sample.clip is not None:
            torch.nn.utils.clip_grad_norm_(theirs.values(), sample.clip)
        reference.step()
        for name, p in theirs.items():
            np.testing.assert_allclose(
                own[name].numpy(), p.detach(), rtol=tolerance, atol=tolerance
            )


# -- what is special to one -----------------------------------------------------------


def one_step(rule: optim.Optimizer, gradient, weight=(1.0, 2.0), role="weight") -> np.ndarray:
    weights = {"w": pe.parameter(np.array(weight), role=role)}
    g = {"w": pe.tensor(np.array(gradient))}
    return rule.update(g, rule.init(weights), weights, 0)[0]["w"].numpy()


def test_biases_do_not_decay():
    for rule in (optim.sgd(0.1, weight_decay=0.5), optim.adamw(0.1, weight_decay=0.5)):
        assert one_step(rule, [0.0, 0.0]).tolist() == pytest.approx([-0.05, -0.1])
        assert one_step(rule, [0.0, 0.0], role="bias").tolist() == [0.0, 0.0]


def test_the_first_step_of_adam_has_the_size_of_the_rate():
    for size in (1e-3, 1.0, 1e3):
        step = one_step(optim.adam(0.01), [size, -size])
        np.testing.assert_allclose(step, [-0.01, 0.01], rtol=2e-5)


def test_clipping_keeps_the_direction_and_short_gradients():
    rule = optim.sgd(1.0, clip_norm=1.0)
    np.testing.assert_allclose(one_step(rule, [3.0, 4.0]), [-0.6, -0.8], rtol=1e-6)
    np.testing.assert_allclose(one_step(rule, [0.03, 0.04]), [-0.03, -0.04], rtol=1e-15)


def test_clipping_by_value_bends_the_direction():
    rule = optim.chain(optim.clip_by_value(1.0), optim.sgd(0.5))
    assert one_step(rule, [3.0, -0.5]).tolist() == [-0.5, 0.25]


def test_l1_gives_exact_zeros_and_spares_biases():
    for rule in (
        optim.chain(optim.sgd(0.1), optim.l1(2.0)),
        optim.chain(optim.sgd(0.1), optim.l1(40.0, examples=10)),
    ):
        weights = {"w": pe.parameter([0.15, -0.15, 1.0, -1.0])}
        g = {"w": pe.tensor([0.0, 0.0, 0.0, 1.0])}
        optim.apply_updates(weights, rule.update(g, {}, weights, 0)[0])
        np.testing.assert_allclose(weights["w"].numpy(), [0, 0, 0.8, -0.9], rtol=1e-6)
        assert (weights["w"].numpy()[:2] == 0).all()
        assert one_step(rule, [0.0, 0.0], role="bias").tolist() == [0.0, 0.0]


def test_the_threshold_of_l1_follows_the_schedule():
    rule = optim.chain(optim.sgd(optim.step_decay(0.1, 0.5, 1)), optim.l1(1.0))
    weights = {"w": pe.parameter([3.0])}
    zero = {"w": pe.tensor([0.0])}
    steps = [rule.update(zero, {}, weights, t)[0]["w"].item() for t in range(3)]
    np.testing.assert_allclose(steps, [-0.1, -0.05, -0.025], rtol=1e-5)


def test_l2_is_the_gradient_of_its_penalty():
    plain = optim.chain(optim.l2(0.3), optim.sgd(0.1))
    np.testing.assert_allclose(one_step(plain, [0.0, 1.0]), [-0.06, -0.22])
    shared = optim.chain(optim.l2(0.3, examples=3), optim.sgd(0.1))
    np.testing.assert_allclose(one_step(shared, [0.0, 1.0]), [-0.01, -0.12])
    assert one_step(plain, [0.0, 0.0], role="bias").tolist() == [0.0, 0.0]


def test_max_norm_shortens_the_incoming_weights_of_a_unit():
    rule = optim.chain(optim.sgd(1.0), optim.max_norm(5.0))
    before = np.array([[6.0, 3.0], [8.0, 4.0]])
    moved = before + one_step(rule, np.zeros((2, 2)), before)
    np.testing.assert_allclose(moved, [[3.0, 3.0], [4.0, 4.0]])
    assert not one_step(rule, np.zeros((2, 2)), before, role="bias").any()


@pytest.mark.parametrize("part", [optim.l1(0.1), optim.max_norm(1.0), optim.average_weights()])
def test_what_works_on_the_new_weights_comes_last(part):
    with pytest.raises(ValueError, match=f"{part.name} works on the new weights.* put it after s"):
        optim.chain(part, optim.sgd(0.1))
    optim.chain(optim.sgd(0.1), part, part)


def test_averages_see_the_weights_as_they_are_settled():
    with pytest.raises(
        ValueError, match="average_weights works .* which l1 would .* put it after l1"
    ):
        optim.chain(optim.sgd(0.1), optim.average_weights(), optim.l1(0.1))


def test_long_runs_keep_their_corrections():
    rule, weights = optim.adam(0.01), {"w": pe.parameter([0.0])}
    g = {"w": pe.tensor([1.0])}
    state = {"scale_by_adam": {"m": {"w": np.ones(1, "f")}, "v": {"w": np.ones(1, "f")}}}
    updates, _ = rule.update(g, state, weights, np.uint32(2**32 - 2))
    np.testing.assert_allclose(updates["w"].numpy(), [-0.01], rtol=1e-6)


def test_chains_nest_and_name_equal_parts_apart():
    chained = optim.chain(optim.trace(0.5), optim.sgd(0.1, momentum=0.9))
    assert [t.name for t in chained.transformations] == ["trace", "trace", "scale_by_learning_rate"]
    state = chained.init({"w": pe.parameter([1.0])})
    assert list(state) == ["trace_0", "trace_1"]
    with pytest.raises(TypeError, match="chain needs transformations or optimizers, received 3"):
        optim.chain(3)


def test_scales_are_applied_once_wherever_they_stand():
    halves = optim.scale_by_learning_rate(0.5)
    for rule in (
        optim.chain(halves, halves, halves),
        optim.chain(halves, optim.clip_by_norm(1e9), halves, halves),
        optim.chain(optim.add_decayed_weights(0.0), halves, halves, halves),
        optim.chain(halves, optim.trace(0.9), halves, optim.add_decayed_weights(0.0), halves),
    ):
        np.testing.assert_allclose(one_step(rule, [1.0, 8.0]), [-0.125, -1.0])
    assert one_step(optim.chain(), [1.0, 8.0]).tolist() == [1.0, 8.0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.sgd(-0.1), ValueError, r"learning_rate must lie in \[0, inf\), received"),
        (lambda: optim.sgd(math.nan), ValueError, "learning_rate must lie in"),
        (lambda: optim.sgd("0.1"), TypeError, "learning_rate must be a number, received '0.1'"),
        (lambda: optim.sgd(0.1, 1.0), ValueError, r"momentum must lie in \[0, 1\), received 1"),
        (lambda: optim.sgd(0.1, nesterov=True), ValueError, "nesterov needs a momentum above 0"),
        (lambda: optim.sgd(0.1, weight_decay=-1), ValueError, "weight_decay must lie in"),
        (lambda: optim.sgd(0.1, clip_norm=0), ValueError, r"clip_norm must lie in \(0, inf\)"),
        (lambda: optim.clip_by_norm(0), ValueError, r"max_norm must lie in \(0, inf\)"),
        (lambda: optim.adam(beta1=1), ValueError, r"beta1 must lie in \[0, 1\), received 1"),
        (lambda: optim.adam(beta2=-0.1), ValueError, "beta2 must lie in"),
        (lambda: optim.adam(eps=math.inf), ValueError, "eps must lie in"),
        (lambda: optim.adam(True), TypeError, "learning_rate must be a number, received True"),
        (lambda: optim.as_optimizer("adan"), ValueError, "did you mean 'adam'"),
        (lambda: optim.as_optimizer(3), TypeError, "an optimizer is a name or made by"),
    ],
)
def test_hyper_parameters_are_checked(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_as_optimizer():
    rule = optim.adam(0.1)
    assert optim.as_optimizer(rule) is rule
    assert repr(optim.as_optimizer("adam")) == repr(optim.as_optimizer(optim.adam))


@each_optimizer
def test_means_decay_to_zero_not_to_denormal_numbers(sample: OptimizerSample):
    if sample.make().full_batch:
        return  # a search remembers points and their differences, no means
    rule, weights = sample.make(), {"w": pe.parameter([1.0], role="bias")}
    least = np.float32(2.0**-100)
    state = map_tree(
        lambda leaf: np.full_like(leaf, least if leaf.shape else 0), rule.init(weights)
    )
    _, state = rule.update({"w": pe.tensor([0.0])}, state, weights, 3, pe.tensor(0.0))
    values = [leaf.item() for leaf in leaves(state)]
    assert all(value == 0 or abs(value) >= least for value in values)
