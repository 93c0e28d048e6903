"""Code for processors that are not here: rendered, assembled, and calling nobody."""

from __future__ import annotations

import re

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import machine, pipeline
from pellucid.compiler.host import current
from pellucid.compiler.target import Target, named
from pellucid.core import TABLE
from tests.programs import processor, trace

from .test_primitives import ROWS, operands, traced
from .training import training

LINUX = "x86_64-unknown-linux-gnu"
TARGETS = {
    "aarch64": named("generic", "aarch64-unknown-linux-gnu"),
    "apple": named("apple-m1", "arm64-apple-darwin"),
    "graviton": named("neoverse-v1", "aarch64-unknown-linux-gnu"),
    "haswell": named("haswell", LINUX),
    "skylake": named("skylake-avx512", LINUX),
    "windows": named("haswell", "x86_64-pc-windows-msvc"),
}
CALL = re.compile(r"^\s+(?:bl|b|callq?|jmp)\s+([A-Za-z_$@?\"][^\s,]*)", re.MULTILINE)


def strangers(assembly: str) -> set[str]:
    """Names that the code calls or jumps to and does not contain."""
    own = set(re.findall(r"^\"?([^\s:\"]+)\"?:", assembly, re.MULTILINE))
    return {name.strip('"') for name in CALL.findall(assembly)} - own


def code(computation, target: Target) -> str:
    return machine.assembly(pipeline.to_text(computation, target)[1], target)


@pytest.mark.parametrize("name", TARGETS)
def test_a_training_step_calls_nothing_outside(name):
    assembly = code(training().computation, TARGETS[name])
    assert "run:" in assembly
    assert strangers(assembly) == set()


@pytest.mark.parametrize("name", ["aarch64", "haswell"])
@pytest.mark.parametrize("primitive", ROWS)
def test_no_primitive_calls_anything_outside(primitive, name):
    for dtype in ROWS[primitive].dtypes:
        case = ROWS[primitive].large
        arrays = operands(primitive, case, dtype)
        c = traced(primitive, case, arrays)
        assert strangers(code(c, TARGETS[name])) == set(), dtype


def test_calls_are_recognized():
    assembly = "run:\n\tbl\tmemset\n\tbl\tmeet\n\tb\t.LBB0_1\n\tcallq\tsinf@PLT\nmeet:\n\tbl run\n"
    assert strangers(assembly) == {"memset", "sinf@PLT"}


def test_a_product_uses_what_the_processor_has():
    """Fused multiply-adds of the widest vectors; an accumulator never leaves its register."""
    c = traced("matmul", ROWS["matmul"].large, operands("matmul", ROWS["matmul"].large, "float32"))
    assert re.search(r"vfmadd\w+ps\s.*%zmm", code(c, TARGETS["skylake"]))
    assert re.search(r"vfmadd\w+ps\s.*%ymm", code(c, TARGETS["haswell"]))
    assert re.search(r"fmla\s+v\d+\.4s", code(c, TARGETS["aarch64"]))


def test_a_short_rest_of_the_columns_takes_a_short_vector():
    """Of 100 columns the last 4: half of a vector of 8, or a quarter of one of 16, costs less."""
    x, y = np.ones((8, 30), np.float32), np.ones((30, 100), np.float32)
    c = trace(lambda x, y: x @ y, x, y)
    for name in ("skylake", "haswell"):
        assert re.search(r"vfmadd\w+ps\s.*%xmm", code(c, TARGETS[name]))
    whole = trace(lambda x, y: x @ y, x, np.ones((30, 96), np.float32))
    assert not re.search(r"vfmadd\w+ps\s.*%xmm", code(whole, TARGETS["skylake"]))


def test_the_setting_names_the_processor(monkeypatch):
    host = current()
    with processor("haswell"):
        assert current().cpu == "haswell"
        assert current().vector_bytes == 32
    for nothing in ("", "host"):
        monkeypatch.setenv("PELLUCID_CPU", nothing)
        assert current() == host


def test_every_primitive_is_tried():
    assert set(ROWS) | {"constant", "placeholder"} == set(TABLE)
    assert pe.tensor(np.zeros(1)).node.name == "constant"
