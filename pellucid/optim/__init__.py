"""Optimizers as pairs of pure functions, `init` and `update`; schedules of the step.

`transform` is read first: an optimizer is a chain of transformations. Uses `core`
only.
"""

from .accumulation import accumulate
from .averages import average_weights
from .backtracking import backtracking
from .chain import as_optimizer, chain
from .descriptions import from_description
from .lbfgs import lbfgs
from .moments import (
    scale_by_adadelta,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_adamax,
    scale_by_lion,
    scale_by_nadam,
    scale_by_rms,
    trace,
)
from .named import Named
from .optimizers import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    lion,
    momentum,
    nadam,
    nesterov,
    rmsprop,
    sgd,
)
from .penalties import add_decayed_weights, clip_by_norm, clip_by_value, l1, l2, max_norm
from .schedules import (
    SCHEDULES,
    Schedule,
    as_schedule,
    constant,
    cosine,
    cosine_restarts,
    exponential,
    inverse_time,
    linear,
    one_cycle,
    polynomial,
    step_decay,
    warmup_cosine,
)
from .transform import (
    COMBINATIONS,
    OPTIMIZERS,
    TRANSFORMATIONS,
    Context,
    Optimizer,
    Transformation,
    apply_updates,
    scale_by_learning_rate,
)
