"""One step: its search for a step size, and its exact step along the ray, against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from strategies import normal, problem

import narrowlib as nl
from narrowlib.solvers.projected_gradient import ray_minimum

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(2), d=8, m=4)
CONE = nl.PairedCone(zeta=0.1, kappa=4.0)
SET = nl.Product(W=nl.Ball(START.W, 1.0), v=CONE)


@pytest.mark.parametrize("seed", range(4))
def test_ray_scaling_is_the_optimum_on_the_ray(seed):
    params = nl.Params(START.W + 0.1 * normal(jax.random.key(seed), (4, 8)), START.v)
    start = nl.ProjectedGradient(SET).init(params, X, Y)
    for set_of_v, bounds in ((nl.Free(), (-1e3, 1e3)), (CONE, (1.0, 1e3))):
        at = start.params
        if isinstance(set_of_v, nl.PairedCone):
            bounds = (float(set_of_v.least_scale(at.v)), 1e3)
        alpha = ray_minimum(set_of_v, at.v, start.residual + Y, Y)
        scaled = nl.Params(at.W, alpha * at.v)
        best = minimize_scalar(
            lambda a, at=at: float(nl.loss(nl.Params(at.W, a * at.v), X, Y)),
            bounds=bounds,
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert float(alpha) == pytest.approx(best.x, abs=1e-5)
        assert float(nl.loss(scaled, X, Y)) <= best.fun + 1e-12


def test_after_each_step_the_ray_has_nothing_left():
    solver = nl.ProjectedGradient(nl.Product(W=SET.W, v=nl.Free()), ray_scaling=True)
    state = solver.init(START, X, Y)
    for _ in range(5):
        state = solver.step(state, X, Y)
        F = state.residual + Y
        assert abs(float(jnp.sum(state.residual * F))) < 1e-12
        assert float(state.loss) == pytest.approx(float(nl.loss(state.params, X, Y)), rel=1e-12)


@pytest.mark.parametrize("initial", [1e-3, 1.0, 1e3])
def test_backtracking_takes_the_first_size_that_descends_enough(initial):
    rule = nl.Backtracking(initial=initial, shrink=0.5, decrease=0.1)
    solver = nl.ProjectedGradient(SET, rule)
    state = solver.init(START, X, Y)
    after = solver.step(state, X, Y)
    gradient = jax.grad(nl.loss)(START, X, Y)

    def enough(eta):
        new = SET.project(jax.tree.map(lambda p, g: p - eta * g, START, gradient))
        moved = sum(jnp.sum((p - q) ** 2) for p, q in zip(new, START, strict=True))
        return float(nl.loss(new, X, Y)) <= float(nl.loss(START, X, Y)) - 0.1 * float(moved) / eta

    tried = [initial * 0.5**k for k in range(40)]
    expected = next(eta for eta in tried if enough(eta))
    assert float(after.step_size) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("step_size", [0.1, nl.Backtracking()], ids=["number", "backtracking"])
@pytest.mark.parametrize("m", [4, 6, 10])
def test_outputs_that_are_rounding_are_no_ray(step_size, m):
    """In a ball of radius 0 twins cancel, up to rounding, whatever v is: v keeps its size."""
    start = nl.mirrored_lecun(jax.random.key(m), d=3, m=m)
    X, y = jax.random.normal(jax.random.key(1), (7, 3)), jnp.ones(7)
    sets = nl.Product(W=nl.Ball(start.W, 0.0), v=nl.PairedCone(zeta=0.01, kappa=3.0))
    solver = nl.ProjectedGradient(sets, step_size, ray_scaling=True)
    sol = solver.run(start, X, y, max_steps=5, tol=1e-300, throw=False)
    np.testing.assert_allclose(sol.params.v, start.v, rtol=1e-9)
    assert float(sol.stats["loss"]) == pytest.approx(0.5, rel=1e-12)
