"""The cones' facts by hand: rays, projections at angles, and what the KKT theorem asks of them.

Projections and normal cones of both cones are compared with SciPy in test_projections.py and
test_constraints.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import arrays, settings

import narrowlib as nl


@settings
@given(v=arrays(6), alpha=st.sampled_from([1.0, 1.5, 100.0]))
def test_rays_stay(v, alpha):
    for cone in (nl.PairedCone(0.25, 2.0), nl.CircularCone(_AXIS, 0.4, 0.5)):
        x = cone.project(jnp.asarray(v))
        assert float(cone.violation(alpha * x)) <= 1e-12 * alpha * (1 + float(abs(x).max()))


_AXIS = jnp.array([1.0, 2.0, -1.0, -1.0, -2.0, 1.0])


@settings
@given(v=arrays(6), w=arrays(6), t=st.floats(0, 1))
def test_cones_are_convex(v, w, t):
    for cone in (nl.PairedCone(0.25, 2.0), nl.CircularCone(_AXIS, 0.4, 0.5)):
        mixed = t * cone.project(jnp.asarray(v)) + (1 - t) * cone.project(jnp.asarray(w))
        assert float(cone.violation(mixed)) <= 1e-12 * (1 + float(abs(mixed).max()))


@pytest.mark.parametrize("angle", [0.1, 0.7, 1.5])
def test_projections_lie_within_the_angle(angle):
    cone, tilts = nl.CircularCone(_AXIS, angle), []
    for v in np.random.default_rng(0).normal(size=(20, 6)):
        x = np.asarray(cone.project(jnp.asarray(v)))
        np.testing.assert_array_equal(x[:3], -x[3:])
        if np.linalg.norm(x) > 1e-9:
            cosine = x @ np.asarray(_AXIS) / np.linalg.norm(x) / np.linalg.norm(_AXIS)
            tilts.append(np.arccos(min(cosine, 1)))
    assert max(tilts) <= angle + 1e-7
    assert max(tilts) > 0.9 * angle


def test_the_cut_is_at_zeta_axes():
    cone = nl.CircularCone(_AXIS, 0.5, zeta=3.0)
    np.testing.assert_allclose(cone.project(_AXIS), 3 * _AXIS, rtol=1e-14)
    np.testing.assert_allclose(cone.project(5 * _AXIS), 5 * _AXIS, rtol=1e-14)
    assert float(cone.least_scale(6 * _AXIS)) == pytest.approx(0.5)


def test_a_mirrored_start_lies_in_its_cones():
    one = nl.mirrored_lecun(jax.random.key(0), d=3, m=6)
    many = nl.mirrored_lecun(jax.random.key(0), d=3, m=6, outputs=4)
    assert float(nl.PairedCone(zeta=0.1, kappa=1.0).violation(one.v)) == 0
    for start in (one, many):
        cone = nl.CircularCone(start.v, 0.01, zeta=1.0)
        assert float(cone.violation(start.v)) < 1e-14


def test_tangent_and_residual_in_float32():
    for cone in (
        nl.PairedCone(0.25, 2.0),
        nl.CircularCone(_AXIS.astype(jnp.float32), 0.4, 0.5),
    ):
        x = cone.project(jnp.linspace(-1, 3, 6, dtype=jnp.float32))
        tangent = cone.tangent(x, jnp.ones(6, jnp.float32))
        assert x.dtype == tangent.dtype == jnp.float32
        assert bool(jnp.all(jnp.isfinite(tangent)))
