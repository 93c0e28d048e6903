"""Every initializer: its distribution, its bits, its text."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import statistics

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn
from pellucid.core import portable
from pellucid.nn.initializers import Stream, fans, initial, named

from .samples import INITIALIZERS

SHAPE = (300, 200)

# The first bytes of the SHA-256 of a (7, 5) parameter from seed 3: the same on every machine.
HASHES = {
    "zeros": "24045c10c12a89f4",
    "constant": "13437e8008ac9cec",
    "uniform": "5ce918f1a8087d47",
    "normal": "adcfc3eaa5cdec37",
    "glorot_uniform": "3e1e3d918338ed91",
    "glorot_normal": "f662fd438b83fa07",
    "he_uniform": "1aa70c192acbde72",
    "lecun_uniform": "d4f68a8b27407c63",
    "lecun_normal": "be742a2716d8ac5c",
    "orthogonal": "7694897f32cf3971",
    "large": "8c2696d832cc301c",
    "small_positive": "d56d8e0431d0b764",
    "he_normal": "cb8fa5a0bd64c539",
}

# Mean, standard deviation and greatest size for that shape.
EXPECTED = {
    "zeros": (0, 0, 0),
    "constant": (0.25, 0, 0.25),
    "uniform": (0.75, 2.5 / math.sqrt(12), 2.0),
    "normal": (0, 0.1, 0.55),
    "glorot_uniform": (0, math.sqrt(2 / 500), math.sqrt(6 / 500)),
    "glorot_normal": (0, math.sqrt(2 / 500), 5.5 * math.sqrt(2 / 500)),
    "he_uniform": (0, math.sqrt(2 / 300), math.sqrt(6 / 300)),
    "lecun_uniform": (0, math.sqrt(1 / 300), math.sqrt(3 / 300)),
    "lecun_normal": (0, math.sqrt(1 / 300), 5.5 * math.sqrt(1 / 300)),
    "orthogonal": (0, 0.5 * math.sqrt(1 / 300), 0.5 * 5.5 * math.sqrt(1 / 300)),
    "large": (0, 10, 55),
    "small_positive": (0.1, 0, 0.1),
    "he_normal": (0, math.sqrt(2 / 300), 5.5 * math.sqrt(2 / 300)),
}


def test_every_initializer_has_a_row():
    assert set(INITIALIZERS) == set(nn.INITIALIZERS) == set(EXPECTED) == set(HASHES)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_distribution(name: str):
    pe.random.set_seed(0)
    drawn = initial(named(name, **INITIALIZERS[name]), SHAPE)
    mean, std, greatest = EXPECTED[name]
    assert drawn.dtype == np.float32
    assert drawn.shape == SHAPE
    assert abs(drawn.mean() - mean) <= 4 * std / math.sqrt(drawn.size) + 1e-7
    assert abs(drawn.std() - std) <= 0.01 * std + 1e-7
    assert abs(drawn).max() <= greatest * (1 + 1e-6)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (0, 4), (3, 0), (2, 3, 4)])
def test_shapes(name: str, shape: tuple[int, ...]):
    assert initial(named(name, **INITIALIZERS[name]), shape).shape == shape


@pytest.mark.parametrize("name", INITIALIZERS)
def test_bits_are_those_of_every_machine(name: str):
    pe.random.set_seed(3)
    drawn = initial(named(name, **INITIALIZERS[name]), (7, 5))
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == HASHES[name]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_text_description_and_pickle(name: str):
    made = named(name, **INITIALIZERS[name])
    description = json.loads(json.dumps(made.description()))
    assert description == {"initializer": name, "arguments": INITIALIZERS[name]}
    assert repr(made).startswith(name)
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    layer = nn.Linear(3, 2, weight_init=made)
    assert repr(nn.build(layer.architecture())) == repr(layer)


def test_seed_decides_and_each_parameter_has_its_own_stream():
    def weights(seed: int) -> dict[str, np.ndarray]:
        pe.random.set_seed(seed)
        return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).state_dict()

    one, again, other = weights(1), weights(1), weights(2)
    assert all((one[k] == again[k]).all() for k in one)
    assert (one["layers.0.weight"] != other["layers.0.weight"]).all()
    assert (one["layers.0.weight"] != one["layers.1.weight"]).all()


def test_draws_of_one_stream_differ():
    rng = Stream(np.array([1, 2], np.uint32), 0)
    assert (rng.uniform((8,)) != rng.uniform((8,))).all()


def test_a_function_or_a_name_will_do():
    layer = nn.Linear(2, 3, weight_init=lambda shape, rng: np.ones(shape), bias_init="he_normal")
    assert (layer.weight.numpy() == 1).all()
    with pytest.raises(ValueError, match=r"gave shape \(2,\), expected \(2, 3\)"):
        nn.Linear(2, 3, weight_init=lambda shape, rng: np.ones(2))
    with pytest.raises(ValueError, match="no initializer is named 'kaiming'; there are constant"):
        nn.Linear(2, 3, weight_init="kaiming")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nn.initializers.constant(math.nan), "value must be finite"),
        (lambda: nn.initializers.normal(-1), "std must not be negative"),
        (lambda: nn.initializers.uniform(1, 0), "low <= high"),
        (lambda: nn.initializers.constant("1"), "value must be a number"),
    ],
)
def test_options_are_checked(make, error):
    with pytest.raises((ValueError, TypeError), match=error):
        make()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((5,), (5, 5)), ((3, 4), (3, 4)), ((5, 5, 3, 8), (75, 200)), ((0, 3), (1, 3))],
)
def test_fans(shape, expected):
    assert fans(shape) == expected


def test_portable_logarithm_and_normal_quantile():
    x = np.concatenate([np.random.default_rng(0).random(2000), [1.0, 1e-300, 5e-324, 1e300, 0.7]])
    np.testing.assert_allclose(portable.log(x), np.log(x), rtol=4e-16)
    p = np.concatenate([x[:500], [1e-300, 1e-20, 2**-33, 0.5, 1 - 2**-33, 0.075, 0.925]])
    exact = [statistics.NormalDist().inv_cdf(v) for v in p]
    np.testing.assert_allclose(portable.normal_quantile(p), exact, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("shape", [(7, 7), (9, 4), (4, 9), (2, 3, 4), (1, 5), (5,)])
def test_orthogonal_matrices_are_orthogonal(shape):
    pe.random.set_seed(1)
    drawn = initial(nn.initializers.orthogonal(2.0), shape)
    matrix = drawn.reshape(-1, shape[-1] if len(shape) > 1 else 1).astype(np.float64)
    small = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=2e-6)
