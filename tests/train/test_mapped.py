"""Arrays in files are trained on where they lie, with the bits of arrays in memory."""

from __future__ import annotations

import hashlib
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.train import mapped
from pellucid.train.mapped import Selected, blocks, is_mapped, is_used_in_place

ROOT = Path(__file__).resolve().parents[2]
ROWS = 301


def network(outputs=3, features=20):
    pe.random.set_seed(0)
    return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, outputs))


def numbers(dtype="uint8"):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2 if dtype == "bool" else 100, (ROWS, 20)).astype(dtype)
    return X, rng.integers(0, 3, ROWS).astype(np.int64)


def in_file(path, array):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def digest(model, run=None):
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(value.tobytes())
    for column in run.history.values() if run else ():
        found.update(bytes(column))
    return found.hexdigest()


def fitted(X, y, outputs=3, **options):
    model = network(outputs)
    run = train.fit(
        model, X, y, **({"epochs": 2, "batch_size": 16, "optimizer": optim.sgd(1e-3)} | options)
    )
    return digest(model, run)


def test_maps_are_told_from_copies(tmp_path):
    found = in_file(tmp_path / "x.npy", np.ones((10, 4), np.float32))
    with open(tmp_path / "x.npy", "rb") as file:
        bare = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    by_hand = np.frombuffer(bare, np.float32, 16, 128).reshape(4, 4)
    assert all(map(is_mapped, (found, found[2:], np.asarray(found), found.reshape(5, 8), by_hand)))
    assert not any(map(is_mapped, (found.copy(), found[[1]], found + 1, np.ones(3))))
    assert is_used_in_place(found)
    assert is_used_in_place(found[3:])
    assert not any(map(is_used_in_place, (found[:, 1:], found.T, found.copy())))
    assert not is_used_in_place(in_file(tmp_path / "h.npy", np.ones((3, 3), np.float16)))


MODES = {
    "plain": {},
    "in order": {"shuffle": False},
    "in blocks": {"shuffle": "blocks"},
    "held out": {"validation": 0.3},
    "held out, in blocks": {"validation": 0.3, "shuffle": "blocks"},
    "weighted": {"sample_weight": np.linspace(0.5, 2, ROWS), "validation": 0.2},
    "one batch": {"batch_size": 999},
    "metrics of whole sets": {"validation": {"a": 0.2, "b": 0.1}, "metrics": ["f1_macro"]},
    "a search": {"validation": 0.3, "batch_size": 999, "optimizer": optim.lbfgs()},
    "a search in blocks": {"shuffle": "blocks", "batch_size": 999, "optimizer": optim.lbfgs()},
    "rate by batch size": {"validation": 0.3, "reference_batch": 999, "shuffle": "blocks"},
}


KINDS = [*sorted(d.name for d in mapped.IN_PLACE), "float16", ">f4"]
CASES = [(kind, "plain") for kind in KINDS]
CASES += [(kind, mode) for kind in ("float32", "uint8") for mode in MODES if mode != "plain"]


@pytest.mark.parametrize(("dtype", "mode"), CASES)
def test_the_bits_are_those_of_arrays_in_memory(tmp_path, monkeypatch, dtype, mode):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 1000)  # of few rows each
    X, y = numbers(dtype)
    expected = fitted(X.astype(np.float32), y, **MODES[mode])
    in_files = in_file(tmp_path / "x.npy", X), in_file(tmp_path / "y.npy", y)
    assert is_used_in_place(in_files[0]) == (dtype not in ("float16", ">f4"))
    assert fitted(*in_files, **MODES[mode]) == expected


def test_each_way_to_shuffle_has_an_order_of_its_own(monkeypatch):
    monkeypatch.setattr("pellucid.train.blocks.SMALL_BLOCK", 200)
    found = {fitted(*numbers(), shuffle=shuffle) for shuffle in (True, False, "blocks")}
    assert len(found) == 3


@pytest.mark.parametrize("shuffle", [True, "blocks"])
def test_a_search_must_see_all_rows_of_a_file(tmp_path, monkeypatch, shuffle):
    """Not only those of a window, and no more than those that are not held out."""
    monkeypatch.setattr("pellucid.train.blocks.WINDOW_BYTES", 1600)
    X, y = numbers()
    with pytest.raises(ValueError, match="a batch_size of at least 211, received 100"):
        fitted(
            in_file(tmp_path / "x.npy", X), y, batch_size=100, shuffle=shuffle, validation=0.3,
            optimizer=optim.lbfgs(),
        )  # fmt: skip


@pytest.mark.parametrize("loss", ["mse", "binary_cross_entropy_with_logits", "hinge", "poisson"])
def test_targets_in_a_file(tmp_path, monkeypatch, loss):
    """Such as those of a network that gives back its inputs."""
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 1000)
    X = numbers("bool")[0]
    y = (2 * X - 1).astype(np.float32) if loss == "hinge" else X
    expected = fitted(X, y, outputs=20, loss=loss, validation=0.2)
    maps = in_file(tmp_path / "x.npy", X), in_file(tmp_path / "y.npy", y)
    assert fitted(*maps, outputs=20, loss=loss, validation=0.2) == expected


def test_figures_and_outputs_of_a_map(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 1000)
    X, y = numbers()
    model, found = network(), in_file(tmp_path / "x.npy", X)
    assert train.evaluate(model, found, y) == train.evaluate(model, X, y)
    np.testing.assert_array_equal(model.predict(found), model.predict(X))
    np.testing.assert_array_equal(model.predict(found[:0]), model.predict(X[:0]))


