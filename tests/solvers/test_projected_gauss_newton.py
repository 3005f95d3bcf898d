"""Projected Gauss–Newton: its step against dense algebra and a root finder, and its contract."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from strategies import normal, problem

import narrowlib as nl
from narrowlib import verifier
from narrowlib.network.linearization import linearize
from narrowlib.solvers import base
from narrowlib.solvers.gauss_newton_step import FILL, attempt

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(2), d=8, m=6)
CONE = nl.PairedCone(zeta=0.1, kappa=4.0)


def on(radius=0.5, v=CONE, start=START):
    return nl.Product(W=nl.Ball(start.W, radius), v=v)


SET = on()


def dense(params, X, y):
    """J, r and Δ, in NumPy."""
    W, v = np.asarray(params.W), np.asarray(params.v)
    phi = np.tanh(np.asarray(X) @ W.T)
    J = ((1 - phi**2) * v)[:, :, None] * np.asarray(X)[:, None, :]
    return J.reshape(len(phi), -1), phi @ v - np.asarray(y)


def moved(size=0.3):
    """Weights inside the ball, away from its centre."""
    step = normal(jax.random.key(5), START.W.shape)
    W = START.W + size * SET.W.radius * step / jnp.linalg.norm(step)
    return nl.Params(W, SET.v.project(START.v))


def tried(constraint, params, damping, XX=None):
    at = linearize(params, X, nl.get_activation("tanh"))
    XX = X @ X.T if XX is None else None
    return attempt(constraint, params, at, at.residual(Y), XX, jnp.asarray(damping))


@pytest.mark.parametrize("damping", [1e-6, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("radius", [0.15, 0.5, 50.0])
def test_the_step_with_a_ray_against_a_root_finder(damping, radius):
    params = moved(0.2)
    J, r = dense(params, X, Y)
    delta = np.asarray(params.W - START.W).ravel()
    q = r + np.asarray(Y) - J @ delta
    H = J.T @ J + damping * np.eye(J.shape[1])

    def step(a):
        return -np.linalg.solve(H, J.T @ (r + a * q))

    def excess(a):
        return np.linalg.norm(delta + step(a)) - FILL * radius * (1 + a)

    a = 0.0
    if np.linalg.norm(delta + step(0.0)) > radius:
        a = scipy.optimize.brentq(excess, 0, 1e6, xtol=1e-13)
    found = tried(on(radius), params, damping)
    assert float(found.ray) == pytest.approx(1 + a, rel=1e-8)
    new = (delta + step(a)) / (1 + a)
    np.testing.assert_allclose(np.ravel(found.params.W - START.W), new, atol=1e-8 * radius)
    left = r + a * q + J @ step(a)
    assert float(found.promised) == pytest.approx(r @ r - left @ left, rel=1e-7)
    assert (a > 0) == (radius < 1 and damping < 100)


@pytest.mark.parametrize("damping", [1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("radius", [0.15, 0.5, 50.0])
def test_the_step_with_fixed_v_against_a_root_finder(damping, radius):
    params = moved(0.2)
    J, r = dense(params, X, Y)
    delta = np.asarray(params.W - START.W).ravel()
    H, g = J.T @ J, J.T @ (J @ delta - r) + damping * delta

    def point(kappa):
        return np.linalg.solve(H + kappa * np.eye(len(g)), g)

    kappa = damping
    if np.linalg.norm(point(kappa)) > radius:
        kappa = scipy.optimize.brentq(
            lambda k: np.linalg.norm(point(k)) - radius, damping, 1e6, xtol=1e-14
        )
    found = tried(on(radius, nl.Fixed(params.v)), params, damping)
    np.testing.assert_allclose(np.ravel(found.params.W - START.W), point(kappa), atol=1e-7 * radius)
    assert (kappa > damping) == (radius < 50)
    # and no other point of the ball has a lower model
    best = r + J @ (point(kappa) - delta)
    for seed in range(200):
        z = np.random.default_rng(seed).normal(size=len(g))
        z *= radius / np.linalg.norm(z) * np.random.default_rng(seed).uniform() ** 0.1
        other = r + J @ (z - delta)
        price = damping * (np.sum((z - delta) ** 2) - np.sum((point(kappa) - delta) ** 2))
        assert best @ best <= other @ other + price


def test_both_inner_solvers_give_the_same_step():
    for v in (CONE, nl.Fixed(moved().v)):
        one, two = (tried(on(0.3, v), moved(), 1e-2, XX=given) for given in (None, "none"))
        np.testing.assert_allclose(one.params.W, two.params.W, atol=1e-5)
        assert float(one.ray) == pytest.approx(float(two.ray), rel=1e-5)


@functools.cache
def solved(radius=0.5, K=None, inner="cholesky"):
    data = problem(1, n=24, d=6, outputs=K)
    start = nl.mirrored_lecun(jax.random.key(3), d=6, m=10 if K is None else 28, outputs=K)
    v = nl.PairedCone(0.05, 4.0) if K is None else nl.CircularCone(start.v, 0.7, zeta=0.1)
    sets = on(radius, v, start)
    return sets, data, nl.ProjectedGaussNewton(sets, inner=inner).run(start, *data)


@pytest.mark.parametrize("radius", [0.01, 0.5, 5.0])
def test_it_converges_to_a_certified_fit(radius, tmp_path):
    sets, data, sol = solved(radius)
    assert sol.result is nl.RESULTS.converged
    assert int(sol.stats["num_steps"]) < 30 and float(sol.stats["loss"]) < 1e-15
    assert float(sets.violation(sol.params)) <= 1e-12
    gradient = jax.grad(nl.loss)(sol.params, *data)
    stationarity = float(sets.normal_cone_residual(sol.params, gradient))
    measured = float(sol.stats["stationarity"] * sol.stats["unit"])
    assert measured == pytest.approx(stationarity, abs=1e-13 * float(sol.stats["unit"]))
    cert = nl.kkt_certificate(sol.params, *data, sets)
    assert cert.verdict == "nearly global" and cert.loss <= cert.loss_bound
    assert verifier.verify(str(cert.save(tmp_path / "run"))) == []


@pytest.mark.parametrize(("K", "inner"), [(3, "cholesky"), (None, "cg"), (3, "cg")])
def test_several_outputs_and_no_matrix(K, inner):
    sets, _, sol = solved(0.5, K, inner)
    assert sol.result is nl.RESULTS.converged and float(sol.stats["loss"]) < 1e-15
    assert float(sets.violation(sol.params)) <= 1e-12


# Why it stops.

NARROW = nl.mirrored_lecun(jax.random.key(2), d=8, m=2)  # 16 hidden weights, rank 8 at the start


def _stops():
    return {
        "converged": (SET, START, {}),
        "max_steps": (SET, START, {"max_steps": 2}),
        "rounding": (SET, START, {"tol": 0.0}),
        # with v fixed and a small ball: stationary, at the limit that the loss can show
        "step_too_small": (on(0.1, nl.Fixed(START.v)), START, {"tol": 0.0, "max_steps": 400}),
    }


@pytest.mark.parametrize("name", ["converged", "max_steps", "rounding", "step_too_small"])
def test_it_stops_for_the_reason_it_names(name):
    sets, start, options = _stops()[name]
    solver = nl.ProjectedGaussNewton(sets)
    sol = solver.run(start, X, Y, throw=False, **options)
    assert sol.result is nl.RESULTS[name]
    steps = int(sol.stats["num_steps"])
    assert (steps == options.get("max_steps")) == (name == "max_steps")
    assert set(sol.stats["history"]) == {"loss", "stationarity", "damping"}
    assert all(len(entry) == steps for entry in sol.stats["history"].values())
    assert np.all(np.diff(sol.stats["history"]["loss"]) <= 1e-15)
    assert float(sets.violation(sol.params)) <= 1e-12
    assert float(sol.stats["loss"]) == pytest.approx(
        float(nl.loss(sol.params, X, Y)), rel=1e-10, abs=1e-20
    )
    if name != "converged":
        with pytest.raises(nl.SolverError, match=nl.RESULTS[name].value[:30]):
            solver.run(start, X, Y, **options)


def test_a_fixed_v_ends_on_the_sphere_with_a_multiplier():
    sets = on(0.1, nl.Fixed(START.v))
    sol = nl.ProjectedGaussNewton(sets).run(START, X, Y, tol=1e-6)
    gradient = jax.grad(nl.loss)(sol.params, X, Y)
    assert float(sol.stats["loss"]) > 0.1
    assert float(jnp.linalg.norm(sol.params.W - START.W)) == pytest.approx(0.1, rel=1e-9)
    assert float(sets.W.multiplier(sol.params.W, gradient.W)) > 0.1
    # projected gradient, another method, ends in the same place
    slow = nl.ProjectedGradient(sets).run(START, X, Y, max_steps=20_000, tol=1e-7)
    np.testing.assert_allclose(sol.params.W, slow.params.W, atol=1e-5)


def test_too_few_neurons_do_not_look_converged():
    sol = nl.ProjectedGaussNewton(on(0.5, start=NARROW)).run(NARROW, X, Y, throw=False)
    assert sol.result is not nl.RESULTS.converged and float(sol.stats["loss"]) > 1e-3
    assert bool(jnp.all(jnp.isfinite(sol.params.v)))


def test_without_constraints():
    start = START._replace(v=20 * START.v)
    free = nl.Product(W=nl.Free(), v=nl.Fixed(start.v))
    sol = nl.ProjectedGaussNewton(free).run(start, X, Y)
    assert sol.result is nl.RESULTS.converged and float(sol.stats["loss"]) < 1e-15


def test_an_infeasible_start_is_projected_first():
    far = nl.Params(START.W + 9, jnp.arange(6.0))
    state = nl.ProjectedGaussNewton(SET).init(far, X, Y)
    for ours, theirs in zip(state.params, SET.project(far), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)


def test_zero_targets_need_no_step():
    sol = nl.ProjectedGaussNewton(SET).run(START, X, jnp.zeros_like(Y))
    assert int(sol.stats["num_steps"]) == 0 and sol.stats["history"]["loss"].shape == (0,)


def test_steps_make_a_run_and_a_run_goes_on():
    solver = nl.ProjectedGaussNewton(SET)
    state, losses = solver.init(START, X, Y), []
    for _ in range(4):
        state = solver.step(state, X, Y)
        losses.append(float(state.loss))
    run = solver.run(START, X, Y, max_steps=4, tol=0.0, throw=False)
    np.testing.assert_allclose(run.stats["history"]["loss"], losses, rtol=1e-9)
    np.testing.assert_allclose(run.params.W, state.params.W, atol=1e-10)
    assert int(solver.step(run.state, X, Y).num_steps) == 5


# Compiled.


def test_under_jit_and_vmap_over_starts_and_radii():
    radii = jnp.array([0.1, 0.5])

    def run(W, radius):
        sets = nl.Product(W=nl.Ball(START.W, radius), v=CONE)
        start = nl.Params(W, START.v)
        sol = nl.ProjectedGaussNewton(sets).run(start, X, Y, max_steps=20, throw=False)
        return sol.params, sol.code, sol.stats

    starts = jnp.stack([START.W, START.W + 0.01])
    params, code, stats = jax.jit(jax.vmap(run))(starts, radii)
    assert stats["history"]["loss"].shape == (2, 20)
    for i in range(2):
        one, one_code, one_stats = run(starts[i], radii[i])
        np.testing.assert_allclose(params.W[i], one.W, atol=1e-8)
        assert int(code[i]) == int(one_code) == nl.RESULTS.converged.code
        steps = int(one_stats["num_steps"])
        np.testing.assert_allclose(
            stats["history"]["loss"][i][:2], one_stats["history"]["loss"][:2], rtol=1e-6
        )
        assert bool(jnp.all(stats["history"]["loss"][i][steps:] == stats["loss"][i]))


def test_a_second_run_compiles_nothing():
    nl.ProjectedGaussNewton(SET).run(START, X, Y)
    before = base._run._cache_size()
    nl.ProjectedGaussNewton(on(0.3), damping=0.1).run(START, X + 1, Y, tol=1e-6)
    assert base._run._cache_size() == before


def test_float32_stays():
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (START, X, Y))
    sets = nl.Product(W=nl.Ball(single[0].W, 0.5), v=CONE)
    sol = nl.ProjectedGaussNewton(sets).run(*single, throw=False)
    assert {a.dtype for a in (*sol.params, *sol.stats["history"].values())} == {
        jnp.dtype("float32")
    }
    assert float(sol.stats["loss"]) < 1e-9


def test_no_step_raises_the_loss():
    """Around a centre that is not mirrored the linear model can promise an increase."""
    centre = nl.lecun(jax.random.key(3), d=8, m=4)
    sets = nl.Product(W=nl.Ball(centre.W, 1e-3), v=CONE)
    sol = nl.ProjectedGaussNewton(sets).run(centre, X, Y, max_steps=50, throw=False)
    loss = np.asarray(sol.stats["history"]["loss"])
    assert (np.diff(loss) <= 0).all() and loss[-1] <= nl.loss(sets.project(centre), X, Y)
