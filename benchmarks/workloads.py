"""What is measured: one row per workload. Standard library only; the data are made in `data`."""

from __future__ import annotations

from dataclasses import dataclass

EXAMPLES: dict[str, tuple[int, ...]] = {
    "lenet5": (28, 28, 1),
    "convnet": (32, 32, 3),
    "resnet20": (32, 32, 3),
    "series_resnet": (150, 1),
}
"""The networks of `pellucid.models` that are measured: shapes of an example, channels last."""

IMAGES = ("lenet5", "convnet", "resnet20")
"""Those over images, whose arrays PyTorch can arrange in two ways."""


@dataclass(frozen=True)
class Workload:
    """A network, the data it sees, and what of it is timed.

    `timed` is "step" (one training step: forward, mean cross-entropy, backward, optimizer),
    "predict" (one prediction of one row), "first" (what the first training costs over a later
    one: compiling) or "import" (loading the library in a new Python).

    `network` is "mlp", whose features, hidden widths and classes are `sizes`, or one of
    `EXAMPLES`, with 10 classes. `optimizer` is "sgd", "momentum" (of 0.9) or "adam". What is
    `heavy` is measured only when asked for by name.
    """

    name: str
    timed: str
    sizes: tuple[int, ...] = ()
    network: str = "mlp"
    rows: int = 0
    batch: int = 1
    optimizer: str = "adam"
    lr: float = 1e-3
    heavy: bool = False

    @property
    def example(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.sizes[:1] if self.network == "mlp" else EXAMPLES[self.network]

    @property
    def classes(self) -> int:
        """How many outputs the network has."""
        return self.sizes[-1] if self.network == "mlp" else 10

    @property
    def fresh(self) -> bool:
        """Whether each measurement needs a new process."""
        return self.timed in ("first", "import")

    @property
    def unit(self) -> tuple[str, float]:
        """The unit that results are shown in, and how many of them a second has."""
        return ("ms", 1e3) if self.fresh else ("us", 1e6)

    def __str__(self) -> str:
        if self.timed == "import":
            return self.name
        if self.network == "mlp":
            made = f"MLP {'-'.join(map(str, self.sizes))}"
        else:
            made = f"{self.network} on {'x'.join(map(str, self.example))}"
        if self.timed == "predict":
            return f"{self.name}: {made}, one row"
        return f"{self.name}: {made}, batch {self.batch}, {self.optimizer} {self.lr:g}"


WORKLOADS = (
    Workload("xor", "step", (2, 8, 2), rows=4_000, batch=4, optimizer="sgd", lr=0.1),
    Workload("digits", "step", (64, 100, 10), rows=1_797, batch=32),
    Workload("mnist", "step", (784, 128, 10), rows=60_000, batch=32),
    Workload("mlp512", "step", (784, 512, 512, 10), rows=12_800, batch=128),
    Workload("predict-one", "predict", (64, 100, 10), rows=1_797),
    Workload("first-fit", "first", (784, 128, 10), rows=60_000, batch=32),
    Workload("import", "import"),
    Workload(
        "lenet",
        "step",
        network="lenet5",
        rows=60_000,
        batch=64,
        optimizer="momentum",
        lr=0.01,
        heavy=True,
    ),
    Workload("convnet", "step", network="convnet", rows=2_048, batch=64, heavy=True),
    Workload(
        "resnet20",
        "step",
        network="resnet20",
        rows=1_024,
        batch=128,
        optimizer="momentum",
        lr=0.1,
        heavy=True,
    ),
    Workload("series", "step", network="series_resnet", rows=640, batch=16, heavy=True),
    Workload("predict-lenet", "predict", network="lenet5", rows=64, heavy=True),
    Workload("first-lenet", "first", network="lenet5", rows=6_400, batch=64, heavy=True),
    Workload("first-convnet", "first", network="convnet", rows=256, batch=64, heavy=True),
    Workload("first-resnet20", "first", network="resnet20", rows=256, batch=128, heavy=True),
    Workload("first-series", "first", network="series_resnet", rows=160, batch=16, heavy=True),
)


def workload_named(name: str) -> Workload:
    """Return the row of that name."""
    return next(workload for workload in WORKLOADS if workload.name == name)
