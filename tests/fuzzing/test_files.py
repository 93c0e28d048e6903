"""Unsound model files, checkpoints and tables: a result or one clear sentence, never worse.

No crash, no hang, nothing executed or written, no error of another kind. Long runs:
PELLUCID_FUZZ_SECONDS=300 PELLUCID_FUZZ_SEED=7 python -m pytest -m slow tests/fuzzing
"""

from __future__ import annotations

import csv
import json
import sqlite3
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pe
from pellucid import io, nn, optim, train
from pellucid.cli import main
from pellucid.cli.data import read, source_of
from pellucid.cli.recipe import Recipe
from pellucid.files import ModelFileError, safetensors
from pellucid.train import Checkpoint, CheckpointError, datasets, table_files
from pellucid.train import checkpoint as files
from pellucid.train.tables import DataError

from . import mutations
from .watched import SECONDS, alarm_needed, check_sentence, tried, watched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0), alarm_needed]


def packed(arrays, metadata):
    return b"".join(map(bytes, safetensors.encode(arrays, metadata)))


def changed_inside(content, chance, sign):
    """A file whose header or metadata say something else, in sound form.

    Args:
        content: a sound file.
        chance: of the change.
        sign: `(arrays, metadata) -> metadata` that makes the file whole again.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if chance.random() < 0.3:  # the header itself
        text = json.dumps(mutations.json_changed(header, chance)).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + length :]
    metadata = header.pop("__metadata__")
    data = content[8 + length :]
    arrays = {
        name: np.frombuffer(
            data[slice(*entry["data_offsets"])], safetensors.DTYPES[entry["dtype"]]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }
    if chance.random() < 0.3:
        name = chance.choice(list(arrays))
        array = arrays.pop(name)
        kind = chance.randrange(4)
        if kind == 0:
            arrays[name] = array.astype(chance.choice(("i4", "u4", "i8", "f4", "f8", "?")))
        elif kind == 1:
            arrays[name] = array.reshape(-1)[: chance.randrange(array.size + 1)]
        elif kind == 2:
            arrays[name] = np.full_like(array, chance.choice((0, 1, 255)))
        elif array.dtype.kind == "f":
            arrays[name] = np.full_like(array, chance.choice((np.nan, np.inf, 1e30)))
    else:
        key = chance.choice(list(metadata))
        try:
            tree = mutations.json_changed(json.loads(metadata[key]), chance)
            metadata[key] = json.dumps(tree)
        except (ValueError, RecursionError):
            metadata[key] = str(chance.choice((*mutations.TEXTS, *mutations.NUMBERS)))
    return packed(arrays, sign(arrays, metadata))


def maker(seeds, sign=lambda arrays, metadata: metadata):
    """Makes an unsound file of one of the sound ones."""

    def make(chance):
        content = chance.choice(seeds)
        kind = chance.random()
        if kind < 0.4:
            return mutations.bytes_changed(content, chance, seeds)
        if kind < 0.45:
            return mutations.length_changed(content, chance)
        return changed_inside(content, chance, sign)

    return make


def saved(tmp_path, model, extra=None):
    io.save(model, tmp_path / "sound", extra)
    return (tmp_path / "sound").read_bytes()


TABLES = (
    "length,width,kind\n5.1,3.5,iris\n4.9,3.0,rose\n6.2,2.9,iris\n",
    "a;b;y\n1;2;0.5\n3;4;1.5\n-1e-3;1e10;2\n",
    "name\tx\ty\nn1\t1\t0\nn1\t2\t1\nn3\t?\t1\nn3\t\t0\n",
    '"long, name","say ""hi""",kind\n1,2,"a,b"\n3,4,"c\nd"\n',
    "\ufeffx,y\r\n1,0\r\n2,1\r\n\r\n3,0\r\n",
)


def learned(path, target):
    """What `pellucid train` does with a table before it trains: rows, and their recipe."""
    rows = read(source_of(str(path), target))
    return rows, Recipe.learn(rows, None, target, rows)


def model_of_a_table(tmp_path):
    """A model file with a recipe for a table, and a history."""
    path = tmp_path / "table.csv"
    path.write_text(TABLES[2])
    recipe = learned(path, "y")[1]
    pe.random.set_seed(0)
    model = nn.Sequential(nn.Linear(*recipe.input_shape, 3), nn.ReLU(), nn.Linear(3, 2))
    training = {"options": {"epochs": 2}, "steps": 4, "stopped": None,
                "history": {"epoch": [1, 2], "loss": [0.7, None]}}  # fmt: skip
    return saved(tmp_path, model, {**recipe.to_extra(), "training": training})


