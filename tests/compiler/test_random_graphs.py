"""Random computations: compiled as the reference, and the same bits however they are run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid.compiler import schedule
from pellucid.compiler.program import CompiledProgram
from pellucid.core.node import Node
from pellucid.core.program import ReferenceProgram
from tests.programs import bits, intermediates, poison, processor, run, same_processors, threads

from .graphs import Example, examples
from .intervals import Bounds

KINDS = ("whole", "real")
QUICK = settings(
    max_examples=75,  # of each kind
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
THOROUGH = settings(QUICK, max_examples=1000, derandomize=False, print_blob=True)


@pytest.fixture(scope="module", autouse=True)
def nothing_on_disk(tmp_path_factory):
    """Thousands of programs that are run once: code is made, not looked for."""
    file = tmp_path_factory.mktemp("no") / "folder"
    file.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PELLUCID_CACHE", str(file))
        yield


def outcome(
    example: Example,
    program: Any = CompiledProgram,
    *,
    extra: Sequence[Node] = (),
    count: int = 1,
    cpu: str = "host",
) -> list[np.ndarray]:
    """The outputs, then what the cells hold at the end."""
    example.reset()
    for cell in example.cells:
        poison(cell)
    c = example.computation
    c = dataclasses.replace(c, outputs=(*c.outputs, *extra))
    with processor(cpu), threads(count):
        found = run(c, example.inputs, steps=example.steps, program=program)
    ends = [np.array(cell.value) for cell in example.cells]
    return found[: len(example.computation.outputs)] + ends


def assert_within(value: np.ndarray, bounds: Bounds, what: str) -> None:
    wide = value.astype(bounds.low.dtype)
    wrong = ~((bounds.low <= wide) & (wide <= bounds.high))
    if wrong.any():
        at = tuple(int(i[0]) for i in np.nonzero(wrong))
        raise AssertionError(
            f"{what} of shape {value.shape} at {at}: {value[at]!r} is not within "
            f"[{bounds.low[at]!r}, {bounds.high[at]!r}]; {wrong.sum()} of {wrong.size} are wrong"
        )


def assert_right(example: Example, found: list[np.ndarray], who: str) -> None:
    c = example.computation
    for i, (node, array) in enumerate(zip(c.outputs, found, strict=False)):
        if node in c.stepped:
            for step, bounds in enumerate(example.outputs[i]):
                assert_within(array[step], bounds, f"{who}: output {i} of step {step}")
        else:
            assert_within(array, example.outputs[i][-1], f"{who}: output {i}")
    ends = found[len(c.outputs) :]
    for i, (array, bounds) in enumerate(zip(ends, example.final, strict=True)):
        assert_within(array, bounds, f"{who}: cell {i}")


def check(example: Example, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "SHARED_FROM", example.shared_from)
        alive = CompiledProgram(example.computation)  # as long as this lives, its code is shared
        check_all(example, data)
        del alive


def check_all(example: Example, data: st.DataObject) -> None:
    assert_right(example, outcome(example, ReferenceProgram), "reference")
    found = outcome(example)
    assert_right(example, found, "compiled")
    expected = bits(found)
    assert bits(outcome(example, count=3)) == expected, "3 threads change bits"
    for cpu in same_processors()[1:]:
        assert bits(outcome(example, cpu=cpu)) == expected, f"code for {cpu} has other bits"
    values = intermediates(example.computation)
    if values:
        extra = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=len(values)))
        assert bits(outcome(example, extra=extra)) == expected, "more outputs change bits"


@pytest.mark.parametrize("kind", KINDS)
def test_random_graphs(kind):
    @QUICK
    @given(examples(kind), st.data())
    def every(example, data):
        check(example, data)

    every()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_many_random_graphs(kind):
    @THOROUGH
    @given(examples(kind), st.data())
    def every(example, data):
        check(example, data)

    every()
