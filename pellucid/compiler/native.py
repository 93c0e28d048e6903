"""Small pieces of native code that are the same for every program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import cache
from .code import Code
from .host import current


def native(name: str, render: Callable[[], str], prototype: Any) -> Callable[..., None]:
    """The function of that name, from the cache or compiled from what `render` writes."""
    processor = current()
    key = cache.digest(name, processor)
    stored = cache.read(key)
    if stored is None:
        from . import machine  # slow to import, needed only to compile

        stored = {}, machine.assemble(render(), processor)
        cache.write(key, *stored)
    found: Callable[..., None] = Code(stored[1], processor).function(name, prototype)
    return found
