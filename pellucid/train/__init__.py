"""Training and using models: the step, the loop, callbacks, metrics, data, cost.

`fit` is read first; `step` is what it repeats, `loop` how the steps are fed.
`predict` is installed on modules from here. Nothing here draws or stores files.
What a first fit does not need is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .batches import Batches
from .callbacks import Callback
from .checkpoint import Checkpoint, CheckpointError
from .cost import Cost
from .diverged import TrainingDiverged
from .evaluate import evaluate
from .fit import fit
from .metrics import METRICS, Metric, top_k
from .plateau import ReduceOnPlateau
from .predict import predict
from .run import History, Run
from .split import split
from .stopping import EarlyStopping, StopAt
from .whole_set import WholeSet, whole_set

if TYPE_CHECKING:
    from .finder import RateSearch, find_learning_rate
    from .parquet import parquet_batches
    from .tuning import Search, search

__all__ = [
    "METRICS",
    "Batches",
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "Cost",
    "EarlyStopping",
    "History",
    "Metric",
    "RateSearch",
    "ReduceOnPlateau",
    "Run",
    "Search",
    "StopAt",
    "TrainingDiverged",
    "WholeSet",
    "evaluate",
    "find_learning_rate",
    "fit",
    "parquet_batches",
    "predict",
    "search",
    "split",
    "top_k",
    "whole_set",
]

_LATER = {
    "RateSearch": "finder",
    "Search": "tuning",
    "find_learning_rate": "finder",
    "parquet_batches": "parquet",
    "search": "tuning",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'pellucid.train' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
