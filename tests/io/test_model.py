"""A model file holds the model, nothing that runs, and is refused when it is not what it claims."""

from __future__ import annotations

import contextlib
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pe
from pellucid import io, nn, train
from pellucid.files import safetensors
from pellucid.io import ModelFileError


class Double(nn.Module):
    def __init__(self, features):
        self.factor = pe.parameter([2.0] * features)
        self.seen = nn.state(np.zeros(features, np.float32))

    def forward(self, x):
        return x * self.factor


def network():
    pe.random.set_seed(5)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(6, 4), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(4, 3)
    )


def test_a_model_is_read_as_it_was_written(tmp_path):
    model, path = network(), tmp_path / "model.safetensors"
    io.save(model, path)
    twin = io.load(path)
    assert repr(twin) == repr(model)
    for name, value in model.state_dict().items():
        assert twin.state_dict()[name].tobytes() == value.tobytes()
    X = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    train.fit(twin, X, [0, 1, 2, 0, 1], epochs=1)


def test_what_belongs_to_it_comes_back(tmp_path):
    extra = {"labels": ["a", "ü"], "mean": [0.1, 1e-300], "nested": {"n": None}}
    io.save(network(), tmp_path / "m", extra)
    assert io.read_model(tmp_path / "m")[1] == extra


def test_float64_and_state_are_kept(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), Double(2)).astype(np.float64)
    io.save(model, tmp_path / "m")
    assert io.load(tmp_path / "m", layers=[Double]).state_dict().keys() == model.state_dict().keys()
    twin = io.load(tmp_path / "m", layers=[Double])
    np.testing.assert_array_equal(twin.predict([[1.0, 2.0]]), model.predict([[1.0, 2.0]]))
    assert twin.predict([[1.0, 2.0]]).dtype == np.float64


def test_a_layer_of_the_users_own_must_be_brought_along(tmp_path):
    io.save(nn.Sequential(Double(2)), tmp_path / "m")
    with pytest.raises(ModelFileError, match="Double.*layers="):
        io.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "pt"}, "another program: expected format 'pellucid'"),
        ({"format": None}, "another program"),
        ({"version": "2"}, "has version '2' of the format, this release reads up to 1"),
        ({"version": "one"}, "version 'one'"),
        ({"version": "0"}, "version '0'"),
        ({"version": "9" * 5000}, "version"),
        ({"architecture": None}, "its architecture cannot be read"),
        ({"architecture": "{"}, "its architecture cannot be read"),
        ({"architecture": "[" * 100_000}, "its architecture cannot be read"),
        ({"architecture": '{"layer":"os.system","arguments":{}}'}, "os.system"),
        ({"architecture": "3"}, "does not hold the model it describes"),
        ({"extra": "[]"}, "is no object"),
        ({"extra": "x"}, "its extra cannot be read"),
    ],
)
def test_foreign_and_damaged_files_are_refused(tmp_path, change, message):
    io.save(network(), tmp_path / "m")
    arrays, metadata = safetensors.read(tmp_path / "m")
    changed = {k: v for k, v in (metadata | change).items() if v is not None}
    (tmp_path / "m").write_bytes(b"".join(safetensors.encode(arrays, changed)))
    with pytest.raises(ModelFileError, match=message):
        io.load(tmp_path / "m")


@pytest.mark.parametrize("change", ["less", "more", "shape", "kind"])
def test_values_that_do_not_fit_the_architecture_are_refused(tmp_path, change):
    io.save(network(), tmp_path / "m")
    arrays, metadata = safetensors.read(tmp_path / "m")
    name = "layers.1.bias"
    if change == "less":
        del arrays[name]
    elif change == "more":
        arrays["other"] = arrays[name]
    elif change == "shape":
        arrays[name] = arrays[name][:-1]
    else:
        arrays[name] = arrays[name].astype(np.int32) > 0
    (tmp_path / "m").write_bytes(b"".join(safetensors.encode(arrays, metadata)))
    with pytest.raises(ModelFileError, match="does not hold the model it describes"):
        io.load(tmp_path / "m")


@settings(max_examples=60)
@given(st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5)
    | st.sampled_from(["Linear", "Sequential", "ReLU", "Dropout", "relu", "tuple"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["layer", "arguments", "layers", "in_features", "tuple", "function", "p"]),
        inner, max_size=3,
    ),
    max_leaves=12,
))  # fmt: skip
def test_any_architecture_gives_a_model_or_a_clear_error(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("fuzz") / "m"
    metadata = {
        "format": "pellucid", "version": "1", "architecture": json.dumps(tree), "extra": "{}",
    }  # fmt: skip
    path.write_bytes(b"".join(safetensors.encode({}, metadata)))
    with contextlib.suppress(ModelFileError):
        assert isinstance(io.load(path), nn.Module)


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path = tmp_path / "m"
    io.save(network(), path)
    before = path.read_bytes()
    unnamed = nn.Sequential(nn.Linear(2, 2), nn.Activation(lambda x: x * 2))
    with pytest.raises(TypeError, match="cannot be saved"):
        io.save(unnamed, path)
    with pytest.raises(ModelFileError, match="extra cannot be stored as JSON"):
        io.save(network(), path, {"a": object()})
    with pytest.raises(ModelFileError, match="extra cannot be stored as JSON"):
        io.save(network(), path, {"a": float("nan")})
    with pytest.raises(TypeError, match="expected a model"):
        io.save({"weight": 1}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    for path in (tmp_path / "absent" / "m", tmp_path):
        with pytest.raises(ModelFileError, match="cannot write"):
            io.save(network(), path)


def test_the_safetensors_package_reads_a_model(tmp_path):
    package = pytest.importorskip("safetensors")
    model = network()
    io.save(model, tmp_path / "m")
    with package.safe_open(tmp_path / "m", framework="numpy") as file:
        assert file.metadata()["format"] == "pellucid"
        assert set(file.keys()) == set(model.state_dict())
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(file.get_tensor(name), value)
