"""Solutions and results: codes, messages, batches, and histories cut to the steps taken."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.solvers.result import finish, result_of


def solution(code, steps=2):
    history = {"loss": jnp.arange(5.0), "step_size": jnp.ones(5)}
    stats = {"num_steps": jnp.asarray(steps), "history": history}
    return nl.Solution(None, jnp.asarray(code), stats, None)


@pytest.mark.parametrize("member", list(nl.RESULTS))
def test_codes_lead_back_to_their_member(member):
    assert solution(member.code).result is member
    assert member.value.endswith(".") and len(member.value) > 20


def test_codes_and_messages_are_distinct():
    members = list(nl.RESULTS)
    assert len({m.code for m in members}) == len({m.value for m in members}) == len(members) >= 8


def test_a_batch_has_a_result_each():
    batch = solution([1, 0, 3])
    assert [member.name for member in batch.result] == ["max_steps", "converged", "non_finite"]


def test_finish_cuts_histories():
    history = finish(solution(0, steps=3), 1e-3, throw=True).stats["history"]
    np.testing.assert_array_equal(history["loss"], [0, 1, 2])
    assert history["step_size"].shape == (3,)


def test_finish_throws_what_did_not_converge():
    for member in nl.RESULTS:
        if member in (nl.RESULTS.converged, nl.RESULTS.completed):
            finish(solution(member.code), 1e-3, throw=True)
            continue
        with pytest.raises(nl.SolverError) as caught:
            finish(solution(member.code), 1e-3, throw=True)
        assert str(caught.value) == member.value
        assert caught.value.solution.result is member
        assert caught.value.solution.stats["history"]["loss"].shape == (2,)
        assert finish(solution(member.code), 1e-3, throw=False).result is member


@pytest.mark.parametrize("name", [member.name for member in nl.RESULTS])
def test_all_steps_with_a_tolerance_of_zero_are_completed(name):
    wanted = "completed" if name in ("max_steps", "damped") else name
    for zero in (0, 0.0, jnp.zeros(())):
        sol = finish(solution(nl.RESULTS[name].code), zero, throw=False)
        assert sol.result.name == wanted
    codes = jnp.asarray([nl.RESULTS[name].code, 0])
    batch = jax.jit(lambda code: finish(solution(0)._replace(code=code), 0.0, False).code)(codes)
    assert [member.name for member in result_of(batch)] == [wanted, "converged"]


def test_errors_travel_with_their_solution():
    for code in (1, jnp.asarray([1, 0, 3])):
        error = nl.SolverError(solution(code))
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert str(twin) == str(error) and type(twin) is nl.SolverError
            np.testing.assert_array_equal(twin.solution.code, error.solution.code)
            assert int(twin.solution.stats["num_steps"]) == 2
    three = (nl.RESULTS.max_steps, nl.RESULTS.converged, nl.RESULTS.non_finite)
    assert str(error) == " ".join(member.value for member in three)


def test_a_solution_in_one_line():
    assert repr(solution(2)) == "<Solution: step_too_small, num_steps 2>"
    facts = {"num_steps": 7, "loss": jnp.asarray(1.25e-9), "residual": 0.5, "history": {}}
    assert repr(nl.Solution(None, jnp.asarray(0), facts, None)) == (
        "<Solution: converged, num_steps 7, loss 1.25e-09, residual 0.5>"
    )
    assert repr(solution([1, 0, 1])) == "<Solution: 3 runs: 2 max_steps, 1 converged>"
    shown = []
    jax.jit(lambda code: shown.append(repr(solution(0)._replace(code=code))))(jnp.asarray(0))
    assert shown == ["<Solution: traced>"]


def test_traced_results_are_read_outside():
    with pytest.raises(ValueError, match=r"result: got a traced value. Read `.code` inside jit"):
        jax.jit(lambda code: solution(0)._replace(code=code).result)(jnp.asarray(0))
    with pytest.raises(ValueError, match="throw: got True inside jit or vmap"):
        jax.jit(lambda code: finish(solution(code), 1e-3, True).code)(jnp.asarray(0))


def test_solutions_are_pytrees():
    doubled = jax.jit(lambda s: jax.tree.map(lambda a: 2 * a, s))(solution(2))
    assert int(doubled.code) == 4 and int(doubled.stats["num_steps"]) == 4
