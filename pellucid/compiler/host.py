"""The processor of this computer, or another one that is asked for."""

from __future__ import annotations

import difflib
import functools
import os
import sys

from . import cache
from .target import Target, named

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


PROCESSORS = "/proc/cpuinfo"
TOLD = "vendor_id", "cpu family", "model", "model name", "stepping", "flags"
"""What Linux says of a processor of the x86 family, and LLVM's answers follow from."""


def current() -> Target:
    """The host, or the processor that PELLUCID_CPU names.

    Raises:
        ValueError: PELLUCID_CPU names none, or one whose code would not run here.
    """
    triple, cpu, features = host()
    wanted = os.environ.get("PELLUCID_CPU", "")
    if wanted and wanted != "host":
        if wanted != cpu:
            check_name(wanted, triple, features)
        return named(wanted, triple)
    return named(cpu, triple, features)


@functools.cache
def host() -> tuple[str, str, str]:
    """LLVM's names of this system, its processor and that one's features.

    They are kept in the cache for processors that look the same, so that where
    nothing is compiled llvmlite, slow to import, is not needed.
    """
    known = _seen()
    key = cache.digest("host", known)
    stored = cache.read(key) if known else None
    if stored is not None:
        return stored[0]["triple"], stored[0]["cpu"], stored[0]["features"]
    import llvmlite.binding as llvm

    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    features = llvm.get_host_cpu_features().flatten()
    if known:
        cache.write(key, {"triple": triple, "cpu": cpu, "features": features}, b"")
    return triple, cpu, features


def _seen() -> list[str]:
    """What Linux says of the first processor; nothing elsewhere, or where it does not say all."""
    lines = {}
    try:
        with open(PROCESSORS, encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():  # the next processor, of which there may be hundreds
                    break
                field, _, value = line.partition(":")
                lines[field.strip()] = value.strip()
    except OSError:
        return []
    return [str(sys.maxsize), *(lines[f] for f in TOLD)] if lines.keys() >= set(TOLD) else []
