"""The proof's numbers against Fractions, higher precision and dense algebra; its refusals."""

import math
import sys
from fractions import Fraction

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb
from strategies import SMOOTH, near_interpolant

import narrowlib as nl
from narrowlib import proof_verifier, verifier
from narrowlib.certificates import existence_proof

ACTIVATIONS = (*SMOOTH, "square")


def prove(params, X, y, activation="tanh"):
    return nl.existence_certificate(params, X, y, activation=activation, rigorous=True)


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bounds_lie_on_the_right_side_of_dense_algebra(K, activation):
    params, X, y = near_interpolant(0, K, activation, noise=1e-8, m=24)
    cert = prove(params, X, y, activation)
    r = np.asarray(nl.forward(params, X, activation=activation) - y)
    J = np.asarray(nl.jacobian(params, X, activation=activation))
    s = np.linalg.svd(J, compute_uv=False)[-1]
    Xn, v = np.asarray(X), np.asarray(params.v).reshape(24, -1)
    curvature = nl.get_activation(activation).curvature
    reach = np.sqrt((Xn**2).sum(axis=1)).max() * np.sqrt((v**2).sum(axis=1)).max()
    L = curvature * reach * np.linalg.norm(Xn, 2)
    assert cert.verdict == "proved" and cert.kind == "existence proof"
    assert cert.residual == pytest.approx(np.linalg.norm(r), rel=1e-3)
    assert 0.99 * s <= cert.sigma_min <= s * (1 - 1e-4)  # the share 0.99 of s² is the shift
    assert L <= cert.lipschitz <= 5**0.25 * L * (1 + 1e-12)  # ‖X Xᵀ‖_F ≤ √rank ‖X‖²
    assert cert.h == pytest.approx(cert.lipschitz * cert.residual / cert.sigma_min**2, rel=1e-12)
    plain = 2 * cert.residual / cert.sigma_min / (1 + math.sqrt(1 - 2 * cert.h))
    assert cert.radius == pytest.approx(plain, rel=1e-12)
    M = cert.arrays["factor"]
    misfit = np.linalg.norm(J @ J.T - M @ M.T - cert.shift * np.eye(len(J)))
    assert misfit <= cert.slack + 1e-14 * np.linalg.norm(J @ J.T)
    assert np.array_equal(M, np.tril(M)) and cert.slack < 1e-6 * cert.shift
    assert (cert.samples, cert.neurons) == (12, 24)


def rational(rows):
    return [[Fraction(float(x)) for x in row] for row in np.asarray(rows)]


