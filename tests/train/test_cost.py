"""The cost of a run: operations by hand, sums that add up, what is kept alive, the card."""

from __future__ import annotations

import gc
import json
import pickle
import re
import time
import weakref

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler, nn, optim, train
from pellucid.core.tree import leaves
from pellucid.train import cost as costs
from pellucid.train.cost import Cost, Memory, peak_bytes
from pellucid.train.energy import Energy

RNG = np.random.default_rng(0)


def fitted(rows=12, batch=4, inputs=3, outputs=2, epochs=1, **options):
    X, y = RNG.normal(size=(rows, inputs)), RNG.normal(size=(rows, outputs))
    options.setdefault("model", nn.Linear(inputs, outputs))
    options.setdefault("optimizer", optim.sgd(0.01))
    model = options.pop("model")
    return pe.fit(model, X, y, loss="squared_error", batch_size=batch, epochs=epochs, **options)


def by_hand(b: int, i: int, o: int) -> int:
    """A step of a linear layer of i inputs and o outputs on b rows, with SGD."""
    forward = 2 * b * i * o + b * o  # products and bias
    loss = 3 * b * o + 2 * b + 4  # difference, square, sum of each row; half, sum; mean
    back = 1 + 4 + b + 2 * b * o  # through the mean, the half and the square
    weight = 2 * b * i * o + 2 * i * o  # products; the rate, and what is learned
    bias = b * o + 2 * o
    return forward + loss + back + weight + bias


@pytest.mark.parametrize(("b", "i", "o"), [(4, 3, 2), (8, 5, 1), (3, 7, 3)])
def test_operations_of_a_step_as_by_hand(b, i, o):
    found = fitted(rows=b, batch=b, inputs=i, outputs=o).cost
    assert found.operations_per_step == found.operations == by_hand(b, i, o)


def test_products_of_a_dense_network():
    """2 b i h forward, as much for the weight, and for every layer but the first as much back."""

    def products(i, h, o, b=8):
        return 2 * b * (2 * i * h + 3 * h * h + 3 * h * o)

    def steps(i, h, o):
        model = nn.Sequential(
            nn.Linear(i, h, bias=False), nn.ReLU(), nn.Linear(h, h, bias=False), nn.ReLU(),
            nn.Linear(h, o, bias=False),
        )  # fmt: skip
        weights = i * h + h * h + h * o
        found = fitted(8, 8, i, o, model=model).cost.operations_per_step
        return found - 2 * weights  # SGD: the rate, and what is learned

    # what is left is elementwise: it does not go with the number of inputs
    assert steps(20, 5, 3) - steps(10, 5, 3) == products(20, 5, 3) - products(10, 5, 3)
    assert 0 < steps(40, 30, 20) - products(40, 30, 20) < 0.2 * products(40, 30, 20)


def test_a_shorter_last_batch_counts_what_it_is():
    whole, short = (fitted(n, n).cost.operations_per_step for n in (4, 2))
    found = fitted(rows=10, batch=4, epochs=3).cost
    assert (found.steps, found.batch) == (9, 4)
    assert found.operations_per_step == whole
    assert found.operations == 3 * (2 * whole + short)


def test_a_run_that_ends_within_an_epoch_counts_the_steps_taken():
    class Stop(train.Callback):
        def slice_end(self, run):
            run.stop("enough")

    run = fitted(rows=10, batch=4, epochs=3, callbacks=[Stop()])
    assert run.cost.steps == run.steps == 1
    assert run.cost.operations == by_hand(4, 3, 2)


def test_the_numbers_add_up():
    before = time.perf_counter(), time.process_time()
    run = fitted(rows=200, batch=8, epochs=5, validation=0.25, optimizer=optim.adam(0.01))
    after = time.perf_counter(), time.process_time()
    found = run.cost
    assert found.parameters == run.model.num_parameters == 8
    assert found.run_seconds > 0 and found.compile_seconds > 0
    assert found.compile_seconds + found.run_seconds <= found.seconds <= after[0] - before[0]
    assert 0 < found.cpu_seconds <= after[1] - before[1]
    assert found.flops_per_second * found.run_seconds == pytest.approx(found.operations)
    memory = found.memory
    assert memory.total == sum(
        (memory.parameters, memory.optimizer, memory.temporaries, memory.data)
    )
    assert memory.optimizer >= 2 * 4 * 8  # Adam's two moments of 8 parameters
    assert memory.parameters >= 4 * 8
    assert memory.data >= 200 * (3 + 2) * 4
    assert found.peak_bytes is None or found.peak_bytes > memory.total
    assert found.energy.low <= found.energy.high
    json.dumps(found.to_dict(), allow_nan=False)


def test_sizes_of_what_is_held():
    small, large = (fitted(64, 8, inputs=n, optimizer=optim.adam()).cost.memory for n in (16, 1024))
    assert large.parameters > 10 * small.parameters
    assert large.optimizer == pytest.approx(2 * large.parameters, rel=0.1)
    assert large.data - small.data == 64 * (1024 - 16) * 4


@pytest.mark.skipif(not compiler.can_compile(), reason="needs llvmlite")
def test_where_the_code_was_from(tmp_path, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path))
    model = nn.Sequential(nn.Linear(3, 4), nn.Activation(pe.sin), nn.Linear(4, 2))

    def origin():
        gc.collect()  # code in use is in memory
        return fitted(rows=11, model=model).cost.compiled

    assert [origin(), origin()] == ["compiled", "cache"]
    for file in tmp_path.glob("*.code"):
        file.unlink()
    assert origin() == "compiled"
    in_use = []
    bill = costs.Meter.bill
    monkeypatch.setattr(
        costs.Meter,
        "bill",
        lambda self, loop, *rest: in_use.append(loop) or bill(self, loop, *rest),
    )
    assert [origin(), origin()] == ["cache", "memory"]


