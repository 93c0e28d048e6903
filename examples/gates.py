"""Logic gates: one threshold unit is NOT, AND, OR, A AND NOT B, and never XOR.

Each gate is made twice: with weights set by hand, and by the perceptron's rule
w <- w + (y - u) x, where y is the target, u the unit's answer and x = (1, A, B).

See that the rule ends after a few epochs for every gate but XOR. There it comes back to
weights that it had before, so it goes round for ever: no straight line parts (0, 1) and
(1, 0) from the other two. Two layers do it: "OR but not AND" by hand, or by gradients.

    python examples/gates.py --plot gates.png
"""

import numpy as np
from show import BLUE, ORANGE, regions, show

import pellucid as pe
from pellucid import nn, optim

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
GATES = {  # right answers in the order of the inputs; weights by hand: bias, of A, of B
    "NOT A": ("1100", [0.5, -1, 0]),
    "A AND B": ("0001", [-1.5, 1, 1]),
    "A OR B": ("0111", [-0.5, 1, 1]),
    "A AND NOT B": ("0010", [-0.5, 1, -1]),
    "A XOR B": ("0110", None),
}


def unit(w):
    model = nn.Sequential(nn.Linear(2, 1), nn.Step())
    model[0].load_state_dict({"weight": np.reshape(w[1:], (2, 1)), "bias": w[:1]})
    return model


def perceptron_rule(truth):
    """The unit at the end, and after how many epochs it made no mistake; None: never."""
    w, before, mistakes = np.zeros(3), [], 1
    while mistakes and tuple(w) not in before:
        before, mistakes = [*before, tuple(w)], 0
        for x, y in zip(np.insert(INPUTS, 0, 1, axis=1), map(int, truth), strict=True):
            u = int(w @ x > 0)
            w, mistakes = w + (y - u) * x, mistakes + (u != y)
    return unit(w), None if mistakes else len(before)


def measure():
    rows = {g: (truth, w and unit(w), *perceptron_rule(truth)) for g, (truth, w) in GATES.items()}
    by_hand = nn.Sequential(nn.Linear(2, 2), nn.Step(), *unit([-0.5, 1, -1]))
    by_hand[0].load_state_dict({"weight": [[1, 1], [1, 1]], "bias": [-0.5, -1.5]})

    pe.random.set_seed(0)
    layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    run = pe.fit(layers, INPUTS, [0, 1, 1, 0], optimizer=optim.adam(0.05), epochs=200)
    epoch = run.history["accuracy"].index(1.0) + 1
    return rows | {"XOR, two layers": ("0110", by_hand, nn.Sequential(*layers, pe.softmax), epoch)}


def answers(model):
    return "".join(f"{u:.0f}" for u in model.predict(INPUTS)[:, -1]) if model else "none"


def report(rows):
    lines = ["answers to 00 01 10 11  right  by hand  learned  first epoch without a mistake"]
    for name, (truth, by_hand, learned, epoch) in rows.items():
        found = f"{truth:7}{answers(by_hand):9}{answers(learned):9}"
        lines.append(f"{name:24}{found}{epoch or 'never: it goes round'}")
    return "\n".join(lines)


def draw(figure, rows):
    figure.set_size_inches(7.5, 5)
    for axes, (name, row) in zip(figure.subplots(2, 3).flat, rows.items(), strict=True):
        regions(axes, row[2], -0.4, 1.4)
        axes.scatter(*INPUTS.T, s=90, c=[(BLUE, ORANGE)[int(y)] for y in row[0]], ec="black")
        axes.set(title=name, xlabel="A", ylabel="B", xticks=[0, 1], yticks=[0, 1])


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
