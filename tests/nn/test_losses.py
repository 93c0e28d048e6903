"""Every loss: gradients, safety, edge shapes, weights, targets, PyTorch."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn

from .samples import LOSSES, LossSample, rows

each_loss = pytest.mark.parametrize("sample", [pytest.param(s, id=i) for i, s in rows(LOSSES)])


def test_every_loss_has_a_row():
    assert {made.name for made in nn.LOSSES.values()} == set(LOSSES)


@each_loss
def test_gradients_of_first_and_second_order(sample: LossSample):
    u, y = sample.data(4)
    pe.check_grads(lambda v: sample.loss(v, y), u)
    pe.check_grads(lambda v: sample.loss.per_example(v, y), u)


@each_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_at_zero(sample: LossSample, dtype):
    """Where an untrained network stands: the derivative is that of both sides."""
    u, y = sample.data(4, dtype)
    at = pe.grad(lambda v: sample.loss(v, y))
    middle = at(pe.tensor(np.zeros_like(u))).numpy()
    beside = [at(pe.tensor(np.full_like(u, side))).numpy() for side in (1e-5, -1e-5)]
    np.testing.assert_allclose(middle, np.mean(beside, axis=0), rtol=1e-4, atol=1e-6)


@each_loss
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_values_and_gradients_are_finite_far_out(sample: LossSample, size: float):
    u, y = sample.data(4, np.float32)
    far = np.full_like(u, size)
    far.reshape(4, -1)[:, 0] = 0
    value, gradient = pe.value_and_grad(lambda v: sample.loss(v, y))(pe.tensor(far))
    assert np.isfinite(value.item())
    assert np.isfinite(gradient.numpy()).all()


@each_loss
@pytest.mark.parametrize("count", [0, 1])
def test_no_rows_and_one_row(sample: LossSample, count: int):
    u, y = sample.data(count, np.float32)
    value, gradient = pe.value_and_grad(lambda v: sample.loss(v, y))(pe.tensor(u))
    assert value.shape == ()
    assert value.dtype == np.float32
    assert gradient.shape == u.shape
    assert sample.loss.per_example(u, y).shape == (count,)
    if count == 0:
        assert value.item() == 0


@each_loss
def test_loss_is_the_mean_over_examples(sample: LossSample):
    u, y = sample.data(6)
    if "class_weight" in sample.loss.options:
        total, weight = sample.loss.total_and_weight(u, y)
        np.testing.assert_allclose(sample.loss(u, y).item(), total.item() / weight.item(), 1e-14)
        assert weight.item() != len(u)
    else:
        each = sample.loss.per_example(u, y).numpy()
        np.testing.assert_allclose(sample.loss(u, y).item(), each.mean(), rtol=1e-13)


@each_loss
def test_a_weight_counts_as_repetition(sample: LossSample):
    u, y = sample.data(4)
    times = np.array([1, 0, 3, 2])
    weighted = sample.loss(u, y, times).item()
    repeated = sample.loss(np.repeat(u, times, 0), np.repeat(y, times, 0)).item()
    np.testing.assert_allclose(weighted, repeated, rtol=1e-13)
    assert sample.loss(u, y, np.zeros(4)).item() == 0
    gradient = pe.grad(lambda v: sample.loss(v, y, np.zeros(4)))(pe.tensor(u))
    assert (gradient.numpy() == 0).all()
    pe.check_grads(lambda v: sample.loss(v, y, times), u)


@each_loss
def test_total_and_weight_add_up_over_batches(sample: LossSample):
    u, y = sample.data(7)
    parts = [sample.loss.total_and_weight(u[i], y[i]) for i in (slice(0, 4), slice(4, 7))]
    total, weight = (sum(p[k].item() for p in parts) for k in (0, 1))
    np.testing.assert_allclose(total / weight, sample.loss(u, y).item(), rtol=1e-13)


@each_loss
def test_checked_targets_give_the_same_loss(sample: LossSample):
    u, y = sample.data(4)
    checked = sample.loss.check(y, sample.shape)
    assert checked.dtype in (np.float32, np.int32)
    assert len(checked) == 4
    np.testing.assert_allclose(
        sample.loss(u, checked).item(), sample.loss(u, pe.tensor(y)).item(), rtol=1e-6
    )


@each_loss
def test_targets_that_are_not_finite_or_not_numbers(sample: LossSample):
    _, y = sample.data(4)
    bad = y.astype(float)
    bad[2] = np.nan
    with pytest.raises(ValueError, match="y has NaN in row 2"):
        sample.loss.check(bad, sample.shape)
    with pytest.raises(ValueError, match="targets must be numbers, received dtype <U"):
        sample.loss.check(y.astype(str), sample.shape)
    with pytest.raises(ValueError, match="received a single number"):
        sample.loss.check(np.float64(1.0), sample.shape)


@each_loss
def test_shapes_that_do_not_fit(sample: LossSample):
    u, y = sample.data(4)
    with pytest.raises(ValueError, match="one row per example, received"):
        sample.loss(u, y[:3])
    with pytest.raises(ValueError, match="received"):
        sample.loss.check(np.zeros((4, 9, 9)), sample.shape)
    with pytest.raises(ValueError, match="received"):
        sample.loss(u, pe.tensor(np.zeros((4, 9, 9))))
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(4,\), received \(3,\)"):
        sample.loss(u, y, np.ones(3))


@each_loss
def test_description_and_text(sample: LossSample):
    description = json.loads(json.dumps(sample.loss.description()))
    again = nn.as_loss(description["loss"]).with_options(**description["arguments"])
    assert repr(again) == repr(sample.loss)
    u, y = sample.data(3)
    assert again(u, y).item() == sample.loss(u, y).item()


@pytest.mark.slow
@pytest.mark.parametrize("sample", [pytest.param(s, id=i) for i, s in rows(LOSSES) if s.torch])
def test_as_pytorch(sample: LossSample):
    torch = pytest.importorskip("torch")
    assert sample.torch is not None
    functional = torch.nn.functional
    u, y = sample.data(9)
    value, gradient = pe.value_and_grad(lambda v: sample.loss(v, y))(pe.tensor(u))
    u_torch, y_torch = torch.tensor(u, requires_grad=True), torch.tensor(y)
    expected = sample.torch(functional, u_torch, y_torch)
    expected.backward()
    np.testing.assert_allclose(value.item(), expected.item(), rtol=1e-13)
    np.testing.assert_allclose(gradient.numpy(), u_torch.grad, rtol=1e-12, atol=1e-15)
    each = sample.torch(functional, torch.tensor(u), y_torch, reduction="none")
    each = each.reshape(9, -1).mean(1)
    np.testing.assert_allclose(sample.loss.per_example(u, y).numpy(), each, rtol=1e-12)


@pytest.mark.slow
def test_class_weights_as_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    u, y, w = rng.standard_normal((8, 3)), rng.integers(0, 3, 8), [1.0, 2.0, 0.5]
    found = nn.cross_entropy.with_options(class_weight=w)(u, y).item()
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(u), torch.tensor(y), torch.tensor(w, dtype=torch.float64)
    )
    np.testing.assert_allclose(found, expected.item(), rtol=1e-14)


# -- what is special to one loss ------------------------------------------------------


def test_class_numbers_and_one_hot_rows_agree():
    rng = np.random.default_rng(0)
    u, y = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    for loss in (nn.cross_entropy, nn.cross_entropy.with_options(class_weight=[1, 2, 3, 4])):
        expected = loss(u, y).item()
        assert loss(u, y[:, None]).item() == expected
        np.testing.assert_allclose(loss(u, np.eye(4)[y]).item(), expected, rtol=1e-14)


def test_two_classes_from_one_logit_or_two():
    rng = np.random.default_rng(0)
    u, y = rng.standard_normal(6), rng.integers(0, 2, 6)
    both = np.stack([np.zeros(6), u], 1)
    np.testing.assert_allclose(
        nn.binary_cross_entropy_with_logits(u, y).item(), nn.cross_entropy(both, y).item(), 1e-14
    )


@pytest.mark.parametrize("u", [5.0, 20.0, 80.0])
def test_small_losses_are_exact_in_float32(u: float):
    exact = np.log1p(np.exp(-u))
    pair = nn.cross_entropy(np.array([[0, u]], np.float32), [1]).item()
    one = nn.binary_cross_entropy_with_logits(np.array([u, -u], np.float32), [1, 0]).item()
    np.testing.assert_allclose(one, exact, rtol=1e-5, atol=1e-38)
    np.testing.assert_allclose(pair, exact, atol=6e-8)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 3], "between 0 and 2, the model having 3 outputs; received 3 in row 2"),
        ([0, -1, 1], "received -1 in row 1"),
        ([0.0, 1.5, 1.0], "class numbers must be whole; received 1.5 in row 1"),
        ([[1, 0, 0], [0.5, 0.5, 0.5], [0, 0, 1]], "must sum to 1; received 1.5 in row 1"),
        ([[1, 0, 0], [2, -1, 0], [0, 0, 1]], "not be negative; received -1 in row 1, column 1"),
        ([[1, 0], [0, 1], [0, 1]], r"class numbers of shape \(rows,\) or probabilities of shape"),
    ],
)
def test_classes_that_are_not_allowed(y, message):
    with pytest.raises(ValueError, match=message):
        nn.cross_entropy.check(y, (3,))
    with pytest.raises(ValueError, match=message):
        nn.cross_entropy(np.zeros((3, 3)), np.array(y))


def test_one_output_asks_for_the_other_cross_entropy():
    with pytest.raises(ValueError, match="use binary_cross_entropy_with_logits"):
        nn.cross_entropy.check([0, 1], (1,))


def test_probabilities_outside_their_range():
    with pytest.raises(ValueError, match="between 0 and 1; received 2 in row 1"):
        nn.binary_cross_entropy_with_logits.check([0, 2], ())
    assert nn.binary_cross_entropy_with_logits.check([False, True], (1,)).tolist() == [[0.0], [1.0]]


def test_vectors_become_columns_and_nothing_else_is_broadcast():
    assert nn.mean_squared_error.check([1.0, 2.0], (1,)).shape == (2, 1)
    with pytest.raises(ValueError, match=r"must have shape \(rows, 2\), received \(2,\)"):
        nn.mean_squared_error.check([1.0, 2.0], (2,))
    with pytest.raises(ValueError, match="y has infinity in row 1, column 0"):
        nn.mean_squared_error.check([[1.0], [np.inf]], (1,))


def test_a_loss_by_a_user():
    def cubic(prediction, target):
        return pe.absolute(prediction - target) ** 3

    def worst(prediction, target):
        return pe.max(pe.absolute(prediction - target))

    u, y = np.array([1.0, 2.0]), np.array([0.0, 4.0])
    each = nn.as_loss(cubic)
    assert (each.name, each(u, y).item(), each(u, y, [3, 1]).item()) == ("cubic", 4.5, 2.75)
    whole = nn.as_loss(worst)
    assert whole(u, y).item() == 2
    assert whole.total_and_weight(u, y)[1] is None
    with pytest.raises(ValueError, match="let it return one loss per example"):
        whole(u, y, [1, 1])
    with pytest.raises(ValueError, match="expected one term for each of the 2 examples"):
        nn.as_loss(lambda p, t: (p - t)[:1])(u, y)


def test_as_loss_says_what_there_is():
    assert nn.as_loss("mse") is nn.mean_squared_error
    assert nn.as_loss(nn.cross_entropy) is nn.cross_entropy
    with pytest.raises(ValueError, match="did you mean 'cross_entropy'"):
        nn.as_loss("crossentropy")
    with pytest.raises(TypeError, match="a loss is a name or a function"):
        nn.as_loss(3)


def test_options_of_losses_are_checked():
    with pytest.raises(TypeError, match="mean_squared_error has no option 'class_weight'"):
        nn.mean_squared_error.with_options(class_weight=[1])
    for wrong in ([1, -1], [1, np.nan], [0, 0], 3, ["a"]):
        with pytest.raises(ValueError, match="class_weight must"):
            nn.cross_entropy.with_options(class_weight=wrong)
    with pytest.raises(ValueError, match="one number for each of 2 classes, received 3"):
        nn.binary_cross_entropy_with_logits.with_options(class_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="one number for each of 4 classes, received 2"):
        nn.cross_entropy.with_options(class_weight=[1, 2]).check([0], (4,))


# -- worked examples of the lectures ----------------------------------------------------


def test_lecture_squared_error():
    u, y = np.array([[1.0, 0.0]]), np.array([[0.8, 0.5]])
    assert (
        round(nn.mean_squared_error(u, y).item(), 12) == 0.145
    )  # two outputs: 1/2 sum is the mean


def test_lecture_softmax_and_categorical_cross_entropy():
    u = np.array([[-2.0, 3.0, 1.0]])
    p = pe.softmax(pe.tensor(u)).numpy()
    assert p.round(4).tolist() == [[0.0059, 0.8756, 0.1185]]
    value, gradient = pe.value_and_grad(lambda v: nn.cross_entropy(v, [1]))(pe.tensor(u))
    assert round(value.item(), 4) == 0.1328
    np.testing.assert_allclose(gradient.numpy(), p - [[0, 1, 0]], atol=1e-15)


def test_lecture_jacobian_of_softmax():
    u = pe.tensor(np.array([-2.0, 3.0, 1.0]))
    s, pull = pe.vjp(pe.softmax, u)
    jacobian = np.stack([pull(pe.tensor(row))[0].numpy() for row in np.eye(3)])
    s = s.numpy()
    np.testing.assert_allclose(jacobian, np.diag(s) - np.outer(s, s), atol=1e-16)


def test_lecture_binary_cross_entropy():
    u, y = np.array([0.3, -1.2, 0.0]), np.array([1.0, 0.0, 0.25])
    p = 1 / (1 + np.exp(-u))
    value, gradient = pe.value_and_grad(lambda v: nn.binary_cross_entropy_with_logits(v, y))(
        pe.tensor(u)
    )
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    np.testing.assert_allclose(value.item(), expected.mean(), rtol=1e-14)
    np.testing.assert_allclose(gradient.numpy() * 3, p - y, rtol=1e-14)


def test_one_output_is_too_few_for_cross_entropy():
    with pytest.raises(ValueError, match="over a single output is always 0"):
        nn.cross_entropy.check(np.zeros(3, int), (1,))


def test_a_loss_is_sent_to_another_process_by_its_name():
    for made in (nn.cross_entropy, nn.cross_entropy.with_options(class_weight=[1, 5])):
        again = pickle.loads(pickle.dumps(made))
        assert repr(again) == repr(made)
        assert again.terms is made.terms


@pytest.mark.parametrize("name", ["zero_one", "classification_error", "accuracy"])
def test_counts_of_errors_are_refused(name: str):
    with pytest.raises(ValueError, match=f"'{name}' counts errors: its derivative is 0"):
        nn.as_loss(name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.cross_entropy.with_options(log_base=1), "log_base must be above 1, received 1"),
        (
            lambda: nn.cross_entropy.with_options(label_smoothing=1),
            "label_smoothing must be at least",
        ),
        (lambda: nn.huber.with_options(delta=-1), "delta must be above 0, received -1"),
        (lambda: nn.hinge.check([0, -1, 1], ()), "0 and 1, or -1 and 1; received 0 in row 0"),
        (lambda: nn.hinge.check([0, 1, 2], ()), "received 2 in row 2"),
        (lambda: nn.poisson.check([0, 2, -1], ()), "counts must not be negative; received -1"),
    ],
)
def test_options_and_targets_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_multi_class_hinge_as_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    u, y = rng.standard_normal((20, 4)), rng.integers(0, 4, 20)
    expected = metrics.hinge_loss(y, u, labels=range(4))
    np.testing.assert_allclose(nn.multi_class_hinge(u, y).item(), expected, rtol=1e-13)
