"""A model file that asks for more than it holds."""

import json

import numpy as np
import pytest

from pellucid import io, nn
from pellucid.files import safetensors


def rewrite(path, arrays, metadata):
    path.write_bytes(b"".join(bytes(part) for part in safetensors.encode(arrays, metadata)))


@pytest.mark.parametrize(
    ("layer", "argument"),
    [
        (lambda: nn.Linear(2, 3), '"in_features": 2'),
        (lambda: nn.BatchNorm(2), '"features": 2'),
        (lambda: nn.LayerNorm(2), '"features": 2'),
        (lambda: nn.PReLU(2), '"features": 2'),
    ],
)
def test_an_architecture_larger_than_its_file_takes_no_memory(tmp_path, layer, argument):
    path = tmp_path / "model.safetensors"
    io.save(nn.Sequential(layer()), path)
    arrays, metadata = safetensors.read(path)
    described = json.loads(metadata["architecture"])
    text = json.dumps(described).replace(argument, argument[:-1] + "1000000000000")
    assert text != json.dumps(described)
    rewrite(path, arrays, {**metadata, "architecture": text})
    with pytest.raises(io.ModelFileError, match="larger than the values"):
        io.load(path)


def test_a_file_with_fewer_values_than_its_model_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    io.save(nn.Sequential(nn.Linear(2, 3)), path)
    arrays, metadata = safetensors.read(path)
    arrays = {k: v for k, v in arrays.items() if v.ndim == 1} | {"x": np.zeros(100, np.float32)}
    rewrite(path, arrays, metadata)
    with pytest.raises(io.ModelFileError):
        io.load(path)
