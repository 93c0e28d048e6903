"""Object code in memory without LLVM: the same bits, and LLVM where it is not understood."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pe
from pellucid.compiler import code as codes
from pellucid.compiler import host, image, machine, pipeline
from pellucid.compiler.code import Code
from pellucid.compiler.program import CompiledProgram
from pellucid.compiler.target import named
from tests.programs import run, trace

HERE = sys.platform == "linux" and platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(not HERE, reason="LLVM loads all code here")
ROOT = Path(__file__).resolve().parents[2]
NUMBER = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float)

SMALL = """
define internal float @inner(float %x) noinline {
  %y = fmul float %x, 3.0
  ret float %y
}
define float @next(float %x) noinline {
  %y = fadd float %x, 0.5
  ret float %y
}
define float @f(float %x) {
  %y = call float @inner(float %x)
  %z = call float @next(float %y)
  ret float %z
}
"""
OUTSIDE = """
declare float @fmaf(float, float, float)
define float @f(float %x) {
  %y = call float @fmaf(float %x, float 3.0, float 0.5)
  ret float %y
}
"""
WRITABLE = """
@kept = global float 0.5
define float @f(float %x) {
  %k = load float, ptr @kept
  %y = fadd float %x, %k
  ret float %y
}
"""


def assembled(text):
    return machine.assemble(text, host.current())


def result(code):
    return code.function("f", NUMBER)(2.0)


def way(code):
    return type(code._held)


def rights(address):
    """What the system lets be done at an address, as in "r-xp"; None where nothing is."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, allowed = line.split()[:2]
        first, last = (int(end, 16) for end in span.split("-"))
        if first <= address < last:
            return allowed
    return None


@pytest.fixture(scope="module")
def small():
    return assembled(SMALL)


@pytest.fixture
def apart(monkeypatch):
    """No program finds code that another one has in memory."""
    monkeypatch.setattr(sys.modules[CompiledProgram.__module__], "_loaded", {})


def test_functions_call_each_other_and_find_their_constants(small):
    code = Code(small, host.current())
    assert way(code) is image.Mapping
    assert result(code) == 6.5
    assert image.link(small).functions.keys() == {"f", "next"}
    with pytest.raises(RuntimeError, match="the compiled code has no function 'inner'"):
        code.address("inner")


FUNCTIONS = [
    lambda x, y: pe.tanh(x) @ y + pe.erf(x @ y),
    lambda x, y: pe.softmax(x @ y) ** 2 / pe.exp(pe.mean(y)),
    lambda x, y: pe.sum(pe.sin(x.T @ x), 0) + pe.log1p(y * y)[0, 0],
    pe.grad(
        lambda x, y: pe.sum(pe.conv(x.reshape((1, 37, 41, 1)), y[:3, :9].reshape((3, 3, 1, 3))))
    ),
]


@pytest.mark.skipif("+fma" not in host.host()[2], reason="needs fmaf from outside")
@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_the_same_bits_as_by_llvm(number, apart, monkeypatch):
    rng = np.random.default_rng(number)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((37, 41), (41, 41))]
    c = trace(FUNCTIONS[number], *arrays)
    ours = run(c, arrays)
    assert way(CompiledProgram(c)._code) is image.Mapping
    monkeypatch.setattr(sys.modules[CompiledProgram.__module__], "_loaded", {})
    monkeypatch.setattr(codes.image, "load", lambda objects: None)
    theirs = run(c, arrays)
    assert way(CompiledProgram(c)._code) is machine.Engine
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("text", [OUTSIDE, WRITABLE])
def test_llvm_loads_what_is_not_understood(text):
    objects = assembled(text)
    assert image.link(objects) is None
    code = Code(objects, host.current())
    assert way(code) is machine.Engine
    assert result(code) in (6.5, 2.5)


def test_a_processor_without_fma_calls_a_function_outside():
    triple = host.current().triple
    x = np.ones((3, 4), np.float32)
    _, text = pipeline.to_text(trace(lambda x: x @ x.T, x), named("x86-64", triple))
    assert image.link(machine.assemble(text, named("x86-64", triple))) is None


@pytest.mark.parametrize(
    "other", ["aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "x86_64-pc-windows-msvc"]
)
def test_other_formats_are_not_understood(other):
    machine._initialize(named("generic", other), host=False)
    assert image.link(machine.assemble(SMALL, named("generic", other))) is None


def test_what_is_cut_short_is_not_understood(small):
    assert image.link(small) is not None
    for length in range(len(small)):
        assert image.link(small[:length]) is None


@settings(max_examples=3000, deadline=None)
@given(st.data())
def test_damage_never_raises_nor_leads_outside(small, data):
    damaged = bytearray(small)
    places = st.one_of(st.integers(0, 63), st.integers(0, len(small) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(places)] = data.draw(st.integers(0, 255))
    found = image.link(bytes(damaged))
    if found is not None:
        assert len(found.code) < 8192 * 8 + len(small)
        assert all(0 <= start < len(found.code) for start in found.functions.values())


def test_memory_is_never_both_writable_and_executable_and_is_let_go(small, monkeypatch):
    seen, protect = [], image.protect

    def watched(start, size, wanted):
        seen.append(rights(start))
        protect(start, size, wanted)

    monkeypatch.setattr(image, "protect", watched)
    code = Code(small, host.current())
    function, at = code.function("f", NUMBER), code.address("f")
    del code
    assert seen == ["rw-p"]
    assert rights(at) == "r-xp"  # what can be called is kept
    assert function(2.0) == 6.5
    del function
    assert rights(at) != "r-xp"


def test_llvm_is_asked_where_the_system_refuses(small, monkeypatch):
    with pytest.raises(OSError, match="mprotect"):
        image.protect(1, 4096, 1)  # no page begins there

    def refuse(start, size, wanted):
        raise PermissionError(13, "not here")

    monkeypatch.setattr(image, "protect", refuse)
    code = Code(small, host.current())
    assert way(code) is machine.Engine
    assert result(code) == 6.5


def test_elsewhere_llvm_loads(small, monkeypatch):
    monkeypatch.setattr(image.sys, "platform", "darwin")
    assert image.load(small) is None


WARM = """
import sys
import numpy as np
import pellucid as pe
from pellucid import nn, optim

x = np.random.default_rng(0).standard_normal((100, 9)).astype(np.float32)
model = nn.Sequential(nn.Linear(9, 17), nn.Tanh(), nn.Linear(17, 3))
pe.fit(model, x, np.arange(100) % 3, loss="cross_entropy", optimizer=optim.adam(1e-2), epochs=3,
       batch_size=32, seed=0)
print(model.predict(x).tobytes().hex())
print("llvmlite.binding" in sys.modules)
"""


@pytest.mark.skipif("+fma" not in host.host()[2], reason="needs fmaf from outside")
def test_a_warm_start_does_without_llvmlite(tmp_path):
    def started():
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", WARM],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PELLUCID_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    (cold, asked), (warm, asked_again) = started(), started()
    assert (asked, asked_again) == ("True", "False")
    assert warm == cold
