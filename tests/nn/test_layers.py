"""Every layer: gradients, safety, edge shapes, saving, PyTorch."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn

from .samples import ACTIVATIONS, LAYERS, LayerSample, rows

each_layer = pytest.mark.parametrize("sample", [pytest.param(s, id=i) for i, s in rows(LAYERS)])


def test_every_layer_and_activation_has_a_row():
    assert set(LAYERS) == set(nn.LAYERS)
    assert set(ACTIVATIONS) == set(nn.ACTIVATIONS)


@each_layer
def test_gradients_of_first_and_second_order(sample: LayerSample):
    f, points = sample.function()
    pe.check_grads(f, *points)


@each_layer
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_values_and_gradients_are_finite_far_out(sample: LayerSample, size: float):
    f, (x, *parameters) = sample.function(np.float32)
    far = np.full_like(x, size)
    far[:1] *= 0.5
    y, pull = pe.vjp(f, pe.tensor(far), *map(pe.tensor, parameters))
    assert np.isfinite(y.numpy()).all()
    for gradient in pull(pe.tensor(np.ones(y.shape, y.dtype))):
        assert np.isfinite(gradient.numpy()).all()


@each_layer
@pytest.mark.parametrize("count", [0, 1])
def test_no_rows_and_one_row(sample: LayerSample, count: int):
    three, _ = sample.function(np.float32, 3)
    f, points = sample.function(np.float32, count)
    reference = three(*sample.function(np.float32, 3)[1])
    y, pull = pe.vjp(f, *map(pe.tensor, points))
    assert y.shape == (count, *reference.shape[1:])
    assert y.dtype == np.float32
    pulled = pull(pe.tensor(np.ones(y.shape, y.dtype)))
    assert [g.shape for g in pulled] == [p.shape for p in points]


@pytest.mark.parametrize(
    "sample", [pytest.param(s, id=i) for i, s in rows(LAYERS) if not s.training]
)
def test_rows_do_not_depend_on_each_other(sample: LayerSample):
    f, (x, *parameters) = sample.function()
    whole = f(x, *parameters).numpy()
    for i in range(len(x)):
        np.testing.assert_allclose(whole[i : i + 1], f(x[i : i + 1], *parameters).numpy(), 1e-13)


@each_layer
def test_architecture_and_values_survive_a_file(sample: LayerSample):
    layer = sample.make()
    again = nn.build(json.loads(json.dumps(layer.architecture(), allow_nan=False)))
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)
    assert again.architecture() == layer.architecture()
    again.load_state_dict(layer.state_dict())
    x = np.random.default_rng(0).standard_normal((2, *sample.shape)).astype(np.float32)
    np.testing.assert_array_equal(layer(x).numpy(), again(x).numpy())


@each_layer
def test_dtype_of_the_parameters_is_that_of_the_result(sample: LayerSample):
    x = np.random.default_rng(0).standard_normal((2, *sample.shape))
    layer = sample.make()
    if not layer.parameters():
        return
    assert layer(x).dtype == np.float32
    assert layer.astype(np.float64)(x.astype(np.float32)).dtype == np.float64
    assert {p.dtype for p in layer.parameters().values()} == {np.dtype(np.float64)}


@each_layer
def test_summary_counts_it(sample: LayerSample):
    layer = sample.make()
    summary = layer.summary(sample.shape)
    output = layer(np.zeros((1, *sample.shape), np.float32))
    assert summary.parameters == layer.num_parameters
    assert summary.output_shape == output.shape[1:]
    assert summary.parameters == sum(row.parameters for row in summary.rows)
    assert summary.operations == sum(row.operations for row in summary.rows)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_of_activations(name: str):
    x, expected = ACTIVATIONS[name]
    found = nn.ACTIVATIONS[name]()(pe.tensor(np.array([x])))
    np.testing.assert_allclose(found.numpy(), [expected], rtol=1e-15, atol=1e-17)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_stand_for_their_layer_anywhere(name: str):
    layer = nn.ACTIVATIONS[name]
    by_function = nn.Sequential(nn.Linear(2, 3), nn.Activation(layer.of))
    x = np.array([[1.0, -2.0]])
    expected = layer()(by_function[0](x))
    np.testing.assert_array_equal(by_function(x).numpy(), expected.numpy())
    assert repr(nn.build(by_function.architecture())) == repr(by_function)


@pytest.mark.slow
@pytest.mark.parametrize("sample", [pytest.param(s, id=i) for i, s in rows(LAYERS) if s.torch])
def test_as_pytorch(sample: LayerSample):
    torch = pytest.importorskip("torch")
    assert sample.torch is not None
    f, points = sample.function()
    y, pull = pe.vjp(f, *map(pe.tensor, points))
    upstream = np.random.default_rng(3).standard_normal(y.shape)
    names = list(sample.make().parameters())
    x, *values = (torch.tensor(p, requires_grad=True) for p in points)
    expected = sample.torch(torch, dict(zip(names, values, strict=True)))(x)
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(y.numpy(), expected.detach(), rtol=1e-13, atol=1e-14)
    for found, wanted in zip(pull(pe.tensor(upstream)), (x, *values), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.grad, rtol=1e-12, atol=1e-13)


# -- what is special to one layer ---------------------------------------------------


def test_linear_is_a_product_and_a_sum():
    layer = nn.Linear(2, 3)
    layer.load_state_dict({"weight": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "bias": [0.5, 0.0, -1.0]})
    assert layer([[1.0, 10.0]]).numpy().tolist() == [[41.5, 52.0, 62.0]]
    assert {k: v.node.cell.role for k, v in layer.parameters().items()} == {
        "weight": "weight",
        "bias": "bias",
    }


def test_linear_says_what_it_expected():
    with pytest.raises(
        nn.LayerError, match=r"Linear\(3, 4\): expected input of shape \(batch, 3\)"
    ):
        nn.Linear(3, 4)(np.zeros((5, 2)))
    with pytest.raises(nn.LayerError, match=r"received \(5, 2, 2\); put nn.Flatten\(\) before it"):
        nn.Linear(4, 4)(np.zeros((5, 2, 2)))


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "3", None])
def test_linear_needs_whole_lengths(wrong):
    with pytest.raises(ValueError, match="in_features must be a whole number of at least 1"):
        nn.Linear(wrong, 2)
    with pytest.raises(ValueError, match="out_features must be a whole number of at least 1"):
        nn.Linear(2, wrong)


def test_dropout_keeps_the_expected_value():
    layer = nn.Dropout(0.25)
    pe.random.set_seed(5)
    with nn.training_mode():
        y = layer(np.ones((400, 500))).numpy()
    assert set(np.unique(y)) == {0.0, np.float64(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.005
    assert abs(y.mean() - 1) < 0.005


def test_dropout_draws_anew_but_repeats_with_the_seed():
    layer, x = nn.Dropout(0.5), np.ones((3, 50))
    with nn.training_mode():
        pe.random.set_seed(0)
        first, second = layer(x).numpy(), layer(x).numpy()
        pe.random.set_seed(0)
        again = layer(x).numpy()
    assert (first != second).any()
    assert (first == again).all()
    assert (layer(x).numpy() == x).all()


@pytest.mark.parametrize("wrong", [1, 1.0, -0.1, float("nan"), "0.5", None, True])
def test_dropout_needs_a_probability(wrong):
    with pytest.raises(ValueError, match="p must be a probability from 0 to below 1"):
        nn.Dropout(wrong)


@pytest.mark.parametrize("wrong", ["a", True, None])
def test_options_of_activations_are_numbers(wrong):
    with pytest.raises(TypeError, match="LeakyReLU: slope must be a number"):
        nn.LeakyReLU(wrong)
    with pytest.raises(ValueError, match="LeakyReLU: slope must be finite"):
        nn.LeakyReLU(float("inf"))
    with pytest.raises(TypeError):
        nn.ReLU(1)


def test_sequential_is_indexed_sliced_and_walked():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert model[0] is model.layers[0]
    assert model[-1] is model.layers[2]
    assert len(model) == 3
    assert list(model) == list(model.layers)
    assert isinstance(model[:2], nn.Sequential)
    assert model[:2][0] is model[0]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (nn.ReLU, r"write ReLU\(\)"),
        ([nn.ReLU()], r"write Sequential\(\*layers\)"),
        (3, "received 3"),
    ],
)
def test_sequential_refuses_what_is_no_layer(wrong, hint):
    with pytest.raises(TypeError, match=hint):
        nn.Sequential(nn.ReLU(), wrong)


def test_a_nested_error_names_the_place():
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(2, 1)))
    with pytest.raises(nn.LayerError) as caught:
        model(np.zeros((7, 2, 2)))
    assert str(caught.value) == (
        "layers.1.layers.2, Linear(2, 1): expected input of shape (batch, 2), received (7, 3); "
        "the model was given (7, 2, 2)"
    )


def test_errors_of_a_constructor_name_the_layer():
    with pytest.raises(nn.LayerError) as caught:
        nn.Conv2d(6, 16, 3, groups=4)
    assert str(caught.value) == (
        "Conv2d(6, 16, 3, groups=4): groups must divide in_channels and out_channels: 4 groups do "
        "not divide 6 channels and 16 features into equal parts"
    )
    with pytest.raises(nn.LayerError, match=r"^Linear\(0, 3\): in_features must be"):
        nn.Linear(0, 3)

    class Net(nn.Module):
        def __init__(self, width):
            self.inner = nn.Linear(width, 2)

    with pytest.raises(nn.LayerError, match=r"^Linear\(-1, 2\): in_features"):
        Net(-1)
    with pytest.raises(TypeError, match="missing 1 required"):
        Net()


def test_numbers_of_numpy_are_written_as_numbers():
    assert repr(nn.Linear(np.int64(2), np.int32(1))) == "Linear(2, 1)"


def test_linear_layers_without_activation_collapse_into_one():
    first, second = nn.Linear(3, 5), nn.Linear(5, 2)
    first.load_state_dict({"weight": first.state_dict()["weight"], "bias": np.arange(5.0)})
    one = nn.Linear(3, 2)
    w1, b1 = first.weight.numpy(), first.bias.numpy()
    w2, b2 = second.weight.numpy(), second.bias.numpy()
    one.load_state_dict({"weight": w1 @ w2, "bias": b1 @ w2 + b2})
    x = np.random.default_rng(0).standard_normal((10, 3))
    np.testing.assert_allclose(
        nn.Sequential(first, second)(x).numpy(), one(x).numpy(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("bias", ["relu", None, nn.ReLU()])
def test_an_activation_is_not_taken_for_a_bias(bias):
    with pytest.raises(TypeError, match="bias must be True or False"):
        nn.Linear(2, 3, bias)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
def test_the_order_of_bytes_does_not_change_the_precision(dtype):
    assert pe.tensor(np.ones(3, dtype)).dtype == np.dtype(dtype).newbyteorder("=")


def test_dropout_has_the_same_expectation_in_both_forms():
    x = np.full((400, 500), 2.0)
    for layer in (nn.Dropout(0.25), nn.Dropout(0.25, inverted=False)):
        with nn.training_mode():
            mean = layer(x).numpy().mean()
        assert mean == pytest.approx(layer(x).numpy().mean(), abs=0.01)


def test_noise_is_normal_and_only_in_training():
    layer, x = nn.GaussianNoise(0.5), np.zeros((300, 400))
    assert not layer(x).numpy().any()
    with nn.training_mode():
        noise = layer(x).numpy()
    assert abs(noise.mean()) < 0.005
    assert noise.std() == pytest.approx(0.5, rel=0.01)
    assert (abs(noise) > 1.0).mean() == pytest.approx(0.0455, abs=0.002)


def test_moving_averages_follow_at_their_rate_in_training_only():
    layer = nn.BatchNorm(2, rate=0.25)
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    layer(x)
    assert layer.moving_mean.numpy().tolist() == [0.0, 0.0]
    with nn.training_mode():
        layer(x)
    np.testing.assert_allclose(layer.moving_mean.numpy(), [0.5, 1.0])
    np.testing.assert_allclose(layer.moving_variance.numpy(), [1.0, 1.75])
    y = layer(x).numpy()
    np.testing.assert_allclose(y, (x - [0.5, 1.0]) / np.sqrt([1.00001, 1.75001]), rtol=1e-6)


def test_batch_norm_after_dropout_at_one_layer_warns():
    with pytest.warns(UserWarning, match="BatchNorm at position 3 follows Dropout at position 1"):
        nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.ReLU(), nn.BatchNorm(3))
    nn.Sequential(nn.BatchNorm(2), nn.Dropout(), nn.Linear(2, 3), nn.BatchNorm(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.BatchNorm(0), "features must be a whole number of at least 1"),
        (lambda: nn.BatchNorm(2, rate=0), "rate must be a number above 0 and at most 1"),
        (lambda: nn.LayerNorm(2, eps=0), "eps must be a number above 0"),
        (lambda: nn.GaussianNoise(-1), "std must be a number of at least 0"),
        (lambda: nn.BatchNorm(2)(np.zeros((3, 4))), r"shape \(batch, ..., 2\), received \(3, 4\)"),
    ],
)
def test_arguments_of_normalization_and_noise(make, message):
    with pytest.raises(ValueError, match=message):
        make()
