"""Paths of the optimizers: six ways down the same narrow valley.

L(x, y) = x^2 / 50 + y^2 is fifty times steeper across than along. All start at (-9, 2.5)
and take 60 steps, each with a learning rate that suits it.

See that plain descent bounces off the walls and creeps along the bottom: no rate is good
for both. Momentum gathers speed on the bottom and sways; Nesterov's look ahead calms it.
Adagrad, RMSprop and Adam divide each coordinate by the size of its own gradients, so that
the valley is as good as round: they start on the diagonal. Adagrad's steps soon get small.

    python examples/optimizers_path.py --plot optimizers_path.png
"""

import numpy as np
from show import GRAY, show

import pellucid as pe
from pellucid import optim

RULES = {
    "gradient descent": optim.sgd(0.85),
    "momentum": optim.momentum(0.15, gamma=0.9),
    "Nesterov": optim.nesterov(0.15, gamma=0.9),
    "Adagrad": optim.adagrad(1.0),
    "RMSprop": optim.rmsprop(0.2),
    "Adam": optim.adam(0.5),
}
START, STEPS = (-9.0, 2.5), 60


def valley(x, y):
    return x**2 / 50 + y**2


def path(rule):
    """Where each step leads (steps + 1, 2)."""
    place = {"xy": pe.parameter(START)}
    state, points = rule.init(place), [START]
    slope = pe.grad(lambda xy: valley(xy[0], xy[1]))
    for step in range(STEPS):
        updates, state = rule.update({"xy": slope(place["xy"])}, state, place, step)
        optim.apply_updates(place, updates)
        points.append(place["xy"].numpy().copy())
    return np.array(points)


def measure():
    return {name: path(rule) for name, rule in RULES.items()}


def report(paths):
    shown = (0, 5, 10, 20, 40, STEPS)
    lines = [f"{'L after step':18}" + "".join(f"{step:10}" for step in shown)]
    for name, points in paths.items():
        lines.append(f"{name:18}" + "".join(f"{valley(*points[step]):10.4f}" for step in shown))
    return "\n".join(lines)


def draw(figure, paths):
    figure.set_size_inches(9, 4)
    x, y = np.meshgrid(np.linspace(-10, 5, 100), np.linspace(-3, 3, 100))
    for axes, (name, points) in zip(figure.subplots(2, 3).flat, paths.items(), strict=True):
        axes.contour(x, y, valley(x, y), np.geomspace(0.01, 9, 10), colors=GRAY, linewidths=0.5)
        axes.plot(*points.T, ".-")
        axes.plot(0, 0, "+", color="black")
        axes.set(title=f"{name}: L = {valley(*points[-1]):.1e}", xlim=(-10, 5), ylim=(-3, 3))


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
