"""Functions of functions: grad, value_and_grad, vjp, jvp.

Each works on values and inside traces, and on its own results, so that higher
derivatives need nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pellucid.core.node import make, unique_number
from pellucid.core.tensor import Tensor, broadcast_to, tensor
from pellucid.core.tree import leaves, map_tree, rebuild

from .reverse import gradients


def _fresh(x: Any) -> Tensor:
    """The same value as a node like no other, which derivatives are taken by."""
    t = tensor(x)
    if t.dtype.kind != "f":
        raise TypeError(
            f"derivatives are taken with respect to floating values, received {t.dtype}; "
            "write 2.0 instead of 2, or convert with astype"
        )
    node = make("alias", (t.node,), number=unique_number())
    if node.name != "alias":  # eager and untracked so far: keep it in the graph
        node = type(node)(
            node.primitive, (), (), node.shape, node.dtype, value=node.value, tracked=True
        )
    return Tensor(node)


def vjp(f: Callable[..., Any], *args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of f, and the function that pulls cotangents back through it.

    For y = f(x) with Jacobian J, the function returned maps v to v J.

    Args:
        f: function of tensors (or trees of them) that returns a tensor or a tree.
        args: where to evaluate it.

    Returns:
        f(*args) and a function from cotangents of the result to a tuple of
        cotangents of the arguments.

    Example:
        >>> import pellucid as pe
        >>> y, pull = pe.vjp(lambda x: x * x, pe.tensor([1.0, 2.0]))
        >>> pull(pe.tensor([1.0, 1.0]))[0]
        Tensor([2., 4.], dtype=float32)
    """
    fresh = map_tree(_fresh, tuple(args))
    result = f(*fresh)
    outputs = [tensor(o) for o in leaves(result)]

    def pull(cotangent: Any) -> tuple[Any, ...]:
        upstream = [tensor(c, o.dtype) for c, o in zip(leaves(cotangent), outputs, strict=True)]
        for o, c in zip(outputs, upstream, strict=True):
            if o.shape != c.shape:
                raise ValueError(f"a cotangent of shape {c.shape} meets a value of shape {o.shape}")
        found = gradients(outputs, upstream, leaves(fresh))
        pulled: tuple[Any, ...] = rebuild(fresh, found)
        return pulled

    return result, pull


def jvp(f: Callable[..., Any], args: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of f and its directional derivative J v.

    The pull-back is linear in its cotangent; pulling back through it once more
    gives the push-forward, so no primitive needs a second rule.

    Args:
        f: function of tensors.
        args: where to evaluate it.
        tangents: the direction, one tensor per argument.

    Returns:
        f(*args) and the derivative along the tangents, in the result's form.

    Example:
        >>> import pellucid as pe
        >>> pe.jvp(pe.sin, [pe.tensor(0.0)], [pe.tensor(2.0)])[1].item()
        2.0
    """
    result, pull = vjp(f, *args)
    zeros = map_tree(lambda o: broadcast_to(tensor(0.0, o.dtype), o.shape), result)
    _, push = vjp(pull, zeros)
    given = tuple(map_tree(lambda a, t: tensor(t, tensor(a).dtype), tuple(args), tuple(tangents)))
    return result, push(given)[0]


def value_and_grad(f: Callable[..., Any], argument: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the value of f and its gradient.

    Args:
        f: function that returns a single number.
        argument: position of the argument (or arguments) to differentiate by.

    Returns:
        Function with the arguments of f that returns (value, gradient); the
        gradient has the form of the argument, or is a tuple for several.

    Example:
        >>> import pellucid as pe
        >>> value, gradient = pe.value_and_grad(lambda x: (x * x).sum())(pe.tensor([3.0]))
        >>> value.item(), gradient.item()
        (9.0, 6.0)
    """
    several = not isinstance(argument, int)
    chosen: Sequence[int] = argument if not isinstance(argument, int) else [argument]

    def run(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        def of_chosen(*values: Any) -> Any:
            full = list(args)
            for i, value in zip(chosen, values, strict=True):
                full[i] = value
            return f(*full, **kwargs)

        value, pull = vjp(of_chosen, *(args[i] for i in chosen))
        value = tensor(value)
        if value.size != 1:
            raise ValueError(
                f"a gradient needs a function with a single number as its result, "
                f"received shape {value.shape}; take a sum or a mean, or use vjp"
            )
        found = pull(broadcast_to(tensor(1.0, value.dtype), value.shape))
        return value, found if several else found[0]

    return run


def grad(f: Callable[..., Any], argument: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The gradient of f as a function.

    Args:
        f: function that returns a single number.
        argument: position of the argument (or arguments) to differentiate by.

    Returns:
        Function with the arguments of f that returns the gradient.

    Example:
        >>> import pellucid as pe
        >>> pe.grad(pe.grad(lambda x: x ** 3))(pe.tensor(2.0)).item()
        12.0
    """
    both = value_and_grad(f, argument)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]
