"""Solutions and results: codes, messages, batches, and histories cut to the steps taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.solvers.result import finish


def solution(code, steps=2):
    history = {"loss": jnp.arange(5.0), "step_size": jnp.ones(5)}
    stats = {"num_steps": jnp.asarray(steps), "history": history}
    return nl.Solution(None, jnp.asarray(code), stats, None)


@pytest.mark.parametrize("member", list(nl.RESULTS))
def test_codes_lead_back_to_their_member(member):
    assert solution(member.code).result is member
    assert member.value.endswith(".") and len(member.value) > 20


def test_codes_and_messages_are_distinct():
    assert len({m.code for m in nl.RESULTS}) == len({m.value for m in nl.RESULTS}) == 8


def test_a_batch_has_a_result_each():
    batch = solution([1, 0, 3])
    assert [member.name for member in batch.result] == ["max_steps", "converged", "non_finite"]


def test_finish_cuts_histories():
    history = finish(solution(0, steps=3), throw=True).stats["history"]
    np.testing.assert_array_equal(history["loss"], [0, 1, 2])
    assert history["step_size"].shape == (3,)


def test_finish_throws_what_did_not_converge():
    for member in nl.RESULTS:
        if member is nl.RESULTS.converged:
            finish(solution(member.code), throw=True)
            continue
        with pytest.raises(nl.SolverError) as caught:
            finish(solution(member.code), throw=True)
        assert str(caught.value) == member.value
        assert caught.value.solution.result is member
        assert caught.value.solution.stats["history"]["loss"].shape == (2,)
        assert finish(solution(member.code), throw=False).result is member


def test_traced_results_are_read_outside():
    with pytest.raises(ValueError, match=r"result: got a traced value. Read `.code` inside jit"):
        jax.jit(lambda code: solution(0)._replace(code=code).result)(jnp.asarray(0))
    with pytest.raises(ValueError, match="throw: got True inside jit or vmap"):
        jax.jit(lambda code: finish(solution(0)._replace(code=code), True).code)(jnp.asarray(0))


def test_solutions_are_pytrees():
    doubled = jax.jit(lambda s: jax.tree.map(lambda a: 2 * a, s))(solution(2))
    assert int(doubled.code) == 4 and int(doubled.stats["num_steps"]) == 4
