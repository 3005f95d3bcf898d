"""The race against the same runs by hand, and the rule against its definition."""

import json

import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from hypothesis import given

import narrowlib as nl

GRID = {"centre": [0.0, 2.0, 5.0], "width": [1.0, 3.0]}


def run(key, *, entry, centre, width, m=1):
    """A goal with a known best setting, noise from the key, and a curve."""
    noise = 0.1 * jax.random.normal(key)
    best = {"near two": 2.0, "near five": 5.0, "fails at zero": 2.0}[entry]
    goal = (centre - best) ** 2 + width / m + noise
    if entry == "fails at zero":
        goal = jax.numpy.where(centre == 0, jax.numpy.nan, goal)
    return {"goal": goal, "curve": goal * jax.numpy.arange(3.0)}


ENTRIES = {"near two": GRID, "near five": GRID, "fails at zero": {**GRID, "centre": [0.0, 2.0]}}


@pytest.fixture(scope="module", params=[True, False])
def rows(request):
    return nl.race(run, ENTRIES, tuning=[0, 1, 2], reporting=[7, 9], goal="goal",
                   static={"m": [1, 2]}, chunk=4, vectorize=request.param)  # fmt: skip


def test_settings_are_chosen_on_tuning_seeds_and_reported_on_others(rows):
    assert [(row["m"], row["entry"]) for row in rows] == [(m, e) for m in (1, 2) for e in ENTRIES]
    for row in rows:
        m, entry = row["m"], row["entry"]
        best = {"centre": 5.0 if entry == "near five" else 2.0, "width": 1.0}
        assert row["chosen"] == best
        assert ("centre" in row["at_edge"]) == (entry != "near two")
        assert "width" in row["at_edge"] and row["seconds"] > 0
        assert len(row["grid"]) == 2 * len(ENTRIES[entry]["centre"])
        for point in row["grid"]:
            settings = {k: point[k] for k in GRID}
            alone = [run(jax.random.key(s), entry=entry, m=m, **settings) for s in (0, 1, 2)]
            goals = [np.nan if goal is None else goal for goal in point["goal"]]
            np.testing.assert_allclose(goals, [a["goal"] for a in alone], rtol=1e-3)
        alone = [run(jax.random.key(s), entry=entry, m=m, **best) for s in (7, 9)]
        np.testing.assert_allclose(
            row["results"]["curve"], [a["curve"] for a in alone], rtol=1e-3, atol=1e-9
        )
    assert json.loads(json.dumps(rows.rows, allow_nan=False)) == rows.rows


def test_the_median_decides_and_failures_are_infinite():
    table = {0.0: [0.0, 0.0, np.nan], 1.0: [0.5, 9.0, 0.5], 2.0: [0.6, 0.6, 0.6],
             3.0: [-np.inf, np.nan, np.nan], 4.0: 3 * [-np.inf]}  # fmt: skip

    def lookup(key, *, entry, x):
        seed = int(jax.random.key_data(key)[-1])
        return {"loss": table[x][seed] if seed < 3 else 1.0}

    def chosen(values):
        (row,) = nl.race(
            lookup, {"A": {"x": values}}, tuning=[0, 1, 2], reporting=[10], vectorize=False
        )
        return row["chosen"]["x"]

    assert chosen([0.0, 1.0, 2.0]) == 0.0  # median 0, though one run failed
    assert chosen([2.0, 1.0]) == 1.0  # median 0.5, though one run is bad
    assert chosen([3.0, 2.0]) == 2.0  # two of three failed
    assert chosen([2.0, 2.0, 1.0]) == 1.0
    assert chosen([4.0, 2.0]) == 2.0  # minus infinity is no low loss


LOSSES = st.lists(st.one_of(st.none(), st.floats(1e-9, 1e9)), min_size=1, max_size=6)


