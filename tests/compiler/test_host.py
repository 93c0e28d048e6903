"""Which processor code is made for: the host, or one that PELLUCID_CPU names."""

from __future__ import annotations

import pytest

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
