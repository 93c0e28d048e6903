"""How near each convolution of a training step comes to the processor's peak.

    python -m benchmarks.layers [NETWORK] [--batch N] [--rounds N]

The step of `pe.fit` is compiled as ever; then each of its kernels is called by itself, in order, on
one core, and its processor time is taken, which a crowded machine disturbs little. A kernel's time
holds all that was merged into it: gradients of the activation, parts of the normalization, the
optimizer's update.
"""

from __future__ import annotations

import argparse
import ctypes
import math
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter, thread_time
from typing import NamedTuple

import numpy as np

import pellucid as pe
from pellucid import models, nn, optim
from pellucid.compiler import host, machine, pipeline, render
from pellucid.compiler.code import Code
from pellucid.compiler.kernels import Kernel
from pellucid.compiler.program import CompiledProgram
from pellucid.compiler.tiles import depth_axes, shared_axes
from pellucid.core import winograd
from pellucid.core.node import Node
from pellucid.train.step import Step, TrainingState, trace_step

from . import peak
from .crowding import Crowding
from .workloads import EXAMPLES

ENOUGH, CHANNELS = 0.6, 32
"""A convolution with so many channels each way should reach so much of the peak."""


class Part(NamedTuple):
    """A convolution of the step.

    Attributes:
        layer: name of the layer in the model.
        direction: "forward", "input gradient" or "kernel gradient".
        channels: of the layer's inputs and outputs.
        elements: of what is computed.
        depth: products that are added up for each element, those with zeros that stand between
            the places of a wide stride among them.
        flops: operations that the layer needs by its definition.
    """

    layer: str
    direction: str
    channels: tuple[int, int]
    elements: int
    depth: int
    flops: int


class Timed(NamedTuple):
    """A kernel, the seconds that it takes, and what it is for, if it is a convolution."""

    kernel: Kernel
    seconds: float
    part: Part | None

    @property
    def rate(self) -> float:
        """Operations per second that the convolution needs by its definition."""
        assert self.part is not None
        return self.part.flops / self.seconds


class Traced(NamedTuple):
    """A model, its training step, and the arrays that the step is run on."""

    model: nn.Module
    step: Step
    inputs: list[np.ndarray]


def traced(network: str, batch: int) -> Traced:
    """Return a network of `models` with its step, under Adam, on random rows."""
    model = getattr(models, network)(classes=10)
    random = np.random.default_rng(0)
    x = random.standard_normal((4 * batch, *EXAMPLES[network]), dtype=np.float32)
    y = random.integers(10, size=len(x)).astype(np.int32)
    state = TrainingState(model, optim.adam(1e-3), seed=0)
    step = trace_step(state, nn.as_loss("cross_entropy"), {}, [x, y], batch)
    order = random.permutation(len(x)).astype(np.int32).reshape(-1, batch)
    return Traced(model, step, [x, y, order])


def parts_of(found: Traced) -> list[Part]:
    """Return the step's convolutions: forward layer by layer, then back the other way."""
    modules, forward, back = found.model.named_modules(), [], []
    for name, y in found.step.outputs:
        layer = modules[name]
        if not isinstance(layer, nn.Conv1d | nn.Conv2d):
            continue
        *size, before, features = layer.weight.shape
        window, places = math.prod(size), math.prod(y.shape[:-1])
        x_places = places * math.prod(layer.window.stride)
        flops = 2 * places * features * window * before
        of = partial(Part, name, channels=(before, features), flops=flops)
        forward.append(of("forward", elements=places * features, depth=window * before))
        elements = window * before * features
        back.append(of("kernel gradient", elements=elements, depth=places))
        back.append(of("input gradient", elements=x_places * before, depth=window * features))
    return [*forward, *reversed(back)]


def size_of(root: Node) -> tuple[int, int]:
    """Return the elements of a convolution, and the products that each adds up by definition."""
    seen, shape = root.inputs[0].shape, root.shape
    if root.name == "winograd":
        return math.prod(shape), math.prod(winograd.size_of(root)) * seen[-1]
    if root.name == "winograd_gradient":
        return math.prod(shape[1:]), math.prod(root.inputs[1].shape[:-1])
    if root.name == "winograd_kernel":
        return 0, 0
    parts = math.prod(shape[: shared_axes(root)])  # of the batch, of which the sum is taken later
    return math.prod(shape) // parts, parts * math.prod(seen[len(seen) - depth_axes(root) :])


def part_of(kernel: Kernel, left: list[Part]) -> Part | None:
    """Take the part that a kernel computes out of those that are left, if it is one of them.

    Of a part that is done in pieces, along a long kernel, what the others do is left.
    """
    root = kernel.root
    if kernel.kind != "contract" or root is None:
        return None
    elements, depth = size_of(root)
    tiles = root.name.startswith("winograd")
    channels = root.inputs[0].shape[-1], root.shape[-1]

    def may_be(part: Part) -> bool:
        """Products of tiles say which channels they are of."""
        back = part.direction == "input gradient"
        return not tiles or channels == (part.channels[::-1] if back else part.channels)

    for i, part in enumerate(left):
        if may_be(part) and (part.elements, part.depth) == (elements, depth):
            return left.pop(i)
    for i, part in enumerate(left):
        along = (part.elements == elements) != (part.depth == depth)
        fits = along and part.elements >= elements > 0 and part.depth >= depth
        if tiles and may_be(part) and fits:
            rest = {"elements": part.elements - elements} if part.depth == depth else {}
            left[i] = part._replace(**(rest or {"depth": part.depth - depth}))
            return part
    return None


