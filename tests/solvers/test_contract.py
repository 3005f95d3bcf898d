"""What every solver promises (narrowlib/solvers/result.py), over all solvers and a few problems."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib.solvers import base, levenberg_marquardt, minimum_norm, trust_region
from narrowlib.solvers.measure import prepare

KEY = jax.random.key(2)
STEPS, MORE = 2, 2  # one length of history compiles one program
LOOSE = 1e9  # a tolerance that the start meets


def sets(start, v=None):
    cone = nl.PairedCone(1e-12, 50.0) if start.v.ndim == 1 else nl.CircularCone(start.v, 1.2)
    return nl.Product(W=nl.Ball(start.W, 0.5), v=v or cone)


def projected_gradient(begin, go_on, X, y, **options):
    return nl.ProjectedGradient(sets(begin), 0.2).run(go_on, X, y, **options)


def ray_scaling(begin, go_on, X, y, **options):
    return nl.ProjectedGradient(sets(begin), ray_scaling=True).run(go_on, X, y, **options)


def gauss_newton(begin, go_on, X, y, **options):
    return nl.ProjectedGaussNewton(sets(begin)).run(go_on, X, y, **options)


def gauss_newton_fixed_v(begin, go_on, X, y, **options):
    solver = nl.ProjectedGaussNewton(sets(begin, nl.Fixed(begin.v)))
    return solver.run(go_on, X, y, **options)


def marquardt(begin, go_on, X, y, **options):
    return nl.levenberg_marquardt(go_on, X, y, **options)


def newton(begin, go_on, X, y, **options):
    return nl.trust_region_newton(go_on, X, y, **options)


def interpolate(begin, go_on, X, y, **options):
    if isinstance(go_on, nl.Params):  # it makes its own start: this one
        scale = float(jnp.linalg.norm(begin.v) / jnp.linalg.norm(mirrored(y).v))
        return nl.interpolate(X, y, key=KEY, width=len(begin.v), scale=scale, **options)
    return nl.interpolate(X, y, state=go_on, **options)


RESIDUAL = {"levenberg_marquardt": marquardt, "interpolate": interpolate}
FREE = {"trust_region_newton": newton}
CONSTRAINED = {
    "ProjectedGradient": projected_gradient,
    "ProjectedGradient, ray scaling": ray_scaling,
    "ProjectedGaussNewton": gauss_newton,
    "ProjectedGaussNewton, fixed v": gauss_newton_fixed_v,
}
SOLVERS = RESIDUAL | FREE | CONSTRAINED
AT_THE_END = {"ProjectedGradient"}  # where tol is 0 it measures at the end alone
WATCHED = 1e-300  # a tolerance that no measure meets, and that is not 0
OWN = {
    name: "damping" if name in ("levenberg_marquardt", *list(CONSTRAINED)[2:]) else "step_size"
    for name in SOLVERS
} | {"trust_region_newton": "radius"}
PROGRAMS = {
    "levenberg_marquardt": levenberg_marquardt._run,
    "interpolate": minimum_norm.linearized,
    "trust_region_newton": trust_region._run,
} | dict.fromkeys(CONSTRAINED, base._run)
every_solver = pytest.mark.parametrize("name", SOLVERS)


def mirrored(y):
    outputs = None if y.ndim == 1 else y.shape[1]
    return nl.mirrored_lecun(KEY, d=8, m=6 if outputs is None else 8, outputs=outputs)


@functools.cache
def data(kind="gaussian"):
    X, y = problem(7, outputs=2 if kind == "two outputs" else None)
    y = {"zero": 0 * y, "labels": jnp.where(y > 0, 1.0, -1.0)}.get(kind, y)
    return mirrored(y), X, y


@functools.cache
def ran(name, kind="gaussian", steps=STEPS, tol=0.0):
    start, X, y = data(kind)
    return SOLVERS[name](start, start, X, y, max_steps=steps, tol=tol, throw=False)


def measured(name, params, start, X, y):
    """The measure and what one of it is, in NumPy and with the sets' own normal cones."""
    W, v, X, y = (np.asarray(a) for a in (*params, X, y))
    phi, rows = np.tanh(X @ W.T), y.reshape(len(y), -1)
    columns = v.reshape(len(v), -1)
    r = phi @ columns - rows
    target = np.linalg.norm(y) or 1.0
    if name in RESIDUAL:
        return np.linalg.norm(r) / target, target
    J = np.einsum("ij,jk,il->ikjl", 1 - phi**2, columns, X)
    gradient = np.einsum("ik,ikjl->jl", r, J) / len(y), (phi.T @ r / len(y)).reshape(v.shape)
    units = [
        size * target / len(y)
        for size in (np.linalg.norm(J), np.sqrt(columns.shape[1]) * np.linalg.norm(phi))
    ]
    left = [np.linalg.norm(g) for g in gradient]
    if name in CONSTRAINED:
        feasible = sets(start, nl.Fixed(start.v) if "fixed" in name else None)
        left = [
            float(part.normal_cone_residual(x, jnp.asarray(g)))
            for part, x, g in zip((feasible.W, feasible.v), params, gradient, strict=True)
        ]
    relative = np.hypot(*(a / unit for a, unit in zip(left, units, strict=True)))
    return relative, np.hypot(*left) / relative


