"""The command line as a person uses it: files in, sentences out, exit codes."""

from __future__ import annotations

import csv
import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pe
from pellucid import io, nn
from pellucid.cli import main

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in an empty folder; gives what it wrote, after checking its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*args, code=0):
        done = CliRunner().invoke(main, [str(a) for a in args])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    return call


@pytest.fixture
def flowers(tmp_path):
    """150 rows of three kinds, on scales as different as a table's columns may be."""
    rng = np.random.default_rng(0)
    path = tmp_path / "flowers.csv"
    with open(path, "w", newline="") as file:
        write = csv.writer(file).writerow
        write(["note", "petal", "kind", "weight"])
        for i in range(150):
            kind = i % 3
            write([
                "text",
                f"{0.001 * (kind + 0.1 * rng.normal()):.6f}",
                ["rose", "tulip", "aster"][kind],
                f"{1e5 + 1e3 * rng.normal():.1f}",
            ])  # fmt: skip
    return path


def idx(path, array, pack=bytes):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(pack(head + array.astype(np.uint8).tobytes()))
    return path


@pytest.fixture
def images(tmp_path):
    """Images with one bright row, to be told by its number."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 120)
    pixels = rng.integers(0, 60, (120, 4, 5))
    pixels[np.arange(120), labels] += 180
    return (
        idx(tmp_path / "images-idx3-ubyte.gz", pixels, gzip.compress),
        idx(tmp_path / "labels-idx1-ubyte", labels),
    )


def test_digits_are_the_default_and_are_learned_well(run):
    out = run("train", "--json")
    result = json.loads(out)
    assert result["test"]["accuracy"] >= 0.97
    assert result["test"]["rows"] == 360
    assert result["stopped"] == "all 60 epochs"
    cost = result["cost"]
    assert cost["parameters"] == 64 * 128 + 128 + 128 * 10 + 10
    assert cost["steps"] == result["steps"] and cost["operations"] > 6 * 32 * 9_482 * 60
    assert cost["seconds"] >= cost["compile_seconds"] + cost["run_seconds"] > 0
    assert cost["flops_per_second"] == cost["operations"] / cost["run_seconds"]
    assert cost["energy"]["high"] >= cost["energy"]["low"] > 0 and cost["energy"]["method"]
    assert sum(cost["memory"].values()) > 4 * 1437 * 65
    assert json.loads(run("evaluate", "model.safetensors", "digits", "--json"))["accuracy"] >= 0.97
    lines = run("predict", "model.safetensors").splitlines()
    assert lines[0] == "class,probability"
    assert len(lines) == 361


def test_a_run_is_told_epoch_by_epoch(run):
    out = run("train", "digits", "--epochs", 3, "--validation", 0.1, "--layers", "16,8")
    lines = out.splitlines()
    assert lines[0].split() == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert "all 3 epochs" in out
    assert "% right (" in out
    card = [line.split()[0] for line in lines[lines.index("", 5) + 1 : -2]]
    assert card[:2] == ["parameters", "operations"] and card[-1] == "energy"
    assert out.endswith("\n\nwrote model.safetensors\n")
    assert "Linear(16, 8)" in repr(pe.io.load("model.safetensors"))


def test_the_same_command_gives_the_same_file(run):
    for name in ("a", "b"):
        run("train", "--epochs", 2, "--output", name)
    assert Path("a").read_bytes() == Path("b").read_bytes()
    run("train", "--epochs", 2, "--output", "c", "--seed", 1)
    assert Path("a").read_bytes() != Path("c").read_bytes()


def test_a_table_from_training_to_answers(run, flowers):
    out = run("train", flowers, "--target", "kind", "--drop", "note", "-o", "m", "--epochs", 150)
    assert "100.00% right (30 of 30)" in out
    assert "100.00% right (150 of 150)" in run("evaluate", "m", flowers)

    def column(name, **kwargs):
        with open(flowers, newline="") as file:
            return [row[name] for row in csv.DictReader(file)]

    # other columns, in another order: found by name
    Path("new.csv").write_text(
        "weight,other,petal\n"
        + "".join(f"{w},x,{p}\n" for w, p in zip(column("weight"), column("petal"), strict=True))
    )
    run("predict", "m", "new.csv", "--output", "answers.csv", "--probabilities")
    with open("answers.csv", newline="") as file:
        answers = list(csv.DictReader(file))
    assert [a["class"] for a in answers] == column("kind")
    assert set(answers[0]) == {"class", "p_aster", "p_rose", "p_tulip"}
    assert sum(float(answers[0][f"p_{k}"]) for k in ("aster", "rose", "tulip")) == pytest.approx(1)
    assert len(json.loads(run("predict", "m", "new.csv", "--json"))) == 150


def test_quantities_come_back_in_their_own_units(run):
    x = np.linspace(-1, 1, 200)
    Path("line.csv").write_text("x,y\n" + "".join(f"{a},{3e5 + 1e5 * a}\n" for a in x))
    out = run("train", "line.csv", "--target", "y", "--dropout", 0, "--epochs", 100, "-o", "m")
    assert "R2 1.0000" in out or "R2 0.999" in out
    lines = run("predict", "m", "line.csv").splitlines()
    assert lines[0] == "prediction"
    assert float(lines[1]) == pytest.approx(2e5, rel=0.05)
    assert json.loads(run("evaluate", "m", "line.csv", "--json"))["r2"] > 0.99


def test_images_from_idx_files(run, images):
    pixels, labels = images
    given = ("--images", pixels, "--labels", labels)
    out = run("train", *given, "--test-images", pixels, "--test-labels", labels, "--epochs", 40)
    assert "(120 of 120)" in out
    assert "(120 of 120)" in run("evaluate", "model.safetensors", *given)
    answers = run("predict", "model.safetensors", "--images", pixels).splitlines()
    assert len(answers) == 121


def test_archives(run):
    X = np.random.default_rng(0).normal(size=(100, 3))
    np.savez("data.npz", X=X, y=(X[:, 0] > 0).astype(int), X_test=X[:10], y_test=X[:10, 0] > 0)
    out = run("train", "data.npz", "--epochs", 100)
    assert " of 10)" in out
    np.savez("plain.npz", X=X, y=(X[:, 0] > 0).astype(int))
    assert " of 20)" in run("train", "plain.npz", "--epochs", 5)
    assert "test:" not in run("train", "plain.npz", "--epochs", 5, "--test-fraction", 0)
    assert " of 10)" in run("train", "plain.npz", "--epochs", 5, "--test", "data.npz")
    assert len(run("predict", "model.safetensors", "plain.npz").splitlines()) == 101


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--layers", "10,x"], "expected widths"),
        (["train", "--layers", "0"], "at least 1 unit"),
        (["train", "--epochs", "0"], "--epochs"),
        (["train", "--batch", "-3"], "--batch"),
        (["train", "--learning-rate", "0"], "--learning-rate"),
        (["train", "--dropout", "1"], "--dropout"),
        (["train", "--optimizer", "best"], "adam"),
        (["train", "--activation", "best"], "relu"),
        (["train", __file__], "--target COLUMN"),  # any text is a table, if it is there
        (["train", "digits", "--images", "x"], "not both"),
        (["train", "--images", "x"], "--labels"),
        (["train", "--labels", "x"], "needs --images"),
        (["train", "--test-images", "x"], "belong together"),
        (["train", "a", "b"], "unexpected extra argument"),
        (["predict"], "MODEL"),
        (["walk"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_code_2(run, args, message):
    out = run(*args, code=2)
    assert message in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "absent.csv", "--target", "y"], "cannot read absent.csv"),
        (["train", "words.csv", "--target", "y"], "column 'a', line 3 of words.csv"),
        (["train", "words.csv", "--target", "z"], "no target column 'z'; its columns are a, b, y"),
        (["train", "one.csv", "--target", "y"], "only the class 1"),
        (["train", "words.csv", "--target", "y", "--drop", "q"], "no dropped column 'q'"),
        (["train", "empty.csv", "--target", "y"], "is empty"),
        (["train", "nan.npz"], "nan.npz has NaN at row 1, column 0"),
        (["train", "cut.idx3-ubyte"], "give it with --images"),
        (["train", "--images", "cut", "--labels", "cut"], "cut is cut short"),
        (["train", "-o", "absent/model"], "cannot write absent/model"),
        (["train", "-o", "."], "cannot write ."),
        (["evaluate", "one.csv"], "one.csv is not a model file"),
        (["evaluate", "absent"], "cannot read absent"),
        (["predict", "foreign.safetensors"], "without a recipe"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(run, args, message):
    Path("words.csv").write_text("a,b,y\n1,2,0\nx,3,1\n" + "4,5,0\n5,6,1\n" * 9)
    Path("one.csv").write_text("a,y\n1,1\n2,1\n")
    Path("empty.csv").write_text("")
    Path("cut").write_bytes(b"\0\0\x08\3\0\0\0\5")
    np.savez("nan.npz", X=np.array([[0.0], [np.nan], [1.0]]), y=[0, 1, 0])
    io.save(nn.Sequential(nn.Linear(2, 1)), "foreign.safetensors")
    before = sorted(os.listdir())
    out = run(*args, code=1)
    assert message in out
    assert out.startswith("Error: ")
    assert len(out.splitlines()) == 1
    assert sorted(os.listdir()) == before


def test_a_model_meets_other_data(run, flowers, images):
    run("train", flowers, "--target", "kind", "--drop", "note", "-o", "m", "--epochs", 1)
    Path("other.csv").write_text("petal,kind,weight\n1,lily,2\n")
    assert "class 'lily'; the model knows aster, rose, tulip" in run(
        "evaluate", "m", "other.csv", code=1
    )
    Path("less.csv").write_text("petal\n1\n")
    assert "no feature column 'weight'" in run("predict", "m", "less.csv", code=1)
    assert "rows of shape (64,), the model takes columns of a table" in run(
        "predict", "m", "digits", code=1
    )


def test_a_loss_that_is_not_finite_is_explained_and_no_file_is_written(run):
    X = np.random.default_rng(0).normal(size=(50, 3)) * 1e30
    np.savez("huge.npz", X=X, y=X[:, 0] > 0)
    out = run("train", "huge.npz", "--learning-rate", 1e37, code=1)
    assert "training diverged at step" in out
    assert not Path("model.safetensors").exists()


def test_help_is_complete_and_needs_nothing_slow():
    code = (
        "import sys; from pellucid.cli import main; main(['--help'], standalone_mode=False); "
        "print([m for m in ('sklearn', 'rich', 'llvmlite', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "train" in done.stdout
    assert done.stdout.endswith("[]\n")
    for command in main.commands.values():
        for parameter in command.params:
            explained = parameter.name in ("data", "model") or parameter.help
            assert explained or parameter.default is not None, parameter.name


def test_the_module_runs_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pellucid", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"pellucid, version {pe.__version__}\n"


@pytest.mark.slow
def test_mnist_is_learned_to_97_5_percent(run):
    folder = DATA / "mnist"
    if not folder.is_dir():
        pytest.skip(f"the MNIST files are not at {folder}")
    named = {
        "--images": "train-images-idx3-ubyte.gz",
        "--labels": "train-labels-idx1-ubyte.gz",
        "--test-images": "t10k-images-idx3-ubyte.gz",
        "--test-labels": "t10k-labels-idx1-ubyte.gz",
    }
    files = [part for option, name in named.items() for part in (option, folder / name)]
    out = run("train", *files, "--layers", 128, "--dropout", 0, "--epochs", 5, "--json")
    assert json.loads(out)["test"]["accuracy"] >= 0.975


def test_what_is_read_is_never_replaced(run, flowers):
    before = flowers.read_bytes()
    args = ("--target", "kind", "--drop", "note", "--epochs", 1)
    for path in (flowers, f"../{flowers.parent.name}/{flowers.name}"):
        out = run("train", flowers, *args, "--output", path, code=1)
        assert "it would replace what is read from it" in out
    run("train", flowers, *args, "--output", "m")
    for path in (flowers, "m"):
        out = run("predict", "m", flowers, "--output", path, code=1)
        assert "it would replace what is read from it" in out
    out = run("predict", "m", flowers, "--output", "no/such.csv", code=1)
    assert "it must be a file in a folder you can write to" in out
    assert flowers.read_bytes() == before


def test_a_rare_class_may_be_held_out(run, tmp_path):
    lines = [f"{i},{'ab'[i % 2]}" for i in range(20)]
    for rare in range(20):
        own = [f"{rare},rare" if i == rare else line for i, line in enumerate(lines)]
        (tmp_path / "t.csv").write_text("\n".join(["x,kind", *own]))
        run("train", "t.csv", "--target", "kind", "--epochs", 1, "--layers", "none")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.ones((9, 2)), "y": np.arange(5)}, "targets of shape (5,), expected one for each"),
        ({"X": np.ones((9, 2)), "y": 3}, "targets of shape (), expected one for each"),
        ({"X": np.ones((0, 2)), "y": np.ones(0, int)}, "has no rows"),
        (
            {"X": np.ones((4, 2)), "y": [0, 1, 0, 1], "X_test": np.ones((1, 2)), "y_test": [7]},
            "class '7'; the model knows 0, 1",
        ),
    ],
)
def test_what_is_wrong_with_an_archive_is_told_before_the_work(run, tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    out = run("train", "a.npz", "--epochs", 1, code=1)
    assert message in out
    assert "epoch " not in out


def test_numbers_too_large_to_scale_are_named(run, tmp_path):
    rows = [f"{x}1e300,{x}1,{k}" for x, k in (("", "a"), ("-", "b"))] * 10
    (tmp_path / "t.csv").write_text("\n".join(["big,small,kind", *rows]))
    out = run("train", "t.csv", "--target", "kind", code=1)
    assert "column 'big' of t.csv has numbers too large to scale" in out


def test_words_are_no_quantities(run, flowers):
    out = run(
        "train", flowers, "--target", "note", "--drop", "kind", "--task", "regression", code=1
    )
    assert "target column 'note', data row 1" in out


def test_the_shell_completes_commands():
    environment = {
        **os.environ,
        "_PELLUCID_COMPLETE": "bash_complete",
        "COMP_WORDS": "pellucid tr",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from pellucid.cli import main; main(prog_name='pellucid')"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "plain,train"


def test_every_command_writes_json():
    assert all("as_json" in {p.name for p in c.params} for c in main.commands.values())
