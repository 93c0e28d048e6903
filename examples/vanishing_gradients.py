"""Vanishing and exploding gradients: what is left of the gradient after many layers.

Backward through a layer, the gradient is multiplied by the weights and by g'(z). In a
chain of single neurons, h <- g(w h), what comes out is the product of all w g'(z): the
first table. The second table is for nets with the usual initial weights: the norm of the
gradient at the weights of the first layer, divided by that at the last.

See that sigmoid loses three quarters or more with each layer, as g' is at most 1/4. A
larger weight makes it worse: z gets large, where g' is small. tanh and ReLU hand the
gradient on, with the weights made for them. Too large a weight makes it explode.

    python examples/vanishing_gradients.py --plot vanishing_gradients.png
"""

import numpy as np
from show import show

import pellucid as pe
from pellucid import nn

DEPTHS = (2, 5, 10, 20, 30)
CHAINS = [(pe.sigmoid, 1.0), (pe.tanh, 1.0), (pe.relu, 1.0), (pe.sigmoid, 4.0), (pe.relu, 1.5)]
NETS = {pe.sigmoid: "glorot_uniform", pe.tanh: "glorot_uniform", pe.relu: "he_uniform"}


def chain(g, w, depth):
    """d output / d input of so many neurons h <- g(w h), where the input is 0.5."""

    def output(h):
        for _ in range(depth):
            h = g(w * h)
        return h

    return pe.grad(output)(pe.tensor(np.float64(0.5))).item()


def norms(g, weight_init, depth):
    """Norms of the gradient at the weights of each layer, the first layer first."""
    pe.random.set_seed(0)
    layers = [nn.Linear(32, 32, weight_init=weight_init).astype(np.float64) for _ in range(depth)]
    h, y = np.random.default_rng(0).normal(size=(2, 64, 32))
    for layer in layers:
        h = g(layer(h))
    nn.mean_squared_error(h, y).backward()
    return [float(np.linalg.norm(layer.weight.grad)) for layer in layers]


def measure():
    chains = {f"{g.__name__}, w = {w:g}": [chain(g, w, n) for n in DEPTHS] for g, w in CHAINS}
    nets = {
        f"{g.__name__}, {init}": [norms(g, init, n) for n in DEPTHS] for g, init in NETS.items()
    }
    return chains, nets


def report(found):
    first_to_last = {name: [each[0] / each[-1] for each in row] for name, row in found[1].items()}
    lines = []
    for title, rows in (("chain of neurons:", found[0]), ("net of layers:", first_to_last)):
        lines.append(f"{title:24}" + "".join(f"{n:12}" for n in DEPTHS))
        lines += [f"{name:24}" + "".join(f"{v:12.1e}" for v in row) for name, row in rows.items()]
    return "\n".join(lines)


def draw(figure, found):
    figure.set_size_inches(8.5, 3.4)
    left, right = figure.subplots(1, 2)
    for name, row in found[0].items():
        left.semilogy(DEPTHS, row, "o-", label=name)
    for name, row in found[1].items():
        right.semilogy(range(1, DEPTHS[-1] + 1), row[-1], "o-", label=name)
    left.set(title="chain: d output / d input", xlabel="neurons")
    right.set(title=f"net of {DEPTHS[-1]} layers: norm of the gradient", xlabel="layer")
    left.legend()
    right.legend()


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
