"""Optimizers as pairs of pure functions, `init` and `update`; schedules of the step.

`transform` is read first: an optimizer is a chain of transformations. Uses `core`
only.
"""

from .named import Named
from .optimizers import OPTIMIZERS, adam, adamw, as_optimizer, chain, sgd
from .schedules import (
    SCHEDULES,
    Schedule,
    as_schedule,
    constant,
    cosine,
    exponential,
    inverse_time,
    linear,
    step_decay,
    warmup_cosine,
)
from .transform import (
    TRANSFORMATIONS,
    Context,
    Optimizer,
    Transformation,
    add_decayed_weights,
    apply_updates,
    clip_by_norm,
    scale_by_adam,
    scale_by_learning_rate,
    trace,
)
