"""Tensors against NumPy: operators, functions, dtypes, errors, and what they keep alive."""

from __future__ import annotations

import copy
import gc
import operator
import pickle
import weakref

import numpy as np
import pytest

import pellucid as pe
from pellucid.core.node import placeholder
from pellucid.core.tensor import DTYPES, Tensor

X = np.array([[0.5, -1.5, 2.0], [3.0, -0.25, 1.0]])
Y = np.array([[1.5, 2.5, -2.0], [0.5, 4.0, 1.0]])
ROW, COLUMN = np.array([1.0, -2.0, 0.5]), np.array([[2.0], [-1.0]])
I, J = np.array([[1, 2, 3], [4, 5, 6]], np.int32), np.array([3, 2, 1], np.int32)  # noqa: E741
B, C = np.array([True, False, True]), np.array([True, True, False])

ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv)
COMPARISON = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)


@pytest.mark.parametrize("f", ARITHMETIC + COMPARISON)
@pytest.mark.parametrize(
    ("x", "y"),
    [(X, Y), (X, ROW), (ROW, X), (X, COLUMN), (ROW, COLUMN), (X, 2.0), (3.0, X), (X, 2), (I, J)]
    + [
        (I, 2),
        (4, I),
        (X, np.float64(0.5)),
        (np.float64(0.5), X),
        (X, np.array(2.0)),
        (X[0], X[1]),
    ],
)
def test_operators(f, x, y):
    right = f(x, y)
    a = pe.tensor(x) if isinstance(x, np.ndarray) else x
    b = pe.tensor(y) if isinstance(y, np.ndarray) else y
    for found in (
        f(a, b),
        f(a, y) if isinstance(a, Tensor) else None,
        f(x, b) if isinstance(b, Tensor) else None,
    ):
        if found is None:
            continue
        assert isinstance(found, Tensor)
        assert found.shape == right.shape
        np.testing.assert_allclose(found.numpy(), right, rtol=1e-6)


EXPRESSIONS = {
    "-x": (lambda x: -x, X),
    "abs(x)": (abs, X),
    "x ** 2": (lambda x: x**2, X),
    "x ** 3": (lambda x: x**3, X),
    "x ** 0": (lambda x: x**0, X),
    "x ** -1": (lambda x: x**-1.0, X),
    "x ** 0.5": (lambda x: x**0.5, abs(X)),
    "x ** 1.7": (lambda x: x**1.7, abs(X)),
    "2 ** x": (lambda x: 2.0**x, X),
    "x ** y": (lambda x, y: abs(x) ** y, X, Y),
    "i ** 2": (lambda i: i**2, I),
    "x @ y": (lambda x, y: x @ y.T, X, Y),
    "x @ v": (lambda x, v: x @ v, X, ROW),
    "v @ v": (lambda v, w: v @ w, ROW, ROW),
    "v @ x": (lambda v, x: v @ x.T, ROW, X),
    "batch @ batch": (lambda x: x.reshape(1, 2, 3) @ x.reshape(2, 3, 1), X),
    "batch @ v": (lambda x, v: x.reshape(2, 1, 3) @ v, X, ROW),
    "v @ batch": (lambda x, v: v @ x.reshape(2, 3, 1), X, ROW),
    "x.T": (lambda x: x.T, X),
    "v.T": (lambda v: v.T, ROW),
    "x.sum()": (lambda x: x.sum(), X),
    "x.sum(axis)": (lambda x: x.sum(1), X),
    "x.sum(keepdims)": (lambda x: x.sum(axis=-1, keepdims=True), X),
    "x.sum(axes)": (lambda x: x.sum((0, 1)), X),
    "x.sum(no axes)": (lambda x: x.sum(()), X),
    "x.mean": (lambda x: x.mean(0), X),
    "i.mean": (lambda i: i.mean(), I),
    "x.max": (lambda x: x.max(axis=1), X),
    "b.sum": (lambda b: b.sum(), B),
    "b.max": (lambda b: b.max(), B),
    "x.reshape": (lambda x: x.reshape(3, 2), X),
    "x.reshape(-1)": (lambda x: x.reshape(-1), X),
    "x.reshape(tuple)": (lambda x: x.reshape((1, -1, 2)), X),
    "x.transpose": (lambda x: x.transpose(), X),
    "x.transpose(axes)": (lambda x: x.reshape(1, 2, 3).transpose(2, 0, 1), X),
    "x.astype": (lambda x: x.astype(np.int32), X),
    "b & c": (lambda b, c: b & c, B, C),
    "b | c": (lambda b, c: b | c, B, C),
    "~b": (lambda b: ~b, B),
    "long": (lambda x, y: ((x - x.mean()) * y + 1) / (abs(y) + 2) - x**2 * 0.5, X, Y),
    "len": (lambda x: np.float64(len(x)), X),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name):
    f, *arrays = EXPRESSIONS[name]
    found, right = f(*map(pe.tensor, arrays)), f(*arrays)
    assert np.shape(found) == np.shape(right)
    np.testing.assert_allclose(np.asarray(found), right, rtol=1e-6)


