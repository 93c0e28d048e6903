"""Random changes while training: what they may give, how often, and with which bits."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn
from tests.programs import bits, processor, run, same_processors, threads, trace

IMAGES = np.random.default_rng(0).uniform(1, 2, (400, 4, 5, 3)).astype(np.float32)


def shifted(x, a, b):
    """The image moved down by a and to the right by b, zeros following."""
    wide = np.pad(x, ((4, 4), (4, 4), (0, 0)))
    return wide[4 - a : 4 - a + x.shape[0], 4 - b : 4 - b + x.shape[1]]


def padded(x):
    """The image with a zero around it."""
    return np.pad(x, ((1, 1), (1, 1), (0, 0)))


def cut_out(x, i, j, height, width):
    """The image with zeros around the pixel (i, j)."""
    y = x.copy()
    top, left = i - height // 2, j - width // 2
    y[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 0
    return y


# Each layer, and all that it may make of an image.
LAYERS = {
    "flip": (nn.RandomFlip(), lambda x: [x, x[:, ::-1]]),
    "flip rarely": (nn.RandomFlip(0.25, axis=1), lambda x: [x[::-1], x, x, x]),
    "shift": (
        nn.RandomShift((1, 2)),
        lambda x: [shifted(x, a, b) for a in (-1, 0, 1) for b in (-2, -1, 0, 1, 2)],
    ),
    "crop": (
        nn.RandomCrop((3, 3)),
        lambda x: [x[i : i + 3, j : j + 3] for i in range(2) for j in range(3)],
    ),
    "crop of padded": (
        nn.RandomCrop(4, padding=1),
        lambda x: [padded(x)[i : i + 4, j : j + 4] for i in range(3) for j in range(4)],
    ),
    "cut out": (
        nn.Cutout((2, 3)),
        lambda x: [cut_out(x, i, j, 2, 3) for i in range(4) for j in range(5)],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_change_is_as_likely_as_any_other(name):
    layer, changes = LAYERS[name]
    pe.random.set_seed(3)
    with nn.training_mode():
        found = layer(IMAGES).numpy()
    counts: dict[int, int] = {}
    for before, after in zip(IMAGES, found, strict=True):
        every = changes(before)
        hits = [i for i, right in enumerate(every) if np.array_equal(right, after)]
        assert hits, "this is none of the possible changes"
        for i in hits:
            counts[i] = counts.get(i, 0) + 1
    assert set(counts) == set(range(len(every)))
    expected = len(IMAGES) / len(every)
    if name == "flip rarely":
        assert abs(counts[0] - 100) < 4 * (100 * 0.75) ** 0.5
    else:
        assert max(abs(n - expected) for n in counts.values()) < 4 * expected**0.5


@pytest.mark.parametrize("name", LAYERS)
def test_in_use_nothing_is_drawn(name):
    layer, _ = LAYERS[name]
    if isinstance(layer, nn.RandomCrop):
        assert (nn.RandomCrop((2, 3))(IMAGES).numpy() == IMAGES[:, 1:3, 1:4]).all()
    else:
        assert (layer(IMAGES).numpy() == IMAGES).all()


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_bits_on_any_number_of_threads(name):
    layer, _ = LAYERS[name]

    def change(x):
        pe.random.set_seed(5)
        with nn.training_mode():
            return layer(x)

    right = change(pe.tensor(IMAGES)).numpy()
    c = trace(change, IMAGES)
    found = {bits([right])}
    for cpu in same_processors():
        for count in (1, 2, 3):
            with processor(cpu), threads(count):
                found.add(bits(run(c, [IMAGES])))
    assert len(found) == 1


def test_steps_draw_anew_and_runs_repeat():
    changes = [nn.RandomShift(2), nn.RandomFlip(), nn.Cutout(2)]
    model = nn.Sequential(*changes, nn.Flatten(), nn.Linear(60, 2))
    first = model.state_dict()

    def trained(seed):
        model.load_state_dict(first)
        pe.fit(model, IMAGES, np.arange(400) % 2, epochs=2, seed=seed, shuffle=False)
        return bits(list(model.state_dict().values()))

    assert trained(0) == trained(0) != trained(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.RandomFlip(1.5), "p must be a probability from 0 to 1"),
        (lambda: nn.RandomFlip(axis=0), "not the batch's"),
        (lambda: nn.RandomFlip(axis=3)(np.ones((2, 3, 4))), "has no axis 3"),
        (lambda: nn.RandomShift(0), "most must be a whole number of at least 1"),
        (lambda: nn.RandomShift((1, 2))(np.ones((2, 3, 4))), "expected images"),
        (lambda: nn.RandomCrop(9)(IMAGES), "cannot cut a part of 9 x 9 out of images of 4 x 5"),
        (lambda: nn.RandomCrop(3, -1), "padding must be a whole number of at least 0"),
        (lambda: nn.Cutout(()), "size must be 1 to 3 whole numbers"),
        (lambda: nn.Cutout(2)(np.ones((3, 4))), "expected signals"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
