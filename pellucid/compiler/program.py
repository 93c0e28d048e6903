"""Compiled programs: code bound to the memory that it works on."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pellucid.core.program import Computation, Program, ReferenceProgram, accepts
from pellucid.core.storage import ALIGNMENT, Cell

from . import cache
from .code import Code
from .host import current
from .threads import POOL, Choice, get_threads, meeting

RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p)
"""`run(table, worker, workers, first step, end, meeting)`; see `render`."""

_loaded: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_loading = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child must not inherit a lock that nobody there lets go
    os.register_at_fork(
        before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
    )


def can_compile() -> bool:
    """Whether machine code can be made here; PELLUCID_REFERENCE=1 says no."""
    if os.environ.get("PELLUCID_REFERENCE", "") not in ("", "0"):
        return False
    return _has_llvmlite()


@functools.cache
def _has_llvmlite() -> bool:
    """Looking for it takes as long as a few steps of a small network."""
    return importlib.util.find_spec("llvmlite") is not None


def program(computation: Computation) -> Program:
    """The computation ready to run: compiled, or on the reference where that is impossible."""
    return CompiledProgram(computation) if can_compile() else ReferenceProgram(computation)


def _compile(computation: Computation) -> tuple[Any, str]:
    """Code for a computation: in memory as long as a program uses it, from disk, or made now."""
    processor = current()
    name = cache.key(computation, processor)
    with _loading:
        code, origin = _loaded.get(name), "memory"
        if code is None:
            stored, origin = cache.read(name), "cache"
            if stored is None:
                stored, origin = _make(computation, processor), "compiled"
                cache.write(name, *stored)
            code = Code(stored[1], processor, stored[0])
            _loaded[name] = code
        return code, origin


def _make(computation: Computation, processor: Any) -> tuple[dict[str, Any], bytes]:
    from . import machine, pipeline  # slow to import, needed only to compile

    plan, text = pipeline.to_text(computation, processor)
    places = {id(s): i for i, s in enumerate(cache.sources(computation))}
    slots = []
    for buffer in plan.table:
        number = buffer.number
        if buffer.role == "cell":
            number = places[id(plan.sources[number])]
        elif buffer.role == "temporary":
            number = plan.offsets[buffer]
        slots.append([buffer.role, number])
    description = {
        "slots": slots,
        "memory": plan.memory,
        "zeros": plan.zeros,
        "desk": plan.desk,
        "shared": any(k not in plan.serial for k in plan.kernels),
    }
    return description, machine.assemble(text, processor)


class CompiledProgram:
    """Runs a computation as machine code.

    Attributes:
        zeros: bytes of its memory, from its beginning, in which zeros stay where they are.
    """

    def __init__(self, computation: Computation) -> None:
        started = time.perf_counter()
        get_threads()  # a setting that makes no sense is told of now, not by some later call
        self.computation = computation
        self._code, self.origin = _compile(computation)
        self._function = self._code.function("run", RUN)
        self.address: int = self._code.address("run")
        description = self._code.description
        self.lock = threading.Lock()
        self._shared: bool = description["shared"]
        self._meeting = meeting()
        self._choice = Choice()
        self._memory = np.zeros(description["memory"] + ALIGNMENT, np.uint8)
        start = self._memory.ctypes.data
        start += -start % ALIGNMENT
        self.zeros = start - self._memory.ctypes.data + description["zeros"]
        self._desk: int = description["desk"]
        self._desks = np.zeros(1, np.int64)  # the address of each worker's own memory
        self._own = np.zeros(0, np.uint8)
        self.furnish(1)
        self._cells = [s if isinstance(s, Cell) else Cell(s) for s in cache.sources(computation)]
        slots = description["slots"]
        self._table = np.zeros(len(slots) + 1, np.int64)
        self._inputs: list[tuple[int, int]] = []
        self._outputs: list[tuple[int, int]] = []
        for slot, (role, number) in enumerate(slots):
            if role == "cell":
                self._table[slot] = self._cells[number].value.ctypes.data
            elif role == "temporary":
                self._table[slot] = start + number
            elif role == "desks":
                self._table[slot] = self._desks.ctypes.data
            elif role == "input":
                self._inputs.append((slot, number))
            else:
                self._outputs.append((slot, number))
        self.seconds = time.perf_counter() - started

    @property
    def temporaries(self) -> int:
        """Bytes that it holds for values on the way."""
        return self._memory.nbytes + self._own.nbytes

    def trial(self, unit: int) -> int:
        """How many units of steps a call should have to find out whether one worker is faster.

        0 if that is known, or would take too long.
        """
        return self._choice.trial(get_threads(), unit) if self._shared else 0

    def run(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], steps: int = 1
    ) -> None:
        """Run so many steps; see `Program.run`."""
        with self.lock:
            self._call(self.table_for(inputs, outputs, steps), steps)

    def bind(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]
    ) -> Callable[[], None]:
        """A function that runs one step on these arrays, without looking at them again."""
        table = self.table_for(inputs, outputs, 1)
        keep = [table, self._meeting, *inputs, *outputs]
        function, lock = self._function, self.lock
        at, record = table.ctypes.data, self._meeting.ctypes.data

        def call() -> None:
            with lock:
                function(at, 0, 1, 0, 1, record)

        def call_shared() -> None:
            with lock:
                self._call(table, 1)

        found = call_shared if self._shared else call
        found.keep = keep  # type: ignore[attr-defined]
        return found

    def table_for(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], steps: int
    ) -> np.ndarray:
        """The addresses of all buffers for a call on these arrays."""
        self._check(inputs, outputs, steps)
        table = self._table.copy()
        places = [array.ctypes.data for array in inputs]
        for slot, number in self._inputs:
            table[slot] = places[number]
        for slot, number in self._outputs:
            table[slot] = outputs[number].ctypes.data
        return table

    def furnish(self, workers: int) -> None:
        """See to it that so many workers have a desk, memory of their own."""
        size = workers * self._desk + ALIGNMENT
        if size > self._own.nbytes:
            self._own = np.zeros(size, np.uint8)
            start = self._own.ctypes.data
            self._desks[0] = start + -start % ALIGNMENT

    def on_workers(
        self,
        work: Callable[[int, int, int], None],
        steps: int,
        beside: Iterable[CompiledProgram] = (),
        taken: Callable[[], int] | None = None,
    ) -> None:
        """Call `work(worker, workers, meeting)` on as many workers as suits so many steps.

        Args:
            work: what to call.
            steps: how many it takes, at most.
            beside: programs that the same call runs.
            taken: says afterwards how many they were; all by default.
        """
        record = self._meeting.ctypes.data
        available = get_threads() if self._shared else 1
        if available == 1:
            work(0, 1, record)
            return
        workers = self._choice.workers(available, steps)
        for each in (self, *beside):
            each.furnish(workers)
        started, share = time.perf_counter(), 1.0
        if workers == 1:
            work(0, 1, record)
        else:
            self._meeting[0] = 0
            share = POOL.run(lambda worker: work(worker, workers, record), workers)
        seconds = time.perf_counter() - started
        self._choice.note(workers, max(steps if taken is None else taken(), 1), seconds, share)

    def _call(self, table: np.ndarray, steps: int) -> None:
        at, function = table.ctypes.data, self._function
        self.on_workers(
            lambda worker, workers, record: function(at, worker, workers, 0, steps, record), steps
        )

    def _check(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], steps: int
    ) -> None:
        c = self.computation
        for nodes, arrays in ((c.inputs, inputs), (c.outputs, outputs)):
            if len(nodes) != len(arrays):
                raise ValueError(f"expected {len(nodes)} arrays, received {len(arrays)}")
            for node, array in zip(nodes, arrays, strict=True):
                fits = accepts(node, array, steps if node in c.stepped else None)
                if not fits:
                    raise ValueError(f"{node} received an array {array.dtype}{array.shape}")
