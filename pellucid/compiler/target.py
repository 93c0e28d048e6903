"""The processor that code is made for, and what the kernels must know of it."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass

from pellucid.core.storage import LANES


@dataclass(frozen=True)
class Target:
    """A processor.

    Attributes:
        triple: LLVM's name of architecture and system.
        cpu: LLVM's name of the processor.
        features: comma-separated feature switches.
        vector_bytes: width of a vector register.
        vector_registers: how many there are.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int

    @property
    def family(self) -> str:
        """x86_64, aarch64, ..."""
        return self.triple.split("-")[0]

    def tile_registers(self, itemsize: int, lanes: int = LANES) -> int:
        """How many vectors of so many elements the registers hold."""
        each = max(1, lanes * itemsize // self.vector_bytes)  # a register holds one or a part
        return self.vector_registers // each


AVX512_CPUS = ("skylake-avx512", "icelake", "sapphirerapids", "znver4", "znver5", "x86-64-v4")


def named(cpu: str, triple: str, features: str = "") -> Target:
    """The target of a processor named as LLVM names it."""
    family = triple.split("-")[0]
    if family in ("aarch64", "arm64"):
        return Target(triple, cpu, features, 16, 32)
    if "+avx512f" in features or any(cpu.startswith(known) for known in AVX512_CPUS):
        switches = f"{features},-prefer-256-bit".lstrip(",")
        return Target(triple, cpu, switches, 64, 32)
    narrow = features and "+avx2" not in features
    return Target(triple, cpu, features, 16 if narrow else 32, 16)


KNOWN = {
    "x86_64": """
        x86-64 x86-64-v2 x86-64-v3 x86-64-v4 generic nocona core2 penryn nehalem corei7 westmere
        sandybridge corei7-avx ivybridge core-avx-i haswell core-avx2 broadwell skylake
        skylake-avx512 skx cascadelake cooperlake cannonlake icelake-client icelake-server
        rocketlake tigerlake sapphirerapids emeraldrapids graniterapids alderlake raptorlake
        meteorlake bonnell atom silvermont slm goldmont goldmont-plus tremont gracemont
        sierraforest grandridge k8 opteron athlon64 athlon-fx k8-sse3 opteron-sse3 athlon64-sse3
        amdfam10 barcelona btver1 btver2 bdver1 bdver2 bdver3 bdver4 znver1 znver2 znver3 znver4
    """,
    "aarch64": """
        generic cortex-a35 cortex-a53 cortex-a55 cortex-a57 cortex-a65 cortex-a72 cortex-a73
        cortex-a75 cortex-a76 cortex-a77 cortex-a78 cortex-a510 cortex-a710 cortex-x1 cortex-x2
        neoverse-e1 neoverse-n1 neoverse-n2 neoverse-v1 neoverse-512tvb a64fx ampere1 tsv110
        apple-a7 apple-a10 apple-a11 apple-a12 apple-a13 apple-a14 apple-a15 apple-m1 apple-m2
        thunderx thunderx2t99 thunderx3t110 carmel falkor kryo saphira cyclone
    """,
}
"""LLVM's names of processors, by family. LLVM ends the process when it is given another."""


def check_name(cpu: str, triple: str, host_features: str) -> None:
    """Refuse a processor that LLVM does not know, or whose code would not run here.

    Raises:
        ValueError: says what could be named instead.
    """
    family = triple.split("-")[0]
    known = KNOWN.get("aarch64" if family == "arm64" else family, "").split()
    if known and cpu not in known:
        close = difflib.get_close_matches(cpu, known, 1, 0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        raise ValueError(f"PELLUCID_CPU names no {family} processor, received {cpu!r}; {hint}")
    if named(cpu, triple).vector_bytes == 64 and "+avx512f" not in host_features.split(","):
        raise ValueError(
            f"PELLUCID_CPU names {cpu!r}, whose AVX-512 code this processor cannot run; name one "
            "without, such as 'haswell'"
        )


def current() -> Target:
    """The host, or the processor that PELLUCID_CPU names.

    Raises:
        ValueError: PELLUCID_CPU names none, or one whose code would not run here.
    """
    import llvmlite.binding as llvm

    triple = llvm.get_process_triple()
    wanted = os.environ.get("PELLUCID_CPU", "")
    if wanted and wanted != "host":
        if wanted != llvm.get_host_cpu_name():
            check_name(wanted, triple, llvm.get_host_cpu_features().flatten())
        return named(wanted, triple)
    return named(llvm.get_host_cpu_name(), triple, llvm.get_host_cpu_features().flatten())
