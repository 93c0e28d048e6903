"""From LLVM IR text to machine code, by llvmlite, which only `host` imports beside this."""

from __future__ import annotations

import threading
from typing import Any

import llvmlite.binding as llvm

from .target import Target

_lock = threading.Lock()
_ready: set[str] = set()


def _initialize(target: Target, host: bool) -> None:
    with _lock:
        kind = "host" if host else "all"
        if kind not in _ready:
            if host:
                llvm.initialize_native_target()
                llvm.initialize_native_asmprinter()
            else:
                llvm.initialize_all_targets()
                llvm.initialize_all_asmprinters()
            _ready.add(kind)


def _target_machine(target: Target, *, jit: bool) -> Any:
    _initialize(target, host=jit)
    # a higher level takes a sixth longer and makes no step faster
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=1, jit=jit, reloc="pic", codemodel="default"
    )


def assemble(text: str, target: Target) -> bytes:
    """Object code of a module for a target."""
    machine = _target_machine(target, jit=True)
    module = llvm.parse_assembly(text)
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    return bytes(machine.emit_object(module))


def assembly(text: str, target: Target) -> str:
    """Assembly text of a module, for any target that LLVM knows."""
    machine = _target_machine(target, jit=False)
    module = llvm.parse_assembly(text)
    module.triple = target.triple
    module.verify()
    return str(machine.emit_assembly(module))


class Engine:
    """Object code brought into memory by LLVM; it is released with this object.

    Args:
        objects: object code, as `assemble` makes it.
        target: what it was made for.
    """

    def __init__(self, objects: bytes, target: Target) -> None:
        machine = _target_machine(target, jit=True)
        empty = llvm.parse_assembly("")
        empty.triple = target.triple
        # LLVM's own memory manager may put code and constants more than 2 GiB apart where the
        # process is large, and then ends it: llvmlite's keeps them together, but has no room
        # for the bridges to functions outside, which processors without fma call
        outside = any(name in objects for name in (b"\0fmaf\0", b"\0fma\0"))
        self._engine = llvm.create_mcjit_compiler(empty, machine, use_lmm=not outside)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(objects))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins; 0 if there is none of that name."""
        address: int = self._engine.get_function_address(name)
        return address
