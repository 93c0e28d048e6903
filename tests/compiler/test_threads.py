"""Settings of threads, and the pool that runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler
from pellucid.compiler import threads as threads_module
from pellucid.compiler.program import CompiledProgram
from pellucid.compiler.threads import POOL, Choice, available_processors
from pellucid.compiler.turns import run_in_turn
from pellucid.core.node import leaf, tracing
from pellucid.core.program import Computation
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, tensor
from tests.programs import reference, run, threads, trace

LARGE = np.random.default_rng(0).standard_normal((220, 150)).astype(np.float32)


def test_all_processors_by_default():
    assert compiler.get_threads() == available_processors() >= 1


def test_set_and_forget():
    compiler.set_threads(3)
    assert compiler.get_threads() == 3
    compiler.set_threads(None)
    assert compiler.get_threads() == available_processors()


def test_the_environment_says(monkeypatch):
    monkeypatch.setenv("PELLUCID_THREADS", "5")
    assert compiler.get_threads() == 5
    compiler.set_threads(2)
    assert compiler.get_threads() == 2


def test_empty_is_unset(monkeypatch):
    monkeypatch.setenv("PELLUCID_THREADS", "")
    assert compiler.get_threads() == available_processors()


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5", " ", "\u00b2"])
def test_a_wrong_environment_is_a_clear_error(monkeypatch, wrong):
    monkeypatch.setenv("PELLUCID_THREADS", wrong)
    with pytest.raises(ValueError, match="PELLUCID_THREADS must be a whole number from 1"):
        compiler.get_threads()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, False, [1]])
def test_a_wrong_number_is_a_clear_error(wrong):
    compiler.set_threads(2)
    with pytest.raises(ValueError, match="threads must be a whole number from 1"):
        compiler.set_threads(wrong)
    assert compiler.get_threads() == 2


def test_the_pool_calls_each_worker_once():
    for count in (1, 2, 5, 3):
        called = []
        POOL.run(called.append, count)
        assert sorted(called) == list(range(count))


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_in_a_worker_is_raised_and_the_pool_goes_on(failing):
    def work(number):
        if number == failing:
            raise RuntimeError(f"worker {number}")

    with pytest.raises(RuntimeError, match=f"worker {failing}"):
        POOL.run(work, 3)
    test_the_pool_calls_each_worker_once()


def test_programs_run_from_several_threads_at_once():
    c = trace(lambda x: pe.softmax(x) @ x.T, LARGE)
    (expected,) = run(c, [LARGE])
    shared = CompiledProgram(c)
    wrong = []

    def work():
        for _ in range(10):
            out = np.zeros_like(expected)
            shared.run([LARGE], [out])
            if not np.array_equal(out, expected):
                wrong.append(out)

    with threads(2):
        started = [threading.Thread(target=work) for _ in range(4)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
    assert not wrong


FORKED = """
import os, sys, warnings
from tests.compiler.test_threads import LARGE
from tests.programs import bits, run, threads, trace
warnings.simplefilter("ignore")  # Python's, of forks where threads are
c = trace(lambda x: x @ x.T, LARGE)
with threads(3):
    expected = bits(run(c, [LARGE]))
    child = os.fork()
    fine = bits(run(c, [LARGE])) == expected
    if child == 0:
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0 and fine
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own():
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        cwd=root,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_more_threads_than_work():
    c = trace(lambda x: [pe.sum(x, 0), x[:1] * 2.0], LARGE)
    with threads(7):
        for found, right in zip(run(c, [LARGE]), reference(c, [LARGE]), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 16), (16, 2), (7, 16)])
def test_a_product_of_a_single_tile_changes_a_cell_once(rows, columns):
    """Work enough to be shared, and nothing to divide: one worker does it, not each of them."""
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-3, 4, (900, n)).astype(np.float32) for n in (rows, columns))
    cell = Cell(np.zeros((rows, columns), np.float32))
    with tracing():
        update = Tensor(leaf(cell)) + tensor(x).T @ tensor(y)
    program = CompiledProgram(Computation((), (), ((cell, update.node),)))
    with threads(3):
        program.run([], [], 100)
    np.testing.assert_array_equal(cell.value, 100 * (x.T @ y))  # whole numbers: exact


def test_one_alone_where_others_would_only_wait(monkeypatch):
    monkeypatch.setattr(Choice, "crowded_until", 0.0)  # what earlier tests found out
    choice = Choice()
    assert choice.workers(1, 1) == 1
    assert choice.workers(4, 1) == 4  # nothing is known yet
    choice.note(4, 1, 1e-6, 1.0)
    assert choice.workers(4, 1) == 1  # too brief to wake anybody
    assert choice.workers(4, 1_000_000) == 4