def test_on_the_reference(monkeypatch):
    monkeypatch.setenv("PELLUCID_REFERENCE", "1")
    found = fitted().cost
    assert found.compiled == "reference" and found.operations_per_step == by_hand(4, 3, 2)
    assert found.memory.temporaries > 0
    assert "on NumPy, nothing to compile" in str(found)


def test_the_cost_is_known_at_the_end():
    seen = []

    class Look(train.Callback):
        def train_begin(self, run):
            with pytest.raises(ValueError, match="known at its end"):
                run.cost  # noqa: B018

        def train_end(self, run):
            seen.append(run.cost)

    run = fitted(callbacks=[Look()])
    assert seen == [run.cost]


def test_a_run_that_diverges_has_a_cost():
    with pytest.raises(train.TrainingDiverged) as caught:
        fitted(rows=40, epochs=400, optimizer=optim.sgd(1e6))
    assert caught.value.run.cost.steps > 0


@pytest.fixture
def at_the_end(monkeypatch):
    """Weak references to what a run has in hand when its cost is taken, by kind."""
    kept: dict[str, list] = {"data": [], "programs": [], "optimizer": []}
    original = costs.Meter.bill

    def bill(self, loop, state, evaluations=()):
        kept["data"] += map(weakref.ref, [loop, *loop.data, *evaluations])
        kept["programs"] += map(weakref.ref, loop.programs)
        kept["optimizer"] += [weakref.ref(t.node.cell) for t in leaves(state.memory)]
        return original(self, loop, state, evaluations)

    monkeypatch.setattr(costs.Meter, "bill", bill)
    return kept


def alive(references) -> list[bool]:
    gc.collect()
    return [reference() is not None for reference in references]


@pytest.mark.parametrize("looked", [False, True])
def test_a_run_keeps_neither_the_data_nor_the_programs_alive(at_the_end, looked):
    run = fitted(rows=50, batch=7, validation=0.2)
    if looked:
        assert run.cost.operations
    assert len(at_the_end["data"]) == 4 and len(at_the_end["programs"]) == 2
    assert not any(alive(at_the_end["data"] + at_the_end["programs"]))
    assert run.cost.operations


def test_a_small_optimizers_memory_is_let_go_once_operations_are_counted(at_the_end):
    run = fitted(optimizer=optim.adam())
    assert alive(at_the_end["optimizer"]) == [True] * 4
    assert run.cost.operations == 3 * run.cost.operations_per_step
    assert not any(alive(at_the_end["optimizer"]))


def test_a_large_optimizers_memory_is_let_go_at_once(at_the_end, monkeypatch):
    monkeypatch.setattr(costs, "_LIGHT", 0)
    run = fitted(optimizer=optim.adam())
    assert alive(at_the_end["optimizer"]) == [False] * 4
    assert run.cost.operations == 3 * run.cost.operations_per_step > 0


def test_a_run_can_be_pickled():
    run = fitted()
    again = pickle.loads(pickle.dumps(run))
    assert again.cost == run.cost and again.cost.operations == 3 * by_hand(4, 3, 2)


CARD = Cost(
    parameters=7510,
    steps=1640,
    batch=32,
    operations=1_969_212_840,
    operations_per_step=1_215_845,
    seconds=0.168,
    compile_seconds=0.048,
    compiled="cache",
    run_seconds=0.087,
    cpu_seconds=0.152,
    memory=Memory(35_840, 71_680, 151_488, 1_366_932),
    peak_bytes=236_036_096,
    energy=Energy(0.456, 2.28, "estimated: processor time at 3 to 15 W a busy core"),
)


def test_the_card():
    assert str(CARD).splitlines() == [
        "parameters  7,510",
        "operations  1.97 GFLOP: 1,640 steps of 32 rows, 1.22 MFLOP each",
        "time        168 ms: compiling 48 ms (from the cache), steps 87 ms, the rest 33 ms",
        "processors  152 ms of processor time",
        "speed       22.6 GFLOP/s in steps",
        "memory      1.63 MB: parameters 35.8 kB, optimizer 71.7 kB, on the way 151 kB, "
        "data 1.37 MB",
        "process     236 MB at most since it began",
        "energy      456 mJ to 2.28 J (127 µWh to 633 µWh), estimated: processor time at 3 to "
        "15 W a busy core",
    ]
    assert repr(CARD) == str(CARD)


AMOUNTS = {
    0: "0 B",
    1: "1 B",
    999: "999 B",
    999.4: "999 B",
    999.9: "1000 B",
    1000: "1 kB",
    999_600: "1000 kB",
    1e18: "1 EB",
    5e21: "5000 EB",
    0.5: "500 mB",
    2e-12: "0.002 nB",
}


@pytest.mark.parametrize("value", AMOUNTS)
def test_amounts(value):
    assert costs._amount(value, "B") == AMOUNTS[value]


def test_an_energy_that_was_read_is_one_number():
    text = str(Cost(**{**vars(CARD), "energy": Energy(7.2, 7.2, "read"), "peak_bytes": None}))
    assert "energy      7.2 J (2 mWh), read" in text
    assert "process     peak unknown" in text


def test_figures_by_name():
    found = CARD.to_dict()
    assert found["memory"]["optimizer"] == 71_680
    assert found["energy"]["high"] == 2.28
    assert found["flops_per_second"] == pytest.approx(1_969_212_840 / 0.087)
    assert set(found) == {*vars(CARD), "flops_per_second"}


def test_the_peak_is_that_of_the_process():
    before = peak_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(int(before * 1.2) // 8)
    assert peak_bytes() > before and held[0] == 1
    assert re.fullmatch(r"\d+", str(before))
