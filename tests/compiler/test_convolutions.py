"""Convolutions compiled: every arrangement, what is fused and what is not stored, same bits."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import pellucid as pe
from pellucid import models, nn, optim
from pellucid.compiler import convolve, pipeline
from pellucid.compiler.simplify import simplify
from pellucid.core.convolution import Geometry, convolution
from pellucid.core.node import topological
from pellucid.core.tensor import tensor
from pellucid.train.step import TrainingState, trace_step
from tests.programs import bits, processor, reference, run, same_processors, threads, trace

ARRANGED = ("lowered", "lowered_gradient", "_gradient", "_across", "_turned")
ARRANGED += ("_beside", "_beside_gradient", "_folded", "_in_tiles", "_in_tiles_gradient")

# x, w, stride, padding, dilation, and how the convolution and its kernel's gradient are arranged
SHAPES = {
    "wide": ((3, 9, 10, 5), (3, 3, 5, 40), 1, 1, 1, "lowered", "lowered_gradient"),
    "one vector": ((2, 7, 11, 16), (3, 3, 16, 16), 1, 1, 1, "_across", "_turned"),
    "one vector of a signal": ((3, 40, 32), (7, 32, 12), 1, 3, 1, "_across", "_turned"),
    "few from one": ((2, 12, 28, 1), (5, 5, 1, 6), 1, 2, 1, "_beside", "_beside_gradient"),
    "few, strided": ((2, 12, 28, 3), (5, 5, 3, 4), 2, 2, 1, "_beside", "_beside_gradient"),
    "few from many": ((2, 10, 10, 16), (5, 5, 16, 6), 1, 4, 1, "_folded", "_beside_gradient"),
    "few from many, apart": ((1, 9, 14, 12), (3, 5, 12, 3), 1, 2, 2, "_folded", "lowered_gradient"),
    "dilated": ((3, 9, 10, 16), (3, 3, 16, 16), 1, 2, 2, "_across", "lowered_gradient"),
    "odd and few": ((2, 7, 7, 4), (3, 3, 4, 6), 1, 0, 1, "lowered", "_gradient"),
    "tiles": ((3, 12, 8, 32), (3, 3, 32, 16), 1, 1, 1, "_in_tiles", "_in_tiles_gradient"),
    "tiles, unpadded": ((2, 6, 10, 16), (3, 3, 16, 48), 1, 0, 1, "_in_tiles", "_in_tiles_gradient"),
    "tiles, uneven": ((2, 9, 10, 32), (3, 3, 32, 32), 1, 1, 1, "_in_tiles", "_in_tiles_gradient"),
    "tiles of a signal": ((2, 30, 32), (5, 32, 32), 1, 2, 1, "_in_tiles", "_in_tiles_gradient"),
    "in pieces": ((2, 37, 16), (8, 16, 32), 1, 0, 1, "_in_tiles", "_in_tiles_gradient"),
    "volume": ((1, 5, 6, 8, 4), (2, 3, 3, 4, 3), 1, 1, 1, "_beside", "_beside_gradient"),
}


def case(name):
    x, w, stride, pad, dilation, *_ = SHAPES[name]
    n, rng = len(x) - 2, np.random.default_rng(3)
    values = tuple((v,) * n for v in (stride, pad, pad, 0, dilation))
    return rng.standard_normal(x), rng.standard_normal(w), Geometry(*values)


def with_gradients(geometry, x, w):
    y, pull = pe.vjp(partial(convolution, geometry=geometry), tensor(x), tensor(w))
    return [y, *pull(pe.sin(y))]


@pytest.mark.parametrize("name", SHAPES)
def test_arrangements_agree_with_the_reference(name, monkeypatch):
    x, w, geometry = case(name)
    used = []
    for each in ARRANGED:
        plain = getattr(convolve, each)
        spy = lambda *args, each=each, plain=plain: used.append(each) or plain(*args)  # noqa: E731
        monkeypatch.setattr(convolve, each, spy)
    monkeypatch.setattr("pellucid.compiler.cache.read", lambda name: None)  # made anew
    forward = trace(partial(convolution, geometry=geometry), tensor(x), tensor(w))
    pipeline.lower(forward)
    assert used[0] == SHAPES[name][5]
    used.clear()
    c = trace(partial(with_gradients, geometry), x, w)
    for found, right in zip(run(c, [x, w]), reference(c, [x, w]), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-11, atol=1e-11)
    assert SHAPES[name][6] in used


def test_tiles_err_no_more_than_a_little():
    """Winograd's sums and differences lose little: a few times what products alone would."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 18, 18, 64)), rng.standard_normal((3, 3, 64, 64)) / 24
    geometry = Geometry((1, 1), (1, 1), (1, 1), (0, 0), (1, 1))
    given = [x.astype(np.float32), w.astype(np.float32)]
    c = trace(partial(with_gradients, geometry), *given)
    exact = reference(trace(partial(with_gradients, geometry), *map(np.float64, given)), given)
    for found, right in zip(run(c, given), exact, strict=True):
        assert np.abs(found - right).max() < 2e-6 * np.abs(right).max()


