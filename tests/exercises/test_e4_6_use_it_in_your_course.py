"""Checkers of "Use it in your course": right answers found another way, named mistakes."""

import jax.numpy as jnp
import numpy as np
from exercise_checks import accepted, refused
from flax import nnx

import narrowlib as nl


def places():
    """The shape that Flax itself leaves."""
    conv = nnx.Conv(1, 12, (5, 5), padding="VALID", rngs=nnx.Rngs(0))
    x = nnx.max_pool(conv(jnp.zeros((1, 28, 28, 1), jnp.float32)), (2, 2), (2, 2))
    return x.shape[1] * x.shape[2]


def steps():
    """Batches drawn one by one, until an epoch has no full one left."""
    taken = 0
    for _ in range(30):
        left = 1050
        while left >= 100:
            left, taken = left - 100, taken + 1
    return taken


def rules(**changed):
    ball = {"radius": 0.5, "per_neuron": True}
    cone = {"half_angle": 0.3, "zeta": 0.1}
    for name, value in changed.items():
        (ball if name in ("radius", "per_neuron", "axis") else cone)[name] = value
    return {"body.kernel": nl.BallAroundStart(**ball), "head.kernel": nl.ConeAroundStart(**cone)}


def own_rules():
    """The same sets from functions, the other way round."""
    return {
        "head.kernel": lambda V: nl.OfNeurons(nl.CircularCone(V, 0.3, 0.1), axis=0),
        "body.kernel": lambda W: nl.OfNeurons(nl.Ball(W.T, 0.5, per_neuron=True), axis=1),
    }


def grader(*, data=True, neurons=6, bound=1e-9, inside=True, verdict=None):
    def accept(cert, X, y):
        if data and not all(np.array_equal(cert.arrays[k], v) for k, v in (("X", X), ("y", y))):
            return False
        if inside and cert.verdict == "infeasible":
            return False
        if verdict is not None and cert.verdict != verdict:
            return False
        return cert.neurons <= neurons and cert.loss_bound <= bound

    return accept


RIGHT = [
    ("4.6.1", places),
    ("4.6.2", steps),
    ("4.6.3", rules),
    ("4.6.3", own_rules),
    ("4.6.4", grader),
]

WRONG = [
    ("4.6.1", 576, "before the pooling"),
    ("4.6.1", 196, "every pixel"),
    ("4.6.1", 784, "every pixel"),
    ("4.6.1", 1728, "number of inputs"),
    ("4.6.1", 12, "channels"),
    ("4.6.1", 7, "Count the pixels"),
    ("4.6.2", 330, "last samples"),
    ("4.6.2", 315, "Half a batch"),
    ("4.6.2", 30, "each step"),
    ("4.6.2", 10, "one epoch"),
    ("4.6.2", 1, "full batches"),
    ("4.6.3", 1, "Pass a dictionary"),
    ("4.6.3", {"body.kernel": nl.BallAroundStart(0.5)}, "two paths"),
    ("4.6.3", rules() | {"body.kernel": 3.0}, "a rule that makes one"),
    ("4.6.3", rules() | {"body.kernel": lambda W: W}, "a rule that makes one"),
    ("4.6.3", rules(per_neuron=False), "one ball"),
    ("4.6.3", rules(axis=0), "last axis"),
    ("4.6.3", rules(radius=5.0), "Look at the ball"),
    ("4.6.3", rules(zeta=0.0), "not bounded below"),
    ("4.6.3", rules(half_angle=0.2), "Look at the cone"),
    ("4.6.4", True, "Pass the function"),
    ("4.6.4", lambda cert: True, "raised TypeError"),
    ("4.6.4", lambda *given: False, "that is right"),
    ("4.6.4", lambda *given: True, "too many neurons"),
    ("4.6.4", grader(neurons=5), "Six neurons"),
    ("4.6.4", grader(verdict="nearly global"), "stricter"),
    ("4.6.4", lambda cert, X, y: grader()(cert, X, y) or cert.loss_bound == 1e-3, "own target"),
    ("4.6.4", lambda cert, X, y: cert.neurons <= 6 and cert.loss <= 1e-9, "no bound"),
    ("4.6.4", grader(inside=False), "outside"),
    ("4.6.4", grader(data=False), "other labels"),
    (
        "4.6.4",
        lambda cert, X, y: (
            grader(data=False)(cert, X, y) and (cert.arrays["y"] == y[:9]).all()
            if len(cert.arrays["y"]) == 9
            else grader()(cert, X, y)
        ),
        "fewer samples",
    ),
    (
        "4.6.4",
        lambda cert, X, y: grader(data=False)(cert, X, y) and np.array_equal(cert.arrays["y"], y),
        "other inputs",
    ),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
