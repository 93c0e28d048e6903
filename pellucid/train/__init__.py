"""Training and using models: the step, the loop, callbacks, metrics, data.

`fit` is read first; `step` is what it repeats, `loop` how the steps are fed.
`predict` is installed on modules from here. Nothing here draws or stores files.
"""

from .batches import Batches
from .callbacks import Callback, EarlyStopping
from .checkpoint import Checkpoint, CheckpointError
from .diverged import TrainingDiverged
from .evaluate import evaluate
from .fit import fit
from .metrics import METRICS
from .parquet import parquet_batches
from .predict import predict
from .run import History, Run

__all__ = [
    "METRICS",
    "Batches",
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "EarlyStopping",
    "History",
    "Run",
    "TrainingDiverged",
    "evaluate",
    "fit",
    "parquet_batches",
    "predict",
]
