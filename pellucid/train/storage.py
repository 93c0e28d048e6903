"""Where the trials of a search are kept, and who proposes new ones: Optuna.

The only module that knows Optuna, an optional dependency that is imported when a search
begins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .space import Configuration, Range, Space
from .trials import COMPLETE, DIVERGED, PRUNED, Trial

_STUDY = "pellucid"
_NUMBER, _ABOUT, _STATE = "number", "about", "state"


def optuna() -> Any:
    """The library.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import optuna as found  # optional, and slow to import
    except ImportError:
        raise ImportError(
            "a search needs Optuna: python -m pip install 'pellucid[search]'"
        ) from None
    return found


class Storage:
    """The trials of one search, in a file if there is one.

    Args:
        path: of the file; None keeps them in memory.
        space: what configurations are chosen from.
        greater_is_better: whether a greater score is better.
        about: what makes two searches the same one, by name.

    Attributes:
        trials: those that have ended, by number.

    Raises:
        ValueError: the file holds another search, or cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        space: Space,
        greater_is_better: bool,
        about: Mapping[str, Any],
    ) -> None:
        library = optuna()
        self._space = {name: _distribution(entry) for name, entry in space.items()}
        self._direction = "maximize" if greater_is_better else "minimize"
        self.trials: dict[int, Trial] = {}
        self._engine: Any = None
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise ValueError(f"cannot keep trials in {path}: there is no such folder")
        try:
            base = None
            if path is not None:
                base = library.storages.RDBStorage(f"sqlite:///{Path(path).absolute()}")
                self._engine = base.engine
            self._study = library.create_study(
                storage=base,
                study_name=_STUDY,
                direction=self._direction,
                load_if_exists=True,
            )
            self._check(about, path)
            for frozen in self._study.get_trials(deepcopy=False):
                found = _trial(frozen)
                if found is not None:
                    self.trials.setdefault(found.number, found)
        except Exception as error:
            self.close()
            if isinstance(error, ValueError):
                raise
            text = str(error).splitlines()[0]
            raise ValueError(f"{path} is not a storage of trials: {text}") from None

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._engine is not None:
            self._engine.dispose()

    def _check(self, about: Mapping[str, Any], path: Any) -> None:
        """Note which search this is, or refuse another one."""
        known = self._study.user_attrs.get(_ABOUT)
        if known is None and self._study.get_trials(deepcopy=False):
            raise ValueError(f"{path} holds trials of another program")
        if known is None:
            self._study.set_user_attr(_ABOUT, dict(about))
            return
        differing = [name for name in about if known.get(name) != about[name]]
        if differing:
            raise ValueError(
                f"{path} holds a search with other {' and '.join(differing)}: give another file, "
                "or the same arguments to go on with it"
            )

    def add(self, trial: Trial) -> None:
        """Keep a trial that has ended, whole or not at all."""
        library = optuna()
        states = library.trial.TrialState
        state = {COMPLETE: states.COMPLETE, PRUNED: states.PRUNED, DIVERGED: states.FAIL}
        frozen = library.trial.create_trial(
            state=state[trial.state],
            value=trial.score,
            params=trial.configuration,
            distributions=self._space,
            intermediate_values=dict(enumerate(trial.scores)),
            user_attrs={_NUMBER: trial.number, _STATE: trial.state},
        )
        self._study.add_trial(frozen)
        self.trials[trial.number] = trial

    def propose(self, past: Sequence[Trial], seed: int, number: int) -> Configuration:
        """The configuration of a trial: a function of its number and of the past alone.

        Args:
            past: the trials that it may know, by number.
            seed: of the search.
            number: of the trial.
        """
        library = optuna()
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        study = library.create_study(
            direction=self._direction, sampler=library.samplers.TPESampler(seed=own)
        )
        states = library.trial.TrialState
        for trial in past:
            if trial.state == DIVERGED:
                continue
            study.add_trial(
                library.trial.create_trial(
                    state=states.COMPLETE if trial.state == COMPLETE else states.PRUNED,
                    value=trial.score,
                    params=trial.configuration,
                    distributions=self._space,
                    intermediate_values=dict(enumerate(trial.scores)),
                )
            )
        chosen = study.ask(self._space).params
        return {name: chosen[name] for name in self._space}


def _distribution(entry: Any) -> Any:
    """An entry of a space as Optuna says it."""
    kinds = optuna().distributions
    if not isinstance(entry, Range):
        return kinds.CategoricalDistribution(entry)
    kind = kinds.IntDistribution if entry.whole else kinds.FloatDistribution
    return kind(entry.low, entry.high, log=entry.by_ratio)


def _trial(frozen: Any) -> Trial | None:
    """A trial of the file; None if it has not ended."""
    number, state = frozen.user_attrs.get(_NUMBER), frozen.user_attrs.get(_STATE)
    if type(number) is not int or state not in (COMPLETE, PRUNED, DIVERGED):
        return None
    scores = tuple(frozen.intermediate_values[i] for i in sorted(frozen.intermediate_values))
    return Trial(number, dict(frozen.params), state, scores)
