"""Model files: one `.safetensors` each, written atomically, read without executing anything."""

from pellucid.files import ModelFileError

from .model import load, read_model, save

__all__ = ["ModelFileError", "load", "read_model", "save"]
