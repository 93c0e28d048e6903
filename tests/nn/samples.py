"""One row per layer, activation, loss and initializer; the tests beside it apply every check.

Each sample is also a pure function of arrays, so that any interpreter can be held
against any other on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import pellucid as pe
from pellucid import nn

from .layer_sample import Function, LayerSample
from .samples_of_space import SPACE, channels_first


def _linear(torch: Any, s: dict[str, Any]) -> Function:
    bias = s.get("bias")
    return lambda x: torch.nn.functional.linear(x, s["weight"].T, bias)


def _mlp(torch: Any, s: dict[str, Any]) -> Function:
    def run(x: Any) -> Any:
        h = torch.relu(x @ s["layers.0.weight"] + s["layers.0.bias"])
        return h @ s["layers.2.weight"] + s["layers.2.bias"]

    return run


def _prelu(torch: Any, s: dict[str, Any]) -> Function:
    return lambda x: torch.nn.functional.prelu(x, s["slope"])


def _maxout(out: int, pieces: int) -> Callable[[Any, dict[str, Any]], Function]:
    def make(torch: Any, s: dict[str, Any]) -> Function:
        bias = s.get("linear.bias")
        return lambda x: (
            torch.nn.functional.linear(x, s["linear.weight"].T, bias)
            .unflatten(-1, (out, pieces))
            .amax(-1)
        )

    return make


def _batch_norm(training: bool) -> Callable[[Any, dict[str, Any]], Function]:
    def make(torch: Any, s: dict[str, Any]) -> Function:
        zeros, ones = torch.zeros_like(s["beta"]), torch.ones_like(s["beta"])
        return channels_first(
            lambda x: torch.nn.functional.batch_norm(
                x, zeros, ones, s["gamma"], s["beta"], training
            )
        )

    return make


def _layer_norm(torch: Any, s: dict[str, Any]) -> Function:
    shape = s["gamma"].shape
    return lambda x: torch.nn.functional.layer_norm(x, shape, s["gamma"], s["beta"])


def _plain(name: str, *args: Any) -> Callable[[Any, dict[str, Any]], Function]:
    return lambda torch, s: lambda x: getattr(torch.nn.functional, name)(x, *args)


LAYERS: dict[str, list[LayerSample]] = {
    "Linear": [
        LayerSample(lambda: nn.Linear(3, 4), (3,), _linear),
        LayerSample(lambda: nn.Linear(3, 4, bias=False), (3,), _linear),
        LayerSample(lambda: nn.Linear(1, 1, weight_init="glorot_normal"), (1,), _linear),
        LayerSample(
            lambda: nn.Linear(17, 33, bias_init=nn.initializers.constant(0.1)), (5, 17), _linear
        ),
    ],
    "Sequential": [
        LayerSample(lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), (3,), _mlp),
        LayerSample(lambda: nn.Sequential(), (3,), lambda torch, s: lambda x: x),
    ],
    "Activation": [LayerSample(lambda: nn.Activation(pe.sin), (4,), lambda torch, s: torch.sin)],
    "Step": [LayerSample(nn.Step, (5,)), LayerSample(lambda: nn.Step(threshold=0.5), (5,))],
    "Identity": [LayerSample(nn.Identity, (5,), lambda torch, s: lambda x: x)],
    "ELU": [
        LayerSample(nn.ELU, (5,), _plain("elu")),
        LayerSample(lambda: nn.ELU(alpha=0.3), (5,), _plain("elu", 0.3)),
    ],
    "SELU": [LayerSample(nn.SELU, (5,), _plain("selu"))],
    "GELU": [LayerSample(nn.GELU, (5,), _plain("gelu"))],
    "SiLU": [LayerSample(nn.SiLU, (5,), _plain("silu"))],
    "Softplus": [LayerSample(nn.Softplus, (5,), _plain("softplus"))],
    "LogSoftmax": [LayerSample(nn.LogSoftmax, (5,), _plain("log_softmax", -1))],
    "PReLU": [
        LayerSample(nn.PReLU, (5,), _prelu),
        LayerSample(lambda: nn.PReLU(5, slope=-0.1), (5,), _prelu),
    ],
    "Maxout": [
        LayerSample(lambda: nn.Maxout(3, 4, pieces=3), (3,), _maxout(4, 3)),
        LayerSample(lambda: nn.Maxout(3, 1, bias=False), (2, 3), _maxout(1, 2)),
    ],
    "ReLU": [LayerSample(nn.ReLU, (5,), _plain("relu"))],
    "LeakyReLU": [
        LayerSample(nn.LeakyReLU, (5,), _plain("leaky_relu", 0.01)),
        LayerSample(lambda: nn.LeakyReLU(0.1), (5,), _plain("leaky_relu", 0.1)),
        LayerSample(lambda: nn.LeakyReLU(slope=1.5), (5,), _plain("leaky_relu", 1.5)),
    ],
    "Sigmoid": [
        LayerSample(nn.Sigmoid, (5,), _plain("sigmoid")),
        LayerSample(
            lambda: nn.Sigmoid(slope=3.0), (5,), lambda torch, s: lambda x: torch.sigmoid(3 * x)
        ),
    ],
    "Tanh": [LayerSample(nn.Tanh, (5,), _plain("tanh"))],
    "Softmax": [
        LayerSample(nn.Softmax, (5,), _plain("softmax", -1)),
        LayerSample(nn.Softmax, (1,), _plain("softmax", -1)),
        LayerSample(lambda: nn.Softmax(axis=1), (3, 4), _plain("softmax", 1)),
    ],
    "Dropout": [
        LayerSample(lambda: nn.Dropout(0.3), (5,), lambda torch, s: lambda x: x),
        LayerSample(lambda: nn.Dropout(0.3), (70,), training=True),
        LayerSample(
            lambda: nn.Dropout(0.3, inverted=False), (5,), lambda torch, s: lambda x: 0.7 * x
        ),
        LayerSample(lambda: nn.Dropout(0.3, inverted=False), (70,), training=True),
        LayerSample(lambda: nn.Dropout(0), (5,), lambda torch, s: lambda x: x, training=True),
    ],
    "GaussianNoise": [
        LayerSample(lambda: nn.GaussianNoise(0.3), (5,), lambda torch, s: lambda x: x),
        LayerSample(nn.GaussianNoise, (70,), training=True),
    ],
    "BatchNorm": [
        LayerSample(lambda: nn.BatchNorm(5), (5,), _batch_norm(training=False)),
        LayerSample(lambda: nn.BatchNorm(5), (5,), _batch_norm(training=True), training=True),
        LayerSample(lambda: nn.BatchNorm(3, rate=1, eps=0.1), (4, 3), training=True),
        LayerSample(lambda: nn.BatchNorm(3), (4, 3), _batch_norm(training=True), training=True),
        LayerSample(lambda: nn.BatchNorm(3), (4, 5, 3), _batch_norm(training=True), training=True),
        LayerSample(lambda: nn.BatchNorm(3), (4, 5, 3), _batch_norm(training=False)),
    ],
    "LayerNorm": [
        LayerSample(lambda: nn.LayerNorm(5), (5,), _layer_norm),
        LayerSample(lambda: nn.LayerNorm(17), (2, 17), _layer_norm),
    ],
    "Flatten": [
        LayerSample(nn.Flatten, (2, 3), lambda torch, s: lambda x: x.flatten(1)),
        LayerSample(nn.Flatten, (), lambda torch, s: lambda x: x.reshape(-1, 1)),
    ],
}

LAYERS |= SPACE

# For each activation some inputs and its values there, to all digits of float64.
ACTIVATIONS: dict[str, tuple[list[float], list[float]]] = {
    "step": ([-1.0, 0.0, 2.5], [0.0, 0.0, 1.0]),
    "identity": ([-1.0, 0.0, 2.5], [-1.0, 0.0, 2.5]),
    "elu": ([-1.0, 0.0, 2.5], [-0.6321205588285577, 0.0, 2.5]),
    "selu": ([-1.0, 0.0, 1.0], [-1.1113307378125625, 0.0, 1.0507009873554805]),
    "gelu": ([-1.0, 0.0, 1.0], [-0.15865525393145707, 0.0, 0.8413447460685429]),
    "silu": ([-1.0, 0.0, 1.0], [-0.2689414213699951, 0.0, 0.7310585786300049]),
    "softplus": ([-1.0, 0.0, 1.0], [0.31326168751822286, 0.6931471805599453, 1.3132616875182228]),
    "log_softmax": ([0.0, 0.0, 0.0], [-1.0986122886681098] * 3),
    "relu": ([-1.0, 0.0, 2.5], [0.0, 0.0, 2.5]),
    "leaky_relu": ([-1.0, 0.0, 2.5], [-0.01, 0.0, 2.5]),
    "sigmoid": ([0.0, 1.0, -2.0], [0.5, 0.7310585786300049, 0.11920292202211755]),
    "tanh": ([0.0, 1.0, -0.5], [0.0, 0.7615941559557649, -0.46211715726000973]),
    "softmax": ([0.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]),
}


@dataclass(frozen=True)
class LossSample:
    """A loss, the shape of its prediction, its target, and how PyTorch says the same.

    `torch` maps (torch.nn.functional, prediction, target, options of reduction) to
    a loss.
    """

    loss: nn.Loss
    shape: tuple[int, ...]
    target: Callable[[np.random.Generator, int], np.ndarray]
    torch: Callable[..., Any] | None = None

    def data(self, rows: int, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
        """Prediction and target."""
        rng = np.random.default_rng(rows)
        return rng.standard_normal((rows, *self.shape)).astype(dtype), self.target(rng, rows)


def _values(*shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, rows: rng.standard_normal((rows, *shape))


def _bits(*shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, rows: rng.integers(0, 2, (rows, *shape))


def _labels(classes: int, *shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, rows: rng.integers(0, classes, (rows, *shape))


def _shares(*shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    def make(rng: np.random.Generator, rows: int) -> np.ndarray:
        y = rng.random((rows, *shape)) + 0.01
        return y / y.sum(-1, keepdims=True)

    return make


def _one_hot(classes: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, rows: np.eye(classes)[rng.integers(0, classes, rows)]


def _mse(F: Any, u: Any, y: Any, **options: Any) -> Any:
    return F.mse_loss(u, y.reshape(u.shape).to(u.dtype), **options)


def _bce(F: Any, u: Any, y: Any, **options: Any) -> Any:
    return F.binary_cross_entropy_with_logits(u, y.reshape(u.shape).to(u.dtype), **options)


def _ce(F: Any, u: Any, y: Any, **options: Any) -> Any:
    if y.is_floating_point():
        return F.cross_entropy(u, y.to(u.dtype), **options)
    return F.cross_entropy(u.movedim(-1, 1), y, **options)


def _half(scale: Callable[[Any], float]) -> Callable[..., Any]:
    def run(F: Any, u: Any, y: Any, reduction: str = "mean") -> Any:
        each = 0.5 * scale(u) * F.mse_loss(u, y.reshape(u.shape), reduction="none")
        return each if reduction == "none" else each.mean()

    return run


def _mae(F: Any, u: Any, y: Any, **options: Any) -> Any:
    return F.l1_loss(u, y.reshape(u.shape), **options)


def _huber(delta: float) -> Callable[..., Any]:
    return lambda F, u, y, **options: F.huber_loss(u, y.reshape(u.shape), delta=delta, **options)


def _poisson(F: Any, u: Any, y: Any, **options: Any) -> Any:
    return F.poisson_nll_loss(u, y.reshape(u.shape).to(u.dtype), full=False, **options)


def _margin(margin: float) -> Callable[..., Any]:
    def run(F: Any, u: Any, y: Any, reduction: str = "mean") -> Any:
        each = F.relu(margin - (2 * (y > 0).to(u.dtype) - 1).reshape(u.shape) * u)
        return each if reduction == "none" else each.mean()

    return run


def _signs(*shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, rows: 2 * rng.integers(0, 2, (rows, *shape)) - 1


def _smoothed_bce(F: Any, u: Any, y: Any, **options: Any) -> Any:
    return _bce(F, u, 0.8 * y.to(u.dtype) + 0.1, **options) / math.log(2)


def _smoothed_ce(F: Any, u: Any, y: Any, **options: Any) -> Any:
    return _ce(F, u, y, label_smoothing=0.2, **options) / math.log(2)


SMOOTHED = {"label_smoothing": 0.2, "log_base": 2}

LOSSES: dict[str, list[LossSample]] = {
    "squared_error": [
        LossSample(nn.squared_error, (3,), _values(3), _half(lambda u: u.shape[1])),
        LossSample(nn.squared_error, (), _values(), _half(lambda u: 1)),
    ],
    "half_mean_squared_error": [
        LossSample(nn.half_mean_squared_error, (3,), _values(3), _half(lambda u: 1)),
    ],
    "absolute_error": [LossSample(nn.absolute_error, (3,), _values(3), _mae)],
    "huber": [
        LossSample(nn.huber, (3,), _values(3), _huber(1.0)),
        LossSample(nn.huber.with_options(delta=0.3), (1,), _values(), _huber(0.3)),
    ],
    "poisson": [LossSample(nn.poisson, (2,), _labels(5, 2), _poisson)],
    "hinge": [
        LossSample(nn.hinge, (1,), _bits(), _margin(1)),
        LossSample(nn.hinge, (3,), _signs(3), _margin(1)),
        LossSample(nn.hinge.with_options(class_weight=[1, 3]), (), _signs()),
    ],
    "perceptron_loss": [LossSample(nn.perceptron_loss, (), _signs(), _margin(0))],
    "multi_class_hinge": [
        LossSample(nn.multi_class_hinge, (5,), _labels(5)),
        LossSample(nn.multi_class_hinge, (4,), _one_hot(4)),
    ],
    "mean_squared_error": [
        LossSample(nn.mean_squared_error, (3,), _values(3), _mse),
        LossSample(nn.mean_squared_error, (1,), _values(), _mse),
        LossSample(nn.mean_squared_error, (), _values(), _mse),
        LossSample(nn.mean_squared_error, (2, 3), _values(2, 3), _mse),
    ],
    "binary_cross_entropy_with_logits": [
        LossSample(nn.binary_cross_entropy_with_logits, (1,), _bits(), _bce),
        LossSample(
            nn.binary_cross_entropy_with_logits.with_options(**SMOOTHED),
            (4,),
            _bits(4),
            _smoothed_bce,
        ),
        LossSample(nn.binary_cross_entropy_with_logits, (4,), _bits(4), _bce),
        LossSample(nn.binary_cross_entropy_with_logits, (), _shares(1), _bce),
        LossSample(
            nn.binary_cross_entropy_with_logits.with_options(class_weight=[1, 3]), (2,), _bits(2)
        ),
    ],
    "cross_entropy": [
        LossSample(nn.cross_entropy, (5,), _labels(5), _ce),
        LossSample(nn.cross_entropy.with_options(**SMOOTHED), (5,), _labels(5), _smoothed_ce),
        LossSample(nn.cross_entropy.with_options(**SMOOTHED), (3,), _shares(3), _smoothed_ce),
        LossSample(nn.cross_entropy, (17,), _one_hot(17), _ce),
        LossSample(nn.cross_entropy, (3,), _shares(3), _ce),
        LossSample(nn.cross_entropy, (4, 3), _labels(3, 4), _ce),
        LossSample(nn.cross_entropy.with_options(class_weight=[1, 2, 0.5]), (3,), _labels(3)),
        LossSample(nn.cross_entropy.with_options(class_weight=[1, 2, 0.5]), (3,), _shares(3)),
    ],
}

INITIALIZERS: dict[str, dict[str, float]] = {
    "zeros": {},
    "constant": {"value": 0.25},
    "uniform": {"low": -0.5, "high": 2.0},
    "normal": {"std": 0.1},
    "glorot_uniform": {},
    "glorot_normal": {},
    "he_uniform": {},
    "he_normal": {},
    "lecun_uniform": {},
    "lecun_normal": {},
    "orthogonal": {"gain": 0.5},
    "large": {},
    "small_positive": {},
}


def rows(table: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    """Each sample with an identifier."""
    for name, samples in table.items():
        for i, sample in enumerate(samples):
            yield f"{name}-{i}", sample
