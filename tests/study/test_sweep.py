"""A sweep against the same runs one after the other."""

import csv
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl


def train(key, step_size, radius, m):
    """Some steps of the constrained problem."""
    keys = jax.random.split(key)
    data = nl.gaussian(keys[0], n=12, d=4)
    start = nl.mirrored_lecun(keys[1], d=4, m=m)
    sets = nl.Product(W=nl.Ball(start.W, radius), v=nl.PairedCone(zeta=0.1, kappa=4.0))
    sol = nl.ProjectedGradient(sets, step_size).run(
        start, data.X, data.y, max_steps=30, throw=False
    )
    return {"loss": sol.stats["loss"], "steps": sol.stats["num_steps"]}


GRID = {"step_size": [0.1, 0.5, 1e9], "radius": [0.5, 2.0]}


@pytest.fixture(scope="module")
def table():
    return nl.sweep(train, seeds=[3, 1, 4], over=GRID, static={"m": [4, 6]}, chunk=7,
                    about={"commit": "abc", "data": nl.data_hash(np.zeros(3))})  # fmt: skip


def test_every_run_is_the_run_alone(table):
    assert len(table) == 2 * 3 * 2 * 3
    assert list(table.columns) == ["m", "step_size", "radius", "seed", "loss", "steps"]
    alone = jax.jit(train, static_argnames="m")
    for row in table.rows:
        if row["step_size"] < 1e9:
            wanted = alone(jax.random.key(row["seed"]), row["step_size"], row["radius"], row["m"])
            assert row["loss"] == pytest.approx(float(wanted["loss"]), rel=1e-9)
            assert row["steps"] == wanted["steps"]
    settings = {tuple(row[k] for k in ("m", "step_size", "radius", "seed")) for row in table.rows}
    assert len(settings) == len(table)


def test_chunks_change_nothing_but_memory(table):
    again = nl.sweep(train, seeds=[3, 1, 4], over=GRID, static={"m": [4, 6]}, chunk=18)
    steady = table["step_size"] < 1e9  # the others are chaotic: rounding decides where they go
    for name, column in table.columns.items():
        np.testing.assert_allclose(again[name][steady], column[steady], rtol=1e-9)


def test_it_is_a_tidy_table_with_its_provenance(table, tmp_path):
    text = io.StringIO()
    writer = csv.DictWriter(text, table.columns)
    writer.writeheader()
    writer.writerows(table.rows)
    assert len(text.getvalue().splitlines()) == len(table) + 1
    some = table.where(m=6, radius=0.5)
    assert len(some["loss"]) == 9 and (some["m"] == 6).all()
    with pytest.raises(ValueError, match=r"where: got \['width'\]. The columns are m, step_size"):
        table.where(width=4)
    saved = json.loads(table.save(tmp_path / "table.json").read_text())
    assert len(saved["rows"]) == len(table)
    assert saved["rows"][0]["loss"] == table.columns["loss"][0]
    assert saved["provenance"]["commit"] == "abc" and saved["provenance"]["precision"] == "float64"
    assert {"date", "versions", "device", "seconds", "data"} <= set(saved["provenance"])


def test_what_is_not_finite_is_saved_as_null(tmp_path):
    table = nl.sweep(lambda key, x: {"y": jnp.log(x)}, seeds=[0], over={"x": [1.0, 0.0, -1.0]})
    saved = json.loads(table.save(tmp_path / "t.json").read_text())
    assert [row["y"] for row in saved["rows"]] == [0.0, None, None]


def test_nothing_but_seeds():
    table = nl.sweep(lambda key: {"u": jax.random.uniform(key)}, seeds=range(5))
    wanted = [float(jax.random.uniform(jax.random.key(k))) for k in range(5)]
    np.testing.assert_allclose(table.columns["u"], wanted)
    assert table.columns["seed"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"seeds": []}, "seeds: got nothing"),
        ({"seeds": [0], "over": {"x": []}}, r"over\['x'\]: got nothing"),
        ({"seeds": [0], "over": {"x": [1]}, "static": {"x": [1]}}, "over: got .'x'.. Give every"),
        ({"seeds": [0], "over": {"seed": [1]}}, "over: got .'seed'.. Give every"),
        ({"seeds": [0], "chunk": 0}, "chunk: got 0"),
    ],
)
def test_mistakes(arguments, says):
    with pytest.raises(ValueError, match=says):
        nl.sweep(lambda key, **_: {"y": 1.0}, **arguments)


