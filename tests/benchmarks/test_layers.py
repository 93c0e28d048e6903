"""That the figures of layers belong to what they say: kernels are told apart, the peak is real."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from benchmarks import crowding, layers, memory, peak
from pellucid import nn
from pellucid.compiler import pipeline


@pytest.fixture(scope="module")
def found():
    return layers.traced("convnet", 4)


def test_every_convolution_is_found_in_the_step_once(found):
    parts = layers.parts_of(found)
    assert [(p.layer, p.direction) for p in parts[:4]] == [
        (f"layers.{i}", "forward") for i in (0, 3, 7, 10)
    ]
    kernels = [k for phase in pipeline.lower(found.step.computation).phases for k in phase]
    taken = [part for k in kernels if (part := layers.part_of(k, parts)) is not None]
    assert {(p.layer, p.direction) for p in parts} == {("layers.0", "input gradient")}
    assert len(taken) == 11  # four forward, four of kernels, three of inputs
    assert len(kernels) > 50


def test_forward_comes_first_and_back_goes_the_other_way(found):
    left = layers.parts_of(found)
    kernels = [k for phase in pipeline.lower(found.step.computation).phases for k in phase]
    taken = [p for k in kernels if (p := layers.part_of(k, left)) is not None]
    assert [p.layer for p in taken if p.direction == "forward"] == [
        f"layers.{i}" for i in (0, 3, 7, 10)
    ]
    gradients = [p.layer for p in taken if p.direction == "kernel gradient"]
    assert gradients == [f"layers.{i}" for i in (10, 7, 3, 0)]


def test_operations_are_those_of_the_definition(found):
    for part in layers.parts_of(found):
        layer = found.model.named_modules()[part.layer]
        assert isinstance(layer, nn.Conv2d)
        y = next(y for name, y in found.step.outputs if name == part.layer)
        assert part.flops == 2 * math.prod(y.shape) * 9 * layer.in_channels
        assert part.flops == 2 * part.elements * part.depth  # no stride: no zeros between


def test_table_and_misses_hold_every_convolution(found):
    rows, most = layers.timed(found, rounds=1), 1e12
    assert layers.table(rows, most).count("\n") == 1 + 11
    slow = [row._replace(seconds=1.0) for row in rows]
    assert len(layers.misses(slow, most)) == 9  # those with 3 channels are not asked for
    fast = [row._replace(seconds=1e-9) for row in rows]
    assert layers.misses(fast, most) == []
    assert layers.shares(rows).startswith(f"{len(rows)} kernels, ")


def test_peak_is_above_what_a_product_reaches():
    x = np.ones((256, 256), np.float32)
    x @ x
    start = time.process_time()
    for _ in range(20):
        x @ x
    with_numpy = 20 * 2 * 256**3 / max(time.process_time() - start, 1e-9)
    assert peak.flops() > 0.8 * min(with_numpy, 1e12)
    assert peak.render(3).count("call <16 x float> @llvm.fma") == 3


def test_others_take_no_less_than_nothing():
    watch = crowding.Crowding()
    np.linalg.norm(np.random.default_rng(0).random((200, 200)))
    assert 0 <= watch.share() <= 1.5


def test_memory_is_asked_of_a_process_of_its_own():
    held = np.ones(100_000_000)  # by the process that asks
    before, after = memory.measured("pellucid", "mlp512", 1)
    assert 20 < before < after < held.nbytes / 1e6


def test_pieces_of_a_long_kernel_are_one_convolution():
    found = layers.traced("series_resnet", 2)
    rows = layers.timed(found, rounds=1)
    whole = layers.convolutions(rows)
    assert len(whole) < len([row for row in rows if row.part])
    found = {(row.part.layer, row.part.direction): row.part for row in whole}
    parts = {(p.layer, p.direction): p for p in layers.parts_of(layers.traced("series_resnet", 2))}
    assert found == {key: parts[key] for key in found}
    without = {layer for layer, _ in parts.keys() - found.keys()}
    assert without == {"layers.0.inner.layers.0", "layers.0.shortcut.layers.0"}  # of the input
