"""Module: what every layer and every model is.

Here: finding parameters and sub-modules, state dictionaries, calling with errors
that name the layer. What surrounds a call is in `mode`; text and model files in
`described` and `build`; the table of layers and costs in `summary`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from pellucid.core import late
from pellucid.core import node as graph
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, as_array, tensor

from . import mode
from .described import CannotSaveError, Described

if TYPE_CHECKING:
    from .summary import Summary


class LayerError(ValueError):
    """A layer could not do its work; the message names the layer and its place in the model.

    Attributes:
        layer: the layer that failed.
        reason: what it said.
        path: its dotted name inside the model, "" for the model itself.
        received: the shape that the layer was given, where it was given an array.
        given: the shape that the model was given.
    """

    def __init__(self, layer: Module, reason: str, received: Any = None) -> None:
        self.layer = layer
        self.reason = reason
        self.path = ""
        self.received = self.given = received
        super().__init__(layer, reason)

    def __str__(self) -> str:
        place = f"{self.path}, " if self.path else ""
        other = "" if self.given == self.received else f"; the model was given {self.given}"
        return f"{place}{self.layer!r}: {self.reason}{other}"


class Module(Described):
    """A layer or a model: parameters, sub-modules, and a `forward`.

    Attributes that are parameters (`pe.parameter`), state (`nn.state`), modules,
    or lists, tuples or dictionaries of these are found by themselves, and named by
    their path: "layers.0.weight".

    Write a layer by writing `forward`; call it as a function.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> class Scale(nn.Module):
        ...     def __init__(self, features):
        ...         self.factor = pe.parameter([1.0] * features, name="factor")
        ...
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> layer = Scale(2)
        >>> layer(pe.tensor([[1.0, 2.0]]))
        Tensor([[1., 2.]], dtype=float32)
        >>> list(layer.parameters()), layer
        (['factor'], Scale(2))
    """

    kind: ClassVar[str] = "layer"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in vars(cls):
            cls.__init__ = _named(cls.__init__)  # type: ignore[method-assign]

    def __init__(self) -> None:
        pass

    def forward(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method forward(self, x)")

    def __call__(self, *inputs: Any) -> Any:
        """The forward pass.

        Args:
            inputs: tensors or arrays, as `forward` takes them; mostly one, of
                shape (batch, ...).

        Returns:
            What `forward` returns.

        Raises:
            LayerError: a layer was given what it cannot take; says which, where,
                what was expected and what was received.
        """
        inputs = tuple(tensor(x) if isinstance(x, np.ndarray | list) else x for x in inputs)
        with mode.noted(self, inputs) as call:
            try:
                output = self.forward(*inputs)
            except LayerError as error:
                error.path = self._path_of(error.layer) or error.path
                error.given = _shape(inputs)
                raise
            except (ValueError, TypeError, IndexError) as error:
                raise LayerError(self, str(error), _shape(inputs)) from error
            if call is not None:
                call.output = output
        return output

    def _path_of(self, layer: Module) -> str:
        return next((name for name, m in self.named_modules().items() if m is layer), "")

    # -- what it is made of ---------------------------------------------------

    def named_modules(self) -> dict[str, Module]:
        """This module (named "") and all those inside it, each once, by dotted name."""
        return {name: part for name, part in _walk(self) if isinstance(part, Module)}

    def modules(self) -> list[Module]:
        """This module and all those inside it, each once, outer before inner."""
        return list(self.named_modules().values())

    def predict(self, X: Any, batch_size: int | None = None) -> np.ndarray:
        """The model's outputs for rows of X; described, and replaced, by `train.predict`."""
        found: np.ndarray = late.call("Module.predict", self, X, batch_size)
        return found

    def parameters(self) -> dict[str, Tensor]:
        """What is learned, by dotted name; one that is used in several places appears once."""
        return {name: t for name, t in _tensors(self) if _cell(t).tracked}

    def states(self) -> dict[str, Tensor]:
        """What is kept but not learned, such as moving averages, by dotted name."""
        return {name: t for name, t in _tensors(self) if not _cell(t).tracked}

    @property
    def num_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(t.size for t in self.parameters().values())

    def astype(self, dtype: Any) -> Self:
        """Convert all floating parameters and state, in place.

        The converted parameters are new tensors: build the optimizer's state after it.

        Args:
            dtype: float32 or float64.

        Returns:
            The module itself.
        """
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"a model computes in float32 or float64, received {dtype}")
        converted = {}
        for _, old in _tensors(self):
            cell = _cell(old)
            if old.dtype.kind == "f":
                converted[id(old)] = _leaf(
                    old.numpy().astype(dtype), cell.name, cell.role, cell.tracked
                )
        _replace(self, converted)
        return self

    # -- values ---------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and state, by dotted name.

        Returns:
            NumPy arrays, C-contiguous; a Linear's weight is (in_features, out_features).

        Example:
            >>> from pellucid import nn
            >>> {k: v.shape for k, v in nn.Linear(3, 2).state_dict().items()}
            {'weight': (3, 2), 'bias': (2,)}
        """
        return {name: np.array(t.numpy(), order="C") for name, t in _tensors(self)}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Assign all parameters and state; either all of them or, after an error, none.

        Args:
            values: an array per name, as `state_dict` gives them.

        Raises:
            ValueError: names are missing or unexpected, or a shape or dtype does not
                fit; the message lists every such entry.
        """
        own = dict(_tensors(self))
        arrays = {name: np.asarray(value) for name, value in values.items()}
        problems = [f"missing: {name} {own[name].shape}" for name in own if name not in arrays]
        problems += [f"unexpected: {name}" for name in arrays if name not in own]
        for name in own.keys() & arrays.keys():
            expected, received = own[name], arrays[name]
            if received.shape != expected.shape:
                problems.append(
                    f"{name}: expected shape {expected.shape}, received {received.shape}"
                )
            elif not np.can_cast(received.dtype, expected.dtype, "same_kind"):
                problems.append(
                    f"{name}: expected {expected.dtype} values, received {received.dtype}"
                )
        if problems:
            listed = "".join(f"\n  {p}" for p in sorted(problems))
            raise ValueError(f"these values do not fit the model:{listed}")
        for name, t in own.items():
            _cell(t).assign(arrays[name])

    def update(self, state: str | Tensor, new_value: Any) -> None:
        """Give state a new value during a forward pass in training mode.

        Args:
            state: the attribute's name, or the tensor itself.
            new_value: of the state's shape; takes effect when the step ends.
        """
        target = getattr(self, state) if isinstance(state, str) else state
        mode.set_state(target, tensor(new_value))

    # -- looking at it --------------------------------------------------------

    def architecture(self) -> dict[str, Any]:
        """The model without its values, as JSON values; `nn.build` is the way back.

        Returns:
            `{"layer": class name, "arguments": {...}}`, layers nested.

        Raises:
            CannotSaveError: an argument of a layer is something a file cannot hold.
        """
        return self.description()

    def summary(self, input_shape: Any = None) -> Summary:
        """The layers with shapes, parameters and operations per example; see `nn.summarize`."""
        from .summary import summarize  # summary is built on this module

        return summarize(self, input_shape)


