"""`pellucid tune`: a search from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pellucid.cli import main

pytest.importorskip("optuna")

SMALL = ("--layers", "0,1", "--width", "4", "--activation", "relu", "--optimizer", "adam",
         "--learning-rate", "0.001:0.1", "--epochs", "3", "--trials", "3")  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in an empty folder; gives what it wrote, after checking its exit code."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{'ab'[i % 2]},{i % 5},{'uv'[i % 2]}" for i in range(60)]
    Path("t.csv").write_text("\n".join(["k,n,y", *rows]))

    def call(*args, code=0):
        done = CliRunner().invoke(main, [str(a) for a in args])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.output

    return call


def test_the_best_model_is_written_and_works_on_the_raw_table(run):
    args = ("tune", "t.csv", "--target", "y", *SMALL, "--storage", "s.db", "--json")
    result = json.loads(run(*args))
    assert [trial["number"] for trial in result["trials"]] == [0, 1, 2]
    best = result["best"]
    assert best["score"] == max(t["score"] for t in result["trials"] if t["state"] == "complete")
    assert result["test"]["rows"] == 12
    assert json.loads(run("evaluate", "model.safetensors", "t.csv", "--json"))["rows"] == 60
    shown = json.loads(run("show", "model.safetensors", "--json"))
    assert shown["training"]["options"]["learning_rate"] == best["configuration"]["learning_rate"]
    model = Path("model.safetensors").read_bytes()
    assert json.loads(run(*args)) == result  # nothing is left to do
    assert Path("model.safetensors").read_bytes() == model
    text = run(*args[:-1], "--trials", 4, "--jobs", 2)
    assert text.count("trial    3") == 1
    assert "Search: 4 trials" in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["t.csv"], "--target COLUMN"),
        (["t.csv", "--target", "y", "--width", "a"], "expected numbers such as 16,32"),
        (["t.csv", "--target", "y", "--score", "best"], "--score must be one of"),
        (["t.csv", "--target", "y", "--jobs", "99"], "--jobs"),
    ],
)
def test_wrong_usage(run, args, message):
    assert message in run("tune", *args, code=2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--width", "0"], "width must be a whole number of at least 1"),
        (["--activation", "relu,best"], "best"),
        (["--storage", "t.csv"], "it would replace what is read from it"),
        (["--storage", "no/s.db"], "no/s.db"),
    ],
)
def test_what_cannot_be_done(run, args, message):
    out = run("tune", "t.csv", "--target", "y", *SMALL, *args, code=1)
    assert message in out
    assert len(out.splitlines()) == 1
