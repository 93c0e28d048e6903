"""Learning rates: too small is slow, too large diverges, and what is right lies between.

Plain gradient descent, w <- w - c dL/dw, with one learning rate c after another: first in
the simplest valley, L = w^2 / 2, where a step makes (1 - c) w of w, then for a net that
learns to read digits, always from the same weights and in the same order of examples.

See that c = 1 leaps to the bottom of the valley at once, a smaller c creeps there, one
between 1 and 2 swings from side to side, and one above 2 climbs out. The net learns faster
and faster with c, up to a point: then it is thrown so far that its ReLU units are dead.

    python examples/learning_rates.py --plot learning_rates.png
"""

from show import show

import pellucid as pe
from pellucid import nn, optim
from pellucid.train.datasets import load_digits

VALLEY_RATES = (0.01, 0.1, 1.0, 1.9, 2.1)
DIGITS_RATES = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
EPOCHS = 20


def valley(rate):
    """w after each step, from w = 1: a unit without bias that should answer 0 to 1."""
    model = nn.Linear(1, 1, bias=False, weight_init=nn.initializers.constant(1.0))
    path = []
    pe.fit(
        model,
        [[1.0]],
        [[0.0]],
        loss="squared_error",
        optimizer=optim.sgd(rate),
        epochs=EPOCHS,
        callbacks=[lambda run: path.append(model.weight.item())],
    )
    return path


def digits(rate):
    """The loss of each epoch."""
    pe.random.set_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    data = load_digits()
    run = pe.fit(model, data.X, data.y, optimizer=optim.sgd(rate), epochs=EPOCHS)
    return list(run.history["loss"])


def measure():
    return {c: valley(c) for c in VALLEY_RATES}, {c: digits(c) for c in DIGITS_RATES}


def report(found):
    lines = []
    for title, rows in zip(("valley: w after step", "digits: loss of epoch"), found, strict=True):
        steps = (1, 2, 5, 10, EPOCHS)
        lines.append(f"{title:24}" + "".join(f"{step:9}" for step in steps))
        for c, row in rows.items():
            values = (row[step - 1] for step in steps)
            lines.append(f"  c = {c:<18g}" + "".join(f"{v:9.4f}" for v in values))
    return "\n".join(lines)


def draw(figure, found):
    figure.set_size_inches(8.5, 3.4)
    left, right = figure.subplots(1, 2)
    for c, path in found[0].items():
        left.plot([1.0, *path], ".-", label=f"c = {c:g}")
    for c, loss in found[1].items():
        right.semilogy(range(1, EPOCHS + 1), loss, ".-", label=f"c = {c:g}")
    left.set(title="valley: w after each step", xlabel="step", ylim=(-4, 4), xticks=range(0, 21, 5))
    right.set(title="digits: loss of each epoch", xlabel="epoch", xticks=range(0, 21, 5))
    left.legend(ncols=2)
    right.legend()


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