def _shape(inputs: tuple[Any, ...]) -> Any:
    return getattr(inputs[0], "shape", None) if inputs else None


def _named(make: Callable[..., None]) -> Callable[..., None]:
    """A constructor whose errors name the layer and the arguments that it was made with."""

    @functools.wraps(make)
    def named(self: Module, *args: Any, **kwargs: Any) -> None:
        try:
            make(self, *args, **kwargs)
        except LayerError:
            raise
        except ValueError as error:
            raise LayerError(self, str(error)) from error

    return named


# -- state, and walking over attributes -------------------------------------------


def _leaf(value: np.ndarray, name: str, role: str, tracked: bool) -> Tensor:
    return Tensor(graph.leaf(Cell(value, name=name, role=role, tracked=tracked)))


def state(value: Any, *, name: str = "") -> Tensor:
    """A tensor that a layer keeps but does not learn, saved with the model.

    Args:
        value: initial values.
        name: shown in messages.

    Returns:
        A tensor of the value's shape; `Module.update` gives it new values.

    Example:
        >>> from pellucid import nn
        >>> class Count(nn.Module):
        ...     def __init__(self):
        ...         self.seen = nn.state(0.0, name="seen")
        ...
        ...     def forward(self, x):
        ...         if nn.is_training():
        ...             self.update("seen", self.seen + float(x.shape[0]))
        ...         return x
        >>> layer = Count()
        >>> with nn.training_mode():
        ...     _ = layer([[1.0], [2.0]])
        >>> layer.state_dict()
        {'seen': array(2., dtype=float32)}
    """
    return _leaf(as_array(value), name, "state", tracked=False)


