"""Checkers of the chapter "Use it in your course"."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib.certificates.kkt import KKTCertificate, kkt_certificate
from narrowlib.constraints.ball import Ball
from narrowlib.constraints.base import Constraint, Product
from narrowlib.constraints.circular import CircularCone
from narrowlib.constraints.kernels import OfNeurons
from narrowlib.constraints.paired import PairedCone
from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import Verdict, exercise, function_of, numeric_exercise
from narrowlib.network.starts import mirrored_lecun

PIXELS, WINDOW, POOL, CHANNELS = 28, 5, 2, 12
SAMPLES, BATCH, EPOCHS = 1050, 100, 30
RADIUS, ANGLE, ZETA = 0.5, 0.3, 0.1
NEURONS, GOAL = 6, 1e-9


@numeric_exercise("4.6.1")
def _positions(value: float) -> Verdict:
    """(pixels left)²."""
    left = PIXELS - WINDOW + 1
    right = (left // POOL) ** 2
    if value == right:
        return Verdict(True, "Height times width of what is flattened.")
    if value == left**2:
        return Verdict(False, "That is before the pooling.")
    if value in ((PIXELS // POOL) ** 2, PIXELS**2):
        return Verdict(False, "Without padding a window does not fit at every pixel.")
    if value == right * CHANNELS:
        return Verdict(False, "That is the number of inputs of the layer that reads them.")
    if value == CHANNELS:
        return Verdict(False, "That is the number of channels, the neurons.")
    if value == left // POOL:
        return Verdict(False, "Images have two sides.")
    return Verdict(False, "Count the pixels of one channel after convolution and pooling.")


@numeric_exercise("4.6.2")
def _steps(value: float) -> Verdict:
    """Whole batches an epoch, times epochs."""
    right = SAMPLES // BATCH * EPOCHS
    if value == right:
        return Verdict(True, "One entry a step.")
    if value == math.ceil(SAMPLES / BATCH) * EPOCHS:
        return Verdict(False, "Every batch is full: what becomes of the last samples?")
    if value == SAMPLES * EPOCHS / BATCH:
        return Verdict(False, "Half a batch is no step.")
    if value == EPOCHS:
        return Verdict(False, "It has an entry for each step, not for each epoch.")
    if value == SAMPLES // BATCH:
        return Verdict(False, "That is one epoch.")
    return Verdict(False, "Count the full batches of an epoch.")


def _starts() -> dict[str, np.ndarray]:
    """Start kernels of a module with 6 inputs, 8 neurons and 3 outputs."""
    random = np.random.default_rng(46)
    half = random.normal(size=(4, 3))
    return {
        "body.kernel": random.normal(size=(6, 8)),
        "head.kernel": np.concatenate([half, -half]),
    }


def _agrees(mine: Any, other: Any, start: np.ndarray) -> bool:
    """Whether two sets project twenty points, around the start and behind it, to the same."""
    random = np.random.default_rng(1)
    for k, scale in enumerate(np.geomspace(0.01, 30, 20)):
        point = jnp.asarray((-1) ** k * start + scale * random.normal(size=start.shape))
        a, b = mine.project(point), other.project(point)
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-4, atol=1e-5):
            return False
    return True


@exercise("4.6.3")
def _sets(answer: Any) -> Verdict:
    """Rules or sets that project as a ball per neuron and a circular cone."""
    if not isinstance(answer, Mapping):
        return Verdict(False, "Pass a dictionary of sets or rules by path.")
    starts = _starts()
    if set(answer) != set(starts):
        return Verdict(False, f"The two paths should be {' and '.join(starts)}.")
    with jax.enable_x64(True):
        made: dict[str, Any] = {}
        for path, rule in answer.items():
            start = jnp.asarray(starts[path])
            text = f"For {path}, pass a set or a rule that makes one."
            made[path] = rule if isinstance(rule, Constraint) else function_of(rule, text)(start)
            if not isinstance(made[path], Constraint):
                return Verdict(False, text)
            function_of(made[path].project)(start)  # a set of another shape says so
        W, V = (jnp.asarray(start) for start in starts.values())

        def ball(per_neuron: bool) -> OfNeurons:
            return OfNeurons(Ball(W.T, RADIUS, per_neuron=per_neuron))

        def cone(zeta: float) -> OfNeurons:
            return OfNeurons(CircularCone(V, ANGLE, zeta), axis=-2)

        on_body, on_head = starts.values()
        body, head = made.values() if list(made) == list(starts) else reversed(made.values())
        if _agrees(body, ball(False), on_body):
            return Verdict(False, "That is one ball for the whole kernel.")
        if _agrees(body, OfNeurons(Ball(W, RADIUS, per_neuron=True), axis=0), on_body):
            return Verdict(False, "Flax keeps the neurons of a layer on the last axis.")
        if not _agrees(body, ball(True), on_body):
            return Verdict(False, "Look at the ball again: its radius, and what it is around.")
        if _agrees(head, cone(0.0), on_head):
            return Verdict(False, "The cone has the right angle; its height is not bounded below.")
        if not _agrees(head, cone(ZETA), on_head):
            return Verdict(False, "Look at the cone again: angle in radians, height, axis.")
    return Verdict(True, "Each path with its own set.")


@cache
def _certificates() -> tuple[np.ndarray, np.ndarray, dict[str, tuple[KKTCertificate, bool]]]:
    """Data, and certificates with whether they deserve to be accepted."""
    with jax.enable_x64(True):
        data = gaussian(jax.random.key(46), n=12, d=8)
        start = mirrored_lecun(jax.random.key(1), d=8, m=4)
        sets = Product(W=Ball(start.W, 3.0), v=PairedCone(zeta=0.1, kappa=10.0))
        cert = kkt_certificate(start, data.X, data.y, sets)
    X, y = (np.array(a) for a in (data.X, data.y))
    good = dataclasses.replace(cert, loss_bound=1e-12, loss=1e-13, verdict="nearly global")

    def change(**changed: Any) -> KKTCertificate:
        return dataclasses.replace(good, **changed)

    cases = {
        "good": (good, True),
        "six": (change(neurons=NEURONS), True),
        "strict": (change(loss_bound=GOAL / 2, verdict="not stationary"), True),
        "wide": (change(neurons=NEURONS + 2), False),
        "loose": (change(loss_bound=1e-3, loss=1e-4, target_loss=1.0), False),
        "hidden": (change(loss_bound=math.inf, verdict="inconclusive"), False),
        "outside": (change(violation=0.5, verdict="infeasible"), False),
        "other y": (change(arrays={**good.arrays, "y": -y}), False),
        "fewer y": (change(arrays={**good.arrays, "X": X[:9], "y": y[:9]}), False),
        "other X": (change(arrays={**good.arrays, "X": X[::-1]}), False),
    }
    return X, y, cases


HINTS = {
    "good": "It refuses a certificate that is right.",
    "six": "Six neurons are allowed.",
    "strict": "It refuses a bound that is good enough, because the target was stricter.",
    "wide": "It accepts too many neurons.",
    "loose": "It accepts a loss bound that meets the student's own target only.",
    "hidden": "It accepts a small loss with no bound at all.",
    "outside": "It accepts a point outside the set.",
    "other y": "It accepts a certificate about other labels.",
    "fewer y": "It accepts a certificate about fewer samples.",
    "other X": "It accepts a certificate about other inputs.",
}


@exercise("4.6.4")
def _grader(answer: Any) -> Verdict:
    """A function that tells ten certificates apart."""
    function = function_of(answer)
    X, y, cases = _certificates()
    for name, (cert, deserved) in cases.items():
        accepts = bool(function(cert, X, y))
        if accepts != deserved:
            return Verdict(False, HINTS[name])
    return Verdict(True, "Ten certificates, all told apart.")
