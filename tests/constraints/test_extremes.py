"""Projections at the ends of a precision's range, in half precision, and of NaN: exact references.

Squares overflow long before the numbers do. A power of two scales without rounding, so a set blown
up by one must give the same bits, blown up; the paired cone is compared with rational numbers.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.constraints.lengths import length, power_of_two

RNG = np.random.default_rng(0)
W, FAR = RNG.normal(size=(4, 3)), 3 * RNG.normal(size=(4, 3))
A = RNG.normal(size=3)
AXIS, V = np.concatenate([A, -A]), RNG.normal(size=6)
EXTREMES = [(jnp.float32, k) for k in (-90, -64, 62, 100, 120)] + [
    (jnp.float64, k) for k in (-900, -540, 510, 700, 1010)
]


@jax.jit
def ball(x, center, radius):
    rows = nl.project_ball(x, center=center, radius=radius, per_neuron=True)
    return nl.project_ball(x, center=center, radius=radius), rows


@jax.jit
def circular(x, axis):
    return nl.project_circular_cone(x, axis=axis, half_angle=0.4, zeta=0.1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_power_of_two_is_near_and_has_an_inverse(dtype):
    limits = np.finfo(dtype)
    given = np.asarray([1.0, 3.9, 0.3, 1e-30, 7e33, limits.max, limits.tiny, 0.0], dtype)
    units = np.asarray(power_of_two(jnp.asarray(given)))
    assert units[-1] == 1 and units.dtype == dtype
    mantissas, _ = np.frexp(units)
    np.testing.assert_array_equal(mantissas, 0.5)
    ratio = given[:-1].astype(float) / units[:-1].astype(float)
    assert np.all((ratio > 0.5) & (ratio <= 8)) and np.all(np.isfinite(1 / units))


@pytest.mark.parametrize("dtype, power", EXTREMES)
def test_scaling_by_a_power_of_two_scales_the_bits(dtype, power):
    s = jnp.asarray(np.ldexp(1.0, power), dtype)
    x, center, axis, v = (jnp.asarray(a, dtype) for a in (FAR, W, AXIS, V))
    radius = jnp.asarray(0.5, dtype)
    for scaled, plain in zip(
        ball(s * x, s * center, s * radius), ball(x, center, radius), strict=True
    ):
        np.testing.assert_array_equal(scaled, s * plain)
    np.testing.assert_allclose(circular(s * v, s * axis), s * circular(v, axis), rtol=1e-5)
    assert float(length(s * x) / s) == pytest.approx(np.linalg.norm(FAR), rel=1e-6)
    largest = jnp.asarray(0.75 * float(jnp.finfo(dtype).max), dtype)
    assert length(jnp.stack([0 * largest, largest])) == largest
    out = nl.project_ball(largest[None], center=jnp.zeros(1, dtype), radius=radius)
    np.testing.assert_array_equal(out, radius[None])


def test_multipliers_and_tangents_of_tiny_and_huge_balls():
    for s in (1e-200, 1.0, 1e200):
        set_of_W = nl.Ball(jnp.asarray(s * W), 0.5 * s)
        x = set_of_W.project(jnp.asarray(s * FAR))
        inward = -3.0 * (x - s * W) / s  # of length 1.5
        assert float(set_of_W.multiplier(x, inward) * s) == pytest.approx(3.0, rel=1e-9)
        assert float(set_of_W.normal_cone_residual(x, inward)) < 1e-12
        assert float(set_of_W.normal_cone_residual(x, -inward)) == pytest.approx(1.5, rel=1e-9)


def exact_paired(u, zeta, kappa):
    """The nearest sizes as rational numbers: the p least lie under t, the k largest over κt."""
    u = [Fraction(float(x)) for x in u]
    zeta, kappa = Fraction(float(zeta)), Fraction(float(kappa))
    up, n = sorted(u), len(u)
    t = up[0]  # where nothing binds
    for p in range(n + 1):
        for k in range(1, n + 1):
            root = (sum(up[:p]) + kappa * sum(up[n - k :])) / (p + kappa**2 * k)
            below = all(x <= root for x in up[:p]) and all(x >= root for x in up[p:])
            above = all(x >= kappa * root for x in up[n - k :])
            if below and above and all(x <= kappa * root for x in up[: n - k]):
                t = root
    t = max(t, zeta)
    return np.array([float(min(max(x, t), kappa * t)) for x in u])


@pytest.mark.parametrize(
    "dtype, kappas",
    [
        (np.float32, (1.0, 1e5, 1e8, 1e12, 3e19, 1e30)),
        (np.float64, (1.0, 1e5, 1e16, 1e120, 1e155, 1e300)),
    ],
)
def test_the_paired_cone_with_large_ratios(dtype, kappas):
    rng = np.random.default_rng(1)
    project = jax.jit(lambda v, zeta, kappa: nl.project_paired_cone(v, zeta=zeta, kappa=kappa))
    for kappa in kappas:
        for zeta in (0.0, 0.3):
            for _ in range(12):
                u = (rng.normal(size=4) * 10.0 ** rng.integers(-3, 2, size=4)).astype(dtype)
                ours = project(np.concatenate([u, -u]), dtype(zeta), dtype(kappa))[:4]
                theirs = exact_paired(u, dtype(zeta), dtype(kappa))
                slack = 8 * np.finfo(dtype).eps * (np.linalg.norm(u) + zeta)
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=slack)


@pytest.mark.parametrize("dtype, power", [(np.float32, 32), (np.float64, 285)])
def test_the_paired_cone_of_tiny_and_huge_entries(dtype, power):
    """Where u/κ, or κ² times it, would leave the range: as in units of the largest entry."""
    rng = np.random.default_rng(2)
    project = jax.jit(lambda v, zeta, kappa: nl.project_paired_cone(v, zeta=zeta, kappa=kappa))
    for unit in (10.0**-power, 10.0**power):
        for kappa in (1.0, 1e4, 1e11, 10.0 ** (power - 2)):
            for zeta in (0.0, 0.2):
                for _ in range(6):
                    u = (unit * rng.normal(size=4) * 10.0 ** rng.integers(-3, 2, 4)).astype(dtype)
                    ours = project(np.concatenate([u, -u]), dtype(zeta * unit), dtype(kappa))[:4]
                    theirs = exact_paired(u, dtype(zeta * unit), dtype(kappa))
                    slack = 8 * np.finfo(dtype).eps * (np.abs(u).max() + zeta * unit)
                    np.testing.assert_allclose(ours, theirs, rtol=0, atol=slack)
    lone = nl.project_paired_cone(dtype([-9, 9]) * dtype(1e-36), zeta=0.0, kappa=1e30)
    assert not np.any(lone)


def test_a_ratio_beyond_the_range_counts_as_the_largest():
    v = np.array([3.0, -1.0, 2.0, 0.5, -3.0, 1.0, -2.0, -0.5], np.float32)
    ours = nl.project_paired_cone(v, zeta=0.0, kappa=1e300)
    np.testing.assert_allclose(ours[:4], [3.0, 0.0, 2.0, 0.5], atol=1e-6)
    x = np.ones((2, 2), np.float32)
    np.testing.assert_array_equal(nl.project_ball(x, center=0 * x, radius=1e300), x)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    """A thousand squares of entries of size 20 leave float16's range of 65504."""
    rng = np.random.default_rng(2)
    big, half = 20 * rng.normal(size=(64, 16)), 20 * rng.normal(size=512)
    kernel, center = jnp.asarray(big, dtype), jnp.zeros((64, 16), dtype)
    v = jnp.concatenate([a := jnp.asarray(half, dtype), -a])
    eps = float(jnp.finfo(dtype).eps)
    for set_of, x in (
        (nl.Ball(center, 100.0), kernel),
        (nl.Ball(center, 50.0, per_neuron=True), kernel),
        (nl.PairedCone(0.1, 1e5), v),
        (nl.CircularCone(v, 0.3, 0.1), v[::-1]),
        (nl.Pairs(), v[::-1]),
    ):
        moved = set_of.project(x)
        single = jax.tree.map(
            lambda leaf: leaf.astype(jnp.float32) if isinstance(leaf, jax.Array) else leaf, set_of
        )
        expected = single.project(x.astype(jnp.float32))
        assert moved.dtype == dtype and float(jnp.max(jnp.abs(expected))) > 1
        scale = float(jnp.max(jnp.abs(expected)))
        np.testing.assert_allclose(moved.astype(float), expected, atol=2 * eps * scale)
        violation = float(set_of.violation(x))
        assert violation == pytest.approx(float(single.violation(x.astype(jnp.float32))), rel=0.1)
    assert float(jnp.linalg.norm(nl.Ball(center, 100.0).project(kernel).astype(float))) > 98


