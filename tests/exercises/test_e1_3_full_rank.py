"""Chapter 1.3's checkers accept right answers found another way, and name the usual wrong ones."""

import jax
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def opposite_samples():
    X = jax.random.normal(jax.random.key(60), (6, 2))
    return X.at[1].set(-X[0]), jax.random.normal(jax.random.key(61), (3, 2))


def between_signs():
    """A root of the determinant, by bisection along a circle."""
    rng = np.random.default_rng(1)
    (X, Y), U = rng.normal(size=(2, 6, 2)), rng.normal(size=(3, 2))

    def at(t):
        return np.cos(t) * X + np.sin(t) * Y

    def det(t):
        Z = at(t)
        return np.linalg.det(((1 - np.tanh(Z @ U.T) ** 2)[..., None] * Z[:, None]).reshape(6, 6))

    grid = np.linspace(0, np.pi, 200)
    k = next(k for k in range(199) if det(grid[k]) * det(grid[k + 1]) < 0)
    low, high = grid[k], grid[k + 1]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if det(low) * det(middle) <= 0 else (middle, high)
    return at(low), U


def simulated():
    """The chance of rank 2, from the signs alone, counted by hand: 1/2 (1 - 2/16)."""
    return 0.5 * (1 - 2 / 16)


def longer(w):
    """The second neuron longer and not far in direction."""
    return np.array([w, [2 * w[0], 2 * w[1] + 0.3]])


def best_of_forty(X):
    """The best of 40 throws, each scaled to norm 2, by the library's J."""
    rng, best = np.random.default_rng(1), (0.0, None)
    for U in rng.normal(size=(40, 4, 10)):
        U *= 2 / np.linalg.norm(U)
        params = nl.Params(np.concatenate([U, U]), np.repeat([1.0, -1.0], 4))
        least = np.linalg.eigvalsh(np.asarray(nl.gram(params, X)))[0]
        best = max(best, (least, U), key=lambda pair: pair[0])
    return best[1]


RIGHT = [
    ("1.3.1", lambda: 27),
    ("1.3.2", opposite_samples),
    ("1.3.2", between_signs),
    ("1.3.3", simulated),
    ("1.3.3", lambda: "7/16"),
    ("1.3.3", lambda: [0.4375]),
    ("1.3.4", lambda: longer((1.0, 0.0))),
    ("1.3.4", lambda: [[1, 0], [1, 1]]),
    ("1.3.5", lambda: best_of_forty),
]


def plane(**changes):
    X, U = (np.array(part) for part in opposite_samples())
    return changes.get("X", X), changes.get("U", U)


def equal_samples():
    X, U = plane()
    X[2] = X[3]
    return X, U


def opposite_neurons():
    X, U = plane()
    U[2] = -U[0]
    return X, U


def zero_sample():
    X, U = plane()
    X[2] = 0
    return X, U


def one_throw():
    U = np.random.default_rng(0).normal(size=(4, 10))
    return 2 * U / np.linalg.norm(U)


WRONG = [
    ("1.3.1", 55, "all quadratic forms"),
    ("1.3.1", 30, "counts columns"),
    ("1.3.1", 12, "symmetric matrices B"),
    ("1.3.2", equal_samples(), "samples are (nearly) equal"),
    ("1.3.2", opposite_neurons(), "equal or opposite"),
    ("1.3.2", zero_sample(), "in length"),
    ("1.3.2", (np.ones((5, 2)), np.ones((3, 2))), "shapes (6, 2) and (3, 2)"),
    ("1.3.2", np.random.default_rng(0).normal(size=(2, 6, 2)), "shapes"),
    ("1.3.2", tuple(np.random.default_rng(0).normal(size=(k, 2)) for k in (6, 3)), "invertible"),
    ("1.3.3", 7 / 8, "opposite signs"),
    ("1.3.3", 15 / 16, "one sample's chance"),
    ("1.3.3", 9 / 16, "below 2"),
    ("1.3.3", 0.5 * (1 - 2 / 256), "Twins"),
    ("1.3.3", 0.1, "Neither"),
    ("1.3.3", 0.44, "four digits"),
    ("1.3.3", "7/0", "one number"),
    ("1.3.3", "seven", "one number"),
    ("1.3.4", np.eye(2), "is true"),
    ("1.3.4", [[2, 1], [1, 0]], "is true"),
    ("1.3.4", [[1, 0], [-1, 0]], "equal or opposite"),
    ("1.3.4", [[0, 0], [1, 0]], "in length"),
    ("1.3.4", [1, 2], "2 × 2"),
    ("1.3.5", lambda X: one_throw(), "Reach 2"),
    ("1.3.5", lambda X: np.eye(4, 10), "Reach 2"),
    ("1.3.5", lambda X: 10 * np.eye(4, 10), "norm of U is at most 2; yours is 20"),
    ("1.3.5", lambda X: np.eye(3, 10), "shape (4, 10)"),
    ("1.3.5", lambda X: None, "shape (4, 10)"),
    ("1.3.5", 3, "a function of X"),
    *((n, bad, "one number") for n in ("1.3.1", "1.3.3") for bad in (None, "a", np.nan)),
    *(("1.3.2", bad, "Pass (X, U)") for bad in (None, "abc", np.nan, (1, 2), [[1], [2], [3]])),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
