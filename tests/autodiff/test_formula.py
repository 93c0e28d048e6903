"""Formulas: every primitive's rule against its value and its derivative, sizes, text, errors."""

from __future__ import annotations

import inspect
import sys
import time

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn
from pellucid.autodiff.differences import central_difference
from pellucid.core import TABLE
from pellucid.core.tensor import apply, cast, tensor
from tests.compiler.cases import Case
from tests.compiler.sliding import convolved, kernel_gradient
from tests.compiler.test_primitives import ROWS, operands

sympy = pytest.importorskip("sympy")

from pellucid.autodiff import symbolic_rules as rules  # noqa: E402 - imports SymPy

KINDS = ("float64", "int32", "bool")
MOST = 33  # symbols of a case


def test_every_primitive_has_a_rule_or_a_reason():
    assert set(rules.RULES) | set(rules.WITHOUT) == set(TABLE)
    assert not set(rules.RULES) & set(rules.WITHOUT)
    assert all(rules.WITHOUT.values())


SMALL = {
    "convolution": [
        convolved((1, 5, 1), (3, 1, 2)),
        convolved((2, 3, 3, 1), (2, 2, 1, 1), before=1),
        convolved((1, 7, 2), (2, 1, 4), 2, dilation=2, groups=2),
        convolved((1, 3, 1), (2, 1, 1), between=1, after=(-1,)),
    ],
    "kernel_gradient": [
        kernel_gradient((1, 5, 1), (3, 1, 2), (3,)),
        kernel_gradient((2, 3, 3, 1), (2, 2, 1, 1), (1, 1), stride=2),
        kernel_gradient((1, 4, 2), (2, 1, 4), (3,), groups=2),
    ],
    "max_pool": [
        Case(((1, 4, 2),), {"size": (2,), "stride": (2,)}),
        Case(((2, 3, 4, 1),), {"size": (2, 2), "stride": (1, 2)}),
    ],
}
"""Where the usual ones are too large."""


