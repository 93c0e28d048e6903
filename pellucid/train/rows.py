"""Whether a model treats the rows of a batch one by one.

Where it does, a batch may be cut into blocks and filled up with rows of zeros, and
no row's result changes. This looks at the graph, primitive by primitive; what has
no rule here counts as mixing rows, which is slower but never wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pellucid.core.node import Node, topological

SHARED = "shared"  # does not depend on the input, and may differ along its first axis
UNIFORM = "uniform"  # does not depend on the input, and is the same for every row
ROWS = "rows"  # cut into equal parts along the first axis, part i depends on row i only
MIXED = "mixed"  # anything else


def treats_rows_alone(x: Node, y: Node) -> bool:
    """Whether row i of y depends on row i of x only, and on no row's number.

    Args:
        x: the placeholder of the input, at least two rows.
        y: the output.
    """
    batch = x.shape[0]
    found: dict[Node, str] = {}
    for node in topological([y]):
        if node is x:
            found[node] = ROWS
            continue
        kinds = [found[n] for n in node.inputs]
        if MIXED in kinds:
            return False
        rule = _RULES.get(node.name) or _RULES.get(node.primitive.kind)
        if all(kind == SHARED for kind in kinds) and node.name not in ("iota", "broadcast_to"):
            found[node] = SHARED
        else:
            found[node] = MIXED if rule is None else rule(node, kinds, batch)
    return found[y] == ROWS and y.shape[:1] == (batch,)


def _together(node: Node, kinds: list[str], batch: int) -> str:
    """Position by position."""
    if ROWS in kinds:
        return MIXED if SHARED in kinds else ROWS
    return SHARED if SHARED in kinds else UNIFORM


def _if(keeps: Callable[[Node], bool]) -> Any:
    """As the only input, where the first axis is left alone."""
    return lambda node, kinds, batch: kinds[0] if keeps(node) else MIXED


def _broadcast(node: Node, kinds: list[str], batch: int) -> str:
    before, after = node.inputs[0].shape, node.shape
    if before[:1] == after[:1]:
        return kinds[0]
    if kinds[0] != SHARED:
        return MIXED
    return UNIFORM if after[0] % batch == 0 else SHARED


def _reshape(node: Node, kinds: list[str], batch: int) -> str:
    return kinds[0] if node.shape and node.shape[0] % batch == 0 else MIXED


def _matmul(node: Node, kinds: list[str], batch: int) -> str:
    if len(node.shape) > 2:
        return _together(node, kinds, batch)
    return kinds[0] if kinds[1] == SHARED and kinds[0] != SHARED else MIXED


def _tensordot(node: Node, kinds: list[str], batch: int) -> str:
    if node.attr("batch"):
        return _together(node, kinds, batch)
    rows = len(node.inputs[0].shape) > node.attr("depth")
    return kinds[0] if rows and kinds[1] == SHARED and kinds[0] != SHARED else MIXED


def _each(node: Node, kinds: list[str], batch: int) -> str:
    """As the first input, whose elements along its first axis stay apart; others are shared."""
    return kinds[0] if kinds[0] != SHARED and set(kinds[1:]) <= {SHARED} else MIXED


def _whole(node: Node) -> bool:
    first = [node.attr(key)[0] for key in ("start", "stop", "step")]
    return first == [0, node.inputs[0].shape[0], 1]


_RULES: dict[str, Any] = {
    "elementwise": _together,  # the kind: all rows of the table that have no rule below
    "reduction": _if(lambda node: 0 not in node.attr("axes")),
    "iota": lambda node, kinds, batch: SHARED if node.attr("axis") == 0 else UNIFORM,
    "broadcast_to": _broadcast,
    "reshape": _reshape,
    "transpose": _if(lambda node: node.attr("axes")[0] == 0),
    "slice": _if(_whole),
    "flip": _if(lambda node: 0 not in node.attr("axes")),
    "pad": _if(lambda node: not any(node.attr(k)[0] for k in ("before", "after", "between"))),
    "concatenate": lambda node, kinds, batch: (
        MIXED if node.attr("axis") == 0 else _together(node, kinds, batch)
    ),
    "gather": lambda node, kinds, batch: kinds[1] if kinds[0] == SHARED else MIXED,
    "standardize": _if(lambda node: 0 not in node.attr("axes")),
    "matmul": _matmul,
    "tensordot": _tensordot,
    "windows": _each,
    "convolution": _each,
    "diagonal": _if(lambda node: node.attr("first") > 0),
    "kernel_gradient": lambda node, kinds, batch: MIXED,
    "winograd": _each,
    "winograd_kernel": lambda node, kinds, batch: MIXED,
    "winograd_gradient": lambda node, kinds, batch: MIXED,
    "max_pool": _each,
}
