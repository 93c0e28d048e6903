"""What a model file that cannot be read or written raises."""

from __future__ import annotations


class ModelFileError(ValueError):
    """A model file is missing, damaged, not a model, or cannot be written."""
