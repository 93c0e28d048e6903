"""Graph to machine code; `pipeline` is read first. The only package that uses llvmlite."""

from .epochs import Objective, Patience, run_epochs
from .function import compile
from .program import CompiledProgram, can_compile, program
from .reshuffle import Reshuffle
from .shuffle import shuffle
from .threads import get_threads, limited_threads, set_threads
from .turns import Part, run_in_turn

__all__ = [
    "CompiledProgram",
    "Objective",
    "Part",
    "Patience",
    "Reshuffle",
    "can_compile",
    "compile",
    "get_threads",
    "limited_threads",
    "program",
    "run_epochs",
    "run_in_turn",
    "set_threads",
    "shuffle",
]
