"""Derivatives: graph to graph, and the checks that hold them to account."""

from .check import check_grads
from .recompute import checkpoint
from .reverse import backward, gradients, gradients_of_loss
from .transforms import grad, jvp, value_and_grad, vjp

__all__ = [
    "backward",
    "check_grads",
    "checkpoint",
    "grad",
    "gradients",
    "gradients_of_loss",
    "jvp",
    "value_and_grad",
    "vjp",
]
