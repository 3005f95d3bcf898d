"""Checkers of "Does gradient descent stay?": right answers found another way, named mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exercise_checks import accepted, refused

import narrowlib as nl
from narrowlib.network.linearization import lipschitz_in_W


def settled_path():
    """The flow's bound as the limit of p ← (‖r₀‖ + L p²/2)/s."""
    p = 0.0
    for _ in range(200):
        p = (2.0 + p**2) / 3.0
    return p


def parts(start, X, y, residual=None):
    """S, s, the second term of nβ, and n."""
    values = np.sqrt(np.linalg.eigvalsh(nl.gram(start, X)))
    r = nl.forward(start, X) - y if residual is None else residual
    L = lipschitz_in_W(start, X, nl.get_activation("tanh"))
    return values[-1], values[0], L * float(jnp.linalg.norm(r)), len(X)


def shrinking(J, Phi, r, step=1e-6):
    """By one small step of both layers of a linear model, and a difference."""
    after = r - step * (J @ (J.T @ r) + Phi @ (Phi.T @ r)) / len(r)
    return (np.linalg.norm(after) - np.linalg.norm(r)) / step


def wrong(formula):
    """A function of the two squares, the residual's length and n."""
    return lambda J, Phi, r: formula(
        np.sum((J.T @ r) ** 2), np.sum((Phi.T @ r) ** 2), np.linalg.norm(r), len(r)
    )


def proved_scale():
    """By bisection on the scale: h = 1/4."""
    data = nl.gaussian(jax.random.key(24), n=30, d=6)
    low, high = 1.0, 1e8
    for _ in range(60):
        scale = (low * high) ** 0.5
        start = nl.mirrored_lecun(jax.random.key(25), d=6, m=12, scale=scale)
        _, s, bend, _ = parts(start, data.X, data.y)
        low, high = (scale, high) if bend / s**2 > 0.25 else (low, scale)
    return high


def three_neurons_four_times():
    start = nl.lecun(jax.random.key(1), d=5, m=3)
    return nl.Params(jnp.tile(start.W, (4, 1)), jnp.tile(start.v, 4) / 4)


def saturated(kinds):
    """Generic neurons far out: four of them have full rank, though no double shows it."""
    return 1e4 * np.random.default_rng(kinds).normal(size=(kinds, 5))


def opposite_twins():
    """One neuron twelve times, half of them as (−w, −v), which is the same function."""
    signs = np.tile([1.0, -1.0], 6)
    return 0.3 * signs[:, None] * np.ones(5), 0.3 * signs


RIGHT = [
    ("2.4.1", settled_path),
    ("2.4.2", lambda: shrinking),
    ("2.4.3", proved_scale),
    ("2.4.4", three_neurons_four_times),
    ("2.4.4", lambda: nl.Params(np.full((12, 5), 0.3), np.full(12, 0.3))),
    ("2.4.4", lambda: nl.Params(np.tile(saturated(3), (4, 1)), np.full(12, 0.3))),
    ("2.4.4", lambda: nl.Params(*opposite_twins())),
]
WRONG = [
    ("2.4.1", 4 / 3, "simpler bound"),
    ("2.4.1", 2.0, "other root"),
    ("2.4.1", 1.5, "guaranteed radius"),
    ("2.4.1", 2 / 3, "did not change"),
    ("2.4.1", 5.0, "roots"),
    ("2.4.2", 1.0, "Pass the function"),
    ("2.4.2", wrong(lambda a, b, size, n: (a + b) / (n * size)), "sign"),
    ("2.4.2", wrong(lambda a, b, size, n: -a / (n * size)), "W alone"),
    ("2.4.2", wrong(lambda a, b, size, n: -(a + b) / size), "divided by n"),
    ("2.4.2", wrong(lambda a, b, size, n: -(a + b) / n), "‖r‖²"),
    ("2.4.2", wrong(lambda a, b, size, n: -2 * (a + b) / n), "‖r‖²"),
    ("2.4.2", wrong(lambda a, b, size, n: -((a**0.5 + b**0.5) ** 2) / (n * size)), "squares"),
    ("2.4.2", wrong(lambda a, b, size, n: 1.0), "both gradients"),
    ("2.4.2", lambda J: 0.1, "raised TypeError"),
    ("2.4.3", 1.0, "Compute h"),
    ("2.4.4", nl.Params(np.ones((12, 4)), np.ones(12)), "(12, 4)"),
    ("2.4.4", nl.Params(np.zeros((12, 5)), np.ones(12)), "zero"),
    ("2.4.4", nl.Params(np.full((12, 5), np.nan), np.ones(12)), "finite"),
    ("2.4.4", nl.Params(np.ones((12, 5)), np.full(12, 1e200)), "diverges"),
    ("2.4.4", nl.lecun(jax.random.key(1), d=5, m=12), "full rank"),
    ("2.4.4", nl.Params(saturated(12), np.ones(12)), "by rounding only"),
    ("2.4.4", nl.Params(0.3 + 1e-13 * saturated(12) / 1e4, np.full(12, 0.3)), "by rounding only"),
]  # fmt: skip

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


@pytest.mark.parametrize(
    "factor, hint",
    [(1 / 2, "flow"), (1 / 4, "h is 1"), (12**0.5, "units"), (12**-0.5, "units"), (2, "Compute h")],
)
def test_mistakes_about_the_scale(factor, hint):
    verdict = nl.check("2.4.3", factor * proved_scale())
    assert not verdict and hint in repr(verdict)
