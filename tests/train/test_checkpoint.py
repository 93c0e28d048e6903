"""A checkpoint's file: written whole, read with its checksum, never lost on the way."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid import io, nn, train
from pellucid.files import safetensors
from pellucid.train import Checkpoint, CheckpointError
from pellucid.train import checkpoint as files
from pellucid.train.checkpoint import Snapshot

ROOT = Path(__file__).resolve().parents[2]


def snapshot(number=0, **about):
    arrays = {"a": np.arange(5, dtype=np.float32) + number, "b": np.array(number, np.uint32)}
    return Snapshot(arrays, {"steps": number, "ended": False, **about})


@pytest.fixture
def place(tmp_path):
    return Checkpoint(tmp_path / "run.safetensors")


def written(place, *numbers):
    for i, number in enumerate(numbers):
        files.write(place, snapshot(number), keep=i > 0)


def test_how_often_is_said_with_a_unit():
    expected = {
        "30 seconds": (30, "seconds"), "2.5s": (2.5, "seconds"), "10 minutes": (600, "seconds"),
        "1 h": (3600, "seconds"), "epoch": (1, "epochs"), "5 epochs": (5, "epochs"),
        " 500 steps ": (500, "steps"),
    }  # fmt: skip
    for every, interval in expected.items():
        assert Checkpoint("x", every).interval == interval


@pytest.mark.parametrize("every", ["", "30", "often", "0 steps", "-1 epochs", "1.5 epochs", 30])
def test_what_is_no_such_text_is_refused(every):
    with pytest.raises(ValueError, match="every must be a number with a unit, such as"):
        Checkpoint("x", every)


def test_a_path_is_needed():
    with pytest.raises(TypeError, match="needs the path of a file, received 3"):
        files.as_checkpoint(3)


def test_the_one_before_lies_beside(place):
    written(place, 1, 2, 3)
    assert place.previous.name == "run.previous.safetensors"
    assert files.read(place.latest).about["steps"] == 3
    assert files.read(place.previous).about["steps"] == 2
    found, is_latest = files.read_latest(place)
    assert is_latest
    np.testing.assert_array_equal(found.arrays["a"], snapshot(3).arrays["a"])
    assert sorted(os.listdir(place.latest.parent)) == [
        "run.previous.safetensors",
        place.latest.name,
    ]


def test_where_there_is_none_there_is_none(place):
    assert files.read_latest(place) is None


def flipped(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_one_flipped_bit_anywhere_is_noticed(place):
    written(place, 1)
    sound = place.latest.read_bytes()
    for at in range(len(sound)):
        flipped(place.latest, at)
        with pytest.raises((safetensors.ModelFileError, CheckpointError)):
            files.read(place.latest)
        place.latest.write_bytes(sound)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "missing", "text"])
def test_a_damaged_one_falls_back_to_the_one_before(place, damage):
    written(place, 1, 2)
    if damage == "flipped":
        flipped(place.latest, -1)
    elif damage == "missing":
        place.latest.unlink()
    else:
        sound = place.latest.read_bytes()
        place.latest.write_bytes({"cut": sound[:-3], "empty": b"", "text": b"a,b\n1,2\n"}[damage])
    with pytest.warns(UserWarning, match="going on from run.previous.safetensors, written before"):
        found, is_latest = files.read_latest(place)
    assert not is_latest
    assert found.about["steps"] == 1


def test_two_damaged_ones_are_told_of(place):
    written(place, 1, 2)
    flipped(place.latest, -1)
    flipped(place.previous, -1)
    with pytest.raises(CheckpointError, match=r"run.safetensors is damaged.*previous.* is damaged"):
        files.read_latest(place)
    place.previous.unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint to go on from: .*checksum.*holds$"):
        files.read_latest(place)


@pytest.mark.filterwarnings("ignore:.*going on from")
def test_a_damaged_one_never_takes_the_place_of_the_one_before(place):
    """While it is replaced, too, there is one that is sound."""
    written(place, 1, 2)
    flipped(place.latest, -1)
    files.write(place, snapshot(3), keep=False)  # as the keeper does after falling back
    assert files.read(place.latest).about["steps"] == 3
    assert files.read(place.previous).about["steps"] == 1


def test_model_files_and_checkpoints_are_told_apart(place):
    io.save(nn.Linear(1, 1), place.latest)
    with pytest.raises(CheckpointError, match="is a model file, expected a checkpoint of a train"):
        files.read_latest(place)
    with pytest.raises(CheckpointError, match="give the checkpoint another name, or delete"):
        files.check_replaceable(place)
    place.latest.unlink()
    written(place, 1)
    with pytest.raises(io.ModelFileError, match="is a checkpoint of a training run, expected a mo"):
        io.load(place.latest)


def test_a_later_version_is_not_taken_for_damage(place, monkeypatch):
    written(place, 1)
    monkeypatch.setattr(files, "VERSION", 2)
    files.write(place, snapshot(2), keep=True)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has version '2' of the format, .* reads up to 1"):
        files.read_latest(place)


def test_a_run_that_has_not_ended_is_not_replaced(place):
    files.check_replaceable(place)
    written(place, 17)
    with pytest.raises(CheckpointError, match="not ended, after 17 steps: go on .* resume=True"):
        files.check_replaceable(place)
    files.write(place, snapshot(18, ended=True), keep=True)
    files.check_replaceable(place)
    files.write_first(place, snapshot(0))
    assert os.listdir(place.latest.parent) == [place.latest.name]  # nothing of the other run


# -- what may go wrong while it is written --------------------------------------------------


class DiedError(BaseException):
    """The process is dead; nothing more is done."""


class Mortal:
    """Lets the process die at one of its calls to the system."""

    CALLS = ("open", "chmod", "fsync", "link", "replace", "unlink")

    def __init__(self, monkeypatch, at):
        self.left = at
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, function):
        def call(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise DiedError
            return function(*args, **kwargs)

        return call


def test_at_every_moment_there_is_a_sound_one(tmp_path):
    ends = set()
    for at in range(20):
        place = Checkpoint(tmp_path / str(at) / "run.safetensors")
        place.latest.parent.mkdir()
        written(place, 1, 2)
        with pytest.MonkeyPatch.context() as patch:
            Mortal(patch, at)
            try:
                files.write(place, snapshot(3), keep=True)
                died = False
            except DiedError:
                died = True
        found, _ = files.read_latest(place)
        assert found.about["steps"] in (2, 3)
        files.read(place.previous)
        ends.add((died, found.about["steps"]))
        files.remove_leftovers(place.latest)
        files.write(place, snapshot(4), keep=True)  # whoever comes next goes on as ever
        assert len(os.listdir(place.latest.parent)) == 2
        assert files.read(place.previous).about["steps"] == found.about["steps"]
        if not died:
            break
    assert ends == {(True, 2), (True, 3), (False, 3)}
    assert not died


def test_where_a_file_has_one_name_only_one_is_moved(place, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    written(place, 1, 2, 3)
    assert files.read(place.latest).about["steps"] == 3
    assert files.read(place.previous).about["steps"] == 2
    assert len(os.listdir(place.latest.parent)) == 2


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_disk_or_a_folder_that_cannot_be_written_is_a_clear_error(
    place, monkeypatch, call, number
):
    written(place, 1, 2)

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(CheckpointError, match=rf"cannot write .*run.*: {os.strerror(number)}; wh"):
        files.write(place, snapshot(3), keep=True)
    monkeypatch.undo()
    assert files.read(place.latest).about["steps"] == 2
    assert len(os.listdir(place.latest.parent)) == 2


def test_a_folder_that_is_none_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    place = Checkpoint(tmp_path / "file" / "run.safetensors")
    with pytest.raises(CheckpointError, match="cannot write the checkpoint .*Not a directory"):
        files.write_first(place, snapshot())


FULL = """
import resource, sys
import numpy as np
from pellucid import nn, train
from pellucid.train import checkpoint as files

