"""Raw tables from the command line: words, missing values, other formats, files as they come."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pellucid import io, nn
from pellucid.cli import main
from pellucid.cli.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")

HEART = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num"
ADULT = (
    "age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,sex,"
    "capital_gain,capital_loss,hours_per_week,native_country,income"
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in an empty folder; gives what it wrote, after checking its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*args, code=0, text=None):
        done = CliRunner().invoke(main, [str(a) for a in args], input=text)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.output

    return call


def pets(count=200, seed=0):
    """Rows in which the class follows from a word and a number, with gaps in both."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        kind, legs = ["fish", "bird", "cat"][i % 3], rng.integers(0, 9)
        rows.append({
            "kind": "?" if rng.random() < 0.05 else kind,
            "legs": "" if rng.random() < 0.05 else str(legs),
            "weight": f"{50 + 10 * rng.normal():.2f}",
            "swims": "yes" if kind == "fish" else "no",
        })  # fmt: skip
    return rows


def write(path, rows, names=None, header=True):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, names or list(rows[0]), extrasaction="ignore")
        if header:
            writer.writeheader()
        writer.writerows(rows)
    return path


def test_words_and_gaps_from_training_to_answers_in_another_process(run):
    write("pets.csv", pets())
    out = run("train", "pets.csv", "--target", "swims", "-o", "m", "--epochs", 40)
    assert "kind    3 categories and others: bird, cat, fish; missing:" in out
    new = pets(50, seed=1)
    write("new.csv", new, ["weight", "legs", "kind"])  # another order, no target
    done = subprocess.run(
        [sys.executable, "-m", "pellucid", "predict", "m", "new.csv"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answers = [row["class"] for row in csv.DictReader(done.stdout.splitlines())]
    known = [i for i, row in enumerate(new) if row["kind"] != "?"]
    assert [answers[i] for i in known] == [new[i]["swims"] for i in known]
    write("less.csv", new, ["weight", "kind"])
    assert "less.csv has no feature column 'legs'; its columns are weight, kind" in run(
        "predict", "m", "less.csv", code=1
    )
    piped = run("predict", "m", "-", text=Path("new.csv").read_text())
    assert piped == done.stdout
    Path("one.csv").write_text("kind,legs,weight\ndragon,?,NA\n")  # nothing of it ever met
    assert len(json.loads(run("predict", "m", "one.csv", "--json"))) == 1


def test_the_same_table_in_every_format_gives_the_same_model(run):
    rows = pets()
    names = list(rows[0])
    write("pets.csv", rows)
    with closing(sqlite3.connect("pets.db")) as base:
        base.execute("CREATE TABLE pets (kind TEXT, legs INTEGER, weight TEXT, swims TEXT)")
        base.execute("CREATE TABLE other (a TEXT)")
        values = [[r[n] if r[n] not in ("", "?") else None for n in names] for r in rows]
        base.executemany("INSERT INTO pets VALUES (?, ?, ?, ?)", values)
        base.commit()
    write("bare.csv", rows, header=False)
    args = ("--target", "swims", "--epochs", 2, "--json", "-o")
    run("train", "pets.csv", *args, "m.csv")
    run("train", "pets.db::pets", *args, "m.db")
    run("train", "pets.db", "--table", "pets", *args, "m.table")
    run("train", "-", *args, "m.stdin", text=Path("pets.csv").read_text())
    run("train", "bare.csv", "--columns", ",".join(names), *args, "m.bare")
    model = Path("m.csv").read_bytes()
    assert model == Path("m.db").read_bytes()
    assert model == Path("m.table").read_bytes()
    assert model == Path("m.stdin").read_bytes()
    figures = run("evaluate", "m.csv", "pets.csv", "--json")
    assert run("evaluate", "m.bare", "bare.csv", "--json") == figures  # knows the names
    assert run("evaluate", "m.bare", "pets.csv", "--json") == figures
    assert run("evaluate", "m.csv", "pets.db::pets", "--json") == figures
    polars = pytest.importorskip("polars")
    frame = polars.read_csv("pets.csv", null_values=["?"], schema_overrides={"weight": polars.Utf8})
    frame.write_parquet("pets.parquet")
    run("train", "pets.parquet", *args, "m.parquet")
    assert model == Path("m.parquet").read_bytes()


def test_cross_validation_measures_every_row_once_and_repeats_itself(run):
    write("pets.csv", pets(103))
    args = ("train", "pets.csv", "--target", "swims", "--cv", 5, "--epochs", 5, "--json")
    result = json.loads(run(*args))
    found = result["cross_validation"]
    assert sum(fold["rows"] for fold in found["folds"]) == 103
    assert {fold["rows"] for fold in found["folds"]} == {20, 21}
    for name in ("accuracy", "f1", "roc_auc"):
        values = [fold[name] for fold in found["folds"]]
        assert found["mean"][name] == pytest.approx(np.mean(values))
        assert found["std"][name] == pytest.approx(np.std(values, ddof=1))
    assert json.loads(run(*args))["cross_validation"] == found
    other = json.loads(run(*args, "--seed", 1))["cross_validation"]
    assert other != found
    assert result["test"] is None
    assert result["rows"] == 103
    text = run(*args[:-1])
    assert f"accuracy  {found['mean']['accuracy']:.4f} ± {found['std']['accuracy']:.4f}" in text
    assert "too few for 200 folds" in run(*args[:4], "--cv", 200, code=1)


def test_a_fold_does_not_see_what_it_is_measured_on(run, monkeypatch):
    """Medians, means and categories of a fold come from its own rows."""
    learned = []
    learn = Recipe.learn

    def spy(rows, *args, **kwargs):
        learned.append(len(rows.X))
        return learn(rows, *args, **kwargs)

    monkeypatch.setattr(Recipe, "learn", spy)
    write("pets.csv", pets(100))
    run("train", "pets.csv", "--target", "swims", "--cv", 4, "--epochs", 1)
    assert learned == [100, 75, 75, 75, 75]


def test_quantities_and_cross_validation(run):
    write("pets.csv", pets(60))
    out = run("train", "pets.csv", "--target", "weight", "--cv", 3, "--epochs", 2, "--json")
    assert set(json.loads(out)["cross_validation"]["mean"]) == {"rmse", "mae", "r2"}


def test_unseen_categories_add_nothing_where_none_was_rare(run):
    """The input of other categories was 0 in all rows: its weights are, so that it is silent."""
    rows = [{"k": "ab"[i % 2], "x": str(i % 7), "y": "no" if i % 2 else "yes"} for i in range(40)]
    write("t.csv", rows)
    run("train", "t.csv", "--target", "y", "--epochs", 3, "-o", "m")
    weight = io.load("m")[0].weight.numpy()
    assert not weight[2].any()  # k = (other)
    assert weight[[0, 1, 3]].any(axis=1).all()


HOSTILE = {
    "gap.csv": ("a,y\n1,u\n2,v\n3,?\n", "line 4 of gap.csv has nothing in its target column 'y'"),
    "twice.csv": ("a,a,y\n1,1,u\n", "several columns of the name 'a'"),
    "latin.csv": ("a,y\nä,u\nb,v\n".encode("latin-1"), "latin.csv is not a CSV file in UTF-8"),
    "empty.csv": ("a,y\n" + "?,u\n,v\n" * 9, "no feature column to learn from: 'a' is empty"),
    "same.csv": ("a,y\n1,u\n1,v\n", "no feature column to learn from: 'a' is the same in all rows"),
    "only.csv": ("y\nu\nv\n", "no feature column besides 'y'"),
    "dirty.csv": ("a,y\n" + "1,u\n2,v\n" * 20 + "l,u\n", "column 'a', line 42 of dirty.csv"),
    "long.csv": ("a,y\n1,u\n2,v,w\n", "line 3 of long.csv has 3 values, expected 2 as in the head"),
    "bare.csv": ("1,2\n3,4\n", "name the 2 columns with --columns"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tables_are_one_clear_sentence(run, name):
    content, message = HOSTILE[name]
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    out = run("train", name, "--target", "y", "--test-fraction", 0, "-o", "m", code=1)
    assert message in out
    assert out.startswith("Error: ")
    assert len(out.splitlines()) == 1
    assert not Path("m").exists()


def test_what_is_left_out_is_said(run):
    rows = [f"{i},7,,{'uv'[i % 2]}" for i in range(30)]
    Path("t.csv").write_text("\n".join(["a,same,empty,y", *rows]))
    result = json.loads(run("train", "t.csv", "--target", "y", "--epochs", 1, "--json"))
    assert result["notes"] == [
        "column 'same' is the same in all rows: left out",
        "column 'empty' is empty in all rows: left out",
    ]


def test_options_that_do_not_belong_together(run):
    assert "are for tables" in run("train", "digits", "--table", "x", code=2)
    assert "are for tables" in run("train", "x.npz", "--columns", "x", code=2)
    assert "--cv" in run("train", "digits", "--cv", 1, code=2)


def test_show_tells_all_that_a_model_file_holds(run):
    write("pets.csv", pets())
    args = ("train", "pets.csv", "--target", "swims", "-o", "m", "--epochs", 4, "--json")
    result = json.loads(run(*args, "--validation", 0.2))
    found = json.loads(run("show", "m", "--json"))
    assert found["parameters"] == 8 * 128 + 128 + 128 * 2 + 2
    assert found["operations"] == 2 * 8 * 128 + 128 + 128 + 2 * 128 * 2 + 2
    assert [c["name"] for c in found["recipe"]["table"]["columns"]] == ["kind", "legs", "weight"]
    assert found["training"]["history"]["epoch"] == [1, 2, 3, 4]
    assert found["training"]["history"]["val_loss"][-1] == result["training"]["val_loss"]
    assert found["training"]["options"]["seed"] == 0
    text = run("show", "m")
    assert "Linear(8, 128)" in text
    assert "predicts 'swims': one of 2 classes, no, yes" in text
    assert "all 4 epochs" in text


def test_show_of_models_of_other_kinds(run):
    run("train", "digits", "--epochs", 1, "-o", "d")
    assert "rows of shape (64,)" in run("show", "d")
    io.save(nn.Sequential(nn.Linear(2, 1)), "plain")
    assert "Linear(2, 1)" in run("show", "plain")
    assert json.loads(run("show", "plain", "--json"))["recipe"] is None
    for bad in (3, {}, {"history": [1], "options": {}, "steps": 1, "stopped": None},
                {"history": {"a": ["x"]}, "options": {}, "steps": 1, "stopped": None}):  # fmt: skip
        io.save(nn.Sequential(nn.Linear(2, 1)), "bad", {"training": bad})
        assert "what it tells of its training is not sound" in run("show", "bad", code=1)


def need(*parts):
    path = DATA.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"the data are not at {path}")
    return path


def test_heart_disease_from_the_raw_file(run):
    path = need("heart-disease", "processed.cleveland.data")
    out = run("train", path, "--columns", HEART, "--target", "num>0", "--cv", 5, "--json",
              "--categories", "cp,restecg,slope,thal", "-o", "m")  # fmt: skip
    mean = json.loads(out)["cross_validation"]["mean"]
    assert mean["accuracy"] > 0.79
    assert mean["roc_auc"] > 0.87
    assert mean["f1"] > 0.76
    assert json.loads(run("evaluate", "m", path, "--json"))["rows"] == 303
    answers = subprocess.run(
        [sys.executable, "-m", "pellucid", "predict", "m", path],  # the file as it comes, no header
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    said = [row["class"] for row in csv.DictReader(answers.splitlines())]
    known = ["no" if line.endswith(",0") else "yes" for line in path.read_text().split()]
    assert len(said) == 303 and np.mean(np.array(said) == known) > 0.79


def test_adult_from_the_raw_files(run):
    files = need("adult", "adult-train.csv"), need("adult", "adult-test.csv")
    out = run("train", files[0], "--columns", ADULT, "--target", "income", "--test", files[1],
              "--epochs", 5, "--json", "-o", "m")  # fmt: skip
    test = json.loads(out)["test"]
    assert test["rows"] == 16_281
    assert test["accuracy"] > 0.85
    assert test["roc_auc"] > 0.90
    assert json.loads(run("evaluate", "m", files[1], "--json")) == test
