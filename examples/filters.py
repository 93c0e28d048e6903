"""Filters: what each of eight small windows has learned to detect in handwritten digits.

Windows of 3 x 3 pixels slide over images of 8 x 8. At each place a filter answers with the
pixels times its nine weights, plus a bias, or 0 where that is negative.

For each filter the table says at how many places of unseen digits it answers, how like it
the 50 patches are that it answers to most strongly (the correlation of their mean with the
weights), and how many unseen digits are read right when its answers are taken away.

See that filters become detectors of edges and strokes in different directions: where its
weights are positive (red), the patches that excite a filter are bright. Its map is bright
where such an edge runs through the digit. Each is missed when it is taken away.

    python examples/filters.py --plot filters.png
"""

import numpy as np
from show import show

import pellucid as pe
from pellucid import nn, optim
from pellucid.train.datasets import load_digits

FILTERS, STRONGEST, SHOWN = 8, 50, (3, 0)  # the digits whose maps are drawn


def patches(images):
    """Every patch of 3 x 3, place by place: (images x 6 x 6, 9)."""
    return np.lib.stride_tricks.sliding_window_view(images[..., 0], (3, 3), (1, 2)).reshape(-1, 9)


def measure():
    data = load_digits()
    X, X_test = data.X.reshape(-1, 8, 8, 1), data.X_test.reshape(-1, 8, 8, 1)
    pe.random.set_seed(0)
    eye = nn.Sequential(nn.Conv2d(1, FILTERS, 3), nn.ReLU())
    rest = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9 * FILTERS, 10))
    pe.fit(nn.Sequential(eye, rest), X, data.y, optimizer=optim.adam(0.005), epochs=40)

    maps, weights = eye.predict(X_test), eye[0].weight.numpy().reshape(-1, FILTERS)
    right = {None: (rest.predict(maps).argmax(1) == data.y_test).mean()}
    excite, seen = [], patches(X_test)
    for i in range(FILTERS):
        excite.append(seen[np.argsort(maps[..., i], axis=None)[-STRONGEST:]].mean(axis=0))
        without = maps * (np.arange(FILTERS) != i)
        right[i] = (rest.predict(without).argmax(1) == data.y_test).mean()
    rows = [np.argmax(data.y_test == digit) for digit in SHOWN]
    return weights, np.array(excite), maps, right, X_test[rows], maps[rows]


def report(found):
    weights, excite, maps, right, _, _ = found
    lines = [f"filter  answers at  like what excites it  right without it ({right[None]:.1%} with)"]
    for i in range(FILTERS):
        alike = np.corrcoef(weights[:, i], excite[i])[0, 1]
        lines.append(f"{i:6}{(maps[..., i] > 0).mean():12.0%}{alike:22.2f}{right[i]:18.1%}")
    return "\n".join(lines)


def draw(figure, found):
    weights, excite, _, _, digits, maps = found
    figure.set_size_inches(8.5, 4)
    axes = figure.subplots(4, FILTERS + 1)
    limit = abs(weights).max()
    for i in range(FILTERS):
        axes[0, i + 1].imshow(weights[:, i].reshape(3, 3), "RdBu_r", vmin=-limit, vmax=limit)
        axes[1, i + 1].imshow(excite[i].reshape(3, 3), "gray", vmin=0, vmax=1)
    for row, digit in enumerate(digits):
        axes[row + 2, 0].imshow(digit[..., 0], "gray")
        for i in range(FILTERS):
            axes[row + 2, i + 1].imshow(maps[row, ..., i], "gray", vmin=0, vmax=maps.max())
    for each in axes.flat:
        each.set_axis_off()
    for row, text in enumerate(("filter", "excited by")):
        axes[row, 0].text(0, 0.5, text, transform=axes[row, 0].transAxes)


if __name__ == "__main__":
    figures = show(__doc__, measure, report, draw)
