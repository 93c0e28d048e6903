"""Section 6: discrete convolution, shared weights, location equivariance, pooling."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn

RNG = np.random.default_rng(0)


def test_discrete_convolution_by_hand():
    """h(x)(t) = sum over u of x(t + u) w(u): where a signal rises, w = (-1, 1) says by how much."""
    x = [0.0, 0.0, 1.0, 3.0, 3.0, 0.0]
    assert pe.correlate(x, [-1.0, 1.0]).numpy().tolist() == [0, 1, 2, 0, -3]
    assert pe.correlate(x, [1.0, 2.0, 1.0]).numpy().tolist() == [1, 5, 10, 9]
    assert pe.convolve([1.0, 2.0, 3.0], [0.0, 1.0, 0.5]).numpy().tolist() == [0, 1, 2.5, 4, 1.5]


def test_of_a_vector_valued_signal():
    """h(x)(t) = sum over u of <x(t + u), w(u)>."""
    x, w = RNG.standard_normal((12, 3)), RNG.standard_normal((4, 3))
    found = pe.correlate(x, w).numpy()
    for t in range(9):
        assert found[t] == pytest.approx(sum(x[t + u] @ w[u] for u in range(4)), rel=1e-12)


def test_a_convolutional_neuron_adds_a_bias_and_an_activation():
    layer = nn.Sequential(nn.Conv1d(3, 1, 4), nn.Tanh()).astype(np.float64)
    x, w, b = RNG.standard_normal((12, 3)), RNG.standard_normal((4, 3, 1)), 0.3
    layer[0].load_state_dict({"weight": w, "bias": [b]})
    right = np.tanh(pe.correlate(x, w[:, :, 0]).numpy() + b)
    np.testing.assert_allclose(layer(x[None]).numpy()[0, :, 0], right, rtol=1e-12)


def test_shared_weights_are_few():
    """28 x 28 pixels to 24 x 24 units: 26 numbers learned instead of 452,160."""
    conv = nn.Conv2d(1, 1, 5)
    units = conv(np.zeros((1, 28, 28, 1))).size
    dense = nn.Linear(28 * 28, units)
    assert units == 24 * 24
    assert conv.num_parameters == 5 * 5 + 1
    assert dense.num_parameters == 784 * 576 + 576 == 452_160


def test_a_convolution_is_a_dense_layer_with_local_shared_weights():
    """Its matrix has zeros where a unit does not look, and the same numbers in every row."""
    w = RNG.standard_normal(3)
    matrix = np.zeros((8, 6))
    for t in range(6):
        matrix[t : t + 3, t] = w
    x = RNG.standard_normal((5, 8))
    found = pe.conv(x[..., None], w[:, None, None]).numpy()[..., 0]
    np.testing.assert_allclose(found, x @ matrix, rtol=1e-12)


@pytest.mark.parametrize("move", [(1, 0), (0, 3), (4, 2)])
def test_location_equivariance(move):
    """What is found moves as the image does, away from the edges."""
    layer = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3))
    image = np.zeros((1, 24, 24, 2), np.float32)
    image[:, 8:14, 8:14] = RNG.standard_normal((6, 6, 2))
    moved = np.roll(image, move, (1, 2))
    np.testing.assert_array_equal(layer(moved).numpy(), np.roll(layer(image).numpy(), move, (1, 2)))
    dense = nn.Sequential(nn.Flatten(), nn.Linear(24 * 24 * 2, 10))
    assert abs(dense(moved).numpy() - dense(image).numpy()).max() > 0.01


def test_pooling_over_a_neighborhood_is_hardly_moved_by_small_shifts():
    """max over |u| <= k: a single bright point is seen at 2 k + 1 places."""
    k = 2
    pool = nn.MaxPool1d(2 * k + 1, stride=1, padding=k)
    x = np.zeros((1, 20, 1))
    x[0, 9] = 1.0
    assert pool(x).numpy()[0, :, 0].nonzero()[0].tolist() == [7, 8, 9, 10, 11]
    side_by_side = nn.MaxPool1d(4)
    for shift in (-1, 1, 2):  # from place 9 = 4 * 2 + 1: within its window
        np.testing.assert_array_equal(
            side_by_side(np.roll(x, shift, 1)).numpy(), side_by_side(x).numpy()
        )
    assert (side_by_side(np.roll(x, 3, 1)).numpy() != side_by_side(x).numpy()).any()


def test_average_sum_and_global_pooling():
    x = RNG.standard_normal((2, 6, 8, 3))
    parts = x.reshape(2, 3, 2, 4, 2, 3)
    np.testing.assert_allclose(nn.AvgPool2d(2)(x).numpy(), parts.mean((2, 4)), rtol=1e-12)
    np.testing.assert_allclose(nn.SumPool2d(2)(x).numpy(), parts.sum((2, 4)), rtol=1e-12)
    np.testing.assert_array_equal(nn.MaxPool2d(2)(x).numpy(), parts.max((2, 4)))
    np.testing.assert_allclose(nn.GlobalAvgPool()(x).numpy(), x.mean((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(nn.GlobalSumPool()(x).numpy(), x.sum((1, 2)), rtol=1e-12)
    np.testing.assert_array_equal(nn.GlobalMaxPool()(x).numpy(), x.max((1, 2)))


def test_global_pooling_makes_location_invariance():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.GlobalMaxPool())
    image = np.zeros((1, 20, 20, 1), np.float32)
    image[:, 4:8, 5:9] = RNG.standard_normal((4, 4, 1))
    np.testing.assert_array_equal(
        model(image).numpy(), model(np.roll(image, (9, 7), (1, 2))).numpy()
    )


def test_filters_that_detect_edges():
    """A filter of +1 above -1 answers along the lower edge of a square, and nowhere else."""
    image = np.zeros((1, 8, 8, 1))
    image[0, 2:6, 2:6] = 1.0
    found = pe.conv(image, np.array([1.0, -1.0]).reshape(2, 1, 1, 1)).numpy()[0, :, :, 0]
    assert [tuple(p) for p in np.argwhere(found > 0)] == [(5, j) for j in range(2, 6)]
    assert [tuple(p) for p in np.argwhere(found < 0)] == [(1, j) for j in range(2, 6)]


def test_a_filter_is_learned_from_what_it_gives():
    """From signals and the answers of an unknown filter, its weights are found again."""
    w = np.array([0.5, -1.0, 2.0])
    x = RNG.standard_normal((64, 16, 1)).astype(np.float32)
    layer = nn.Conv1d(1, 1, 3)
    y = pe.conv(x, w[:, None, None]).numpy()
    pe.fit(layer, x, y, loss="mean_squared_error", optimizer="adam", epochs=3, batch_size=64)
    first = abs(layer.weight.numpy()[:, 0, 0] - w).max()
    pe.fit(
        layer, x, y, loss="mean_squared_error", optimizer=pe.optim.adam(0.05), epochs=300,
        batch_size=64,
    )  # fmt: skip
    assert abs(layer.weight.numpy()[:, 0, 0] - w).max() < 1e-3 < first
