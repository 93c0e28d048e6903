"""The history and the run as a person sees them."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.train.run import History, Run, format_figure


def history(epochs):
    found = History(["epoch", "loss", "val_accuracy"])
    numbers = np.arange(1, epochs + 1)
    found.extend(np.column_stack([numbers, 1 / numbers, numbers / 100]))
    return found


def test_columns_behave_like_lists():
    found = history(3)
    assert list(found) == ["epoch", "loss", "val_accuracy"]
    assert list(found["epoch"]) == [1, 2, 3]
    assert found["loss"][1:].tolist() == [0.5, pytest.approx(1 / 3)]
    assert found["loss"][-1] == found.last("loss")
    assert found.row(0) == {"epoch": 1, "loss": 1.0, "val_accuracy": 0.01}
    assert dict(found).keys() == {"epoch", "loss", "val_accuracy"}
    np.testing.assert_array_equal(np.asarray(found["epoch"]), [1, 2, 3])


def test_an_unknown_column_names_those_that_exist():
    with pytest.raises(KeyError, match="no column 'accuracy'.*it has epoch, loss, val_accuracy"):
        history(1)["accuracy"]


def test_a_long_history_is_shown_by_its_ends():
    lines = repr(history(100)).splitlines()
    assert len(lines) == 14
    assert lines[0].split() == ["epoch", "loss", "val_accuracy"]
    assert lines[1].split() == ["1", "1.0000", "0.0100"]
    assert lines[7] == "..."
    assert lines[-1].split() == ["100", "0.0100", "1.0000"]
    assert len({len(line) for line in lines if line != "..."}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (0.0, "0.0000"), (0.12345, "0.1235"), (1e-5, "1.00e-05"), (123456.0, "1.23e+05")],
)
def test_figures_are_short(value, text):
    assert format_figure(value) == text


def test_the_first_reason_to_stop_stays():
    run = Run(None, {"epoch": None, "loss": False}, 5, 2)
    assert "under way" in repr(run)
    run.stop("first")
    run.stop("second")
    assert run.stopped == "first"
