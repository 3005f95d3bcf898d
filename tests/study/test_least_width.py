"""The experiment on least widths: it starts as the chapter does, and a record of what it does."""

import ast
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.study.experiments import module_of

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "book" / "1_expressivity" / "06_how_narrow.ipynb"


@pytest.fixture(scope="module")
def module():
    before = jax.config.jax_enable_x64
    yield module_of(ROOT / "experiments" / "least_width.py")
    jax.config.update("jax_enable_x64", before)


def test_the_chapter_starts_and_stops_as_the_experiment(module, as_in_a_notebook):
    cells = json.loads(CHAPTER.read_text("utf-8"))["cells"]
    sources = {c["id"]: "".join(c["source"]) for c in cells}
    most = f"max_steps={module.RECORD['max_steps']}"
    assert most in Path(module.__file__).read_text("utf-8") and most in sources["search"]
    (here,) = (
        node
        for node in ast.parse(sources["slices"]).body
        if isinstance(node, ast.FunctionDef) and node.name == "padded_starts"
    )
    names = {"jax": jax, "jnp": jax.numpy, "np": np, "nl": nl}
    exec(ast.unparse(here), names)
    how = (jax.random.key(5), 3, 5, 4, 2)  # key, m, most, d, count
    found, wanted = names["padded_starts"](*how), module.padded_starts(*how, 1)
    np.testing.assert_array_equal(found.W, wanted.W)
    np.testing.assert_array_equal(found.v, wanted.v)
    assert found.W[:, :3].all() and not found.W[:, 3:].any()


def test_widths_pass_the_count_and_end_past_the_theorem(module):
    for n in module.RECORD["n"]:
        for d in module.RECORD["d"]:
            ms = module.widths(n, d)
            count, theorem = -(-n // (d + 1)), 2 * -(-n // d)
            assert ms == sorted(set(ms)) and ms[0] == -(-n // (2 * (d + 1)))
            assert ms[-1] == theorem + 2 and theorem in ms
            assert {count - 1, count, count + 1, count + 2} - {0} <= set(ms)


@pytest.fixture
def as_in_a_notebook():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def test_a_small_run(module, as_in_a_notebook):
    record = module.RECORD | {"n": [12], "d": [4], "seeds": 3, "left_out": []}
    rows = module.run(record)
    assert {row["m"] for row in rows} == set(module.widths(12, 4))
    for row in rows:
        assert row["parameters"] == row["m"] * 5
        assert 0 <= row["share"] <= 1 and row["median"] <= row["worst"]
        if row["parameters"] < 12 and row["labels"] == "normal":
            assert row["share"] == 0
        if row["m"] >= 5:
            assert row["share"] == 1
    X, y = module.draw("signs", 3, 12, 4)
    assert X.shape == (3, 12, 4) and set(np.unique(y)) == {-1.0, 1.0}
    starts = module.padded_starts(jax.random.key(0), 2, 5, 4, 3, 1)
    assert not starts.W[:, 2:].any() and not starts.v[:, 2:].any()
    best = module.best_losses(starts, X, y)
    by_hand = [
        min(
            float(nl.levenberg_marquardt(
                nl.Params(starts.W[k, :2], starts.v[k, :2]), X[i], y[i],
                max_steps=500, tol=1e-9, throw=False,
            ).stats["loss"])
            for k in range(3)
        )
        for i in range(3)
    ]  # fmt: skip
    np.testing.assert_allclose(best, by_hand, rtol=1e-3)