def test_model_files(tmp_path):
    pe.random.set_seed(0)
    shared = nn.Linear(3, 3)
    recipe = Recipe((2, 3), ("a", "ü"), divide=255.0).to_extra()
    seeds = [
        saved(tmp_path, nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)),
              recipe),
        saved(tmp_path, nn.Sequential(shared, nn.LeakyReLU(0.2), shared, nn.LayerNorm(3))),
        saved(tmp_path, nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3), nn.PReLU(), nn.Dropout(0.5),
                                      nn.Maxout(3, 2, 2)).astype(np.float64), {"a": [1, None]}),
        saved(tmp_path, nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.MaxPool2d(2),
                                      nn.Residual(nn.Conv2d(2, 2, 1)), nn.GlobalAvgPool())),
        model_of_a_table(tmp_path),
    ]  # fmt: skip
    path = tmp_path / "unsound"

    def open_it(content):
        path.write_bytes(content)
        with watched(), warnings.catch_warnings():  # of layers in an odd order
            warnings.simplefilter("ignore", UserWarning)
            model, extra = io.read_model(path)
        repr(model)
        assert sum(v.nbytes for v in model.state_dict().values()) <= 4 * len(content)
        if "recipe" in extra:
            Recipe.from_extra(extra, path)

    refused, read_well = tried(maker(seeds), open_it, (ModelFileError,))
    assert refused > read_well > 0


def test_commands(tmp_path, monkeypatch):
    """What a model file and a table hold together: an answer, or one sentence and exit code 1."""
    monkeypatch.chdir(tmp_path)
    sound = model_of_a_table(tmp_path)
    unsound = maker([sound])
    runner = CliRunner()

    def make(chance):
        made = chance.random() < 0.6
        model = unsound(chance) if made else sound
        text = TABLES[2] if made else mutations.table_changed(TABLES[2], chance)
        (tmp_path / "model").write_bytes(model)
        (tmp_path / "new.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
        command = chance.choice((
            ("predict", "model", "new.csv"), ("predict", "model", "new.csv", "--json"),
            ("predict", "model", "new.csv", "--probabilities"),
            ("evaluate", "model", "new.csv", "--target", "y"),
            ("show", "model"), ("show", "model", "--json"),
        ))  # fmt: skip
        return json.dumps(command).encode() + model + text.encode("utf-8", "surrogatepass")

    def call(content):
        command = json.JSONDecoder().raw_decode(content.decode("latin-1"))[0]
        with watched(reads_only=False):
            done = runner.invoke(main, command)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        if done.exit_code == 0:
            assert done.stdout
            return
        assert done.exit_code == 1, done.output
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("Error: "), done.stderr
        raise RefusedError(lines[0])

    refused, answered = tried(make, call, (RefusedError,))
    assert min(refused, answered) > 0


class RefusedError(Exception):
    """A command has ended with one sentence."""


def data():
    X = np.arange(24, dtype=np.float32).reshape(12, 2) / 24
    return X, np.arange(12) % 2


def network():
    pe.random.set_seed(1)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))


def options(place):
    return {
        "epochs": 3, "batch_size": 5, "optimizer": optim.adam(0.01), "checkpoint": place,
        "early_stopping": train.EarlyStopping("loss", 50), "resume": True,
    }  # fmt: skip