FUNCTIONS = {
    "exp": (pe.exp, np.exp, X),
    "expm1": (pe.expm1, np.expm1, X),
    "log": (pe.log, np.log, abs(X)),
    "log1p": (pe.log1p, np.log1p, abs(X)),
    "sqrt": (pe.sqrt, np.sqrt, abs(X)),
    "sin": (pe.sin, np.sin, X),
    "cos": (pe.cos, np.cos, X),
    "tanh": (pe.tanh, np.tanh, X),
    "sigmoid": (pe.sigmoid, lambda x: 1 / (1 + np.exp(-x)), X),
    "relu": (pe.relu, lambda x: np.maximum(x, 0), X),
    "floor": (pe.floor, np.floor, X),
    "absolute": (pe.absolute, np.abs, X),
    "maximum": (pe.maximum, np.maximum, X, Y),
    "minimum": (pe.minimum, np.minimum, X, Y),
    "min": (lambda x: pe.min(x, 1), lambda x: np.min(x, 1), X),
    "var": (lambda x: pe.var(x, 0, True), lambda x: np.var(x, 0, keepdims=True), X),
    "clip": (lambda x: pe.clip(x, -1.0, 1.0), lambda x: np.clip(x, -1, 1), X),
    "square": (pe.square, np.square, X),
    "where": (lambda x, y: pe.where(x > y, x, 0.0), lambda x, y: np.where(x > y, x, 0), X, Y),
    "argmax": (pe.argmax, lambda x: np.argmax(x, -1), X),
    "argmax axis": (lambda x: pe.argmax(x, 0), lambda x: np.argmax(x, 0), X),
    "concatenate": (lambda *a: pe.concatenate(a), lambda *a: np.concatenate(a), X, Y),
    "concatenate axis": (lambda *a: pe.concatenate(a, -1), lambda *a: np.concatenate(a, -1), X, Y),
    "stack": (lambda *a: pe.stack(a, 1), lambda *a: np.stack(a, 1), X, Y),
    "stack last": (lambda *a: pe.stack(a, -1), lambda *a: np.stack(a, -1), X, Y),
    "zeros": (lambda x: pe.zeros(x.shape), lambda x: np.zeros(x.shape), X),
    "ones": (lambda x: pe.ones((2, 0)), lambda x: np.ones((2, 0)), X),
    "arange": (lambda x: pe.arange(5), lambda x: np.arange(5), X),
    "logsumexp": (pe.logsumexp, lambda x: np.log(np.exp(x).sum(-1)), X),
    "logsumexp all": (
        lambda x: pe.logsumexp(x, None, True),
        lambda x: np.log(np.exp(x).sum(keepdims=True)),
        X,
    ),
    "softmax": (pe.softmax, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True), X),
    "log_softmax": (
        lambda x: pe.log_softmax(x, 0),
        lambda x: x - np.log(np.exp(x).sum(0)),
        X,
    ),
    "softplus": (pe.softplus, lambda x: np.log1p(np.exp(x)), X),
    "take": (lambda x, i: pe.take(x, i), lambda x, i: np.take(x, i, 0), X, np.array([[1, -1, 0]])),
    "one_hot": (lambda i: pe.one_hot(i, 4), lambda i: np.eye(4)[i], np.array([[0, 3], [2, 2]])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    ours, numpys, *arrays = FUNCTIONS[name]
    found, right = ours(*map(pe.tensor, arrays)), numpys(*arrays)
    assert found.shape == np.shape(right)
    np.testing.assert_allclose(found.numpy(), right, rtol=1e-6, atol=1e-12)


def test_erf_against_its_table():
    known = [0.0, 0.1124629160, 0.5204998778, 0.8427007929, 0.9953222650, 0.9999779095]
    x = pe.tensor(np.array([0.0, 0.1, 0.5, 1.0, 2.0, 3.0]))
    np.testing.assert_allclose(pe.erf(x).numpy(), known, atol=1e-10)
    np.testing.assert_allclose(pe.erf(-x).numpy(), -np.array(known), atol=1e-10)


def test_no_overflow_far_out():
    far = np.array([-1e4, -50.0, 0.0, 50.0, 1e4])
    np.testing.assert_allclose(pe.sigmoid(far).numpy(), [0, 0, 0.5, 1, 1], atol=1e-20)
    np.testing.assert_allclose(pe.softplus(far).numpy(), [0, 0, np.log(2), 50, 1e4], atol=1e-20)
    np.testing.assert_allclose(pe.softmax(far).numpy(), [0, 0, 0, 0, 1], atol=1e-20)
    assert pe.logsumexp(far).item() == 1e4
    assert pe.logsumexp(-far * 0 - np.inf).item() == -np.inf
    assert pe.logsumexp(np.array([np.inf, 1.0])).item() == np.inf


def test_argmax_takes_the_first_and_a_nan():
    rows = np.array([[1, 3, 3], [2, 2, 2], [1, np.nan, 5], [-np.inf] * 3])
    np.testing.assert_array_equal(pe.argmax(rows).numpy(), np.argmax(rows, -1))


def test_one_hot_out_of_range_is_a_row_of_zeros():
    np.testing.assert_array_equal(pe.one_hot([-1, 3], 3).numpy(), np.zeros((2, 3)))


# -- dtypes --------------------------------------------------------------------------

f32, f64, i32, i64, u32, b1 = (np.dtype(d) for d in ("f4", "f8", "i4", "i8", "u4", "?"))


def array(dtype):
    return pe.tensor(np.ones(2, dtype))


@pytest.mark.parametrize(
    ("x", "y", "dtype"),
    [
        (array(f32), array(f32), f32),
        (array(f32), array(f64), f64),
        (array(f32), array(i64), f32),  # floating before integer
        (array(f64), array(i32), f64),
        (array(i32), array(i64), i64),
        (array(i32), array(b1), i32),
        (array(f32), array(b1), f32),
        (array(b1), array(b1), b1),
        (array(f32), 2, f32),  # Python numbers adapt
        (array(f32), 2.5, f32),
        (array(f32), np.float64(2.5), f32),
        (array(f32), True, f32),
        (array(i32), 2, i32),
        (array(i32), 2.5, f32),
        (array(i64), 2.5, f32),
        (array(b1), 2, i32),
        (array(b1), 2.5, f32),
        (array(f32), np.ones(2), f64),
        (array(i32), np.ones(2, np.float32), f32),
        (array(f32), [1.0, 2.0], f32),
        (pe.tensor(1.0), array(f64), f64),
    ],
)
def test_promotion(x, y, dtype):
    assert (x * y).dtype == dtype
    assert (y * x).dtype == dtype
    assert pe.where(array(b1), x, y).dtype == dtype


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, f32),
        ([1.5, 2], f32),
        (1, i32),
        ([1, 2], i32),
        (2**40, i64),
        ([], f32),
        (True, b1),
        (np.float64(1.5), f64),
        (np.ones(2), f64),
        (np.ones(2, np.float16), f32),
        (np.ones(2, np.int8), i32),
        (np.ones(2, np.uint8), i32),
        (np.ones(2, np.uint64), i64),
        (np.ones(2, np.uint32), u32),
    ],
)
def test_dtype_of_a_new_tensor(value, dtype):
    assert pe.tensor(value).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_can_be_asked_for(dtype):
    t = pe.tensor([0, 1, 2], dtype)
    assert t.dtype == dtype
    np.testing.assert_array_equal(t.numpy(), np.array([0, 1, 2]).astype(dtype))


