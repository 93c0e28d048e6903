"""Initial weights: which ones learn, which never do, and which explode.

One net of four hidden ReLU layers learns to read digits from nine kinds of initial
weights, by ten epochs of plain gradient descent each.

See that zeros learn nothing but how frequent each digit is: no gradient passes a layer
of zeros. With one constant all units of a layer get the same gradient, and stay copies of
one unit. Large weights explode, and the message names the step and the layer; uniform on
[-1, 1] comes close to it. Weights that keep the size of signals (Glorot, LeCun, He,
orthogonal) learn from the first step; He's are made for ReLU.

    python examples/initializations.py --plot initializations.png
"""

import textwrap

import numpy as np
from show import show

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.nn.initializers import constant, orthogonal, uniform
from pellucid.train.datasets import load_digits

KINDS = {  # initial weights, initial biases
    "zeros": ("zeros", "zeros"),
    "constant 0.05": (constant(0.05), "zeros"),
    "large": ("large", "zeros"),
    "uniform on [-1, 1]": (uniform(-1, 1), "zeros"),
    "Glorot": ("glorot_uniform", "zeros"),
    "LeCun": ("lecun_uniform", "zeros"),
    "orthogonal": (orthogonal(), "zeros"),
    "He": ("he_uniform", "zeros"),
    "He, biases of 0.1": ("he_uniform", "small_positive"),
}


def trained(weight_init, bias_init):
    """Loss of each epoch, test accuracy, how many units of the second layer differ, failure."""
    pe.random.set_seed(0)
    shapes = [(64, 32), (32, 32), (32, 32), (32, 32), (32, 10)]
    layers = [nn.Linear(*shape, weight_init=weight_init, bias_init=bias_init) for shape in shapes]
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]
    digits, failure = load_digits(), ""
    try:
        run = pe.fit(model, digits.X, digits.y, optimizer=optim.sgd(0.1), epochs=10)
    except train.TrainingDiverged as error:
        run, failure = error.run, str(error)
    accuracy = pe.evaluate(model, digits.X_test, digits.y_test)["accuracy"]
    units = np.unique(layers[1].weight.numpy(), axis=1).shape[1]
    return run.history["loss"], accuracy, units, failure


def measure():
    return {name: trained(*kind) for name, kind in KINDS.items()}


def report(rows):
    lines = ["initial weights      loss of epoch 1      10   test accuracy   units that differ"]
    for name, (loss, accuracy, units, failure) in rows.items():
        ends = "              explodes" if failure else f"{loss[0]:14.3f}{loss[-1]:8.3f}"
        lines.append(f"{name:22}{ends}{accuracy:16.3f}{units:14} of 32")
    failures = [f"{name}: {row[3]}" for name, row in rows.items() if row[3]]
    return "\n".join(lines + [textwrap.fill(each, 86) for each in failures])


def draw(figure, rows):
    figure.set_size_inches(7, 4)
    axes = figure.subplots()
    for name, (loss, _, _, failure) in rows.items():
        axes.semilogy(
            range(1, len(loss) + 1), loss, "o-", label=name + " (explodes)" * bool(failure)
        )
    axes.set(title="digits: loss of each epoch", xlabel="epoch")
    figure.legend(loc="outside right upper")


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
