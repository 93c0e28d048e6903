"""Images that do not fit a network, through `fit`, `predict`, `evaluate` and `summary`."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import models, nn

Y = np.arange(20) % 10


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def behind(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, models.resnet(8))


FIRST = r"the channels seem to stand first: pe.channels_last\(X\) puts them last"


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (models.lenet5, (20, 1, 28, 28), rf"^layers.0, Conv2d\(1, 6, 5, .*{FIRST}$"),
        (models.convnet, (20, 3, 32, 32), rf"^layers.0, Conv2d\(3, 32, 3, .*{FIRST}$"),
        (lambda: models.series_resnet(10, channels=3), (20, 3, 150), rf"Conv1d\(3, 64, .*{FIRST}$"),
        (lambda: behind(nn.RandomFlip(), nn.RandomShift(2)), (20, 3, 32, 32), FIRST),
        (
            lambda: behind(nn.RandomCrop(32)),
            (20, 3, 36, 36),
            "if the channels stand first, pe.chan",
        ),
        (
            lambda: behind(nn.MaxPool2d(2)),
            (20, 3, 64, 64),
            r"received \(20, 1, 32, 64\); the model was given \(20, 3, 64, 64\)$",
        ),
        (
            models.lenet5,
            (20, 4, 4, 1),
            r"layers.3, Conv2d\(6, 16, 5\): a window over 5 x 5 elements does not fit into images "
            r"of 2 x 2; use a smaller window, or pad; the model was given \(20, 4, 4, 1\)$",
        ),
        (
            models.lenet5,
            (20, 32, 32, 1),
            r"layers.7, Linear\(400, 120\): .* received \(20, 576\); the model was given "
            r"\(20, 32, 32, 1\)$",
        ),
        (models.lenet5, (20, 28, 28), r"X\[..., None\] adds one of length 1$"),
        (models.lenet5, (20, 784), r"by nn.Reshape\(\(height, width, 1\)\) in front$"),
    ],
)
def test_shapes_that_do_not_fit(make, shape, message):
    model, X = make(), images(*shape)
    for use in (
        lambda: pe.fit(model, X, Y, epochs=1),
        lambda: model.predict(X),
        lambda: pe.evaluate(model, X, Y),
    ):
        with pytest.raises(nn.LayerError, match=message):
            use()
    with pytest.raises(nn.LayerError, match=message.replace(r"(20, ", "(1, ")):
        model.summary(shape[1:])


def test_images_of_several_sizes():
    X = [images(28, 28, 1)] * 19 + [images(28, 27, 1)]
    with pytest.raises(ValueError, match=r"row 0 has shape \(28, 28, 1\), row 19 \(28, 27, 1\)"):
        pe.fit(models.lenet5(), X, Y, epochs=1)


def test_images_without_pixels():
    with pytest.raises(ValueError, match=r"shape \(20, 0, 28, 1\), expected no axis of length 0"):
        pe.fit(models.lenet5(), images(20, 0, 28, 1), Y, epochs=1)


def test_a_pixel_that_is_not_finite():
    X = images(20, 28, 28, 1)
    X[3, 4, 5, 0] = np.nan
    with pytest.raises(ValueError, match=r"X has NaN at row 3, index \(3, 4, 5, 0\)"):
        pe.fit(models.lenet5(), X, Y, epochs=1)


def test_images_to_validate_on():
    validation = (images(5, 3, 32, 32), Y[:5])
    with pytest.raises(nn.LayerError, match=rf"{FIRST} \(with validation X\)$"):
        pe.fit(models.convnet(), images(20, 32, 32, 3), Y, epochs=1, validation=validation)


def test_a_network_that_ends_in_maps_has_no_classes_for_images():
    model = nn.Sequential(nn.Conv2d(1, 10, 3))
    message = r"gives \(batch, 26, 26, 10\) .* shape \(rows, 26, 26\) .* end with nn.Flatten\(\)"
    with pytest.raises(ValueError, match=message):
        pe.fit(model, images(20, 28, 28, 1), Y, epochs=1)


def test_a_network_that_ends_in_maps_tells_pixels_apart():
    model, X = nn.Sequential(nn.Conv2d(1, 2, 1)), images(20, 6, 6, 1)
    run = pe.fit(model, X, X[..., 0] > 0, epochs=60, optimizer=pe.optim.adam(0.05))
    assert run.history.last("accuracy") > 0.95
