"""Checkers of the chapter "Every KKT point is global"."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib.constraints.ball import Ball
from narrowlib.constraints.base import Product
from narrowlib.constraints.paired import PairedCone
from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    Verdict,
    exercise,
    function_of,
    near,
    number_of,
    numeric_exercise,
    weights_of,
)
from narrowlib.network.model import Params, loss
from narrowlib.network.starts import mirrored_lecun

S1, L1, RATIO = 0.6, 20.0, 1e6


@numeric_exercise("3.3.1")
def _radius(value: float) -> Verdict:
    """2 s₁ / (3 L₁), whatever the ratio is."""
    right = 2 * S1 / (3 * L1)
    if near(value, right):
        return Verdict(True, "A neuron of the start has a length of about 1.")
    if near(value, right / RATIO):
        return Verdict(False, "The ratio of output weights does not occur in the theorem.")
    if near(value, right * 1.5):
        return Verdict(False, "That is where the rank could be lost. The remainder needs room too.")
    if near(value, 1 / right):
        return Verdict(False, "Upside down: a larger rank constant allows a larger ball.")
    return Verdict(False, "Put the two constants into the theorem.")


FAILS = {"A": "mirror", "B": "ray", "C": "rank", "D": "ball"}
WHY = {
    "A": "At A, which step says that F = 0 at the centre?",
    "B": "At B, which step makes v longer?",
    "C": "At C, J at the start has fewer independent columns than there are samples.",
    "D": "At D, the gradient points at the centre of the ball, which is not W₀.",
}


@exercise("3.3.2")
def _which_step(answer: Any) -> Verdict:
    """The step that needs each hypothesis."""
    if not isinstance(answer, dict):
        return Verdict(False, 'Pass a dictionary, such as {"A": "ray", …}.')
    given = {str(k).strip().upper(): str(word).strip().lower() for k, word in answer.items()}
    if set(given) != set(FAILS):
        return Verdict(False, "The letters are A, B, C and D.")
    if unknown := sorted(set(given.values()) - set(FAILS.values())):
        return Verdict(False, f"{unknown[0]!r} is no step: ray, rank, ball or mirror.")
    for letter, step in FAILS.items():
        if given[letter] != step:
            return Verdict(False, WHY[letter])
    return Verdict(True, "Each hypothesis has its place in the proof.")


@exercise("3.3.3")
def _between_balls(answer: Any) -> Verdict:
    """ε s₁ > L₁ ē (ε + ē/2) and ε > 0."""
    function = function_of(answer)
    wrong = {
        "one ball": lambda s, L, inner, outer: outer < 2 * s / (3 * L),
        "the inner ball": lambda s, L, inner, outer: inner < 2 * s / (3 * L),
        "no rank": lambda s, L, inner, outer: inner * s > L * outer**2 / 2,
        "no remainder": lambda s, L, inner, outer: s > L * outer,
    }
    fits = {"right": True, **dict.fromkeys(wrong, True)}
    rng = np.random.default_rng(0)
    for inner, outer in [(0.0, 0.0), (0.0, 0.1), *rng.uniform(0.001, 0.2, (200, 2)).tolist()]:
        inner, outer = min(inner, outer), max(inner, outer)
        s, L = rng.uniform(0.1, 1.0), rng.uniform(1.0, 10.0)
        said = number_of(function(s, L, inner, outer), "Your function has to return True or False.")
        right = inner > 0 and inner * s > L * outer * (inner + outer / 2)
        fits["right"] &= bool(said) == right
        for name, other in wrong.items():
            fits[name] &= inner == 0 or bool(said) == bool(other(s, L, inner, outer))
    if fits["right"]:
        return Verdict(True, "With ē = ε it is the theorem: one proof for all these sets.")
    hints = {
        "the inner ball": "W may go as far as the outer ball: rank and remainder are taken there.",
        "one ball": "Enough if the set is the outer ball itself. How strong is step 3 otherwise?",
        "no rank": "The rank at W is less than at W₀, by what the outer ball allows.",
        "no remainder": "That keeps the rank. The remainder E needs room too.",
    }
    for name, hint in hints.items():
        if fits[name]:
            return Verdict(False, hint)
    return Verdict(False, "Compare ε(s₁ − L₁ē), from steps 2 and 3, with ½L₁ē², from step 4.")


@exercise("3.3.4")
def _stuck(answer: Any) -> Verdict:
    """A KKT point with a large loss in a ball of radius 100."""
    W, v = weights_of(answer, "Pass the params of your point.", m=4, d=8)
    with jax.enable_x64(True):
        data = gaussian(jax.random.key(7), n=12, d=8)
        center = mirrored_lecun(jax.random.key(1), d=8, m=4)
        sets = Product(W=Ball(center.W, 100.0), v=PairedCone(zeta=0.1, kappa=2.0))
        point = Params(jnp.asarray(W), jnp.asarray(v))
        off = float(sets.violation(point))
        now, slope = jax.value_and_grad(loss)(point, data.X, data.y)
        rest = float(sets.normal_cone_residual(point, slope))
    if off > 1e-9 * (1 + float(np.linalg.norm(W))):
        return Verdict(False, f"Not feasible: the point is {off:.1e} away from the set.")
    if rest > 1e-6:
        return Verdict(False, f"Not stationary: −∇ℓ misses the normal cone by {rest:.1e}.")
    if now <= 0.05:
        return Verdict(False, f"Stationary, but the loss is only {float(now):.1e}.")
    return Verdict(True, f"A KKT point with loss {float(now):.2f}: the ball is too large.")
