"""When a run's checkpoint is written, and from which one it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import checkpoint as files
from .checkpoint import EPOCHS, SECONDS, Checkpoint, CheckpointError, Snapshot
from .snapshot import Parts, put_back, put_back_callbacks, taken

_ANY_NUMBER = 1 << 62


class Keeper:
    """Writes a run's checkpoint in time, and puts a run back to where its checkpoint was.

    Without a checkpoint nothing is done.

    Args:
        checkpoint: where and how often, or None.
        parts: of the run, before its first step.
    """

    def __init__(self, checkpoint: Checkpoint | None, parts: Parts) -> None:
        self._checkpoint = checkpoint
        self._parts = parts
        self._fingerprint: dict[str, str] = {}
        self._found: Snapshot | None = None
        self._written: tuple[int, str | None] | None = None  # steps, and why the run stopped
        self._since = 0.0
        number, self._unit = checkpoint.interval if checkpoint else (0.0, SECONDS)
        self._seconds = number
        self._steps = _ANY_NUMBER  # between two checkpoints, where these are counted
        if self._unit != SECONDS:
            self._steps = int(number) * (parts.loop.steps_per_epoch if self._unit == EPOCHS else 1)

    def begin(self, fingerprint: Callable[[], dict[str, str]], resume: bool) -> None:
        """Put the run to where its checkpoint was, if it is to go on.

        Args:
            fingerprint: gives the run's.
            resume: go on from the checkpoint, if there is one.

        Raises:
            CheckpointError: the checkpoint is not sound, or of another run; or a new run
                would replace what is not its own.
        """
        if self._checkpoint is None:
            if resume:
                raise ValueError("resume=True needs checkpoint=..., the file to go on from")
            return
        self._fingerprint = fingerprint()
        found = files.read_latest(self._checkpoint) if resume else None
        if found is None:
            files.check_replaceable(self._checkpoint)
            return
        self._found, is_latest = found
        try:
            put_back(self._parts, self._found, self._fingerprint)
        except CheckpointError as error:
            raise CheckpointError(f"cannot go on from {self._checkpoint.path}: {error}") from None
        if is_latest:
            self._note()

    def callbacks_began(self) -> None:
        """Give callbacks what they remembered; write the checkpoint if none is sound.

        Raises:
            CheckpointError: it cannot be written, or a callback cannot go on.
        """
        if self._checkpoint is None:
            return
        if self._found is not None:
            put_back_callbacks(self._parts, self._found)
            self._found = None  # a copy of all values, no longer needed
            files.remove_leftovers(self._checkpoint.latest)
            self.save()
        else:
            files.write_first(self._checkpoint, taken(self._parts, self._fingerprint))
            self._note()

    def at_most(self, steps: int) -> int:
        """So many steps, or those that are left until a checkpoint is due."""
        return min(steps, self._steps - self._parts.loop.done % self._steps)

    @property
    def is_due(self) -> bool:
        """Whether it is time to write the checkpoint; asked between steps."""
        if self._checkpoint is None:
            return False
        if self._unit == SECONDS:
            return time.perf_counter() - self._since >= self._seconds
        return self._parts.loop.done % self._steps == 0

    def save(self) -> None:
        """Write the checkpoint, unless the latest one is of this moment.

        Raises:
            CheckpointError: it cannot be written; what was there before is intact.
        """
        if self._checkpoint is None or self._written == self._moment():
            return
        snapshot = taken(self._parts, self._fingerprint)
        files.write(self._checkpoint, snapshot, keep=self._written is not None)
        self._note()

    def _note(self) -> None:
        """What the file holds now is sound, and of this moment."""
        self._written = self._moment()
        self._since = time.perf_counter()

    def _moment(self) -> tuple[int, str | None]:
        return self._parts.loop.done, self._parts.run.stopped
