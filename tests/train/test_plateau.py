"""A learning rate that callbacks change while a run goes on."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler, nn, optim, train
from pellucid.train.rate import Rate
from pellucid.train.run import Run

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


def network():
    pe.random.set_seed(0)
    return nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))


def trained(callbacks=(), epochs=6, **options):
    model = network()
    run = train.fit(model, X, Y, epochs=epochs, batch_size=7, callbacks=callbacks, **options)
    found = hashlib.sha256(b"".join(v.tobytes() for v in model.state_dict().values()))
    return found.hexdigest(), run


class Halves(train.Callback):
    """Halves the rate after given epochs."""

    changes_rate = True

    def __init__(self, *epochs):
        self.epochs = epochs

    def epoch_end(self, run):
        if run.history.epochs in self.epochs:
            run.scale_learning_rate(0.5)


RULES = {
    "sgd": optim.sgd(0.1, momentum=0.9),
    "adam": optim.adam(0.01, weight_decay=1e-3),
    "adamw": optim.adamw(0.01),
    "schedule": optim.nadam(optim.cosine(0.02, 100)),
    "penalties": optim.chain(optim.clip_by_value(1.0), optim.rmsprop(0.01), optim.l1(0.1)),
}


@pytest.mark.parametrize("name", RULES)
def test_a_factor_of_one_changes_no_bit(name):
    assert trained([Halves()], optimizer=RULES[name])[0] == trained(optimizer=RULES[name])[0]


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_halved_rate_is_a_schedule_that_halves(name):
    def at(t):  # nine steps an epoch, halved after the second and the third
        return pe.where(t < 18.0, 0.02, pe.where(t < 27.0, 0.01, 0.005))

    make = {"sgd": optim.sgd, "adam": optim.adam}[name]
    changed, run = trained([Halves(2, 3)], optimizer=make(0.02))
    assert changed == trained(optimizer=make(at))[0]
    np.testing.assert_allclose(run.history["learning_rate"], [0.02, 0.02, 0.01] + [0.005] * 3)


def test_the_rate_of_a_schedule_is_multiplied():
    schedule = optim.linear(0.2, 45)
    _, run = trained([Halves(1)], optimizer=optim.sgd(schedule))
    last = np.arange(1, 7) * 9 - 1
    expected = [schedule(float(t)).item() for t in last] * np.array([1, *[0.5] * 5])
    np.testing.assert_allclose(run.history["learning_rate"], expected, rtol=1e-6)
    assert list(run.history)[-1] == "learning_rate"


@pytest.mark.skipif(not compiler.can_compile(), reason="NumPy's products have other bits")
def test_the_same_bits_on_any_number_of_threads_watched_or_not():
    def plateau():
        return train.ReduceOnPlateau("val_accuracy", factor=0.3, patience=1, cooldown=1)

    found = set()
    for threads in (1, 2, 3):
        compiler.set_threads(threads)
        for more in ([], [lambda run: None]):
            bits, run = trained([plateau(), *more], epochs=20, validation=0.25)
            found.add((bits, tuple(run.history["learning_rate"])))
    assert len(found) == 1
    rates = found.pop()[1]
    assert rates[-1] < 0.1 * rates[0]  # it was reduced, so that there is something to compare


# -- when it reduces ----------------------------------------------------------------------


def played(figures, rate=1.0, **options):
    """The factor after each epoch of a run whose loss takes given values."""
    changing = Rate()
    changing.latest.assign(np.array(rate))
    run = Run(None, {"epoch": None, "loss": False}, len(figures), 1, rate=changing)
    callback = train.ReduceOnPlateau(**options)
    callback.train_begin(run)
    rates = []
    for epoch, figure in enumerate(figures, 1):
        run.history.extend([[epoch, figure]])
        callback.epoch_end(run)
        changing.latest.assign(rate * changing.factor.value)
        rates.append(run.learning_rate)
    return rates


@pytest.mark.parametrize(
    ("options", "figures", "expected"),
    [
        ({"patience": 2}, [5, 4, 4, 4, 4, 4], [1, 1, 1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "factor": 0.5}, [5, 5, 5, 4, 4], [1, 0.5, 0.25, 0.25, 0.125]),
        ({"patience": 1, "min_delta": 1}, [5, 4, 2, 2], [1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "cooldown": 2}, [5] * 8, [1] + [0.1] * 3 + [0.01] * 3 + [1e-3]),
        ({"patience": 2, "cooldown": 1}, [5, 5, 5, 4, 5, 5], [1, 1, 0.1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "min_rate": 0.03}, [5] * 5, [1, 0.1, 0.03, 0.03, 0.03]),
        ({"patience": 1, "min_rate": 2.0}, [5] * 3, [1, 1, 1]),
        ({"patience": 1, "mode": "max"}, [5, 6, 6], [1, 1, 0.1]),
        ({"patience": 1}, [np.nan, 5, np.nan, 4], [0.1, 0.1, 0.01, 0.01]),
    ],
)
def test_reductions(options, figures, expected):
    np.testing.assert_allclose(played(figures, **options), expected, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_reductions_are_pytorchs(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    figures = np.round(rng.normal(size=80).cumsum(), 1)
    given = {"factor": 0.5, "cooldown": int(rng.integers(0, 4)), "mode": ["min", "max"][seed % 2]}
    patience, least, delta = int(rng.integers(1, 6)), 10.0 ** -rng.integers(1, 8), 0.05
    weight = torch.nn.Parameter(torch.zeros(1))
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(
        torch.optim.SGD([weight], lr=1.0), patience=patience - 1, threshold=delta,
        threshold_mode="abs", min_lr=least, eps=0.0, **given,
    )  # fmt: skip
    expected = []
    for figure in figures:
        peer.step(figure)
        expected.append(peer.get_last_lr()[0])
    found = played(figures, patience=patience, min_rate=least, min_delta=delta, **given)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_rate_is_lowered_where_a_figure_stays():
    plateau = train.ReduceOnPlateau(patience=2, min_delta=10.0, factor=0.1, min_rate=1e-3)
    _, run = trained([plateau], epochs=9, optimizer=optim.sgd(0.05), validation=0.2)
    expected = [0.05, 0.05, 0.05, 0.005, 0.005, 1e-3, 1e-3, 1e-3, 1e-3]
    np.testing.assert_allclose(run.history["learning_rate"], expected, rtol=1e-6)


# -- a step that fails after the rate was changed -------------------------------------------


class Falls(nn.Module):
    """The logarithm of a level that falls by the learning rate at each step."""

    def __init__(self, level):
        self.level = pe.parameter([[level]])

    def forward(self, x):
        return pe.log(x * 0 + self.level) * 0 + self.level


@pytest.mark.parametrize("every", [1, 3])
def test_a_diverged_step_is_found_again_by_the_rates_it_had(every):
    class Doubles(train.Callback):
        changes_rate = True

        def epoch_end(self, run):
            if run.history.epochs % every == 0 and run.history.epochs <= 6:
                run.scale_learning_rate(2.0)

    level, rates = 1000.5, [2.0 ** (min(epoch, 6) // every) for epoch in range(1000)]
    falls = np.repeat(rates, 4).cumsum()
    bad = int(np.argmax(falls > level))  # after this step, counted from 0, the level is negative
    with pytest.raises(train.TrainingDiverged) as caught:
        train.fit(
            Falls(level), np.ones((4, 1)), np.zeros(4), loss=lambda p, t: p[:, 0], batch_size=1,
            optimizer=optim.sgd(1.0), epochs=1000, callbacks=[Doubles()],
        )  # fmt: skip
    assert caught.value.step == bad + 2
    assert caught.value.run.model.level.numpy().item() == level - falls[bad]


# -- what it refuses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"factor": 1.0}, ValueError, "factor must lie between 0 and 1, received 1.0"),
        ({"factor": 0}, ValueError, "factor must lie between 0 and 1"),
        ({"patience": 0}, ValueError, "patience must be a whole number of at least 1"),
        ({"cooldown": -1}, ValueError, "cooldown must be a whole number of at least 0"),
        ({"min_delta": -1e-3}, ValueError, "min_delta must be a finite number of at least 0"),
        ({"min_rate": "low"}, TypeError, "min_rate must be a number, received 'low'"),
        ({"mode": "least"}, ValueError, "mode must be"),
        ({"monitor": "los"}, ValueError, "ReduceOnPlateau cannot follow 'los'; known are loss"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        trained([train.ReduceOnPlateau(**options)], epochs=1)


def test_a_fixed_rate_cannot_be_changed():
    with pytest.raises(ValueError, match="of this run is fixed; let a callback .* say so, with ch"):
        trained([lambda run: run.scale_learning_rate(0.5)])
    with pytest.raises(ValueError, match="learning rate of this run is fixed"):
        trained([lambda run: run.learning_rate])


@pytest.mark.parametrize("factor", [0, -1, np.inf, np.nan])
def test_a_factor_is_above_0(factor):
    class Scales(Halves):
        def epoch_end(self, run):
            run.scale_learning_rate(factor)

    with pytest.raises(ValueError, match="factor of the learning rate must be above 0"):
        trained([Scales()])


def test_an_optimizer_needs_one_learning_rate():
    rule = optim.chain(optim.adam(), optim.sgd())
    with pytest.raises(ValueError, match="has 2 learning rates; expected one"):
        trained([train.ReduceOnPlateau()], optimizer=rule)


# -- rates and batches ------------------------------------------------------------------------


def test_a_rate_may_be_in_proportion_to_the_batch():
    def bits(**options):
        model = network()
        train.fit(model, X, Y, epochs=3, **options)
        return {name: value.tobytes() for name, value in model.state_dict().items()}

    expected = bits(optimizer=optim.sgd(0.2), batch_size=64)
    assert bits(optimizer=optim.sgd(0.2), batch_size=60, reference_batch=60) == expected
    assert bits(optimizer=optim.sgd(0.1), batch_size=60, reference_batch=30) == expected
    assert bits(optimizer=optim.sgd(0.1), batch_size=999, reference_batch=30) == expected
    assert bits(optimizer=optim.sgd(0.1), batch_size=60) != expected
    for reference in (0, 1.5, "32"):
        with pytest.raises(ValueError, match="reference_batch must be a whole number of at least"):
            bits(reference_batch=reference)
