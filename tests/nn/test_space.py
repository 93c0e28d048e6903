"""Layers over signals, images and volumes: what their arguments mean, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn

IMAGES = np.random.default_rng(0).standard_normal((2, 7, 6, 3))


# -- how large the result is -----------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "size", "stride", "padding", "expected"),
    [
        (7, 3, 1, "valid", 5),
        (7, 3, 2, "valid", 3),
        (8, 3, 2, "valid", 3),  # the last element is seen by no window
        (7, 3, 1, "same", 7),
        (7, 4, 1, "same", 7),
        (7, 3, 2, "same", 4),
        (8, 3, 2, "same", 4),
        (7, 2, 3, "same", 3),
        (5, 1, 2, "same", 3),
        (7, 3, 2, 1, 4),
        (7, 3, 1, (2, 0), 7),
        (7, 3, 2, "causal", 4),
    ],
)
def test_length_of_the_result(length, size, stride, padding, expected):
    x = np.ones((1, length, 1))
    assert nn.Conv1d(1, 1, size, stride, padding)(x).shape == (1, expected, 1)
    if padding not in ("causal", (2, 0)):
        assert nn.MaxPool1d(size, stride, padding)(x).shape == (1, expected, 1)


def test_an_odd_zero_stands_at_the_end():
    x = pe.reshape(pe.tensor([1.0, 2.0, 4.0]), (1, 3, 1))
    found = pe.conv(x, pe.ones((2, 1, 1)), padding="same")[0, :, 0].numpy()
    assert found.tolist() == [3.0, 6.0, 4.0]
    found = pe.conv(x, pe.ones((2, 1, 1)), stride=2, padding="same")[0, :, 0].numpy()
    assert found.tolist() == [3.0, 4.0]


def test_a_causal_convolution_sees_nothing_of_the_future():
    pe.random.set_seed(0)
    layer = nn.Conv1d(1, 2, 3, dilation=2, padding="causal")
    x = np.random.default_rng(0).standard_normal((1, 10, 1)).astype(np.float32)
    changed = x.copy()
    changed[:, 6:] += 1
    before, after = layer(x).numpy(), layer(changed).numpy()
    assert (before[:, :6] == after[:, :6]).all()
    assert (before[:, 6:] != after[:, 6:]).any()


def test_windows_that_stick_out_are_kept_on_request():
    x = np.arange(5.0).reshape(1, 5, 1)
    assert nn.MaxPool1d(2)(x).numpy()[0, :, 0].tolist() == [1, 3]
    assert nn.MaxPool1d(2, ceil=True)(x).numpy()[0, :, 0].tolist() == [1, 3, 4]
    assert nn.SumPool1d(2, ceil=True)(x).numpy()[0, :, 0].tolist() == [1, 5, 4]
    assert nn.AvgPool1d(2, ceil=True)(x).numpy()[0, :, 0].tolist() == [0.5, 2.5, 4]
    same = nn.AvgPool1d(2, padding="same", ceil=True)(x).numpy()
    assert same[0, :, 0].tolist() == [0.5, 2.5, 4]


def test_a_maximum_does_not_see_its_padding():
    assert (nn.MaxPool2d(3, 1, 1)(-abs(IMAGES)).numpy() < 0).all()
    assert (nn.MaxPool2d(3, 2, "same")(-abs(IMAGES)).numpy() < 0).all()


def test_a_mean_counts_what_it_sees():
    ones = np.ones((1, 4, 1))
    assert (nn.AvgPool1d(3, 1, 1)(ones).numpy() == 1).all()
    counted = nn.AvgPool1d(3, 1, 1, count_include_pad=True)(ones).numpy()[0, :, 0]
    np.testing.assert_allclose(counted, [2 / 3, 1, 1, 2 / 3])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_transposed_convolution_leads_back(size, stride):
    """Under the same arguments: its lengths, and its map, are those of the gradient."""
    forward = nn.Conv2d(3, 4, size, stride, "same").astype(np.float64)
    y, pull = pe.vjp(forward, pe.tensor(np.ones((1, 4 * stride, 2 * stride, 3))))
    g = np.random.default_rng(0).standard_normal(y.shape)
    back = nn.ConvTranspose2d(4, 3, size, stride, "same", bias=False).astype(np.float64)
    back.load_state_dict({"weight": np.swapaxes(forward.weight.numpy(), 2, 3)})
    np.testing.assert_allclose(back(g).numpy(), pull(pe.tensor(g))[0].numpy(), atol=1e-12)


# -- what is inside ---------------------------------------------------------------------


def test_groups_keep_channels_apart():
    layer = nn.Conv2d(4, 6, 3, groups=2)
    assert layer.weight.shape == (3, 3, 2, 6)
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 4)).astype(np.float32)
    other = x.copy()
    other[..., 2:] += 1  # of the second group
    assert (layer(x).numpy()[..., :3] == layer(other).numpy()[..., :3]).all()
    assert (layer(x).numpy()[..., 3:] != layer(other).numpy()[..., 3:]).any()
    assert nn.Conv2d(8, 8, 3, groups=8).num_parameters == 8 * 9 + 8


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [
        (lambda init: nn.Conv2d(16, 32, 3, weight_init=init), 144, 288),
        (lambda init: nn.Conv1d(16, 32, 5, weight_init=init), 80, 160),
        (lambda init: nn.Conv2d(16, 32, 3, groups=4, weight_init=init), 36, 288),
        (lambda init: nn.Conv2d(64, 64, 3, groups=64, weight_init=init), 9, 576),
        (lambda init: nn.ConvTranspose2d(16, 32, 2, weight_init=init), 64, 128),
    ],
)
def test_fans_of_kernels(layer, fan_in, fan_out):
    """As PyTorch and Keras count them for a kernel that slides."""
    pe.random.set_seed(0)
    assert layer("he_normal").weight.numpy().std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
    bound = (6 / (fan_in + fan_out)) ** 0.5
    assert abs(layer("glorot_uniform").weight.numpy()).max() == pytest.approx(bound, rel=0.02)


def test_costs_of_a_convolution():
    summary = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding="same"), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, groups=8)
    ).summary((10, 12, 3))
    costs = [row.operations for row in summary.rows]
    assert costs == [
        10 * 12 * 8 * (2 * 27 + 1),
        5 * 6 * 8 * 4,
        3 * 4 * 8 * (2 * 9 + 1),
    ]
    assert [row.parameters for row in summary.rows] == [3 * 9 * 8 + 8, 0, 9 * 8 + 8]
    assert [row.output_shape for row in summary.rows] == [(10, 12, 8), (5, 6, 8), (3, 4, 8)]


def test_batch_norm_of_images_has_one_mean_for_each_channel():
    layer = nn.BatchNorm(3, rate=1.0)
    with nn.training_mode():
        y = layer(IMAGES).numpy()
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean.numpy(), IMAGES.mean((0, 1, 2)), rtol=1e-5)


def test_a_residual_block_begins_as_its_input():
    block = nn.Residual(nn.Conv2d(3, 3, 3, padding="same", weight_init="zeros"))
    np.testing.assert_array_equal(block(IMAGES).numpy(), IMAGES)
    assert list(block.parameters()) == ["inner.weight", "inner.bias"]


@pytest.mark.parametrize("mode", nn.upsample.MODES)
def test_upsampling_keeps_a_constant(mode):
    assert (nn.Upsample((2, 3), mode)(np.ones((1, 4, 5, 2))).numpy() == 1).all()


# -- channels first -----------------------------------------------------------------------


def test_channels_are_moved_and_back():
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    last = pe.channels_last(x)
    assert isinstance(last, np.ndarray) and last.shape == (2, 4, 5, 3)
    assert last[1, 2, 3, 0] == x[1, 0, 2, 3]
    np.testing.assert_array_equal(pe.channels_first(last), x)
    np.testing.assert_array_equal(pe.channels_last(pe.tensor(x)).numpy(), last)
    np.testing.assert_array_equal(pe.channels_first(pe.tensor(last)).numpy(), x)
    with pytest.raises(ValueError, match="an axis of rows and one of channels"):
        pe.channels_last(np.ones(3))


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Conv2d(3, 4, 5),
            (2, 4, 9, 3),
            r"Conv2d\(3, 4, 5\): a window over 5 x 5 elements does not fit into images of 4 x 9; "
            "use a smaller window, or pad",
        ),
        (nn.Conv1d(1, 1, 3, padding=1, dilation=4), (2, 5, 1), "signals of 5, 7 with the padding"),
        (nn.MaxPool2d(3), (2, 2, 9, 3), "does not fit into images of 2 x 9"),
        (nn.AvgPool3d(2), (2, 1, 2, 2, 1), "does not fit into volumes of 1 x 2 x 2"),
        (
            nn.Conv2d(3, 4, 5),
            (8, 3, 32, 32),
            r"Conv2d\(3, 4, 5\): expected images of shape \(batch, height, width, 3\), received "
            r"\(8, 3, 32, 32\); the channels seem to stand first: pe.channels_last\(X\)",
        ),
        (nn.Conv1d(2, 4, 5), (8, 2, 32), r"pe.channels_last\(X\) puts them last"),
        (nn.ConvTranspose2d(3, 4, 5), (8, 3, 32, 32), r"pe.channels_last\(X\) puts them last"),
        (nn.Conv2d(1, 4, 5), (8, 28, 28), r"received \(8, 28, 28\); the axis of channels is miss"),
        (nn.Conv2d(1, 4, 5), (8, 28, 28), r"X\[..., None\] adds one"),
        (nn.MaxPool2d(2), (8, 28, 28), r"X\[..., None\] adds one"),
        (nn.Conv1d(1, 4, 5), (8, 28), r"X\[..., None\] adds one"),
        (nn.Conv2d(3, 4, 5), (28, 28, 3), r"one example alone needs .*: X\[None\]"),
        (
            nn.Conv2d(1, 4, 5),
            (8, 784),
            r"rows become images by nn.Reshape\(\(height, width, 1\)\) in front",
        ),
        (nn.Conv2d(3, 4, 5), (8, 28, 28, 1), r"width, 3\), received \(8, 28, 28, 1\)$"),
        (nn.GlobalAvgPool(), (8, 10), r"expected signals \(batch, length, channels\), images"),
        (nn.Upsample((2, 2)), (8, 10, 1), r"or 1 of them for signals, received \(2, 2\)"),
        (nn.ZeroPad(((1, 1), (2, 2))), (8, 10, 1), r"\(before, after\); received \(\(1, 1\), "),
        (nn.AdaptiveAvgPool((2, 2)), (8, 10, 1), "or 1 of them for signals"),
        (
            nn.Residual(nn.Conv2d(3, 4, 3, 2, 1)),
            (1, 5, 5, 3),
            r"the block gives shape \(1, 3, 3, 4\), the shortcut \(1, 5, 5, 3\); give a shortcut",
        ),
        (nn.ConvTranspose1d(1, 1, 2, padding=3), (1, 2, 1), "cuts off all that signals of 2"),
        (nn.GroupNorm(2, 4), (1, 5, 5, 3), r"shape \(batch, ..., 4\), received \(1, 5, 5, 3\)"),
        (nn.BatchNorm(3), (8, 3, 32, 32), r"received \(8, 3, 32, 32\); .* pe.channels_last\(X\)"),
        (nn.Conv2d(3, 4, 5), (3, 32, 32), r"is X for pe.channels_last\(X\[None\]\)"),
        (nn.Conv2d(3, 4, 5), (1, 8, 32, 32, 3), "there is one axis too many"),
        (
            nn.MaxPool2d(2),
            (8, 1, 28, 28),
            r"images of 1 x 28; .* if the channels stand first, pe.ch",
        ),
        (nn.RandomCrop(32), (8, 3, 40, 40), r"32 x 32 out of images of 3 x 40; if the channels"),
        (nn.Conv2d(3, 4, 3, dilation=20), (1, 32, 32, 3), "41 x 41 .* into images of 32 x 32"),
        (nn.Conv2d(3, 4, 3, padding=2), (1, 0, 32, 3), "images of 0 x 32 hold nothing: received"),
        (nn.GlobalAvgPool(), (1, 0, 3), "signals of 0 hold nothing"),
        (nn.AdaptiveAvgPool(2), (1, 8, 0, 3), "images of 8 x 0 hold nothing"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(nn.LayerError, match=message):
        layer(np.zeros(shape))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.Conv2d(6, 16, 3, groups=3),
            "3 groups do not divide 6 channels and 16 features",
        ),
        (lambda: nn.Conv2d(0, 4, 3), "in_channels must be a whole number of at least 1"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size must be one whole number, or 2 of them"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size must be a whole number of at least 1"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), "stride must be a whole number of at least 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "padding must be 'valid', 'same', a whole"),
        (lambda: nn.Conv2d(3, 4, 3, padding="causal"), "only signals have a direction"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "at least 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding=(1, 2, 3)), "or 2 of these for images; rec"),
        (lambda: nn.MaxPool2d(2, padding=2), "padding must be less than the window"),
        (lambda: nn.MaxPool1d(2, padding="causal"), "received 'causal'"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, 2, output_padding=2), "less than the stride"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, 2, "same", 1), "do not go together"),
        (lambda: nn.GroupNorm(3, 4), "3 groups do not divide 4 features"),
        (lambda: nn.Upsample(2, "cubic"), "mode must be one of nearest, bilinear"),
        (lambda: nn.Upsample(0.5), "scale must be a whole number"),
        (lambda: nn.ZeroPad(-1), "padding must be a whole number of at least 0"),
        (lambda: nn.AdaptiveAvgPool(()), "output_size must be 1 to 3 numbers"),
        (lambda: pe.conv(np.ones((1, 4, 1)), np.ones((3, 3))), "expected a kernel of shape"),
        (lambda: pe.correlate(np.ones(3), np.ones(4)), "filter of length 4 does not fit into"),
        (lambda: pe.correlate(np.ones((3, 2)), np.ones(2)), "expected a signal"),
        (lambda: pe.convolve(np.ones(3), np.ones(2), "half"), "mode must be one of valid, same"),
    ],
)
def test_arguments_outside_their_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(3, 4, 3, bias="relu"),
        lambda: nn.MaxPool2d(2, ceil=1),
        lambda: nn.Residual(pe.tanh),
        lambda: nn.Residual(nn.ReLU(), pe.tanh),
    ],
)
def test_arguments_of_another_type(make):
    with pytest.raises(TypeError):
        make()


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("size", [(7, 8), (5, 9)])
def test_odd_sizes_under_a_stride(size, stride):
    """What no whole window reaches is left out; with "same" nothing is."""
    x = np.random.default_rng(0).standard_normal((2, *size, 1))
    valid = nn.Conv2d(1, 1, 3, stride)(x).shape[1:3]
    assert valid == tuple((n - 3) // stride + 1 for n in size)
    same = tuple(-(-n // stride) for n in size)
    assert nn.Conv2d(1, 1, 3, stride, "same")(x).shape[1:3] == same
    assert nn.MaxPool2d(2, stride, "same")(x).shape[1:3] == same


def test_an_empty_batch_and_nan_pass_through():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2))
    empty = np.zeros((0, 8, 8, 1))
    assert model(empty).shape == model.predict(empty).shape == (0, 2)
    x = np.zeros((2, 8, 8, 1))
    x[1, 2, 2] = np.nan
    y = model.predict(x)
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()


# -- one signal and one filter ---------------------------------------------------------------


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_correlate_and_convolve_are_numpys(mode, size):
    rng = np.random.default_rng(size)
    x, w = rng.standard_normal(9), rng.standard_normal(size)
    np.testing.assert_allclose(pe.correlate(x, w, mode).numpy(), np.correlate(x, w, mode), 1e-12)
    np.testing.assert_allclose(pe.convolve(x, w, mode).numpy(), np.convolve(x, w, mode), 1e-12)


def test_vector_valued_signals():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((9, 3)), rng.standard_normal((4, 3, 2))
    found = pe.correlate(x, w).numpy()
    for f in range(2):
        right = sum(np.correlate(x[:, c], w[:, c, f]) for c in range(3))
        np.testing.assert_allclose(found[:, f], right, rtol=1e-12)
        np.testing.assert_allclose(pe.correlate(x, w[:, :, f]).numpy(), right, rtol=1e-12)
    assert pe.convolve([1, 2], [1, 1]).numpy().tolist() == [1.0, 3.0, 2.0]
