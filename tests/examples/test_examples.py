"""Every example runs, is short, draws, and shows what its text says it shows."""

from __future__ import annotations

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHARED = "show"  # what the examples import, not an example itself
MOST_LINES = 79


class Done(NamedTuple):
    """An example that has run: its figures, what it printed, its names, and its picture."""

    figures: Any
    text: str
    names: dict[str, Any]
    picture: Path


def gates(done: Done) -> None:
    for name, (truth, by_hand, learned, epoch) in done.figures.items():
        if name == "A XOR B":
            assert by_hand is None
            assert epoch is None
            assert done.names["answers"](learned) != truth
            assert f"{truth:7}none" in done.text
            assert "never" in done.text
        else:
            assert done.names["answers"](by_hand) == done.names["answers"](learned) == truth
            assert f"{truth:9}{truth:9}{epoch}" in done.text
    truths = [row[0] for row in done.figures.values()]
    assert truths == ["1100", "0001", "0111", "0010", "0110", "0110"]


def linear_or_logistic(done: Done) -> None:
    x, y, far = done.names["X"], done.names["Y"], done.names["FAR"]
    for (name, is_far), row in done.figures.items():
        points = (np.append(x, far), np.append(y, 1)) if is_far else (x, y)
        w, b = np.polyfit(*points, 1) if name == "linear" else by_newton(*points)
        assert (row["w"], row["b"]) == pytest.approx((w, b), rel=1e-3)
        assert f"{row['boundary']:10.2f}{row['mistakes']:10}" in done.text
    moved = {
        name: abs(done.figures[name, True]["boundary"] - done.figures[name, False]["boundary"])
        for name in ("linear", "logistic")
    }
    assert moved["linear"] > 0.8
    assert moved["logistic"] < 0.001
    mistakes = [row["mistakes"] for row in done.figures.values()]
    assert mistakes[1] > mistakes[0]
    assert mistakes[2] == mistakes[3] == mistakes[0]


