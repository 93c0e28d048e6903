"""Layers, losses and initial values. Uses `core` only; never knows the compiler.

`module` is read first; a layer is one short file; activations, initializers and
losses are tables.
"""

from . import initializers, losses
from .activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    SELU,
    Activation,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
    elu,
    gelu,
    identity,
    leaky_relu,
    selu,
    silu,
    step,
)
from .build import LAYERS, ArchitectureError, build
from .described import CannotSaveError
from .dropout import Dropout
from .flatten import Flatten
from .initializers import INITIALIZERS, Initializer
from .linear import Linear
from .loss import LOSSES, Loss, as_loss, check_weights
from .losses import (
    absolute_error,
    binary_cross_entropy_with_logits,
    cross_entropy,
    half_mean_squared_error,
    hinge,
    huber,
    mean_squared_error,
    multi_class_hinge,
    perceptron_loss,
    poisson,
    squared_error,
)
from .maxout import Maxout
from .mode import Call, collect_updates, is_training, training_mode, watch_calls
from .module import LayerError, Module, functional_call, state
from .noise import GaussianNoise
from .normalization import BatchNorm, LayerNorm
from .prelu import PReLU
from .sequential import Sequential
from .summary import Summary, summarize
from .targets import check_finite
