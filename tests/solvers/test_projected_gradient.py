"""The solver against a loop in NumPy, and its own contract."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib.solvers import base
from narrowlib.solvers.measure import prepare

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(2), d=8, m=4)
CONE = nl.PairedCone(zeta=0.1, kappa=4.0)
SET = nl.Product(W=nl.Ball(START.W, 1.0), v=CONE)
FREE = nl.Product(W=nl.Free(), v=nl.Free())
STEPS = 30  # of short runs: with one number for all, they share their programs


@functools.cache
def solved(ray_scaling=True):
    solver = nl.ProjectedGradient(SET, ray_scaling=ray_scaling)
    return solver.run(START, X, Y, max_steps=3000, tol=1e-6)


def project(constraint, x):
    return np.asarray(constraint.project(jnp.asarray(x)))


def numpy_gradient(W, v):
    """Both blocks of the gradient, and the Frobenius norms of both blocks of the Jacobian."""
    phi = np.tanh(np.asarray(X) @ W.T)
    r, J = phi @ v - np.asarray(Y), ((1 - phi**2) * v)[:, :, None] * np.asarray(X)[:, None, :]
    gradient_W, gradient_v = np.einsum("i,ijk->jk", r, J) / len(r), phi.T @ r / len(r)
    return gradient_W, gradient_v, np.linalg.norm(J), np.linalg.norm(phi)


def numpy_measure(W, v, small=1e-7):
    """The distance to the normal cone by its definition, as a derivative of the projection."""
    *gradient, size_W, size_v = numpy_gradient(W, v)
    left = [
        np.linalg.norm(project(part, x - small * g) - x) / small
        for part, x, g in zip((SET.W, SET.v), (W, v), gradient, strict=True)
    ]
    unit = np.linalg.norm(Y) / len(Y)
    return np.hypot(left[0] / (size_W * unit), left[1] / (size_v * unit))


def numpy_run(step_sizes):
    """Projected gradient written out: the paper's step, with the library's projection alone."""
    W, v = np.asarray(START.W), np.asarray(START.v)
    losses, measures = [], []
    for eta in step_sizes:
        gradient_W, gradient_v, *_ = numpy_gradient(W, v)
        W = project(SET.W, W - eta * gradient_W)
        v = project(SET.v, v - eta * gradient_v)
        losses.append(((np.tanh(X @ W.T) @ v - Y) ** 2).mean() / 2)
        measures.append(numpy_measure(W, v))
    return W, v, losses, measures


@pytest.mark.parametrize(
    "rule", [0.3, lambda step: 0.5 / (1.0 + step.astype(float))], ids=["number", "schedule"]
)
def test_against_a_plain_loop(rule):
    sizes = [rule(np.asarray(i)) if callable(rule) else rule for i in range(STEPS)]
    W, v, losses, measures = numpy_run(sizes)
    sol = nl.ProjectedGradient(SET, rule).run(START, X, Y, max_steps=STEPS, tol=0.0, throw=False)
    np.testing.assert_allclose(sol.params.W, W, atol=1e-12)
    np.testing.assert_allclose(sol.params.v, v, atol=1e-12)
    assert set(sol.stats["history"]) == {"loss", "step_size"}  # measured at the end alone
    np.testing.assert_allclose(sol.stats["stationarity"], measures[-1], rtol=1e-5)
    watched = nl.ProjectedGradient(SET, rule).run(
        START, X, Y, max_steps=STEPS, tol=1e-300, throw=False
    )
    np.testing.assert_allclose(watched.stats["history"]["stationarity"], measures, rtol=1e-5)
    for history in (sol.stats["history"], watched.stats["history"]):
        np.testing.assert_allclose(history["loss"], losses, rtol=1e-11)
        np.testing.assert_allclose(history["step_size"], sizes, rtol=1e-15)


# Why it stops.


def _stops():
    wrong = nl.Activation("wrong", jnp.tanh, lambda z: jnp.tanh(z) ** 2 - 1, 1.0)
    fixed_v = nl.Product(W=SET.W, v=nl.Fixed(START.v))
    solver = nl.ProjectedGradient
    return {
        "converged": (solver(SET, ray_scaling=True), {"max_steps": 3000, "tol": 1e-6}),
        "max_steps": (solver(SET, 1e-3), {"max_steps": STEPS, "tol": 1e-6}),
        # with σ′ of the wrong sign no step decreases the loss
        "step_too_small": (
            solver(fixed_v, nl.Backtracking(max_trials=20)),
            {"max_steps": 50, "tol": 1e-6, "activation": wrong},
        ),
        "non_finite": (solver(FREE, 1e200), {"max_steps": 50, "tol": 1e-6}),
    }


@pytest.mark.parametrize("name", ["converged", "max_steps", "step_too_small", "non_finite"])
def test_it_stops_for_the_reason_it_names(name):
    solver, options = _stops()[name]
    sol = solver.run(START, X, Y, throw=False, **options)
    assert sol.result is nl.RESULTS[name]
    steps = int(sol.stats["num_steps"])
    assert (steps == options["max_steps"]) == (name == "max_steps")
    assert all(len(entry) == steps for entry in sol.stats["history"].values())
    assert set(sol.stats["history"]) == {"loss", "stationarity", "step_size"}
    assert all(bool(jnp.all(jnp.isfinite(a))) for a in sol.params)
    assert float(solver.constraint.violation(sol.params)) <= 1e-12
    sigma = options.get("activation", "tanh")
    assert float(sol.stats["loss"]) == pytest.approx(
        float(nl.loss(sol.params, X, Y, activation=sigma)), rel=1e-9
    )
    assert (float(sol.stats["stationarity"]) <= options["tol"]) == (name == "converged")
    if name == "converged":
        assert solver.run(START, X, Y, **options).result is nl.RESULTS.converged
        return
    with pytest.raises(nl.SolverError, match=nl.RESULTS[name].value[:30]) as caught:
        solver.run(START, X, Y, **options)
    assert caught.value.solution.result is nl.RESULTS[name]


@pytest.mark.parametrize("max_trials", [1, 60, 300])
def test_steps_lost_in_rounding_are_not_stationarity(max_trials):
    """However far a search shrinks the step, a wrong gradient does not look stationary."""
    wrong = nl.Activation("wrong", jnp.tanh, lambda z: jnp.tanh(z) ** 2 - 1, 1.0)
    solver = nl.ProjectedGradient(
        nl.Product(W=SET.W, v=nl.Fixed(START.v)), nl.Backtracking(max_trials=max_trials)
    )
    sol = solver.run(START, X, Y, tol=0.0, activation=wrong, throw=False)
    assert sol.result is nl.RESULTS.step_too_small
    assert float(sol.stats["stationarity"]) > 1e-3


def test_a_run_that_has_stopped_does_not_search():
    """In a batch it turns idly, and the others would wait for all the trials of its search."""
    wrong = nl.Activation("wrong", jnp.tanh, lambda z: jnp.tanh(z) ** 2 - 1, 1.0)
    solver = nl.ProjectedGradient(nl.Product(W=SET.W, v=nl.Fixed(START.v)))
    begin = solver.init(START, X, Y, activation=wrong)
    tried = {
        result.name: float(
            solver._advance(begin._replace(code=result.code), prepare(X, Y), None, wrong)[1]
        )
        for result in (nl.RESULTS.max_steps, nl.RESULTS.step_too_small)
    }
    assert tried["max_steps"] < 1e-9 and tried["step_too_small"] == 1.0
    # for whoever asks for a step it searches
    again = begin._replace(code=jnp.asarray(nl.RESULTS.converged.code))
    again = solver.step(again, X, Y, activation=wrong)
    assert float(again.step_size) == tried["max_steps"]


def test_an_infeasible_start_is_projected_first():
    far = nl.Params(START.W + 9, jnp.arange(4.0))
    solver = nl.ProjectedGradient(SET)
    state = solver.init(far, X, Y)
    expected = SET.project(far)
    for ours, theirs in zip(state.params, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)
    assert float(state.loss) == pytest.approx(float(nl.loss(expected, X, Y)))


@pytest.mark.parametrize("ray_scaling", [False, True])
def test_every_iterate_is_feasible_and_backtracking_descends(ray_scaling):
    solver = nl.ProjectedGradient(SET, ray_scaling=ray_scaling)
    state, losses = solver.init(START, X, Y), []
    for _ in range(40):
        losses.append(float(state.loss))
        state = solver.step(state, X, Y)
        assert float(SET.violation(state.params)) <= 1e-12
    assert int(state.num_steps) == 40
    assert np.all(np.diff(losses) < 0)


def test_steps_make_a_run():
    for solver in (nl.ProjectedGradient(SET, ray_scaling=True), nl.ProjectedGradient(SET, 0.3)):
        state = solver.init(START, X, Y)
        losses = []
        for _ in range(STEPS):
            state = solver.step(state, X, Y)
            losses.append(float(state.loss))
        run = solver.run(START, X, Y, max_steps=STEPS, tol=0.0, throw=False)
        np.testing.assert_allclose(run.stats["history"]["loss"], losses, rtol=1e-9)
        np.testing.assert_allclose(run.params.W, state.params.W, atol=1e-10)
        # and a run may be gone on with
        further = solver.step(run.state, X, Y)
        assert int(further.num_steps) == STEPS + 1


def test_the_same_bits_twice():
    one, two = solved(), solved.__wrapped__()
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("radius", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("free", [False, True])
def test_a_converged_point_is_stationary(radius, free):
    """By the normal cone itself, however long the steps have grown on the way."""
    v_set = SET.v if free else nl.Fixed(START.v)
    sets = nl.Product(W=nl.Ball(START.W, radius), v=v_set)
    solver = nl.ProjectedGradient(sets, nl.Backtracking(initial=100.0), ray_scaling=free)
    sol = solver.run(START, X, Y, max_steps=30_000, tol=1e-6)
    gradient = jax.grad(nl.loss)(sol.params, X, Y)
    distance = sets.normal_cone_residual(sol.params, gradient)
    *_, size_W, size_v = numpy_gradient(*(np.asarray(part) for part in sol.params))
    assert float(distance) <= 1.01e-6 * np.hypot(size_W, size_v) * np.linalg.norm(Y) / len(Y)
    assert float(distance) == pytest.approx(
        float(sol.stats["stationarity"] * sol.stats["unit"]), rel=1e-6
    )


def test_an_unfinished_run_does_not_look_stationary():
    sol = nl.ProjectedGradient(SET).run(START, X, Y, max_steps=20, tol=0.0, throw=False)
    gradient = jax.grad(nl.loss)(sol.params, X, Y)
    assert float(SET.normal_cone_residual(sol.params, gradient)) > 1e-6
    assert sol.result is nl.RESULTS.completed and float(sol.stats["stationarity"]) > 1e-6


@pytest.mark.parametrize("K", [None, 3])
def test_several_outputs(K):
    Z, T = problem(3, n=8, outputs=K)
    start = nl.mirrored_lecun(jax.random.key(4), d=8, m=12, outputs=K)
    sets = nl.Product(W=nl.Ball(start.W, 2.0), v=nl.CircularCone(start.v, 1.4, zeta=0.1))
    sol = nl.ProjectedGradient(sets, ray_scaling=True).run(
        start, Z, T, max_steps=3000, tol=1e-6, throw=False
    )
    assert float(sets.violation(sol.params)) <= 1e-10
    assert float(sol.stats["loss"]) < 1e-6 * float(jnp.mean(T**2))


# Compiled.


def test_under_jit_and_vmap_over_starts_and_radii():
    radii = jnp.array([0.1, 0.5])

    def run(W, radius):
        sets = nl.Product(W=nl.Ball(START.W, radius), v=CONE)
        sol = nl.ProjectedGradient(sets, ray_scaling=True).run(
            nl.Params(W, START.v), X, Y, max_steps=STEPS, tol=1e-6, throw=False
        )
        return sol.params, sol.code, sol.stats

    starts = jnp.stack([START.W, START.W + 0.01])
    params, code, stats = jax.jit(jax.vmap(run))(starts, radii)
    assert stats["history"]["loss"].shape == (2, STEPS)
    for i in range(2):
        one, one_code, one_stats = run(starts[i], radii[i])
        np.testing.assert_allclose(params.W[i], one.W, atol=1e-8)
        assert int(code[i]) == int(one_code)
        steps = int(one_stats["num_steps"])
        np.testing.assert_allclose(
            stats["history"]["loss"][i][:steps], one_stats["history"]["loss"], rtol=1e-6
        )


def test_a_stopped_run_repeats_its_last_entry_in_a_batch():
    sets = nl.Product(W=SET.W, v=CONE)
    solver = nl.ProjectedGradient(sets, ray_scaling=True)
    batch = jax.vmap(
        lambda W: solver.run(nl.Params(W, START.v), X, Y, max_steps=400, tol=1e-2, throw=False)
    )(START.W[None])
    steps = int(batch.stats["num_steps"][0])
    assert 0 < steps < 400
    assert bool(jnp.all(batch.stats["history"]["loss"][0, steps - 1 :] == batch.stats["loss"][0]))
    assert batch.result[0] is nl.RESULTS.converged


def test_a_second_run_compiles_nothing():
    solver = nl.ProjectedGradient(SET, 0.1)
    solver.run(START, X, Y, max_steps=STEPS, throw=False)
    before = base._run._cache_size()
    again = nl.ProjectedGradient(nl.Product(W=nl.Ball(START.W, 0.3), v=CONE), 0.2)
    again.run(START, X + 1, Y, max_steps=STEPS, tol=1e-3, throw=False)
    assert base._run._cache_size() == before
    again.run(START, X, Y, max_steps=STEPS + 1, throw=False)
    assert base._run._cache_size() == before + 1


def test_float32_stays():
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (START, X, Y))
    sets = nl.Product(W=nl.Ball(single[0].W, 1.0), v=CONE)
    sol = nl.ProjectedGradient(sets, ray_scaling=True).run(*single, max_steps=STEPS, throw=False)
    assert {a.dtype for a in (*sol.params, *sol.stats["history"].values())} == {
        jnp.dtype("float32")
    }
    double = solved().stats["history"]["loss"]
    np.testing.assert_allclose(sol.stats["history"]["loss"][:3], double[:3], rtol=1e-3)


@pytest.mark.parametrize("step_size", [1e9, 1e-12, 1e-30])
def test_no_step_size_looks_stationary(step_size):
    """‖x − P(x − η∇ℓ)‖/η vanishes for a huge η in a bounded set, and for one lost in rounding."""
    solver = nl.ProjectedGradient(SET, step_size)
    sol = solver.run(START, X, Y, max_steps=3, tol=1e-6, throw=False)
    assert sol.result is nl.RESULTS.max_steps
    W, v = (np.asarray(part) for part in sol.params)
    assert float(sol.stats["stationarity"]) == pytest.approx(numpy_measure(W, v), rel=1e-5)
    assert float(sol.stats["stationarity"]) > 1e-2


def test_a_schedule_may_begin_at_zero():
    sol = nl.ProjectedGradient(SET, lambda step: 0.4 * jnp.minimum(step.astype(float) / 8, 1)).run(
        START, X, Y, max_steps=STEPS, throw=False
    )
    loss = np.asarray(sol.stats["history"]["loss"])
    assert sol.result is nl.RESULTS.max_steps and int(sol.stats["num_steps"]) == STEPS
    assert loss[0] == pytest.approx(float(nl.loss(START, X, Y)), rel=1e-12)
    assert np.all(np.diff(loss) < 0) and loss[-1] < 0.9 * loss[0]
