"""Averages of the weights over the steps, which the model is used with."""

from __future__ import annotations

from collections.abc import Mapping

from pellucid.core.tensor import Tensor, tensor

from .moments import one_minus_power
from .named import check_number, maker
from .transform import LOOKS, TRANSFORMATIONS, Context, State, Tensors, Transformation


@maker(TRANSFORMATIONS)
def average_weights(decay: float = 0.999) -> Transformation:
    """Uses the model with an exponential moving average of its weights; trains it as before.

    With w_t the parameters after step t, counted from 1: a_t = a_(t-1) +
    (1 - decay) / (1 - decay^t) (w_t - a_(t-1)), which is sum_i decay^(t-i) w_i over
    sum_i decay^(t-i), i from 1 to t: corrected for its beginning, a_1 = w_1.

    Put it last. The model holds the averages where it is measured on validation rows,
    in callbacks at the ends of epochs, and after `fit`. Running averages of
    `BatchNorm` are not averaged again: they stay those of the training.

    Args:
        decay: how long weights are remembered, in [0, 1): for about 1 / (1 - decay)
            steps.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, optim, train
        >>> model = nn.Sequential(nn.Linear(1, 1, weight_init="zeros"))
        >>> rule = optim.chain(optim.sgd(0.25), optim.average_weights(0.5))
        >>> X, y = np.ones((2, 1)), np.ones(2)
        >>> run = train.fit(model, X, y, loss="squared_error", optimizer=rule, epochs=2)
        >>> round(model.layers[0].weight.item(), 6)  # (0.5 * 0.25 + 0.375) / (0.5 + 1)
        0.333333

    Source: Polyak, Juditsky: Acceleration of stochastic approximation by averaging
    (1992), with the weights of an exponential average; the correction as in Adam.
    """
    decay = check_number("decay", decay, 0.0, 1.0, below_high=True)

    def init(parameters: Mapping[str, Tensor]) -> State:
        return {"average": {name: p.numpy().copy() for name, p in parameters.items()}}

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        averages: Tensors = {}
        for name, u in updates.items():
            share = (1.0 - decay) / one_minus_power(decay, context.t(u.dtype) + 1.0)
            before, new = tensor(state["average"][name]), context.parameters[name] + u
            averages[name] = before + share * (new - before)
        return updates, {"average": averages}

    def weights(state: State, parameters: Mapping[str, Tensor]) -> Tensors:
        return {name: tensor(state["average"][name]) for name in parameters}

    return Transformation(init=init, update=update, weights=weights, stage=LOOKS)
