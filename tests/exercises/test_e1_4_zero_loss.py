"""The checkers of "From full rank to zero loss": right answers, named mistakes, nonsense."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


@functools.cache
def fitted(target=1e-4):
    """The solution of the notebook: a first fit tells the scale of the second."""
    task = nl.gaussian(jax.random.key(8), n=60, d=6)
    key = jax.random.key(0)
    first = nl.interpolate(task.X, task.y, key=key, width=28)
    scale = float(2 * first.stats["scale"] * first.stats["distance"] / target)
    return nl.interpolate(task.X, task.y, key=key, width=28, scale=scale, tol=1e-8)


def start_of(solution):
    return solution.stats.get("start", solution.state)


def changed(solution, W=None, v=None, start=None):
    params = nl.Params(solution.params.W if W is None else W, solution.params.v if v is None else v)
    start = start_of(solution) if start is None else start
    return solution._replace(params=params, stats=solution.stats | {"start": start})


RIGHT = [
    ("1.4.1", lambda: (4, 2**1.5)),
    ("1.4.1", lambda: np.array([4.0, 2.83])),
    ("1.4.2", lambda: 1e-3 / (4e-16 * 2**29)),
    ("1.4.2", lambda: 4700),
    ("1.4.3", fitted),
    ("1.4.4", lambda: {1, 2, 5}),
    ("1.4.4", lambda: [5, 1, 2]),
]
WRONG = [
    ("1.4.1", None, "pair"),
    ("1.4.1", 4, "pair"),
    ("1.4.1", "abc", "pair"),
    ("1.4.1", (4, "much"), "pair"),
    ("1.4.1", (4, float("nan")), "pair"),
    ("1.4.1", np.ones((2, 2)), "pair"),
    ("1.4.1", (4, 2, 1), "pair"),
    ("1.4.1", (2**1.5, 4), "other way"),
    ("1.4.1", (0.25, 0.5**1.5), "below 1"),
    ("1.4.1", (2, 2), "distances"),
    ("1.4.1", (4, 4), "Which power"),
    ("1.4.1", (3, 5), "power of s₁"),
    ("1.4.1", (4, 2.8), "more digits"),
    ("1.4.1", {4, 2.83}, "no order"),
    ("1.4.2", None, "one number"),
    ("1.4.2", float("inf"), "one number"),
    ("1.4.2", [1, 2], "one number"),
    ("1.4.2", 1e-3 / 4e-16, "double"),
    ("1.4.2", 1e-3 * 2**29 / 4e-16, "coarser"),
    ("1.4.2", 4e-16 * 2**29 / 1e-3, "Upside down"),
    ("1.4.2", -5, "ratio of the two units"),
    ("1.4.2", 1, "ratio of the two units"),
    ("1.4.4", None, "such as"),
    ("1.4.4", 3, "such as"),
    ("1.4.4", {1, 7}, "such as"),
    ("1.4.4", {1, 5}, "Steps 1 and 2"),
    ("1.4.4", {1, 2, 3, 5}, "may still arrive"),
    ("1.4.4", {1, 2, 4, 5}, "may still arrive"),
    ("1.4.4", {1, 2}, "top of the curve"),
    ("1.4.3", None, "Solution"),
    ("1.4.3", "abc", "Solution"),
    ("1.4.3", nl.Params(jnp.ones((4, 6)), jnp.ones(4)), "Solution"),
    ("1.4.3", nl.Solution(None, jnp.array(0), {}, None), "Solution"),
    ("1.4.3", nl.Solution(nl.Params("a", "b"), jnp.array(0), {}, None), "arrays of numbers"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_what_is_wrong_with_a_fit_is_named():
    inside = fitted()
    wide = changed(inside, W=jnp.ones((30, 6)), v=jnp.ones(30))
    assert "At most 28" in repr(nl.check("1.4.3", wide))
    broken = changed(inside, W=inside.params.W.at[0, 0].set(jnp.nan))
    assert "not finite" in repr(nl.check("1.4.3", broken))
    no_start = inside._replace(state=None, stats={})
    assert "start" in repr(nl.check("1.4.3", no_start))
    lone = changed(inside, start=nl.Params(inside.params.W, inside.params.v))
    assert "not mirrored" in repr(nl.check("1.4.3", lone))
    still = changed(inside, W=start_of(inside).W)
    assert "Inside the ball" in repr(nl.check("1.4.3", still))
    away = changed(inside, W=start_of(inside).W + 1)
    assert "and the loss" in repr(nl.check("1.4.3", away))


def test_a_fit_outside_of_the_ball_is_told_how_far_it_went():
    assert "moved" in repr(nl.check("1.4.3", fitted(target=1e-2)))
