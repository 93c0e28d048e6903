"""Derivatives: graph to graph, and the checks that hold them to account.

What compares ways to differentiate is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .check import check_grads
from .recompute import checkpoint
from .reverse import backward, gradients, gradients_of_loss
from .transforms import grad, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from .comparison import three_ways
    from .differences import central_difference, forward_difference
    from .formula import symbolic

_LATER = {
    "central_difference": "differences",
    "forward_difference": "differences",
    "symbolic": "formula",
    "three_ways": "comparison",
}

__all__ = [
    "backward",
    "central_difference",
    "check_grads",
    "checkpoint",
    "forward_difference",
    "grad",
    "gradients",
    "gradients_of_loss",
    "jvp",
    "symbolic",
    "three_ways",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
