"""What may look at a run, or stop it, while it goes on.

A callback sees at most four events, and may keep what it remembers in the run's
checkpoint. One that defines `epoch_end` is called after every epoch, in order; where
none does, many short epochs are run as one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .run import Run


class Callback:
    """Looks at a run; override the events that matter.

    `run.stop("reason")` in any of them ends the run cleanly.

    Attributes:
        changes_rate: whether it calls `run.scale_learning_rate`; said in the class.

    Example:
        >>> from pellucid.train import Callback
        >>> class Patient(Callback):
        ...     def epoch_end(self, run):
        ...         if run.seconds > 60:
        ...             run.stop("a minute is over")
    """

    changes_rate: ClassVar[bool] = False

    def train_begin(self, run: Run) -> None:
        """Before the first step."""

    def slice_end(self, run: Run) -> None:
        """About every 50 milliseconds, and at the end of the last epoch."""

    def epoch_end(self, run: Run) -> None:
        """After each epoch; its figures are the latest of `run.history`."""

    def train_end(self, run: Run) -> None:
        """After the last step, however the run ended."""

    def state(self) -> Mapping[str, Any]:
        """What it must remember to go on in a run that was interrupted.

        Returns:
            Numbers, texts, arrays, and lists and dictionaries of these, by name.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; called after `train_begin`.

        Args:
            state: what `state` gave.
        """

    @property
    def looks_at_epochs(self) -> bool:
        """Whether it wants to be called after each epoch."""
        return type(self).epoch_end is not Callback.epoch_end

    @property
    def keeps_state(self) -> bool:
        """Whether it has something to remember."""
        return type(self).state is not Callback.state


class EpochFunction(Callback):
    """Calls a function after each epoch.

    Args:
        function: receives the run.
    """

    def __init__(self, function: Callable[[Run], Any]) -> None:
        self.function = function

    def epoch_end(self, run: Run) -> None:
        """Call the function."""
        self.function(run)


def as_callback(given: Any) -> Callback:
    """A callback from what the user gave: a callback, or a function of the run."""
    if isinstance(given, Callback):
        return given
    if callable(given) and not isinstance(given, type):
        return EpochFunction(given)
    raise TypeError(f"a callback must be a Callback or a function of the run, received {given!r}")
