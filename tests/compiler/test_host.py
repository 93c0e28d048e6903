"""Which processor code is made for: the host, or one that PELLUCID_CPU names."""

from __future__ import annotations

import os
import sys

import pytest

from pellucid.compiler import host
from pellucid.compiler.host import KNOWN, check_name, current

pytest.importorskip("llvmlite")

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-apple-darwin"


@pytest.mark.parametrize("wrong", ["banana", " ", "pentium", "apple-m1", "HASWELL", "native"])
def test_a_processor_that_does_not_exist_is_a_clear_error(wrong):
    with pytest.raises(ValueError, match="PELLUCID_CPU names no x86_64 processor, received"):
        check_name(wrong, X86, "+avx512f")


def test_a_near_miss_is_guessed():
    with pytest.raises(ValueError, match="did you mean 'haswell'"):
        check_name("hasswell", X86, "")


def test_code_that_the_host_cannot_run_is_refused():
    check_name("haswell", X86, "+avx2")
    check_name("skylake-avx512", X86, "+avx2,+avx512f")
    with pytest.raises(ValueError, match="AVX-512 code this processor cannot run"):
        check_name("skylake-avx512", X86, "+avx2")


def test_each_family_has_names_of_its_own():
    check_name("apple-m1", ARM, "")
    check_name("anything", "riscv64-unknown-linux-gnu", "")  # a family without a list
    for names in KNOWN.values():
        assert len(set(names.split())) == len(names.split())


def test_the_environment_is_looked_at(monkeypatch):
    monkeypatch.setenv("PELLUCID_CPU", "banana")
    with pytest.raises(ValueError, match="PELLUCID_CPU"):
        current()
    monkeypatch.setenv("PELLUCID_CPU", "")
    assert current().cpu


FIRST = """processor : 0
vendor_id : AuthenticAMD
cpu family : 25
model : 17
model name : AMD EPYC
stepping : 1
cpu MHz : {speed}
flags : fpu vme{flags}
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What Linux says can be changed; calls with it give how often LLVM was asked."""
    llvm = pytest.importorskip("llvmlite.binding")
    name, times = llvm.get_host_cpu_name, []
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: times.append(1) or name())
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(host, "PROCESSORS", str(tmp_path / "cpuinfo"))

    def told(text):
        if text is not None:
            (tmp_path / "cpuinfo").write_text(text)
        host.host.cache_clear()
        before = len(times)
        assert host.host() == (llvm.get_process_triple(), name(), current_features(llvm))
        return len(times) - before

    yield told
    host.host.cache_clear()


def current_features(llvm):
    return llvm.get_host_cpu_features().flatten()


def test_llvm_is_asked_once_for_a_processor(asked, tmp_path):
    same = FIRST.format(speed=2000, flags="")
    assert asked(same) == 1
    assert asked(same) == 0
    assert asked(FIRST.format(speed=3000, flags="") + "\nprocessor : 1\nflags : none\n") == 0
    assert asked(FIRST.format(speed=2000, flags=" avx2")) == 1  # moved to another one
    assert asked(same.replace("model : 17", "model : 18")) == 1
    assert asked(same) == 0
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize("text", [None, "", "processor : 0\nFeatures : fp asimd\n", "\n\n"])
def test_llvm_is_asked_each_time_where_linux_does_not_say(asked, tmp_path, text):
    assert asked(text) == 1
    assert asked(text) == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: d[:-1], lambda d: d[:-3] + b"xyz"])
def test_a_damaged_answer_is_asked_for_again(asked, tmp_path, damage):
    same = FIRST.format(speed=2000, flags="")
    assert asked(same) == 1
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert asked(same) == 1
    assert file.read_bytes() == whole
    assert asked(same) == 0


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="Linux's own words")
def test_linux_says_all_of_a_processor_of_the_x86_family():
    if current().family == "x86_64":
        seen = host._seen()
        assert seen[0] == str(sys.maxsize)
        assert "sse2" in seen[-1].split()
