"""Modules: what they are made of, values in and out, saving, state, errors."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn
from pellucid.core.node import placeholder, tracing
from pellucid.core.tensor import Tensor


class Block(nn.Module):
    def __init__(self, width: int, *inner: nn.Module, activation=pe.tanh, **options: float):
        self.entry = nn.Linear(width, width)
        self.table = {"a": nn.Linear(width, 1), "b": [nn.ReLU(), (nn.Linear(1, 1),)]}
        self.inner = list(inner)
        self.activation = activation
        self.options = options
        self.gain = pe.parameter([1.0], name="gain")

    def forward(self, x):
        x = self.activation(self.entry(x)) * self.gain
        for layer in self.inner:
            x = layer(x)
        return self.table["a"](x)


class Average(nn.Module):
    """Keeps a moving average of its inputs, as batch normalization does."""

    def __init__(self, rate: float = 0.5):
        self.rate = rate
        self.mean = nn.state(0.0, name="mean")

    def forward(self, x):
        if nn.is_training():
            self.update(self.mean, (1 - self.rate) * self.mean + self.rate * pe.mean(x))
        return x - self.mean


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


# -- what it is made of -----------------------------------------------------------------


def test_parts_are_found_wherever_they_stand():
    block = Block(2, nn.Linear(2, 2, bias=False))
    assert list(block.parameters()) == [
        "entry.weight",
        "entry.bias",
        "table.a.weight",
        "table.a.bias",
        "table.b.1.0.weight",
        "table.b.1.0.bias",
        "inner.0.weight",
        "gain",
    ]
    assert list(block.named_modules()) == [
        "",
        "entry",
        "table.a",
        "table.b.0",
        "table.b.1.0",
        "inner.0",
    ]
    assert block.num_parameters == 6 + 3 + 2 + 4 + 1
    assert block.modules()[0] is block


def test_what_is_used_twice_counts_once():
    shared = nn.Linear(2, 2)
    twice = nn.Sequential(shared, nn.ReLU(), shared)
    assert list(twice.parameters()) == ["layers.0.weight", "layers.0.bias"]
    assert twice.num_parameters == 6
    again = nn.build(json.loads(json.dumps(twice.architecture())))
    assert again[0] is again[2]
    assert again.num_parameters == 6


def test_subclasses_need_no_call_of_super_and_may_be_dataclasses():
    @dataclasses.dataclass(eq=False)
    class Scale(nn.Module):
        factor: float = 2.0

        def forward(self, x):
            return pe.tensor(x) * self.factor

    layer = nn.build(Scale(factor=3.0).architecture(), [Scale])
    assert layer([1.0]).numpy().tolist() == [3.0]
    with pytest.raises(NotImplementedError, match="Module needs a method forward"):
        nn.Module()(1.0)


def test_eager_learning():
    pe.random.set_seed(0)
    net = model()
    x, t = np.ones((5, 3), np.float32), np.zeros((5, 2), np.float32)
    loss = pe.mean((net(x) - t) ** 2)
    loss.backward()
    gradient = net.layers[0].weight.grad
    assert gradient.shape == (3, 4)
    assert gradient.any()


# -- values -----------------------------------------------------------------------------


def test_state_dict_holds_copies():
    net = model()
    values = net.state_dict()
    assert {k: v.shape for k, v in values.items()} == {
        "layers.0.weight": (3, 4),
        "layers.0.bias": (4,),
        "layers.2.weight": (4, 2),
        "layers.2.bias": (2,),
    }
    assert all(v.flags.c_contiguous and v.flags.owndata for v in values.values())
    values["layers.0.weight"][:] = 7
    assert not (net[0].weight.numpy() == 7).any()
    net.load_state_dict(values)
    assert (net[0].weight.numpy() == 7).all()


def test_loading_names_every_entry_that_does_not_fit_and_assigns_nothing():
    net = model()
    before = net.state_dict()
    wrong = before | {"layers.0.weight": np.zeros((4, 3)), "extra": np.zeros(1)}
    wrong["layers.0.bias"] = np.ones(4)
    wrong["layers.2.weight"] = np.full((4, 2), "a")
    del wrong["layers.2.bias"]
    with pytest.raises(ValueError, match="these values do not fit the model") as caught:
        net.load_state_dict(wrong)
    assert str(caught.value).splitlines()[1:] == [
        "  layers.0.weight: expected shape (3, 4), received (4, 3)",
        "  layers.2.weight: expected float32 values, received <U1",
        "  missing: layers.2.bias (2,)",
        "  unexpected: extra",
    ]
    after = net.state_dict()
    assert all((before[k] == after[k]).all() for k in before)


def test_copies_and_pickles_stand_alone():
    net = model()
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        x = np.ones((1, 3))
        assert (again(x).numpy() == net(x).numpy()).all()
        cell, own = (m[0].weight.node.cell for m in (again, net))
        assert cell.value.strides == own.value.strides
        assert (cell.name, cell.role, cell.tracked) == ("weight", "weight", True)
        before = net[0].weight.numpy().copy()
        again[0].weight.assign(np.zeros((3, 4)))
        assert (again[0].weight.numpy() == 0).all()
        assert (net[0].weight.numpy() == before).all()
        assert repr(again) == repr(net)


def test_functional_call_is_a_function_of_the_parameters():
    net = model()
    before = net.state_dict()
    x = np.ones((2, 3))
    zeros = {k: np.zeros_like(v) for k, v in before.items()}
    assert (nn.functional_call(net, zeros, x).numpy() == 0).all()
    assert all((net.state_dict()[k] == before[k]).all() for k in before)
    with pytest.raises(ValueError, match="the model has no parameter 'w'"):
        nn.functional_call(net, {"w": x}, x)
    with pytest.raises(ValueError, match=r"layers.2.bias: expected shape \(2,\), received \(3,\)"):
        nn.functional_call(net, {"layers.2.bias": np.zeros(3)}, x)
    with pytest.raises(nn.LayerError):
        nn.functional_call(net, zeros, np.ones((2, 4)))
    assert all((net.state_dict()[k] == before[k]).all() for k in before)


# -- text and files -----------------------------------------------------------------------


def test_text_is_the_expression_that_makes_it():
    text = repr(nn.Sequential(nn.Linear(784, 128, bias=False), nn.Dropout(0.2), nn.LeakyReLU(0.1)))
    assert text == "Sequential(Linear(784, 128, bias=False), Dropout(p=0.2), LeakyReLU(slope=0.1))"
    wide = nn.Sequential(*(nn.Sequential(nn.Linear(1000, 1000), nn.ReLU()) for _ in range(3)))
    assert repr(wide) == (
        "Sequential(\n"
        "    Sequential(Linear(1000, 1000), ReLU()),\n"
        "    Sequential(Linear(1000, 1000), ReLU()),\n"
        "    Sequential(Linear(1000, 1000), ReLU()),\n"
        ")"
    )


def test_a_layer_of_a_user_survives_a_file():
    block = Block(
        2, nn.Sequential(nn.Linear(2, 2), pe.sin), activation=nn.leaky_relu, a=1, b=np.inf
    )
    text = json.dumps(block.architecture(), allow_nan=False)
    again = nn.build(json.loads(text), [Block], values=1000)
    assert repr(again) == repr(block)
    assert again.options == {"a": 1, "b": np.inf}
    assert not any(v.any() for k, v in again.state_dict().items() if k != "gain")
    again.load_state_dict(block.state_dict())
    x = np.ones((2, 2))
    assert (again(x).numpy() == block(x).numpy()).all()


def test_values_that_a_file_can_hold_come_back_as_they_were():
    class Keeper(nn.Module):
        def __init__(self, value):
            self.value = value

    for value in (
        None,
        True,
        3,
        -0.5,
        "a",
        [1, [2.0]],
        (1, (2, "b")),
        {"k": (1, {"layer": 2})},
        -np.inf,
        np.dtype(np.float64),
    ):
        again = nn.build(json.loads(json.dumps(Keeper(value).architecture())), [Keeper])
        assert again.value == value
        assert type(again.value) is type(value)


@pytest.mark.parametrize(
    "argument", [lambda x: x, np.zeros(3), object(), len, {1: 2}, pe.tensor(1.0), np.tanh]
)
def test_what_a_file_cannot_hold_is_refused_by_name(argument):
    with pytest.raises(nn.CannotSaveError, match=r"cannot be saved: Block\(activation=...\)"):
        nn.Sequential(Block(2, activation=argument)).architecture()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"layer": "Block", "arguments": {"width": 1}}, "layer 'Block' is not known; if it is yo"),
        ({"layer": "os.system", "arguments": {"command": "true"}}, "layer 'os.system' is not kn"),
        ({"layer": "Linear", "arguments": {"in_features": 0, "out_features": 1}}, "at least 1"),
        ({"layer": "Linear", "arguments": {"colour": 0}}, "cannot be made of"),
        ({"layer": "Linear", "arguments": [1, 2]}, "malformed architecture at"),
        ({"layer": "Linear"}, "cannot be made of {}"),
        ({"layer": ["Linear"], "arguments": {}}, "is not known"),
        ({"layer": "ReLU", "arguments": {}, "more": 1}, "expected a layer or a value"),
        ({"layer": "Activation", "arguments": {"function": {"function": "eval"}}}, "'eval' is not"),
        ({"layer": "Linear", "arguments": {"in_features": {"initializer": "x"}}}, "'x' is not"),
        ({"shared": 0}, "shared layer 0 is not known"),
        ({"function": "sin"}, "expected a layer, received"),
        ([], "expected a layer, received"),
        (3, "expected a layer, received 3"),
        ({"layer": "Sequential", "arguments": {"layers": "abc"}}, "malformed architecture"),
        ({"layer": "Sequential", "arguments": {"layers": [1]}}, "cannot be made of"),
        ({"number": "1e400"}, "number '1e400' is not known"),
    ],
)
def test_an_architecture_that_is_none_is_refused(tree, message):
    with pytest.raises(nn.ArchitectureError, match=message.replace("{", r"\{")):
        nn.build(tree)


def test_deep_nesting_is_refused():
    tree: dict = {"layer": "ReLU", "arguments": {}}
    for _ in range(3000):
        tree = {"layer": "Sequential", "arguments": {"layers": [tree]}}
    with pytest.raises(nn.ArchitectureError, match="nested too deeply"):
        nn.build(tree)


def test_building_without_values_draws_no_random_numbers():
    architecture = model().architecture()
    pe.random.set_seed(0)
    expected = nn.Linear(3, 3).state_dict()["weight"]
    pe.random.set_seed(0)
    blank = nn.build(architecture, values=1000)
    assert not any(v.any() for v in blank.state_dict().values())
    assert (nn.Linear(3, 3).state_dict()["weight"] == expected).all()


def test_only_layers_may_be_passed_for_building():
    with pytest.raises(TypeError, match="layers must be classes of layers"):
        nn.build(model().architecture(), [len])


# -- mode and state ---------------------------------------------------------------------


def test_state_is_kept_saved_and_not_learned():
    layer = nn.Sequential(Average())
    assert list(layer.parameters()) == []
    assert list(layer.states()) == ["layers.0.mean"]
    with nn.training_mode():
        layer(np.full((2, 1), 4.0, np.float32))
    assert layer.state_dict()["layers.0.mean"] == 2
    assert layer(np.array([3.0])).numpy() == 1
    again = nn.build(layer.architecture(), [Average])
    again.load_state_dict(layer.state_dict())
    assert again.state_dict()["layers.0.mean"] == 2


def test_updates_are_collected_and_not_assigned():
    layer = Average()
    with tracing(), nn.training_mode(), nn.collect_updates() as updates:
        layer(Tensor(placeholder((2, 1), np.dtype(np.float32))))
    assert list(updates) == [layer.mean.node.cell]
    assert updates[layer.mean.node.cell].shape == ()
    assert layer.state_dict()["mean"] == 0
    with tracing(), nn.training_mode(), pytest.raises(RuntimeError, match="nobody collects"):
        layer(Tensor(placeholder((2, 1), np.dtype(np.float32))))


def test_only_state_is_updated():
    layer = Average()
    with pytest.raises(ValueError, match=r"state 'mean' has shape \(\), received a new value of"):
        layer.update("mean", [1.0])
    with pytest.raises(TypeError, match="only state can be updated"):
        layer.update(pe.parameter(1.0), 2.0)


def test_training_mode_is_off_nests_and_ends_with_an_error():
    assert not nn.is_training()
    with pytest.raises(KeyError), nn.training_mode():
        with nn.training_mode(False):
            assert not nn.is_training()
        assert nn.is_training()
        raise KeyError
    assert not nn.is_training()


def test_calls_are_watched_in_order_with_depth():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    with nn.watch_calls() as calls:
        y = net([[1.0, 2.0]])
    net([[1.0, 2.0]])
    assert [(call.module, call.depth) for call in calls] == [
        (net, 0),
        (net[0], 1),
        (net[1], 1),
        (net[1][0], 2),
    ]
    assert calls[0].output is y
    assert calls[2].inputs[0] is calls[1].output


# -- summary ----------------------------------------------------------------------------


def test_summary_counts_the_lectures_network():
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(1600, 100),
        nn.Sigmoid(),
        nn.Linear(100, 100),
        nn.Sigmoid(),
        nn.Linear(100, 100),
        nn.Sigmoid(),
        nn.Linear(100, 10),
    )
    summary = net.summary((40, 40))
    assert summary.parameters == 181_310
    assert (
        summary.operations
        == sum(2 * a * b + b for a, b in ((1600, 100), (100, 100), (100, 100), (100, 10))) + 300 * 8
    )
    assert [row.output_shape for row in summary.rows][:2] == [(1600,), (100,)]
    assert "181,310" in str(summary)
    assert nn.Linear(784, 10).summary().parameters == 7850


def test_summary_of_a_model_with_work_of_its_own():
    block = Block(2, nn.ReLU())
    summary = block.summary(2)
    own = summary.rows[0]
    assert (own.layer, own.parameters, own.operations) == ("Block", 1, 18)  # tanh and the gain
    assert [row.name for row in summary.rows] == ["", "entry", "inner.0", "table.a"]
    assert summary.parameters == block.num_parameters


def test_summary_needs_a_shape_that_fits():
    with pytest.raises(ValueError, match="give the shape of one example"):
        nn.Sequential(nn.Flatten(), nn.Linear(4, 1)).summary()
    with pytest.raises(nn.LayerError, match=r"expected input of shape \(batch, 4\)"):
        nn.Linear(4, 1).summary((5,))


@pytest.mark.parametrize("shape", [(0, 28), (-1,), (2.0, 2), "28x28", 0])
def test_summary_needs_lengths_of_at_least_one(shape):
    with pytest.raises(ValueError, match="whole numbers of at least 1, such as .* received"):
        nn.Flatten().summary(shape)
