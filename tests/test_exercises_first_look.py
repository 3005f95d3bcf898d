"""The checkers accept a right answer found another way, and name the usual wrong ones."""

import jax
import numpy as np
import pytest

import narrowlib as nl


def gram_by_jax(X, W, v):
    J = jax.jacrev(lambda W: jax.numpy.tanh(X @ W.T) @ v)(W).reshape(len(X), -1)
    return J @ J.T


def fitted(m):
    data = nl.gaussian(jax.random.key(4), n=90, d=10)
    run = nl.interpolate(
        data.X, data.y, activation="softplus", key=jax.random.key(0), width=m, throw=False
    )
    return run.params


RIGHT = {
    "0.1": lambda: 154,
    "0.2": lambda: gram_by_jax,
    "0.3": lambda: 2 * int(np.ceil((1797 - 116) / 51)),
    "0.4": lambda: fitted(20),
}

WRONG = [
    ("0.1", None, "one number"),
    ("0.1", "many", "one number"),
    ("0.1", float("nan"), "one number"),
    ("0.1", 77, "n/d"),
    ("0.1", 60_000, "number of samples"),
    ("0.1", 153.06, "Round up"),
    ("0.1", 12, "Count"),
    ("0.2", np.zeros((2, 3)), "shape (2, 3)"),
    ("0.2", lambda X, W, v: X @ X.T, "multiply two rows"),
    ("0.2", lambda X, W, v: (X @ X.T) * (np.tanh(X @ W.T) @ np.tanh(X @ W.T).T), "σ where"),
    ("0.2", lambda X, W, v: 1 / 0, "ZeroDivisionError"),
    ("0.3", None, "one number"),
    ("0.3", 65, "even"),
    ("0.3", 58, "equally useful"),
    ("0.3", 80, "51 h + 116"),
    ("0.4", None, "params"),
    ("0.4", nl.mirrored_lecun(jax.random.key(0), d=10, m=22), "at most 20"),
    ("0.4", nl.mirrored_lecun(jax.random.key(0), d=10, m=20), "1e-18"),
]


@pytest.mark.parametrize("number", sorted(RIGHT))
def test_a_right_answer_is_accepted(number):
    verdict = nl.check(number, RIGHT[number]())
    assert verdict and repr(verdict).startswith("Right."), verdict


def test_the_gram_of_weights_is_told_from_that_of_samples():
    def over_weights(X, W, v):
        J = np.asarray(nl.jacobian(nl.Params(W, v), X))
        return J.T @ J

    assert "JᵀJ" in repr(nl.check("0.2", over_weights))


@pytest.mark.parametrize("number, answer, hint", WRONG)
def test_a_wrong_answer_gets_a_hint(number, answer, hint):
    verdict = nl.check(number, answer)
    assert not verdict and hint in repr(verdict), verdict
