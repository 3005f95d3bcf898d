"""The KKT theorem's radius and the bound for approximate KKT points, written out again.

That the bound holds at hundreds of points is in test_theorems.py.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib.certificates.kkt_theory import Place, Rates, kkt_hypotheses, stationarity_bound

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(1), d=8, m=4)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("kappa", [1.0, 3.0])
def test_the_guaranteed_radius(name, per_neuron, kappa):
    sets = nl.Product(W=nl.Ball(START.W, 0.1, per_neuron=per_neuron), v=nl.PairedCone(0.1, kappa))
    sigma = nl.get_activation(name)
    _, radius = kkt_hypotheses(START, X, sets, sigma)
    signs = jnp.array([1.0, 1.0, -1.0, -1.0])
    J = np.asarray(nl.jacobian(nl.Params(START.W, signs), X, activation=name))
    s1 = np.linalg.svd(J, compute_uv=False)[-1]
    Xn = np.asarray(X)
    L1 = sigma.curvature * np.sqrt((Xn**2).sum(axis=1)).max() * np.linalg.norm(Xn, 2)
    frobenius, rows = 2 * s1 / (3 * L1), s1 / (L1 * (math.sqrt(4) + 2))  # whatever κ is
    assert radius == pytest.approx(rows if per_neuron else frobenius, rel=1e-5)


def circular(angle, K, radius=0.1, m=16, per_neuron=False):
    """A circular cone around a mirrored start, its sets and samples."""
    Z, _ = problem(5, n=8, outputs=K)
    start = nl.mirrored_lecun(jax.random.key(6), d=8, m=m, outputs=K)
    sets = nl.Product(
        W=nl.Ball(start.W, radius, per_neuron=per_neuron), v=nl.CircularCone(start.v, angle, 0.1)
    )
    return Z, start, sets


@pytest.mark.parametrize("K", [None, 2])
def test_the_radius_of_a_circular_cone_holds_at_all_of_its_points(K):
    Z, start, sets = circular(0.003, K)
    holds, radius = kkt_hypotheses(start, Z, sets, nl.get_activation("tanh"))
    assert radius is not None and radius > 0 and holds["full rank in the whole cone"]
    R, curvature = np.linalg.norm(Z, axis=1).max(), nl.get_activation("tanh").curvature
    axis, ratios = np.asarray(start.v), []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(size=axis.shape)
        half = len(axis) // 2
        E = noise - np.sum(noise[:half] * axis[:half]) / np.sum(axis[:half] ** 2) * axis
        E[half:] = -E[:half]
        E *= math.tan(0.003) * np.linalg.norm(axis) / np.linalg.norm(E)
        v = axis + E  # on the edge of the cone
        assert np.allclose(sets.v.project(jnp.asarray(v)), v, atol=1e-12)
        J = np.asarray(nl.jacobian(nl.Params(start.W, jnp.asarray(v)), Z))
        longest = np.linalg.norm(v.reshape(len(v), -1), axis=1).max()
        L = curvature * R * np.linalg.norm(Z, 2) * longest
        ratios.append(2 * np.linalg.svd(J, compute_uv=False)[-1] / (3 * L))
    assert radius <= min(ratios)
    assert radius > 0.2 * min(ratios)  # and not for nothing


def test_a_wide_circular_cone_has_no_radius():
    Z, start, sets = circular(0.5, 2)
    holds, radius = kkt_hypotheses(start, Z, sets, nl.get_activation("tanh"))
    assert radius == 0 and holds["full rank at the start"]
    assert not holds["full rank in the whole cone"] and not holds["ε under the guaranteed radius"]


@pytest.mark.parametrize("per_neuron", [False, True])
def test_under_that_radius_every_end_is_a_fit(per_neuron):
    Z, start, sets = circular(0.003, 2, per_neuron=per_neuron)
    _, T = problem(7, n=8, outputs=2)
    _, radius = kkt_hypotheses(start, Z, sets, nl.get_activation("tanh"))
    sets = nl.Product(W=nl.Ball(start.W, 0.9 * radius, per_neuron=per_neuron), v=sets.v)
    for seed in range(3):
        shift = 0.3 * radius * np.random.default_rng(seed).normal(size=start.W.shape)
        begin = sets.project(nl.Params(start.W + shift, start.v))
        sol = nl.ProjectedGradient(sets, ray_scaling=True).run(
            begin, Z, T, max_steps=3000, tol=0.0, throw=False
        )
        cert = nl.kkt_certificate(sol.params, Z, T, sets)
        assert cert.theorem_applies and cert.loss < 1e-9


@pytest.mark.parametrize("share, holds", [(0.99, True), (1.01, False)])
def test_the_radius_is_compared_strictly(share, holds):
    def facts(radius):
        sets = nl.Product(W=nl.Ball(START.W, radius), v=nl.PairedCone(0.1, 2.0))
        return kkt_hypotheses(START, X, sets, nl.get_activation("tanh"))

    guaranteed = facts(1.0)[1]
    hypotheses = facts(share * guaranteed)[0]
    assert hypotheses["ε under the guaranteed radius"] is holds
    assert all(hypotheses.values()) is holds
    assert facts(guaranteed)[0]["ε under the guaranteed radius"] is False


def test_samples_that_are_all_zero_have_no_radius():
    sets = nl.Product(W=nl.Ball(START.W, 0.1), v=nl.PairedCone(0.1, 2.0))
    hypotheses, radius = kkt_hypotheses(START, 0 * X, sets, nl.get_activation("tanh"))
    assert radius == 0 and not hypotheses["ε under the guaranteed radius"]


def test_no_radius_where_the_theorem_does_not_speak():
    for sets in (
        nl.Product(W=nl.Free(), v=nl.PairedCone(0.1, 2.0)),
        nl.Product(W=nl.Ball(START.W, 0.1), v=nl.Free()),
    ):
        assert kkt_hypotheses(START, X, sets, nl.get_activation("tanh"))[1] is None
    relu = kkt_hypotheses(
        START, X, nl.Product(W=nl.Ball(START.W, 0.1), v=nl.PairedCone(0.1, 2.0)),
        nl.get_activation("relu"),
    )  # fmt: skip
    assert relu[1] is None and relu[0]["smooth activation"] is False


PLACE = Place(
    gradient=0.01,
    delta=0.001,
    multiplier=np.array(0.5),
    distance=0.2,
    start_output=0.0,
    radius=0.2,
    least_move=0.2,
)


def rates(s, off_outputs=0.0, off_pull=0.0):
    return Rates(s, 4.0, off_outputs, off_pull)


def test_on_the_sphere():
    n, s, L, ray = 10, 3.0, 4.0, -0.002
    room = s * 0.2 - L * 0.2**2 / 2
    expected = (2 * 0.2 * n * 0.001 + n * 0.002) / room
    assert stationarity_bound(PLACE, ray, n, rates(s)) == pytest.approx(expected)
    upward = stationarity_bound(PLACE, +5.0, n, rates(s))
    assert upward == pytest.approx(n * PLACE.gradient / s)  # never below the direct bound
    small = PLACE._replace(gradient=1e-4)
    assert stationarity_bound(small, +5.0, n, rates(s)) == pytest.approx(0.004 / room)


def test_rounding_is_in_the_bound():
    n, s, off_F, off_pull, off_start = 10, 3.0, 1e-3, 2e-3, 3e-3
    room = s * 0.2 - 4.0 * 0.2**2 / 2 - 3 * (off_F + off_start)
    expected = (n * 0.001 + 3 * off_pull) * 0.4 / room + 3 * off_F
    place = PLACE._replace(gradient=0.0, off_start=off_start)
    assert stationarity_bound(place, 0.0, n, rates(s, off_F, off_pull)) == pytest.approx(expected)


def test_it_is_void_where_the_denominator_is_not_positive():
    assert stationarity_bound(PLACE._replace(start_output=9.0), 0.0, 10, rates(3.0)) == math.inf


def test_inside_and_without_rank():
    inside = PLACE._replace(multiplier=np.array(0.0), least_move=None)
    assert stationarity_bound(inside, -1.0, 10, rates(2.0)) == pytest.approx(0.05)
    assert stationarity_bound(inside, -1.0, 10, rates(0.0)) == math.inf
    assert stationarity_bound(PLACE, -1.0, 10, rates(0.0)) == math.inf


@pytest.mark.parametrize("per_neuron", [False, True])
def test_it_is_never_below_the_bound_from_the_gradient(per_neuron):
    """Its proof passes through ‖r‖ ≤ ‖Jᵀr‖/σ, so at any point the latter is sharper."""
    sets = nl.Product(W=nl.Ball(START.W, 0.3, per_neuron=per_neuron), v=nl.PairedCone(0.1, 2.0))
    finite = 0
    for seed in range(30):
        noise = nl.lecun(jax.random.key(100 + seed), d=8, m=4)
        cert = nl.kkt_certificate(sets.project(noise), X, Y, sets)
        assert cert.residual <= cert.residual_bound <= cert.stationarity_bound * (1 + 1e-9)
        finite += cert.stationarity_bound < math.inf
    assert finite
