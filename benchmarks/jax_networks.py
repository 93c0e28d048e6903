"""JAX's networks: the layers of `pellucid.models` one by one, channels last as there.

A layer makes its parameters for inputs of a shape, and is applied to parameters, inputs and a
random key. The moving averages of batch normalization are left out: they serve predictions only,
and would make JAX's steps a little longer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .workloads import Workload

Shape = tuple[int, ...]
Made = tuple[Any, Shape]  # parameters, and the shape of what comes out for one example


class Layer(NamedTuple):
    """How parameters are made, and what is done with them."""

    make: Callable[[np.random.Generator, Shape], Made]
    apply: Callable[[Any, jax.Array, Any], jax.Array]


def network(workload: Workload) -> tuple[Any, Callable[[Any, jax.Array, Any], jax.Array]]:
    """Return parameters, and the function of parameters, a batch and a key that gives logits."""
    layer = sequence(NETWORKS[workload.network](workload))
    parameters, _ = layer.make(np.random.default_rng(0), workload.example)
    return parameters, layer.apply


# -- layers ---------------------------------------------------------------------------------------


def plain(function: Callable[[jax.Array], jax.Array]) -> Layer:
    """Return a layer without parameters that does something with each example's shape."""

    def make(random: np.random.Generator, shape: Shape) -> Made:
        del random
        return (), jax.eval_shape(function, jax.ShapeDtypeStruct((1, *shape), np.float32)).shape[1:]

    return Layer(make, lambda p, x, key: function(x))


relu = plain(jax.nn.relu)
flatten = plain(lambda x: x.reshape(x.shape[0], -1))
mean_over_places = plain(lambda x: x.mean(axis=tuple(range(1, x.ndim - 1))))
pool = plain(lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"))


def dense(features: int) -> Layer:
    """Return a dense layer."""

    def make(random: np.random.Generator, shape: Shape) -> Made:
        weight = random.normal(0, shape[0] ** -0.5, (shape[0], features))
        return (jnp.asarray(weight, jnp.float32), jnp.zeros(features)), (features,)

    return Layer(make, lambda p, x, key: x @ p[0] + p[1])


def convolution(
    features: int, size: int, stride: int = 1, padding: Any = "SAME", bias: bool = False
) -> Layer:
    """Return a convolution over one or two axes of space."""

    def slide(x: jax.Array, kernel: jax.Array) -> jax.Array:
        axes = x.ndim - 2
        layout = ("NHC", "HIO", "NHC") if axes == 1 else ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (stride,) * axes, padding, dimension_numbers=layout
        )

    def make(random: np.random.Generator, shape: Shape) -> Made:
        *space, channels = shape
        kernel = (*(size for _ in space), channels, features)
        weight = random.normal(0, math.prod(kernel[:-1]) ** -0.5, kernel).astype(np.float32)
        out = jax.eval_shape(slide, jax.ShapeDtypeStruct((1, *shape), np.float32), weight)
        learned = (jnp.asarray(weight), jnp.zeros(features)) if bias else (jnp.asarray(weight),)
        return learned, out.shape[1:]

    return Layer(make, lambda p, x, key: functools.reduce(jnp.add, p[1:], slide(x, p[0])))


def batch_norm() -> Layer:
    """Return normalization by mean and variance of the batch."""

    def make(random: np.random.Generator, shape: Shape) -> Made:
        del random
        return (jnp.ones(shape[-1]), jnp.zeros(shape[-1])), shape

    def apply(p: Any, x: jax.Array, key: Any) -> jax.Array:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
        return (x - mean) * (p[0] * lax.rsqrt(variance + 1e-5)) + p[1]

    return Layer(make, apply)


def dropout(p: float) -> Layer:
    """Return a layer that drops elements with a probability."""

    def apply(_: Any, x: jax.Array, key: Any) -> jax.Array:
        return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)

    return Layer(lambda random, shape: ((), shape), apply)


def sequence(layers: Sequence[Layer]) -> Layer:
    """Return one layer after the other."""

    def make(random: np.random.Generator, shape: Shape) -> Made:
        parameters = []
        for layer in layers:
            found, shape = layer.make(random, shape)
            parameters.append(found)
        return parameters, shape

    def apply(p: Any, x: jax.Array, key: Any) -> jax.Array:
        for layer, own in zip(layers, p, strict=True):
            x = layer.apply(own, x, key)
        return x

    return Layer(make, apply)


def residual(inner: Layer, shortcut: Layer) -> Layer:
    """Return the sum of what two paths give."""

    def make(random: np.random.Generator, shape: Shape) -> Made:
        found, out = inner.make(random, shape)
        return (found, shortcut.make(random, shape)[0]), out

    return Layer(make, lambda p, x, key: inner.apply(p[0], x, key) + shortcut.apply(p[1], x, key))


# -- networks -------------------------------------------------------------------------------------


def mlp(workload: Workload) -> list[Layer]:
    """Return dense layers with a ReLU between them."""
    layers = [layer for size in workload.sizes[1:] for layer in (dense(size), relu)]
    return layers[:-1]


def lenet5(workload: Workload) -> list[Layer]:
    """Return LeNet-5."""
    first = convolution(6, 5, bias=True)
    second = convolution(16, 5, padding="VALID", bias=True)
    layers = [first, relu, pool, second, relu, pool, flatten]
    return [*layers, dense(120), relu, dense(84), relu, dense(workload.classes)]


def convnet(workload: Workload) -> list[Layer]:
    """Return four normalized convolutions and a dense layer."""
    layers: list[Layer] = []
    for features in (32, 64):
        layers += 2 * [convolution(features, 3), batch_norm(), relu] + [pool]
    return [*layers, flatten, dense(128), relu, dropout(0.5), dense(workload.classes)]


def resnet20(workload: Workload) -> list[Layer]:
    """Return the residual network of 20 layers."""

    def normalized(features: int, size: int = 3, stride: int = 1) -> list[Layer]:
        padding = [(size // 2, size // 2)] * 2
        return [convolution(features, size, stride, padding), batch_norm()]

    layers, before = [*normalized(16), relu], 16
    for features in (16, 32, 64):
        for _ in range(3):
            stride = 1 if before == features else 2
            inner = [*normalized(features, 3, stride), relu, *normalized(features)]
            shortcut = normalized(features, 1, 2) if stride > 1 else []
            layers += [residual(sequence(inner), sequence(shortcut)), relu]
            before = features
    return [*layers, mean_over_places, dense(workload.classes)]


def series_resnet(workload: Workload) -> list[Layer]:
    """Return the residual network for series."""
    layers: list[Layer] = []
    before = workload.example[-1]
    for features in (64, 128, 128):
        inner = [convolution(features, 8), batch_norm()]
        for size in (5, 3):
            inner += [relu, convolution(features, size), batch_norm()]
        beside = [batch_norm()] if before == features else [convolution(features, 1), batch_norm()]
        layers += [residual(sequence(inner), sequence(beside)), relu]
        before = features
    return [*layers, mean_over_places, dense(workload.classes)]


NETWORKS = {
    "mlp": mlp,
    "lenet5": lenet5,
    "convnet": convnet,
    "resnet20": resnet20,
    "series_resnet": series_resnet,
}
