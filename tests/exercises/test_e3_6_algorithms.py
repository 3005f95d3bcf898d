"""Checkers of "Algorithms": right answers found another way, named mistakes."""

import math

import numpy as np
import scipy.optimize
from exercise_checks import accepted, refused


def walk():
    """v grows by the longest step until it can be long enough; G = S₁ ‖X‖ ε."""
    G, length, steps = 1.0 * 10.0 * 0.01, 1.0, 0
    while G * length < 7.0 - 3.5:
        length, steps = length + 1.0 * G * 7.0 / 50, steps + 1
    return steps


def size():
    """The least value of the parabola on the α that keep u at or above ζ."""
    F, y = np.array([1.0, 2.0, 2.0]), np.array([-3.0, 3.0, 0.0])
    alpha = np.linspace(0.1 / 0.2, 5, 100_001)
    return alpha[((alpha[:, None] * F - y) ** 2).sum(axis=1).argmin()]


def factor(b, k, c):
    def over(a):
        return np.linalg.norm(b + a * k) - c * (1 + a)

    if over(0.0) <= 0:
        return 1.0
    return 1 + scipy.optimize.root_scalar(over, bracket=(0, 1e8), xtol=1e-13).root


def other_root(b, k, c):
    A, B, C = k @ k - c**2, b @ k - c**2, b @ b - c**2
    return 1.0 if C <= 0 else 1 + (-B + math.sqrt(B * B - A * C)) / A


def no_case(b, k, c):
    A, B, C = k @ k - c**2, b @ k - c**2, b @ b - c**2
    return 1 - (B + math.sqrt(B * B - A * C)) / A


STEPS = {"A": "short", "B": "alike", "C": "large", "D": "none"}

RIGHT = [
    ("3.6.1", walk),
    ("3.6.1", lambda: 2428.57),
    ("3.6.2", lambda: STEPS),
    ("3.6.2", lambda: {k.lower(): word.upper() for k, word in STEPS.items()}),
    ("3.6.3", size),
    ("3.6.4", lambda: factor),
]

WRONG = [
    ("3.6.1", 2500, "from zero"),
    ("3.6.1", 4928.6, "halved only"),
    ("3.6.1", 48.57, "where is n"),
    ("3.6.1", 242.86, "G occurs twice"),
    ("3.6.1", 2430, "Find G first"),
    ("3.6.2", None, "a dictionary"),
    ("3.6.2", {"A": "short"}, "The letters"),
    ("3.6.2", STEPS | {"D": "kink"}, "no step"),
    ("3.6.2", STEPS | {"A": "large"}, "At A"),
    ("3.6.2", STEPS | {"B": "large"}, "At B"),
    ("3.6.2", STEPS | {"C": "alike"}, "At C"),
    ("3.6.2", STEPS | {"D": "short"}, "At D"),
    ("3.6.3", 1 / 3, "Is this v feasible"),
    ("3.6.3", 2, "Upside down"),
    ("3.6.3", 3, "Upside down"),
    ("3.6.3", 1 / 6, "it is F that"),
    ("3.6.3", 0.7, "Minimise"),
    ("3.6.4", 1.5, "Pass the function"),
    ("3.6.4", lambda b, k, c: b, "one finite number"),
    ("3.6.4", lambda b: 1.0, "raised TypeError"),
    ("3.6.4", no_case, "fits already"),
    ("3.6.4", other_root, "other root"),
    ("3.6.4", lambda b, k, c: max(1.0, factor(b, k, c) - 1) if b @ b > 1 else 1.0, "1 + a"),
    ("3.6.4", lambda b, k, c: 2 * factor(b, k, c) if b @ b > 1 else 1.0, "a smaller α fits"),
    ("3.6.4", lambda b, k, c: 1.0, "does not fit"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