@pytest.mark.parametrize("name", SHAPES)
def test_arrangements_have_the_same_bits_everywhere(name):
    x, w, geometry = case(name)
    given = [x.astype(np.float32), w.astype(np.float32)]
    found = set()
    for cpu in same_processors():
        for count in (1, 2, 3):
            with processor(cpu), threads(count), pytest.MonkeyPatch.context() as patch:
                patch.setattr("pellucid.compiler.schedule.SHARED_FROM", count == 3 and 10**12)
                found.add(bits(run(trace(partial(with_gradients, geometry), *given), given)))
    assert len(found) == 1


NETWORKS = {
    "lenet5": (models.lenet5, (28, 28, 1)),
    "convnet": (lambda: models.convnet(size=8), (8, 8, 3)),
    "resnet": (lambda: models.resnet(8), (8, 8, 3)),
    "series": (lambda: models.series_resnet(10, widths=(16, 32)), (33, 1)),
    "series, equal widths": (lambda: models.series_resnet(10, widths=(16, 16)), (100, 1)),
}


def step_of(name, batch=6, rows=24):
    pe.random.set_seed(0)
    make, shape = NETWORKS[name]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, *shape)).astype(np.float32)
    y = rng.integers(0, 10, rows).astype(np.int32)
    state = TrainingState(make(), optim.adam(1e-3), 0)
    return state, trace_step(state, nn.as_loss("cross_entropy"), {}, [X, y], batch), [X, y]


def weights_after(name, steps=5):
    state, step, data = step_of(name)
    order = np.random.default_rng(1).integers(0, 24, (steps, 6)).astype(np.int32)
    records = run(step.computation, [*data, order], steps=steps)
    return bits([*records, *(np.array(c.value) for c in state.cells)])


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_same_bits_everywhere(name):
    found = set()
    for cpu in same_processors():
        for count in (1, 2, 3):
            with processor(cpu), threads(count):
                found.add(weights_after(name))
    assert len(found) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_an_example_is_predicted_alike_in_any_company(name):
    make, shape = NETWORKS[name]
    model = make()
    X = np.random.default_rng(5).standard_normal((7, *shape)).astype(np.float32)
    together = model.predict(X)
    for i in (0, 3, 6):
        np.testing.assert_array_equal(model.predict(X[i : i + 1])[0], together[i])


def planned(f, *arrays):
    return pipeline.lower(trace(f, *arrays))


def stored(plan):
    """Names of the large values that some kernel writes."""
    buffers = {store.target.buffer for k in plan.kernels for store in k.stores}
    return [b.owner.name for b in buffers if b.owner is not None and np.prod(b.owner.shape) > 5000]


IMAGES, KERNEL = np.ones((4, 16, 16, 16), np.float32), np.ones((3, 3, 16, 40), np.float32)


