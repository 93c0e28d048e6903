"""One training step as one computation: from row numbers to updated parameters.

Gather the rows, forward pass, loss, gradients, optimizer, metrics: traced once,
then run any number of times by one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.autodiff import gradients_of_loss
from pellucid.core.functions import stack
from pellucid.core.node import Node, leaf, placeholder, topological, tracing
from pellucid.core.program import ANY_NUMBER, Computation
from pellucid.core.random import RandomScope, random_scope, seed_words
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, apply, cast, divide, mean, sum, tensor
from pellucid.core.tree import leaves, map_tree, named_leaves
from pellucid.optim import Optimizer

from .metrics import Function
from .rate import Rate


def learned_dtype(model: nn.Module) -> np.dtype:
    """The floating dtype in which a model computes: that of its first parameter."""
    return next((t.dtype for t in model.parameters().values()), np.dtype(np.float32))


def cells_of(model: nn.Module) -> list[Cell]:
    """The cells of a model's parameters and state."""
    return [*cells_of_parameters(model), *map(_cell, model.states().values())]


def cells_of_parameters(model: nn.Module) -> list[Cell]:
    """The cells of what a model learns, in the order of its names."""
    return [_cell(t) for t in model.parameters().values()]


def copies(cells: Iterable[Cell]) -> list[np.ndarray]:
    """What the cells hold, copied."""
    return [cell.value.copy() for cell in cells]


def restore(cells: Iterable[Cell], values: Iterable[np.ndarray]) -> None:
    """Put copied values back into their cells."""
    for cell, value in zip(cells, values, strict=True):
        cell.value[...] = value


def same_form(values: Sequence[np.ndarray], cells: Sequence[Cell]) -> list[np.ndarray]:
    """Copied values that come from elsewhere: none at all, or one that fits for each cell.

    Raises:
        ValueError: they do not fit.
    """
    forms = [(np.shape(v), np.asarray(v).dtype) for v in values]
    if values and forms != [(cell.value.shape, cell.value.dtype) for cell in cells]:
        raise ValueError("the values are not those of this model")
    return list(values)


def _cell(t: Tensor) -> Cell:
    assert t.node.cell is not None
    return t.node.cell


def _variable(value: Any, name: str = "") -> Tensor:
    return Tensor(leaf(Cell(np.asarray(value), name=name)))