@pytest.mark.parametrize("kind", ["gaussian", "two outputs", "zero"])
@every_solver
def test_stats_say_what_the_parameters_say(name, kind):
    start, X, y = data(kind)
    sol = ran(name, kind)
    measure = measure_of(name)
    assert {"loss", measure, "unit", "num_steps", "history"} <= set(sol.stats)
    assert float(sol.stats["loss"]) == pytest.approx(
        float(nl.loss(sol.params, X, y)), rel=1e-9, abs=1e-25
    )
    relative, unit = measured(name, sol.params, start, X, y)
    assert float(sol.stats[measure]) == pytest.approx(relative, rel=1e-6, abs=1e-12)
    assert float(sol.stats["unit"]) == pytest.approx(unit, rel=1e-6) or relative < 1e-9
    history = sol.stats["history"]
    kept = {"loss"} if name in AT_THE_END else {"loss", measure}
    assert set(history) == {*kept, OWN[name]}
    assert all(len(entries) == int(sol.stats["num_steps"]) for entries in history.values())
    for entry in kept:
        if len(history[entry]):
            assert float(history[entry][-1]) == float(sol.stats[entry])


@every_solver
def test_a_run_goes_on_from_its_state(name):
    start, X, y = data()
    whole, first = ran(name, steps=STEPS + MORE), ran(name)
    second = SOLVERS[name](start, first.state, X, y, max_steps=MORE, tol=0.0, throw=False)
    for one, two in zip(whole.params, second.params, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)
    assert int(second.state.num_steps) == int(whole.state.num_steps) == STEPS + MORE
    assert int(second.stats["num_steps"]) == MORE
    assert second.result is whole.result
    for entry, entries in whole.stats["history"].items():
        both = np.concatenate([sol.stats["history"][entry] for sol in (first, second)])
        np.testing.assert_allclose(entries, both, rtol=1e-9, atol=1e-25)


@every_solver
def test_a_step_is_all_that_a_state_holds(name):
    """The state has strong types, so that going on compiles no third program."""
    start, X, y = data()
    state = ran(name).state
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))
    go_on = functools.partial(SOLVERS[name], start, X=X, y=y, max_steps=MORE, throw=False)
    further = go_on(state, tol=0.0)
    go_on(state, tol=LOOSE)  # another program where that is measured and 0 is not
    count = PROGRAMS[name]._cache_size()
    go_on(further.state, tol=1e-3)
    go_on(state, X=X + 1, y=2 * y, tol=0.5)
    assert PROGRAMS[name]._cache_size() == count


@every_solver
def test_a_state_fits_its_solver_and_its_data(name):
    start, X, y = data()
    state = ran(name).state
    run = functools.partial(SOLVERS[name], start, max_steps=STEPS, tol=0.0)
    with pytest.raises(ValueError, match=r"y: got shape \(10,\)\. The state's run had \(12,\)"):
        run(state, X=X[:10], y=y[:10])
    other = ran("levenberg_marquardt" if name == "trust_region_newton" else "trust_region_newton")
    with pytest.raises(ValueError, match=r"(params|state): got .*\. Pass "):
        run(other.state, X=X, y=y)