@pytest.mark.parametrize(
    ("dtype", "place", "value", "message"),
    [
        ("float32", (250, 3), np.nan, "X has NaN at row 250, column 3"),
        ("float64", (77, 0), np.inf, "X has infinity at row 77, column 0"),
        ("float64", (299, 19), 1e300, "X has 1e.300 at row 299, column 19.* too large for float32"),
    ],
)
def test_what_is_not_finite_is_named_with_its_row(
    tmp_path, monkeypatch, dtype, place, value, message
):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 1000)
    X, y = numbers(dtype)
    X[place] = value
    with pytest.raises(ValueError, match=message):
        fitted(in_file(tmp_path / "x.npy", X), y)


def test_a_bad_target_is_named_with_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 800)
    X, y = numbers()
    y[205] = 7
    with pytest.raises(ValueError, match=r"in the rows from 200 on: .*received 7 in row 5"):
        fitted(X, in_file(tmp_path / "y.npy", y))


def test_divergence_is_explained_over_a_map(tmp_path):
    X, y = numbers("float32")
    for shuffle in (True, "blocks"):
        with pytest.raises(train.TrainingDiverged, match="Lower the learning rate"):
            fitted(
                in_file(tmp_path / "x.npy", X), y, loss=lambda p, t: pe.exp(p[:, 0] * 50),
                optimizer=optim.sgd(1e4), shuffle=shuffle,
            )  # fmt: skip


def test_blocks_are_consecutive_and_small(monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 64)
    array = np.arange(70, dtype=np.float32).reshape(35, 2)
    found = list(blocks(array))
    assert [first for first, _ in found] == [0, 8, 16, 24, 32]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in found]), array)
    assert len(list(blocks(np.zeros((5, 1000), np.float32)))) == 5  # a row at least


@pytest.mark.skipif(not hasattr(mmap.mmap, "madvise"), reason="this system cannot be asked")
def test_rows_are_asked_for_where_they_lie_and_no_others(tmp_path):
    asked = []

    class Watched(mmap.mmap):
        def madvise(self, option, start, length):
            asked.append((option, start, length))
            super().madvise(option, start, length)

    page = mmap.PAGESIZE
    path = tmp_path / "rows"
    path.write_bytes(bytes(100 * page))
    with open(path, "rb") as file:
        found = Watched(file.fileno(), 0, access=mmap.ACCESS_READ)
    rows = np.frombuffer(found, np.uint8, 60 * page, 10 * page).reshape(-1, page // 4)
    mapped.ask_for(rows, 8, 16)  # two pages
    mapped.ask_for(rows[4:], 1, 2)  # a quarter of a page
    mapped.ask_for(Selected(rows, np.array([0, 3, 41, 42])), 1, 3)
    assert asked == [
        (mmap.MADV_WILLNEED, 12 * page, 2 * page),
        (mmap.MADV_WILLNEED, 11 * page, page // 2),
        (mmap.MADV_WILLNEED, 10 * page, 10 * page + page // 2),
    ]
    for act in (mapped.ask_for, mapped.let_go_of):
        act(rows.copy(), 0, 3)
        act(rows[:, 1:], 0, 3)
    assert len(asked) == 3
    mapped.let_go_of(rows, 8, 16)
    assert asked[3:] == [(mmap.MADV_DONTNEED, 12 * page, 2 * page)]


def test_what_was_written_to_a_private_map_is_not_let_go(tmp_path):
    X, _ = numbers()
    np.save(tmp_path / "x.npy", X)
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[:] = 7
    mapped.let_go_of(private, 0, len(private))
    assert (private == 7).all()


def test_selected_rows_are_taken_when_asked_for():
    array = np.arange(20).reshape(10, 2)
    few = Selected(array, np.array([1, 4, 5, 9]))
    assert few.shape == (4, 2)
    assert len(few) == 4
    np.testing.assert_array_equal(few[1:3], array[4:6])
    np.testing.assert_array_equal(few[np.array([3, 0])], array[[9, 1]])
    np.testing.assert_array_equal(mapped.selected(few, np.array([0, 2])).rows, [1, 5])


LIMITED = """
import resource, sys
import numpy as np
import pellucid as pe
from pellucid import nn, train

pe.set_threads(2)
ROWS, FEATURES = 1 << 17, 1024
X = np.memmap(sys.argv[1], sys.argv[2], "w+", shape=(ROWS, FEATURES))  # of holes: no disk is used
y = np.zeros(ROWS, np.int32)
y[::2] = 1
model = nn.Sequential(nn.Linear(FEATURES, 4), nn.ReLU(), nn.Linear(4, 2))
small = X[:64]
train.fit(model, np.array(small), y[:64], epochs=1, batch_size=64)  # imports and threads

used = next(int(line.split()[1]) for line in open("/proc/self/status") if "VmData" in line)
allowed = ROWS * FEATURES // 4  # a quarter of the file, if it holds bytes
resource.setrlimit(resource.RLIMIT_DATA, ((used << 10) + allowed + (64 << 20),) * 2)
try:
    X.astype(np.float32)
    print("the limit does not hold")
except MemoryError:
    pass
options = dict(epochs=1, batch_size=256)
train.fit(model, X, y, validation=0.25, **options)
train.fit(model, X, y, shuffle="blocks", validation=(X[:1000], y[:1000]), **options)
train.evaluate(model, X, y)
model.predict(X)
print("trained")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_file_is_never_copied_whole(tmp_path, dtype):
    """With a quarter of the file's size allowed for data; 64 MiB are for windows and buffers."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "x"), dtype],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["trained"], done.stderr
