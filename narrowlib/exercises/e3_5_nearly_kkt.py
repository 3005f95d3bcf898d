"""Checkers of the chapter "Nearly KKT, nearly global"."""

from __future__ import annotations

import math
import pathlib
import tempfile
from typing import Any

from narrowlib import verifier
from narrowlib.certificates.kkt import KKTCertificate
from narrowlib.exercises._answers import (
    Verdict,
    exercise,
    near,
    numeric_exercise,
    refuse,
)


@numeric_exercise("3.5.1")
def _by_hand(value: float) -> Verdict:
    """(2 e ‖δ‖ + ρ) / (s e − ½ L e²) for e = 0.1, s = 4, L = 20, ‖δ‖ = 0.004, ρ = 0.0003."""
    e, s, L, delta, rho = 0.1, 4.0, 20.0, 0.004, 0.0003
    top, room = 2 * e * delta + rho, s * e - L * e**2 / 2
    if near(value, top / room, 5e-3):
        return Verdict(True, "And the smaller the ball, the nearer to 2‖δ‖/s + ρ/(s e).")
    if near(value, top / (s * e - L * e**2), 5e-3):
        return Verdict(False, "Close: what does the remainder of a Taylor series begin with?")
    if near(value, (e * delta + rho) / room, 5e-3):
        return Verdict(False, "δ counts twice: once in Jᵀr, once along Δ.")
    if near(value, 2 * e * delta / room, 5e-3):
        return Verdict(False, "ρ is missing.")
    if near(value, top / (s * e), 5e-3) or near(value, top / (s * e + L * e**2 / 2), 5e-3):
        return Verdict(False, "What the network bends has to be taken off the denominator.")
    if near(value, top / (s - L * e / 2), 5e-3):
        return Verdict(False, "A factor e is missing in the denominator.")
    if near(value, room / top, 5e-3):
        return Verdict(False, "Upside down.")
    return Verdict(False, "Put the numbers into the second bound of the proposition, with a = e.")


@numeric_exercise("3.5.2")
def _fall(value: float) -> Verdict:
    """‖Jᵀr‖ / (s √(2 n ℓ)) for n = 200, s = 0.5, ‖Jᵀr‖ = 3, ℓ = 1e-6."""
    n, s, g, target = 200, 0.5, 3.0, 1e-6
    allowed = s * math.sqrt(2 * n * target)
    if near(value, g / allowed, 5e-3):
        return Verdict(True, "The loss bound falls by the square of that.")
    if near(value, (g / allowed) ** 2, 5e-3):
        return Verdict(False, "By that factor the loss bound must fall. And the gradient?")
    if near(value, g / (s * math.sqrt(n * target)), 5e-3):
        return Verdict(False, "The loss is half a mean: look at its factor.")
    if near(value, g / (s * math.sqrt(2 * target)), 5e-3):
        return Verdict(False, "The loss is a mean over n samples.")
    if near(value, g * s / math.sqrt(2 * n * target), 5e-3) or near(value, allowed / g, 5e-3):
        return Verdict(False, "‖r‖ ≤ ‖Jᵀr‖/s: which of the two is larger here?")
    if near(value, allowed, 5e-3):
        return Verdict(False, "That is what ‖Jᵀr‖ may be. By which factor is it too large?")
    return Verdict(False, "First find the ‖r‖ of that loss, then the ‖Jᵀr‖ that bounds it.")


STEPS = {"A": "ray", "B": "mirror", "C": "ball", "D": "rank"}
WHY = {
    "A": "At A: would a longer v do better?",
    "B": "At B: what are the outputs at the centre of the ball?",
    "C": "At C: what does the gradient leave of a multiple of Δ?",
    "D": "At D: two rows of J are equal.",
}


def _by_letter(answer: Any) -> dict[str, str]:
    """A reader's dictionary from letters to words, however they are written."""
    if not isinstance(answer, dict):
        refuse("Pass a dictionary with the keys A, B, C and D.")
    given = {str(key).strip().upper(): str(word).strip().lower() for key, word in answer.items()}
    if set(given) != set("ABCD"):
        refuse("Pass a dictionary with the keys A, B, C and D.")
    return given


@exercise("3.5.3")
def _which_step(answer: Any) -> Verdict:
    """The step that has a term which is not zero."""
    given = _by_letter(answer)
    if unknown := sorted(set(given.values()) - set(STEPS.values())):
        return Verdict(False, f"{unknown[0]!r} is no step: rank, ball, mirror or ray.")
    for letter, step in STEPS.items():
        if given[letter] != step:
            return Verdict(False, WHY[letter])
    return Verdict(True, "At an exact KKT point of the theorem none of them pays.")


@exercise("3.5.4")
def _four(answer: Any) -> Verdict:
    """A is possible; B's gradient is too small, C's too large; D's loss does not fit."""
    n, least, largest, words = 50, 2.0, 10.0, ("possible", "loss", "too small", "too large")
    table = {
        "A": (4e-8, 0.002, 0.015),
        "B": (1e-4, 0.1, 0.1),
        "C": (9e-6, 0.03, 0.6),
        "D": (2e-6, 0.01, 0.05),
    }
    right = {}
    for letter, (loss, residual, gradient) in table.items():
        low, high = least * residual, largest * residual
        right[letter] = words[0] if low <= gradient <= high else words[2 + (gradient > high)]
        if not math.isclose(loss, residual**2 / (2 * n)):
            right[letter] = words[1]
    given = _by_letter(answer)
    if not set(given.values()) <= set(words):
        return Verdict(False, f"Each value should be one of {', '.join(words)}.")
    wrong = sum(given[letter] != word for letter, word in right.items())
    if not wrong:
        return Verdict(True, "Three inequalities, and no need of the data.")
    return Verdict(False, f"{wrong} of the four are not right.")


@exercise("3.5.5")
def _trap(answer: Any) -> Verdict:
    """A certificate with a generous target: true, accepted and worthless."""
    if not isinstance(answer, KKTCertificate):
        return Verdict(False, "Pass the certificate that nl.kkt_certificate returns.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            wrong = verifier.verify(str(answer.save(pathlib.Path(folder) / "it")))
    except Exception as error:
        return Verdict(False, f"It cannot be saved and checked ({type(error).__name__}).")
    if wrong:
        return Verdict(False, f"The verifier refuses it: {wrong[0][:80]}")
    if answer.verdict != "nearly global":
        return Verdict(False, f'Accepted, but its verdict is "{answer.verdict}".')
    if not answer.loss > 0.1:
        return Verdict(False, "Accepted, but its loss is not above 0.1.")
    return Verdict(True, "So read the target before the verdict.")
