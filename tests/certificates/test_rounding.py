"""How far rounding moves a certificate's numbers, against arithmetic of 60 digits."""

import math

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib.certificates.rounding import point


def wave(frequency):
    """σ = sin(frequency · z): a slope as steep as one likes."""
    return nl.Activation(
        f"sin({frequency:g} z)",
        lambda z: jnp.sin(frequency * z),
        lambda z: frequency * jnp.cos(frequency * z),
        curvature=frequency**2,
    )


def steep_kink(slope):
    """σ = max(slope · z, 0): no bound on σ″, but one on σ′."""
    return nl.Activation(
        "kink",
        lambda z: jnp.maximum(slope * z, 0),
        lambda z: jnp.where(z > 0, slope * jnp.ones_like(z), 0),
        curvature=math.inf,
        slope=slope,
        analytic=False,
    )


EXACT = {
    "tanh": (nl.get_activation("tanh"), lambda z: z.tanh()),
    "square": (nl.get_activation("square"), lambda z: z * z),
    "relu": (nl.get_activation("relu"), lambda z: z.max(0)),
    "kink": (steep_kink(1e5), lambda z: (100000 * z).max(0)),
    "sin 300": (wave(300.0), lambda z: (300 * z).sin()),
    "sin 3000": (wave(3000.0), lambda z: (3000 * z).sin()),
    "sin 7e4": (wave(7e4), lambda z: (70000 * z).sin()),
}


def error_of_outputs(params, X, sigma, exact):
    """‖computed − true outputs‖, by ball arithmetic of 60 digits."""
    with flint.ctx.workdps(60):
        W, v, A = (flint.arb_mat(np.asarray(a).reshape(len(a), -1).tolist()) for a in (*params, X))
        Z = A * W.transpose()
        phi = flint.arb_mat([[exact(z) for z in row] for row in Z.tolist()])
        computed = np.asarray(nl.forward(params, X, activation=sigma)).reshape(len(X), -1)
        difference = flint.arb_mat(computed.tolist()) - phi * v
        return math.hypot(*(float(e) for e in difference.entries()))


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("name", EXACT)
def test_output_rounding_is_a_bound(name, K):
    sigma, exact = EXACT[name]
    for seed in range(8):
        X, _ = problem(seed, n=9, d=3)
        params = nl.lecun(jax.random.key(seed), d=3, m=5, outputs=K)
        bound = point(params, X, sigma).off_outputs
        assert 0 < error_of_outputs(params, X, sigma, exact) <= bound
        # and no needless one: a few units of the largest change that one rounding can make
        steepness = max(1.0, float(jnp.abs(sigma.derivative(X @ params.W.T)).max()))
        assert bound < 1e-13 * steepness


def test_output_rounding_where_a_pre_activation_is_exactly_zero():
    params, X = nl.Params(jnp.ones((2, 1)), jnp.ones(2)), jnp.array([[0.0], [1.0]])
    assert 0 < point(params, X, nl.get_activation("relu")).off_outputs < 1e-14
    unbounded = nl.Activation("unknown", jnp.sin, jnp.cos, curvature=math.inf)
    assert math.isinf(point(params, X, unbounded).off_outputs)


def test_least_singular_value_is_below_that_of_the_jacobian():
    X, _ = problem(1, n=10, d=4)
    params = nl.lecun(jax.random.key(2), d=4, m=9)
    s = np.linalg.svd(np.asarray(nl.jacobian(params, X)), compute_uv=False)[-1]
    assert s * (1 - 1e-9) <= point(params, X, nl.get_activation("tanh")).sigma_min < s
    assert isinstance(point(params, X, nl.get_activation("tanh")).sigma_min, float)
