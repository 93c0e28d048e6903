"""Long contractions in blocks of their depth.

All tiles walk along one block, which stays close by, then along the next; between blocks the
accumulators wait in memory. `schedule` says which ones, and how many blocks.
"""

from __future__ import annotations

import math

from . import memory
from .contract import Contraction, Index, Tile


class Blocked(Contraction):
    """Writes one contraction in blocks."""

    def _walk(self, total: int) -> None:
        w, length = self.w, self.depth[0].length
        blocks = self.kernel.blocks
        with w.loop("0", str(blocks)) as block:
            first, last = (
                w.let(f"udiv i64 {w.let(f'mul i64 {n}, {length}')}, {blocks}")
                for n in (block.index, w.let(f"add i64 {block.index}, 1"))
            )
            steps = w.let(f"sub i64 {last}, {first}")
            fresh = w.let(f"icmp eq i64 {block.index}, 0")

            def add(tile: Tile) -> None:
                places = self._waiting(tile)
                sums = []
                for place in places:
                    value = w.let(f"load {self.kind}, ptr {place}, align 4")
                    empty = f"{self.kind} zeroinitializer"
                    sums.append(w.let(f"select i1 {fresh}, {empty}, {self.kind} {value}"))
                for place, value in zip(places, self._along(tile, sums, first, steps), strict=True):
                    w.line(f"store {self.kind} {value}, ptr {place}, align 4")

            with self._numbers(total) as number:
                self._numbered(number, add)

        def finish(tile: Tile) -> None:
            values = [
                w.let(f"load {self.kind}, ptr {place}, align 4") for place in self._waiting(tile)
            ]
            self._finish_all(tile, values)

        with self._numbers(total) as number:
            self._numbered(number, finish)

    def _waiting(self, tile: Tile) -> list[str]:
        """Where the accumulators of a tile wait."""
        assert self.kernel.scratch is not None
        base = self.body.base(self.kernel.scratch)
        pitch = self.kernel.scratch.strides[0]
        rows = math.prod(length for length, _ in self.rows)
        place: Index = 0
        for axis, index in zip(self.batch, tile.batch, strict=True):
            place = self.body.plus(self.body.times(place, axis.length), index)
        flat = self.body.plus(self.body.times(place, rows), tile.flat)
        at = self.body.plus(self.body.times(flat, pitch), tile.left)
        first = memory.address(self.w, self.dtype, base, at)
        return [
            memory.address(self.w, self.dtype, first, m * pitch + v * self.w.lanes)
            for m in range(tile.height)
            for v in range(tile.width)
        ]
