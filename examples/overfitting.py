"""Overfitting and its cures: a net that learns the noise, and seven ways to prevent it.

80 noisy points of two moons, far too few for a net of two hidden layers of 64 units. It
is measured on 2000 points that it has not seen; nobody can be right about all of them.

See that the plain net is right about nearly every point it learned from, noise included:
it stretches a tongue to single points, and is so sure of itself that its loss on new
points is far above all others'. Each cure is less right in training and more right where
it counts, and most of all less sure. L1 makes nearly all weights exactly zero.

    python examples/overfitting.py --plot overfitting.png
"""

import numpy as np
from show import BLUE, ORANGE, regions, show
from sklearn.datasets import make_moons

import pellucid as pe
from pellucid import nn, optim

FEW = make_moons(80, noise=0.35, random_state=0)
MORE = make_moons(800, noise=0.35, random_state=2)
NEW = make_moons(2000, noise=0.35, random_state=100)
ADAM = optim.adam(0.01)
RELU, NORM, DROPOUT = nn.ReLU, lambda: nn.BatchNorm(64), lambda: nn.Dropout(0.5)

CURES = {  # layers before the first, layers after it and after the second, options of fit
    "plain": ([], [RELU], {}),
    "L2": ([], [RELU], {"optimizer": optim.chain(optim.l2(0.01), ADAM)}),
    "L1": ([], [RELU], {"optimizer": optim.chain(ADAM, optim.l1(0.3))}),
    "dropout": ([], [RELU, DROPOUT], {}),
    "early stopping": ([], [RELU], {"validation": 0.3, "early_stopping": 20}),
    "batch norm": ([], [NORM, RELU], {}),
    "noise": ([nn.GaussianNoise(0.3)], [RELU], {}),
    "more data": ([], [RELU], {}),
}


def trained(name):
    """The net, what it learned from, its figures there and on new points, share of zeros."""
    before, after, options = CURES[name]
    pe.random.set_seed(0)
    layers = [part for n in (2, 64) for part in (nn.Linear(n, 64), *(make() for make in after))]
    model = nn.Sequential(*before, *layers, nn.Linear(64, 2))
    x, y = MORE if name == "more data" else FEW
    pe.fit(model, x, y, **{"optimizer": ADAM, "epochs": 300, "batch_size": 20} | options)
    zeros = np.mean([v for t in model.state_dict().values() for v in t.ravel() == 0])
    return model, (x, y), pe.evaluate(model, x, y), pe.evaluate(model, *NEW), zeros


def measure():
    return {name: trained(name) for name in CURES}


def report(rows):
    lines = [f"{'':16}accuracy: training   new   loss: training    new   zeros"]
    for name, (_, _, old, new, zeros) in rows.items():
        accuracies = f"{old['accuracy']:18.3f}{new['accuracy']:6.3f}"
        lines.append(f"{name:16}{accuracies}{old['loss']:17.3f}{new['loss']:7.3f}{zeros:8.0%}")
    return "\n".join(lines)


def draw(figure, rows):
    figure.set_size_inches(9, 4.4)
    figure.suptitle("how many new points the net is right about")
    for axes, (name, row) in zip(figure.subplots(2, 4).flat, rows.items(), strict=True):
        regions(axes, nn.Sequential(*row[0], pe.softmax), -2, 3)
        axes.scatter(*row[1][0].T, s=6, c=[(BLUE, ORANGE)[y] for y in row[1][1]])
        axes.set(title=f"{name}: {row[3]['accuracy']:.1%}", xticks=[], yticks=[], ylim=(-1.6, 2.2))


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