def test_checkpoints(tmp_path, monkeypatch):
    """With checksums that are right, too: as if somebody had made the file on purpose."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    place = Checkpoint(tmp_path / "run.safetensors", every="1 steps")
    seeds = []
    write = files.write

    def noted(checkpoint, snapshot, *, keep):
        write(checkpoint, snapshot, keep=keep)
        seeds.append(checkpoint.latest.read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", noted)
        train.fit(network(), *data(), **options(place))
    assert len(seeds) == 10  # after each step, the end being the last; and before the first

    def sign(arrays, metadata):
        return metadata | {"checksum": files._checksum(arrays, metadata)}

    def open_it(content):
        place.previous.unlink(missing_ok=True)
        place.latest.write_bytes(content)
        with watched():
            files.read_latest(place)
        with watched(reads_only=False), warnings.catch_warnings():
            # weights may be far too large
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                run = train.fit(network(), *data(), **options(place))
            except (ValueError, train.TrainingDiverged) as error:
                if "not finite" not in str(error):  # a weight is NaN, which is told
                    raise
                return
        assert run.steps == 9 or run.stopped

    refused, read_well = tried(maker(seeds, sign), open_it, (CheckpointError,))
    assert refused > read_well > 0


def read_table(path):
    """A table is learned from, applied, and goes through JSON."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline()
        file.seek(0)
        separator = next((s for s in ",;\t" if s in first), ",")
        try:
            header = next(csv.reader(file, delimiter=separator), None) or [""]
        except csv.Error:
            header = [""]
    target = header[-1].strip()
    rows, recipe = learned(path, target)
    assert np.isfinite(recipe.inputs(rows)).all()
    assert len(recipe.targets(rows)) == len(rows.X)
    assert Recipe.from_extra(json.loads(json.dumps(recipe.to_extra())), path) == recipe
    assert str(recipe.table)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Sound tables have been read, and whatever is imported late is imported."""
    path = tmp_path_factory.mktemp("sound") / "table.csv"
    for text in TABLES:
        path.write_text(text)
        read_table(path)


def test_tables(tmp_path, imported):
    path = tmp_path / "table.csv"

    def make(chance):
        text = chance.choice(TABLES)
        if chance.random() < 0.6:
            return mutations.table_changed(text, chance).encode("utf-8", "surrogatepass")
        return mutations.bytes_changed(text.encode(), chance, [t.encode() for t in TABLES])

    def open_it(content):
        path.write_bytes(content)
        with watched():
            read_table(path)

    refused, read_well = tried(make, open_it, (DataError, ModelFileError))
    assert min(refused, read_well) > 0


def test_archives_and_images(tmp_path):
    path = tmp_path / "data"
    np.savez(path.with_suffix(".npz"), X=np.ones((3, 2)), y=np.arange(3))
    np.savez_compressed(tmp_path / "small.npz", X=np.ones((3, 2), ">i2"), y=np.arange(3.0))
    image = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(range(8))
    seeds = [path.with_suffix(".npz").read_bytes(), (tmp_path / "small.npz").read_bytes(), image]

    def make(chance):
        return mutations.bytes_changed(chance.choice(seeds), chance, seeds)

    def open_it(content):
        path.write_bytes(content)
        with watched():
            datasets.has_test_rows(path)
            if content[:2] == b"PK":
                datasets.read_npz(path)
            else:
                datasets.read_idx(path)

    refused, read_well = tried(make, open_it, (DataError,))
    assert min(refused, read_well) > 0


def test_databases(tmp_path):
    path = tmp_path / "data.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE pets (age REAL, kind TEXT, y INTEGER)")
        base.executemany("INSERT INTO pets VALUES (?, ?, ?)", [(1.5, "cat", 0), (None, "dog", 1)])
    base.close()
    seeds = [path.read_bytes()]

    def make(chance):
        return mutations.bytes_changed(seeds[0], chance, seeds)

    def open_it(content):
        path.write_bytes(content)
        with watched():
            table_files.read_table(str(path))

    refused, read_well = tried(make, open_it, (DataError,))
    assert min(refused, read_well) > 0


cells = st.one_of(
    st.text(max_size=8),
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(mutations.TEXTS),
)


@settings(max_examples=max(100, int(SECONDS * 60)))
@given(
    st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=8),
    st.sampled_from(",;\t"),
)
def test_any_cells(imported, tmp_path_factory, rows, separator):
    path = tmp_path_factory.mktemp("cells") / "table.csv"
    text = "\n".join(separator.join(row) for row in rows)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        with watched():
            read_table(path)
    except DataError as error:
        check_sentence(error)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=10,
)


PARTS = ["fingerprint", "steps", "seconds", "stopped", "ended", "all", "callbacks"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """What the checkpoint of a run holds that was stopped on its way."""
    place = Checkpoint(tmp_path_factory.mktemp("sound") / "run.safetensors", every="1 steps")

    def stop(run):
        if run.steps == 6:
            raise KeyboardInterrupt

    train.fit(network(), *data(), **options(place), callbacks=[stop])
    return files.read(place.latest)


@settings(max_examples=max(100, int(SECONDS * 20)))
@given(
    about=st.dictionaries(
        st.sampled_from(PARTS),
        trees,
        max_size=7,
    ),
    more=st.booleans(),
)
def test_any_run(tmp_path_factory, sound, about, more):
    place = Checkpoint(tmp_path_factory.mktemp("run") / "run.safetensors", every="1 hour")
    whole = (sound.about | about) if more else about
    files.write(place, files.Snapshot(sound.arrays, whole), keep=False)
    try:
        with watched():
            files.read_latest(place)
        with watched(reads_only=False):
            train.fit(network(), *data(), **options(place))
    except CheckpointError as error:
        check_sentence(error)
