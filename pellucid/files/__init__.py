"""How arrays and text lie in a file, and how a file is replaced whole or not at all.

What they mean is said above: `io` writes models, `train` the checkpoints of runs.
"""

from .atomic import remove_leftovers, write_atomically
from .errors import ModelFileError

__all__ = ["ModelFileError", "remove_leftovers", "write_atomically"]