@every_solver
def test_all_steps_with_a_tolerance_of_zero(name):
    start, X, y = data()
    sol = SOLVERS[name](start, start, X, y, max_steps=STEPS, tol=0)  # and no error
    assert sol.result is nl.RESULTS.completed and int(sol.stats["num_steps"]) == STEPS


@every_solver
def test_an_unmet_tolerance_is_an_error_with_the_solution(name):
    start, X, y = data()
    run = functools.partial(SOLVERS[name], start, start, X, y, max_steps=STEPS, tol=1e-12)
    with pytest.raises(nl.SolverError, match=r"^Stopped at max_steps") as caught:
        run()
    for one, two in zip(caught.value.solution.params, run(throw=False).params, strict=True):
        np.testing.assert_array_equal(one, two)


def at_the_start(name, start, X, y):
    """The measure and the loss before any step."""
    if name == "trust_region_newton":  # which leaves every start where the loss bends down
        point = trust_region.look(start, prepare(X, y), nl.get_activation("tanh"))
        return float(point.stationarity), float(point.loss)
    sol = SOLVERS[name](start, start, X, y, max_steps=STEPS, tol=LOOSE)
    assert int(sol.stats["num_steps"]) == 0 and sol.stats["history"]["loss"].shape == (0,)
    assert int(sol.state.num_steps) == 0 and sol.result is nl.RESULTS.converged
    np.testing.assert_allclose(sol.params.W, start.W, rtol=1e-15)
    return tuple(float(sol.stats[entry]) for entry in (measure_of(name), "loss"))


def measure_of(name):
    return "residual" if name in RESIDUAL else "stationarity"


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "trust_region_newton"])
def test_converged_where_the_measure_is_at_most_the_tolerance(name):
    start, X, y = data()
    measure = measure_of(name)
    entries = np.asarray(ran(name, tol=WATCHED).stats["history"][measure])
    k = int(np.argmin(entries))
    for tol in (entries[k] * (1 + 1e-9), entries[k] * (1 - 1e-9)):
        sol = SOLVERS[name](start, start, X, y, max_steps=STEPS, tol=tol, throw=False)
        met = float(sol.stats[measure]) <= tol
        assert (sol.result is nl.RESULTS.converged) == met == (tol > entries[k])
        assert int(sol.stats["num_steps"]) == (k + 1 if met else STEPS)


@pytest.mark.parametrize("with_v", [True, False], ids=["v and y", "y alone"])
@every_solver
def test_the_measure_has_no_units(name, with_v):
    """At the start, which computes zero: targets, or v and targets, times any number."""
    start, X, y = data()
    measure, loss = at_the_start(name, start, X, y)
    for c in (1e-6, 3e7):
        other = nl.Params(start.W, c * start.v) if with_v else start
        there = at_the_start(name, other, X, c * y)
        assert there == pytest.approx((measure, c**2 * loss), rel=1e-9)


@pytest.mark.parametrize("c", [1e-6, 3e7])
@pytest.mark.parametrize("name", ["interpolate", *list(CONSTRAINED)[1:]])
def test_the_steps_have_no_units(name, c):
    """Steps in W, or along the ray of v: every entry of the history is the same problem's."""
    start, X, y = data()
    measure = measure_of(name)
    other = nl.Params(start.W, c * start.v)
    options = {"max_steps": STEPS, "tol": 0.0, "throw": False}
    here, there = ran(name), SOLVERS[name](other, other, X, c * y, **options)
    np.testing.assert_allclose(there.params.W, here.params.W, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        there.stats["history"][measure], here.stats["history"][measure], rtol=1e-5
    )
    assert there.result is here.result