class TrainingState:
    """What a step reads and changes: the model's values, and what training keeps besides.

    Args:
        model: the model to train.
        optimizer: the rule.
        seed: of the random numbers drawn in the steps.
        rate: what the learning rate is multiplied with, where that may change.

    Attributes:
        parameters: what is learned, by name.
        memory: what the optimizer remembers, in the form that its `init` gave.
        count: steps taken, uint32 ().
        seed: the two words of the seed, uint32 (2,).
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, seed: int, rate: Rate | None = None
    ) -> None:
        self.model = model
        self.optimizer = optimizer if rate is None else optimizer.with_rate(rate.multiplied)
        self.rate = rate
        self.parameters = model.parameters()
        memory = optimizer.init(self.parameters)
        names = (name for name, _ in named_leaves(memory))
        self.memory = map_tree(lambda value: _variable(value, next(names)), memory)
        self.count = _variable(np.uint32(0), "step")
        self.seed = _variable(seed_words(seed), "seed")

    @property
    def cells(self) -> list[Cell]:
        """Every cell that a step may change."""
        changed = [] if self.rate is None else [self.rate.latest]
        return [*cells_of(self.model), *map(_cell, (*leaves(self.memory), self.count)), *changed]


@dataclass(frozen=True)
class Step:
    """A traced step, and where its parts are.

    Attributes:
        computation: inputs X, y, sample weights if any, and the stepped row numbers;
            one stepped output, the record.
        outputs: what each call of a layer gave, by the layer's name, in order.
        loss: the loss of the batch.
        gradients: of the loss, by parameter name.
        updated: new parameters, by name.
    """

    computation: Computation
    outputs: tuple[tuple[str, Node], ...]
    loss: Node
    gradients: Mapping[str, Node]
    updated: Mapping[str, Node]


def trace_step(
    state: TrainingState,
    loss: nn.Loss,
    metrics: Mapping[str, Function],
    data: Sequence[np.ndarray],
    batch: int,
    *,
    any_number: bool = False,
    rows: int | None = None,
) -> Step:
    """Trace a step on so many rows.

    The record is a vector: the mean loss of the batch, the weight by which it counts
    (the sum of the batch's weights; the number of rows where there are none), and the
    sum of each metric.

    Args:
        state: what the step changes.
        loss: what is made small.
        metrics: what is reported besides, by name.
        data: X, y, and the sample weights if there are any; X of any dtype.
        batch: rows per step.
        any_number: let the step run on any number of rows, not only on as many as there
            are; row numbers are then trusted, while others are taken into the data.
        rows: how many an epoch has, where these are not the rows of the data.
    """
    fields = [
        Tensor(
            placeholder(
                (ANY_NUMBER if any_number else len(array), *array.shape[1:]), array.dtype, name
            )
        )
        for name, array in zip(("X", "y", "sample_weight"), data, strict=False)
    ]
    index = Tensor(placeholder((batch,), np.dtype(np.int32), "index"))
    scope = RandomScope(state.seed, state.count)
    with (
        tracing(),
        nn.training_mode(),
        random_scope(scope),
        nn.collect_updates() as buffers,
        nn.watch_calls() as calls,
    ):
        taken = [apply("gather", field, index) for field in fields]
        taken[0] = cast(taken[0], learned_dtype(state.model))
        prediction = state.model(taken[0])
        total, weight = loss.total_and_weight(prediction, *taken[1:])
        value = total if weight is None else divide(total, weight)
        _check_learns(value, state.parameters)
        if state.optimizer.full_batch:
            _check_comparable(value, state.optimizer, batch, rows or len(data[0]))
        slopes = gradients_of_loss(value, state.parameters)
        changes, memory = state.optimizer.update(
            slopes, state.memory, state.parameters, state.count, value
        )
        new = {name: t + changes[name] for name, t in state.parameters.items()}
        updates = [(_cell(t), new[name].node) for name, t in state.parameters.items()]
        updates += [
            (_cell(old), tensor(t).node)
            for old, t in zip(leaves(state.memory), leaves(memory), strict=True)
        ]
        updates += [(cell, t.node) for cell, t in buffers.items()]
        updates.append((_cell(state.count), (state.count + 1).node))
        updates += [] if state.rate is None else [state.rate.update()]
        shown = tensor(state.optimizer.loss(memory, value))
        record = record_of(shown, weight, prediction, taken[1], metrics)
    names = {id(part): name for name, part in state.model.named_modules().items()}
    return Step(
        Computation(
            (*(field.node for field in fields), index.node),
            (record.node,),
            tuple(updates),
            frozenset((index.node, record.node)),
        ),
        tuple(
            (names[id(call.module)], call.output.node)
            for call in calls
            if isinstance(call.output, Tensor)
        ),
        value.node,
        {name: slope.node for name, slope in slopes.items()},
        {name: t.node for name, t in new.items()},
    )


def _check_learns(value: Tensor, parameters: Mapping[str, Tensor]) -> None:
    """Refuse a loss that no parameter can change."""
    reached = set(topological([value.node]))
    if not any(t.node in reached for t in parameters.values()):
        raise ValueError(
            "the loss does not depend on any parameter of the model, so that nothing would be "
            "learned; does it use the prediction, and the model its parameters?"
        )


def _check_comparable(value: Tensor, rule: Optimizer, batch: int, rows: int) -> None:
    """Refuse a loss that is another function at every step."""
    name = next(t.name for t in rule.transformations if t.full_batch)
    if batch < rows:
        raise ValueError(
            f"{name} compares the losses of its steps, so that each must see all rows: "
            f"expected a batch_size of at least {rows:,}, received {batch:,}"
        )
    if any(node.primitive.kind == "random" for node in topological([value.node])):
        raise ValueError(
            f"{name} compares the losses of its steps, which the model's random layers "
            "(dropout or noise) change from step to step; leave them out, or use another optimizer"
        )


def record_of(
    value: Tensor,
    weight: Tensor | None,
    prediction: Tensor,
    target: Tensor,
    metrics: Mapping[str, Function],
) -> Tensor:
    """What a step reports: the loss, its weight, and the sum of each metric over the rows."""
    if weight is None or weight.node.value is not None:  # all rows weigh the same
        weight = tensor(float(prediction.shape[0]))
    figures = [value, weight]
    for name, function in metrics.items():
        try:
            each = tensor(function(prediction, target))
        except Exception as error:
            error.add_note(
                f"in metric {name}; a function of NumPy arrays, as scikit-learn has them, is given "
                "as train.whole_set(function)"
            )
            raise
        if each.ndim == 0:  # a mean of the whole batch
            each = each * float(prediction.shape[0])
        elif each.shape[0] != prediction.shape[0]:
            raise ValueError(
                f"metric {name} gave shape {each.shape}; expected one figure for each of "
                f"{prediction.shape[0]} examples, or a single number"
            )
        elif each.ndim > 1:
            each = mean(cast(each, value.dtype), tuple(range(1, each.ndim)))
        figures.append(sum(each))
    return stack([cast(figure, value.dtype) for figure in figures])
