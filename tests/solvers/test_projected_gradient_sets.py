"""Sets that a reader brings, sets by name, and derivatives of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize
from strategies import Box, normal, problem

import narrowlib as nl

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(2), d=8, m=4)
CONE = nl.PairedCone(zeta=0.1, kappa=4.0)
SET = nl.Product(W=nl.Ball(START.W, 1.0), v=CONE)
STEPS = 30


def test_a_set_of_ones_own():
    """Against SciPy's L-BFGS-B, which knows boxes."""
    boxes = {"W": Box(0.4), "v": Box(np.asarray(0.7))}
    sol = nl.ProjectedGradient(boxes).run(START, X, Y, max_steps=4000, tol=1e-6)
    assert max(float(jnp.abs(sol.params.W).max()) - 0.4, float(jnp.abs(sol.params.v).max())) <= 0.7
    flat, unravel = ravel_pytree(sol.params)
    tops = np.concatenate([np.full(START.W.size, 0.4), np.full(4, 0.7)])
    theirs = minimize(
        jax.jit(jax.value_and_grad(lambda t: nl.loss(unravel(t), X, Y))), flat, jac=True,
        method="L-BFGS-B", bounds=np.stack([-tops, tops], axis=1),
        options={"ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    assert float(sol.stats["loss"]) == pytest.approx(theirs.fun, rel=1e-6)
    assert float(sol.stats["loss"]) > 0.01 and np.sum(np.abs(flat) == tops) > 3
    short = nl.ProjectedGradient(boxes).run(START, X, Y, max_steps=STEPS, tol=1e-6, throw=False)
    assert float(short.stats["stationarity"]) > 1e-3


def test_the_sets_of_a_trainer():
    net = nl.OneHiddenLayer(START)
    rule = {"W": nl.BallAroundStart(0.3), "v": CONE}
    sets = nl.ConstrainedTrainer(optax.sgd(0.1), rule).sets(net)
    by_hand = nl.Product(W=nl.Ball(START.W, 0.3), v=CONE)
    options = {"max_steps": STEPS, "tol": 0.0, "throw": False}
    for solver in (nl.ProjectedGradient, nl.ProjectedGaussNewton):
        one, two = (solver(given).run(START, X, Y, **options) for given in (sets, by_hand))
        np.testing.assert_array_equal(one.params.W, two.params.W)
        assert isinstance(solver(sets).constraint, nl.Product)


def test_derivatives_of_a_run_of_fixed_steps():
    """In reverse, against differences; and a word for those that are not to be had."""
    direction = normal(jax.random.key(9), START.W.shape)

    def end(t, rule=0.3):
        start = nl.Params(START.W + t * direction, START.v)
        options = {"max_steps": STEPS, "tol": 0.0, "throw": False}
        return nl.ProjectedGradient(SET, rule).run(start, X, Y, **options).stats["loss"]

    slope = jax.jit(jax.grad(end))(0.1)
    difference = (end(0.1 + 1e-5) - end(0.1 - 1e-5)) / 2e-5
    assert float(slope) == pytest.approx(float(difference), rel=1e-6)
    with pytest.raises(ValueError, match=r"step_size: got a derivative to take\. Backtracking"):
        jax.grad(lambda t: end(t, nl.Backtracking()))(0.1)
    with pytest.raises(ValueError, match=r"step_size: got a derivative to take\. Backtracking"):
        solver = nl.ProjectedGradient(SET)
        state = solver.init(START, X, Y)
        jax.grad(lambda x: solver.step(state, x, Y).loss)(X)
