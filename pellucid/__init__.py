"""Neural networks you can see through, at native speed."""

from .autodiff import check_grads, grad, jvp, value_and_grad, vjp
from .core import Tensor, parameter, random, tensor
from .core.functions import (
    arange,
    argmax,
    clip,
    concatenate,
    log_softmax,
    logsumexp,
    min,
    one_hot,
    ones,
    softmax,
    softplus,
    square,
    stack,
    var,
    zeros,
)
from .core.indexing import take
from .core.tensor import (
    absolute,
    cos,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    matmul,
    max,
    maximum,
    mean,
    minimum,
    relu,
    reshape,
    sigmoid,
    sin,
    sqrt,
    stop_gradient,
    sum,
    tanh,
    transpose,
    where,
)

__version__ = "0.1.0"
