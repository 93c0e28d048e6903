"""scikit-learn's contract: all its checks of estimators, none skipped, none expected to fail."""

from __future__ import annotations

import os
from unittest import SkipTest

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.utils import estimator_checks
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
    keep(estimator, check)


def keep(estimator, check):
    """The check passes, and is not skipped for want of a library or a setting."""
    try:
        check(estimator)
    except SkipTest as reason:
        pytest.fail(f"skipped: {reason}")


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
    keep(estimator, check)


MORE = (
    estimator_checks.check_dataframe_column_names_consistency,
    estimator_checks.check_get_feature_names_out_error,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_global_set_output_transform_polars,
    estimator_checks.check_n_features_in_after_fitting,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_set_output_transform_polars,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
)
"""Checks that scikit-learn makes of its own estimators, beside those it has for others."""


@warned
@pytest.mark.filterwarnings("ignore:X .*feature names:UserWarning")
@pytest.mark.parametrize("check", MORE, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [*SAMPLES, *RANDOM])
def test_checks_of_scikit_learns_own(name, check):
    estimator = {**SAMPLES, **RANDOM}[name]
    if "out" in check.__name__ and not hasattr(estimator, "transform"):
        return  # it is of transformers
    keep(estimator, lambda given: check(type(given).__name__, clone(given)))


def test_arrays_of_other_libraries_are_looked_at():
    assert os.environ["SCIPY_ARRAY_API"] == "1", "some checks are skipped without it"


def test_every_estimator_has_a_sample():
    public = {getattr(estimators, name) for name in estimators.__all__}
    classes = {c for c in public if isinstance(c, type) and issubclass(c, BaseEstimator)}
    assert classes == {type(e) for e in (*SAMPLES.values(), *RANDOM.values())}
