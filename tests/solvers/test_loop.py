"""The loops against one in Python: states, codes, histories, and verdicts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.solvers.loop import RUNNING, iterate, iterate_differentiably, judge, running

LOOPS = pytest.mark.parametrize("loop", [iterate, iterate_differentiably])


def halve_until(bound):
    """Halves x, and gives 2.5 k as the second entry of row k, until x is at most the bound."""

    def step(state):
        x, k = state
        x, k = x / 2, k + 1
        code = jnp.where(x <= bound, nl.RESULTS.step_too_small.code, RUNNING).astype(int)
        return (x, k), code, {"x": x, "row": 2.5 * k}

    return step


@LOOPS
@pytest.mark.parametrize("steps", [1, 3, 7])
@pytest.mark.parametrize("bound", [0.2, 1e-9])
def test_as_a_loop_in_python(loop, steps, bound):
    first = (jnp.asarray(1.0), jnp.asarray(0.0))
    row = {"x": jnp.asarray(1.0), "row": jnp.asarray(-1.0)}
    (x, _), last, taken, history = jax.jit(
        lambda: loop(halve_until(bound), first, running(), row, steps)
    )()
    wanted = [0.5**k for k in range(1, steps + 1) if 0.5 ** (k - 1) > bound]
    assert int(taken) == len(wanted) and float(x) == wanted[-1] == float(last["x"])
    rest = steps - len(wanted)
    np.testing.assert_array_equal(history["x"], wanted + rest * wanted[-1:])
    rows = [2.5 * (k + 1) for k in range(len(wanted))]
    np.testing.assert_array_equal(history["row"], rows + rest * rows[-1:])


@LOOPS
def test_a_run_that_has_stopped_takes_no_step(loop):
    first = (jnp.asarray(1.0), jnp.asarray(0.0))
    row = {"x": jnp.asarray(1.0), "row": jnp.asarray(-1.0)}
    code = jnp.asarray(nl.RESULTS.converged.code, int)
    end = loop(halve_until(0.1), first, code, row, 4)
    assert int(end.steps) == 0 and float(end.state[0]) == 1.0
    np.testing.assert_array_equal(end.history["row"], 4 * [-1.0])


@LOOPS
def test_a_batch_stops_one_by_one(loop):
    row = {"x": jnp.asarray(1.0), "row": jnp.asarray(-1.0)}
    bounds = jnp.asarray([0.6, 0.2, 0.01])
    end = jax.vmap(
        lambda bound: loop(
            halve_until(bound), (jnp.asarray(1.0), jnp.asarray(0.0)), running(), row, 5
        )
    )(bounds)
    np.testing.assert_array_equal(end.steps, [1, 3, 5])
    np.testing.assert_array_equal(end.history["x"][:, -1], [0.5, 0.125, 0.5**5])


def test_a_scan_has_a_derivative_in_reverse():
    def end(x, loop):
        row = {"x": x, "row": x}
        return loop(halve_until(0.2), (x, 0 * x), running(), row, 6).state[0]

    assert float(jax.grad(end)(1.0, iterate_differentiably)) == 0.125
    with pytest.raises(ValueError, match="Reverse-mode differentiation"):
        jax.grad(end)(1.0, iterate)


@pytest.mark.parametrize("loss, wanted", [(0.5, None), (jnp.inf, 3), (-jnp.inf, 3), (jnp.nan, 3)])
def test_a_verdict_needs_a_loss(loss, wanted):
    for met, code in ((True, nl.RESULTS.converged.code), (False, 5)):
        found = judge(jnp.asarray(5), jnp.asarray(met), jnp.asarray(loss), jnp.asarray(1.0))
        assert int(found) == (code if wanted is None else wanted) and not found.weak_type
        found = judge(jnp.asarray(5), jnp.asarray(met), jnp.asarray(1.0), jnp.asarray(loss))
        assert int(found) == (code if wanted is None else wanted)
