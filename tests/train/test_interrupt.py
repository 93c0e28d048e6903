"""Ctrl-C: a run ends between two steps, with what was learned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pellucid.train.interrupt import Interrupt

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    """Python's own handler, which a process started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


SCRIPT = """
import json, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be inherited as ignored
import numpy as np
from pellucid import nn, train

class Started(train.Callback):
    def slice_end(self, run):
        if run.steps > 100 and not getattr(self, "told", False):
            self.told = True
            print("started", flush=True)

X = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
run = train.fit(model, X, y, epochs=10_000_000, callbacks=[Started()])
figures = train.evaluate(model, X, y)
print(json.dumps([run.stopped, run.steps, run.history.epochs, figures["accuracy"]]), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise on Windows")
def test_ctrl_c_returns_what_was_learned():
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "started\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        start = time.perf_counter()
        out, err = process.communicate(timeout=60)
        waited = time.perf_counter() - start
    assert process.returncode == 0, err
    assert err == ""
    stopped, steps, epochs, accuracy = json.loads(out)
    assert stopped == "interrupted"
    assert steps // 8 == epochs > 0
    assert accuracy > 0.8
    assert waited < 5


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise on Windows")
def test_the_second_ctrl_c_does_not_wait():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            if interrupt.received:
                break
        assert interrupt.received
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_of_someone_else_stays():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_touched():
    found = []

    def work():
        with Interrupt():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
