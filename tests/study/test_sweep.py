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
    for row in table.rows():
        if row["step_size"] < 1e9:
            wanted = alone(jax.random.key(row["seed"]), row["step_size"], row["radius"], row["m"])
            assert row["loss"] == pytest.approx(float(wanted["loss"]), rel=1e-9)
            assert row["steps"] == wanted["steps"]
    settings = {tuple(row[k] for k in ("m", "step_size", "radius", "seed")) for row in table.rows()}
    assert len(settings) == len(table)


def test_chunks_change_nothing_but_memory(table):
    again = nl.sweep(train, seeds=[3, 1, 4], over=GRID, static={"m": [4, 6]}, chunk=18)
    for name, column in table.columns.items():
        np.testing.assert_allclose(again.columns[name], column, rtol=1e-9)


def test_it_is_a_tidy_table_with_its_provenance(table, tmp_path):
    text = io.StringIO()
    writer = csv.DictWriter(text, table.columns)
    writer.writeheader()
    writer.writerows(table.rows())
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
        ({"seeds": []}, "seeds: got no values"),
        ({"seeds": [0], "over": {"x": []}}, r"over\['x'\]: got no values"),
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
