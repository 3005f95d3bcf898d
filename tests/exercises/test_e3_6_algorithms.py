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


def stop():
    """Signs of the gradient and projections, until nothing moves."""
    slope, radius, x = np.array([-5.0, -12.0]), 13 * math.sqrt(2), np.zeros(2)
    for _ in range(2000):
        x = x - 0.1 * np.sign(slope)
        x = x * min(1, radius / np.linalg.norm(x))
    angles = np.linspace(0, 2 * math.pi, 1_000_001)
    circle = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return x @ slope - (circle @ slope).min()


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


RIGHT = [
    ("3.6.1", walk),
    ("3.6.1", lambda: 2428.57),
    ("3.6.2", size),
    ("3.6.3", stop),
    ("3.6.4", lambda: factor),
    ("3.6.5", lambda: (6000**3 / 3) / (4 * 6000 * 12000)),
]

WRONG = [
    ("3.6.1", 2500, "from zero"),
    ("3.6.1", 4928.6, "halved only"),
    ("3.6.1", 48.57, "where is n"),
    ("3.6.1", 242.86, "G occurs twice"),
    ("3.6.1", 2430, "Find G first"),
    ("3.6.2", 1 / 3, "Is this v feasible"),
    ("3.6.2", 2, "Upside down"),
    ("3.6.2", 3, "Upside down"),
    ("3.6.2", 1 / 6, "it is F that"),
    ("3.6.2", 0.7, "Minimise"),
    ("3.6.3", 221 - 169 * math.sqrt(2), "mind the sign"),
    ("3.6.3", -221, "Pass their difference"),
    ("3.6.3", -169 * math.sqrt(2), "Pass their difference"),
    ("3.6.3", 0, "signs of the gradient"),
    ("3.6.3", 5, "multiple of x"),
    ("3.6.4", 1.5, "Pass the function"),
    ("3.6.4", lambda b, k, c: b, "one finite number"),
    ("3.6.4", lambda b: 1.0, "raised TypeError"),
    ("3.6.4", no_case, "fits already"),
    ("3.6.4", other_root, "other root"),
    ("3.6.4", lambda b, k, c: max(1.0, factor(b, k, c) - 1) if b @ b > 1 else 1.0, "1 + a"),
    ("3.6.4", lambda b, k, c: 2 * factor(b, k, c) if b @ b > 1 else 1.0, "a smaller α fits"),
    ("3.6.4", lambda b, k, c: 1.0, "does not fit"),
    ("3.6.5", 500, "2 n"),
    ("3.6.5", 750, "a third"),
    ("3.6.5", 1 / 250, "Upside down"),
    ("3.6.5", 6000, "Divide"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
