"""Every optimizer solves every problem of the benchmarks, in the steps that its row allows."""

from __future__ import annotations

import pytest

from benchmarks.problems import PROBLEMS, ROWS
from pellucid import compiler, optim

pytestmark = pytest.mark.skipif(not compiler.can_compile(), reason="too many steps for NumPy")


def test_every_optimizer_has_a_row_and_a_rate_for_every_problem():
    names = {row.name for row in ROWS}
    assert names >= set(optim.OPTIMIZERS) | set(optim.COMBINATIONS) - {"chain"}
    assert all(set(row.settings) == {problem.name for problem in PROBLEMS} for row in ROWS)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_no_problem_is_solved_from_the_start(problem):
    assert not problem.solved(problem.run(optim.sgd(0.0), 1)[1])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_it_solves_the_problem(row, problem):
    run, figure = problem.run(row.rule(problem), row.settings[problem.name][1])
    assert problem.solved(figure), f"{figure:g} after {run.steps} steps"
    assert run.steps <= row.settings[problem.name][1]
