"""Every elementwise primitive in machine code: against NumPy, and the same bits on every target."""

from __future__ import annotations

import ctypes
import math
import re

import llvmlite.binding as llvm
import numpy as np
import pytest

from pellucid.compiler.ir import Writer, element, vector
from pellucid.compiler.vector import EMIT
from pellucid.core import TABLE
from pellucid.core.storage import LANES, allocate

NAMES = ("bool", "int32", "int64", "uint32", "float32", "float64")
DTYPES = {name: np.dtype(name) for name in NAMES}
FLOATS, NUMBERS = ("float32", "float64"), NAMES[1:]

# name: dtypes of its operands for which there is machine code
EXACT = {
    "add": NAMES,
    "subtract": NUMBERS,
    "multiply": NAMES,
    "divide": FLOATS,
    "maximum": NAMES,
    "minimum": NAMES,
    "negative": NUMBERS,
    "absolute": NAMES,
    "relu": NAMES,
    "floor": NAMES,
    "sqrt": FLOATS,
    "less": NAMES,
    "less_equal": NAMES,
    "equal": NAMES,
    "logical_and": ("bool",),
    "logical_or": ("bool",),
    "logical_not": ("bool",),
}
# name: where most of its values lie, for float32 and float64
INEXACT = {
    "exp": ((-105, 90), (-746, 711)),
    "expm1": ((-20, 90), (-40, 711)),
    "log": ((0, 100), (0, 100)),
    "log1p": ((-1, 100), (-1, 100)),
    "sin": ((-1e5, 1e5), (-1e6, 1e6)),
    "cos": ((-1e5, 1e5), (-1e6, 1e6)),
    "tanh": ((-10, 10), (-20, 20)),
    "sigmoid": ((-105, 105), (-746, 746)),
    "erf": ((-4.5, 4.5), (-6.5, 6.5)),
}
ULPS = 2.1
# A long double no longer than a double errs itself.
SLACK = 0.0 if np.finfo(np.longdouble).nmant > 52 else 1.0

ROWS = [(name, dtype) for name, dtypes in EXACT.items() for dtype in dtypes]
ROWS += [(name, dtype) for name in (*INEXACT, "power") for dtype in FLOATS]
ROWS += [("where", dtype) for dtype in NAMES]
CASTS = [(source, target) for source in NAMES for target in NAMES]


# -- a function per row, in one module ------------------------------------------------------------


def result_dtype(name: str, dtype: str) -> np.dtype:
    return DTYPES["bool" if name in ("less", "less_equal", "equal") else dtype]


def operand_dtypes(name: str, dtype: str) -> list[np.dtype]:
    count = max(1, len(TABLE[name].vjp))
    return [DTYPES["bool"]] * (name == "where") + [DTYPES[dtype]] * (count - (name == "where"))


def memory(dtype: np.dtype) -> str:
    return f"<{LANES} x i8>" if dtype.kind == "b" else vector(dtype)


def function_text(
    symbol: str, name: str, dtypes: list[np.dtype], result: np.dtype, **attrs: str
) -> tuple[set[str], str]:
    """A function `(inputs..., output, count)` that loads, emits and stores whole vectors."""
    w = Writer()
    operands = []
    for k, dtype in enumerate(dtypes):
        scalar = "i8" if dtype.kind == "b" else element(dtype)
        place = w.let(f"getelementptr {scalar}, ptr %x{k}, i64 %i")
        loaded = w.let(f"load {memory(dtype)}, ptr {place}, align 16")
        if dtype.kind == "b":
            loaded = w.let(f"icmp ne {memory(dtype)} {loaded}, zeroinitializer")
        operands.append(loaded)
    value = EMIT[name](w, dtypes[-1], *operands, **attrs)
    scalar = "i8" if result.kind == "b" else element(result)
    if result.kind == "b":
        value = w.let(f"zext <{LANES} x i1> {value} to {memory(result)}")
    place = w.let(f"getelementptr {scalar}, ptr %y, i64 %i")
    w.line(f"store {memory(result)} {value}, ptr {place}, align 16")
    body = "\n".join(w.lines)
    parameters = "".join(f"ptr noalias %x{k}, " for k in range(len(dtypes)))
    return (
        w.declarations,
        f"""
define void @{symbol}({parameters}ptr noalias %y, i64 %count) {{
entry:
  br label %turn
turn:
  %i = phi i64 [0, %entry], [%following, %turn]
{body}
  %following = add i64 %i, {LANES}
  %more = icmp slt i64 %following, %count
  br i1 %more, label %turn, label %done
done:
  ret void
}}
""",
    )


