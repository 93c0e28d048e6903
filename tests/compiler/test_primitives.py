"""Every primitive of the table: compiled as the reference, differentiated rightly, same bits.

A row of `ROWS` gives operands and attributes; each check runs over all rows and has
no code for any of them. `test_every_primitive_has_a_row` fails when one is missing.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler.program import CompiledProgram
from pellucid.core import TABLE
from pellucid.core.node import Node
from pellucid.core.program import Computation
from pellucid.core.tensor import Tensor, apply, tensor
from tests.programs import bits, processor, reference, run, same_processors, threads, trace
from tests.tables import ALL, EDGES, FLOATS, NUMBERS, SHAPES, SPECIAL, filled

from .cases import Case, Row
from .intervals import UNITS, exactly, terms
from .sliding import SLIDING

ROWS: dict[str, Row] = {}
LARGE = (217, 150)


def elementwise(name: str, operands: int = 1, **settings: Any) -> None:
    cases = [Case((shape,) * operands) for shape in SHAPES]
    ROWS[name] = Row(cases, Case((LARGE,) * operands), **settings)


for name in ("exp", "expm1", "sin", "cos", "tanh", "sigmoid", "erf", "floor"):
    elementwise(name)
for name, low, high in (("log", 0.1, 3), ("log1p", -0.9, 3), ("sqrt", 0.1, 4)):
    elementwise(name, low=low, high=high)
elementwise("negative", dtypes=NUMBERS)
elementwise("absolute", dtypes=ALL)
elementwise("relu", dtypes=ALL)
for name in ("add", "multiply", "maximum", "minimum", "less", "less_equal", "equal"):
    elementwise(name, 2, dtypes=ALL)
elementwise("subtract", 2, dtypes=NUMBERS)
elementwise("divide", 2, low=0.2, high=2)
elementwise("power", 2, low=0.1, high=3)
elementwise("logical_and", 2, dtypes=("bool",))
elementwise("logical_or", 2, dtypes=("bool",))
elementwise("logical_not", dtypes=("bool",))
elementwise("stop_gradient", dtypes=ALL)


def mask(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).random(shape) < 0.5


ROWS["where"] = Row(
    [Case((mask(shape), shape, shape)) for shape in SHAPES],
    Case((mask(LARGE), LARGE, LARGE)),
    dtypes=ALL,
)
ROWS["cast"] = Row(
    [Case(((n,),), {"dtype": dtype}) for dtype in ALL for n in (0, 1, 17)]
    + [Case(((2, 33),), {"dtype": "float32"})],
    Case((LARGE,), {"dtype": "float64"}),
    dtypes=ALL,
    high=100.0,
)
ROWS["alias"] = Row(
    [Case((shape,), {"number": 0}) for shape in ((), (0,), (17,), (2, 3))],
    Case((LARGE,), {"number": 0}),
    dtypes=ALL,
)


def subsets(rank: int) -> Iterator[tuple[int, ...]]:
    for size in range(1, rank + 1):
        yield from itertools.combinations(range(rank), size)


def reductions(shapes: list[tuple[int, ...]]) -> list[Case]:
    return [Case((shape,), {"axes": axes}) for shape in shapes for axes in subsets(len(shape))]


VECTORS_AND_MORE = [(n,) for n in EDGES] + [(3, 17), (17, 3), (16, 33), (1, 5), (5, 1), (2, 3, 17)]
ROWS["sum"] = Row(
    reductions([*VECTORS_AND_MORE, (0, 3), (3, 0), (7, 2, 3, 2)]),
    Case((LARGE,), {"axes": (1,)}),
    dtypes=ALL,
)
ROWS["max"] = Row(
    [c for c in reductions([*VECTORS_AND_MORE, (7, 2, 3, 2)]) if c.operands[0] != (0,)]
    + [Case(((0, 3),), {"axes": (1,)})],
    Case((LARGE,), {"axes": (0,)}),
    dtypes=ALL,
)

ROWS["argmax"] = ROWS["max"]

ROWS["reshape"] = Row(
    [
        Case((old,), {"shape": new})
        for old, new in [
            ((), (1, 1)),
            ((1,), ()),
            ((0, 3), (5, 0)),
            ((6,), (2, 3)),
            ((2, 3), (6,)),
            ((3, 17), (17, 3)),
            ((4, 6), (2, 2, 3, 2)),
            ((2, 3, 17), (6, 17)),
            ((2, 3, 4), (2, 12)),
            ((33, 2), (2, 33)),
        ]
    ],
    Case((LARGE,), {"shape": (LARGE[0] * LARGE[1],)}),
    dtypes=ALL,
)
ROWS["transpose"] = Row(
    [
        Case((shape,), {"axes": axes})
        for shape in [(1, 3), (0, 2), (3, 17), (33, 16), (2, 3, 5), (1, 17, 2), (2, 3, 2, 5)]
        for axes in list(itertools.permutations(range(len(shape))))[1:]
    ],
    Case((LARGE,), {"axes": (1, 0)}),
)
ROWS["broadcast_to"] = Row(
    [
        Case((old,), {"shape": new})
        for old, new in [
            ((1,), (17,)),
            ((1,), (0,)),
            ((1, 1), (3, 5)),
            ((1, 17), (3, 17)),
            ((3, 1), (3, 17)),
            ((2, 1, 3), (2, 16, 3)),
            ((1, 3, 1), (2, 3, 33)),
        ]
    ],
    Case(((1, LARGE[1]),), {"shape": LARGE}),
    dtypes=ALL,
)
ROWS["slice"] = Row(
    [
        Case((shape,), {"start": start, "stop": stop, "step": step})
        for shape, start, stop, step in [
            ((5,), (0,), (0,), (1,)),
            ((17,), (1,), (17,), (1,)),
            ((33,), (0,), (33,), (2,)),
            ((100,), (3,), (99,), (7,)),
            ((3, 17), (1, 0), (3, 16), (1, 1)),
            ((5, 33), (0, 1), (5, 33), (2, 2)),
            ((4, 3, 5), (1, 1, 0), (3, 2, 5), (1, 1, 4)),
        ]
    ],
    Case((LARGE,), {"start": (1, 3), "stop": LARGE, "step": (1, 1)}),
    dtypes=ALL,
)
ROWS["flip"] = Row(
    [
        Case((shape,), {"axes": axes})
        for shape in [(0,), (1,), (17,), (3, 5), (2, 3, 17)]
        for axes in subsets(len(shape))
    ],
    Case((LARGE,), {"axes": (0, 1)}),
)
ROWS["pad"] = Row(
    [
        Case((shape,), {"before": before, "after": after, "between": between})
        for shape, before, after, between in [
            ((3,), (0,), (0,), (0,)),
            ((0,), (2,), (1,), (3,)),
            ((1,), (0,), (0,), (2,)),
            ((5,), (1,), (0,), (2,)),
            ((16,), (1,), (0,), (0,)),
            ((3, 17), (0, 1), (2, 0), (0, 1)),
            ((2, 16), (1, 0), (1, 0), (0, 0)),
            ((2, 1, 3), (0, 2, 0), (0, 1, 4), (1, 1, 0)),
        ]
    ],
    Case((LARGE,), {"before": (1, 2), "after": (3, 4), "between": (0, 1)}),
    dtypes=ALL,
)
ROWS["concatenate"] = Row(
    [
        Case(shapes, {"axis": axis})
        for shapes, axis in [
            (((3,),), 0),
            (((0,), (0,)), 0),
            (((0,), (3,), (0,)), 0),
            (((16,), (1,), (17,)), 0),
            (((2, 3), (1, 3)), 0),
            (((2, 3), (2, 15)), 1),
            (((2, 0), (2, 5), (2, 1)), 1),
            (((2, 3, 1), (2, 1, 1)), 1),
        ]
    ],
    Case((LARGE, LARGE), {"axis": 1}),
    dtypes=ALL,
)

INDICES = [
    np.array([0, 2, 1, 2, 2], np.int32),
    np.array([-1, 99, 1], np.int64),  # outside: taken to the nearest end
    np.array([4294967295, 1], np.uint32),
    np.array(1, np.int32),
    np.array([[2, 0], [1, 1]], np.int32),
    np.zeros(0, np.int32),
]
TABLES = [(3,), (3, 1), (3, 17), (3, 16), (5, 2, 3)]
MANY = np.random.default_rng(2).integers(0, 40, 300).astype(np.int32)
ROWS["gather"] = Row(
    [Case((table, index)) for table in TABLES for index in INDICES]
    + [Case(((0, 3), np.zeros(0, np.int32)))],
    Case(((40, 150), MANY)),
    dtypes=ALL,
)
ROWS["scatter_add"] = Row(
    [Case((table, i, i.shape + table[1:])) for table in TABLES for i in INDICES],
    Case(((40, 150), MANY, (300, 150))),
    dtypes=NUMBERS,
    shared=False,  # indices repeat: one worker adds in order
)
ROWS["iota"] = Row(
    [
        Case((), {"shape": shape, "axis": axis})
        for shape in [(0,), (1,), (17,), (100,), (3, 5), (2, 3, 17), (2, 1)]
        for axis in range(len(shape))
    ],
    Case((), {"shape": LARGE, "axis": 0}),
    dtypes=("int32",),
)


def product(*shapes: tuple[int, ...]) -> Case:
    return Case(shapes)


ROWS["matmul"] = Row(
    [product((m, k), (k, n)) for m, k, n in itertools.product((1, 2, 17), (1, 16, 33), (1, 15, 33))]
    + [product((m, k), (k, n)) for m, k, n in [(0, 3, 2), (3, 0, 2), (3, 2, 0), (5, 100, 100)]]
    + [product((2, 3, m, k), (2, 3, k, n)) for m, k, n in [(1, 1, 1), (3, 5, 17), (2, 16, 1)]]
    + [product((0, 3, 2), (0, 2, 5))],
    product((70, 40), (40, 90)),
)

ROWS |= SLIDING

SEED, STEP = np.array([7, 2**32 - 1], np.uint32), np.array(2**32 - 1, np.uint32)
ROWS["random_bits"] = Row(
    [
        Case((SEED, STEP), {"stream": stream, "shape": shape, "bits": width})
        for stream, width in [(0, 32), (3, 24), (2**32 - 1, 1)]
        for shape in [(), (0,), (1,), (17,), (64,), (100,), (3, 65), (2, 3, 5), (3, 0)]
    ],
    Case((SEED, STEP), {"stream": 1, "shape": LARGE, "bits": 24}),
    dtypes=("uint32",),
)

LEAVES = {"constant", "placeholder"}  # they compute nothing; every test is made of them


def test_every_primitive_has_a_row():
    assert set(ROWS) == set(TABLE) - LEAVES


def operands(name: str, case: Case, dtype: str) -> list[np.ndarray]:
    row, rng = ROWS[name], np.random.default_rng(zlib.crc32(repr((name, case)).encode()))
    return [
        filled(rng, o, dtype, row.low, row.high) if isinstance(o, tuple) else o
        for o in case.operands
    ]


def traced(name: str, case: Case, arrays: list[np.ndarray]) -> Computation:
    return trace(lambda *xs: apply(name, *xs, **case.attrs), *arrays)


def assert_agree(found: np.ndarray, right: np.ndarray, node: Node, arrays: list[Any]) -> None:
    """Within what the primitive may round; equal where it does not."""
    assert found.dtype == right.dtype and found.shape == right.shape
    if right.dtype.kind != "f":
        np.testing.assert_array_equal(found, right)
        return
    limits = np.finfo(right.dtype)
    with np.errstate(all="ignore"):
        count, total = terms(node, [exactly(a) for a in arrays])
        units = UNITS.get(node.name, 6)
        size = np.where(np.isfinite(right), np.abs(right), 0.0)
        slack = (count + 1) * limits.eps * total if count else units * limits.eps * size
        slack = slack + (limits.tiny if units else 0.0)
        near = np.abs(found - right) <= slack
        same = (found == right) | (np.isnan(found) & np.isnan(right)) | near
    assert same.all(), f"{found[~same][:5]} and not {right[~same][:5]}"


EACH = [(name, dtype) for name, row in ROWS.items() for dtype in row.dtypes]


@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_compiled_as_the_reference(name, dtype):
    for case in ROWS[name].cases:
        arrays = operands(name, case, dtype)
        c = traced(name, case, arrays)
        (found,), (right,) = run(c, arrays), reference(c, arrays)
        assert_agree(found, right, c.outputs[0], arrays)


def special(name: str, case: Case, dtype: str) -> list[np.ndarray]:
    """Special values in every combination, in place of the operands that are filled."""
    values = np.array(SPECIAL, dtype)
    filled_in = [i for i, o in enumerate(case.operands) if isinstance(o, tuple)]
    grid = np.meshgrid(*[values] * len(filled_in), indexing="ij")
    given = dict(zip(filled_in, grid, strict=True))
    every = [given.get(i) for i in range(len(case.operands))]
    return [mask(grid[0].shape) if a is None else a for a in every]


POINTWISE = [n for n, row in ROWS.items() if TABLE[n].kind == "elementwise" and row.cases]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [n for n in POINTWISE if "float32" in ROWS[n].dtypes])
def test_special_values(name, dtype):
    attrs = {repr(case.attrs): case.attrs for case in ROWS[name].cases}
    for each in attrs.values():
        case = Case(ROWS[name].large.operands, each)
        arrays = special(name, case, dtype)
        c = traced(name, case, arrays)
        (found,), (right,) = run(c, arrays), reference(c, arrays)
        assert_agree(found, right, c.outputs[0], arrays)


THROUGH = ("sum", "max", "matmul", "tensordot", "convolution", "max_pool")
THROUGH += ("gather", "scatter_add", "concatenate")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", THROUGH)
def test_nan_and_infinity_go_through(name, dtype):
    for case in ROWS[name].cases:
        arrays = operands(name, case, dtype)
        for array in arrays:
            if array.dtype.kind == "f" and array.size:
                array.flat[array.size // 2] = np.nan
                array.flat[-1] = np.inf
        c = traced(name, case, arrays)
        (found,), (right,) = run(c, arrays), reference(c, arrays)
        if name == "convolution":  # neighbours that share lanes may see more of it
            assert not np.isfinite(found[~np.isfinite(right)]).any()
            continue
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(right))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(right))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
@pytest.mark.parametrize("name", [n for n in POINTWISE if "int32" in ROWS[n].dtypes])
def test_whole_numbers_at_their_limits(name, dtype):
    limits = np.iinfo(dtype)
    values = np.array([limits.min, limits.min + 1, 0, 1, 5, limits.max - 1, limits.max], dtype)
    count = sum(isinstance(o, tuple) for o in ROWS[name].large.operands)
    given = iter(np.meshgrid(*[values] * count, indexing="ij"))
    shape = (len(values),) * count
    arrays = [
        next(given) if isinstance(o, tuple) else mask(shape) for o in ROWS[name].large.operands
    ]
    for attrs in {repr(case.attrs): case.attrs for case in ROWS[name].cases}.values():
        c = traced(name, Case((), attrs), arrays)
        np.testing.assert_array_equal(run(c, arrays)[0], reference(c, arrays)[0], str(attrs))


# -- derivatives --------------------------------------------------------------


def differentiable(name: str) -> bool:
    rules = TABLE[name].vjp
    return callable(rules) or any(rules or ())


def smooth_cases(name: str) -> list[Case]:
    """Some of its cases, those in float64."""
    cases = [c for c in ROWS[name].cases if c.attrs.get("dtype", "float64") == "float64"]
    return cases[:12] + cases[12:][-4:]


SMOOTH = [name for name in ROWS if differentiable(name) and "float64" in ROWS[name].dtypes]


def of_floats(name: str, case: Case, arrays: list[np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """The primitive as a function of its floating operands, the others known."""
    moving = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]

    def f(*xs: Tensor) -> Tensor:
        full: list[Any] = [tensor(a) for a in arrays]
        for i, x in zip(moving, xs, strict=True):
            full[i] = x
        return apply(name, *full, **case.attrs)

    return f, [arrays[i] for i in moving]


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_first_and_second_order(name):
    for case in smooth_cases(name):
        f, points = of_floats(name, case, operands(name, case, "float64"))
        pe.check_grads(f, *points, order=2, tolerance=1e-5)


@pytest.mark.parametrize("name", SMOOTH)
def test_compiled_derivatives_as_the_reference(name):
    for case in smooth_cases(name):
        f, points = of_floats(name, case, operands(name, case, "float64"))

        def derivatives(*xs, f=f):
            y, pull = pe.vjp(f, *xs)
            return pull(pe.cos(y))

        c = trace(derivatives, *points)
        for found, right in zip(run(c, points), reference(c, points), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-10, atol=1e-12)


# -- same bits ----------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_same_bits_for_any_number_of_threads_and_vector_width(name, dtype):
    case = ROWS[name].large
    arrays = operands(name, case, dtype)
    c = traced(name, case, arrays)
    assert CompiledProgram(c)._shared == ROWS[name].shared
    found = set()
    for cpu in same_processors():
        for count in (1, 2, 3):
            with processor(cpu), threads(count):
                found.add(bits(run(c, arrays)))
    assert len(found) == 1
    (right,) = reference(c, arrays)
    assert_agree(run(c, arrays)[0], right, c.outputs[0], arrays)


@pytest.mark.parametrize("name", list(ROWS))
def test_same_bits_for_any_vector_width_at_the_edges(name):
    for case in ROWS[name].cases[::3]:
        arrays = operands(name, case, ROWS[name].dtypes[0])
        found = set()
        for cpu in same_processors():
            with processor(cpu):
                found.add(bits(run(traced(name, case, arrays), arrays)))
        assert len(found) == 1
