"""The factorisation's verdict against the eigenvalues', width by width."""

import jax
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib.solvers.width_search import has_full_rank


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("seed", range(3))
def test_the_verdict_is_that_of_numerical_rank(name, seed, K):
    X, _ = problem(seed, n=30, d=5)
    seen = set()
    for m in (4, 8, 12, 16, 24, 40):
        start = nl.mirrored_lecun(jax.random.key(seed), d=5, m=m, outputs=K)
        report = nl.numerical_rank(start, X, activation=name)
        bound = 10 * report.threshold
        if bound / 1.01 < report.sigma_min < 1.01 * bound:
            continue  # too close to call: rounding may decide either way
        full = bool(has_full_rank(start, X, X @ X.T, nl.get_activation(name)))
        assert full == (report.verdict == "full"), (m, str(report))
        seen.add(full)
    assert seen == {True, False}


def test_the_verdict_turns_where_the_least_singular_value_passes_the_bound():
    """Two samples that come closer: one direction's singular value shrinks with their distance."""
    X, _ = problem(4, n=12, d=6)
    start, sigma = nl.mirrored_lecun(jax.random.key(5), d=6, m=8), nl.get_activation("tanh")
    verdicts = {}
    for exponent in np.arange(-9, 0, 0.5):
        close = X.at[1].set(X[0] + 10.0**exponent * X[1])
        report = nl.numerical_rank(start, close)
        ratio = report.sigma_min / (10 * report.threshold)
        if not 0.99 < ratio < 1.01:
            full = bool(has_full_rank(start, close, close @ close.T, sigma))
            assert full == (ratio > 1), exponent
            verdicts[full] = verdicts.get(full, 0) + 1
    assert verdicts[True] >= 3 and verdicts[False] >= 3
