"""Newton in a trust region: the model problem against its theory, the ends against SciPy."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize
from strategies import problem, settings

import narrowlib as nl
from narrowlib.solvers.trust_region_step import trust_region_step

STEP = jax.jit(trust_region_step)


def model(c, values, s):
    return s @ c + s @ (values * s) / 2


def assert_solves(c, values, radius):
    """Conditions that are necessary and sufficient for the best step in the ball."""
    s, promised = (np.asarray(a) for a in STEP(c, values, radius))
    size, scale = np.linalg.norm(s), np.abs(values).max() + np.linalg.norm(c) / radius
    assert np.isfinite(s).all() and size <= radius * (1 + 1e-12)
    shift = -(s @ (c + values * s)) / size**2 if size > 0 else 0.0
    np.testing.assert_allclose(c + (values + shift) * s, 0, atol=1e-12 * radius * scale)
    assert shift >= -1e-12 * scale and values[0] + shift >= -1e-12 * scale
    assert shift * (radius - size) <= 1e-12 * radius * scale
    assert promised == pytest.approx(-model(c, values, s), rel=1e-12)
    return s


@given(
    st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([1e-6, 1e-2, 1.0, 1e3]),
    st.sampled_from(["any", "convex", "hard", "nearly hard", "twice", "flat", "none"]),
)  # fmt: skip
@settings
def test_a_step_solves_the_model_problem(p, seed, radius, kind):
    rng = np.random.default_rng(seed)
    values, c = np.sort(rng.normal(size=p)), rng.normal(size=p)
    if kind == "convex":
        values = values - values[0] + 10.0 ** rng.uniform(-6, 1)
    elif kind == "hard":
        c[0] = 0.0
    elif kind == "nearly hard":
        c[0] *= 10.0 ** rng.uniform(-300, -6)
    elif kind == "twice":
        values[: min(p, 2)], c[0] = values[0], 0.0
    elif kind == "flat":
        values = values - values[0]
    elif kind == "none":
        c = 0 * c
    s = assert_solves(c, values, radius)
    others = rng.normal(size=(200, p))
    others *= radius * rng.uniform(size=(200, 1)) / np.linalg.norm(others, axis=1, keepdims=True)
    best = min(model(c, values, z) for z in others)
    assert model(c, values, s) <= best + 1e-12 * abs(best)


def test_the_plane_by_brute_force():
    angles = np.linspace(0, 2 * np.pi, 20001)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values, c = np.sort(rng.normal(size=2)), rng.normal(size=2) * (seed % 3 > 0)
        c[0] *= seed % 2  # every other one is a hard case
        ring = [
            t * np.stack([np.cos(angles), np.sin(angles)], axis=1) for t in np.linspace(0, 1, 101)
        ]
        brute = min((z @ c + z**2 @ values / 2).min() for z in ring)
        s = np.asarray(STEP(c, values, 1.0)[0])
        assert brute - 2e-3 < model(c, values, s) <= brute + 1e-12


def flat_problem(X, y, m, K, activation):
    """The loss and its derivatives as functions of a flat vector, for SciPy."""
    start = nl.Params(jnp.zeros((m, X.shape[1])), jnp.zeros((m,) if K is None else (m, K)))
    unravel = ravel_pytree(start)[1]
    loss = jax.jit(lambda t: nl.loss(unravel(t), X, y, activation=activation))
    return loss, jax.jit(jax.grad(loss)), jax.jit(jax.hessian(loss)), unravel


@pytest.mark.parametrize("activation, K", [("tanh", None), ("gelu", 2)])
@pytest.mark.parametrize("seed", range(3))
def test_ends_where_scipy_ends(seed, K, activation):
    """Noise on a teacher's labels, a start near the teacher: one minimum, with a positive loss."""
    n, d, m = 60, 3, 2
    rng = np.random.default_rng(seed)
    X = jnp.asarray(rng.normal(size=(n, d)))
    W = 1.5 * np.linalg.qr(rng.normal(size=(d, d)))[0][:m]
    v = rng.uniform(1, 2, size=(m,) if K is None else (m, K))
    teacher = nl.Params(jnp.asarray(W), jnp.asarray(v))
    clean = nl.forward(teacher, X, activation=activation)
    y = clean + 0.1 * rng.normal(size=clean.shape)
    start = jax.tree.map(lambda a: a + 0.05 * rng.normal(size=a.shape), teacher)
    sol = nl.trust_region_newton(start, X, y, activation=activation)
    loss, gradient, hessian, _ = flat_problem(X, y, m, K, activation)
    theirs = minimize(
        loss, ravel_pytree(start)[0], jac=gradient, hess=hessian, method="trust-exact",
        options={"gtol": 1e-12},
    )  # fmt: skip
    assert sol.result is nl.RESULTS.converged
    assert float(sol.stats["loss"]) == pytest.approx(theirs.fun, rel=1e-12)
    assert theirs.fun > 1e-3
    ours = ravel_pytree(sol.params)[0]
    np.testing.assert_allclose(ours, theirs.x, rtol=1e-6)
    assert jnp.linalg.norm(gradient(ours)) < 1e-12
    least = np.linalg.eigvalsh(hessian(ours))[0]
    assert float(sol.stats["least_eigenvalue"]) == pytest.approx(least, rel=1e-8)
    assert least > 0


