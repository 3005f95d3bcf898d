"""The expressivity theorem as a function: residuals computed again, widths against all below."""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib.network import gram_factor
from narrowlib.solvers import minimum_norm
from narrowlib.solvers.width_search import WIDEST

interpolate_file = importlib.import_module("narrowlib.solvers.interpolate")


def misfit(sol, X, y, sigma=np.tanh):
    F = sigma(np.asarray(X) @ np.asarray(sol.params.W).T) @ np.asarray(sol.params.v)
    return np.linalg.norm(F - y) / np.linalg.norm(y)


@pytest.mark.parametrize("seed", range(6))
def test_zero_loss_at_the_theorems_width(seed):
    X, y = problem(seed, n=40, d=8)
    sol = nl.interpolate(X, y, key=jax.random.key(seed))
    assert sol.stats["width"] == 10  # 2n/d
    assert sol.result is nl.RESULTS.converged
    assert misfit(sol, X, y) <= 1.01e-10
    assert float(sol.stats["residual"]) == pytest.approx(misfit(sol, X, y), rel=0.01, abs=1e-12)
    assert float(sol.stats["loss"]) == pytest.approx(float(nl.loss(sol.params, X, y)), abs=1e-22)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("K", [None, 2])
def test_activations_and_outputs(name, K):
    X, y = problem(10, n=24, d=8, outputs=K)
    sol = nl.interpolate(X, y, key=jax.random.key(0), activation=name)
    r = nl.forward(sol.params, X, activation=name) - y
    assert float(jnp.linalg.norm(r)) <= 1.01e-10 * float(jnp.linalg.norm(y))
    assert sol.params.v.shape == (sol.stats["width"], *y.shape[1:])
    assert sol.stats["width"] >= 2 * -(-y.size // 8)


def test_the_start_is_kept_and_only_W_moves():
    X, y = problem(11, n=24)
    sol = nl.interpolate(X, y, key=jax.random.key(3))
    start, m = sol.stats["start"], sol.stats["width"]
    fresh = nl.mirrored_lecun(jax.random.key(3), d=8, m=m)
    np.testing.assert_array_equal(start.W, fresh.W)
    np.testing.assert_allclose(start.v, sol.stats["scale"] * fresh.v, rtol=1e-15)
    np.testing.assert_array_equal(sol.params.v, start.v)
    moves = np.linalg.norm(np.asarray(sol.params.W - start.W), axis=1)
    assert float(sol.stats["distance"]) == pytest.approx(np.linalg.norm(moves), rel=1e-12)
    assert float(sol.stats["largest_move"]) == pytest.approx(moves.max(), rel=1e-12)
    assert 0 < moves.max() < 1
    steps = int(sol.stats["num_steps"])
    assert all(len(entry) == steps for entry in sol.stats["history"].values())
    assert np.all(np.diff(sol.stats["history"]["loss"]) < 0)


def test_the_default_scale_is_the_least_that_moves_a_tenth():
    """The first full step moves pre-activations by 0.1 at most, computed here with a dense J."""
    X, y = problem(12, n=24)
    sol = nl.interpolate(X, y, key=jax.random.key(4))
    J = np.asarray(nl.jacobian(sol.stats["start"], X))
    step = (np.linalg.pinv(J) @ np.asarray(y)).reshape(sol.stats["start"].W.shape)
    largest = abs(np.asarray(X) @ step.T).max()
    if float(sol.stats["scale"]) > 1:
        assert largest == pytest.approx(0.1, rel=1e-6)
    else:
        assert largest <= 0.1


@pytest.mark.parametrize("scale", [50.0, 2000.0])
def test_an_explicit_scale_is_respected(scale):
    X, y = problem(13, n=24)
    sol = nl.interpolate(X, y, key=jax.random.key(5), scale=scale)
    assert float(sol.stats["scale"]) == scale
    np.testing.assert_allclose(
        sol.params.v, nl.mirrored_lecun(jax.random.key(5), d=8, m=6, scale=scale).v, rtol=1e-14
    )
    assert misfit(sol, X, y) <= 1.01e-10


def test_larger_scales_move_less():
    X, y = problem(13, n=24)
    moves = [
        float(nl.interpolate(X, y, key=jax.random.key(5), scale=s).stats["distance"])
        for s in (50.0, 500.0, 5000.0)
    ]
    assert moves[0] > 5 * moves[1] > 25 * moves[2]


def test_the_width_is_the_smallest_that_is_full():
    """Inputs with an eighth column of nearly no use: the theorem's width is not enough."""
    X, y = problem(14, n=40, d=8)
    X = X.at[:, 5:].set(0.0).at[:3, 5:].set(1.0)
    sol = nl.interpolate(X, y, key=jax.random.key(6))
    m = sol.stats["width"]
    assert m > 10
    assert misfit(sol, X, y) <= 1.01e-10
    for width in range(10, m + 2, 2):
        start = nl.mirrored_lecun(jax.random.key(6), d=8, m=width)
        J = np.asarray(nl.jacobian(start, X))
        J = J / np.linalg.norm(J, axis=1)[:, None]
        values = np.linalg.eigvalsh(J @ J.T)
        full = values[0] > 100 * 40 * np.finfo(float).eps * values[-1]
        assert full == (width == m), width


@pytest.mark.parametrize("n, d, least", [(1, 5, 2), (5, 5, 2), (6, 5, 4), (3, 1, 6)])
def test_small_problems_take_the_theorems_width(n, d, least):
    X, y = problem(15, n=n, d=d)
    sol = nl.interpolate(X, y, key=jax.random.key(7))
    assert sol.stats["width"] >= least
    assert sol.stats["width"] == least or d == 1
    assert misfit(sol, X, y) <= 1.01e-10


def test_equal_samples_with_equal_labels_do_no_harm():
    X, y = problem(16, n=20)
    twice, labels = jnp.concatenate([X, X[:7], X[:1]]), jnp.concatenate([y, y[:7], y[:1]])
    sol = nl.interpolate(twice, labels, key=jax.random.key(8))
    assert sol.stats["width"] == nl.interpolate(X, y, key=jax.random.key(8)).stats["width"]
    assert misfit(sol, twice, labels) <= 1.1e-10


def test_zero_targets_need_no_step():
    X, y = problem(17, n=20)
    sol = nl.interpolate(X, 0 * y, key=jax.random.key(9))
    assert int(sol.stats["num_steps"]) == 0 and float(sol.stats["loss"]) < 1e-30


@pytest.mark.parametrize(
    "activation, width, n, d",
    [("tanh", 2, 7, 3), ("square", None, 4, 2)],  # in two inputs the square spans 3 dimensions
    ids=["too few neurons", "a polynomial"],
)
def test_rank_deficient_starts_are_named(activation, width, n, d):
    X, y = problem(18, n=n, d=d)
    sol = nl.interpolate(
        X, y, key=jax.random.key(10), activation=activation, width=width, throw=False
    )
    assert sol.result is nl.RESULTS.rank_deficient
    np.testing.assert_array_equal(sol.params.W, sol.stats["start"].W)  # the start, untouched
    assert sol.stats["width"] == (width or WIDEST * 4)
    with pytest.raises(nl.SolverError, match="does not have full row rank"):
        nl.interpolate(X, y, key=jax.random.key(10), activation=activation, width=width)


def test_too_few_steps_are_named():
    X, y = problem(19, n=24)
    sol = nl.interpolate(X, y, key=jax.random.key(11), max_steps=1, throw=False)
    assert sol.result is nl.RESULTS.max_steps
    assert 1e-10 < float(sol.stats["residual"]) < 1


def test_nearly_equal_samples_with_different_labels_are_named():
    X, y = problem(19, n=20)
    X = X.at[1].set(X[0].at[0].add(1e-9))
    y = y.at[:2].set(jnp.array([1.0, -1.0]))
    sol = nl.interpolate(X, y, key=jax.random.key(11), width=16, throw=False)
    assert sol.result is nl.RESULTS.damped
    assert "nearly equal" in sol.result.value
    assert float(sol.stats["history"]["step_size"][-1]) < 1


def test_float32_only_when_asked_for():
    X, y = problem(20, n=24, dtype=jnp.float32)
    with pytest.raises(ValueError, match=r"X: got dtype float32.*allow_float32=True"):
        nl.interpolate(X, y, key=jax.random.key(12))
    sol = nl.interpolate(X, y, key=jax.random.key(12), allow_float32=True, tol=1e-4)
    assert sol.params.W.dtype == jnp.float32
    assert misfit(sol, X, y) < 2e-4


def test_the_same_key_gives_the_same_bits():
    X, y = problem(21, n=24)
    one, two = (nl.interpolate(X, y, key=jax.random.key(13)) for _ in range(2))
    np.testing.assert_array_equal(one.params.W, two.params.W)


def test_a_badly_conditioned_start_is_fitted_with_a_scale_that_rounding_allows():
    """n = 200 samples of 4 inputs at m = 2n/d: the straight scale would be 1e6 and more."""
    for seed in range(4):
        data = nl.gaussian(jax.random.key(seed), n=200, d=4)
        sol = nl.interpolate(data.X, data.y, key=jax.random.key(100 + seed), width=100)
        assert misfit(sol, data.X, data.y) <= 1.01e-10
        assert float(sol.stats["scale"]) < 1e5
        assert float(sol.stats["floor"]) < 1e-10
        assert float(jnp.min(sol.stats["history"]["step_size"])) < 1  # it took damping
        straight = nl.interpolate(
            data.X, data.y, key=jax.random.key(100 + seed), width=100, scale=1e7, throw=False
        )
        assert straight.result is nl.RESULTS.rounding
        assert float(straight.stats["residual"]) > 1e-10


def test_the_floor_is_what_rounding_leaves():
    """Outputs computed in double precision against extended precision, at several scales."""
    X, y = problem(22, n=24)
    for scale in (1e2, 1e5, 1e8):
        sol = nl.interpolate(
            X, y, key=jax.random.key(14), scale=scale, tol=1e-16, max_steps=20, throw=False
        )
        assert sol.result is nl.RESULTS.rounding
        ratio = float(sol.stats["residual"] / sol.stats["floor"])
        assert 1e-3 < ratio < 100


def dense_path(X, y, start, steps=20):
    """The same steps with a pseudoinverse each, exactly solved and of full length."""
    X, y, v = (np.asarray(a) for a in (X, y, start.v))
    W, v = np.asarray(start.W), v.reshape(len(v), -1)
    for _ in range(steps):
        phi = np.tanh(X @ W.T)
        r = phi @ v - y.reshape(len(y), -1)
        J = np.einsum("ij,jk,il->ikjl", 1 - phi**2, v, X).reshape(r.size, -1)
        W = W - (np.linalg.pinv(J) @ r.ravel()).reshape(W.shape)
    return W


@pytest.mark.parametrize("K", [None, 3])
@pytest.mark.parametrize("n, d", [(60, 12), (200, 30)])
def test_it_ends_where_exact_steps_with_a_new_factor_each_end(n, d, K):
    """One factor and inexact steps: another end, but closer than a hundredth of the way."""
    X, y = problem(30, n=n, d=d, outputs=K)
    sol = nl.interpolate(X, y, key=jax.random.key(15))
    start = sol.stats["start"]
    exact, found = dense_path(X, y, start), np.asarray(sol.params.W)
    assert misfit(sol, X, y) <= 1.01e-10
    assert np.linalg.norm(found - exact) < 0.01 * np.linalg.norm(exact - start.W)


def test_what_it_took_is_counted():
    X, y = problem(31, n=60, d=12)
    options = {"key": jax.random.key(16), "width": 14}
    for scale, factors in ((1e5, 1), (2.0, 2)):  # hardly a move, and a long way
        stats = nl.interpolate(X, y, scale=scale, tol=1e-8, **options).stats
        assert (stats["factorizations"] == 1) == (factors == 1)
        assert stats["factorizations"] <= stats["num_steps"] <= stats["cg_steps"]
    assert stats["bytes"] == 8 * (60 * 60 + 60 * 60)
    # one for the rank test, α and all steps
    found = nl.interpolate(X, y, key=jax.random.key(16), scale=1e5, tol=1e-8).stats
    assert found["factorizations"] == 1 + (found["width"] - 10) // 2


@pytest.mark.parametrize("name", ["panels of 16 columns", "one matrix"])
@pytest.mark.parametrize("K", [None, 2])
def test_every_kind_of_factor_leads_to_the_same_fit(K, name, monkeypatch):
    X, y = problem(32, n=50, d=10, outputs=K)
    right = nl.interpolate(X, y, key=jax.random.key(17))
    if name == "one matrix":
        monkeypatch.setattr(gram_factor, "on_host", lambda X, rows: False)
    else:
        monkeypatch.setattr(gram_factor, "BLOCK", 16)
    found = nl.interpolate(X, y, key=jax.random.key(17))
    np.testing.assert_allclose(found.params.W, right.params.W, rtol=0, atol=1e-9)
    for count in ("factorizations", "cg_steps", "width"):
        assert found.stats[count] == right.stats[count]


def test_a_run_with_several_factors_goes_on_from_its_state(monkeypatch):
    """The state says where J was factored last."""
    monkeypatch.setattr(minimum_norm, "PATIENCE", (2, 2))
    X, y = problem(33, n=40, d=8)
    run = functools.partial(nl.interpolate, X, y, width=12, scale=15.0, tol=0, throw=False)
    whole = run(key=jax.random.key(18), max_steps=5)
    sol = run(key=jax.random.key(18), max_steps=1)
    for _ in range(4):
        sol = run(state=sol.state, max_steps=1)
    assert whole.stats["factorizations"] > 1
    np.testing.assert_allclose(sol.params.W, whole.params.W, rtol=1e-9)
    assert np.any(np.asarray(sol.state.factored) != sol.stats["start"].W)


def test_a_run_that_is_at_its_end_factors_nothing():
    X, y = problem(34, n=24)
    sol = nl.interpolate(X, y, key=jax.random.key(19))
    again = nl.interpolate(X, y, state=sol.state)
    assert again.stats["factorizations"] == again.stats["cg_steps"] == 0
    assert again.result is nl.RESULTS.converged


def test_samples_of_very_different_lengths_are_fitted():
    """From 1e-4 to 1e4: J Jᵀ as it is has a condition of 1e16 and more."""
    X, y = problem(35, n=30, d=10)
    X = X * 10.0 ** jnp.linspace(-4, 4, 30)[:, None]
    start = nl.mirrored_lecun(jax.random.key(20), d=10, m=20)
    y = y * jnp.linalg.norm(nl.jacobian(start, X), axis=1)  # and targets in these units
    sol = nl.interpolate(X, y, key=jax.random.key(20), width=20, throw=False)
    assert misfit(sol, X, y) <= 1.01e-10


def test_many_samples_take_a_scale_that_keeps_one_factor_in_use(monkeypatch):
    X, y = problem(36, n=60, d=12)
    run = functools.partial(nl.interpolate, X, y, key=jax.random.key(21), width=14)
    few = run().stats
    monkeypatch.setattr(interpolate_file, "MANY", 59)
    jax.clear_caches()
    many = run().stats
    assert float(many["scale"]) == pytest.approx(20 * float(few["scale"]), rel=1e-6)
    assert many["factorizations"] == 1


def test_what_does_not_fit_into_memory_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(gram_factor, "memory_of_machine", lambda: 1000)
    monkeypatch.setattr(interpolate_file, "_begin", None)
    X, y = problem(37, n=40)
    with pytest.raises(MemoryError, match="X: got 40 different samples, whose factor takes"):
        nl.interpolate(X, y, key=jax.random.key(22))


def test_copies_cost_nothing():
    X, y = problem(16, n=20)
    sol = nl.interpolate(jnp.tile(X, (9, 1)), jnp.tile(y, 9), key=jax.random.key(8))
    assert sol.stats["bytes"] == nl.interpolate(X, y, key=jax.random.key(8)).stats["bytes"]
