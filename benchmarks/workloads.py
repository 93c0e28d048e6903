"""What is measured: one row per workload. Standard library only; the data are made in `data`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """A network, the data it sees, and what of it is timed.

    `timed` is "step" (one training step: forward, mean cross-entropy, backward, optimizer),
    "predict" (one prediction of one row), "first" (what the first training costs over a later
    one: compiling) or "import" (loading the library in a new Python).
    """

    name: str
    timed: str
    sizes: tuple[int, ...] = ()  # features, hidden widths, classes
    rows: int = 0
    batch: int = 1
    optimizer: str = "adam"
    lr: float = 1e-3

    @property
    def fresh(self) -> bool:
        """Whether each measurement needs a new process."""
        return self.timed in ("first", "import")

    @property
    def unit(self) -> tuple[str, float]:
        """The unit that results are shown in, and how many of them a second has."""
        return ("ms", 1e3) if self.fresh else ("us", 1e6)

    def __str__(self) -> str:
        if not self.sizes:
            return self.name
        layers = "-".join(map(str, self.sizes))
        if self.timed == "predict":
            return f"{self.name}: MLP {layers}, one row"
        return f"{self.name}: MLP {layers}, batch {self.batch}, {self.optimizer} {self.lr:g}"


WORKLOADS = (
    Workload("xor", "step", (2, 8, 2), rows=4_000, batch=4, optimizer="sgd", lr=0.1),
    Workload("digits", "step", (64, 100, 10), rows=1_797, batch=32),
    Workload("mnist", "step", (784, 128, 10), rows=60_000, batch=32),
    Workload("mlp512", "step", (784, 512, 512, 10), rows=12_800, batch=128),
    Workload("predict-one", "predict", (64, 100, 10), rows=1_797),
    Workload("first-fit", "first", (784, 128, 10), rows=60_000, batch=32),
    Workload("import", "import"),
)
