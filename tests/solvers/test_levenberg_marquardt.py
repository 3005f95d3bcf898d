"""Levenberg–Marquardt: one step against dense algebra, ends against SciPy, codes, batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares
from strategies import problem

import narrowlib as nl
from narrowlib.network.linearization import linearize
from narrowlib.solvers.levenberg_marquardt import lm_step

SIGMA = {"tanh": np.tanh, "softplus": lambda z: np.logaddexp(0, z)}


def flat(params):
    return np.concatenate([np.ravel(params.W), np.ravel(params.v)])


def outputs(theta, X, m, K, name):
    d = X.shape[1]
    W, v = theta[: m * d].reshape(m, d), theta[m * d :]
    return (SIGMA[name](X @ W.T) @ v.reshape(m, K or 1)).ravel()


def dense_jacobian(theta, X, m, K, name, h=1e-6):
    columns = [
        (outputs(theta + h * e, X, m, K, name) - outputs(theta - h * e, X, m, K, name)) / (2 * h)
        for e in np.eye(len(theta))
    ]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", SIGMA)
@pytest.mark.parametrize("K", [None, 1, 3])
@pytest.mark.parametrize("m", [2, 9], ids=["fewer weights than rows", "more"])
def test_one_step_is_that_of_dense_algebra(name, K, m):
    X, y = problem(30, n=11, d=4, outputs=K)
    start = nl.lecun(jax.random.key(1), d=4, m=m, outputs=K)
    X_, theta = np.asarray(X), flat(start)
    r = outputs(theta, X_, m, K, name) - np.ravel(y)
    J = dense_jacobian(theta, X_, m, K, name)
    for damping in (1e-2, 10.0):
        at = linearize(start, X, nl.get_activation(name))
        step, promised = lm_step(at, jnp.asarray(r).reshape(y.shape), X @ X.T, jnp.asarray(damping))
        primal = -np.linalg.solve(J.T @ J + damping * np.eye(J.shape[1]), J.T @ r)
        np.testing.assert_allclose(flat(step), primal, rtol=2e-5, atol=1e-8)
        assert step.W.shape == start.W.shape and step.v.shape == start.v.shape
        linear = r @ r - (r + J @ primal) @ (r + J @ primal)
        assert float(promised) == pytest.approx(linear, rel=1e-5)


@pytest.mark.parametrize("method", ["lm", "trf"])
@pytest.mark.parametrize("seed", range(5))
def test_ends_where_scipy_ends(method, seed):
    """Noise on a teacher's labels, a start near the teacher: one minimum, with a positive loss."""
    n, d, m = 60, 3, 2
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    neurons = 1.5 * np.linalg.qr(rng.normal(size=(d, d)))[0][:m]  # far from parallel
    teacher = np.concatenate([neurons.ravel(), rng.uniform(1, 2, size=m)])
    y = outputs(teacher, X, m, None, "tanh") + 0.1 * rng.normal(size=n)
    theta = teacher + 0.05 * rng.normal(size=teacher.size)
    start = nl.Params(jnp.asarray(theta[: m * d].reshape(m, d)), jnp.asarray(theta[m * d :]))
    ours = nl.levenberg_marquardt(start, X, y, throw=False)
    theirs = least_squares(
        lambda t: outputs(t, X, m, None, "tanh") - y, theta, method=method,
        xtol=1e-15, ftol=1e-15, gtol=1e-15,
    )  # fmt: skip
    assert ours.result is nl.RESULTS.step_too_small
    assert float(ours.stats["loss"]) == pytest.approx(theirs.cost / n, rel=1e-9)
    assert float(ours.stats["loss"]) > 1e-3
    J = dense_jacobian(flat(ours.params), X, m, None, "tanh")
    r = outputs(flat(ours.params), X, m, None, "tanh") - y
    assert np.abs(J.T @ r).max() < 1e-5  # a stationary point


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("seed", range(4))
def test_zero_loss_with_fewer_neurons_than_the_theorem(seed, K):
    X, y = problem(40 + seed, n=40, d=8, outputs=K)
    m = 7 if K is None else 11  # m (d + K) is 63 of 40, 110 of 80; 2n/d is 10, 20
    start = nl.lecun(jax.random.key(seed), d=8, m=m, outputs=K)
    sol = nl.levenberg_marquardt(start, X, y)
    assert sol.result is nl.RESULTS.converged
    r = np.tanh(np.asarray(X) @ np.asarray(sol.params.W).T) @ np.asarray(sol.params.v) - y
    assert np.linalg.norm(r) <= 1.01e-10 * np.linalg.norm(y)
    assert float(sol.stats["loss"]) == pytest.approx(float(np.sum(r**2)) / 80, rel=0.1)
    assert float(sol.stats["residual"]) <= 1e-10
    losses = np.asarray(sol.stats["history"]["loss"])
    assert len(losses) == int(sol.stats["num_steps"]) < 200
    assert np.all(np.diff(losses) <= 0)
    assert np.all(np.asarray(sol.stats["history"]["damping"]) > 0)