@pytest.mark.parametrize("c", [1.0, 1e-6])
@pytest.mark.parametrize("name", ["interpolate", "levenberg_marquardt", "ProjectedGaussNewton"])
def test_converged_is_a_fit_whatever_the_targets_size(name, c):
    start, X, y = data("labels")
    sol = SOLVERS[name](start, start, X, c * y)
    r = np.tanh(np.asarray(X) @ np.asarray(sol.params.W).T) @ np.asarray(sol.params.v) - c * y
    assert sol.result is nl.RESULTS.converged
    assert np.linalg.norm(r) <= 1e-8 * c * np.linalg.norm(y)


@every_solver
def test_a_loss_without_a_number_is_not_converged(name):
    start, X, y = data()
    sol = SOLVERS[name](start, start, X, 1e180 * y, max_steps=STEPS, tol=LOOSE, throw=False)
    assert sol.result is nl.RESULTS.non_finite and not np.isfinite(sol.stats["loss"])
    assert int(sol.stats["num_steps"]) == 0
    with pytest.raises(nl.SolverError, match="NaN or infinite"):
        SOLVERS[name](start, start, X, 1e180 * y, max_steps=STEPS, tol=LOOSE)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "interpolate"])
def test_inside_jit_nothing_is_thrown_and_histories_keep_their_length(name):
    start, X, y = data()
    run = functools.partial(SOLVERS[name], start, X=X, y=y, max_steps=STEPS)
    with pytest.raises(ValueError, match="throw: got True inside jit or vmap"):
        jax.eval_shape(run, start)
    # it stops before its first step, or after the first
    compiled = jax.jit(functools.partial(run, throw=False))(start, tol=LOOSE, y=0 * y)
    assert compiled.result is nl.RESULTS.converged
    for entry, entries in compiled.stats["history"].items():
        assert entries.shape == (STEPS,) and np.all(entries == entries[-1])
        assert entries.dtype == X.dtype and np.isfinite(entries).all(), entry
    if name == "ProjectedGradient":  # see test_projected_gradient.py for its derivatives
        return
    with pytest.raises(ValueError, match=r"got a derivative to take\. "):
        jax.grad(lambda W: run(start._replace(W=W), tol=0.0, throw=False).stats["loss"])(start.W)


def test_interpolate_says_that_it_runs_on_the_host():
    _, X, y = data()
    with pytest.raises(ValueError, match=r"X: got traced values\. Call interpolate outside of jit"):
        jax.jit(lambda X: nl.interpolate(X, y, key=KEY))(X)


@pytest.mark.parametrize("name", sorted(AT_THE_END))
def test_a_run_that_does_not_look_is_the_run_that_looks(name):
    watched, blind = ran(name, tol=WATCHED), ran(name)
    assert (watched.result, blind.result) == (nl.RESULTS.max_steps, nl.RESULTS.completed)
    assert set(watched.stats["history"]) - set(blind.stats["history"]) == {measure_of(name)}
    ends = (jax.tree.leaves(sol.state._replace(code=0)) for sol in (watched, blind))
    for one, two in zip(*ends, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-14)
    for entry, entries in blind.stats["history"].items():
        np.testing.assert_allclose(entries, watched.stats["history"][entry], rtol=1e-12)


@pytest.mark.parametrize("first", [True, False], ids=["at once", "later"])
def test_a_blind_run_that_fails_keeps_what_was_finite(first):
    """A step from which the loss is infinite: what stays is the state before it."""
    start, X, y = data()
    sizes = jnp.array([1e200, 0.1, 0.1] if first else [0.1, 0.1, 1e200])
    free = nl.Product(W=nl.Free(), v=nl.Free())
    solver = nl.ProjectedGradient(free, lambda k: sizes[jnp.minimum(k, 2)])
    run = functools.partial(solver.run, start, X, y, max_steps=5, throw=False)
    blind, watched = run(tol=0.0), run(tol=WATCHED)
    assert blind.result is watched.result is nl.RESULTS.non_finite
    assert int(blind.state.num_steps) == int(watched.state.num_steps) == (0 if first else 2)
    for one, two in zip(jax.tree.leaves(blind.state), jax.tree.leaves(watched.state), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)
    for entry, entries in blind.stats["history"].items():
        np.testing.assert_allclose(entries, watched.stats["history"][entry], rtol=1e-12)
