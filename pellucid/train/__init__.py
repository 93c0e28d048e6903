"""Training and using models: the step, the loop, callbacks, metrics, data, cost.

`fit` is read first; `step` is what it repeats, `loop` how the steps are fed.
`predict` is installed on modules from here. Nothing here draws or stores files.
"""

from .batches import Batches
from .callbacks import Callback
from .checkpoint import Checkpoint, CheckpointError
from .cost import Cost
from .diverged import TrainingDiverged
from .evaluate import evaluate
from .finder import RateSearch, find_learning_rate
from .fit import fit
from .metrics import METRICS, Metric, top_k
from .parquet import parquet_batches
from .plateau import ReduceOnPlateau
from .predict import predict
from .run import History, Run
from .search import Search, search
from .split import split
from .stopping import EarlyStopping, StopAt
from .whole_set import WholeSet, whole_set

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
