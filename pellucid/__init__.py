"""Neural networks you can see through, at native speed.

    import pellucid as pe
    from pellucid import nn, optim

Tensors, their functions and derivatives are here at once; what trains, compiles
or writes files is imported when it is first used, so that `import pellucid`
takes little more than NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .autodiff import check_grads, checkpoint, grad, jvp, value_and_grad, vjp
from .core import Tensor, late, parameter, random, tensor
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
    cast,
    cos,
    divide,
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
    power,
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

if TYPE_CHECKING:
    from . import models, nn, optim
    from .autodiff import symbolic, three_ways
    from .compiler import compile, get_threads, set_threads
    from .io import load, save
    from .nn import (
        avg_pool,
        channels_first,
        channels_last,
        conv,
        conv_transpose,
        convolve,
        correlate,
        max_pool,
        sum_pool,
    )
    from .train.evaluate import evaluate
    from .train.fit import fit
    from .train.tuning import search

__version__ = "0.1.0"

_LATER: dict[str, tuple[str, str | None]] = {
    "models": ("pellucid.models", None),
    "nn": ("pellucid.nn", None),
    "optim": ("pellucid.optim", None),
    "train": ("pellucid.train", None),
    "estimators": ("pellucid.estimators", None),
    "compile": ("pellucid.compiler", "compile"),
    "get_threads": ("pellucid.compiler", "get_threads"),
    "set_threads": ("pellucid.compiler", "set_threads"),
    "evaluate": ("pellucid.train", "evaluate"),
    "fit": ("pellucid.train", "fit"),
    "search": ("pellucid.train", "search"),
    "load": ("pellucid.io", "load"),
    "save": ("pellucid.io", "save"),
    "symbolic": ("pellucid.autodiff", "symbolic"),
    "three_ways": ("pellucid.autodiff", "three_ways"),
}
_LATER |= {
    name: ("pellucid.nn", name)
    for name in (
        "avg_pool",
        "channels_first",
        "channels_last",
        "conv",
        "conv_transpose",
        "convolve",
        "correlate",
        "max_pool",
        "sum_pool",
    )
}

late.HOMES["Module.predict"] = ("pellucid.train.predict", "predict")
late.HOMES["Checkpoint.forward"] = ("pellucid.autodiff", "checkpoint")


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'pellucid' has no attribute {name!r}")
    module, attribute = _LATER[name]
    found = importlib.import_module(module)
    value = found if attribute is None else getattr(found, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
