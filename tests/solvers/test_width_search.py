"""The factorisation's verdict against eigenvalues by NumPy, width by width."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib.solvers.minimum_norm import Solver
from narrowlib.solvers.width_search import has_full_rank


def share(params, X, name):
    """The least singular value of J with rows of length 1, over what is asked of it."""
    J = np.asarray(nl.jacobian(params, X, activation=name))
    values = np.linalg.svd(J / np.linalg.norm(J, axis=1)[:, None], compute_uv=False)
    least = values[-1] if J.shape[1] >= len(J) else 0.0
    return least / (10 * np.sqrt(len(J) * np.finfo(float).eps) * values[0])


def verdict(params, X, name="tanh"):
    return has_full_rank(Solver(X), params, nl.get_activation(name))


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("seed", range(3))
def test_the_verdict_is_that_of_the_singular_values(name, seed, K):
    X, _ = problem(seed, n=30, d=5)
    seen = set()
    for m in (4, 8, 12, 16, 24, 40):
        start = nl.mirrored_lecun(jax.random.key(seed), d=5, m=m, outputs=K)
        ratio = share(start, X, name)
        if not 0.98 < ratio < 1.02:  # else too close to call: rounding may decide either way
            full = verdict(start, X, name)
            assert full == (ratio > 1), m
            seen.add(full)
    assert seen == {True, False}


@pytest.mark.parametrize("seed", range(3))
def test_with_rows_of_one_length_it_is_the_verdict_of_numerical_rank(seed):
    """One neuron's slope at zero is the same for all samples."""
    X, _ = problem(seed, n=30, d=40)
    X = X / jnp.linalg.norm(X, axis=1)[:, None]
    for count, full in ((30, True), (29, False)):
        Y = X.at[count:].set(X[: 30 - count] * -1)
        params = nl.Params(jnp.zeros((2, 40)), jnp.array([1.0, -1.0]))
        assert verdict(params, Y) == (nl.numerical_rank(params, Y).verdict == "full") == full


def test_lengths_of_rows_do_not_count():
    X, _ = problem(3, n=30, d=40)
    for powers in (0, 6):
        Y = X * 10.0 ** jnp.linspace(-powers, powers, 30)[:, None]
        params = nl.Params(1e-9 * jnp.ones((2, 40)), jnp.array([1.0, -1.0]))
        assert verdict(params, Y)
    assert nl.numerical_rank(params, Y).verdict != "full"


def test_the_verdict_turns_where_the_least_singular_value_passes_the_bound():
    """Two samples that come closer: one direction's singular value shrinks with their distance."""
    X, _ = problem(4, n=12, d=6)
    start = nl.mirrored_lecun(jax.random.key(5), d=6, m=8)
    verdicts = {}
    for exponent in np.arange(-9, 0, 0.5):
        close = X.at[1].set(X[0] + 10.0**exponent * X[1])
        ratio = share(start, close, "tanh")
        if not 0.98 < ratio < 1.02:
            full = verdict(start, close)
            assert full == (ratio > 1), exponent
            verdicts[full] = verdicts.get(full, 0) + 1
    assert verdicts[True] >= 3 and verdicts[False] >= 3
