"""Checkers of the chapter "Every KKT point is global"."""

from __future__ import annotations

import math
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

S1, L1, KAPPA, NEURONS = 0.6, 20.0, 2.0, 36


@numeric_exercise("3.3.1")
def _radius(value: float) -> Verdict:
    """2 s₁ / (3 κ L₁)."""
    right = 2 * S1 / (3 * KAPPA * L1)
    if near(value, right):
        return Verdict(True, "A neuron of the start has a length of about 1.")
    if near(value, right * KAPPA):
        return Verdict(False, "Unequal output weights cost a factor, which is missing.")
    if near(value, right * 1.5) or near(value, right * 1.5 * KAPPA):
        return Verdict(False, "That is where the rank could be lost. The remainder needs room too.")
    if near(value, 1 / right):
        return Verdict(False, "Upside down: a larger rank constant allows a larger ball.")
    return Verdict(False, "Divide the rank constant of the cone by c times its Lipschitz constant.")


@numeric_exercise("3.3.2")
def _per_neuron(value: float) -> Verdict:
    """s₁ / ((√m + m/2) κ L₁)."""
    right = S1 / ((math.sqrt(NEURONS) + NEURONS / 2) * KAPPA * L1)
    if near(value, right):
        return Verdict(True, "Smaller than one ball's, although the balls together reach further.")
    if near(value, 2 * S1 / (3 * KAPPA * L1)):
        return Verdict(False, "That is the radius of one ball.")
    if near(value, 2 * S1 / (3 * KAPPA * L1) / math.sqrt(NEURONS)):
        return Verdict(False, "The balls of that radius fit into one ball, but is that enough?")
    if near(value, right * KAPPA):
        return Verdict(False, "Unequal output weights cost a factor, which is missing.")
    return Verdict(False, "Put c = √m + m/2 in the place of 3/2.")


@exercise("3.3.3")
def _widest_cone(answer: Any) -> Verdict:
    """arctan(s₀ / (√2 ‖A₀‖ c₀))."""
    function = function_of(answer)
    wrong = {
        "sine": lambda s, A, c: math.asin(min(1.0, s / (math.sqrt(2) * A * c))),
        "tangent": lambda s, A, c: s / (math.sqrt(2) * A * c),
        "one half": lambda s, A, c: math.atan(s / (A * c)),
        "degrees": lambda s, A, c: math.degrees(math.atan(s / (math.sqrt(2) * A * c))),
    }
    fits = {"right": True, **{name: True for name in wrong}}
    for s, A, c in ((0.4, 1.0, 3.0), (1.5, 0.7, 2.0), (0.02, 2.0, 5.0)):
        value = number_of(function(s, A, c))
        fits["right"] &= near(value, math.atan(s / (math.sqrt(2) * A * c)), 1e-6)
        for name, other in wrong.items():
            fits[name] &= near(value, other(s, A, c), 1e-6)
    if fits["right"]:
        return Verdict(True, "Fewer than one degree is common.")
    if fits["tangent"] or fits["sine"]:
        return Verdict(False, "Close for small angles. What is τ in terms of θ?")
    if fits["one half"]:
        return Verdict(False, "Both halves of V move: (E; −E) is longer than E.")
    if fits["degrees"]:
        return Verdict(False, "In radians, please.")
    return Verdict(False, "Set s₀ − √2 τ c₀ to zero.")


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
