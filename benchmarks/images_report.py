"""From the records of the study of images and signals to tables and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .overfitting_report import table, write

if TYPE_CHECKING:
    from .images import Task

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """Return the records of a file, oldest first; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def choice(records: list[Record], name: str) -> Record:
    """Return the latest choice of a learning rate.

    Raises:
        SystemExit: none has been made.
    """
    made = [r for r in records if r["kind"] == "choice" and r["task"] == name]
    if not made:
        raise SystemExit(f"no rate has been chosen: python -m benchmarks.images choose {name}")
    return made[-1]


def runs(records: list[Record], name: str) -> list[Record]:
    """Return the latest run of each seed, in the order of the seeds."""
    latest = {r["seed"]: r for r in records if r["kind"] == "run" and r["task"] == name}
    return [latest[seed] for seed in sorted(latest)]