def test_a_poor_step_raises_the_damping_and_a_good_one_lowers_it():
    X, y = problem(50, n=40, d=8)
    sol = nl.levenberg_marquardt(nl.lecun(jax.random.key(5), d=8, m=4), X, y, throw=False)
    losses = np.asarray(sol.stats["history"]["loss"])
    damping = np.asarray(sol.stats["history"]["damping"])
    rejected = np.flatnonzero(np.diff(losses) == 0)  # step k + 1 left the loss as it was
    assert len(rejected) > 2
    for k in rejected[rejected + 2 < len(damping)]:
        assert damping[k + 2] >= 2 * damping[k + 1]
    assert damping.min() < 0.1 * damping[0]


def test_eager_jit_and_vmap_agree():
    X, y = problem(51, n=24, d=6)
    Xs, ys = jnp.stack([X, 2 * X]), jnp.stack([y, y[::-1]])
    keys = jax.random.split(jax.random.key(0), 3)
    starts = jax.vmap(lambda k: nl.lecun(k, d=6, m=5))(keys)

    def end(start, X, y):
        return nl.levenberg_marquardt(start, X, y, max_steps=25, throw=False)

    compiled, over_starts = jax.jit(end), jax.vmap(end, (0, None, None))
    batch = jax.jit(jax.vmap(over_starts, (None, 0, 0)))(starts, Xs, ys)
    assert batch.stats["history"]["loss"].shape == (2, 3, 25)
    for a in range(2):
        for b in range(3):
            start = jax.tree.map(lambda leaf, b=b: leaf[b], starts)
            for one in (end(start, Xs[a], ys[a]), compiled(start, Xs[a], ys[a])):
                assert int(one.code) == int(batch.code[a, b])
                steps = int(one.stats["num_steps"])
                assert steps == int(batch.stats["num_steps"][a, b])
                np.testing.assert_allclose(one.params.W, batch.params.W[a, b], rtol=1e-5)
                history = batch.stats["history"]["loss"][a, b]
                np.testing.assert_allclose(
                    one.stats["history"]["loss"][:steps], history[:steps], rtol=1e-4, atol=1e-25
                )
                np.testing.assert_array_equal(history[steps:], history[-1])
    assert batch.result.shape == (2, 3)


def test_zero_neurons_stay_asleep():
    X, y = problem(52, n=30, d=6)
    start = nl.lecun(jax.random.key(3), d=6, m=5)
    padded = nl.Params(jnp.pad(start.W, ((0, 4), (0, 0))), jnp.pad(start.v, (0, 4)))
    one, two = (nl.levenberg_marquardt(p, X, y, max_steps=10, throw=False) for p in (start, padded))
    np.testing.assert_array_equal(two.params.W[5:], 0)
    np.testing.assert_array_equal(two.params.v[5:], 0)
    np.testing.assert_allclose(two.params.W[:5], one.params.W, rtol=1e-8)


def test_codes():
    X, y = problem(53, n=30, d=6)
    start = nl.lecun(jax.random.key(4), d=6, m=8)
    few = nl.levenberg_marquardt(start, X, y, max_steps=2, throw=False)
    assert few.result is nl.RESULTS.max_steps
    assert int(few.stats["num_steps"]) == 2
    with pytest.raises(nl.SolverError, match="max_steps") as caught:
        nl.levenberg_marquardt(start, X, y, max_steps=2)
    np.testing.assert_array_equal(caught.value.solution.params.W, few.params.W)
    limit = nl.levenberg_marquardt(start, X, y, tol=1e-30, throw=False)
    assert limit.result is nl.RESULTS.rounding
    assert float(limit.stats["residual"]) <= 100 * float(limit.stats["floor"])
    exact = nl.levenberg_marquardt(start, X, nl.forward(start, X))
    assert exact.result is nl.RESULTS.converged and int(exact.stats["num_steps"]) == 0
    nothing = nl.Params(jnp.zeros((3, 6)), jnp.zeros(3))  # J is zero: no direction
    stuck = nl.levenberg_marquardt(nothing, X, y, throw=False)
    assert stuck.result is nl.RESULTS.step_too_small
    np.testing.assert_array_equal(stuck.params.W, 0)
    with pytest.raises(ValueError, match="throw"):
        jax.jit(lambda p: nl.levenberg_marquardt(p, X, y))(start)


def test_zero_targets():
    X, y = problem(54, n=30, d=6)
    sol = nl.levenberg_marquardt(nl.lecun(jax.random.key(6), d=6, m=8), X, 0 * y)
    assert float(sol.stats["residual"]) == pytest.approx(
        float(jnp.linalg.norm(nl.forward(sol.params, X)))
    )
    assert float(sol.stats["residual"]) <= 1e-10


def test_equal_samples_and_single_precision():
    X, y = problem(55, n=25, d=6)
    twice, labels = jnp.concatenate([X, X[:5]]), jnp.concatenate([y, y[:5]])
    start = nl.lecun(jax.random.key(7), d=6, m=8)
    sol = nl.levenberg_marquardt(start, twice, labels)
    assert float(sol.stats["residual"]) <= 1e-10
    low = jax.tree.map(lambda a: a.astype(jnp.float32), (start, X, y))
    sol = nl.levenberg_marquardt(*low, tol=1e-4)
    assert sol.params.W.dtype == jnp.float32
    assert float(sol.stats["residual"]) <= 1e-4
