"""`solver="lbfgs"`: SciPy's L-BFGS-B on compiled values and gradients, as in scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from pellucid import nn
from pellucid.autodiff import gradients_of_loss
from pellucid.compiler import program
from pellucid.core.node import placeholder, topological, tracing
from pellucid.core.program import Computation
from pellucid.core.tensor import Tensor, cast, divide

from .engine import Engine
from .objective import penalized

MOST_LOOKS, NEAR = 500, 1e-6
"""Looks at all rows until moving averages change by no more than such a share of themselves."""


class Slopes:
    """The objective over all rows, and its gradient, for any values of the parameters.

    Args:
        engine: with the network.
        loss: what is made small.
        data: X, y and weights of all rows; their shapes count.

    Raises:
        ValueError: the network has random layers, so that no two values can be compared.
    """

    def __init__(self, engine: Engine, loss: nn.Loss, data: Sequence[np.ndarray]) -> None:
        model, dtype = engine.model, engine.dtype
        alpha = Tensor(placeholder((), dtype, "alpha"))
        fields = [Tensor(placeholder(a.shape, a.dtype)) for a in data]
        parameters = model.parameters()
        # weights before biases, as scikit-learn packs them
        named = sorted(parameters, key=lambda name: parameters[name].node.cell.role != "weight")
        cells = [parameters[name].node.cell for name in named]
        weights = [t for t in parameters.values() if t.node.cell.role == "weight"]
        objective = penalized(loss, weights, alpha)
        with tracing(), nn.training_mode(), nn.collect_updates() as buffers:
            total, weight = objective.total_and_weight(model(cast(fields[0], dtype)), *fields[1:])
            value = total if weight is None else divide(total, weight)
            slopes = gradients_of_loss(value, parameters)
        if any(node.primitive.kind == "random" for node in topological([value.node])):
            raise ValueError(
                "solver='lbfgs' compares values of the loss, which dropout and noise change from "
                "one to the next; leave them out, or use solver='adam'"
            )
        outputs = (value.node, *(slopes[name].node for name in named))
        self._program = program(
            Computation(
                (*(f.node for f in fields), alpha.node),
                outputs,
                tuple((cell, t.node) for cell, t in buffers.items()),
            )
        )
        self._averages = list(buffers)
        self._cells = [cell for cell in cells if cell is not None]
        self._value = np.empty((), dtype)
        self._flat = np.empty(sum(cell.value.size for cell in self._cells), dtype)
        self._parts = self._parts_of(self._flat)

    def _parts_of(self, flat: np.ndarray) -> list[np.ndarray]:
        """Views of a vector, in the shapes of the parameters."""
        found, start = [], 0
        for cell in self._cells:
            end = start + cell.value.size
            found.append(flat[start:end].reshape(cell.value.shape))
            start = end
        return found

    def at(self) -> np.ndarray:
        """The present values of the parameters, one after another, float64."""
        return np.concatenate([cell.value.ravel() for cell in self._cells]).astype(np.float64)

    def go_to(self, x: np.ndarray) -> None:
        """Give the parameters other values."""
        for cell, part in zip(self._cells, self._parts_of(x), strict=True):
            cell.assign(part)

    def settle(self, data: Sequence[np.ndarray], alpha: float) -> None:
        """Bring moving averages to what they are at the present point.

        A search goes far from one evaluation to the next: what the averages remember is of other
        points. Each further look at all rows brings them nearer.
        """
        for _ in range(MOST_LOOKS if self._averages else 0):
            before = [cell.value.copy() for cell in self._averages]
            self(self.at(), data, alpha)
            if all(
                np.allclose(a, cell.value, rtol=NEAR, atol=0)
                for a, cell in zip(before, self._averages, strict=True)
            ):
                return

    def __call__(
        self, x: np.ndarray, data: Sequence[np.ndarray], alpha: float
    ) -> tuple[float, np.ndarray]:
        """The objective and its gradient at a point, float64."""
        self.go_to(x)
        inputs = [*data, np.asarray(alpha, self._flat.dtype)]
        self._program.run(inputs, [self._value, *self._parts])
        return float(self._value), self._flat.astype(np.float64)


def minimize(
    slopes: Slopes,
    data: Sequence[np.ndarray],
    alpha: float,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    ftol: float = 2.2e-9,
    each: Callable[[], Any] | None = None,
) -> tuple[float, int]:
    """Bring the objective to a minimum; the parameters stay there.

    Args:
        slopes: of the objective, at the values to begin with.
        data: X, y and weights of all rows.
        alpha: strength of the penalty.
        max_iter: limit of iterations.
        max_fun: limit of evaluations.
        tol: it ends where no element of the gradient is above it.
        ftol: it ends where an iteration lowers the objective by less than this share of it.
        each: called after each iteration, with the network at the point it has reached;
            the search ends where it gives True.

    Returns:
        The objective, and the number of iterations.
    """

    def look(x: np.ndarray) -> None:
        assert each is not None
        slopes.go_to(x)
        if each():
            raise StopIteration

    found = scipy.optimize.minimize(
        slopes,
        slopes.at(),
        args=(data, alpha),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol, "ftol": ftol},
        callback=None if each is None else look,
    )
    slopes.go_to(found.x)
    slopes.settle(data, alpha)
    if found.status not in (0, 99):  # 99: ended by `each`
        warnings.warn(
            f"lbfgs failed to converge after {found.nit} iteration(s) (status={found.status}):\n"
            f"{found.message}\nIncrease max_iter (it is {max_iter}), or scale the data, for "
            "instance with StandardScaler",
            ConvergenceWarning,
            stacklevel=5,
        )
    return float(found.fun), int(found.nit)