def test_nan_is_answered_by_nan_and_refused_in_a_center():
    holed = jnp.asarray(FAR).at[1, 1].set(jnp.nan)
    assert bool(jnp.isnan(nl.project_ball(holed, center=W, radius=1.0)).all())
    rows = nl.project_ball(holed, center=W, radius=100.0, per_neuron=True)
    np.testing.assert_array_equal(jnp.isnan(rows).all(axis=1), [False, True, False, False])
    for wrong in (np.full((4, 3), np.nan), np.full((4, 3), np.inf)):
        with pytest.raises(ValueError, match=r"^center: got entries that are NaN or infinite"):
            nl.project_ball(FAR, center=wrong, radius=1.0)
    traced = jax.jit(lambda c: nl.project_ball(FAR, center=c, radius=1.0))(np.full((4, 3), np.nan))
    assert bool(jnp.isnan(traced).all())
    for cone in (nl.PairedCone(0.1, 2.0), nl.CircularCone(AXIS, 0.4), nl.Pairs()):
        assert bool(jnp.isnan(cone.project(jnp.full(6, jnp.nan))).all())
        for x, direction in ((jnp.full(6, jnp.nan), V), (AXIS, jnp.full(6, jnp.nan))):
            with pytest.raises(ValueError, match=r"^(x|direction): got 6 entries that are NaN"):
                cone.tangent(x, direction)


def test_kernels_of_any_shape():
    kernel = jnp.asarray(np.random.default_rng(3).normal(size=(4, 3, 2, 5)))
    whole = nl.project_ball(kernel, center=0 * kernel, radius=1.0)
    np.testing.assert_allclose(whole, kernel / jnp.linalg.norm(kernel.ravel()), rtol=1e-12)
    rows = nl.project_ball(kernel, center=0 * kernel, radius=1.0, per_neuron=True)
    np.testing.assert_allclose(jnp.sqrt(jnp.sum(rows**2, axis=(1, 2, 3))), np.ones(4), rtol=1e-12)
    line = nl.project_ball(jnp.array([3.0, -0.5]), center=jnp.zeros(2), radius=1.0, per_neuron=True)
    np.testing.assert_allclose(line, [1.0, -0.5])
