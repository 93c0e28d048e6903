"""Graph to machine code; `pipeline` is read first. The only package that uses llvmlite."""

from .program import CompiledProgram, can_compile, program
from .threads import get_threads, set_threads

__all__ = ["CompiledProgram", "can_compile", "get_threads", "program", "set_threads"]