def test_padding_is_written_where_it_is_computed():
    plan = planned(lambda x, w: pe.conv(pe.tanh(x), w, padding="same"), IMAGES, KERNEL)
    assert stored(plan) == ["tanh"]
    edges = [k for k in plan.kernels if not k.nodes]
    assert all(s.source is None for k in edges for s in k.stores)
    assert sum(np.prod(k.domain) for k in edges) < 0.5 * IMAGES.size


def test_cheap_values_are_computed_where_they_are_read():
    def f(x):
        apart = x * 2.0 - 1.0
        return pe.sum(pe.exp(apart), 0), pe.sum(apart * apart, 0), pe.max(apart, 0)

    plan = planned(f, IMAGES)
    assert stored(plan) == []
    x = np.random.default_rng(0).standard_normal(IMAGES.shape).astype(np.float32)
    c = trace(f, x)
    for found, right in zip(run(c, [x]), reference(c, [x]), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-4)


def test_expensive_values_are_stored():
    plan = planned(lambda x: [pe.sum(y, 0) for y in [pe.exp(x)]] + [pe.exp(x) * 2.0], IMAGES)
    assert sum("exp" in [n.name for n in k.nodes] for k in plan.kernels) == 1


@pytest.mark.parametrize(("features", "name"), [(40, "tensordot"), (32, "winograd")])
def test_what_follows_a_convolution_stays_in_its_kernel(features, name):
    kernel = KERNEL[..., :features]
    plan = planned(lambda x, w: pe.relu(pe.conv(x, w) + 1.0), IMAGES, kernel)
    contracts = [k for k in plan.kernels if k.kind == "contract"]
    assert [n.name for n in contracts[-1].nodes] == [name, "add", "relu"]
    assert len(contracts) == (1 if name == "tensordot" else 2)


@pytest.mark.parametrize("size", [(3, 3), (1, 1), (2, 5)])
@pytest.mark.parametrize("stride", [2, (3, 2)])
def test_gradients_of_wide_strides_walk_over_no_zeros(size, stride):
    x, w = np.ones((2, 12, 18, 8)), np.ones((*size, 8, 40))

    def gradient(x, w):
        y, pull = pe.vjp(lambda x: pe.conv(x, w, stride=stride), x)
        return pull(pe.sin(y))[0]

    nodes = topological(simplify(trace(gradient, x, w)).outputs)
    assert not any(any(n.attr("between")) for n in nodes if n.name == "pad")
    rng = np.random.default_rng(1)
    given = [rng.standard_normal(a.shape) for a in (x, w)]
    c = trace(gradient, *given)
    np.testing.assert_allclose(run(c, given)[0], reference(c, given)[0], rtol=1e-11, atol=1e-11)


def test_reductions_of_the_same_values_read_them_once():
    plan = planned(lambda x: (pe.sum(x, (0, 1, 2)), pe.sum(pe.exp(x), (0, 1, 2))), IMAGES)
    (kernel,) = [k for k in plan.kernels if k.kind == "reduce" and np.prod(k.domain) > 5000]
    assert len(kernel.roots) == 2


def test_sums_over_many_rows_are_shared():
    plan = planned(lambda x: pe.sum(x * x), np.ones((320, 200), np.float32))
    (kernel,) = [k for k in plan.kernels if np.prod(k.domain) > 5000]
    assert kernel.outer == (16,) and kernel not in plan.serial


