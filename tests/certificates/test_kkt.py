"""KKT certificates against dense algebra and autodiff, and each verdict produced on purpose."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import nnls
from strategies import ball_case, paired_case, problem

import narrowlib as nl

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(2), d=8, m=4)
CONE = nl.PairedCone(zeta=0.1, kappa=2.0)


@functools.cache
def trained(radius=1.0, per_neuron=False):
    sets = nl.Product(W=nl.Ball(START.W, radius, per_neuron=per_neuron), v=CONE)
    solver = nl.ProjectedGradient(sets, ray_scaling=True)
    return solver.run(START, X, Y, max_steps=5000, tol=1e-7, throw=False).params, sets


def random_point(seed, radius, per_neuron):
    """A feasible point on the sphere, not stationary at all."""
    rng = np.random.default_rng(seed)
    sets = nl.Product(W=nl.Ball(START.W, radius, per_neuron=per_neuron), v=CONE)
    far = nl.Params(START.W + jnp.asarray(rng.normal(size=(4, 8))), jnp.asarray(rng.normal(size=4)))
    return sets.project(far), sets


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_numbers_against_dense_algebra(seed, per_neuron):
    params, sets = random_point(seed, 0.3, per_neuron)
    cert = nl.kkt_certificate(params, X, Y, sets)
    F = np.asarray(nl.forward(params, X))
    r, J = F - np.asarray(Y), np.asarray(nl.jacobian(params, X))
    gradient = jax.grad(nl.loss)(params, X, Y)
    assert cert.residual == pytest.approx(np.linalg.norm(r))
    assert cert.loss == pytest.approx((r**2).mean() / 2)
    assert cert.sigma_min == pytest.approx(np.linalg.svd(J, compute_uv=False)[-1], rel=1e-6)
    cases = ball_case(START.W, 0.3, per_neuron), paired_case(4, 0.1, 2.0)
    residuals = cert.stationarity_W, cert.stationarity_v
    for part, case, ours in zip(("W", "v"), cases, residuals, strict=True):
        columns = case.normals(np.asarray(getattr(params, part)).ravel())
        theirs = nnls(columns, -np.asarray(getattr(gradient, part)).ravel())[1]
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert cert.ray == pytest.approx(float(r @ F) / len(r), rel=1e-9)
    assert cert.distance == pytest.approx(float(jnp.linalg.norm(params.W - START.W)))
    assert cert.start_output == pytest.approx(0, abs=1e-12)
    assert cert.violation == pytest.approx(0, abs=1e-12) and cert.radius == 0.3
    assert cert.loss_bound == pytest.approx(cert.residual_bound**2 / (2 * 12))
    assert cert.loss <= cert.loss_bound and cert.residual <= cert.residual_bound
    assert np.shape(cert.multiplier) == ((4,) if per_neuron else ())
    assert cert.target_loss == pytest.approx(1e-6 * float(jnp.mean(Y**2)) / 2)


@pytest.mark.parametrize("per_neuron", [False, True])
def test_nearly_global(per_neuron):
    params, sets = trained(per_neuron=per_neuron)
    cert = nl.kkt_certificate(params, X, Y, sets)
    assert cert.verdict == "nearly global"
    assert cert.loss <= cert.loss_bound <= cert.target_loss
    assert "nearly a global minimiser" in cert.explain()


def test_not_stationary():
    _, sets = trained()
    params = sets.project(START)  # inside the ball, before any training
    cert = nl.kkt_certificate(params, X, Y, sets)
    assert cert.verdict == "not stationary"
    assert "run longer" in cert.explain()


def test_inconclusive_where_the_rank_is_lost():
    sets = nl.Product(W=nl.Ball(START.W[:, :], 0.5), v=CONE)
    dense, labels = problem(5, n=20)  # 20 samples, rank 16 at most at the start
    params = sets.project(START)
    cert = nl.kkt_certificate(params, dense, labels, sets)
    assert cert.verdict == "inconclusive" and cert.residual_bound == np.inf
    assert not cert.theorem_applies and cert.guaranteed_radius == 0
    assert "full rank at the start" in cert.explain()


def test_infeasible_comes_before_everything_else():
    params, sets = trained()
    away = params._replace(v=params.v.at[0].set(-1.0))
    cert = nl.kkt_certificate(away, X, Y, sets)
    assert cert.verdict == "infeasible" and cert.violation > 0.1
    assert cert.violation == pytest.approx(float(sets.violation(away)))
    assert "project it first" in cert.explain()
    out = params._replace(W=params.W + 9)
    assert nl.kkt_certificate(out, X, Y, sets).verdict == "infeasible"


@pytest.mark.parametrize(
    "sets, applies",
    [
        (nl.Product(W=nl.Ball(START.W, 1e-3), v=CONE), True),
        (nl.Product(W=nl.Ball(START.W, 1e3), v=CONE), False),
        (nl.Product(W=nl.Ball(START.W, 1e-3), v=nl.PairedCone(0.0, 2.0)), False),
        (nl.Product(W=nl.Ball(START.W, 1e-3), v=nl.Free()), False),
        (nl.Product(W=nl.Free(), v=CONE), False),
        (nl.Product(W=nl.Ball(START.W.at[0].add(1e-9), 1e-3), v=CONE), False),
        (nl.Product(W=nl.Ball(START.W, 1e-3), v=nl.CircularCone(START.v, 0.3, 0.1)), False),
    ],
    ids=["all", "large ball", "no floor", "free v", "free W", "not mirrored", "circular"],
)
def test_kkt_hypotheses(sets, applies):
    cert = nl.kkt_certificate(sets.project(START), X, Y, sets)
    assert cert.theorem_applies == applies
    missing = [name for name, holds in cert.hypotheses.items() if not holds]
    assert ("all hold" in cert.explain()) == applies
    assert all(name in cert.explain() for name in missing)


def test_relu_is_not_covered():
    params, sets = trained()
    cert = nl.kkt_certificate(params, X, Y, sets, activation="relu")
    assert not cert.hypotheses["smooth activation"] and not cert.theorem_applies


def test_several_outputs_and_a_circular_cone():
    Z, T = problem(6, n=8, outputs=2)
    start = nl.mirrored_lecun(jax.random.key(7), d=8, m=8, outputs=2)
    sets = nl.Product(W=nl.Ball(start.W, 3.0), v=nl.CircularCone(start.v, 1.4, zeta=0.1))
    solver = nl.ProjectedGradient(sets, ray_scaling=True)
    sol = solver.run(start, Z, T, max_steps=6000, tol=1e-7, throw=False)
    cert = nl.kkt_certificate(sol.params, Z, T, sets, target_loss=1e-4)
    assert cert.loss <= cert.loss_bound
    assert cert.verdict == "nearly global"


def test_the_target_is_the_callers():
    _, sets = trained()
    strict = nl.kkt_certificate(START, X, Y, sets, target_loss=0.0)
    loose = nl.kkt_certificate(START, X, Y, sets, target_loss=1.01 * strict.loss_bound)
    assert strict.verdict == "not stationary" and loose.verdict == "nearly global"


@pytest.mark.parametrize("per_neuron", [False, True])
def test_the_trainers_sets_are_the_sets_built_by_hand(per_neuron):
    net = nl.OneHiddenLayer(START)
    rules = {"W": nl.BallAroundStart(0.5, per_neuron=per_neuron), "v": CONE}
    trainer = nl.ConstrainedTrainer(optax.sgd(0.3), rules)
    sets = trainer.sets(net)
    params = trainer.fit(net, X, Y, epochs=30).module.params
    by_hand = nl.Product(W=nl.Ball(START.W, 0.5, per_neuron=per_neuron), v=CONE)
    ours, theirs = (nl.kkt_certificate(params, X, Y, C) for C in (sets, by_hand))
    assert ours.claims == theirs.claims and ours.hypotheses["W between two balls"]
    assert ours.arrays.keys() == theirs.arrays.keys()
    alone = nl.kkt_certificate(params, X, Y, {"W": sets["W"]})
    assert alone.sets == {"W": "Ball", "v": "Free"}
