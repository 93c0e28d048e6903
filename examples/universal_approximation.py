"""Universal approximation: one hidden layer fits any curve, if it is wide enough.

A net of one input, one hidden layer of tanh units and one linear output learns a sine, a
step and a bump from 200 points each. A hidden unit is a soft step, as steep as its weight
and where its bias puts it (spread evenly at the start); the output layer adds them up.

See that the error falls as the layer gets wider: fast where the curve is smooth, slowly
at the step, which has a jump that no sum of soft steps can have.

    python examples/universal_approximation.py --plot universal_approximation.png
"""

import numpy as np
from show import GRAY, show

import pellucid as pe
from pellucid import nn, optim
from pellucid.nn.initializers import constant

X = np.linspace(-3, 3, 200)[:, None]
TARGETS = {"sine": np.sin(2 * X), "step": 1.0 * (X > 0.5), "bump": np.exp(-4 * X**2)}
WIDTHS = (2, 6, 20, 64)
STEPS = 3000
SLOPE = 2.0


def spread(shape, rng):
    """Biases that put the middles of the soft steps at equal distances."""
    return -SLOPE * np.linspace(-3, 3, shape[0] + 2)[1:-1]


def fitted(width, y):
    pe.random.set_seed(0)
    hidden = nn.Linear(1, width, weight_init=constant(SLOPE), bias_init=spread)
    model = nn.Sequential(hidden, nn.Tanh(), nn.Linear(width, 1))
    rule = optim.adam(optim.cosine(0.03, steps=STEPS))
    pe.fit(model, X, y, loss="mse", optimizer=rule, epochs=STEPS, batch_size=len(X))
    return model.predict(X)


def measure():
    return {name: {width: fitted(width, y) for width in WIDTHS} for name, y in TARGETS.items()}


def error(name, curve):
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((curve - TARGETS[name]) ** 2)))


def report(curves):
    lines = ["error of" + "".join(f"{width:5} units" for width in WIDTHS)]
    for name, of_width in curves.items():
        lines.append(f"{name:8}" + "".join(f"{error(name, c):11.4f}" for c in of_width.values()))
    return "\n".join(lines)


def draw(figure, curves):
    figure.set_size_inches(9, 3)
    for axes, (name, of_width) in zip(figure.subplots(1, 3), curves.items(), strict=True):
        axes.plot(X, TARGETS[name], color=GRAY, linewidth=6, alpha=0.4, label="target")
        for width in (2, 6, 64):
            axes.plot(X, of_width[width], label=f"{width} units")
        low = -1.2 if name == "sine" else -0.2
        axes.set(title=name, xlabel="x", ylim=(low, 1.6))
        axes.legend(ncols=2, fontsize="small")


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
