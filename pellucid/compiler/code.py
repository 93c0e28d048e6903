"""Machine code in memory, and its functions."""

from __future__ import annotations

from typing import Any

from . import image
from .target import Target


class Code:
    """Machine code in memory; it is released with this object.

    Args:
        objects: object code, as `machine.assemble` makes it.
        target: what it was made for.
        description: what was said of it when it was made.
    """

    def __init__(
        self, objects: bytes, target: Target, description: dict[str, Any] | None = None
    ) -> None:
        self.description = description or {}
        self._held: Any = image.load(objects)
        if self._held is None:
            from . import machine  # slow to import, needed where `image` does not know the way

            self._held = machine.Engine(objects, target)

    def address(self, name: str) -> int:
        """Where a function of the code begins."""
        address: int = self._held.address(name)
        if not address:
            raise RuntimeError(f"the compiled code has no function {name!r}")
        return address

    def function(self, name: str, prototype: Any) -> Any:
        """A function of the code, callable; calls let go of the interpreter lock."""
        function = prototype(self.address(name))
        function.code = self  # the code lives as long as what calls it
        return function
