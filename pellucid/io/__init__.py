"""Files: models in one `.safetensors` each, written atomically, read without executing anything.

`model` says what a model file holds, `safetensors` how arrays lie in it, `atomic`
how a file is replaced whole or not at all.
"""

from .errors import ModelFileError
from .model import load, read_model, save

__all__ = ["ModelFileError", "load", "read_model", "save"]
