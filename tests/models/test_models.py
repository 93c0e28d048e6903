"""The networks known by name: what they are made of, and that they learn what they are for."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pellucid as pe
from pellucid import models, nn, optim

# What makes it, the shape of an example and of the output for it, parameters counted by hand.
MODELS = {
    "lenet5": (models.lenet5, (28, 28, 1), (10,), 61_706),
    "convnet": (models.convnet, (32, 32, 3), (10,), 591_466),
    "vgg": (models.vgg, (32, 32, 3), (10,), 550_570),
    "resnet": (lambda: models.resnet(8), (32, 32, 3), (10,), 78_042),
    "resnet20": (models.resnet20, (32, 32, 3), (10,), 272_474),
    "series_resnet": (lambda: models.series_resnet(5), (140, 1), (5,), 503_493),
    "autoencoder": (models.autoencoder, (28, 28, 1), (28, 28, 1), 111_521),
    "denoiser": (models.denoiser, (17, 12, 1), (17, 12, 1), 28_449),
}


def test_every_model_has_a_row():
    assert set(MODELS) == set(models.__all__)


@pytest.mark.parametrize("name", MODELS)
def test_shapes_parameters_and_architecture(name):
    make, shape, output, parameters = MODELS[name]
    model = make()
    summary = model.summary(shape)
    assert summary.output_shape == output
    assert summary.parameters == parameters
    again = nn.build(json.loads(json.dumps(model.architecture())))
    assert repr(again) == repr(model)


SMALL = {
    "lenet5": (models.lenet5, (28, 28, 1)),
    "convnet": (lambda: models.convnet(size=8), (8, 8, 3)),
    "vgg": (lambda: models.vgg(((8,), (16, 16)), size=8, dense=16), (8, 8, 3)),
    "resnet": (lambda: models.resnet(8), (8, 8, 3)),
    "series_resnet": (lambda: models.series_resnet(10, widths=(16, 16)), (32, 1)),
    "autoencoder": (lambda: models.autoencoder(16, size=8), (8, 8, 1)),
    "denoiser": (lambda: models.denoiser(features=8, depth=3), (8, 8, 1)),
}


@pytest.mark.parametrize("name", SMALL)
def test_each_learns_a_few_examples_by_heart(name):
    make, shape = SMALL[name]
    pe.random.set_seed(0)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((16, *shape)).astype(np.float32)
    y, loss = rng.integers(0, 10, 16), "cross_entropy"
    if name in ("autoencoder", "denoiser"):
        y, loss = X * 0.5, "mean_squared_error"
    run = pe.fit(make(), X, y, loss=loss, optimizer=optim.adam(0.005), epochs=25, batch_size=8)
    assert run.history.last("loss") < 0.6 * run.history.row(0)["loss"]


@pytest.mark.parametrize("name", SMALL)
def test_a_row_alone_gets_the_same_bits(name):
    make, shape = SMALL[name]
    pe.random.set_seed(0)
    model = make()
    X = np.random.default_rng(0).standard_normal((11, *shape)).astype(np.float32)
    whole = model.predict(X)
    for i in range(len(X)):
        np.testing.assert_array_equal(model.predict(X[i : i + 1])[0], whole[i])
    np.testing.assert_allclose(whole, model(X).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["lenet5", "convnet", "vgg", "resnet20"])
def test_all_classes_are_about_equally_likely_at_first(name):
    make, shape, _, _ = MODELS[name]
    x = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    pe.random.set_seed(0)
    with nn.training_mode():
        assert make()(x).numpy().std() < 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.resnet(21), "depth must be 8, 14, 20"),
        (lambda: models.convnet(size=30), "size must be a multiple of 4"),
        (lambda: models.autoencoder(size=30), "size must be a multiple of 4"),
        (lambda: models.vgg(size=36), "size must be halved 3 times"),
        (lambda: models.denoiser(depth=1), "depth must be at least 2"),
        (lambda: models.denoiser(depth=2.5), "depth must be a whole number"),
        (lambda: models.resnet("20"), "depth must be a whole number"),
        (lambda: models.convnet(size=-4), "size must be a whole number of at least 1"),
        (lambda: models.convnet(classes=0), r"Linear\(128, 0, .*out_features must be a whole"),
        (lambda: models.vgg((32, 64)), r"blocks must hold .*, received \(32, 64\)"),
        (lambda: models.series_resnet(2, widths=64), "widths must be one or more whole numbers"),
        (lambda: models.series_resnet(2, sizes=()), "sizes must be one or more whole numbers"),
    ],
)
def test_arguments_outside_their_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
