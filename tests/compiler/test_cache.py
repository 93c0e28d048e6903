"""The cache on disk: found again, and harmless whatever happens to its files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import cache, host
from pellucid.compiler.host import current
from pellucid.compiler.program import CompiledProgram
from pellucid.core.node import leaf
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor
from tests.programs import processor, run, same_processors, trace

ROOT = Path(__file__).resolve().parents[2]
X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    current()  # what the host is like is an entry too: it is written elsewhere
    place = tmp_path / "deep" / "folder"
    monkeypatch.setenv("PELLUCID_CACHE", str(place))
    return place


@pytest.fixture
def made(monkeypatch):
    """A list that grows by one whenever code is made instead of found."""
    times = []
    module = sys.modules[CompiledProgram.__module__]
    original = module._make

    def counted(*args):
        times.append(args)
        return original(*args)

    monkeypatch.setattr(module, "_make", counted)
    return times


def works(number=3.0):
    (found,) = run(trace(lambda x: pe.tanh(x) * number + x @ x.T @ x, X), [X])
    assert np.abs(found - (np.tanh(X) * number + X @ X.T @ X)).max() < 1e-2
    return True


def files(folder):
    return sorted(p for p in folder.iterdir())


def test_made_once_and_found_again(folder, made):
    assert works() and works() and works()
    assert len(made) == 1
    (file,) = files(folder)
    assert file.suffix == ".code"


def test_another_computation_is_another_entry(folder, made):
    assert works(2.0) and works(4.0)
    assert len(made) == 2 == len(files(folder))


def test_what_an_entry_depends_on():
    """Computations that need code of their own have keys of their own."""
    target = current()
    y, wide = X + 1, X.astype(np.float64)
    different = [
        trace(lambda x: x + 1.0, X),
        trace(lambda x: x + 2.0, X),
        trace(lambda x: x - 1.0, X),
        trace(lambda x: x + 1.0, X[:2]),
        trace(lambda x: x + 1.0, wide),
        trace(lambda x: [x + 1.0, x], X),
        trace(lambda x: [x, x + 1.0], X),
        trace(lambda x, y: x - y, X, y),
        trace(lambda x, y: y - x, X, y),
        trace(lambda x: x[:, 1:], X),
        trace(lambda x: x[:, :3], X),
    ]
    assert len({cache.key(c, target) for c in different}) == len(different)
    again = trace(lambda x: x + 1.0, y)
    assert cache.key(again, target) == cache.key(different[0], target)


def test_each_processor_has_an_entry(folder, made):
    for cpu in same_processors():
        with processor(cpu):
            assert works() and works()
    assert len(made) == len(same_processors()) == len(files(folder))


def test_the_folder_may_be_deleted_at_any_time(folder, made):
    assert works()
    shutil.rmtree(folder)
    assert works() and len(made) == 2
    files(folder)[0].unlink()
    assert works() and len(made) == 3
    assert len(files(folder)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:100],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"x" + data[1:],
        lambda data: bytes([*data[:-9], data[-9] ^ 1, *data[-8:]]),
        lambda data: bytes(len(data)),
    ],
)
def test_a_damaged_file_is_made_anew(folder, made, damage):
    assert works()
    (file,) = files(folder)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert works() and len(made) == 2
    assert file.read_bytes() == whole
    assert works() and len(made) == 2


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch, made):
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        monkeypatch.setenv("PELLUCID_CACHE", str(place))
        assert works()
    assert len(made) == 2
    assert file.read_bytes() == b""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="all folders can be written to"
)
def test_a_folder_that_cannot_be_written_is_no_error(folder):
    folder.mkdir(parents=True, mode=0o500)
    assert works()
    assert files(folder) == []


def test_an_entry_that_is_a_folder_is_no_error(folder, made):
    assert works()
    (file,) = files(folder)
    file.unlink()
    file.mkdir()
    assert works() and len(made) == 2
    assert files(folder) == [file]


def test_an_empty_setting_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PELLUCID_CACHE", "")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert cache.folder().name == "pellucid"
    assert tmp_path in cache.folder().parents


def test_several_processes_at_once(folder):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.compiler.test_cache import works\n"
        "sys.stdin.readline()\n"
        "print(all(works(float(i)) for i in range(1, 6)))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:  # all wait on this line, then compile the same programs
        process.stdin.write("now\n")
        process.stdin.flush()
    assert [process.communicate()[0].strip() for process in started] == ["True"] * 4
    made = 6 if host._seen() else 5  # what the host is like, and programs
    assert [p.suffix for p in files(folder)] == [".code"] * made  # nothing half written is left


def test_code_outlives_the_first_program_that_uses_it(folder, made):
    c = trace(lambda x: x * 2.0, X)
    first = CompiledProgram(c)
    second = CompiledProgram(c)
    assert len(made) == 1
    del first
    out = np.zeros_like(X)
    second.run([X], [out])
    np.testing.assert_array_equal(out, X * 2)


def test_constants_are_not_part_of_an_entry(folder, made):
    """Weights change from run to run: what they hold must not matter."""
    for scale in (1.0, 2.0):
        cell = Cell((X * scale).astype(np.float32))
        constant = pe.tensor(X + scale)
        c = trace(lambda x, k=cell, a=constant: x * Tensor(leaf(k)) + a, X)
        np.testing.assert_array_equal(run(c, [X])[0], X * (X * scale) + (X + scale))
    assert len(made) == 1