@given(a=LOSSES, b=LOSSES, factor=st.floats(1, 10))
def test_the_rule_is_its_definition(a, b, factor):
    size = min(len(a), len(b))
    a, b = a[:size], b[:size]
    said = nl.compare_runs(a, b, factor)
    x, y = (np.array([np.inf if v is None else v for v in values]) for values in (a, b))
    ahead = np.median(y) > factor * np.median(x) and all(p < q for p, q in zip(x, y, strict=True))
    behind = np.median(x) > factor * np.median(y) and all(q < p for p, q in zip(x, y, strict=True))
    assert said == ("ahead" if ahead else "behind" if behind else "undecided")
    other = {"ahead": "behind", "behind": "ahead"}
    assert nl.compare_runs(b, a, factor) == other.get(said, said)


def test_one_that_does_not_clear_every_seed_is_not_ahead():
    assert nl.compare_runs([1, 1, 1], [9, 9, 0.5]) == "undecided"
    assert nl.compare_runs([1, 1, 1], [1.9, 1.9, 1.9]) == "undecided"
    assert nl.compare_runs([1, 1, 1], [float("nan"), None, np.inf]) == "ahead"
    assert nl.compare_runs([None], [None]) == "undecided"


def simple(key, *, entry, x=1.0, m=1):
    return {"loss": x + jax.random.uniform(key), "curve": jax.numpy.ones(2)}


@pytest.mark.parametrize(
    "changed, says",
    [
        ({"entries": [1]}, r"entries: got \[1\]. Pass a dictionary"),
        ({"entries": {"A": [1]}}, r"entries\['A'\]: got \[1\]. Pass a dictionary"),
        ({"entries": {"A": {"x": ["a"]}}}, r"entries\['A'\]\['x'\]: got 'a'. Pass numbers"),
        ({"entries": {"A": {"loss": [1.0]}}}, r"entries\['A'\]: got \['loss'\]. Name settings unl"),
        ({"entries": {"A": {"entry": [1.0]}}}, r"entries\['A'\]: got \['entry'\]"),
        ({"static": {"grid": [1]}}, r"static: got \['grid'\]. A row has entry, chosen"),
        ({"goal": "curve"}, r"run's 'curve': got shape \(2,\). The goal is a scalar"),
        ({"goal": None}, "goal: got None"),
        ({"tuning": [0.5]}, "tuning: got 0.5"),
        ({"vectorize": "no"}, "vectorize: got 'no'. Pass True or False"),
        ({"run": lambda key, entry, x: 3.0}, "run: got 3.0. Let it return its results by name"),
        ({"run": lambda key, entry, x: 3.0, "vectorize": False}, "run: got 3.0. Let it return"),
        (
            {"run": lambda key, entry, x: {"loss": "low"}, "vectorize": False},
            "run's 'loss': got so",
        ),
    ],
)
def test_what_is_refused(changed, says):
    plan = {"run": simple, "entries": {"A": {"x": [1.0]}}, "tuning": [0], "reporting": [1]}
    with pytest.raises(ValueError, match=says):
        nl.race(**(plan | changed))


def test_a_chunk_is_no_larger_than_there_are_runs():
    """Three tries and two reports: a program for three runs, however many are allowed."""
    seen = []

    def counted(key, *, entry, x):
        jax.debug.callback(lambda k: seen.append(k), x)
        return {"loss": x}

    plan = dict(entries={"A": {"x": [3.0, 1.0, 2.0]}}, tuning=[0], reporting=[1, 2])
    table = nl.race(counted, **plan, chunk=10**6)
    jax.effects_barrier()
    assert table[0]["chosen"] == {"x": 1.0} and len(seen) == 3 + 3
    assert table.provenance["tuning"] == [0] and table.provenance["goal"] == "loss"


@pytest.mark.parametrize(
    "a, b, says",
    [
        ([], [1.0], "a: got nothing"),
        (None, [1.0], "a: got None. Pass a list"),
        ([1.0], ["b"], "b: got 'b'. Pass a number for each seed, or None"),
        ([1.0], [[1.0]], r"b: got \[1.0\]. Pass a number for each seed"),
        ([1.0], 3.0, "b: got 3.0. Pass a list"),
        ("ab", [1.0, 2.0], "a: got 'ab'. Pass a list"),
        ([1.0], [1.0, 2.0], "b: got 2 losses. There are 1 of a"),
    ],
)
def test_losses_that_are_none(a, b, says):
    with pytest.raises(ValueError, match=says):
        nl.compare_runs(a, b)
