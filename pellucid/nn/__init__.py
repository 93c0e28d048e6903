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
from .augmentation import Cutout, RandomCrop, RandomFlip, RandomShift
from .avg_pool import AvgPool1d, AvgPool2d, AvgPool3d, SumPool1d, SumPool2d, SumPool3d
from .build import LAYERS, ArchitectureError, build
from .channels import channels_first, channels_last
from .checkpoint import Checkpoint
from .conv import Conv1d, Conv2d, Conv3d, conv
from .conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, conv_transpose
from .described import CannotSaveError
from .dropout import Dropout
from .flatten import Flatten
from .global_pool import AdaptiveAvgPool, GlobalAvgPool, GlobalMaxPool, GlobalSumPool
from .group_norm import GroupNorm
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
from .max_pool import MaxPool1d, MaxPool2d, MaxPool3d
from .maxout import Maxout
from .mode import Call, collect_updates, is_training, training_mode, watch_calls
from .module import LayerError, Module, functional_call, state
from .noise import GaussianNoise
from .normalization import BatchNorm, LayerNorm
from .pool import avg_pool, max_pool, sum_pool
from .prelu import PReLU
from .reshape import Reshape
from .residual import Residual
from .sequential import Sequential
from .signals import convolve, correlate
from .summary import Summary, summarize
from .targets import check_finite
from .upsample import Upsample
from .zero_pad import ZeroPad
