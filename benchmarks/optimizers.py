"""`python -m benchmarks.optimizers`: steps and time of every optimizer to the targets.

Writes the table to docs/optimizers.md.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from pathlib import Path
from time import thread_time

import numpy as np

import pellucid as pe
from pellucid import nn
from pellucid.train.evaluate import prepared
from pellucid.train.feed import WholeArrays
from pellucid.train.loop import Loop
from pellucid.train.step import TrainingState, trace_step

from .problems import PROBLEMS, ROWS, Problem, Row
from .results import processor

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "optimizers.md"

MOST_STEPS = 60_000  # of one call

TEXT = """# Optimizers, measured

Steps and time until a target is reached for the first time, and the learning rate.
Written by `python -m benchmarks.optimizers`; the rates stand in `benchmarks/problems.py`, are the
best of a grid of ratio 2 to 3, and hold for these problems alone. Steps repeat to the bit. {about}

{table}

Rates with an arrow fall in a straight line to 0 over the steps that the tests allow: these rules
take steps of about the rate's size, however small the gradient is, and would swing around the
least value. `accumulate` is Adam on the mean of 4 batches; `average_weights` is Adam with
averages, and its steps are Adam's. `backtracking` and `lbfgs` take all rows in every step; one step
is one evaluation of the loss and its gradient.

{machine}
"""


def steps_to_target(row: Row, problem: Problem) -> int:
    """Return the first step after which the target is reached."""
    run, final = problem.run(row.rule(problem), row.settings[problem.name][1])
    reached = problem.solved(run.history[problem.figure])
    if not (reached.any() and problem.solved(final)):
        raise SystemExit(f"{row.name} does not solve {problem.name}: {final:g}")
    return (int(np.argmax(reached)) + 1) * run.steps_per_epoch


def seconds_per_step(row: Row, problem: Problem, rounds: int) -> float:
    """Return the median processor time of a step, gathering its rows included."""
    model, X, y = problem.make()
    loss = nn.as_loss(problem.loss)
    data = prepared(model, loss, X, y)
    rule = row.rule(problem)
    state = TrainingState(model, rule, 0)
    batch = len(X) if rule.full_batch else problem.batch
    feed = WholeArrays(data, batch, 10**6, True, 0)
    loop = Loop(partial(trace_step, state, loss, {}, data), feed)
    loop.advance(16)
    steps, times = 1000, []
    while len(times) < rounds:
        start = thread_time()
        loop.advance(steps)
        seconds = thread_time() - start
        if seconds < 0.01 and steps < MOST_STEPS:
            steps = min(4 * steps, MOST_STEPS)
        else:
            times.append(seconds / steps)
    return statistics.median(times)


def cell(row: Row, problem: Problem, rounds: int) -> str:
    """Return one entry of the table."""
    steps = steps_to_target(row, problem)
    seconds = steps * seconds_per_step(row, problem, rounds)
    time = f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"
    falls = " ↘" if row.falls and problem.batch == 1 else ""
    rate = row.settings[problem.name][0]
    return f"{steps:,} · {time} · {rate:g}{falls}"


def main() -> None:
    """Measure, print, and write the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each time (5)")
    options = parser.parse_args()
    pe.set_threads(1)
    lines = [
        "| | " + " | ".join(problem.name for problem in PROBLEMS) + " |",
        "|---|" + "---|" * len(PROBLEMS),
    ]
    for row in ROWS:
        cells = (cell(row, problem, options.rounds) for problem in PROBLEMS)
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    about = " ".join(f"**{p.name}**: {p.about}." for p in PROBLEMS)
    machine = f"Processor time on {processor()}, one thread, the median of {options.rounds} rounds."
    DOCUMENT.write_text(TEXT.format(about=about, table="\n".join(lines), machine=machine))


if __name__ == "__main__":
    main()
