"""Training on a file four times the allowed memory, beside the same rows in memory.

    python -m benchmarks.large_data [--limit 256] [--ulimit] [--folder DIR] [--rounds 3] [--only X]

Two limits of `limit` MiB each hold for the process that trains on the file. `ulimit -d`
(RLIMIT_DATA): what it allocates; a map that is only read does not count, while `ulimit -v`
would count it whole and let nobody map such a file, and `ulimit -m` is not heeded by Linux.
And, where the rights are there, a control group for memory in which pages of the file count
as well: at most a quarter of it can be held by the system at any time, so that each epoch
reads it from the disk. Without a group, or with --ulimit, only the first limit holds, and the
answer says so: the system may keep the file's pages while nobody else asks for memory.

The file's pages are dropped before. The same rows in memory have no limit. Both take
turns. On a crowded machine the ratio of processor times is steadier than that of speeds; it
does not count waiting for the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20
FEATURES, CLASSES = 784, 10
WORKLOADS = {
    "784-512-512-10, batch 128, float32": ("float32", (784, 512, 512, 10), 128),
    "784-128-10, batch 32, uint8": ("uint8", (784, 128, 10), 32),
    "784-128-10, batch 32, float32": ("float32", (784, 128, 10), 32),
}
GROUPS = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


def write(path: Path, dtype: str, rows: int) -> None:
    """Random pixels, block by block."""
    random = np.random.default_rng(0)
    with open(path, "wb") as file:
        for first in range(0, rows, 10_000):
            count = min(10_000, rows - first)
            pixels = random.integers(0, 256, (count, FEATURES), np.uint8)
            if dtype != "uint8":
                pixels = (pixels / np.float32(255)).astype(dtype)
            file.write(pixels.tobytes())
        file.flush()
        os.fsync(file.fileno())


def drop(path: Path) -> None:
    """Let the system forget the file's pages."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def group(limit: int) -> Any:
    """A control group of so many bytes; None where none can be made."""
    for root, name in zip(GROUPS, ("memory.limit_in_bytes", "memory.max"), strict=True):
        place = root / f"pellucid.{os.getpid()}"
        try:
            place.mkdir()
        except OSError:
            continue
        try:
            (place / name).write_text(str(limit))
            yield place
            return
        except OSError:
            continue
        finally:
            place.rmdir()
    yield None


def work(task: dict[str, Any]) -> None:
    """In a process of its own: train, and tell how fast."""
    if not task["in_memory"]:
        resource.setrlimit(resource.RLIMIT_DATA, (task["limit"], task["limit"]))
    if task["group"]:
        (Path(task["group"]) / "cgroup.procs").write_text(str(os.getpid()))
    import pellucid as pe
    from pellucid import nn, optim, train

    shape = task["rows"], FEATURES
    X: Any = np.memmap(task["path"], task["dtype"], "r", shape=shape)
    shuffle: Any = "blocks"
    if task["in_memory"]:
        X, shuffle = np.array(X, np.float32), True
    y = np.random.default_rng(1).integers(0, CLASSES, task["rows"]).astype(np.int32)
    sizes = task["sizes"]
    layers: list[Any] = []
    for wide, narrow in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    pe.random.set_seed(0)
    model = nn.Sequential(*layers[:-1])
    ends, anonymous = [], [0]

    class Watch(train.Callback):
        def slice_end(self, run: Any) -> None:
            with open("/proc/self/status") as file:
                found = next(int(line.split()[1]) for line in file if "RssAnon" in line)
            anonymous[0] = max(anonymous[0], found << 10)

        def epoch_end(self, run: Any) -> None:
            ends.append((time.perf_counter(), time.process_time()))

    pe.fit(
        model, X, y, epochs=task["epochs"], batch_size=task["batch"], shuffle=shuffle,
        optimizer=optim.adam(1e-3), callbacks=[Watch()], verbose=False,
    )  # fmt: skip
    seconds, processor = (np.array(ends[-1]) - ends[0]) / (len(ends) - 1) / task["rows"]
    print(json.dumps({
        "rows per second": 1 / seconds,
        "processor": processor,
        "anonymous": anonymous[0],
    }))  # fmt: skip


def measured(task: dict[str, Any]) -> dict[str, float]:
    """The answer of a process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_data", "--work", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{task} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def compare(name: str, folder: Path, options: argparse.Namespace) -> None:
    """One workload: file and memory in turn."""
    limit, rounds, epochs = options.limit * MIB, options.rounds, options.epochs
    dtype, sizes, batch = WORKLOADS[name]
    row = FEATURES * np.dtype(dtype).itemsize
    rows = 4 * limit // row
    path = folder / "rows"
    write(path, dtype, rows)
    task = {
        "path": str(path), "dtype": dtype, "rows": rows, "sizes": sizes, "batch": batch,
        "epochs": epochs, "group": None, "in_memory": False, "limit": limit,
    }  # fmt: skip
    few = min(rows, (2 << 30) // (4 * FEATURES))  # as many as 2 GiB hold in float32
    ratios, processor, speeds, largest, limited = [], [], [], 0.0, True
    for _ in range(rounds):
        with nullcontext() if options.ulimit else group(limit) as place:
            limited = limited and place is not None
            drop(path)
            file = measured(task | {"group": place and str(place)})
        memory = measured(task | {"in_memory": True, "rows": few})
        ratios.append(file["rows per second"] / memory["rows per second"])
        processor.append(file["processor"] / memory["processor"])
        speeds.append(file["rows per second"])
        largest = max(largest, file["anonymous"])
    speed = statistics.median(speeds)
    print(
        f"{name}: {rows:,} rows, {rows * row / MIB:,.0f} MiB in the file, "
        f"limit {limit // MIB} MiB{'' if limited else ' without pages of the file'}; "
        f"{speed:,.0f} rows/s, {speed * row / MIB:,.0f} MiB/s, "
        f"{100 * statistics.median(ratios):.0f} % of the speed in memory "
        f"({', '.join(f'{100 * r:.0f}' for r in ratios)}), "
        f"{statistics.median(processor):.2f} times the processor time; "
        f"{largest / MIB:,.0f} MiB allocated at most",
        flush=True,
    )
    path.unlink()


def main() -> None:
    """Measure, and print a line per workload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=256, help="MiB")
    parser.add_argument("--folder", default=None, help="where the file is written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", default="", help="workloads with this in their name")
    parser.add_argument("--ulimit", action="store_true", help="no limit but that of `ulimit -d`")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(json.loads(options.work))
        return
    for name in (name for name in WORKLOADS if options.only in name):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            compare(name, Path(folder), options)


if __name__ == "__main__":
    main()
