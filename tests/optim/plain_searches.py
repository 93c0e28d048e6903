"""The searches in plain NumPy, with loops and `if`: what the traced ones must do.

Each takes `f(x) -> (value, gradient)` and yields, after every evaluation, the best point and
the loss there.
"""

from __future__ import annotations

import math

import numpy as np


def backtracking(f, x, learning_rate=1.0, shrink=0.5, grow=2.0, decrease=1e-4):
    value, g = f(x)
    yield x, value
    eta = learning_rate
    while True:
        trial = x - eta * g
        found, slope = f(trial)
        if math.isfinite(found) and value > found <= value - decrease * eta * (g @ g):
            x, value, g, eta = trial, found, slope, eta * grow
        else:
            eta *= shrink
        yield x, value


def lbfgs(f, x, learning_rate=1.0, history=10):
    value, g = f(x)
    yield x, value
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    scale = learning_rate / math.sqrt(g @ g)
    while True:
        p = -two_loops(g, pairs, scale)
        if not p @ g < 0:
            p, pairs = -scale * g, []
        found = None
        for trial, loss, slope, good in line(f, x, value, p, p @ g):
            if good:
                found = trial, loss, slope
            else:
                yield x, value
        if found is None:
            pairs = []
            continue
        s, y = found[0] - x, found[2] - g
        if s @ y > np.finfo(x.dtype).eps * abs(s @ g):
            pairs, scale = [*pairs, (s, y)][-history:], (s @ y) / (y @ y)
        x, value, g = found
        yield x, value


def two_loops(q, pairs, scale):
    shares = []
    for s, y in reversed(pairs):
        shares.append((s @ q) / (s @ y))
        q = q - shares[-1] * y
    q = scale * q
    for s, y in pairs:
        q = q + (shares.pop() - (y @ q) / (s @ y)) * s
    return q


def line(f, x, f0, p, d0, tries=20):
    """Evaluations along a line, the last one good unless all fail."""
    noise = 8 * np.finfo(x.dtype).eps * abs(f0)
    a, low, high = 1.0, (0.0, f0, d0), None
    for attempt in range(tries + 1):
        trial = x + a * p
        fa, g = f(trial)
        d = g @ p
        lower = fa <= f0 + 1e-4 * a * d0
        good = lower and abs(d) <= -0.9 * d0
        good = good or (abs(fa - f0) <= noise and 0.9 * d0 <= d <= (2e-4 - 1) * d0)
        good = good or (attempt == tries and fa < f0)
        good = good and math.isfinite(fa) and np.isfinite(g).all()
        yield trial, fa, g, good
        if good or (trial == x).all():
            return
        if not lower or not d <= 0:
            high = (a, fa, d)
        else:
            before, low = low[:1] + low[2:], (a, fa, d)
        if attempt + 1 == tries and low[0] > 0:
            a = low[0]
        elif high is None:
            a = beyond(a, d, *before)
        else:
            a = between(*low, *high)


def beyond(a, d, before, d_before):
    gone = a - before
    level = a - d * gone / (d - d_before) if d != d_before else math.inf
    level = level if level > a else math.inf
    return min(max(level, a + 1.1 * gone), a + 4 * gone)


def between(a, fa, da, b, fb, db):
    if not (math.isfinite(fb) and math.isfinite(db)):
        return a + 0.1 * (b - a)
    turn = da + db - 3 * (fb - fa) / (b - a)
    if turn * turn < da * db:
        return a + 0.5 * (b - a)
    root = math.sqrt(turn * turn - da * db)
    least = b - (b - a) * (db + root - turn) / (db - da + 2 * root)
    return min(max(least, a + 0.1 * (b - a)), a + 0.9 * (b - a))