def test_every_bound_by_exact_fractions():
    """With σ(z) = z² everything but the roots is rational, so the bounds are checked exactly."""
    params, X, y = near_interpolant(3, 2, "square", noise=1e-9, m=24)
    cert = prove(params, X, y, "square")
    A, W, v, t = (rational(a) for a in (X, params.W, params.v, y))
    rows = [[sum(a * b for a, b in zip(x, w, strict=True)) for w in W] for x in A]
    squares = sum(
        (sum(z * z * v[j][k] for j, z in enumerate(row)) - t[i][k]) ** 2
        for i, row in enumerate(rows) for k in range(2)
    )  # fmt: skip
    J = [
        [v[j][k] * 2 * z * a for j, z in enumerate(row) for a in A[i]]
        for i, row in enumerate(rows) for k in range(2)
    ]  # fmt: skip
    M = rational(cert.arrays["factor"])
    misfit = Fraction(0)
    for a in range(24):
        for b in range(24):
            entry = sum(p * q for p, q in zip(J[a], J[b], strict=True))
            entry -= sum(p * q for p, q in zip(M[a], M[b], strict=True))
            misfit += (entry - (Fraction(cert.shift) if a == b else 0)) ** 2
    assert cert.verdict == "proved"
    hair = 1 + Fraction(1, 10**14)
    assert squares <= Fraction(cert.residual) ** 2 <= squares * hair
    assert misfit <= Fraction(cert.slack) ** 2 <= misfit * hair
    R, s, L = (Fraction(c) for c in (cert.residual, cert.sigma_min, cert.lipschitz))
    assert s**2 <= Fraction(cert.shift) - Fraction(cert.slack)
    assert Fraction(cert.h) >= L * R / s**2
    rho = Fraction(cert.radius)
    assert s * rho - L * rho**2 / 2 >= R


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_the_residual_bounds_one_of_higher_precision(seed, activation):
    params, X, y = near_interpolant(seed, activation=activation, noise=0.0)
    before, flint.ctx.prec = flint.ctx.prec, 400
    try:
        total = arb(0)
        for x, target in zip(np.asarray(X), np.asarray(y), strict=True):
            out = -arb(float(target))
            for w, v in zip(np.asarray(params.W), np.asarray(params.v), strict=True):
                z = sum((arb(float(a)) * arb(float(b)) for a, b in zip(x, w, strict=True)), arb(0))
                gelu = z * (1 + (z / arb(2).sqrt()).erf()) / 2
                value = z.tanh() if activation == "tanh" else gelu
                out += arb(float(v)) * value
            total += out * out
        exact = total.sqrt()
        cert = prove(params, X, y, activation)
        assert flint.ctx.prec == 400  # left as it was found
        assert exact <= cert.residual and cert.residual <= exact * (1 + arb(2) ** -48)
    finally:
        flint.ctx.prec = before


@pytest.mark.parametrize("seed", range(5))
def test_the_promised_interpolant_is_within_the_radius(seed):
    params, X, y = near_interpolant(seed)
    cert = prove(params, X, y)
    W = np.array(params.W)
    for _ in range(30):
        now = params._replace(W=jnp.asarray(W))
        r = np.asarray(nl.forward(now, X) - y)
        W -= (np.linalg.pinv(np.asarray(nl.jacobian(now, X))) @ r).reshape(W.shape)
    assert np.linalg.norm(nl.forward(params._replace(W=jnp.asarray(W)), X) - y) < 1e-10
    assert np.linalg.norm(W - np.asarray(params.W)) <= cert.radius


def test_rounding_is_outward():
    for value in (0.1, 1 / 3, 1e-300, 1e300, 5e-324, 7.0):
        x = arb(value)
        assert value < existence_proof._upward(x) <= np.nextafter(value, np.inf)
        assert value > existence_proof._downward(x) >= np.nextafter(value, -np.inf)
    third = arb(1) / 3
    assert third < existence_proof._upward(third) and third > existence_proof._downward(third)
    wide = arb(1, 1e-3)
    assert existence_proof._downward(wide) < 0.999 and existence_proof._upward(wide) > 1.001
    assert existence_proof._upward(arb.nan()) == math.inf


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_its_activations_are_the_librarys(name):
    value, slope, curvature = existence_proof._balls(nl.get_activation(name))
    sigma = nl.get_activation(name)
    for z in np.linspace(-30, 30, 241):
        at = jnp.asarray(z)
        assert float(value(arb(z))) == pytest.approx(float(sigma.fn(at)), rel=1e-12, abs=1e-15)
        assert float(slope(arb(z))) == pytest.approx(float(sigma.derivative(at)), abs=1e-14)
        ball = arb(float(z), 0.01)
        assert value(ball).overlaps(value(arb(float(z) + 0.005)))
        assert slope(ball).overlaps(slope(arb(float(z) - 0.005)))
    assert float(curvature) == pytest.approx(sigma.curvature, rel=1e-15)


