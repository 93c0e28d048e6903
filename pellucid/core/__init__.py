"""What a computation is; NumPy only.

Nodes and their table (`node`, `elementwise`, `movement`, `random`), tensors and
NumPy's names for them (`tensor`, `indexing`, `functions`), the reference
interpreter, storage, trees. It knows nothing of derivatives of whole graphs, of
machine code, or of layers.
"""

from . import (
    argmax,
    convolution,
    elementwise,
    functions,
    indexing,
    movement,
    pooling,
    random,
    standardize,
    windows,
)
from .node import TABLE, Node, Primitive
from .storage import Cell
from .tensor import Tensor, parameter, tensor

__all__ = [
    "TABLE",
    "Cell",
    "Node",
    "Primitive",
    "Tensor",
    "argmax",
    "convolution",
    "elementwise",
    "functions",
    "indexing",
    "movement",
    "parameter",
    "pooling",
    "random",
    "standardize",
    "tensor",
    "windows",
]
