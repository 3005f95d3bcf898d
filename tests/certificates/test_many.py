"""The certificate of many samples, made of few ones: against SVDs, balls and exact interpolants."""

import importlib
import math

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import near_interpolant, problem

import narrowlib as nl
from narrowlib.certificates import many
from narrowlib.certificates.many import has_rank, long_outputs, long_point, norm_of
from narrowlib.certificates.rounding import point
from narrowlib.network import gram_factor

existence = importlib.import_module("narrowlib.certificates.existence")
TANH = nl.get_activation("tanh")


@pytest.fixture(autouse=True)
def any_number_is_many(monkeypatch):
    monkeypatch.setattr(existence, "MANY", 0)


def least(params, X):
    return np.linalg.svd(np.asarray(nl.jacobian(params, X)), compute_uv=False)[-1]


@pytest.mark.parametrize("block", [4, 512])
@pytest.mark.parametrize("K", [None, 2])
def test_numbers_against_dense_algebra(K, block, monkeypatch):
    monkeypatch.setattr(gram_factor, "BLOCK", block)
    for seed in range(4):
        params, X, y = near_interpolant(seed, K, m=24, noise=1e-7)
        cert = nl.existence_certificate(params, X, y)
        residual = np.linalg.norm(nl.forward(params, X) - y)
        assert residual <= cert.residual <= residual * (1 + 1e-5)
        assert cert.verdict == "exists" and cert.h == pytest.approx(0.4)
        assert 0 < cert.sigma_min <= least(params, X)
        sizes = np.linalg.norm(np.asarray(params.v).reshape(24, -1), axis=1)
        longest = np.linalg.norm(np.asarray(X), axis=1).max()
        L = TANH.curvature * longest * np.linalg.norm(np.asarray(X), 2) * sizes.max()
        assert L <= cert.lipschitz <= L * (1 + 1e-12)
        assert cert.radius <= 2 * cert.residual / cert.sigma_min


@pytest.mark.parametrize("seed", range(5))
def test_it_exists_where_the_spectrum_says_so(seed, monkeypatch):
    """Residuals from far too large to small: the same verdict, but where h is close to a half."""
    params, X, y = near_interpolant(seed, noise=0.0)
    shift = jnp.ones(12) / 12**0.5
    verdicts = []
    for size in 10.0 ** np.arange(-9, 4, 0.5):
        monkeypatch.setattr(existence, "MANY", 8192)
        few = nl.existence_certificate(params, X, y + size * shift)
        monkeypatch.setattr(existence, "MANY", 0)
        cert = nl.existence_certificate(params, X, y + size * shift)
        if not 0.399 < few.h < 0.501:
            assert cert.verdict == few.verdict
        assert cert.verdict == "inconclusive" or few.verdict == "exists"
        verdicts.append(cert.verdict)
    assert {"exists", "inconclusive"} == set(verdicts)


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("spread", [0, 3])
def test_a_bound_is_proved_up_to_the_singular_value_and_no_further(K, spread):
    """Samples of one length, and of lengths from 1/1000 to 1000."""
    for seed in range(5):
        X, _ = problem(seed, n=20, d=24)
        X = X * 10.0 ** jnp.linspace(-spread, spread, 20)[:, None]
        params = nl.lecun(jax.random.key(seed), d=24, m=24, outputs=K)
        params = params._replace(W=10.0**-spread * params.W)  # no slope is lost
        there = long_point(params, np.asarray(X), TANH)
        # with the rows of J scaled, the rest of the matrix does not drown the shortest
        J = np.asarray(nl.jacobian(params, X))
        lengths = np.linalg.norm(J, axis=1)
        U, s, _ = np.linalg.svd(J / lengths[:, None], full_matrices=False)
        true = 1 / np.linalg.norm((U / s).T / lengths, 2)  # 1/‖J⁺‖
        assert has_rank(there, true * (1 - 1e-5))
        for more in (1 + 1e-5, 2.0, 1e3):
            assert not has_rank(there, true * more)


def test_where_rank_is_lost_nothing_is_proved():
    params, X, y = near_interpolant(3)
    for broken in (
        params._replace(v=0 * params.v),
        params._replace(W=0 * params.W[:2], v=params.v[:2]),
    ):
        cert = nl.existence_certificate(broken, X, y)
        assert cert.verdict == "inconclusive" and cert.sigma_min == 0 and cert.h == math.inf
    same = jnp.concatenate([X, X[:1]])
    there = long_point(params, np.asarray(same), TANH)
    for s in (1e-3, 1e-6, 1e-12):
        assert not has_rank(there, s)
    zero = long_point(params, np.asarray(X.at[0].set(0)), TANH)
    assert not has_rank(zero, 1e-12)


def test_equal_samples_with_different_targets_are_never_certified():
    params, X, y = near_interpolant(0)
    for gap in (1e-9, 1e-13):
        X2, y2 = jnp.concatenate([X, X[:1]]), jnp.concatenate([y, y[:1] + gap])
        assert nl.existence_certificate(params, X2, y2).verdict == "inconclusive"


@pytest.mark.parametrize("d", [3, 300])
@pytest.mark.parametrize("K", [None, 2])
def test_outputs_are_right_to_their_bound_and_better_than_sums_of_doubles(K, d, monkeypatch):
    monkeypatch.setattr(many, "ROWS", 4)
    for seed in range(4):
        X, _ = problem(seed, n=9, d=d)
        params = nl.lecun(jax.random.key(seed), d=d, m=5, outputs=K)
        there = long_point(params, np.asarray(X), TANH)
        F, off = long_outputs(there)
        with flint.ctx.workdps(60):
            W, v, A = (
                flint.arb_mat(np.asarray(a).reshape(len(a), -1).tolist()) for a in (*params, X)
            )
            Z = A * W.transpose()
            exact = flint.arb_mat([[z.tanh() for z in row] for row in Z.tolist()]) * v
            hi = F.astype(float)
            lo = (F - hi).astype(float)
            error = flint.arb_mat(hi.tolist()) + flint.arb_mat(lo.tolist()) - exact
            error = np.array([[float(abs(e)) for e in row] for row in error.tolist()])
        assert np.all(error <= off)
        if np.finfo(np.longdouble).eps < 1e-18:  # else there is no longer type here
            assert d == 3 or np.linalg.norm(off) < 0.1 * point(params, X, TANH).off_outputs


def test_the_norm_is_an_upper_bound():
    for n, d in ((40, 7), (7, 40), (9, 9)):
        X = np.asarray(problem(5, n=n, d=d)[0])
        assert np.linalg.norm(X, 2) <= norm_of(X) <= np.linalg.norm(X, 2) * (1 + 1e-12)


def test_relu_has_no_certificate():
    params, X, y = near_interpolant(2)
    cert = nl.existence_certificate(params, X, y, activation="relu")
    assert cert.verdict == "inconclusive" and cert.h == math.inf


def test_what_does_not_fit_into_memory_is_refused(monkeypatch):
    params, X, y = near_interpolant(2)
    monkeypatch.setattr(gram_factor, "memory_of_machine", lambda: 1000)
    with pytest.raises(MemoryError, match="X: got 12 different samples, whose factor takes"):
        nl.existence_certificate(params, X, y)


def test_float32_is_read_as_the_doubles_that_it_is():
    params, X, y = near_interpolant(4)
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (params, X, y))
    cert = nl.existence_certificate(*single, allow_float32=True)
    again = nl.existence_certificate(*jax.tree.map(lambda a: a.astype(float), single))
    assert cert.claims == again.claims