def test_dropped_hypotheses_prove_nothing():
    params, X, y = near_interpolant(0)
    base = prove(params, X, y)
    far = 0.51 * base.sigma_min**2 / base.lipschitz  # h a little over a half
    X2, y2 = jnp.concatenate([X, X[:1]]), jnp.concatenate([y, y[:1] + 1e-9])
    broken = {
        "residual": (params, X, y + far * jnp.ones(12) / jnp.sqrt(12.0)),
        "equal samples": (params, X2, y2),
        "no output weights": (params._replace(v=0 * params.v), X, y),
        "too few neurons": (nl.Params(params.W[:2], params.v[:2]), X, y),
    }
    for name, arguments in broken.items():
        cert = prove(*arguments)
        assert cert.verdict == "inconclusive" and cert.radius == math.inf, name
        assert cert.h > 0.5 and "nothing is proved" in cert.explain(), name
    near = prove(params, X, y + 0.98 * far * jnp.ones(12) / jnp.sqrt(12.0))
    assert near.verdict == "proved" and 0.49 < near.h < 0.5
    assert near.radius < 2 * near.residual / near.sigma_min


def test_it_is_saved_loaded_and_read_aloud(tmp_path):
    cert = prove(*near_interpolant(1))
    again = nl.load_certificate(cert.save(tmp_path / "proof"))
    assert isinstance(again, nl.ExistenceProof) and again.claims == cert.claims
    assert all(np.array_equal(again.arrays[k], cert.arrays[k]) for k in cert.arrays)
    words = again.explain()
    assert words == cert.explain() and words.endswith("no error at all. ∎")
    (line,) = verifier.verify(str(tmp_path / "proof.npz"))
    assert "proof_verifier.py" in line


def test_what_is_read_aloud_is_implied_too():
    """Three digits are rounded outward as well."""
    cert = prove(*near_interpolant(2))
    words = cert.explain()
    said = {
        "‖r‖ ≤ ": cert.residual, "‖E‖ ≤ ": cert.slack, "L ≤ ": cert.lipschitz,
        "σ_min² ≤ ": cert.h, "weights within ": cert.radius,
    }  # fmt: skip
    for before, bound in said.items():
        number = words.split(before)[1].split()[0].rstrip(",.;")
        assert bound <= float(number) <= 1.01 * bound, before
    number = words.split("σ_min(J) ≥ ")[1].split()[0].rstrip(".")
    assert 0.99 * cert.sigma_min <= float(number) <= cert.sigma_min


def test_single_precision_weights_are_exact_too():
    params, X, y = near_interpolant(4)
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (params, X, y))
    cert = nl.existence_certificate(*single, rigorous=True, allow_float32=True)
    assert cert.arrays["X"].dtype == np.float32
    double = jax.tree.map(lambda a: a.astype(float), single)
    assert cert.claims == prove(*double).claims


def test_activations_without_balls_are_refused():
    params, X, y = near_interpolant(0)
    forged = nl.Activation("tanh", jnp.sin, jnp.cos, curvature=1.0)
    for activation in ("relu", forged):
        with pytest.raises(ValueError, match=r"activation: got '.*'\. Ball arithmetic knows tanh"):
            prove(params, X, y, activation)


def test_without_flint(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ModuleNotFoundError, match=r"rigorous: got True.*narrowlib\[book\]"):
        prove(*near_interpolant(0))


@pytest.mark.parametrize("places", [10, 40, 60, 75, 90, 120, 200])
def test_small_numbers_are_proved_about_or_refused_by_name(places, tmp_path):
    """The verifier reads so many binary places; no file is made that it cannot read."""
    params, X, y = near_interpolant(3, noise=1e-8)
    coarse = [np.round(np.asarray(a) * 2**20) / 2**20 for a in (*params, X, y)]
    W, v, X, y = coarse
    small = nl.Params(jnp.asarray(W), jnp.asarray(v * 2.0**-places))
    targets = y * 2.0**-places
    if places + 20 > 160:
        with pytest.raises(ValueError, match=r"^[vy]: got an entry .* binary places\. proof_verif"):
            prove(small, X, targets)
        return
    cert = prove(small, X, targets)
    assert proof_verifier.verify(str(cert.save(tmp_path / "proof"))) == []