def cases(name: str, dtype: str) -> list[Case]:
    """At most nine small uses; whole numbers that wrap around are no part of a formula."""
    sizes = [
        (sum(a.size for a in operands(name, case, dtype)), case)
        for case in [*ROWS[name].cases, *SMALL.get(name, [])]
        if not (case.attrs.get("dtype") == "uint32" and dtype == "int32")
    ]
    small = [case for size, case in sizes if 0 < size <= MOST or not case.operands]
    return [case for size, case in sizes if size == 0][:1] + small[:: len(small) // 8 + 1]


def of_symbols(name: str, case: Case, dtype: str):
    """A weighted sum of the primitive's result, and a point; filled operands are arguments.

    Those of whole numbers and truth values come from floating arguments by conversion.
    """
    arrays = operands(name, case, dtype)
    moving = [i for i, o in enumerate(case.operands) if isinstance(o, tuple)]

    def f(*xs):
        full = [tensor(a) for a in arrays]
        for i, x in zip(moving, xs, strict=True):
            full[i] = cast(x, arrays[i].dtype)
        result = cast(apply(name, *full, **case.attrs), np.float64)
        weights = np.linspace(0.5, 1.5, result.size).reshape(result.shape)
        return (result * weights).sum()

    return f, [arrays[i].astype(np.float64) for i in moving]


EACH = [
    (name, dtype) for name in rules.RULES for dtype in KINDS if dtype in ROWS[name].dtypes
]  # a primitive of whole numbers only, such as iota, is here by int32


@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_rule_has_the_value_and_the_derivative_of_the_primitive(name, dtype):
    chosen = cases(name, dtype)
    assert any(a.size for case in chosen for a in operands(name, case, dtype)) or name == "iota"
    for case in chosen:
        f, points = of_symbols(name, case, dtype)
        formula = pe.symbolic(f, *points)
        rounds = "float32" in case.attrs.values()
        near = {"rtol": 1e-6 if rounds else 1e-12, "atol": 1e-6 if rounds else 1e-12}
        np.testing.assert_allclose(formula(*points), f(*map(tensor, points)).numpy(), **near)
        for i in range(len(points)):
            found = formula.derivative(i)(*points)
            exact = pe.grad(f, i)(*points).numpy()
            np.testing.assert_allclose(found, exact, **near)
            if not rounds and dtype == "float64" and name != "stop_gradient":
                numeric = central_difference(f, *points, argument=i)
                np.testing.assert_allclose(found, numeric.value, rtol=1e-6, atol=1e-7)


def test_all_rules_were_tried():
    assert {name for name, _ in EACH} == set(rules.RULES)


COMPOSED = {
    "softmax": lambda x: (pe.softmax(x) * pe.softmax(x)).sum(),
    "logsumexp": pe.logsumexp,
    "softplus": lambda x: pe.softplus(x).sum(),
    "variance": pe.var,
    "clip": lambda x: (pe.clip(x, -0.5, 0.7) * x).sum(),
    "least": lambda x: pe.min(x) * pe.max(x),
    "argmax": lambda x: pe.argmax(x) * x[0],
    "one hot": lambda x: (pe.one_hot([2, 0], 3, np.float64) @ x).sum(),
    "cases": lambda x: pe.where((x > 0) & ~(x > 1) | (x == 0.3), x**3, pe.exp(x)).sum(),
    "stopped": lambda x: (pe.stop_gradient(x) * x).sum(),
    "a distance": lambda x: pe.absolute(pe.log(pe.absolute(x)) + x[::-1]).sum(),
    "constants": lambda x: (x * pe.tensor([0.1, 3.0, 2.5]) + 1e-3).sum() / 3,
    "a column": lambda x: (x[:, None] * x)[1].sum() + x[[0, 0, 2]].sum(),
    "a power": lambda x: (x * x + 0.5)[1] ** x[2],
    "gelu": lambda x: nn.gelu(x).sum(),
    "cross-entropy": lambda x: nn.cross_entropy(pe.reshape(x, (1, 3)), [1]),
}
AT = np.array([0.3, -1.2, 0.9])


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_functions(name):
    f = COMPOSED[name]
    formula = pe.symbolic(f, AT)
    assert formula(AT) == pytest.approx(f(tensor(AT)).item(), rel=1e-12)
    exact = pe.grad(f)(AT).numpy()
    np.testing.assert_allclose(formula.derivative()(AT), exact, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", COMPOSED)
def test_the_chain_rule_agrees_with_sympy(name):
    """SymPy's `diff` walks the tree by its own rules; both are evaluated by SymPy."""
    formula = pe.symbolic(COMPOSED[name], AT)
    if formula.expression.has(rules.stop_gradient, sympy.Abs, rules.floor):
        pytest.skip("functions whose derivative SymPy does not know")
    symbols = formula.symbols[next(iter(formula.symbols))]
    point = dict(zip(symbols, map(sympy.Float, AT), strict=True))
    for symbol, ours in zip(symbols, formula.derivative().elements, strict=True):
        theirs = formula.expression.diff(symbol)
        assert float(ours.subs(point)) == pytest.approx(float(theirs.subs(point)), abs=1e-12)


def test_a_row_chosen_by_an_argument():
    """Numbers of rows that depend on the arguments become cases; outside, the nearest row."""
    table = np.array([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]])

    def f(x, i):
        taken = apply("gather", x, cast(i, np.int32))
        placed = apply("scatter_add", x, cast(i, np.int32), taken * taken)
        return (taken * 2.0).sum() + (placed * table).sum()

    formula = pe.symbolic(f, table, [0.0, 1.0])
    for rows in ([0.0, 2.0], [1.4, 1.0], [-3.0, 9.0]):
        assert formula(table, rows) == f(tensor(table), tensor(np.array(rows))).item()
        exact = pe.grad(f)(table, np.array(rows)).numpy()
        np.testing.assert_array_equal(formula.derivative(0)(table, rows), exact)


def test_parameters_of_a_model_are_numbers():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)).astype(np.float64)
    formula = pe.symbolic(lambda x: model(x), [[0.5, -1.0]])
    assert formula.expression.free_symbols == set(formula.symbols["x"].flat)
    assert formula([[0.2, 0.7]]) == pytest.approx(model(np.array([[0.2, 0.7]])).numpy(), rel=1e-12)
    assert formula.elements.shape == (1, 1)


def test_a_formula_of_several_elements_has_a_jacobian():
    formula = pe.symbolic(lambda x, w: pe.tanh(x) * w, [0.3, 2.0], 0.5)
    assert formula.derivative("x").elements.shape == (2, 2)
    assert formula.derivative("w").elements.shape == (2,)
    found = formula.derivative("x")([0.3, 2.0], 0.5)
    np.testing.assert_allclose(found, np.diag(0.5 * (1 - np.tanh([0.3, 2.0]) ** 2)), rtol=1e-14)
    second = pe.symbolic(lambda x: x**3, 2.0).derivative().derivative()
    assert str(second) == "6*x" and second(2.0) == 12.0


def test_text():
    f = pe.symbolic(lambda x, y, z: (x + y) * z, -2, 5, -4)
    assert str(f) == repr(f) == "z*(x + y)"
    assert f._repr_latex_() == r"$\displaystyle z \left(x + y\right)$"
    assert str(f.derivative("z")) == "x + y"
    assert str(pe.symbolic(lambda w: w * w, [[1.0, 2.0]])) == "[[w_0_0**2, w_0_1**2]]"
    assert "w_{0 1}" in pe.symbolic(lambda w: w * w, [[1.0, 2.0]])._repr_latex_()
    assert str(pe.symbolic(lambda x: x * 0.5 + 0.1, 1.0)) == "x/2 + 0.1"
    assert str(pe.symbolic(pe.relu, 1.0)) == "Max(0, x)"
    assert str(pe.symbolic(lambda a: pe.where(a < 0, -a, 2 * a), 1.0)) == (
        "Piecewise((-a, a < 0), (2*a, True))"
    )


