"""Small pieces of native code that are the same for every program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import cache


def native(name: str, render: Callable[[], str], prototype: Any) -> Callable[..., None]:
    """The function of that name, from the cache or compiled from what `render` writes."""
    from . import machine, target  # slow to import, needed from here on

    processor = target.current()
    key = cache.digest(name, processor)
    stored = cache.read(key)
    if stored is None:
        stored = {}, machine.assemble(render(), processor)
        cache.write(key, *stored)
    found: Callable[..., None] = machine.Code(stored[1], processor).function(name, prototype)
    return found