def _cell(t: Tensor) -> Cell:
    cell = t.node.cell
    assert cell is not None
    return cell


def _walk(root: Module) -> Iterator[tuple[str, Module | Tensor]]:
    """Modules and tensors with a cell, by dotted name, each once, in the order of attributes."""
    seen: set[int] = set()

    def visit(part: Any, path: str) -> Iterator[tuple[str, Module | Tensor]]:
        if isinstance(part, Tensor):
            if part.node.cell is not None and id(part.node.cell) not in seen:
                seen.add(id(part.node.cell))
                yield path, part
        elif isinstance(part, Module):
            if id(part) not in seen:
                seen.add(id(part))
                yield path, part
                for key, value in vars(part).items():
                    if key != "_given":
                        yield from visit(value, f"{path}.{key}" if path else key)
        elif isinstance(part, dict):
            for key, value in part.items():
                yield from visit(value, f"{path}.{key}")
        elif isinstance(part, list | tuple):
            for i, value in enumerate(part):
                yield from visit(value, f"{path}.{i}")

    return visit(root, "")


def _tensors(root: Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, part) for name, part in _walk(root) if isinstance(part, Tensor))


def _replace(root: Module, new: Mapping[int, Tensor]) -> None:
    """Put other tensors where those with these ids stand."""

    def swap(part: Any) -> Any:
        if isinstance(part, Tensor):
            return new.get(id(part), part)
        if isinstance(part, dict):
            return {key: swap(value) for key, value in part.items()}
        if isinstance(part, list | tuple) and not hasattr(part, "_fields"):
            return type(part)(map(swap, part))
        return part

    for module in root.modules():
        for key, value in list(vars(module).items()):
            if key != "_given" and isinstance(value, Tensor | dict | list | tuple):
                setattr(module, key, swap(value))


def functional_call(model: Module, parameters: Mapping[str, Any], *inputs: Any) -> Any:
    """The forward pass with other values in place of some parameters.

    It makes a model a function of its parameters, for `pe.grad`, `pe.jvp` and
    `pe.check_grads`.

    Args:
        model: the module to call.
        parameters: a tensor per dotted name; those not named keep their own.
        inputs: as the module takes them.

    Returns:
        What the module returns.

    Raises:
        ValueError: a name is unknown or a shape differs.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> model = nn.Linear(2, 1)
        >>> loss = lambda b: nn.functional_call(model, {"bias": b}, [[1.0, 2.0]]).sum()
        >>> pe.grad(loss)(pe.tensor([0.5]))
        Tensor([1.], dtype=float32)
    """
    own = dict(_tensors(model))
    new = {}
    for name, value in parameters.items():
        if name not in own:
            raise ValueError(f"the model has no parameter {name!r}; it has {', '.join(own)}")
        t = tensor(value)
        if t.shape != own[name].shape:
            raise ValueError(f"{name}: expected shape {own[name].shape}, received {t.shape}")
        new[id(own[name])] = t
    with _replaced(model, new):
        return model(*inputs)


@contextlib.contextmanager
def _replaced(model: Module, new: Mapping[int, Tensor]) -> Iterator[None]:
    before = [(m, dict(vars(m))) for m in model.modules()]
    _replace(model, new)
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).update(attributes)


__all__ = ["CannotSaveError", "LayerError", "Module", "functional_call", "state"]