def module_text() -> str:
    declarations: set[str] = set()
    functions = []
    for name, dtype in ROWS:
        signature = operand_dtypes(name, dtype), result_dtype(name, dtype)
        found, text = function_text(f"{name}_{dtype}", name, *signature)
        declarations |= found
        functions.append(text)
    for source, target in CASTS:
        signature = [DTYPES[source]], DTYPES[target]
        found, text = function_text(f"cast_{source}_{target}", "cast", *signature, dtype=target)
        declarations |= found
        functions.append(text)
    return "\n".join(sorted(declarations)) + "".join(functions)


# -- the targets ----------------------------------------------------------------------------------

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()


def host_machine() -> llvm.TargetMachine:
    features = llvm.get_host_cpu_features().flatten() + ",-prefer-256-bit"
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3
    )


def named_machine(cpu: str, triple: str) -> llvm.TargetMachine:
    return llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features="", opt=3)


class Compiled:
    """The module in machine code, for the host and, where the host can run it, for haswell."""

    def __init__(self) -> None:
        self.text = module_text()
        machines = [host_machine()]
        if llvm.get_host_cpu_features().get("avx2"):
            machines.append(named_machine("haswell", llvm.get_default_triple()))
        self.engines = []
        for machine in machines:
            module = llvm.parse_assembly(self.text)
            module.verify()
            engine = llvm.create_mcjit_compiler(module, machine)
            engine.finalize_object()
            self.engines.append(engine)

    def __call__(self, symbol: str, result: np.dtype, *inputs: np.ndarray) -> np.ndarray:
        """The function's result, after a check that all targets give the same bits."""
        size = inputs[0].size
        padded = -(-size // LANES) * LANES
        arrays = []
        for values in inputs:
            arrays.append(allocate((padded,), values.dtype))
            arrays[-1][:size] = values
        results = []
        for engine in self.engines:
            out = allocate((padded,), result)
            prototype = ctypes.CFUNCTYPE(
                None, *[ctypes.c_void_p] * (len(arrays) + 1), ctypes.c_int64
            )
            places = [array.ctypes.data for array in (*arrays, out)]
            prototype(engine.get_function_address(symbol))(*places, padded)
            results.append(out[:size])
        for other in results[1:]:
            assert_same(other, results[0], inputs)
        return results[0]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled()


# -- samples and comparison -----------------------------------------------------------------------


def special_values(dtype: str) -> np.ndarray:
    kind = DTYPES[dtype].kind
    if kind == "b":
        return np.array([False, True])
    if kind in "iu":
        info = np.iinfo(dtype)
        values = [0, 1, 2, 3, 7, 100, 1 << 24, (1 << 24) + 1, info.max, info.max - 1, info.min]
        return np.array(values + [v for v in (-1, -2, -100) if kind == "i"], dtype)
    info = np.finfo(dtype)
    magnitudes = [0, 1, 0.5, 1.5, 2, 2.5, 3, 1e-20, 1e4, 1e9, 2**23 + 1, 2**24 + 1, 1e30, np.inf]
    magnitudes += [info.smallest_subnormal, 7 * info.smallest_subnormal, info.tiny / 2, info.tiny]
    magnitudes += [info.max, info.max / 2, 1 + info.eps, 1 - info.epsneg]
    positive = np.array(magnitudes, dtype)
    # one step around the bounds of exp, expm1 and of subnormal results
    bounds = (88.72283, 87.33654, 103.2789, 103.97208, 709.782712893384, 708.3964, 745.1332)
    near = np.array(bounds, dtype)
    up, down = np.nextafter(near, dtype_of(dtype, np.inf)), np.nextafter(near, dtype_of(dtype, 0))
    positive = np.concatenate([positive, near, up, down])
    nan = np.array(np.nan, dtype).view(f"i{info.bits // 8}")
    payloads = (nan + np.array([0, 1, 2, 255, (1 << (info.nmant - 1)) - 1], nan.dtype)).view(dtype)
    return np.concatenate([positive, -positive, payloads, -payloads])


def dtype_of(dtype: str, value: float) -> np.floating:
    return DTYPES[dtype].type(value)


def samples(dtype: str, count: int, seed: int) -> np.ndarray:
    """Values of all sizes; integers also overflow."""
    rng = np.random.default_rng(seed)
    kind = DTYPES[dtype].kind
    if kind == "b":
        return rng.random(count) < 0.5
    if kind in "iu":
        info = np.iinfo(dtype)
        drawn = rng.integers(info.min, info.max, count, dtype, endpoint=True)
        return drawn >> rng.integers(0, info.bits, count).astype(dtype)
    drawn = rng.normal(size=count) * np.exp(rng.uniform(-20, 20, count))
    return np.where(rng.random(count) < 0.1, np.round(drawn), drawn).astype(dtype)


def operands(name: str, dtype: str) -> list[np.ndarray]:
    """Special values against special values, then drawn ones."""
    special = special_values(dtype)
    first, second = (grid.ravel() for grid in np.meshgrid(special, special))
    x = np.concatenate([first, samples(dtype, 10000, 1)])
    y = np.concatenate([second, samples(dtype, 10000, 2)])
    condition = np.random.default_rng(3).random(x.size) < 0.5
    return [x, y, condition][: len(operand_dtypes(name, dtype))]


def assert_same(found: np.ndarray, expected: np.ndarray, inputs: object) -> None:
    """Equal to the bit, where both are not NaN."""
    assert found.dtype == expected.dtype
    if found.dtype.kind == "f":
        bits = np.dtype(f"i{found.itemsize}")
        both_nan = np.isnan(found) & np.isnan(expected)
        wrong = (found.view(bits) != expected.view(bits)) & ~both_nan
    else:
        wrong = found != expected
    if wrong.any():
        at = [np.asarray(x)[wrong][:5] for x in inputs]  # type: ignore[attr-defined]
        pytest.fail(f"at {at}: {found[wrong][:5]}, expected {expected[wrong][:5]}")


def assert_close(found: np.ndarray, exact: np.ndarray, ulps: float, *inputs: np.ndarray) -> None:
    """Within so many units in the last place of the exact result, with the exact one's sign."""
    info, wide = np.finfo(found.dtype), exact.dtype.type
    with np.errstate(all="ignore"):
        rounded = exact.astype(found.dtype)
        _, exponent = np.frexp(np.abs(exact))
        unit = np.ldexp(wide(1), np.maximum(exponent - 1, info.minexp) - info.nmant)
        error = np.abs(found.astype(exact.dtype) - exact) / unit
    equal = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    error = np.where(np.isfinite(found) & np.isfinite(exact), error, np.where(equal, 0, np.inf))
    # What rounds to infinity may do so one step early or late.
    error = np.where(equal, np.where(np.isfinite(rounded), error, 0), error)
    error = np.where((np.signbit(found) != np.signbit(rounded)) & ~np.isnan(found), np.inf, error)
    worst = int(np.argmax(error))
    assert error[worst] <= ulps, (
        f"{error[worst]} units at {[x[worst] for x in inputs]}: {found[worst]}, "
        f"expected {exact[worst]}"
    )


# -- the tests ------------------------------------------------------------------------------------


def test_every_elementwise_primitive_has_a_row_and_a_test():
    handled_elsewhere = {"iota", "alias", "stop_gradient"}
    elementwise = {name for name, row in TABLE.items() if row.kind == "elementwise"}
    assert set(EMIT) == elementwise - handled_elsewhere
    assert {name for name, _ in ROWS} | {"cast"} == set(EMIT)


@pytest.mark.parametrize(("name", "dtype"), [row for row in ROWS if row[0] in EXACT])
def test_exact_operation(compiled, name, dtype):
    inputs = operands(name, dtype)
    found = compiled(f"{name}_{dtype}", result_dtype(name, dtype), *inputs)
    with np.errstate(all="ignore"):
        expected = TABLE[name].reference(*inputs).astype(found.dtype)
    if name in ("maximum", "minimum") and found.dtype.kind == "f":
        found, expected = found + 0.0, expected + 0.0  # -0 or 0 of the two: NumPy's varies
    assert_same(found, expected, inputs)


@pytest.mark.parametrize("dtype", NAMES)
def test_where(compiled, dtype):
    x, y, condition = operands("where", dtype)
    found = compiled(f"where_{dtype}", DTYPES[dtype], condition, x, y)
    assert_same(found, np.where(condition, x, y), (condition, x, y))


def cast_expected(x: np.ndarray, target: np.dtype) -> np.ndarray:
    if x.dtype.kind == "f" and target.kind in "iu":  # the nearest bound; NaN becomes 0
        info = np.iinfo(target)
        whole = [0 if math.isnan(v) else v if math.isinf(v) else int(v) for v in x.tolist()]
        return np.array([int(min(max(v, info.min), info.max)) for v in whole], target)
    with np.errstate(all="ignore"):
        return x.astype(target)


@pytest.mark.parametrize(("source", "target"), CASTS)
def test_cast(compiled, source, target):
    x = np.concatenate([special_values(source), samples(source, 1000, 4)])
    if DTYPES[source].kind == "f":
        edges = [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, -(2**31), -(2**31) - 1, -0.9, 0.9]
        x = np.concatenate([x, np.array(edges, source)])
    found = compiled(f"cast_{source}_{target}", DTYPES[target], x)
    assert_same(found, cast_expected(x, DTYPES[target]), (x,))


def exact_function(name: str, x: np.ndarray) -> np.ndarray:
    """In float64 for float32, in long double for float64; of the C library's erf there is none."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    if name == "erf":
        return np.array([math.erf(v) for v in x.tolist()], wide.dtype)
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            small = np.exp(-np.abs(wide))
            return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))
        return getattr(np, name)(wide)


def function_inputs(name: str, dtype: str) -> np.ndarray:
    low, high = INEXACT[name][FLOATS.index(dtype)]
    rng = np.random.default_rng(5)
    even = np.linspace(low, high, 40001)
    near_zero = np.linspace(max(low, -1.5), min(high, 1.5), 40001)
    drawn = rng.uniform(low, high, 40000)
    deepest = 103 if dtype == "float32" else 744
    sizes = np.exp(rng.uniform(-deepest, min(deepest, 88), 20000)) * rng.choice([-1, 1], 20000)
    parts = [even, near_zero, drawn, sizes]
    if name in ("sin", "cos"):
        parts.append(np.round(rng.uniform(-6e4, 6e4, 20000)) * (np.pi / 2))
    x = np.concatenate([*parts, special_values(dtype)]).astype(dtype)
    return x[(np.abs(x) <= 1e9) | ~np.isfinite(x)] if name in ("sin", "cos") else x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", INEXACT)
def test_function(compiled, name, dtype):
    x = function_inputs(name, dtype)
    found = compiled(f"{name}_{dtype}", x.dtype, x)
    assert_close(found, exact_function(name, x), ULPS + SLACK, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_wave_of_huge_arguments_stays_within_one(compiled, name, dtype):
    x = np.exp(np.linspace(20, 88 if dtype == "float32" else 709, 5000)).astype(dtype)
    x = np.concatenate([x, -x])
    found = compiled(f"{name}_{dtype}", x.dtype, x)
    assert np.all(np.abs(found) <= 1)


def power_operands(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of special values, results of all sizes, bases close to 1, whole exponents."""
    rng = np.random.default_rng(6)
    special = np.concatenate([special_values(dtype), np.array([-3, 4, 5, -0.5], dtype)])
    bases, exponents = (grid.ravel() for grid in np.meshgrid(special, special))
    count, (low, high) = 20000, ((-104, 88) if dtype == "float32" else (-745, 709))
    wide = np.exp(rng.uniform(low, high, count))
    close = 1 + rng.choice([-1, 1], count) * np.exp(rng.uniform(-15, -1, count))
    base = np.concatenate([wide, close]).astype(dtype)
    base = base[(base > 0) & (base != 1)]
    logarithm = rng.uniform(low - 2, high + 2, base.size)
    exponent = (logarithm / np.log(base.astype(np.float64))).astype(dtype)
    signed = rng.uniform(-10, 10, count).astype(dtype)
    whole = rng.integers(-20, 20, count).astype(dtype)
    return np.concatenate([bases, base, signed]), np.concatenate([exponents, exponent, whole])


@pytest.mark.parametrize("dtype", FLOATS)
def test_power(compiled, dtype):
    x, y = power_operands(dtype)
    wide = np.float64 if dtype == "float32" else np.longdouble
    found = compiled(f"power_{dtype}", x.dtype, x, y)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(wide), y.astype(wide))
    assert_close(found, exact, ULPS + SLACK, x, y)


