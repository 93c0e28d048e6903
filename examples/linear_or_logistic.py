"""Linear or logistic: what one far point does to the boundary between two classes.

Both fit w x + b to points on a line, class 0 on the left and class 1 on the right.
Linear regression makes the squared error small, and says class 1 above 0.5; logistic
regression makes the log loss of sigmoid(w x + b) small, and says class 1 above 0.5, too.
Then a point of class 1 is added far to the right, where nobody doubts its class.

See that the straight line must tilt to pass near it: the boundary moves, and a point more
is on the wrong side. The sigmoid is close to 1 out there anyway, and does not move.

    python examples/linear_or_logistic.py --plot linear_or_logistic.png
"""

import numpy as np
from show import BLUE, GRAY, ORANGE, RED, show

import pellucid as pe
from pellucid import nn, optim

X = np.array([1, 2, 3, 4, 6, 4.5, 5.2, 5.5, 7, 8])
Y = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
FAR = 40.0
LOSSES = {"linear": ("mse", 0.5), "logistic": ("binary_cross_entropy_with_logits", 0.0)}


def fitted(loss, x, y):
    """Slope and bias, after gradient descent on all points at once."""
    model = nn.Linear(1, 1, weight_init="zeros").astype(np.float64)
    rule = optim.adam(optim.cosine(0.05, steps=4000))
    pe.fit(model, x[:, None], y, loss=loss, optimizer=rule, epochs=4000)
    return model.weight.item(), model.bias.item()


def measure():
    rows = {}
    for name, (loss, level) in LOSSES.items():
        for far in (False, True):
            x, y = (np.append(X, FAR), np.append(Y, 1)) if far else (X, Y)
            w, b = fitted(loss, x, y)
            wrong = int(np.sum((w * x + b > level) != y))
            rows[name, far] = {"w": w, "b": b, "boundary": (level - b) / w, "mistakes": wrong}
    return rows


def report(rows):
    lines = [f"{'':10}{'far point':12}{'w':>8}{'b':>9}{'boundary':>10}{'mistakes':>10}"]
    for (name, far), row in rows.items():
        cells = f"{row['w']:8.3f}{row['b']:9.3f}{row['boundary']:10.2f}{row['mistakes']:10}"
        lines.append(f"{name:10}{'with' if far else 'without':12}{cells}")
    for name in LOSSES:
        moved = rows[name, True]["boundary"] - rows[name, False]["boundary"]
        lines.append(f"the {name} boundary moved by {moved:+.2f}")
    return "\n".join(lines)


def draw(figure, rows):
    figure.set_size_inches(8.5, 3.4)
    t = np.linspace(0, FAR + 1, 500)
    for axes, name in zip(figure.subplots(1, 2, sharey=True), LOSSES, strict=True):
        for far, color in ((False, GRAY), (True, RED)):
            row = rows[name, far]
            u = row["w"] * t + row["b"]
            u = u if name == "linear" else 1 / (1 + np.exp(-u))
            label = f"{'with' if far else 'without'} the far point: boundary {row['boundary']:.2f}"
            axes.plot(t, u, "--" if far else "-", color=color, label=label)
            axes.axvline(row["boundary"], linestyle="--" if far else "-", color=color, linewidth=1)
        axes.scatter(
            np.append(X, FAR), np.append(Y, 1), c=[*np.where(Y, ORANGE, BLUE), RED], zorder=3
        )
        axes.set(title=f"{name} regression", xlabel="x", ylim=(-0.3, 1.3))
        axes.legend(loc="lower right")


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
