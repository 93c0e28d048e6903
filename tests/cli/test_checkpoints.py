"""`pellucid train --checkpoint`: a command that is interrupted, given again, goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pellucid import io
from pellucid.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `pellucid train` in an empty folder; gives its exit code and what it wrote."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        done = CliRunner().invoke(
            main, ["train", "--layers", "8", "--epochs", "5", *map(str, args)]
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return call


class DiedError(Exception):
    """Stands for what ends a process."""


@pytest.fixture
def interrupted(run, monkeypatch):
    """A run that has died in its third epoch."""

    def die(self, run):
        if run.history.epochs >= 2:
            raise DiedError

    with monkeypatch.context() as patch, pytest.raises(DiedError):
        table = sys.modules[
            "pellucid.cli.train"
        ].EpochTable  # its package has a command of the name
        patch.setattr(table, "slice_end", die)
        patch.setattr("pellucid.train.loop.SLICE_SECONDS", 1e-4)
        run("--checkpoint", "run.safetensors", "--every", "20 steps")


def test_the_command_given_again_ends_with_the_same_model(run, interrupted):
    assert run("--output", "straight.safetensors")[0] == 0
    code, out = run("--checkpoint", "run.safetensors", "--resume")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:6]] == ["1", "2", "3", "4", "5"]
    assert Path("model.safetensors").read_bytes() == Path("straight.safetensors").read_bytes()
    again = run("--checkpoint", "run.safetensors", "--resume", "--output", "again.safetensors")
    assert again[0] == 0
    assert Path("again.safetensors").read_bytes() == Path("straight.safetensors").read_bytes()


def test_other_options_are_refused(run, interrupted):
    code, out = run("--checkpoint", "run.safetensors", "--resume", "--learning-rate", "0.5")
    assert code == 1
    assert out.startswith("Error: cannot go on from run.safetensors: the run in it is another one")
    assert out.count("\n") == 1
    code, out = run("--checkpoint", "run.safetensors")
    assert code == 1
    assert "run.safetensors holds a run that has not ended, after " in out


@pytest.mark.filterwarnings("default")
def test_a_damaged_file_is_told_of(run, interrupted):
    path = Path("run.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    code, out = run("--checkpoint", "run.safetensors", "--resume")
    assert code == 0
    warning = next(line for line in out.splitlines() if line.startswith("Warning: "))
    assert warning.endswith("going on from run.previous.safetensors, written before it")
    assert io.load("model.safetensors")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--resume"], 2, "--every and --resume need --checkpoint FILE"),
        (["--every", "epoch"], 2, "--every and --resume need --checkpoint FILE"),
        (["--checkpoint", "run", "--every", "now and then"], 1, "every must be a number with a"),
        (["--checkpoint", "model.safetensors"], 1, "need files of their own"),
        (["--checkpoint", "absent/run"], 1, "cannot write absent/run"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(run, args, code, message):
    found, out = run(*args)
    assert found == code
    assert message in " ".join(out.split())


CV = ("--cv", "3", "--json", "--epochs", "3", "--checkpoint", "run.safetensors")


def folds(out):
    return json.loads(out)["cross_validation"]


def test_folds_that_have_ended_are_not_trained_again(run, monkeypatch):
    command = sys.modules["pellucid.cli.train"]
    straight = folds(run(*CV[:5])[1])
    calls, learn = [], command.fit

    def die_in_the_second(*args, **options):
        calls.append(options["checkpoint"].latest.name)
        if len(calls) == 2:
            raise DiedError
        return learn(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(DiedError):
        patch.setattr(command, "fit", die_in_the_second)
        run(*CV)
    assert calls == ["run.fold-1.safetensors", "run.fold-2.safetensors"]
    ended = Path(calls[0]).stat().st_mtime_ns
    code, out = run(*CV, "--resume")
    assert code == 0 and folds(out) == straight
    assert Path(calls[0]).stat().st_mtime_ns == ended
    assert Path("run.fold-3.safetensors").exists() and Path("run.safetensors").exists()
    other = run(*CV, "--resume", "--learning-rate", "0.5")
    assert other[0] == 1 and "cannot go on from run.fold-1.safetensors" in other[1].replace(
        "\n", ""
    )


def test_half_a_fold_is_not_measured(run, monkeypatch):
    command = sys.modules["pellucid.cli.train"]
    learn = command.fit

    def press(run):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            command,
            "fit",
            lambda *args, **options: learn(*args, **options | {"callbacks": [press]}),
        )
        code, out = run(*CV)
    assert code == 1 and out.strip() == "Aborted!"
    assert Path("run.fold-1.safetensors").exists() and not Path("model.safetensors").exists()
    assert run(*CV, "--resume")[0] == 0