def test_far_starts_come_to_rest_at_minima():
    """From far away SciPy and we may end in different minima; both have to be minima."""
    X, y = problem(60, n=20, d=4)
    keys = jax.random.split(jax.random.key(0), 30)
    starts = jax.vmap(lambda k: nl.lecun(k, d=4, m=2))(keys)
    run = jax.vmap(lambda p: nl.trust_region_newton(p, X, y, activation="gelu", throw=False))
    sols = jax.jit(run)(starts)
    loss, gradient, hessian, _ = flat_problem(X, y, 2, None, "gelu")
    rested = sols.code == nl.RESULTS.converged.code
    assert rested.sum() > 8  # of the others many run to infinity
    for i in np.flatnonzero(rested):
        theta = ravel_pytree(jax.tree.map(lambda a, i=i: a[i], sols.params))[0]
        assert jnp.linalg.norm(gradient(theta)) < 1e-11
        assert np.linalg.eigvalsh(hessian(theta))[0] > -1e-8
        assert float(sols.stats["loss"][i]) == pytest.approx(float(loss(theta)), rel=1e-12)
    last = sols.stats["history"]["loss"]
    assert np.all(np.diff(last, axis=1) <= 1e-14)


@pytest.fixture(scope="module")
def at_rest():
    """A start, the data, and the minimum with a positive loss where it comes to rest."""
    with jax.enable_x64(True):
        X, y = problem(65, n=20, d=4)
        start = nl.lecun(jax.random.key(0), d=4, m=2)
        return start, X, y, nl.trust_region_newton(start, X, y, activation="gelu")


def test_the_end_is_quadratic(at_rest):
    _, X, y, done = at_rest
    rng = np.random.default_rng(0)
    near = jax.tree.map(lambda a: a + 1e-4 * rng.normal(size=a.shape), done.params)
    sol = nl.trust_region_newton(near, X, y, activation="gelu")
    g = np.asarray(sol.stats["history"]["stationarity"])
    assert len(g) == int(sol.stats["num_steps"]) <= 4 and g[-1] < 1e-13
    assert g[0] > 1e-9 and g[1] < 1e-4 * g[0]  # twice as many digits, not a few more
    np.testing.assert_allclose(sol.params.W, done.params.W, atol=1e-9)


SADDLE = """
import jax.numpy as jnp
from strategies import problem
import narrowlib as nl
X, y = problem(65, n=20, d=4)
nothing = nl.Params(jnp.zeros((2, 4)), jnp.zeros(2))
sol = nl.trust_region_newton(nothing, X, y, activation="gelu", throw=False)
assert float(sol.stats["loss"]) < 0.8 * float(nl.loss(nothing, X, y))
"""


