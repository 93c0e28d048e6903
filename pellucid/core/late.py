"""Methods whose home is a room above: where they are, by name.

A lower room may carry a method that it must not import. The package's face, which
may know every room, says here where it lives; it is imported when first called.
"""

from __future__ import annotations

import importlib
from typing import Any

HOMES: dict[str, tuple[str, str]] = {}
"""Name of the method to module and name of the function."""


def call(method: str, *args: Any, **kwargs: Any) -> Any:
    """Import the method's home and call it."""
    module, name = HOMES[method]
    return getattr(importlib.import_module(module), name)(*args, **kwargs)
