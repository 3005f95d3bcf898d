"""Rules for the step size; what they do to a run is in test_projected_gradient.py."""

import jax
import jax.numpy as jnp
import optax
import pytest

import narrowlib as nl
from narrowlib.solvers.step_sizes import Constant, Scheduled, as_rule


def test_a_number_is_constant():
    rule = as_rule(0.25)
    assert isinstance(rule, Constant)
    assert rule.at(jnp.asarray(0)) == rule.at(jnp.asarray(9)) == 0.25


def test_a_function_is_a_schedule():
    rule = as_rule(optax.piecewise_constant_schedule(0.5, {3: 0.1}))
    assert isinstance(rule, Scheduled)
    sizes = [float(rule.at(jnp.asarray(step))) for step in (0, 2, 4)]
    assert sizes == pytest.approx([0.5, 0.5, 0.05])


def test_rules_pass_through():
    for rule in (nl.Backtracking(), as_rule(0.1), as_rule(lambda step: 0.1)):
        assert as_rule(rule) is rule


def test_numbers_are_leaves_and_the_rest_is_static():
    assert jax.tree.leaves(nl.Backtracking(0.5)) == [0.5, 0.5, 2.0, 1e-4]
    assert jax.tree.leaves(Constant(0.1)) == [0.1]
    assert jax.tree.leaves(Scheduled(lambda step: step)) == []
    traced = jax.jit(lambda size: as_rule(size).value)(jnp.asarray(0.3))
    assert float(traced) == pytest.approx(0.3)
