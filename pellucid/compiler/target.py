"""A processor that code is made for, and what the kernels must know of it."""

from __future__ import annotations

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
