"""Tensor: a handle on a node, with NumPy's operators and names.

Everything here builds nodes of the table's primitives; broadcasting and dtype
promotion are made explicit on the way. Functions composed of these are in
`functions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import node as graph
from .node import Node
from .storage import Cell

DTYPES = tuple(map(np.dtype, ("bool", "int32", "int64", "uint32", "float32", "float64")))

Axis = int | Sequence[int] | None


def supported_dtype(dtype: Any) -> np.dtype:
    """The library's dtype for a NumPy one; others are converted or refused."""
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype in DTYPES:
        return dtype
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    if dtype.kind in "iu":
        return np.dtype(np.int32 if dtype.itemsize < 4 else np.int64)
    raise TypeError(
        f"expected an array of numbers or booleans, received dtype {dtype}; "
        "convert it first, for instance with array.astype('float32')"
    )


class Tensor:
    """An array in a computation: a node of the graph with NumPy's operators.

    In eager mode it has a value, seen with `numpy()`; under a trace it stands
    for the value that a run will give it. Make one with `tensor` or `parameter`.

    Args:
        node: the graph node that it stands for.

    Example:
        >>> import pellucid as pe
        >>> x = pe.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> (x @ x.T).sum().item()
        52.0
    """

    __slots__ = ("__weakref__", "node")
    __array_priority__ = 1000  # NumPy arrays on the left let us handle the operator

    backward: Callable[..., None]  # installed by autodiff, the layer above

    def __init__(self, node: Node) -> None:
        self.node = node

    # -- what it is ---------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype:
        """NumPy dtype of the elements."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.node.shape)

    @property
    def T(self) -> Tensor:
        """The tensor with its axes in reverse order."""
        return transpose(self)

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient that `backward` left here; None before it, or if not a parameter."""
        return None if self.node.cell is None else self.node.cell.grad

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        if self.node.cell is None:
            raise AttributeError("only a parameter holds a gradient; make one with pe.parameter")
        self.node.cell.grad = value

    def numpy(self) -> np.ndarray:
        """The value as a read-only NumPy array.

        Raises:
            ValueError: under a trace, where there is no value yet.
        """
        if self.node.value is None:
            raise ValueError(
                "this tensor has no value: it is part of a traced function, which runs "
                "later; use the library's operations on it instead of NumPy or Python's if"
            )
        view = self.node.value.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The single element as a Python number."""
        return self.numpy().item()

    def assign(self, value: Any) -> None:
        """Give a parameter new values, in place."""
        if self.node.cell is None:
            raise TypeError("only a parameter can be assigned; make one with pe.parameter")
        if graph.is_tracing():
            raise ValueError(
                "a parameter is assigned in a function that is being traced, which would happen "
                "once, not at each run; in a layer keep nn.state and call self.update"
            )
        self.node.cell.assign(value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=True)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions work on the value; shape and axes are known without one."""
        if function in (np.shape, np.ndim, np.size) and not kwargs and len(args) == 1:
            return getattr(self, function.__name__)
        return function(*_values(args), **_values(kwargs))

    def __repr__(self) -> str:
        if self.node.value is None:
            return f"Tensor(traced, shape={self.shape}, dtype={self.dtype.name})"
        text = np.array2string(self.node.value, separator=", ", prefix="Tensor(")
        return f"Tensor({text}, dtype={self.dtype.name})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor with no axes has no length")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    # -- operators ----------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return divide(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(other, self)

    def __neg__(self) -> Tensor:
        return negative(self)

    def __abs__(self) -> Tensor:
        return absolute(self)

    def __lt__(self, other: Any) -> Tensor:
        return less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return less(other, self)

    def __ge__(self, other: Any) -> Tensor:
        return less_equal(other, self)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return equal(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return not_equal(self, other)

    def __and__(self, other: Any) -> Tensor:
        return logical_and(self, other)

    def __or__(self, other: Any) -> Tensor:
        return logical_or(self, other)

    def __invert__(self) -> Tensor:
        return logical_not(self)

    def __getitem__(self, index: Any) -> Tensor:
        from .indexing import getitem  # indexing is built on this module

        return getitem(self, index)

    # -- methods ------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Sum over the axes."""
        return sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Mean over the axes."""
        return mean(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Greatest element over the axes."""
        return max(self, axis, keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one length may be -1."""
        return reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: int) -> Tensor:
        """The tensor with its axes permuted; reversed by default."""
        return transpose(self, axes or None)

    def astype(self, dtype: Any) -> Tensor:
        """The tensor converted to another dtype."""
        return cast(self, dtype)


def _values(part: Any) -> Any:
    """Arguments with NumPy arrays in the place of tensors."""
    if isinstance(part, Tensor):
        return part.numpy()
    if isinstance(part, dict):
        return {key: _values(value) for key, value in part.items()}
    if isinstance(part, list | tuple) and not hasattr(part, "_fields"):
        return type(part)(map(_values, part))
    return part


# -- making tensors ---------------------------------------------------------


def as_array(value: Any) -> np.ndarray:
    """A NumPy array of a supported dtype; Python floats become float32."""
    given = isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__")
    if value is None:
        raise TypeError(
            "expected an array of numbers or booleans, received None; does a function or a "
            "forward return nothing?"
        )
    if isinstance(value, list | tuple) and any(
        isinstance(v, Tensor) and v.node.value is None for v in value
    ):
        raise TypeError(
            f"expected one tensor, received a {type(value).__name__} of tensors of a traced "
            "function; join them with pe.stack or pe.concatenate, or take one"
        )
    array = np.asarray(value)
    if array.dtype == np.float64 and not given:
        array = array.astype(np.float32)
    elif array.dtype == np.int64 and not given and array.size:
        small = bool((array >= -(2**31)).all() and (array < 2**31).all())
        array = array.astype(np.int32) if small else array
    return array.astype(supported_dtype(array.dtype), copy=False)


def tensor(value: Any, dtype: Any = None) -> Tensor:
    """A tensor with the given value, a constant of the computation.

    Args:
        value: numbers, nested lists, a NumPy array or a tensor.
        dtype: NumPy dtype; by default that of the array, and float32 or int32
            for Python numbers.

    Returns:
        A tensor of the value's shape.

    Example:
        >>> import pellucid as pe
        >>> pe.tensor([1, 2, 3]) * 0.5
        Tensor([0.5, 1. , 1.5], dtype=float32)
    """
    if isinstance(value, Tensor):
        return value if dtype is None else cast(value, dtype)
    array = as_array(value) if dtype is None else np.asarray(value, supported_dtype(dtype))
    return Tensor(graph.constant(array if array.ndim == 0 else array.copy()))


def parameter(value: Any, dtype: Any = None, *, name: str = "", role: str = "weight") -> Tensor:
    """A tensor that is learned: `backward` leaves its gradient in `grad`.

    Args:
        value: initial values.
        dtype: NumPy dtype, as for `tensor`.
        name: shown in messages.
        role: "weight" or "bias"; penalties and decay apply to weights only.

    Returns:
        A tensor of the value's shape.

    Example:
        >>> import pellucid as pe
        >>> w = pe.parameter([3.0])
        >>> (w * w).sum().backward()
        >>> w.grad
        array([6.], dtype=float32)
    """
    array = as_array(value) if dtype is None else np.asarray(value, supported_dtype(dtype))
    if array.dtype.kind != "f":
        raise TypeError(f"a parameter needs float32 or float64 values, received {array.dtype}")
    return Tensor(graph.leaf(Cell(array, name=name, role=role, tracked=True)))


def apply(primitive: str, *inputs: Tensor, **attrs: Any) -> Tensor:
    """A primitive applied to tensors."""
    return Tensor(graph.make(primitive, tuple(t.node for t in inputs), **attrs))


# -- broadcasting and promotion ---------------------------------------------


def promote(*dtypes: np.dtype) -> np.dtype:
    """The dtype in which values meet: floating before integer, wide before narrow."""
    floats = [d for d in dtypes if d.kind == "f"]
    return np.result_type(*(floats or dtypes))


def together(*values: Any) -> list[Tensor]:
    """The values as tensors of one dtype and one shape; Python numbers adapt to tensors."""
    strong = [v.dtype for v in values if isinstance(v, Tensor)]
    strong += [
        supported_dtype(v.dtype)
        for v in values
        if not isinstance(v, Tensor) and hasattr(v, "dtype") and np.ndim(v) > 0
    ]
    if strong:
        dtype = promote(*strong)
        weak_float = any(isinstance(v, float | np.floating) for v in values)
        if weak_float and dtype.kind != "f":
            dtype = np.dtype(np.float32)
        elif dtype.kind == "b" and any(
            isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values
        ):
            dtype = np.dtype(np.int32)
    else:
        dtype = promote(*(as_array(v).dtype for v in values))
    tensors = [cast(v, dtype) if isinstance(v, Tensor) else tensor(v, dtype) for v in values]
    return broadcast_together(*tensors)


def broadcast_together(*tensors: Tensor) -> list[Tensor]:
    """The tensors brought to one shape by NumPy's rule."""
    shapes = [t.shape for t in tensors]
    if all(s == shapes[0] for s in shapes):
        return list(tensors)
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise ValueError(
            f"shapes {listed} do not go together: counted from the last axis, "
            "lengths must be equal or 1"
        ) from None
    return [broadcast_to(t, shape) for t in tensors]


def broadcast_to(x: Any, shape: Sequence[int]) -> Tensor:
    """The tensor repeated along new axes and axes of length 1."""
    x, shape = tensor(x), tuple(shape)
    if x.shape == shape:
        return x
    if len(x.shape) < len(shape):
        x = reshape(x, (1,) * (len(shape) - len(x.shape)) + x.shape)
    return x if x.shape == shape else apply("broadcast_to", x, shape=shape)


def cast(x: Any, dtype: Any) -> Tensor:
    """The tensor converted to another dtype."""
    x, dtype = tensor(x), supported_dtype(dtype)
    return x if x.dtype == dtype else apply("cast", x, dtype=dtype.name)


# -- elementwise ------------------------------------------------------------


def _binary(primitive: str, x: Any, y: Any) -> Tensor:
    return apply(primitive, *together(x, y))


def _floating(x: Any) -> Tensor:
    x = tensor(x)
    return x if x.dtype.kind == "f" else cast(x, np.float32)


def _unary(primitive: str, x: Any) -> Tensor:
    return apply(primitive, _floating(x))


def add(x: Any, y: Any) -> Tensor:
    """x + y."""
    return _binary("add", x, y)


def subtract(x: Any, y: Any) -> Tensor:
    """x - y."""
    return _binary("subtract", x, y)


def multiply(x: Any, y: Any) -> Tensor:
    """x * y."""
    return _binary("multiply", x, y)


def divide(x: Any, y: Any) -> Tensor:
    """x / y, floating."""
    x, y = together(x, y)
    return apply("divide", _floating(x), _floating(y))


def power(x: Any, y: Any) -> Tensor:
    """x ** y; small whole exponents and 0.5 become products and a square root."""
    if isinstance(y, int | float) and y in (0.5, 1, 2, 3, 4):
        x = tensor(x)
        if y == 0.5:
            return sqrt(x)
        result = x
        for _ in range(int(y) - 1):
            result = result * x
        return result
    x, y = together(x, y)
    return apply("power", _floating(x), _floating(y))


def maximum(x: Any, y: Any) -> Tensor:
    """The greater of the two; NaN if either is."""
    return _binary("maximum", x, y)


def minimum(x: Any, y: Any) -> Tensor:
    """The lesser of the two; NaN if either is."""
    return _binary("minimum", x, y)


def less(x: Any, y: Any) -> Tensor:
    """x < y."""
    return _binary("less", x, y)


def less_equal(x: Any, y: Any) -> Tensor:
    """x <= y."""
    return _binary("less_equal", x, y)


def equal(x: Any, y: Any) -> Tensor:
    """x == y, element by element."""
    return _binary("equal", x, y)


def not_equal(x: Any, y: Any) -> Tensor:
    """x != y, element by element."""
    return logical_not(equal(x, y))


def logical_and(x: Any, y: Any) -> Tensor:
    """Both are true."""
    return apply("logical_and", *broadcast_together(cast(x, bool), cast(y, bool)))


def logical_or(x: Any, y: Any) -> Tensor:
    """At least one is true."""
    return apply("logical_or", *broadcast_together(cast(x, bool), cast(y, bool)))


def logical_not(x: Any) -> Tensor:
    """It is false."""
    return apply("logical_not", cast(x, bool))


def negative(x: Any) -> Tensor:
    """-x."""
    return apply("negative", tensor(x))


def absolute(x: Any) -> Tensor:
    """Distance from zero."""
    return apply("absolute", tensor(x))


def exp(x: Any) -> Tensor:
    """e ** x."""
    return _unary("exp", x)


def expm1(x: Any) -> Tensor:
    """e ** x - 1, exact near 0."""
    return _unary("expm1", x)


def log(x: Any) -> Tensor:
    """Natural logarithm."""
    return _unary("log", x)


def log1p(x: Any) -> Tensor:
    """ln(1 + x), exact near 0."""
    return _unary("log1p", x)


def sqrt(x: Any) -> Tensor:
    """Square root."""
    return _unary("sqrt", x)


def sin(x: Any) -> Tensor:
    """Sine."""
    return _unary("sin", x)


def cos(x: Any) -> Tensor:
    """Cosine."""
    return _unary("cos", x)


def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent."""
    return _unary("tanh", x)


def sigmoid(x: Any, slope: float = 1.0) -> Tensor:
    """1 / (1 + e ** (-slope * x)), whose derivative is slope * s * (1 - s)."""
    return _unary("sigmoid", x if slope == 1.0 else multiply(_floating(x), slope))


def erf(x: Any) -> Tensor:
    """The error function."""
    return _unary("erf", x)


def floor(x: Any) -> Tensor:
    """The greatest whole number not above x."""
    return _unary("floor", x)


def relu(x: Any) -> Tensor:
    """max(x, 0)."""
    return _unary("relu", x)


def stop_gradient(x: Any) -> Tensor:
    """x itself, a constant to differentiation."""
    return apply("stop_gradient", tensor(x))


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where the condition holds, elsewhere y."""
    x, y = together(x, y)
    condition, x, y = broadcast_together(cast(condition, bool), x, y)
    return apply("where", condition, x, y)


# -- reductions -------------------------------------------------------------


def normalize_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes as sorted numbers from 0; None means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ValueError(f"axis {a} is out of range for a tensor with {ndim} axes")
    found = tuple(sorted({int(a) % ndim for a in axes}))
    if len(found) != len(axes):
        raise ValueError(f"axis {axis} names an axis twice")
    return found


def _reduce(primitive: str, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = tensor(x)
    axes = normalize_axes(axis, x.ndim)
    out = apply(primitive, x, axes=axes) if axes else x
    if keepdims:
        kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        out = reshape(out, kept)
    return out


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over the axes (all by default); booleans are counted."""
    x = tensor(x)
    return _reduce("sum", cast(x, np.int32) if x.dtype.kind == "b" else x, axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Greatest element over the axes (all by default); NaN if one is."""
    return _reduce("max", x, axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over the axes (all by default)."""
    x = _floating(x)
    count = math.prod(x.shape[a] for a in normalize_axes(axis, x.ndim))
    return divide(sum(x, axis, keepdims), float(count))


# -- movement ---------------------------------------------------------------


def reshape(x: Any, shape: int | Sequence[int]) -> Tensor:
    """The same elements in row-major order in another shape; one length may be -1."""
    x = tensor(x)
    wanted = [int(n) for n in ((shape,) if isinstance(shape, int | np.integer) else shape)]
    if wanted.count(-1) == 1:
        rest = -math.prod(wanted)
        if rest > 0 and x.size % rest == 0:
            wanted[wanted.index(-1)] = x.size // rest
    if any(n < 0 for n in wanted) or math.prod(wanted) != x.size:
        raise ValueError(
            f"a tensor of shape {x.shape} ({x.size} elements) cannot take shape {tuple(wanted)}"
        )
    return x if tuple(wanted) == x.shape else apply("reshape", x, shape=tuple(wanted))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """The tensor with its axes permuted; reversed by default."""
    x = tensor(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(int(a) for a in axes)
    if axes is not None:
        order = tuple(a % x.ndim if -x.ndim <= a < x.ndim else a for a in order)
        if sorted(order) != list(range(x.ndim)):
            raise ValueError(f"axes {tuple(axes)} are not a permutation of {x.ndim} axes")
    return x if order == tuple(range(x.ndim)) else apply("transpose", x, axes=order)


# -- contraction ------------------------------------------------------------


def matmul(x: Any, y: Any) -> Tensor:
    """Matrix product over the last axis of x and the last but one of y, as NumPy's `@`."""
    x, y = tensor(x), tensor(y)
    dtype = promote(x.dtype, y.dtype)
    if dtype.kind != "f":
        raise TypeError(f"a matrix product needs floating values, received {x.dtype}, {y.dtype}")
    x, y = cast(x, dtype), cast(y, dtype)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError("a matrix product needs at least one axis on each side")
    if x.ndim == 1:
        return reshape(matmul(reshape(x, (1, -1)), y), y.shape[:-2] + y.shape[-1:] * (y.ndim > 1))
    if y.ndim == 1:
        return reshape(matmul(x, reshape(y, (-1, 1))), x.shape[:-1])
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(
            f"shapes {x.shape} and {y.shape} do not multiply: {x.shape[-1]} columns "
            f"meet {y.shape[-2]} rows"
        )
    if y.ndim == 2 and x.ndim > 2:  # one large product instead of many small ones
        rows = math.prod(x.shape[:-1])
        return reshape(matmul(reshape(x, (rows, x.shape[-1])), y), x.shape[:-1] + y.shape[-1:])
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return apply(
        "matmul",
        broadcast_to(x, batch + x.shape[-2:]),
        broadcast_to(y, batch + y.shape[-2:]),
    )
