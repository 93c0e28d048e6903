"""`chain`: an optimizer of parts, and which parts may follow which."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from typing import Any

from .named import maker
from .transform import (
    COMBINATIONS,
    DECIDES,
    LOOKS,
    MAKES,
    OPTIMIZERS,
    Optimizer,
    Transformation,
)


@maker(COMBINATIONS)
def chain(*parts: Transformation | Optimizer) -> Optimizer:
    """An optimizer that applies transformations one after the other.

    Args:
        parts: transformations, or optimizers, whose transformations are taken over.

    Raises:
        TypeError: something given is neither.
        ValueError: what works on the new weights (`l1`, `max_norm`, `average_weights`)
            comes before what changes them.

    Example:
        >>> from pellucid import optim
        >>> optim.chain(optim.clip_by_norm(1.0), optim.sgd(0.1)).transformations
        (clip_by_norm(max_norm=1.0), scale_by_learning_rate(learning_rate=0.1))
    """
    flat: list[Transformation] = []
    for part in parts:
        if isinstance(part, Optimizer):
            flat += part.transformations
        elif isinstance(part, Transformation):
            flat.append(part)
        else:
            raise TypeError(f"chain needs transformations or optimizers, received {part!r}")
    _check_order(flat)
    return Optimizer(tuple(flat))


def _check_order(parts: Sequence[Transformation]) -> None:
    """Refuse parts that would change what was settled before."""
    for part, after in itertools.pairwise(parts):
        if part.stage == DECIDES and after.stage != LOOKS:
            raise ValueError(
                f"{after.name} cannot follow {part.name}, which decides on the new weights by "
                "itself; only what looks at them may follow, such as average_weights"
            )
        if after.stage < part.stage:
            *_, last = (p.name for p in parts if p.stage < part.stage)
            raise ValueError(
                f"{part.name} works on the new weights, which {after.name} would change again; "
                f"put it after {last}"
            )
        if after.full_batch and part.penalty is None:
            raise ValueError(
                f"{part.name} cannot come before {after.name}, for which losses and gradients "
                "must belong together; only penalties may, such as l2"
            )
        if after.stage == DECIDES and part.stage != MAKES:
            raise ValueError(
                f"{part.name} cannot come before {after.name}, which decides on the new weights "
                "by itself"
            )


def as_optimizer(given: Any) -> Optimizer:
    """An optimizer from what a user passes.

    Args:
        given: a name in `OPTIMIZERS`, an optimizer, or a function that makes one
            (`optim.adam` without parentheses).

    Raises:
        ValueError: no optimizer has that name.
        TypeError: it is none of these.
    """
    if isinstance(given, Optimizer):
        return given
    if isinstance(given, str):
        if given not in OPTIMIZERS:
            close = difflib.get_close_matches(given, OPTIMIZERS, 1, 0.5)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(
                f"no optimizer is named {given!r}{hint}; there are {', '.join(sorted(OPTIMIZERS))}"
            )
        return OPTIMIZERS[given]()
    if given in OPTIMIZERS.values():
        return given()
    raise TypeError(f"an optimizer is a name or made by optim.adam(...), received {given!r}")


__test__ = {"chain": chain}  # an example that doctest runs
