"""What rounding can hide in a spectrum and in a residual."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib.network.linearization import linearize
from narrowlib.network.rounding import (
    Spectrum,
    gram_slack,
    rounding_floor,
    spectrum,
)


def test_spectrum_by_its_rule():
    """Known eigenvalues: 4, 1 and two zeros up to rounding."""
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    K = (Q * [4.0, 1.0, 0.0, 0.0]) @ Q.T
    for array in (K, jnp.asarray(K)):
        found = spectrum(array)
        slack = 4 * np.finfo(float).eps * 4
        assert float(found.slack) == pytest.approx(slack) == gram_slack(4, 4.0, float)
        assert float(found.floor) == pytest.approx(math.sqrt(slack))
        assert found.vectors is None
        np.testing.assert_allclose(found.singular_values[2:], [1, 2], rtol=1e-14)
        assert (np.asarray(found.singular_values[:2]) <= float(found.floor)).all()
        assert np.asarray(found.at_least[:2]).tolist() == [0, 0]
        assert 1 - 2 * slack < float(found.at_least[2]) < 1
        vectors = spectrum(array, vectors=True).vectors
        np.testing.assert_allclose(K @ vectors[:, 3], 4 * vectors[:, 3], atol=1e-14)
    assert isinstance(spectrum(K).eigenvalues, np.ndarray)


def test_negative_eigenvalues_are_rounding():
    found = Spectrum(np.array([-1e-17, 1e-17, 1.0]), 1e-16)
    assert found.singular_values.tolist() == [0, math.sqrt(1e-17), 1]
    assert found.at_least[:2].tolist() == [0, 0]


@pytest.mark.parametrize("K", [None, 2])
def test_rounding_floor_by_hand(K):
    X, _ = problem(0, n=6, d=3)
    params = nl.lecun(jax.random.key(1), d=3, m=4, outputs=K)
    terms = np.abs(np.tanh(np.asarray(X @ params.W.T))) @ np.abs(params.v)
    floor = rounding_floor(linearize(params, X, nl.get_activation("tanh")))
    assert float(floor) == pytest.approx(np.finfo(float).eps * np.linalg.norm(terms), rel=1e-13)
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (params, X))
    assert rounding_floor(linearize(*single, nl.get_activation("tanh"))).dtype == jnp.float32
