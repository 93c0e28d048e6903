"""Normalization: values brought to mean 0 and variance 1, then to a learned scale and shift."""

from __future__ import annotations

from typing import Any

from pellucid.core.standardize import moments, standardize
from pellucid.core.tensor import Tensor, cast, parameter, sqrt, tensor

from .initializers import filled
from .linear import positive_integer
from .mode import is_training
from .module import Module, state


class Normalization(Module):
    """What all kinds share: gamma and beta, one for each position along the last axis."""

    features: int
    eps: float

    def _learn(self, features: int, eps: float) -> None:
        self.features = positive_integer("features", features)
        if isinstance(eps, bool) or not isinstance(eps, int | float) or not eps > 0:
            raise ValueError(f"eps must be a number above 0, received {eps!r}")
        self.eps = float(eps)
        self.gamma = parameter(filled(1.0, (features,)), name="gamma", role="scale")
        self.beta = parameter(filled(0.0, (features,)), name="beta", role="bias")

    def _checked(self, x: Any) -> Tensor:
        x = tensor(x)
        if x.ndim < 2 or x.shape[-1] != self.features:
            hint = ""
            if x.ndim > 2 and x.shape[1] == self.features:
                hint = "; the channels seem to stand first: pe.channels_last(X) puts them last"
            raise ValueError(
                f"expected input of shape (batch, ..., {self.features}), received {x.shape}{hint}"
            )
        return cast(x, self.gamma.dtype)


class BatchNorm(Normalization):
    """Each feature normalized over the batch, then scaled and shifted.

    Of signals and images, whose features are the channels, over all places too: one mean
    and one variance for each position along the last axis, whatever stands before it.

    In training y = gamma (x - m) / sqrt(v + eps) + beta, m and v the mean and variance
    of the batch, and the moving averages follow: M' = (1 - rate) M + rate m, likewise
    for v. In use M and V stand in place of m and v, so that a row's result does not
    depend on the others. It may stand before or after an activation, not after dropout.

    Args:
        features: length of the last axis, the channels of signals and images.
        rate: eta, how fast the moving averages follow, in (0, 1].
        eps: keeps the division safe.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> from pellucid import nn
        >>> layer = nn.BatchNorm(1, rate=0.5)
        >>> with nn.training_mode():
        ...     layer([[1.0], [3.0]])
        Tensor([[-0.999995],
                [ 0.999995]], dtype=float32)
        >>> layer.moving_mean, layer.moving_variance
        (Tensor([1.], dtype=float32), Tensor([1.], dtype=float32))

    Source: Ioffe, Szegedy: Batch normalization: accelerating deep network training by
    reducing internal covariate shift (2015).
    """

    def __init__(self, features: int, rate: float = 0.1, eps: float = 1e-5) -> None:
        self._learn(features, eps)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise ValueError(f"rate must be a number above 0 and at most 1, received {rate!r}")
        self.rate = float(rate)
        self.moving_mean = state(filled(0.0, (features,)), name="moving_mean")
        self.moving_variance = state(filled(1.0, (features,)), name="moving_variance")

    def forward(self, x: Any) -> Tensor:
        x = self._checked(x)
        if not is_training():
            scale = self.gamma / sqrt(self.moving_variance + self.eps)
            return (x - self.moving_mean) * scale + self.beta
        axes = tuple(range(x.ndim - 1))
        mean, variance = moments(x, axes)
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return standardize(x, axes, self.eps) * self.gamma + self.beta

    def _follow(self, average: Tensor, new: Tensor) -> None:
        self.update(average, average + self.rate * (new.reshape(average.shape) - average))


class LayerNorm(Normalization):
    """Each example normalized over its features, then scaled and shifted.

    y = gamma (x - m) / sqrt(v + eps) + beta, m and v the mean and variance along the
    last axis: the same in training and in use.

    Args:
        features: length of the last axis.
        eps: keeps the division safe.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> from pellucid import nn
        >>> nn.LayerNorm(2)([[1.0, 3.0]])
        Tensor([[-0.999995,  0.999995]], dtype=float32)

    Source: Ba, Kiros, Hinton: Layer normalization (2016).
    """

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        self._learn(features, eps)

    def forward(self, x: Any) -> Tensor:
        x = self._checked(x)
        return standardize(x, (x.ndim - 1,), self.eps) * self.gamma + self.beta