NAMES = {
    "by the function": (lambda weight, bias: weight + bias, ["weight", "bias"]),
    "one for all": (lambda *xs: xs[0] + xs[1], ["x0", "x1"]),
    "like functions": (lambda exp, sin: pe.exp(exp) * sin, ["exp", "sin"]),
    "with options": (lambda x, y, scale=2.0: x * y * scale, ["x", "y"]),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_symbols(name):
    f, expected = NAMES[name]
    formula = pe.symbolic(f, 0.5, 0.25)
    assert list(formula.symbols) == expected
    assert formula(0.5, 0.25) == pytest.approx(f(*map(tensor, (0.5, 0.25))).item(), rel=1e-6)


COUNTED = {
    "x + y - z": 2,
    "-x": 0,
    "x*y*z": 2,
    "x/y": 1,
    "1/y": 1,
    "1/(x*y)": 2,
    "x**3": 1,
    "1/(1 + exp(-x))": 3,
    "Max(x, y, z)": 2,
    "(x + y)*(x + y + z)": 4,
    "Piecewise((x, x < y), (z, True))": 2,
    "3/4": 0,
}


@pytest.mark.parametrize("text", COUNTED)
def test_operations_are_counted_as_on_paper(text):
    element = sympy.parse_expr(text)
    formula = type(pe.symbolic(lambda x: x, 0.0))(np.array(element, object), {})
    assert formula.operations == COUNTED[text]


def logistic_map(depth: int):
    """4 x (1 - x) again and again: each turn uses the last one twice."""

    def f(x):
        for _ in range(depth):
            x = 4 * x * (1 - x)
        return x

    return f


def test_the_derivative_of_a_formula_grows_exponentially_and_the_graph_linearly():
    """Baydin, Pearlmutter, Radul, Siskind: Automatic differentiation in machine learning (2018)."""
    depths = (4, 8, 12, 16)
    found = [pe.three_ways(logistic_map(d), 0.3) for d in depths]
    values = [f.operations for f in found]
    slopes = [f.derivative_operations for f in found]
    graphs = [f.gradient_nodes for f in found]
    for small, large in zip(values, values[1:], strict=False):
        assert large > 15 * small  # 2 ** 4 = 16 for four more turns
    for small, large in zip(slopes, slopes[1:], strict=False):
        assert large > 20 * small
    steps = np.diff(graphs)
    assert (steps == steps[0]).all() and graphs[-1] < 15 * depths[-1]
    for each in found:
        np.testing.assert_allclose(each.symbolic, each.backpropagation, rtol=1e-8)


def test_what_is_too_large_to_be_written_is_still_counted_and_evaluated():
    began = time.perf_counter()
    slope = pe.symbolic(logistic_map(24), 0.3).derivative()
    assert slope.operations > 10**9
    exact = pe.grad(logistic_map(24))(np.float64(0.3)).item()
    assert slope(0.3) == pytest.approx(exact, rel=1e-4)  # the map is chaotic
    assert str(slope) == f"a formula of {slope.operations:,} operations"
    assert slope._repr_latex_() is None
    assert time.perf_counter() - began < 60


def test_a_value_that_is_not_real_is_no_number():
    assert np.isnan(pe.symbolic(lambda x: pe.log(x), 1.0)(-2.0))
    assert np.isnan(pe.symbolic(lambda x: x + pe.log(pe.tensor(-1.0)), 1.0)(-2.0))
    assert pe.symbolic(lambda x: 1 / x, 1.0)(0.0) == np.inf


ERRORS = {
    "random": (
        lambda: pe.symbolic(lambda x: x * pe.random.uniform(()), 1.0),
        "random_bits has no formula: random numbers are drawn",
    ),
    "many symbols": (lambda: pe.symbolic(pe.sum, np.zeros((20, 10))), "a formula of 200 symbols"),
    "many elements": (
        lambda: pe.symbolic(lambda x: (x * np.zeros(20_000)).sum(), 1.0),
        "more than 10,000 elements",
    ),
    "no such name": (
        lambda: pe.symbolic(lambda x, y: x * y, 1.0, 2.0).derivative("z"),
        "no argument 'z' in this formula; it has x, y",
    ),
    "no such position": (
        lambda: pe.symbolic(lambda x, y: x * y, 1.0, 2.0).derivative(2),
        "no argument 2 in this formula",
    ),
    "other shapes": (
        lambda: pe.symbolic(lambda x: x.sum(), [1.0, 2.0])([1.0, 2.0, 3.0]),
        r"arguments x of shapes \[\(2,\)\], received shapes \[\(3,\)\]",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_without_sympy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ImportError, match=r"need SymPy: .*pip install 'pellucid\[symbolic\]'"):
        pe.symbolic(lambda x: x, 1.0)


def test_the_names_are_where_people_look():
    for name in ("symbolic", "three_ways", "central_difference", "forward_difference"):
        assert inspect.isfunction(getattr(pe.autodiff, name))
    assert pe.symbolic is pe.autodiff.symbolic and pe.three_ways is pe.autodiff.three_ways
    with pytest.raises(AttributeError, match="no attribute 'symbolics'"):
        pe.autodiff.symbolics  # noqa: B018
