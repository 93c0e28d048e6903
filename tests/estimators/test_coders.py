"""`Autoencoder`, `DenoisingAutoencoder` and `BernoulliRBM`: what they learn to describe."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neural_network import BernoulliRBM as TheirRBM
from sklearn.pipeline import make_pipeline

from pellucid.estimators import (
    Autoencoder,
    BernoulliRBM,
    DenoisingAutoencoder,
    LogisticRegression,
)
from tests.programs import bits, threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X = load_digits().data / 16
LABELS = load_digits().target


def error(coder, rows):
    return float(((coder.inverse_transform(coder.transform(rows)) - rows) ** 2).mean())


def test_a_linear_autoencoder_finds_what_principal_components_find():
    centered = X - X.mean(axis=0)
    pca = PCA(8).fit(centered)
    best = ((pca.inverse_transform(pca.transform(centered)) - centered) ** 2).mean()
    coder = Autoencoder(
        (8,), activation="identity", solver="lbfgs", alpha=0, max_iter=2000, random_state=0
    ).fit(centered)
    assert best <= error(coder, centered) < 1.01 * best


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("kind", [Autoencoder, DenoisingAutoencoder])
def test_rows_come_back(kind, loss):
    coder = kind((24, 12), "tanh", loss, learning_rate_init=0.005, max_iter=60, random_state=0)
    coder.fit(X)
    assert error(coder, X) < 0.4 * X.var(axis=0).mean()
    assert coder.score(X) == pytest.approx(-error(coder, X))
    assert [c.shape for c in coder.coefs_] == [(64, 24), (24, 12), (12, 24), (24, 64)]
    assert coder.loss_curve_[-1] < 0.7 * coder.loss_curve_[0]
    with pytest.raises(ValueError, match="codes have 12 numbers, received 64"):
        coder.inverse_transform(X)


@pytest.mark.parametrize("noise", ["masking", "gaussian"])
def test_noise_is_taken_away(noise):
    """Taught to, it gives back rows with noise better than one that has only seen clean rows."""
    rng = np.random.default_rng(0)
    if noise == "masking":
        noisy = np.where(rng.random(X.shape) < 0.4, 0, X)
    else:
        noisy = X + 0.4 * rng.normal(size=X.shape)
    options = {"hidden_layer_sizes": (40,), "max_iter": 120, "random_state": 0}
    clean = Autoencoder(**options, learning_rate_init=0.005).fit(X)
    taught = DenoisingAutoencoder(
        **options, learning_rate_init=0.005, noise=noise, noise_level=0.4
    ).fit(X)
    left = [((c.inverse_transform(c.transform(noisy)) - X) ** 2).mean() for c in (clean, taught)]
    assert left[1] < 0.8 * left[0]


def masks(level, rows, seed=0):
    """Which numbers a step of masking noise has left (rows, features)."""
    import pellucid as pe
    from pellucid import nn
    from pellucid.estimators.network import RowNoise

    pe.random.set_seed(seed)
    with nn.training_mode():
        return RowNoise("masking", level)(rows).numpy() != 0


def test_noise_goes_by_the_row_and_not_by_its_place():
    rows = np.random.default_rng(0).uniform(1, 2, (400, 50))
    left = masks(0.3, rows)
    assert left.mean() == pytest.approx(0.7, abs=0.02)
    assert abs(left.mean(axis=0) - 0.7).max() < 0.12, "each feature is left out as often"
    assert abs(left.mean(axis=1) - 0.7).max() < 0.35
    both = (left[:, :1] & left[:, 1:]).mean(axis=0)
    assert abs(both - 0.49).max() < 0.12, "features go together no more than by chance"
    order = np.random.default_rng(1).permutation(400)
    assert (masks(0.3, rows[order]) == left[order]).all()
    assert (masks(0.3, rows, seed=1) != left).mean() == pytest.approx(0.42, abs=0.03)


def test_gaussian_noise_is_normal():
    import pellucid as pe
    from pellucid import nn
    from pellucid.estimators.network import RowNoise

    pe.random.set_seed(0)
    rows = np.random.default_rng(0).normal(size=(2000, 20))
    with nn.training_mode():
        noise = RowNoise("gaussian", 0.5)(rows).numpy() - rows
    assert noise.mean() == pytest.approx(0, abs=0.02) and noise.std() == pytest.approx(
        0.5, abs=0.02
    )
    assert (abs(noise) < 0.5).mean() == pytest.approx(0.683, abs=0.02)
    assert (RowNoise("gaussian", 0.5)(rows).numpy() == rows).all(), "in use there is none"


def test_too_much_masking_is_refused():
    with pytest.raises(ValueError, match="masking noise needs a share below 1"):
        DenoisingAutoencoder(noise_level=1.0).fit(X)


def test_codes_serve_a_classifier():
    coder = Autoencoder((20,), "tanh", learning_rate_init=0.005, max_iter=60, random_state=0)
    model = make_pipeline(coder, LogisticRegression(alpha=0.01, max_iter=500))
    assert model.fit(X[:1200], LABELS[:1200]).score(X[1200:], LABELS[1200:]) > 0.85


@pytest.mark.parametrize("kind", [Autoencoder, DenoisingAutoencoder, BernoulliRBM])
def test_sparse_rows_and_threads_change_no_bit(kind):
    options = {"random_state": 0}
    options |= {"n_iter": 2} if kind is BernoulliRBM else {"max_iter": 3}
    rows = (X > 0.5).astype(float)
    codes = bits([kind(16, **options).fit(rows).transform(rows)])
    assert bits([kind(16, **options).fit(scipy.sparse.csr_array(rows)).transform(rows)]) == codes
    with threads(2):
        assert bits([kind(16, **options, threads=2).fit(rows).transform(rows)]) == codes


# --- restricted Boltzmann machines --------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"persistent": False}, {"k": 3}])
def test_a_machine_learns_as_well_as_scikit_learns(options):
    rows = (X > 0.5).astype(float)
    ours = BernoulliRBM(30, learning_rate=0.05, n_iter=15, random_state=0, **options).fit(rows)
    theirs = TheirRBM(30, learning_rate=0.05, n_iter=15, random_state=0).fit(rows)
    kept = copy.deepcopy(ours)
    kept.components_, kept.intercept_hidden_, kept.intercept_visible_ = (
        theirs.components_, theirs.intercept_hidden_, theirs.intercept_visible_
    )  # fmt: skip
    untrained = BernoulliRBM(30, n_iter=0, random_state=0).fit(rows)
    mine, other, none = (m.score_samples(rows).mean() for m in (ours, kept, untrained))
    assert mine > other - 0.05 * (other - none)


def test_pseudo_likelihoods_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (6, 4)).astype(float)
    machine = BernoulliRBM(3, learning_rate=0.5, n_iter=30, batch_size=3, random_state=0).fit(rows)
    w, b, c = machine.components_, machine.intercept_visible_, machine.intercept_hidden_

    def free_energy(v):
        return -v @ b - np.logaddexp(0, v @ w.T + c).sum()

    for v, found in zip(rows, machine.score_samples(rows), strict=True):
        total = 0.0
        for i in range(4):
            other = v.copy()
            other[i] = 1 - v[i]
            total += -np.logaddexp(0, free_energy(v) - free_energy(other))
        assert found == pytest.approx(total, rel=1e-6)
    hidden = machine.transform(rows)
    np.testing.assert_allclose(hidden, 1 / (1 + np.exp(-(rows @ w.T + c))), rtol=1e-6)


def test_samples_of_a_machine_look_like_the_data():
    rows = np.array([[1, 1, 0, 0], [0, 0, 1, 1]] * 50, float)
    machine = BernoulliRBM(8, n_iter=300, learning_rate=0.2, random_state=0).fit(rows)
    v = rows.copy()
    for _ in range(50):
        v = machine.gibbs(v).astype(float)
    assert ((v[:, 0] == v[:, 1]) & (v[:, 2] == v[:, 3]) & (v[:, 0] != v[:, 2])).mean() > 0.85


def test_a_machine_goes_on_batch_by_batch(capsys):
    rows = (X > 0.5).astype(float)
    machine = BernoulliRBM(20, random_state=0, batch_size=100)
    untrained = clone(machine).set_params(n_iter=0).fit(rows).score_samples(rows).mean()
    for _ in range(5):
        for first in range(0, 1700, 100):
            machine.partial_fit(rows[first : first + 100])
    assert machine.score_samples(rows).mean() > untrained + 5
    clone(machine).set_params(verbose=True, n_iter=3).fit(rows)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and all("pseudo-likelihood" in line for line in said)
