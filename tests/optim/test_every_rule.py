"""What every optimizer, transformation and schedule does by being in the tables."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler, nn, optim
from pellucid.compiler.program import CompiledProgram
from pellucid.core.program import ReferenceProgram
from pellucid.train.step import TrainingState, trace_step
from tests.programs import bits, processor, same_processors, threads

from .samples import OPTIMIZERS, SCHEDULES, TRANSFORMATIONS, every_rule

RULES = every_rule()
each_rule = pytest.mark.parametrize("key", RULES)
compiled_only = pytest.mark.skipif(not compiler.can_compile(), reason="there is no compiler")

ROWS, BATCH = 48, 20


def test_the_tables_are_complete():
    assert set(OPTIMIZERS) == set(optim.OPTIMIZERS) | set(optim.COMBINATIONS)
    assert set(TRANSFORMATIONS) == set(optim.TRANSFORMATIONS)
    assert set(SCHEDULES) == set(optim.SCHEDULES)


def trained(rule: optim.Optimizer, steps: int, program, dtype=np.float32) -> list[np.ndarray]:
    """What all cells hold after some steps of a small net, and the losses."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((ROWS, 19)).astype(dtype)
    y = (np.abs(X).sum(1) * 3).astype(np.int32) % 3
    pe.random.set_seed(4)
    model = nn.Sequential(nn.Linear(19, 33), nn.Tanh(), nn.Linear(33, 3)).astype(dtype)
    state = TrainingState(model, rule, 0)
    batch = ROWS if rule.full_batch else BATCH
    step = trace_step(state, nn.cross_entropy, {}, [X, y], batch)
    index = np.stack([rng.permutation(ROWS)[:batch] for _ in range(steps)]).astype(np.int32)
    if rule.full_batch:
        index[:] = np.arange(ROWS)
    records = np.zeros((steps, 2), dtype)
    program(step.computation).run([X, y, index], [records], steps)
    return [records, *(np.array(cell.value) for cell in state.cells)]


@compiled_only
@each_rule
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-4), (np.float64, 1e-9)])
def test_compiled_code_does_as_the_reference(key, dtype, tolerance):
    found = trained(RULES[key](), 7, CompiledProgram, dtype)
    expected = trained(RULES[key](), 7, ReferenceProgram, dtype)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@compiled_only
@each_rule
def test_the_same_bits_on_any_threads_and_vectors(key, monkeypatch):
    def found():
        return bits(trained(RULES[key](), 12, CompiledProgram))

    expected = found()
    for cpu in same_processors()[1:]:
        with processor(cpu):
            assert found() == expected
    monkeypatch.setattr("pellucid.compiler.cache.read", lambda name: None)  # made anew,
    monkeypatch.setattr("pellucid.compiler.cache.write", lambda *parts: None)
    monkeypatch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)  # with all work shared
    with threads(2):
        assert found() == expected


def parts(key: str) -> list[optim.Optimizer | optim.Transformation | optim.Schedule]:
    """An optimizer, its transformations and its schedule, where they are made by makers."""
    rule = RULES[key]()
    found = [rule, *rule.transformations, *rule.arguments.values()]
    return [part for part in found if getattr(part, "made_by", None) is not None]


@each_rule
def test_descriptions_go_through_json_and_back(key):
    for part in parts(key):
        description = json.loads(json.dumps(part.description()))
        again = optim.from_description(description)
        assert repr(again) == repr(part)
        assert again.description() == part.description()
        assert eval(repr(part), dict(vars(optim))).description() == part.description()


@each_rule
@pytest.mark.parametrize(
    "copied",
    [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
def test_copies_do_the_same(key, copied):
    for part in parts(key):
        again = copied(part)
        assert type(again) is type(part)
        assert repr(again) == repr(part)
    rule = RULES[key]()
    expected = trained(rule, 5, ReferenceProgram)
    assert bits(trained(copied(rule), 5, ReferenceProgram)) == bits(expected)


def test_a_function_of_the_users_is_copied_by_its_name_and_not_described():
    rule = optim.sgd(halved)
    assert pickle.loads(pickle.dumps(rule)).arguments["learning_rate"] is halved
    made_by_hand = optim.as_schedule(halved)
    assert float(pickle.loads(pickle.dumps(made_by_hand))(2)) == 0.25
    with pytest.raises(ValueError, match="the function halved is not part of the description"):
        optim.from_description(rule.description())
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(optim.sgd(lambda t: 0.5))


def halved(t):
    return 0.5**t


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({}, "expected the description of an optimizer, a transformation or a schedule"),
        ({"optimizer": "adam"}, "expected the description"),
        ({"optimizer": "adan", "arguments": {}}, "no optimizer is named 'adan'"),
        ({"optimizer": ["adam"], "arguments": {}}, "no optimizer is named"),
        ({"schedule": "adam", "arguments": {}}, "no schedule is named 'adam'"),
        ({"optimizer": "adam", "arguments": {"beta3": 1}}, "there is no argument 'beta3'"),
        ({"schedule": "cosine", "arguments": {}}, "schedule cosine does not fit: .*learning_rate"),
        ({"optimizer": "adam", "arguments": {"beta1": 2}}, "beta1 must lie in"),
        ({"optimizer": "adam", "arguments": {"beta1": "x"}}, "beta1 must be a number"),
    ],
)
def test_descriptions_that_do_not_fit(description, message):
    with pytest.raises(ValueError, match=message):
        optim.from_description(description)
