"""Checkers of "Nearly KKT, nearly global": right answers found another way, named mistakes."""

import dataclasses
import functools

import jax
from exercise_checks import accepted, refused
from strategies import problem

import narrowlib as nl

X, Y = problem(0)


@functools.cache
def certificate(trained, target=None, **changed):
    start = nl.mirrored_lecun(jax.random.key(2), d=8, m=4)
    sets = nl.Product(W=nl.Ball(start.W, 1.0), v=nl.PairedCone(zeta=0.1, kappa=2.0))
    params = sets.project(start)
    if trained:
        params = nl.ProjectedGaussNewton(sets).run(start, X, Y, tol=1e-9).params
    cert = nl.kkt_certificate(params, X, Y, sets, target_loss=target)
    return dataclasses.replace(cert, **changed)


def lowest_factor():
    """By bisection: the loss bound at the gradient 3/f."""
    low, high = 1.0, 1e6
    for _ in range(100):
        f = (low * high) ** 0.5
        low, high = (low, f) if (3 / f / 0.5) ** 2 / 400 <= 1e-6 else (f, high)
    return high


STEPS = {"A": "ray", "B": "mirror", "C": "ball", "D": "rank"}
POSSIBLE = {"A": "possible", "B": "too small", "C": "too large", "D": "loss"}
RIGHT = [
    ("3.5.1", lambda: 0.0011 / 0.3),
    ("3.5.2", lowest_factor),
    ("3.5.3", lambda: dict(STEPS)),
    ("3.5.3", lambda: {key.lower(): word.title() for key, word in STEPS.items()}),
    ("3.5.4", lambda: dict(POSSIBLE)),
    ("3.5.4", lambda: {key.lower(): word.upper() for key, word in POSSIBLE.items()}),
    ("3.5.5", lambda: certificate(False, 1e9)),
]
WRONG = [
    ("3.5.1", 0.0011 / 0.2, "Taylor"),
    ("3.5.1", 0.0007 / 0.3, "twice"),
    ("3.5.1", 0.0008 / 0.3, "ρ is missing"),
    ("3.5.1", 0.0011 / 0.4, "bends"),
    ("3.5.1", 0.0011 / 0.5, "bends"),
    ("3.5.1", 0.0011 / 3, "factor e"),
    ("3.5.1", 0.3 / 0.0011, "Upside down"),
    ("3.5.1", 7, "second bound"),
    ("3.5.2", 90_000, "the gradient"),
    ("3.5.2", 300 * 2**0.5, "half a mean"),
    ("3.5.2", 300 * 200**0.5, "mean over n"),
    ("3.5.2", 75, "larger here"),
    ("3.5.2", 1 / 300, "larger here"),
    ("3.5.2", 0.01, "too large"),
    ("3.5.2", 5, "First find"),
    ("3.5.3", "ray", "dictionary"),
    ("3.5.3", {"A": "ray"}, "dictionary"),
    ("3.5.3", STEPS | {"A": "rays"}, "no step"),
    ("3.5.3", STEPS | {"A": "ball"}, "At A"),
    ("3.5.3", STEPS | {"B": "ball"}, "At B"),
    ("3.5.3", STEPS | {"C": "ray"}, "At C"),
    ("3.5.3", STEPS | {"D": "ball"}, "At D"),
    ("3.5.4", "A", "dictionary"),
    ("3.5.4", {"A": "possible"}, "dictionary"),
    ("3.5.4", POSSIBLE | {"D": "wrong"}, "one of"),
    ("3.5.4", POSSIBLE | {"D": []}, "one of"),
    ("3.5.4", POSSIBLE | {"D": "possible"}, "1 of the four"),
    ("3.5.4", dict.fromkeys("ABCD", "possible"), "3 of the four"),
    ("3.5.5", {"verdict": "nearly global"}, "nl.kkt_certificate"),
    ("3.5.5", certificate(False), "not stationary"),
    ("3.5.5", certificate(True), "not above 0.1"),
    ("3.5.5", certificate(False, verdict="nearly global"), "refuses"),
    ("3.5.5", certificate(True, loss=0.5), "refuses"),
    ("3.5.5", certificate(True, loss=object()), "cannot be saved"),
]  # fmt: skip


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
