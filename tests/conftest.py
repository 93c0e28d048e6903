"""What every test runs under: settings that are nobody's, and a cache of its own."""

from __future__ import annotations

import os

import hypothesis
import pytest

from pellucid import compiler

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # for scikit-learn's checks, before SciPy is imported

hypothesis.settings.register_profile("here", deadline=None)  # a crowded machine is no failure
hypothesis.settings.load_profile("here")

SETTINGS = ("PELLUCID_THREADS", "PELLUCID_CPU", "PELLUCID_REFERENCE")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or writes the user's cache, or obeys the user's settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        patch.setenv("PELLUCID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def default_threads():
    """A number of threads that a test sets ends with it."""
    yield
    compiler.set_threads(None)