def test_a_new_program_believes_that_the_machine_is_crowded(monkeypatch):
    """What another found out in the last milliseconds, and no longer than that."""
    now = [100.0]
    monkeypatch.setattr("pellucid.compiler.threads.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(Choice, "crowded_until", 0.0)
    first = Choice()
    first.note(1, 1, 0.01, 1.0)
    first.note(2, 1, 0.02, 0.5)  # slower than alone, and for half of the time without processor
    assert first.workers(2, 1) == Choice().workers(2, 1) == 1
    now[0] += 1.0
    assert Choice().workers(2, 1) == 2


def verdicts(choice, together, alone, count, steps=60):
    """How many workers are chosen, one verdict after the other, for steps that take so long."""
    found = []
    for _ in range(count):
        found.append(choice.workers(2, steps))
        step = alone if found[-1] == 1 else together
        choice.note(found[-1], round(0.006 / step), 0.006, 1.0)
    return found


def test_short_steps_are_tried_on_one_worker_as_well(monkeypatch):
    monkeypatch.setattr(Choice, "crowded_until", 0.0)
    assert verdicts(Choice(), 50e-6, 80e-6, 6) == [2, 1, 2, 2, 2, 2]
    slow = verdicts(Choice(), 140e-6, 80e-6, 20)  # undisturbed, and slower all the same
    assert slow[:5] == [2, 1, 1, 1, 2]
    assert slow.count(2) <= 4
    assert verdicts(Choice(), 500e-6, 900e-6, 4) == [2, 2, 2, 2]  # long ones gain for sure
    assert verdicts(Choice(), 50e-6, 80e-6, 4, 1000) == [2, 2, 2, 2]  # a trial would take long


def test_a_trial_may_be_in_parts_and_is_not_repeated(monkeypatch):
    """Calls of one worker count apart from those of all, however brief each of them is."""
    monkeypatch.setattr(Choice, "crowded_until", 0.0)
    choice = Choice()
    assert choice.trial(2, 1) == 0  # nothing is known yet
    choice.note(2, 100, 100 * 50e-6, 1.0)
    assert choice.trial(1, 1) == 0
    for _ in range(4):
        assert choice.workers(2, 20) == 1
        choice.note(1, 20, 20 * 80e-6, 1.0)
        choice.note(2, 60, 60 * 50e-6, 1.0)
    assert choice.trial(2, 1) == 0
    assert choice.workers(2, 20) == 2


@pytest.mark.parametrize("available", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("unit", [1, 7, 40, 100, 250])
@pytest.mark.parametrize("step", [3e-6, 50e-6, 140e-6, 200e-6])
def test_a_call_as_long_as_a_trial_is_one(monkeypatch, available, unit, step):
    """So nobody goes on in small calls, waiting for a trial that never comes."""
    monkeypatch.setattr(Choice, "crowded_until", 0.0)
    choice = Choice()
    choice.note(available, 10_000, 10_000 * step, 1.0)
    units = choice.trial(available, unit)
    if units:
        assert choice.workers(available, units * unit) == 1
        choice.note(1, units * unit, units * unit * step * 1.5, 1.0)
    assert choice.trial(available, unit) == 0
    if (available, unit, step) == (2, 7, 50e-6):
        assert units == 15  # 105 steps, 5 ms


@pytest.mark.skipif(threads_module.PROCESSOR is None, reason="this system binds no threads")
@pytest.mark.skipif(available_processors() < 2, reason="there is one processor")
def test_workers_keep_off_the_callers_processor(monkeypatch):
    allowed = os.sched_getaffinity(0)
    for here in sorted(allowed)[:2]:
        monkeypatch.setattr(threads_module, "PROCESSOR", lambda here=here: here)
        POOL.run(lambda worker: None, 2)
        elsewhere = [os.sched_getaffinity(t.native_id) for t in POOL._threads]
        assert elsewhere == [allowed - {here}] * len(elsewhere)
    assert os.sched_getaffinity(0) == allowed  # the caller itself is not bound


def test_a_bound_function_sees_what_its_arrays_hold():
    x, out = np.ones((3, 4), np.float32), np.zeros((3, 4), np.float32)
    call = CompiledProgram(trace(lambda x: x + 1.0, x)).bind([x], [out])
    call()
    np.testing.assert_array_equal(out, 2.0)
    x[...] = 5.0
    call()
    np.testing.assert_array_equal(out, 6.0)
    big = np.zeros_like(LARGE)
    with threads(2):
        CompiledProgram(trace(lambda x: x + x, LARGE)).bind([LARGE], [big])()
    np.testing.assert_array_equal(big, LARGE + LARGE)


def test_every_worker_has_a_desk_in_all_programs_of_a_call():
    """A batch and its rest are two programs of one call: what one worker computes on its desk
    must not reach another's."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 3, 32, 32)).astype(np.float32)
    parts = []
    for batch in (6, 2):
        x = rng.standard_normal((batch, 16, 16, 32)).astype(np.float32)
        c = trace(lambda x, w: pe.conv(x, w, padding="same"), x, w)
        program = CompiledProgram(c)
        assert program._desk > 0
        parts.append((program, [x, w], [np.zeros(x.shape, np.float32)], 1))
    with threads(3):
        run_in_turn(parts)
    for program, inputs, (found,), _ in parts:
        assert program._own.nbytes >= 3 * program._desk
        with threads(1):
            np.testing.assert_array_equal(found, run(program.computation, inputs)[0])