def timed(found: Traced, rounds: int) -> list[Timed]:
    """Return every kernel of the step with the median of its processor times on one core."""
    computation, processor = found.step.computation, host.current()
    plan = pipeline.lower(computation)
    code = Code(machine.assemble(render.render_apart(plan, processor), processor), processor)
    kernels = [kernel for phase in plan.phases for kernel in phase]
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    calls = [code.function(f"kernel{i}", prototype) for i in range(len(kernels))]
    program = CompiledProgram(computation)  # lays out the memory, and fills it
    outputs = [np.zeros((1, *node.shape), node.dtype) for node in computation.outputs]
    program.run(found.inputs, outputs, 1)
    table = program.table_for(found.inputs, outputs, 1)
    times = np.empty((rounds, len(calls)))
    for row in times:
        for i, call in enumerate(calls):
            start = thread_time()
            call(table.ctypes.data, 0, 1)
            row[i] = thread_time() - start
    left = parts_of(found)
    return [
        Timed(kernel, float(seconds), part_of(kernel, left))
        for kernel, seconds in zip(kernels, np.median(times, axis=0), strict=True)
    ]


def convolutions(rows: Sequence[Timed]) -> list[Timed]:
    """Return the convolutions alone, the pieces of one together."""
    found: dict[tuple[str, str], Timed] = {}
    for row in rows:
        if row.part is not None:
            key = row.part.layer, row.part.direction
            first = found.get(key)
            found[key] = (
                row if first is None else first._replace(seconds=first.seconds + row.seconds)
            )
    return list(found.values())


def bare_step(found: Traced, threads: int, rounds: int) -> float:
    """Return the median seconds of the compiled step alone, several in one call."""
    pe.set_threads(threads)
    program = CompiledProgram(found.step.computation)
    steps = len(found.inputs[-1])
    outputs = [np.zeros((steps, *n.shape), n.dtype) for n in found.step.computation.outputs]

    def seconds() -> float:
        start = perf_counter()
        program.run(found.inputs, outputs, steps)
        return (perf_counter() - start) / steps

    seconds()
    return float(np.median([seconds() for _ in range(rounds)]))


def table(rows: Sequence[Timed], most: float) -> str:
    """Return the convolutions as a Markdown table.

    Args:
        rows: of `timed`.
        most: operations per second at the peak.
    """
    lines = [
        "| layer | channels | direction | ms | GFLOP/s | of the peak |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in convolutions(rows):
        assert row.part is not None
        before, after = row.part.channels
        cells = row.part.layer, f"{before} → {after}", row.part.direction
        figures = f"{row.seconds * 1e3:.2f}", f"{row.rate / 1e9:.0f}", f"{row.rate / most:.0%}"
        lines.append(f"| {' | '.join((*cells, *figures))} |")
    return "\n".join(lines)


def misses(rows: Sequence[Timed], most: float) -> list[str]:
    """Return which convolutions with enough channels each way stay below `ENOUGH`."""
    return [
        f"{row.part.layer}, {row.part.direction}: {row.rate / most:.0%}"
        for row in convolutions(rows)
        if row.part and min(row.part.channels) >= CHANNELS and row.rate < ENOUGH * most
    ]


def shares(rows: Sequence[Timed]) -> str:
    """Return how the time of the step is divided."""

    def total(wanted: Callable[[Timed], bool]) -> str:
        return f"{sum(row.seconds for row in rows if wanted(row)) * 1e3:.2f} ms"

    return (
        f"{len(rows)} kernels, {total(lambda row: True)}: "
        f"convolutions {total(lambda row: row.part is not None)}, "
        f"other products {total(lambda r: r.part is None and r.kernel.kind == 'contract')}, "
        f"all else {total(lambda row: row.kernel.kind != 'contract')}"
    )


def main() -> None:
    """Print the table of one network."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.layers",
        description="How near each convolution of a training step comes to the processor's peak.",
    )
    parser.add_argument("network", nargs="?", default="convnet", choices=EXAMPLES)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    crowding = Crowding()
    most = peak.flops()
    found = traced(options.network, options.batch)
    rows = timed(found, options.rounds)
    print(f"{options.network}, batch {options.batch}, one core; peak {most / 1e9:.0f} GFLOP/s\n")
    print(table(rows, most))
    below = misses(rows, most)
    print(f"\nbelow {ENOUGH:.0%} with {CHANNELS} channels or more: {'; '.join(below) or 'none'}")
    print(f"called one by one: {shares(rows)}")
    for threads in (1, 2):
        seconds = bare_step(found, threads, max(3, options.rounds // 3))
        print(f"bare step, {threads} thread{'s' * (threads > 1)}: {seconds * 1e3:.2f} ms")
    print(f"others took {crowding.share():.0%} of the processors")


if __name__ == "__main__":
    main()
