"""Which convolutions go in tiles: of every size of kernel only such as tiles can be made of."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import convolve, host, pipeline
from pellucid.core import winograd
from pellucid.core.convolution import Geometry
from pellucid.core.node import placeholder
from tests.programs import reference, run, trace

from .test_convolutions import with_gradients


@pytest.mark.parametrize("down", range(1, 13))
def test_pieces_are_such_that_tiles_can_be_made_of_them(down):
    plain, count = Geometry(*((v,) * 2 for v in (1, 0, 0, 0, 1))), 0
    for across in range(1, 13):
        for places in [(8, 12), (7, 30), (1, 60), (60, 1), (11, 13), (0, 8), (20, 20)]:
            for channels in (16, 128):
                size = (down, across)
                pieces = convolve._pieces((2, *places, 64), channels, size, plain)
                assert not pieces or (pieces[0].start, pieces[-1].stop) == (0, across)
                for piece in pieces:
                    part = down, piece.stop - piece.start
                    seen = (n + k - 1 for n, k in zip(places, part, strict=True))
                    x = placeholder((2, *seen, channels), np.dtype(np.float32))
                    assert max(winograd.sees(piece.places, part)) <= (6 if min(part) > 1 else 8)
                    winograd._fits(x, places, piece.places, part)
                    count += 1
    assert (count > 0) == (down in (1, 3, 4, 5, 6, 7))


@pytest.mark.parametrize("size", [(3, 2), (2, 3), (9, 3), (2, 2), (5, 2), (7, 3), (3, 12), (5, 5)])
def test_kernels_of_every_size_agree_with_the_reference(size):
    x = np.random.default_rng(0).standard_normal((2, 18, 20, 16))
    w = np.random.default_rng(1).standard_normal((*size, 16, 32))
    geometry = Geometry((1, 1), (1, 1), (0, 1), (0, 0), (1, 1))
    c = trace(partial(with_gradients, geometry), x, w)
    for found, right in zip(run(c, [x, w]), reference(c, [x, w]), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-11, atol=1e-11)


def test_code_does_not_grow_with_what_is_asked_for_ahead():
    def lines(length):
        x, w = np.ones((2, length, 32), np.float32), np.ones((3, 32, 32), np.float32)
        c = trace(lambda x, w: pe.relu(pe.conv(x, w)), x, w)
        text = pipeline.to_text(c, host.current())[1]
        assert "prefetch" in text
        return text.count("\n")

    assert lines(6002) < lines(62) + 20
