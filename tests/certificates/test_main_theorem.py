"""The KKT theorem without the ratio, and for convex sets between two balls: check and control.

The points are stationary in W exactly, for a residual r that is drawn at random: W is found by
fixed-point iteration. Then the proof's last line is looked at, which says that the output weights
cannot be stationary too. It is no identity: around a start that is not mirrored it fails.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl

N, D, M = 12, 8, 4
HALF = M // 2
X = np.asarray(problem(0, n=N, d=D)[0])
START = np.asarray(nl.mirrored_lecun(jax.random.key(1), d=D, m=M).W)
L1 = 4 / (3 * math.sqrt(3)) * np.linalg.norm(X, axis=1).max() * np.linalg.norm(X, 2)
SIGNS = np.repeat([1.0, -1.0], HALF)


def jacobian(W, v):
    return np.hstack([v[j] / np.cosh(X @ W[j])[:, None] ** 2 * X for j in range(M)])


S1 = np.linalg.svd(jacobian(START, SIGNS), compute_uv=False)[-1]


def stationary(start, v, r, move, steps=200):
    """W with W − W₀ = move(g) for g = J(W)ᵀr, and how far it is from that."""
    W = start
    for _ in range(steps):
        aim = start + move((jacobian(W, v).T @ r).reshape(M, D))
        W, off = (W + aim) / 2, np.abs(aim - W).max()
    return W, off


def draws(radius, move, decades, start=START):
    """⟨r, F_j⟩ of each pair, and u, at 60 points."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        u, r = 10 ** rng.uniform(0, decades, HALF), rng.normal(size=N)
        W, off = stationary(start, np.concatenate([u, -u]), r, lambda g: move(g, radius))
        if off < 1e-9 * radius:
            pairs = np.tanh(X @ W[:HALF].T) - np.tanh(X @ W[HALF:].T)
            found.append((r @ pairs / np.linalg.norm(r), u))
    return found


def in_ball(g, radius):
    return -radius * g / np.linalg.norm(g)


def in_balls(g, radius):
    return -radius * g / np.linalg.norm(g, axis=1, keepdims=True)


def in_cube(g, radius):
    return -radius * np.sign(g)


def the_least(slopes, u):
    return slopes[np.argmin(u)]


def all_alike(slopes, u):
    return slopes.sum()


def the_ray(slopes, u):
    return slopes @ u


ROWS, CUBE = math.sqrt(M), math.sqrt(M * D)
# what W may do; what v's condition keeps from being negative; the radius; decades between sizes
FORMS = {
    "ball": (in_ball, the_least, 2 * S1 / (3 * L1), 6),
    "ball per neuron": (in_balls, all_alike, S1 / (L1 * (ROWS + M / 2)), 6),
    "cube": (in_cube, the_ray, S1 / (2.0 * L1 * CUBE * (1 + CUBE / 2)), math.log10(2)),
}


@pytest.mark.parametrize("form", FORMS)
def test_where_w_is_stationary_some_output_weight_can_improve(form):
    move, condition, radius, decades = FORMS[form]
    found = draws(0.99 * radius, move, decades)
    assert len(found) == 60
    assert max(condition(slopes, u) for slopes, u in found) < 0


@pytest.mark.parametrize("form", FORMS)
def test_around_a_start_that_is_not_mirrored_it_need_not_be_so(form):
    """The control: the same radius, and one of two twins moved by a tenth."""
    move, condition, radius, decades = FORMS[form]
    moved = START + 0.1 * np.random.default_rng(1).normal(size=(M, D)) * (SIGNS[:, None] > 0)
    found = draws(0.99 * radius, move, decades, moved)
    assert len(found) == 60 and max(condition(slopes, u) for slopes, u in found) > 0.01


def test_the_certificates_radii_are_these():
    for per_neuron, form in ((False, "ball"), (True, "ball per neuron")):
        for kappa in (1.0, 1e9):
            sets = nl.Product(
                W=nl.Ball(START, 1e-3, per_neuron=per_neuron), v=nl.PairedCone(0.1, kappa)
            )
            params = sets.project(nl.Params(jnp.asarray(START), jnp.asarray(SIGNS)))
            cert = nl.kkt_certificate(params, X, X[:, 0], sets)
            assert cert.guaranteed_radius == pytest.approx(FORMS[form][2], rel=1e-9)


class Cube(nl.Constraint):
    """Every entry within ε of the start."""

    def __init__(self, center, half):
        self.center, self.half = center, half

    def project(self, x):
        return jnp.clip(x, self.center - self.half, self.center + self.half)

    def tangent(self, x, direction):
        move = x - self.center
        out = (jnp.abs(move) >= self.half * (1 - 1e-9)) & (move * direction > 0)
        return jnp.where(out, 0, direction)

    def between(self):
        outer = self.half * math.sqrt(self.center.size)
        return nl.constraints.BetweenBalls(self.center, self.half, outer)


def cube_certificate(half, kappa=2.0):
    sets = nl.Product(W=Cube(jnp.asarray(START), half), v=nl.PairedCone(0.1, kappa))
    params = sets.project(nl.Params(jnp.asarray(START + 1.0), jnp.asarray(SIGNS)))
    return nl.kkt_certificate(params, X, X[:, 0], sets, verifiable=False)


def test_a_convex_set_of_ones_own_between_two_balls():
    radius = FORMS["cube"][2]
    cert = cube_certificate(0.9 * radius)
    assert cert.guaranteed_radius == pytest.approx(radius, rel=1e-9)
    assert cert.theorem_applies and cert.radius == pytest.approx(0.9 * radius)
    assert cert.residual <= cert.residual_bound <= cert.stationarity_bound
    assert not cube_certificate(1.1 * radius).theorem_applies
    assert cube_certificate(0.9 * radius, kappa=1.0).guaranteed_radius > 1.9 * radius


@pytest.mark.parametrize("per_neuron", [False, True])
def test_a_ball_without_a_radius_is_not_covered(per_neuron):
    """At ε = 0 the start itself is a KKT point, with the loss of F = 0."""
    sets = nl.Product(W=nl.Ball(START, 0.0, per_neuron=per_neuron), v=nl.PairedCone(0.1, 2.0))
    params = nl.Params(jnp.asarray(START), jnp.asarray(SIGNS))
    cert = nl.kkt_certificate(params, X, X[:, 0], sets)
    assert cert.stationarity_W == 0 and abs(cert.ray) < 1e-12 and cert.loss > 0.1
    missing = [name for name, holds in cert.hypotheses.items() if not holds]
    assert missing == ["ε > 0"] and not cert.theorem_applies
    assert cube_certificate(0.0).hypotheses["ε > 0"] is False
