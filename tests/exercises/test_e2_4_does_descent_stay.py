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


def my_step(start, X, y):
    S, s, bend, n = parts(start, X, y)
    return n / ((S + s) ** 2 + bend)


def wrong_step(formula, labels=False):
    return lambda start, X, y: formula(*parts(start, X, y, -y if labels else None))


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


RIGHT = [
    ("2.4.1", settled_path),
    ("2.4.2", lambda: my_step),
    ("2.4.3", proved_scale),
    ("2.4.4", three_neurons_four_times),
    ("2.4.4", lambda: nl.Params(np.full((12, 5), 0.3), np.full(12, 0.3))),
]
WRONG = [
    ("2.4.1", 4 / 3, "simpler bound"),
    ("2.4.1", 2.0, "other root"),
    ("2.4.1", 1.5, "guaranteed radius"),
    ("2.4.1", 2 / 3, "did not change"),
    ("2.4.1", 5.0, "roots"),
    ("2.4.2", 1.0, "Pass the function"),
    ("2.4.2", wrong_step(lambda S, s, bend, n: 1 / ((S + s) ** 2 + bend)), "divided by n"),
    ("2.4.2", wrong_step(lambda S, s, bend, n: n / ((S + s) ** 2 + bend), True), "not −y"),
    ("2.4.2", wrong_step(lambda S, s, bend, n: n / (S**2 + bend)), "S + s"),
    ("2.4.2", wrong_step(lambda S, s, bend, n: n / (S**2 + s**2 + bend)), "S + s"),
    ("2.4.2", wrong_step(lambda S, s, bend, n: n / (S + s) ** 2), "second term"),
    ("2.4.2", lambda start, X, y: 0.1, "Hessian"),
    ("2.4.2", lambda start, X, y: -1.0, "positive"),
    ("2.4.2", lambda start: 0.1, "raised TypeError"),
    ("2.4.3", 1.0, "Compute h"),
    ("2.4.4", nl.Params(np.ones((12, 4)), np.ones(12)), "(12, 4)"),
    ("2.4.4", nl.Params(np.zeros((12, 5)), np.ones(12)), "zero"),
    ("2.4.4", nl.Params(np.full((12, 5), np.nan), np.ones(12)), "finite"),
    ("2.4.4", nl.Params(np.ones((12, 5)), np.full(12, 1e200)), "diverges"),
    ("2.4.4", nl.lecun(jax.random.key(1), d=5, m=12), "full rank"),
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
