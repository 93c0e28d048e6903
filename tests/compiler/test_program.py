"""Programs bound to their settings and entries, before anything runs."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler
from pellucid.compiler import cache, host, machine, pipeline, render
from pellucid.compiler.code import Code
from pellucid.compiler.program import CompiledProgram
from tests.programs import run, trace

pytestmark = pytest.mark.skipif(not compiler.can_compile(), reason="nothing is compiled here")


@pytest.mark.parametrize("wrong", ["banana", "0", "100000"])
def test_a_wrong_number_of_threads_is_told_even_where_one_is_used(monkeypatch, wrong):
    monkeypatch.setenv("PELLUCID_THREADS", wrong)
    with pytest.raises(ValueError, match="PELLUCID_THREADS must be a whole number from 1 to 1024"):
        pe.compile(lambda x: x + 1)(1.0)


def test_an_entry_under_the_name_of_another_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path))
    cache.write("one", {"slots": []}, b"code")
    assert cache.read("one") == ({"slots": []}, b"code")
    (tmp_path / "one.code").rename(tmp_path / "two.code")
    assert cache.read("two") is None


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("PELLUCID_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.Path, "home", no_home)
    monkeypatch.setattr(cache.sys, "platform", "linux")
    assert cache.read("anything") is None
    cache.write("anything", {}, b"")
    assert np.asarray(pe.compile(lambda x: x + 1)(1.0)) == 2.0


def test_zero_does_not_ask_for_the_reference(monkeypatch):
    monkeypatch.setenv("PELLUCID_REFERENCE", "0")
    assert compiler.can_compile()
    monkeypatch.setenv("PELLUCID_REFERENCE", "1")
    assert not compiler.can_compile()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_is_forked_while_code_is_made_can_make_code():
    loading = sys.modules[CompiledProgram.__module__]._loading
    held = threading.Event()

    def hold():
        with loading:
            held.set()
            time.sleep(0.1)

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
        child = os.fork()
    if child == 0:
        os._exit(0 if loading.acquire(blocking=False) else 1)
    other.join()
    assert os.waitpid(child, 0)[1] == 0
    assert not loading.locked()


def test_kernels_called_one_by_one_do_what_the_program_does():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((40, 33), (33, 50)))
    c = trace(lambda x, w: pe.sum(pe.softmax(x @ w) ** 2, 0), x, w)
    plan, processor = pipeline.lower(c), host.current()
    code = Code(machine.assemble(render.render_apart(plan, processor), processor), processor)
    out = np.zeros(50, np.float32)
    program = CompiledProgram(c)
    table = program.table_for([x, w], [out], 1)
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    assert len(plan.kernels) > 2
    for number in range(len(plan.kernels)):
        code.function(f"kernel{number}", prototype)(table.ctypes.data, 0, 1)
    np.testing.assert_array_equal(out, run(c, [x, w])[0])