def test_long_walks_go_in_blocks():
    x, w = np.ones((16, 34, 34, 32), np.float32), np.ones((3, 3, 32, 40), np.float32)
    none = (0, 0)
    geometry = Geometry((1, 1), none, none, none, (1, 1))
    c = trace(partial(with_gradients, geometry), x, w)
    (kernel,) = [k for k in pipeline.lower(c).kernels if k.kind == "contract" and k.blocks]
    assert kernel.root.shape == w.shape
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(a.shape).astype(np.float32) for a in (x, w * 0.1)]
    for found, right in zip(run(c, given), reference(c, given), strict=True):
        np.testing.assert_allclose(found, right, rtol=2e-3, atol=2e-3 * np.abs(right).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 33), (1, 0)),
        ((16, 16), (1, 0)),
        ((8, 5), (1, 0)),
        ((9, 64, 40), (2, 0, 1)),
        ((3, 3, 20, 33), (0, 1, 3, 2)),
        ((31, 64, 17), (0, 2, 1)),
        ((300, 128), (1, 0)),
        ((9, 3000), (1, 0)),
        ((3000, 10), (1, 0)),
        ((17, 15), (1, 0)),
        ((700, 2, 20), (2, 1, 0)),
    ],
)
def test_copies_that_turn(shape, axes, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    for count in (1, 2, 3):
        with threads(count):
            (found,) = run(trace(lambda x: pe.transpose(x, axes), x), [x])
            np.testing.assert_array_equal(found, x.transpose(axes))


def test_processors_without_fma_work_too():
    """Slowly, by a function for each multiply-add."""
    with processor("x86-64"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("pellucid.compiler.cache.read", lambda name: None)
        try:
            found = weights_after("lenet5", 1)
        except ValueError:
            pytest.skip("this processor is of another family")
    assert found == weights_after("lenet5", 1)


def random_tiles(rng):
    """A convolution that goes in tiles where that pays, over an image or a signal."""
    batch, channels, features = int(rng.integers(1, 5)), *(16 * rng.choice([1, 2, 3, 4, 8], 2))
    if rng.random() < 0.3:
        size, places = [int(rng.integers(3, 11))], [5 * int(rng.integers(2, 9))]
    else:
        size, places = [3, 3], [2 * int(n) for n in rng.integers(2, 9, 2)]
    most = (min(size) - 1) // 2 + 1
    pad = int(rng.integers(0, min(most, 2) + 1))
    seen = [n + k - 1 - 2 * pad for n, k in zip(places, size, strict=True)]
    x = rng.standard_normal((batch, *seen, channels))
    w = rng.standard_normal((*size, channels, features)) / np.sqrt(np.prod(size) * channels)
    n = len(size)
    return x, w, Geometry((1,) * n, (pad,) * n, (pad,) * n, (0,) * n, (1,) * n)


def pytorchs(torch, x, w, pad, dtype):
    """Its convolution, and the gradients where that of the result is its sine."""
    n, last = x.ndim - 2, x.ndim - 1
    given = [torch.tensor(a.astype(dtype), requires_grad=True) for a in (x, w)]
    convolve = torch.conv2d if n == 2 else torch.conv1d
    channels_first = given[0].permute(0, last, *range(1, last))
    y = convolve(channels_first, given[1].permute(n + 1, n, *range(n)), padding=pad)
    y.backward(torch.sin(y.detach()))
    y = y.detach().permute(0, *range(2, n + 2), 1)
    return [y.numpy(), *(a.grad.numpy() for a in given)]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tiles_are_as_pytorchs_convolutions(dtype):
    """Forward and both gradients of 100 random convolutions, most of which go in tiles.

    In float32 they err about as much as PyTorch's own: at the median less than twice, at
    worst less than three times as much.
    """
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for _ in range(100):
        x, w, geometry = random_tiles(rng)
        given = [x.astype(dtype), w.astype(dtype)]
        c = trace(partial(with_gradients, geometry), *given)
        names = {n.name for n in topological(simplify(c).outputs)}
        if not {"winograd", "winograd_gradient"} <= names:
            continue
        exact = pytorchs(torch, *given, geometry.before[0], "float64")
        own = pytorchs(torch, *given, geometry.before[0], dtype)
        for errors, results in ((ours, run(c, given)), (theirs, own)):
            pairs = zip(results, exact, strict=True)
            errors.append([np.abs(a - b).max() / np.abs(b).max() for a, b in pairs])
    assert len(ours) >= 60
    if dtype == "float64":
        assert np.max(ours) < 1e-13
    else:
        assert (np.median(ours, 0) < 2 * np.median(theirs, 0)).all()
        assert np.max(ours) < 3 * np.max(theirs)
        assert np.max(ours) < 5e-6
