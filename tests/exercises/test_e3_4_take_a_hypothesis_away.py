"""Checkers of "Take a hypothesis away": right answers found another way, named mistakes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from exercise_checks import accepted, refused

import narrowlib as nl

ONES = jnp.array([1.0, 1.0, -1.0, -1.0])
CENTER = nl.mirrored_lecun(jax.random.key(0), d=8, m=4).W
LOOSE = nl.lecun(jax.random.key(0), d=8, m=4).W
CONE = nl.PairedCone(zeta=0.1, kappa=2.0)


def width():
    return 2 * math.ceil(math.log2(1000 / 0.01))


def tip():
    """Found by drawing: about half of all directions keep v at zero."""
    data = nl.gaussian(jax.random.key(7), n=12, d=8)
    X, y, W0 = (np.asarray(a, float) for a in (data.X, data.y, CENTER))
    rng = np.random.default_rng(0)
    while True:
        step = rng.normal(size=(4, 8))
        W = W0 + 0.07 * step / np.linalg.norm(step)
        phi = np.tanh(X @ W.T)
        if all(y @ (phi @ [a, b, -a, -b]) < 0 for a, b in ((1, 2), (2, 1), (1, 1))):
            return nl.Params(jnp.asarray(W), 0 * ONES)


def worst():
    found = scipy.optimize.minimize_scalar(
        lambda t: -((1 - t) ** 2) / (4 * (1 + t**2)), bounds=(0, 1), options={"xatol": 1e-10}
    )
    return -found.fun


RIGHT = [
    ("3.4.1", width),
    ("3.4.2", tip),
    ("3.4.3", lambda: " b "),
    ("3.4.4", worst),
    ("3.4.5", lambda: nl.Product(W=nl.Ball(LOOSE, 1e-3), v=CONE)),
    ("3.4.5", lambda: nl.Product(W=nl.Ball(LOOSE, 2e-3), v=nl.PairedCone(3.0, 2.0))),
]

WRONG = [
    ("3.4.1", 17, "number of pairs"),
    ("3.4.1", 32, "still above"),
    ("3.4.1", 14, "one sample"),
    ("3.4.1", 1000, "2^(−m/2)"),
    ("3.4.2", nl.Params(jnp.ones((4, 7)), jnp.ones(4)), "(4, 7)"),
    ("3.4.2", nl.Params(CENTER * jnp.nan, 0 * ONES), "finite"),
    ("3.4.2", nl.Params(CENTER, ONES), "v is zero"),
    ("3.4.2", nl.Params(CENTER + 1, 0 * ONES), "outside"),
    ("3.4.2", nl.Params(CENTER, 0 * ONES), "too near"),
    ("3.4.2", lambda: 0, "Pass the params"),
    ("3.4.3", "A", "small enough"),
    ("3.4.3", "C", "v = 0"),
    ("3.4.3", "D", "ray"),
    ("3.4.3", "E", "full rank"),
    ("3.4.3", "F", "one letter"),
    ("3.4.3", 2, "one letter"),
    ("3.4.4", 0.5, "F = 0"),
    ("3.4.4", 1.0, "2n"),
    ("3.4.4", 0.1, "Let f₂/f₁"),
    ("3.4.5", CONE, "Pass the Product"),
    ("3.4.5", nl.Product(W=nl.Free(), v=CONE), "in one Ball"),
    ("3.4.5", nl.Product(W=nl.Ball(LOOSE, 2e-3, per_neuron=True), v=CONE), "in one Ball"),
    ("3.4.5", nl.Product(W=nl.Ball(LOOSE, 2e-3), v=nl.Pairs()), "a PairedCone"),
    ("3.4.5", nl.Product(W=nl.Ball(LOOSE[:2], 1e-3), v=CONE), "(2, 8)"),
    ("3.4.5", nl.Product(W=nl.Ball(LOOSE, 1e-4), v=CONE), "at least 0.001"),
    ("3.4.5", nl.Product(W=nl.Ball(LOOSE, 1e-3), v=nl.PairedCone(0.0, 2.0)), "ζ > 0"),
    ("3.4.5", nl.Product(W=nl.Ball(CENTER, 1e-3), v=CONE), "mirrored"),
    ("3.4.5", nl.Product(W=nl.Ball(LOOSE, 10.0), v=CONE), "too large"),
    ("3.4.5", nl.Product(W=nl.Ball(LOOSE, 0.05), v=CONE), "The bound is"),
]


def opposite():
    """Towards lower loss, where ⟨y, F⟩ grows."""
    data = nl.gaussian(jax.random.key(7), n=12, d=8)
    slope = jax.grad(nl.loss)(nl.Params(CENTER, ONES), data.X, data.y).W
    return nl.Params(CENTER - 0.08 * slope / jnp.linalg.norm(slope), 0 * ONES)


def test_the_way_down_is_refused():
    verdict = nl.check("3.4.2", opposite())
    assert not verdict and "as much as" in repr(verdict)


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
