"""Trees of values: taken apart and put together again in one order."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from pellucid.core.tree import leaves, map_tree, rebuild


class Pair(NamedTuple):
    first: Any
    second: Any


TREES = [
    (5, [5]),
    (None, []),
    ([], []),
    ({}, []),
    ([1, (2, 3), {"a": 4, "b": [5]}], [1, 2, 3, 4, 5]),
    ({"b": 1, "a": 2}, [1, 2]),  # in the order of insertion
    (Pair(1, Pair(None, 2)), [1, 2]),
    ((1, None, [None, 2]), [1, 2]),
    ("text", ["text"]),
]


@pytest.mark.parametrize(("tree", "expected"), TREES)
def test_leaves_and_back(tree, expected):
    assert leaves(tree) == expected
    assert rebuild(tree, expected) == tree
    again = map_tree(lambda x: x, tree)
    assert again == tree and type(again) is type(tree)


def test_several_trees_at_once():
    tree, other = {"a": [1, 2], "b": Pair(3, None)}, {"a": (10, 20), "b": Pair(30, 99)}
    found = map_tree(lambda x, y: x + y, tree, other)
    assert found == {"a": [11, 22], "b": Pair(33, None)}
    assert isinstance(found["b"], Pair)


def test_a_leaf_may_become_a_tree():
    assert map_tree(lambda x: [x, x], {"a": 1}) == {"a": [1, 1]}
