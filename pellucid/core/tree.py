"""Trees of values: dictionaries, lists, tuples and dataclass-free leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """The leaves in order; dictionaries are walked in insertion order."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in leaves(value)]
    return [] if tree is None else [tree]


def map_tree(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """A tree of the same form with the function applied to corresponding leaves."""
    if isinstance(tree, dict):
        return {k: map_tree(function, v, *(o[k] for o in others)) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [map_tree(function, v, *(o[i] for o in others)) for i, v in enumerate(tree)]
        if isinstance(tree, list):
            return parts
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return None if tree is None else function(tree, *others)


def rebuild(tree: Any, new_leaves: list[Any]) -> Any:
    """The tree with its leaves replaced in order."""
    supply = iter(new_leaves)
    return map_tree(lambda _: next(supply), tree)


def named_leaves(tree: Any, name: str = "") -> list[tuple[str, Any]]:
    """The leaves in order, each with its path: keys and positions, joined by dots."""
    if isinstance(tree, dict):
        parts = list(tree.items())
    elif isinstance(tree, list | tuple):
        parts = list(enumerate(tree))
    else:
        return [] if tree is None else [(name, tree)]
    return [
        found
        for key, part in parts
        for found in named_leaves(part, f"{name}.{key}" if name else str(key))
    ]