def by_newton(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slope and bias of logistic regression."""
    design, theta = np.column_stack([x, np.ones_like(x)]), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ theta))
        theta += np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]), design.T @ (y - p))
    return theta


def universal_approximation(done: Done) -> None:
    for name, curves in done.figures.items():
        apart = [np.sqrt(np.mean((c - done.names["TARGETS"][name]) ** 2)) for c in curves.values()]
        assert apart == sorted(apart, reverse=True)
        assert all(f"{error:11.4f}" in done.text for error in apart)
        assert apart[-1] < (0.05 if name == "step" else 0.002)


def vanishing_gradients(done: Done) -> None:
    depths, (chains, nets) = done.names["DEPTHS"], done.figures
    functions = {
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, g: g * (1 - g)),
        "tanh": (np.tanh, lambda z, g: 1 - g * g),
        "relu": (lambda z: max(z, 0.0), lambda z, g: float(z > 0)),
    }
    for name, row in chains.items():
        kind, w = name.split(", w = ")
        g, slope = functions[kind]
        h, product, products = 0.5, 1.0, {}
        for depth in range(1, max(depths) + 1):
            z = float(w) * h
            h = g(z)
            product *= slope(z, h) * float(w)
            products[depth] = product
        assert row == pytest.approx([products[depth] for depth in depths], rel=1e-9)
        assert all(f"{value:12.1e}" in done.text for value in row)
    ratios = {name: [each[0] / each[-1] for each in row] for name, row in nets.items()}
    for depth, ratio in zip(depths, ratios["sigmoid, glorot_uniform"], strict=True):
        assert ratio < 0.5 * 0.25 ** (depth - 2)
    for name in ("tanh, glorot_uniform", "relu, he_uniform"):
        assert min(ratios[name]) > 0.5
    assert chains["relu, w = 1.5"][-1] == pytest.approx(1.5**30)


def initializations(done: Done) -> None:
    rows = done.figures
    assert [name for name, row in rows.items() if row[3]] == ["large"]
    message = rows["large"][3]
    assert message.startswith("training diverged at step 3 (epoch 1): the output of layer layers.")
    assert " ".join(done.text.split()).count(message) == 1
    assert rows["zeros"][0][-1] > 2.3  # ln 10: nothing is known but how frequent each digit is
    assert rows["zeros"][1] < 0.15
    assert rows["constant 0.05"][1] < 0.5
    for name, (loss, accuracy, units, failure) in rows.items():
        assert units == (1 if name in ("zeros", "constant 0.05") else 32)
        assert f"{accuracy:16.3f}{units:14} of 32" in done.text
        if not failure:
            assert f"{loss[0]:14.3f}{loss[-1]:8.3f}" in done.text
    good = ("Glorot", "LeCun", "orthogonal", "He", "He, biases of 0.1")
    assert min(rows[name][1] for name in good) > 0.9
    assert max(rows[name][0][-1] for name in good) < 0.25 < rows["uniform on [-1, 1]"][0][-1]
    assert min(good, key=lambda name: rows[name][0][-1]).startswith("He")


def learning_rates(done: Done) -> None:
    valley, digits = done.figures
    for c, path in valley.items():
        np.testing.assert_allclose(path, (1 - c) ** np.arange(1.0, 21.0), rtol=1e-4, atol=1e-7)
        assert f"{path[-1]:9.4f}" in done.text
    slow_to_fast = [digits[c][-1] for c in (0.0001, 0.001, 0.01, 0.1, 1.0)]
    assert slow_to_fast == sorted(slow_to_fast, reverse=True)
    assert slow_to_fast[0] > 2.4
    assert slow_to_fast[-1] < 0.02
    assert min(digits[10.0]) > 2.3  # no better than to guess
    assert all(f"{row[-1]:9.4f}" in done.text for row in digits.values())


def overfitting(done: Done) -> None:
    rows = {name: row[2:] for name, row in done.figures.items()}
    plain, plain_new, _ = rows.pop("plain")
    assert plain["accuracy"] > 0.98
    assert plain_new["loss"] > 50 * plain["loss"]
    for old, new, _ in rows.values():
        assert old["accuracy"] < plain["accuracy"]
        assert new["accuracy"] > plain_new["accuracy"]
        assert new["loss"] < 0.6 * plain_new["loss"]
    assert rows["L1"][2] > 0.9
    assert max(row[2] for name, row in rows.items() if name != "L1") < 0.05
    assert f"{plain_new['accuracy']:6.3f}{plain['loss']:17.3f}{plain_new['loss']:7.3f}" in done.text


def optimizers_path(done: Done) -> None:
    steps = np.arange(done.names["STEPS"] + 1.0)
    by_hand = np.stack([-9 * (1 - 0.85 / 25) ** steps, 2.5 * (1 - 0.85 * 2) ** steps], axis=1)
    np.testing.assert_allclose(done.figures["gradient descent"], by_hand, rtol=1e-3, atol=1e-6)
    ends = {}
    for name, points in done.figures.items():
        heights = done.names["valley"](*points.T)
        ends[name] = heights[-1]
        assert f"{heights[10]:10.4f}{heights[20]:10.4f}" in done.text
    assert max(ends, key=ends.get) == "gradient descent"
    starts = {name: points[1] - points[0] for name, points in done.figures.items()}
    for name in ("Adagrad", "RMSprop", "Adam"):
        assert starts[name][0] == pytest.approx(-starts[name][1], rel=1e-4)


def filters(done: Done) -> None:
    weights, excite, maps, right, digits, shown = done.figures
    assert (weights.shape, excite.shape, maps.shape[1:]) == ((9, 8), (8, 9), (6, 6, 8))
    assert right[None] > 0.96
    alike = [np.corrcoef(weights[:, i], excite[i])[0, 1] for i in range(8)]
    assert min(alike) > 0.5 and np.mean(alike) > 0.8
    assert all(right[i] < right[None] for i in range(8))
    answer = np.tensordot(digits[0, 2:5, 1:4, 0], weights.reshape(3, 3, 8), 2)
    other = np.tensordot(digits[0, 3:6, 3:6, 0], weights.reshape(3, 3, 8), 2)
    both = (shown[0, 2, 1] > 0) & (shown[0, 3, 3] > 0)  # where the same bias was added to both
    assert both.any()
    apart = shown[0, 2, 1] - shown[0, 3, 3]
    np.testing.assert_allclose((answer - other)[both], apart[both], atol=1e-5)
    for i in range(8):
        assert (
            f"{i:6}{(maps[..., i] > 0).mean():12.0%}{alike[i]:22.2f}{right[i]:18.1%}" in done.text
        )


CHECKS = {
    check.__name__: check
    for check in (
        gates,
        linear_or_logistic,
        universal_approximation,
        vanishing_gradients,
        initializations,
        learning_rates,
        overfitting,
        optimizers_path,
        filters,
    )
}


@pytest.fixture(scope="module", params=CHECKS)
def done(request, tmp_path_factory) -> Done:
    script = EXAMPLES / f"{request.param}.py"
    picture = tmp_path_factory.mktemp("pictures") / f"{request.param}.png"
    options = ["--plot", str(picture)] if find_spec("matplotlib") else []
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.syspath_prepend(EXAMPLES)
        patch.setattr(sys, "argv", [str(script), *options])
        names = runpy.run_path(str(script), run_name="__main__")
    return Done(names["figures"], out.getvalue(), names, picture)


def test_an_example_shows_what_it_says(done, request):
    CHECKS[done.picture.stem](done)


def test_an_example_draws_a_picture(done):
    if find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    start = done.picture.read_bytes()
    assert start[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(start) > 10_000
    assert f"drawn: {done.picture}" in done.text


def test_every_example_is_checked():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*CHECKS, SHARED}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_to_see(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    if path.stem != SHARED:
        assert "\nSee that" in text
        assert f"    python examples/{path.name} --plot {path.stem}.png\n" in text


def test_an_example_runs_from_anywhere_and_explains_itself(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "gates.py", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Logic gates" in done.stdout
    assert "--plot FILE" in done.stdout


def test_without_matplotlib_a_picture_is_refused_and_says_what_to_install(monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(sys, "argv", ["gates.py", "--plot", "gates.png"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(EXAMPLES / "gates.py"), run_name="__main__")
    assert 'needs matplotlib: python -m pip install "pellucid[plot]"' in capsys.readouterr().err
