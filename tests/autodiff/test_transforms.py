"""grad, value_and_grad, vjp, jvp: forms of arguments, nesting, closures, traces, errors."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import pellucid as pe
from pellucid.autodiff import gradients
from pellucid.core.movement import pad
from pellucid.core.tensor import apply
from tests.programs import reference, run, trace

X = np.array([0.5, -1.5, 2.0])
A = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def f64(*values):
    return pe.tensor(np.array(values, np.float64))


def test_grad_of_known_functions():
    assert pe.grad(lambda x: x * x * x)(pe.tensor(2.0)).item() == 12.0
    np.testing.assert_allclose(pe.grad(lambda x: pe.sum(x**2))(X).numpy(), 2 * X)
    np.testing.assert_allclose(pe.grad(lambda x: pe.sum(pe.exp(x)))(X).numpy(), np.exp(X))
    np.testing.assert_allclose(pe.grad(pe.logsumexp)(X).numpy(), np.exp(X) / np.exp(X).sum())
    np.testing.assert_allclose(pe.grad(lambda x: x.mean())(A).numpy(), np.full((3, 2), 1 / 6))


def test_value_and_grad():
    value, gradient = pe.value_and_grad(lambda x: pe.sum(x * x))(X)
    assert value.item() == (X * X).sum()
    np.testing.assert_array_equal(gradient.numpy(), 2 * X)


def test_a_single_number_may_have_axes():
    value, gradient = pe.value_and_grad(lambda x: x.sum(0, keepdims=True))(X)
    assert value.shape == (1,)
    np.testing.assert_array_equal(gradient.numpy(), np.ones(3))


def test_which_argument():
    def f(x, y, scale=1.0):
        return pe.sum(x * y * y) * scale

    assert pe.grad(f)(f64(2.0), f64(3.0)).item() == 9.0
    assert pe.grad(f, 1)(f64(2.0), f64(3.0)).item() == 12.0
    both = pe.grad(f, (0, 1))(f64(2.0), f64(3.0), scale=2.0)
    assert [g.item() for g in both] == [18.0, 24.0]
    backwards = pe.grad(f, [1, 0])(f64(2.0), f64(3.0))
    assert [g.item() for g in backwards] == [12.0, 9.0]
    assert pe.grad(f, -1)(f64(2.0), f64(3.0)).item() == 12.0


def test_trees_in_and_out():
    weights = {"layer": [f64(1.0, 2.0), None], "bias": (f64(3.0),)}
    found = pe.grad(lambda w: pe.sum(w["layer"][0] ** 2) * w["bias"][0].sum())(weights)
    assert list(found) == ["layer", "bias"]
    assert found["layer"][0].numpy().tolist() == [6.0, 12.0]
    assert found["layer"][1] is None
    assert found["bias"][0].numpy().tolist() == [5.0]
    value, pull = pe.vjp(lambda w: {"a": w["x"] * 2.0, "b": [w["x"] * w["y"]]}, {"x": X, "y": X})
    (back,) = pull({"a": f64(1, 0, 0), "b": [f64(0, 1, 0)]})
    np.testing.assert_array_equal(back["x"].numpy(), [2.0, -1.5, 0.0])
    np.testing.assert_array_equal(back["y"].numpy(), [0.0, -1.5, 0.0])
    np.testing.assert_array_equal(value["a"].numpy(), 2 * X)


def test_vjp_is_linear_and_can_be_pulled_again():
    _, pull = pe.vjp(lambda x: x * x, X)
    for c in (np.ones(3), X):
        np.testing.assert_array_equal(pull(c)[0].numpy(), 2 * X * c)


def test_vjp_and_jvp_give_the_jacobian():
    def f(x):
        return pe.stack([pe.sum(x * x), x[0] * x[1], pe.sin(x[2]), x[1]])

    jacobian = np.array([2 * X, [X[1], X[0], 0], [0, 0, np.cos(X[2])], [0, 1, 0]])
    _, pull = pe.vjp(f, X)
    rows = np.stack([pull(row)[0].numpy() for row in np.eye(4)])
    columns = np.stack([pe.jvp(f, [X], [column])[1].numpy() for column in np.eye(3)], 1)
    np.testing.assert_allclose(rows, jacobian)
    np.testing.assert_allclose(columns, jacobian)


def test_jvp_of_trees():
    value, moved = pe.jvp(
        lambda w, s: {"y": w["a"] * s, "z": s}, [{"a": X}, f64(2.0)], [{"a": np.ones(3)}, f64(1.0)]
    )
    np.testing.assert_array_equal(value["y"].numpy(), 2 * X)
    np.testing.assert_array_equal(moved["y"].numpy(), 2.0 + X)
    np.testing.assert_array_equal(moved["z"].numpy(), [1.0])


def test_jvp_where_nothing_depends():
    value, moved = pe.jvp(lambda x: pe.tensor(X), [X], [np.ones(3)])
    np.testing.assert_array_equal(moved.numpy(), np.zeros(3))
    np.testing.assert_array_equal(value.numpy(), X)


def test_higher_derivatives():
    f = pe.sin
    right = [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin]
    for expected in right:
        np.testing.assert_allclose(f(f64(0.7)[0]).item(), expected(0.7), rtol=1e-12)
        f = pe.grad(f)


def test_hessian_by_forward_over_reverse():
    def f(x):
        return pe.sum(x**3) + x[0] * x[1] * x[2]

    columns = [pe.jvp(pe.grad(f), [X], [e])[1].numpy() for e in np.eye(3)]
    mixed = X.prod() / np.outer(X, X)
    np.testing.assert_allclose(np.stack(columns, 1), np.where(np.eye(3), np.diag(6 * X), mixed))


def test_closure_over_the_outer_variable():
    """d/dx (x * d/dy (x + y)) = 1: the two variables are not confused."""

    def outer(x):
        return x * pe.grad(lambda y: x + y)(pe.tensor(1.0))

    assert pe.grad(outer)(pe.tensor(3.0)).item() == 1.0


def test_closure_with_equal_values_and_same_tensor():
    x = pe.tensor(3.0)

    def outer(a):
        return pe.grad(lambda b: a * a * b * b)(a)  # 2 a^3

    assert pe.grad(outer)(x).item() == 6 * 9.0
    assert pe.grad(lambda a: a * pe.grad(lambda b: a * b)(x))(x).item() == 6.0


def test_nested_three_deep():
    def f(x):
        return pe.grad(lambda y: pe.grad(lambda z: x * y * z * z)(y))(x)  # d/dy 2 x y^2 = 4 x^2

    assert pe.grad(f)(pe.tensor(3.0)).item() == 24.0


def test_a_parameter_outside_is_a_constant_to_grad_and_a_variable_to_backward():
    w = pe.parameter(2.0)
    assert pe.grad(lambda x: w * x * x)(pe.tensor(3.0)).item() == 12.0
    assert w.grad is None
    pe.grad(lambda x: w * x * x)(pe.tensor(3.0)).backward()  # d/dw 2 w x
    assert w.grad == 6.0


def test_stop_gradient():
    assert pe.grad(lambda x: x * pe.stop_gradient(x))(pe.tensor(3.0)).item() == 3.0
    _, g = pe.value_and_grad(lambda x: pe.sum(pe.stop_gradient(x)))(X)
    np.testing.assert_array_equal(g.numpy(), np.zeros(3))


def test_what_is_not_reached_has_gradient_zero():
    a, b = pe.grad(lambda x, y: pe.sum(x * 2.0), (0, 1))(X, A)
    np.testing.assert_array_equal(a.numpy(), np.full(3, 2.0))
    np.testing.assert_array_equal(b.numpy(), np.zeros((3, 2)))
    assert b.dtype == np.float64


def test_through_integers_no_gradient_flows():
    f = lambda x: pe.sum(x * pe.floor(x)) + pe.sum((x > 0).astype(np.float64)) * 3.0  # noqa: E731
    np.testing.assert_array_equal(pe.grad(f)(X).numpy(), np.floor(X))
    g = pe.grad(lambda x: pe.sum(x.astype(np.int32).astype(np.float64)))(X)
    np.testing.assert_array_equal(g.numpy(), np.zeros(3))


def test_dtypes_follow_the_argument():
    for dtype in (np.float32, np.float64):
        g = pe.grad(lambda x: pe.sum(x.astype(np.float64) * x.astype(np.float32)))(X.astype(dtype))
        assert g.dtype == dtype
        np.testing.assert_allclose(g.numpy(), 2 * X)


@pytest.mark.parametrize(
    ("f", "at", "expected"),
    [
        (pe.relu, 0.0, 0.0),
        (pe.absolute, 0.0, 0.0),
        (lambda x: pe.maximum(x, 0.0), 0.0, 0.5),
        (lambda x: pe.minimum(x, 0.0), 0.0, 0.5),
        (lambda x: pe.maximum(x, x), 1.0, 1.0),
        (lambda x: pe.max(pe.stack([x, x, x - 1.0])), 1.0, 1.0),
        (pe.softplus, 0.0, 0.5),
        (lambda x: pe.clip(x, -1.0, 1.0), 2.0, 0.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x**5, 0.0, 0.0),
        (pe.sigmoid, 1e4, 0.0),
        (pe.tanh, -1e4, 0.0),
        (pe.softplus, 1e4, 1.0),
        (lambda x: pe.logsumexp(pe.stack([x, x - 1e4])), 5.0, 1.0),
    ],
)
def test_at_kinks_and_far_out(f, at, expected):
    assert pe.grad(f)(pe.tensor(np.float64(at))).item() == expected


def test_a_tie_is_shared_by_the_winners():
    g = pe.grad(lambda x: pe.max(x, 1).sum())(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]))
    np.testing.assert_allclose(g.numpy(), [[0, 0.5, 0.5], [1 / 3] * 3])


EVERYWHERE = {
    "mlp": lambda x, w: pe.sum(pe.softmax(pe.tanh(x @ w) @ w.T) ** 2),
    "cross-entropy": lambda x, w: pe.mean(pe.logsumexp(x @ w) - (x @ w)[:, 0]),
    "variance": lambda x, w: pe.sum(pe.var(x @ w, 0)) + pe.sum(w * w),
    "pieces": lambda x, w: pe.sum(pe.concatenate([x, w])[1:, ::2] ** 3),
    "gather": lambda x, w: pe.sum(pe.exp(x[[0, 2, 0]] @ w)),
    "pads": lambda x, w: pe.sum(pe.sin(pad(x, (1, 0), (0, 2), (1, 1)) + 1.0)) * pe.sum(w),
    "scatter": lambda x, w: pe.sum(
        apply("scatter_add", w, pe.tensor([0, 1, 0]), pe.tanh(x)[:, :2] @ pe.tensor(np.eye(2))) ** 2
    ),
    "spread": lambda x, w: pe.sum((x[:, None, :] * w.T[None]) ** 2),
    "powers": lambda x, w: pe.sum((x * x + 1.0) ** 1.5) + pe.sum((w * w + 0.5) ** w),
    "batch": lambda x, w: pe.sum(pe.relu(pe.stack([x, x * 2.0]) @ pe.stack([w, w]))),
}
AT = (np.array([[0.3, -0.7], [1.1, 0.4], [-0.2, 0.9]]), np.array([[0.6, -0.4], [0.8, 1.2]]))


@pytest.mark.parametrize("name", EVERYWHERE)
def test_gradients_by_differences_eagerly_traced_and_compiled(name):
    f = EVERYWHERE[name]
    pe.check_grads(f, *AT)
    both = pe.grad(f, (0, 1))
    c = trace(lambda *args: list(both(*args)), *AT)
    for eager, traced, compiled in zip(both(*AT), reference(c, AT), run(c, AT), strict=True):
        np.testing.assert_allclose(traced, eager.numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(compiled, eager.numpy(), rtol=1e-10, atol=1e-12)


def test_compile_and_grad_go_together():
    def f(x):
        return pe.sum(pe.tanh(x) * x)

    plain = pe.grad(f)(X).numpy()
    np.testing.assert_allclose(pe.compile(pe.grad(f))(X).numpy(), plain, rtol=1e-12)
    np.testing.assert_allclose(pe.grad(pe.compile(f))(f64(*X)).numpy(), plain, rtol=1e-12)
    compiled = pe.compile(f)
    compiled(X)  # also when there is code already
    np.testing.assert_allclose(pe.grad(compiled)(f64(*X)).numpy(), plain, rtol=1e-12)


def test_a_compiled_function_that_closes_over_the_outer_variable():
    def outer(x):
        return pe.compile(lambda y: x * y * y)(pe.tensor(3.0))

    for at in (1.0, 2.0):
        assert pe.grad(outer)(pe.tensor(at)).item() == 9.0
    w = pe.parameter(2.0)
    inner = pe.compile(lambda y: w * y)
    assert inner(3.0).item() == 6.0
    w.assign(5.0)
    assert inner(3.0).item() == 15.0
    hidden = w * 2.0
    pe.compile(lambda y: hidden * y)(3.0).backward()
    assert w.grad == 6.0


def test_values_are_let_go():
    _, pull = pe.vjp(lambda x: pe.exp(x * 2.0), np.ones(1000))
    kept = weakref.ref(pull(np.ones(1000))[0].node)
    del pull
    gc.collect()
    assert kept() is None


ERRORS = {
    "not a number": (lambda: pe.grad(lambda x: x * 2.0)(X), ValueError, r"received shape \(3,\)"),
    "integers": (lambda: pe.grad(lambda x: x)(2), TypeError, "received int32; write 2.0"),
    "cotangent": (
        lambda: pe.vjp(lambda x: x, X)[1](np.ones(2)),
        ValueError,
        r"cotangent of shape \(2,\) meets a value of shape \(3,\)",
    ),
    "backward of many": (
        lambda: (pe.parameter([1.0, 2.0]) * 2.0).backward(),
        ValueError,
        r"from a single number, received shape \(2,\)",
    ),
    "backward of a constant": (
        lambda: pe.tensor(1.0).backward(),
        ValueError,
        "no parameter leads to this tensor",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    f, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message):
        f()


# -- backward ---------------------------------------------------------------------------


def test_backward_adds_up():
    w, b = pe.parameter([1.0, 2.0]), pe.parameter(0.5, role="bias")
    for turn in (1, 2):
        ((w * w).sum() + b * 3.0).backward()
        np.testing.assert_array_equal(w.grad, [2.0 * turn, 4.0 * turn])
        assert b.grad == 3.0 * turn
    w.grad = None
    assert w.grad is None


def test_backward_equals_grad():
    w = pe.parameter(AT[1])
    loss = EVERYWHERE["mlp"](pe.tensor(AT[0]), w)
    loss.backward()
    np.testing.assert_allclose(w.grad, pe.grad(EVERYWHERE["mlp"], 1)(*AT).numpy(), rtol=1e-13)


def test_gradients_of_values_in_between():
    x = pe.parameter(X)
    hidden = x * 2.0
    loss = pe.sum(hidden * hidden)
    found = gradients([loss], [pe.tensor(np.float64(1.0))], [hidden, x])
    np.testing.assert_array_equal(found[0].numpy(), 4 * X)
    np.testing.assert_array_equal(found[1].numpy(), 8 * X)


def test_a_long_chain_needs_no_recursion():
    w = pe.parameter(1.0)
    y = w
    for _ in range(5000):
        y = y + w
    y.backward()
    assert w.grad == 5001.0


# -- the checker itself -----------------------------------------------------------------


def test_check_grads_finds_a_wrong_derivative():
    def wrong_first(x):
        return pe.sum(pe.sin(x) + pe.stop_gradient(x))

    with pytest.raises(AssertionError, match="derivative of order 1"):
        pe.check_grads(wrong_first, X)

    def wrong_second(x):
        return pe.sum(pe.sin(x) * x + (x - pe.stop_gradient(x)) ** 2)

    with pytest.raises(AssertionError, match="derivative of order 2"):
        pe.check_grads(wrong_second, X)
    pe.check_grads(wrong_second, X, order=1)


def test_check_grads_takes_several_arguments_and_any_shape():
    pe.check_grads(lambda x, w, s: pe.exp(x @ w) * s, *AT, np.float64(0.5))
    pe.check_grads(lambda x: x, np.zeros((0, 3)))
