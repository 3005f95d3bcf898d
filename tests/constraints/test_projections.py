"""Projections against SciPy's SLSQP on plain descriptions, a one-dimensional search, and limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from strategies import CASES, SCALES, arrays, feasible_points, projection, settings

import narrowlib as nl
from narrowlib.constraints.circular import cone_coordinates
from narrowlib.constraints.paired import cone_threshold, paired_part

each_case = pytest.mark.parametrize("name", CASES)
described = [name for name, case in CASES.items() if case.inequalities and "radius 0" not in name]


@each_case
@settings
@given(data=st.data())
def test_contract(name, data):
    """Feasible, idempotent, nonexpansive, and the variational inequality, at any scale."""
    case, project = CASES[name], projection(name)
    scale = data.draw(st.sampled_from((1e-3, 1.0, 1e3)))
    x, y = (np.asarray(data.draw(arrays(case.dim))) * scale for _ in range(2))
    Px, Py = np.asarray(project(x)), np.asarray(project(y))
    slack = 1e-12 * (1 + abs(x).max() + abs(y).max())
    assert case.excess(Px) <= slack
    np.testing.assert_allclose(project(Px), Px, rtol=0, atol=slack)
    assert np.linalg.norm(Px - Py) <= np.linalg.norm(x - y) + slack
    for z in (Py, *feasible_points(name)):
        assert (x - Px) @ (z - Px) <= slack * (1 + np.linalg.norm(z - Px) + np.linalg.norm(x - Px))


@each_case
def test_points_of_the_set_come_back(name):
    points = feasible_points(name, count=20, seed=1)
    assert len({tuple(p) for p in points}) > 1 or name in ("fixed", "ball of radius 0")
    for z in points:
        np.testing.assert_allclose(projection(name)(z), z, rtol=0, atol=1e-14 * (1 + abs(z).max()))


def test_points_inside_a_ball_are_unchanged_to_the_bit():
    center = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
    W = center + 0.1
    for per_neuron in (False, True):
        P = nl.project_ball(W, center=center, radius=2.0, per_neuron=per_neuron)
        assert bool(jnp.all(P == W))


@pytest.mark.parametrize("name", described)
def test_nearest_point_is_scipys(name):
    """SLSQP finds a point as near and no nearer, so it is the same one: the set is convex."""
    case, rng = CASES[name], np.random.default_rng(3)
    z0 = feasible_points(name, count=1)[0]
    compared = 0
    for spread in (0.5, 1.0, 3.0, 3.0):
        x = spread * rng.normal(size=case.dim)
        ours = np.asarray(projection(name)(x))
        if np.linalg.norm(ours) < 1e-9:
            continue  # the apex: SLSQP's description of it has no gradient
        start = case.shrink(z0)
        found = minimize(
            lambda u, x=x: np.sum((case.expand(u) - x) ** 2),
            start,
            method="SLSQP",
            constraints={"type": "ineq", "fun": case.inequalities},
            options={"ftol": 1e-15, "maxiter": 500},
        )
        theirs = case.expand(found.x)
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
        assert np.linalg.norm(ours - x) <= np.linalg.norm(theirs - x) + 1e-7
        compared += 1
    assert compared >= 2


@each_case
def test_jacobian_against_finite_differences(name):
    case, project = CASES[name], projection(name)
    jacobian, step, compared = jax.jit(jax.jacobian(case.project)), 1e-6, 0
    for x in np.random.default_rng(4).normal(size=(10, case.dim)):
        steps = step * np.eye(case.dim)
        ahead = np.stack([(project(x + e) - project(x)) / step for e in steps], axis=1)
        behind = np.stack([(project(x) - project(x - e)) / step for e in steps], axis=1)
        if abs(ahead - behind).max() < 1e-4:  # no kink within reach
            np.testing.assert_allclose(jacobian(x), (ahead + behind) / 2, atol=1e-5)
            compared += 1
    assert compared >= 5


@each_case
def test_jit_vmap_and_eager_agree(name):
    case = CASES[name]
    X = 2 * np.random.default_rng(5).normal(size=(6, case.dim))
    eager = np.stack([case.project(jnp.asarray(x)) for x in X])
    compiled = np.stack([projection(name)(x) for x in X])
    batched = jax.vmap(case.project)(jnp.asarray(X))
    np.testing.assert_allclose(compiled, eager, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(batched, eager, rtol=1e-13, atol=1e-13)


@each_case
def test_float32_stays_and_agrees(name):
    case = CASES[name]
    single = jax.tree.map(
        lambda a: a.astype(jnp.float32) if isinstance(a, jax.Array) else a,
        (case.constraint, case.like),
    )
    case32 = case._replace(constraint=single[0], like=single[1])
    for x in np.random.default_rng(6).normal(size=(5, case.dim)):
        result = case32.project(jnp.asarray(x, jnp.float32))
        assert result.dtype == jnp.float32
        np.testing.assert_allclose(result, projection(name)(x), rtol=2e-5, atol=2e-5)


def test_array_parameters_of_another_precision_do_not_change_the_points():
    W, v = jnp.ones((2, 2), jnp.float32), jnp.array([3.0, -1.0], jnp.float32)
    double = jnp.asarray(0.5)
    assert nl.project_ball(W, center=0 * W, radius=double).dtype == jnp.float32
    assert nl.project_paired_cone(v, zeta=double, kappa=4 * double).dtype == jnp.float32
    cone = nl.project_circular_cone(v, axis=v, half_angle=double, zeta=double)
    assert cone.dtype == jnp.float32


# Special points.

_AXIS = jnp.array([1.0, -0.5, -1.0, 0.5])


@pytest.mark.parametrize(
    "project, x",
    [
        (lambda x: nl.project_ball(x, center=jnp.ones((2, 2)), radius=1.0), jnp.ones((2, 2))),
        (lambda x: nl.project_ball(x, center=jnp.ones((2, 2)), radius=0.0), jnp.ones((2, 2))),
        (
            lambda x: nl.project_ball(x, center=jnp.ones((2, 2)), radius=1.0, per_neuron=True),
            jnp.array([[1.0, 1.0], [9.0, 1.0]]),
        ),
        (lambda x: nl.project_paired_cone(x, zeta=0.0, kappa=2.0), jnp.zeros(4)),
        (lambda x: nl.project_paired_cone(x, zeta=0.5, kappa=1.0), jnp.ones(4)),
        (lambda x: nl.project_paired_cone(x, zeta=0.0, kappa=1e8), jnp.array([1.0, 0, 0, 1.0])),
        (lambda x: nl.project_circular_cone(x, axis=_AXIS, half_angle=0.5), jnp.zeros(4)),
        (lambda x: nl.project_circular_cone(x, axis=_AXIS, half_angle=0.5), _AXIS),
        (lambda x: nl.project_circular_cone(x, axis=_AXIS, half_angle=0.5), -_AXIS),
        (lambda x: nl.project_circular_cone(x, axis=_AXIS, half_angle=0.5, zeta=2.0), _AXIS),
    ],
)
def test_gradient_is_finite_at_centers_ties_axes_and_apexes(project, x):
    J = jax.jacobian(project)(x)
    assert bool(jnp.all(jnp.isfinite(J)))
    assert float(jnp.abs(J).max()) <= 1 + 1e-12  # projections are nonexpansive


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_projections_commute_with_scaling(scale, dtype):
    """P on a set blown up by s is s times P: at 1e-8 and 1e8 nothing is lost."""
    rng = np.random.default_rng(7)
    W, v = jnp.asarray(rng.normal(size=(4, 3)), dtype), jnp.asarray(rng.normal(size=6), dtype)
    axis = jnp.asarray(np.concatenate([a := rng.normal(size=3), -a]), dtype)
    s, close = jnp.asarray(scale, dtype), {"rtol": 100 * float(jnp.finfo(dtype).eps)}
    ball = nl.project_ball(s * W, center=0 * W, radius=0.5 * scale)
    np.testing.assert_allclose(ball, s * nl.project_ball(W, center=0 * W, radius=0.5), **close)
    for kappa in (1.0, 2.0, 1e8):
        np.testing.assert_allclose(
            nl.project_paired_cone(s * v, zeta=0.1 * scale, kappa=kappa),
            s * nl.project_paired_cone(v, zeta=0.1, kappa=kappa),
            **close,
        )
    np.testing.assert_allclose(
        nl.project_circular_cone(s * v, axis=s * axis, half_angle=0.4, zeta=0.1),
        s * nl.project_circular_cone(v, axis=axis, half_angle=0.4, zeta=0.1),
        **close,
        atol=float(s * jnp.finfo(dtype).eps * 10),
    )


@pytest.mark.parametrize(
    "u, zeta, kappa, expected",
    [
        ([-1.0, -2.0, -3.0], 0.5, 2.0, [0.5, 0.5, 0.5]),  # all of the wrong sign: the least size
        ([-1.0, -2.0, -3.0], 0.0, 2.0, [0.0, 0.0, 0.0]),
        ([2.0, 2.0, 2.0], 0.0, 1.0, [2.0, 2.0, 2.0]),  # ties
        ([1.0, 2.0, 6.0], 0.0, 1.0, [3.0, 3.0, 3.0]),  # one size for all: the mean
        ([1.0, 2.0, 6.0], 0.0, 1e8, [1.0, 2.0, 6.0]),  # inside
        ([-5.0, 1.0, 2.0], 0.0, 1e8, [2e-8, 1.0, 2.0]),  # the ratio binds, hardly
        ([7.0], 0.5, 3.0, [7.0]),
        ([0.1], 0.5, 3.0, [0.5]),
    ],
)
def test_paired_cone_by_hand(u, zeta, kappa, expected):
    v = jnp.array([*u, *(-t for t in u)])
    result = nl.project_paired_cone(v, zeta=zeta, kappa=kappa)
    np.testing.assert_allclose(result[: len(u)], expected, atol=1e-7)
    np.testing.assert_array_equal(result[len(u) :], -result[: len(u)])


def test_whole_number_parameters_do_not_overflow():
    """κ² of a whole number would leave 32 bits from 46,341 on."""
    v = jnp.array([-5.0, 1.0, 9e4, 5.0, -1.0, -9e4])
    for kappa in (100_000, 10**8):
        whole = jax.jit(lambda v, k: nl.project_paired_cone(v, zeta=0, kappa=k))(v, kappa)
        np.testing.assert_allclose(
            whole, nl.project_paired_cone(v, zeta=0.0, kappa=float(kappa)), rtol=1e-12
        )


def _slow_paired(u, zeta, kappa):
    """The same argmin by scanning every breakpoint in extended precision."""
    u = np.sort(u.astype(np.longdouble))
    points = np.sort(np.concatenate([u, u / kappa]))
    sums = np.concatenate([[0], np.cumsum(u)])
    below = np.searchsorted(u, points)  # how many u lie under t
    above = np.searchsorted(u, kappa * points, side="right")  # how many lie up to κ t
    count = len(u)
    slope = (below * points - sums[below]) - kappa * (
        (sums[-1] - sums[above]) - (count - above) * kappa * points
    )
    k = int(np.argmax(slope >= 0))  # the root lies between points k - 1 and k
    t = points[k]
    if slope[k] > 0:
        t = points[k - 1] - slope[k - 1] * (points[k] - points[k - 1]) / (slope[k] - slope[k - 1])
    return max(t, zeta)


@pytest.mark.parametrize("m", [10, 1000, 200_000])
@pytest.mark.parametrize("kappa", [1.5, 10.0, 1e4])
def test_paired_cone_at_any_size_against_a_slow_search(m, kappa):
    u = np.random.default_rng(m).normal(size=m // 2) + 0.5
    t = _slow_paired(u, 0.01, kappa)
    expected = np.clip(u, float(t), float(kappa * t))
    ours = nl.project_paired_cone(jnp.asarray(np.concatenate([u, -u])), zeta=0.01, kappa=kappa)
    np.testing.assert_allclose(ours[: m // 2], expected, rtol=1e-11)


@settings
@given(u=arrays(5), kappa=st.sampled_from([1.0, 1.25, 2.0, 7.0]), zeta=st.sampled_from([0.0, 0.25]))
def test_paired_cone_with_ties_against_a_grid(u, kappa, zeta):
    """No smallest size on a fine grid gives a nearer point."""
    v = jnp.asarray(np.concatenate([u, -u]))
    ours = np.asarray(_paired_jit(v, zeta, kappa))[:5]
    grid = np.linspace(zeta, 6.0, 4001)[:, None]
    nearest = ((np.clip(u, grid, kappa * grid) - u) ** 2).sum(axis=1).min()
    assert ((ours - u) ** 2).sum() <= nearest + 1e-12


@jax.jit
def _paired_jit(v, zeta, kappa):
    return nl.project_paired_cone(v, zeta=zeta, kappa=kappa)


@settings
@given(low=arrays(4), high=arrays(3), kappa=st.sampled_from([1.0, 2.0, 5.0]))
def test_cone_threshold_minimises(low, high, kappa):
    """Its derivative changes sign at the threshold."""
    low, high = np.sort(low), np.sort(high)
    t = float(_threshold_jit(jnp.asarray(low), jnp.asarray(high), kappa))

    def objective(t):
        return (np.maximum(t - low, 0) ** 2).sum() + (np.maximum(high - kappa * t, 0) ** 2).sum()

    for other in np.linspace(-15, 15, 601):
        assert objective(t) <= objective(other) + 1e-12


@jax.jit
def _threshold_jit(low, high, kappa):
    return cone_threshold(low, high, kappa)


def test_cone_threshold_ignores_infinite_entries():
    low, high = jnp.array([1.0, 4.0, jnp.inf]), jnp.array([-jnp.inf, 3.0, 10.0])
    masked = cone_threshold(low, high, 2.0)
    plain = cone_threshold(jnp.array([1.0, 4.0]), jnp.array([3.0, 10.0]), 2.0)
    np.testing.assert_allclose(masked, plain, rtol=1e-14)
    nothing = cone_threshold(jnp.array([jnp.inf]), jnp.array([-jnp.inf]), 2.0)
    assert bool(jnp.isfinite(nothing))


def test_coordinates_rebuild_the_point():
    rng = np.random.default_rng(8)
    A, A0 = (jnp.asarray(rng.normal(size=(3, 2))) for _ in range(2))
    height, side, unit, direction = cone_coordinates(A, A0)
    np.testing.assert_allclose(height * unit + side * direction, A, atol=1e-14)
    assert abs(float(jnp.sum(unit * direction))) < 1e-14
    v = jnp.asarray(rng.normal(size=(6, 2)))
    np.testing.assert_allclose(paired_part(v), (v[:3] - v[3:]) / 2, rtol=1e-15)