def test_dtypes_without_machine_code_are_refused():
    unary, binary = ["%x"], ["%x", "%y"]
    for name, dtype, given in [
        ("exp", "int32", unary),
        ("divide", "int32", binary),
        ("subtract", "bool", binary),
        ("logical_and", "float32", binary),
    ]:
        with pytest.raises(TypeError, match=f"{name} expects .* received {dtype}"):
            EMIT[name](Writer(), DTYPES[dtype], *given)


MACHINES = {
    "host": host_machine,
    "haswell": lambda: named_machine("haswell", "x86_64-unknown-linux-gnu"),
    "aarch64": lambda: named_machine("", "aarch64-unknown-linux-gnu"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_is_called_and_nothing_fused_unasked(compiled, machine):
    assembly = MACHINES[machine]().emit_assembly(llvm.parse_assembly(compiled.text))
    opcodes = re.findall(r"^\s+([a-z]\w*)", assembly, re.MULTILINE)
    called = [code for code in opcodes if code.startswith("call") or code in ("bl", "blr")]
    assert not called
    if machine == "aarch64":  # 16-byte vectors: 4 or 8 instructions for one of 16 lanes
        fused = [code for code in opcodes if re.match(r"f(ml[as]|n?m(add|sub))", code)]
        asked = re.findall(r"call <16 x (float|double)> @llvm\.fma", compiled.text)
        assert len(fused) == sum({"float": 4, "double": 8}[kind] for kind in asked)
