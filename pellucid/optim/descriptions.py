"""Optimizers, transformations and schedules from their descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .named import Named, make_again
from .schedules import SCHEDULES
from .transform import COMBINATIONS, OPTIMIZERS, TRANSFORMATIONS

_MAKERS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "optimizer": (OPTIMIZERS, COMBINATIONS),
    "transformation": (TRANSFORMATIONS,),
    "schedule": (SCHEDULES,),
}


def from_description(description: Mapping[str, Any]) -> Any:
    """What was described: the way back from `description()`, through JSON.

    Args:
        description: name and arguments, as `description()` gives them.

    Returns:
        The optimizer, transformation or schedule.

    Raises:
        ValueError: it is no such description, names something unknown, or a function of the
            user's, which a description does not hold.

    Example:
        >>> from pellucid import optim
        >>> rule = optim.chain(optim.clip_by_norm(1.0), optim.adam(optim.cosine(1e-3, 100)))
        >>> repr(optim.from_description(rule.description())) == repr(rule)
        True
    """
    kind = next((kind for kind in _MAKERS if kind in description), None)
    if kind is None or not isinstance(description.get("arguments"), Mapping):
        raise ValueError(
            f"expected the description of an optimizer, a transformation or a schedule, "
            f"received {description!r}"
        )
    name = description[kind]
    known = {key: maker for table in _MAKERS[kind] for key, maker in table.items()}
    maker = known.get(name) if isinstance(name, str) else None
    if maker is None:
        raise ValueError(f"no {kind} is named {name!r}")
    arguments = {key: _value(v) for key, v in description["arguments"].items()}
    try:
        made: Named = make_again(maker, arguments)
    except TypeError as error:
        raise ValueError(f"the description of {kind} {name} does not fit: {error}") from None
    return made


def _value(described: Any) -> Any:
    if isinstance(described, list):
        return tuple(map(_value, described))
    if not isinstance(described, Mapping):
        return described
    if "function" in described:
        raise ValueError(
            f"the function {described['function']} is not part of the description; "
            "give it where the optimizer is made"
        )
    return from_description(described)