class Fill(train.Callback):
    def epoch_end(self, run):
        if run.history.epochs == 3:  # from now on no file may become larger than 500 bytes
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))

X, y = np.eye(8, dtype=np.float32), np.arange(8) % 2
place = train.Checkpoint(sys.argv[1], every="epoch")
try:
    train.fit(nn.Linear(8, 2), X, y, epochs=9, batch_size=2, checkpoint=place, callbacks=[Fill()])
except train.CheckpointError as error:
    print(error)
    print(files.read(place.latest).about["steps"], files.read(place.previous).about["steps"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_disk_that_fills_up_ends_the_run_and_leaves_the_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    error, steps = done.stdout.splitlines()
    assert error.startswith(f"cannot write the checkpoint {path}: File too large; what was there")
    assert steps == "8 4"  # epochs 2 and 1
    assert sorted(os.listdir(tmp_path)) == ["run.previous.safetensors", "run.safetensors"]


A_DISK = """
import hashlib, os, subprocess, sys
import numpy as np
from pellucid import nn, train
from pellucid.train import checkpoint as files

disk = sys.argv[1]
place = train.Checkpoint(os.path.join(disk, "run.safetensors"), every="epoch")
X, y = np.eye(8, dtype=np.float32), np.arange(8) % 2

def fill(run):
    if run.history.epochs == 3:
        try:
            with open(os.path.join(disk, "filler"), "wb", buffering=0) as file:
                while True:
                    file.write(bytes(512))
        except OSError as error:
            print(error.strerror)

def lock(run):
    if run.history.epochs == 5:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

def fitted(*callbacks, **options):
    model = nn.Linear(8, 2, weight_init="zeros")
    try:
        run = train.fit(model, X, y, epochs=9, batch_size=2, callbacks=callbacks, **options)
        print(run.stopped, hashlib.sha256(model.weight.numpy().tobytes()).hexdigest())
    except train.CheckpointError as error:
        print(error)
        print(files.read(place.latest).about["steps"], files.read(place.previous).about["steps"])
        print(*sorted(os.listdir(disk)))

fitted()
fitted(fill, checkpoint=place)
os.remove(os.path.join(disk, "filler"))
fitted(lock, checkpoint=place, resume=True)
subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
fitted(checkpoint=place, resume=True)
"""


def in_a_room_of_its_own(*command):
    """Run with a table of mounts of its own, as if by root; None where that cannot be had."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    place = [unshare, "--user", "--map-root-user", "--mount", "sh", "-ec"]
    return subprocess.run([*place, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_real_disk_that_is_full_and_one_that_is_read_only(tmp_path):
    """Each ends the run with its error; when there is room again, the run goes on as ever."""
    mount = 'mount -t tmpfs -o size=32k none "$0"'
    if (tried := in_a_room_of_its_own(mount, str(tmp_path))) is None or tried.returncode:
        pytest.skip("no disk can be mounted here")
    command = f'{mount}; exec "{sys.executable}" -c "$1" "$0"'
    done = in_a_room_of_its_own(command, str(tmp_path), A_DISK)
    assert done.stderr == ""
    whole, full, error, steps, names, locked, then, these, end = done.stdout.splitlines()
    path = tmp_path / "run.safetensors"
    assert full == "No space left on device"
    assert error == (
        f"cannot write the checkpoint {path}: No space left on device; what was there before is "
        "intact"
    )
    assert steps == "8 4"  # epochs 2 and 1
    assert names == "filler run.previous.safetensors run.safetensors"
    assert locked == error.replace("No space left on device", "Read-only file system")
    assert then == "16 12"
    assert these == "run.previous.safetensors run.safetensors"
    assert end == whole
    assert end.startswith("all 9 epochs ")


def test_leftovers_of_this_file_are_removed_and_no_others(tmp_path):
    place = Checkpoint(tmp_path / "run.safetensors")
    for name in (".run.safetensors.1.ab.part", ".other.safetensors.1.ab.part", "run.part"):
        (tmp_path / name).touch()
    files.write_first(place, snapshot())
    assert sorted(os.listdir(tmp_path)) == [
        ".other.safetensors.1.ab.part", "run.part", "run.safetensors",
    ]  # fmt: skip


def test_the_error_is_there_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("no folder")
    seen = []
    with pytest.raises(CheckpointError, match="cannot write"):
        train.fit(
            nn.Linear(2, 2), np.eye(2), [0, 1], checkpoint=tmp_path / "file" / "run.safetensors",
            callbacks=[lambda run: seen.append(run.steps)],
        )  # fmt: skip
    assert seen == []
