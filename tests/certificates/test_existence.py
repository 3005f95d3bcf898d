"""The existence certificate against dense algebra, and against the interpolant it promises."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, near_interpolant

import narrowlib as nl


def newton(params, X, y, activation="tanh"):
    """Undamped minimum-norm Gauss–Newton with a dense Jacobian: the interpolant itself."""
    W, v = np.array(params.W), np.asarray(params.v)
    sigma = nl.get_activation(activation)
    for _ in range(30):
        now = nl.Params(jnp.asarray(W), jnp.asarray(v))
        r = np.asarray(nl.forward(now, X, activation=sigma) - y).ravel()
        J = np.asarray(nl.jacobian(now, X, activation=sigma))
        W -= (np.linalg.pinv(J) @ r).reshape(W.shape)
    return W, float(
        np.linalg.norm(nl.forward(nl.Params(jnp.asarray(W), now.v), X, activation=sigma) - y)
    )


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("activation", SMOOTH)
def test_numbers_against_dense_algebra(K, activation):
    params, X, y = near_interpolant(0, K, activation, m=24)
    cert = nl.existence_certificate(params, X, y, activation=activation)
    r = np.asarray(nl.forward(params, X, activation=activation) - y)
    J = np.asarray(nl.jacobian(params, X, activation=activation))
    s = np.linalg.svd(J, compute_uv=False)[-1]
    Xn = np.asarray(X)
    v = np.asarray(params.v).reshape(24, -1)
    curvature = nl.get_activation(activation).curvature
    longest = np.sqrt((Xn**2).sum(axis=1)).max()
    L = curvature * longest * np.linalg.norm(Xn, 2) * np.sqrt((v**2).sum(axis=1)).max()
    assert np.linalg.norm(r) <= cert.residual <= np.linalg.norm(r) * (1 + 1e-6)
    assert s * (1 - 1e-6) <= cert.sigma_min <= s * (1 + 1e-9)
    assert cert.lipschitz == pytest.approx(L, rel=1e-12)
    assert cert.h == pytest.approx(L * np.linalg.norm(r) / s**2, rel=1e-5)
    assert (cert.samples, cert.neurons) == (12, 24)
    assert cert.verdict == ("exists" if cert.h < 0.5 else "inconclusive")


@pytest.mark.parametrize("seed", range(5))
def test_the_promised_interpolant_is_there_and_within_the_radius(seed):
    params, X, y = near_interpolant(seed)
    cert = nl.existence_certificate(params, X, y)
    assert cert.verdict == "exists" and cert.h < 0.5
    plain = (cert.sigma_min / cert.lipschitz) * (1 - math.sqrt(1 - 2 * cert.h))
    assert cert.radius == pytest.approx(plain, rel=1e-5)
    assert cert.radius <= 2 * cert.residual / cert.sigma_min
    W, misfit = newton(params, X, y)
    assert misfit < 1e-10
    # Newton's limit lies a little off the flow's: the lemma's own radius covers both here
    assert np.linalg.norm(W - np.asarray(params.W)) <= cert.radius * (1 + 1e-6)
    assert "exact interpolation is possible" in cert.explain()


def test_equal_samples_with_different_targets_are_never_certified():
    """Control: no network fits them, so no certificate may say so."""
    params, X, y = near_interpolant(0)
    X2, y2 = jnp.concatenate([X, X[:1]]), jnp.concatenate([y, y[:1] + 1e-9])
    cert = nl.existence_certificate(params, X2, y2)
    assert cert.verdict == "inconclusive"
    assert cert.radius == math.inf and "nothing follows" in cert.explain()


def test_the_verdict_turns_at_a_half():
    """Targets moved away until h passes ½."""
    params, X, y = near_interpolant(1, noise=0.0)
    direction = jnp.ones(12) / jnp.sqrt(12.0)
    base = nl.existence_certificate(params, X, y)
    half = 0.5 * base.sigma_min**2 / base.lipschitz
    below = nl.existence_certificate(params, X, y + 0.999 * half * direction)
    above = nl.existence_certificate(params, X, y + 1.001 * half * direction)
    assert (below.verdict, above.verdict) == ("exists", "inconclusive")
    assert below.h == pytest.approx(0.4995, rel=1e-5)
    assert below.radius <= 2 * below.residual / below.sigma_min


def test_relu_has_no_certificate():
    params, X, y = near_interpolant(2)
    cert = nl.existence_certificate(params, X, y, activation="relu")
    assert cert.verdict == "inconclusive" and cert.h == math.inf


def test_rank_lost_or_zero_weights_have_no_certificate():
    params, X, y = near_interpolant(3)
    for broken in (
        params._replace(v=0 * params.v),
        params._replace(W=0 * params.W[:2], v=params.v[:2]),
    ):
        assert nl.existence_certificate(broken, X, y).verdict == "inconclusive"


def test_float32_when_asked_for():
    params, X, y = near_interpolant(4)
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (params, X, y))
    cert = nl.existence_certificate(*single, allow_float32=True)
    double = nl.existence_certificate(params, X, y)
    # the numbers are those of the exact values, computed in double
    exact = jax.tree.map(lambda a: a.astype(float), single)
    again = nl.existence_certificate(*exact)
    assert cert.claims == again.claims != double.claims
    assert cert.arrays["W"].dtype == np.float32


@pytest.mark.parametrize("slope", [1.0, 1e3, 1e4])
def test_the_residual_of_a_steep_activation_of_ones_own_is_a_bound(slope):
    """Targets that are the computed outputs: all that is left is rounding, which σ′ magnifies."""
    steep = nl.Activation(
        "steep sine", lambda z: jnp.sin(slope * z), lambda z: slope * jnp.cos(slope * z), slope**2
    )
    for seed in range(6):
        rng = np.random.default_rng(seed)
        Z = jnp.asarray(rng.normal(size=(8, 5)))
        params = nl.Params(jnp.asarray(rng.normal(size=(10, 5))), jnp.asarray(rng.normal(size=10)))
        y = nl.forward(params, Z, activation=steep)
        cert = nl.existence_certificate(params, Z, y, activation=steep)
        exact = np.sin(
            slope * (np.asarray(Z, np.longdouble) @ np.asarray(params.W, np.longdouble).T)
        )
        residual = np.linalg.norm(np.asarray(exact @ np.asarray(params.v) - np.asarray(y), float))
        assert 0 < residual <= cert.residual < 1e4 * residual