def test_integers_divide_to_floats():
    assert (pe.tensor([1, 2]) / pe.tensor([2, 2])).dtype == f32
    assert (pe.tensor([1, 2]) / 2).numpy().tolist() == [0.5, 1.0]
    assert pe.exp(pe.tensor([0])).dtype == f32
    assert pe.mean(pe.tensor([True, False])).item() == 0.5


def test_whole_numbers_are_cut_not_wrapped():
    wild = np.array([1e10, -1e10, 2.7, -2.7, np.nan, np.inf, -np.inf], np.float32)
    top, bottom = 2**31 - 1, -(2**31)
    found = pe.tensor(wild).astype(np.int32).numpy()
    np.testing.assert_array_equal(found, [top, bottom, 2, -2, 0, top, bottom])
    found = pe.tensor(wild).astype(np.uint32).numpy()
    np.testing.assert_array_equal(found, [2**32 - 1, 0, 2, 0, 0, 2**32 - 1, 0])


@pytest.mark.parametrize("value", [["a"], np.array([1j]), np.array([object()]), "text", None])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="expected an array of numbers or booleans"):
        pe.tensor(value)


# -- errors --------------------------------------------------------------------------

WRONG = {
    "shapes": (lambda x: x + pe.zeros((4,)), ValueError, r"\(2, 3\) and \(4,\) do not go together"),
    "product": (lambda x: x @ x, ValueError, "3 columns meet 2 rows"),
    "product of a number": (lambda x: x @ pe.tensor(1.0), ValueError, "at least one axis"),
    "product of integers": (
        lambda x: pe.tensor(I) @ pe.tensor(J),
        TypeError,
        "needs floating values, received int32, int32",
    ),
    "reshape": (lambda x: x.reshape(4, 2), ValueError, r"shape \(2, 3\) \(6 elements\) cannot"),
    "reshape twice unknown": (lambda x: x.reshape(-1, -1), ValueError, "cannot take shape"),
    "reshape unknown": (lambda x: x.reshape(-1, 4), ValueError, "cannot take shape"),
    "transpose": (lambda x: x.transpose(0, 0), ValueError, "not a permutation of 2 axes"),
    "axis": (lambda x: x.sum(2), ValueError, "axis 2 is out of range"),
    "axis twice": (lambda x: x.sum((0, -2)), ValueError, "names an axis twice"),
    "max of nothing": (lambda x: x[:0].max(), ValueError, "maximum of no elements"),
    "broadcast": (
        lambda x: pe.where(x > 0, x, pe.zeros((2,))),
        ValueError,
        "do not go together",
    ),
    "concatenate": (lambda x: pe.concatenate([x, x[:, :2]]), ValueError, "needs equal other axes"),
    "concatenate none": (lambda x: pe.concatenate([]), ValueError, "at least one tensor"),
    "stack none": (lambda x: pe.stack([]), ValueError, "at least one tensor"),
    "assign": (lambda x: x.assign(X), TypeError, "only a parameter can be assigned"),
    "grad": (lambda x: setattr(x, "grad", X), AttributeError, "only a parameter holds a gradient"),
    "length": (lambda x: len(x.sum()), TypeError, "no axes has no length"),
    "integer parameter": (lambda x: pe.parameter([1, 2]), TypeError, "needs float32 or float64"),
    "write": (lambda x: x.numpy().__setitem__(0, 1.0), ValueError, "read-only"),
    "sum with text": (lambda x: x + ["a"], ValueError, "could not convert string"),
    "truth of many": (lambda x: bool(x), ValueError, "ambiguous"),
    "parameter of another shape": (
        lambda x: pe.parameter(X).assign(ROW),
        ValueError,
        r"has shape \(2, 3\), received a value of shape \(3,\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_was_received(name):
    f, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        f(pe.tensor(X))


def test_no_warning_from_numpy():
    x = pe.tensor([0.0, -1.0, 1e38])
    for f in (pe.log, pe.sqrt, pe.exp, lambda x: 1 / x, lambda x: x * x, lambda x: x**-1.5):
        assert f(x).shape == (3,)


# -- single values, copies, lifetimes ---------------------------------------------------


def test_single_values():
    x = pe.tensor(2.5)
    assert (float(x), int(x), bool(x), x.item(), x.size, x.ndim) == (2.5, 2, True, 2.5, 1, 0)
    assert [float(v) for v in pe.tensor([1.0, 2.0])] == [1.0, 2.0]
    assert repr(pe.tensor([1, 2])) == "Tensor([1, 2], dtype=int32)"
    assert repr(Tensor(placeholder((2,), f32))) == "Tensor(traced, shape=(2,), dtype=float32)"
    assert len({x, x, pe.tensor(2.5)}) == 2


def test_a_tensor_holds_values_of_its_own():
    given = np.ones(3)
    t = pe.tensor(given)
    given[0] = 5
    np.testing.assert_array_equal(t.numpy(), 1.0)
    copied = np.array(t)
    copied[0] = 7
    np.testing.assert_array_equal(np.asarray(t), 1.0)


def test_a_traced_tensor_has_no_value():
    t = Tensor(placeholder((2,), f32))
    for f in (np.asarray, bool, float, Tensor.item, lambda t: t + 1.0 > 2.0 and 1):
        with pytest.raises(ValueError, match="part of a traced function"):
            f(t)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies_hold_the_value(again):
    w = pe.parameter([[1.0, 2.0]], name="w", role="bias")
    for t in (pe.tensor(X), w, w * 2.0):
        found = again(t)
        np.testing.assert_array_equal(found.numpy(), t.numpy())
        assert found.dtype == t.dtype
    twin = copy.deepcopy(w)
    twin.assign([[5.0, 6.0]])
    np.testing.assert_array_equal(w.numpy(), [[1.0, 2.0]])
    assert (twin.node.cell.name, twin.node.cell.role) == ("w", "bias")
    with pytest.raises(TypeError, match="no value to copy"):
        copy.deepcopy(Tensor(placeholder((2,), f32)))


def test_a_parameter_changes_in_place():
    w = pe.parameter([1.0, 2.0])
    held = w.numpy()
    w.assign([3.0, 4.0])
    np.testing.assert_array_equal(held, [3.0, 4.0])
    np.testing.assert_array_equal((w * 2.0).numpy(), [6.0, 8.0])


def test_values_without_parameters_keep_no_graph():
    x = pe.tensor(np.ones(1000))
    start = weakref.ref(x.node)
    y = pe.exp(x) * 2.0
    assert y.node.inputs == ()
    del x
    assert start() is None


def test_a_loss_keeps_its_graph_and_lets_it_go():
    w = pe.parameter(np.ones(1000))
    hidden = w * 2.0
    kept = weakref.ref(hidden.node)
    loss = (hidden * hidden).sum()
    del hidden
    assert kept() is not None
    loss.backward()
    del loss
    gc.collect()
    assert kept() is None
    np.testing.assert_array_equal(w.grad, np.full(1000, 8.0))


def test_a_long_loop_does_not_grow():
    total = pe.tensor(0.0)
    seen = []
    for _ in range(50):
        total = total + 1.0
        seen.append(weakref.ref(total.node))
    assert total.item() == 50.0
    assert [r() for r in seen[:-1]] == [None] * 49
