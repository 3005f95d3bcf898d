"""The exercises of Part 2, Chapter 1: right answers, usual mistakes, nonsense."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def my_split(params, j, part):
    W, v = params
    return nl.Params(
        jnp.concatenate([W, W[j : j + 1]]),
        jnp.append(v.at[j].multiply(part), (1 - part) * v[j]),
    )


def doubled(params, j, part):
    return nl.Params(
        jnp.concatenate([params.W, params.W[j : j + 1]]), jnp.append(params.v, params.v[j])
    )


def silent(params, j, part):
    new = jnp.ones((1, params.W.shape[1]))
    return nl.Params(jnp.concatenate([params.W, new]), jnp.append(params.v, 0.0))


@functools.cache
def ends():
    """Ends of fifty runs on the exercise's data, as in its solution."""
    with jax.enable_x64(True):
        X = nl.gaussian(jax.random.key(5), n=15, d=2).X
        y = nl.forward(nl.lecun(jax.random.key(50), d=2, m=2), X, activation="gelu")
        nets = jax.vmap(lambda k: nl.lecun(k, d=2, m=2))(jax.random.split(jax.random.key(1), 50))
        found = jax.vmap(lambda p: nl.trust_region_newton(p, X, y, activation="gelu", throw=False))(
            nets
        )
        return found.params, np.asarray(found.stats["loss"])


def own(best=False):
    """The ends, best first or worst first, that `nl.stationary_point` proves minima."""
    with jax.enable_x64(True):
        X = nl.gaussian(jax.random.key(5), n=15, d=2).X
        y = nl.forward(nl.lecun(jax.random.key(50), d=2, m=2), X, activation="gelu")
        params, loss = ends()
        point = jax.vmap(lambda p: nl.stationary_point(p, X, y, activation="gelu"))(params)
        proved = point.verdict == "local minimum"
        low = np.where(proved, np.asarray(point.loss_bounds[:, 0]), np.nan)
        k = int(np.nanargmin(loss) if best else np.nanargmax(low))
        return jax.tree.map(lambda a: a[k], params)


RIGHT = [
    ("2.1.1", lambda: 0.003 / 12 * (1 - np.sqrt(1 - 2 * 12 * 2e-7 / 0.003**2))),
    ("2.1.2", lambda: ("minimum", "saddle", "undecided", "undecided")),
    ("2.1.2", lambda: ("Local minimum", "saddle", "undecided", "undecided")),
    ("2.1.3", lambda: 0.025),
    ("2.1.4", lambda: my_split),
    ("2.1.5", own),
]
WRONG = [
    ("2.1.1", 12 * 2e-7 / 0.003**2, "That is h"),
    ("2.1.1", 2e-7 / 0.003, "Newton step"),
    ("2.1.1", 4e-7 / 0.003, "valid bound"),
    ("2.1.1", 0.003 / 12, "invertible"),
    ("2.1.1", 4.2e-4, "smaller one"),
    ("2.1.1", 5e-8, "not the largest"),
    ("2.1.1", 1.0, "1 - 2h"),
    ("2.1.2", ("minimum", "saddle", "minimum", "undecided"), "C again: how large"),
    ("2.1.2", ("minimum", "saddle", "undecided", "saddle"), "D again: how large"),
    ("2.1.2", ("minimum", "undecided", "undecided", "undecided"), "B again: its h"),
    ("2.1.2", ("saddle", "saddle", "undecided", "undecided"), "A again: the signs"),
    ("2.1.2", ("minimum", "saddle", "undecided"), "four words, each"),
    ("2.1.2", ("a", "b", "c", "d"), "four words, each"),
    ("2.1.2", 3.0, "Pass four words."),
    ("2.1.3", 0.0, "ratio"),
    ("2.1.3", 0.1, "divides it by 2n"),
    ("2.1.3", 0.05, "half the mean"),
    ("2.1.3", 1.125, "other end"),
    ("2.1.3", 7.0, "cone"),
    ("2.1.4", my_split(nl.Params(jnp.ones((2, 2)), jnp.ones(2)), 0, 0.5), "Pass the function"),
    ("2.1.4", lambda params, j, part: params, "One neuron more"),
    ("2.1.4", lambda params, j, part: None, "has to return"),
    ("2.1.4", lambda params: params, "raised TypeError"),
    ("2.1.4", doubled, "add up to v_j"),
    ("2.1.4", silent, "is it a copy"),
    ("2.1.4", lambda p, j, part: my_split(p, j, 1 - part), "keep the share"),
    ("2.1.5", nl.Params(np.ones((3, 3)), np.ones(3)), "(3, 3)"),
    ("2.1.5", nl.Params(np.full((2, 2), np.inf), np.ones(2)), "finite"),
    ("2.1.5", nl.Params("a", "b"), "params"),
    ("2.1.5", nl.Params(np.ones((2, 2)), np.ones(2)), "until it rests"),
    ("2.1.5", nl.Params(np.zeros((2, 2)), np.zeros(2)), "Undecided"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_a_fit_is_no_bad_minimum():
    assert "that is a fit" in repr(nl.check("2.1.5", own(best=True)))