def test_results_that_are_no_scalars():
    with pytest.raises(ValueError, match=r"run's 'y': got shape \(2,\). Return scalars"):
        nl.sweep(lambda key: {"y": jnp.ones(2)}, seeds=[0, 1])


def clash(key, x, **more):
    return {"x": 2 * x, "seed": 5.0} if more.get("both") else {"x": 2 * x}


@pytest.mark.parametrize(
    ("run", "arguments", "says"),
    [
        (clash, {"over": {"x": [1.0]}}, r"run's 'x': got a result of that name\. Name it unlike"),
        (lambda key: {"seed": 1.0}, {}, "run's 'seed': got a result of that name"),
        (lambda key, k: {"k": 1.0}, {"static": {"k": ["a"]}}, "run's 'k': got a result of"),
        (lambda key: 1.0, {}, "run: got 1.0. Let it return its results by name"),
        (lambda key: {}, {}, "run: got {}. Let it return"),
        (lambda key: {"a": "word"}, {}, "run's 'a': got 'word'. Return numbers"),
        (lambda key: {"a": None}, {}, "run's 'a': got None. Return numbers"),
        (lambda key: {"a": 1j}, {}, "run's 'a': got dtype complex128. Return real"),
        ("train", {}, "run: got 'train'. Pass a function"),
        (len, {"seeds": [1.9]}, "seeds: got 1.9. Pass a whole number"),
        (len, {"seeds": [-1]}, "seeds: got -1. Pass a whole number of at least 0"),
        (len, {"seeds": 5}, "seeds: got 5. Pass a list"),
        (len, {"seeds": "12"}, "seeds: got '12'. Pass a list"),
        (len, {"seeds": {1, 2}}, "seeds: got {1, 2}. Pass a list"),
        (len, {"over": [1.0]}, r"over: got \[1.0\]. Pass a dictionary"),
        (len, {"over": {"x": ["a"]}}, r"over\['x'\]: got 'a'. Pass numbers here; words"),
        (len, {"over": {"x": [np.nan]}}, r"over\['x'\]: got nan. Pass numbers"),
        (len, {"over": {"x": [10**30]}}, r"over\['x'\]: got 10+. Pass numbers"),
        (len, {"static": {"f": [print]}}, r"static\['f'\]: got <built-in function print>"),
        (len, {"about": {"date": "today"}}, "about: got .* without date, versions, seconds"),
        (len, {"about": {"f": print}}, r"about\['f'\]: got <built-in"),
        (len, {"about": [1]}, r"about: got \[1\]. Pass a dictionary"),
        (len, {"chunk": 2.5}, "chunk: got 2.5"),
    ],
)  # fmt: skip
def test_what_is_refused(run, arguments, says):
    with pytest.raises(ValueError, match=says):
        nl.sweep(run, **({"seeds": [0]} | arguments))


def test_clear_meanings_are_taken():
    table = nl.sweep(
        lambda key, r, on, kind: {"a": jnp.minimum(r, 9.0), "up": on > 0},
        seeds=np.arange(2), over={"r": np.array([1, np.inf]), "on": [True, False]},
        static={"kind": ("x",)}, about={"by": "us", "precision": "none at all"},
    )  # fmt: skip
    assert len(table) == 8 and table.where(r=np.inf, on=False)["a"].tolist() == [9.0, 9.0]
    assert table["up"].tolist() == [True, True, False, False] * 2
    assert table.provenance["by"] == "us" and table.provenance["precision"] == "none at all"
    json.dumps(table.provenance, allow_nan=False)


def test_a_sweep_is_no_part_of_a_program():
    with pytest.raises(ValueError, match=r"seeds: got traced values\. Call sweep outside of jit"):
        jax.jit(lambda s: nl.sweep(train, seeds=s)["loss"])(jnp.arange(3))