def test_leaves_a_saddle_where_the_gradient_is_zero():
    """Rounding decides which way down it takes, so compiled as usual, in a process of its own."""
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "JAX_ENABLE_X64": "1"}
    here.pop("XLA_FLAGS", None)
    done = subprocess.run([sys.executable, "-c", SADDLE], env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_unit_of_the_gradient():
    X, y = problem(63, n=11, d=3, outputs=3)
    start = nl.lecun(jax.random.key(2), d=3, m=2, outputs=3)
    sol = nl.trust_region_newton(start, X, y, max_steps=3, throw=False)
    J = jax.jacobian(lambda p: nl.forward(p, X).ravel())(sol.params)
    r = np.ravel(nl.forward(sol.params, X) - y)
    blocks = [np.reshape(block, (r.size, -1)) for block in J]
    gradient = [np.linalg.norm(block.T @ r) / 11 for block in blocks]
    units = [np.linalg.norm(block) * np.linalg.norm(y) / 11 for block in blocks]
    expected = np.hypot(*np.divide(gradient, units))
    assert float(sol.stats["stationarity"]) == pytest.approx(expected, rel=1e-9)
    distance = float(sol.stats["stationarity"] * sol.stats["unit"])
    assert distance == pytest.approx(np.hypot(*gradient), rel=1e-9)
    assert float(sol.stats["history"]["stationarity"][-1]) == float(sol.stats["stationarity"])


def test_eager_jit_and_vmap_agree():
    X, y = problem(64, n=16, d=3)
    Xs, ys = jnp.stack([X, 2 * X]), jnp.stack([y, y[::-1]])
    starts = jax.vmap(lambda k: nl.lecun(k, d=3, m=2))(jax.random.split(jax.random.key(0), 3))

    def end(start, X, y):
        return nl.trust_region_newton(start, X, y, max_steps=12, throw=False)

    over_starts = jax.vmap(end, (0, None, None))
    batch = jax.jit(jax.vmap(over_starts, (None, 0, 0)))(starts, Xs, ys)
    assert batch.stats["history"]["loss"].shape == (2, 3, 12)
    for a in range(2):
        for b in range(3):
            start = jax.tree.map(lambda leaf, b=b: leaf[b], starts)
            one = end(start, Xs[a], ys[a])
            assert int(one.code) == int(batch.code[a, b])
            steps = int(one.stats["num_steps"])
            assert steps == int(batch.stats["num_steps"][a, b])
            np.testing.assert_allclose(one.params.W, batch.params.W[a, b], rtol=1e-6)
            for name in ("loss", "stationarity", "radius"):
                history = batch.stats["history"][name][a, b]
                np.testing.assert_allclose(
                    one.stats["history"][name][:steps], history[:steps], rtol=1e-5, atol=1e-14
                )
                np.testing.assert_array_equal(history[steps:], history[-1])


def test_codes(at_rest):
    start, X, y, done = at_rest

    def run(start, **options):
        return nl.trust_region_newton(start, X, y, activation="gelu", **options)

    few = run(start, max_steps=2, throw=False)
    assert few.result is nl.RESULTS.max_steps and int(few.stats["num_steps"]) == 2
    with pytest.raises(nl.SolverError, match="max_steps") as caught:
        run(start, max_steps=2)
    np.testing.assert_array_equal(caught.value.solution.params.W, few.params.W)
    assert done.result is nl.RESULTS.converged
    limit = run(done.params, tol=1e-30, throw=False)
    assert limit.result is nl.RESULTS.rounding
    assert float(limit.stats["stationarity"]) <= 100 * float(limit.stats["floor"]) < 1e-12
    again = run(done.params)
    assert int(again.stats["num_steps"]) == 0
    with pytest.raises(ValueError, match="throw"):
        jax.jit(run)(start)


def test_zero_loss_and_single_precision():
    X, y = problem(66, n=20, d=6)
    start = nl.lecun(jax.random.key(4), d=6, m=6)
    for labels in (y, 0 * y):
        assert float(nl.trust_region_newton(start, X, labels).stats["loss"]) < 1e-20
    low = jax.tree.map(lambda a: a.astype(jnp.float32), (start, X, y))
    sol = nl.trust_region_newton(*low, tol=1e-5)
    assert sol.params.W.dtype == jnp.float32 and float(sol.stats["loss"]) < 1e-8
