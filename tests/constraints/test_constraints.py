"""Tangent cones and residuals against limits of projections and SciPy's NNLS on active normals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize, nnls
from strategies import CASES, ball_case, feasible_points, projection
from test_projections import described

import narrowlib as nl
from narrowlib import verifier
from narrowlib.constraints import Constraint, as_product, frozen_pytree

each_case = pytest.mark.parametrize("name", CASES)


def distance_to_normal_cone(name, x, direction):
    """By NNLS over generators that are written down in the case, not taken from the set."""
    columns = CASES[name].normals(np.asarray(ravel_pytree(x)[0]))
    return nnls(columns, np.asarray(ravel_pytree(direction)[0]))[1]


def boundary_points(name):
    """Points inside and on every kind of face: projections of points around the set's middle."""
    case, rng = CASES[name], np.random.default_rng(11)
    middle = np.mean(feasible_points(name, count=200), axis=0)
    spread = 10.0 ** rng.uniform(-1.5, 1, size=(30, 1))
    points = middle + spread * rng.normal(size=(30, case.dim))
    points[::3] = rng.uniform(size=(10, 1)) * middle + 0.01 * points[::3]  # towards a cone's floor
    return [case.unravel(projection(name)(x)) for x in points]


@pytest.mark.parametrize("name", [name for name in CASES if "product" not in name])
def test_tangent_is_the_limit_of_the_projection(name):
    case, rng, t = CASES[name], np.random.default_rng(12), 1e-6
    for x in boundary_points(name):
        d = rng.normal(size=case.dim)
        flat = ravel_pytree(x)[0]
        limit = (np.asarray(projection(name)(flat + t * d)) - flat) / t
        ours = case.constraint.tangent(x, case.unravel(jnp.asarray(d)))
        np.testing.assert_allclose(ours.ravel(), limit, atol=1e-4)


@each_case
def test_residual_is_the_distance_to_the_active_normals(name):
    case, rng, faces = CASES[name], np.random.default_rng(13), set()
    for x in boundary_points(name):
        if name == "circular, no cut" and not np.any(x):
            continue  # at the apex no finite set of normals will do: see the test after this
        gradient = case.unravel(jnp.asarray(rng.normal(size=case.dim)))
        ours = float(case.constraint.normal_cone_residual(x, gradient))
        theirs = distance_to_normal_cone(name, x, jax.tree.map(jnp.negative, gradient))
        faces.add(case.normals(np.asarray(ravel_pytree(x)[0])).shape[1])
        assert ours == pytest.approx(theirs, abs=1e-9)
    if name in ("balls per neuron", "paired", "circular"):
        assert len(faces) >= 3  # inside, one face, more than one


@pytest.mark.parametrize("name", ["paired, no floor", "circular, no cut"])
def test_at_the_apex_the_tangent_cone_is_the_cone(name):
    case = CASES[name]
    for d in np.random.default_rng(14).normal(size=(8, case.dim)):
        tangent = case.constraint.tangent(jnp.zeros(case.dim), jnp.asarray(d))
        np.testing.assert_allclose(tangent, projection(name)(d), atol=1e-12)


def test_the_corner_of_a_cut_cone_is_a_wedge():
    """At the rim, directions of every kind: against the limit of projections."""
    case = CASES["circular"]
    cone = case.constraint
    axis = np.asarray(cone.axis)[:3]
    side = np.cross(axis, [1.0, 0.0, 0.0])
    rim = cone.zeta * (axis + np.tan(0.6) * np.linalg.norm(axis) * side / np.linalg.norm(side))
    x = np.concatenate([rim, -rim])
    for d in np.random.default_rng(15).normal(size=(40, 6)):
        limit = (np.asarray(projection("circular")(x + 1e-6 * d)) - x) / 1e-6
        ours = cone.tangent(jnp.asarray(x), jnp.asarray(d))
        np.testing.assert_allclose(ours, limit, atol=1e-4)
        theirs = distance_to_normal_cone("circular", x, d)
        assert float(jnp.linalg.norm(ours)) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("name", described)
def test_zero_residual_at_scipys_solution_of_a_quadratic_programme(name):
    case, rng = CASES[name], np.random.default_rng(16)
    z0 = feasible_points(name, count=1)[0]
    checked = 0
    for _ in range(3):
        A = rng.normal(size=(case.dim, case.dim))
        Q, b = A @ A.T + np.eye(case.dim), 3 * rng.normal(size=case.dim)
        found = minimize(
            lambda u, Q=Q, b=b: (z := case.expand(u)) @ Q @ z / 2 - b @ z,
            case.shrink(z0),
            method="SLSQP",
            constraints={"type": "ineq", "fun": case.inequalities},
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        if np.linalg.norm(found.x) < 1e-3:
            continue  # SciPy is caught at the apex
        # SciPy's point is right to about 1e-6: put it on the faces that it is next to
        z = np.asarray(projection(name)(case.expand(found.x)))
        z = _polish(name, z, Q, b)
        assert z @ Q @ z / 2 - b @ z == pytest.approx(found.fun, abs=1e-5 * (1 + abs(found.fun)))
        point, gradient = (case.unravel(jnp.asarray(a)) for a in (z, Q @ z - b))
        size = np.linalg.norm(Q @ z - b)
        assert float(case.constraint.normal_cone_residual(point, gradient)) <= 1e-6 * (1 + size)
        # at any other point the residual is at least the distance, since Q is at least the identity
        other = np.asarray(projection(name)(z + rng.normal(size=case.dim)))
        point, gradient = (case.unravel(jnp.asarray(a)) for a in (other, Q @ other - b))
        residual = float(case.constraint.normal_cone_residual(point, gradient))
        assert residual >= np.linalg.norm(other - z) - 1e-6 * (1 + size)
        checked += 1
    assert checked


def _polish(name, z, Q, b):
    """Projected gradient from SciPy's point: it identifies the active faces exactly."""
    step = 1 / np.linalg.norm(Q, 2)
    descend = jax.jit(
        lambda z: jax.lax.fori_loop(
            0, 5000, lambda _, z: CASES[name].project(z - step * (Q @ z - b)), z
        )
    )
    return np.asarray(descend(jnp.asarray(z)))


@each_case
def test_violation_is_the_distance(name):
    case = CASES[name]
    for x in np.random.default_rng(17).normal(size=(5, case.dim)):
        expected = np.linalg.norm(x - np.asarray(projection(name)(x)))
        assert float(case.constraint.violation(case.unravel(jnp.asarray(x)))) == pytest.approx(
            expected, rel=1e-12, abs=1e-14
        )
    for z in feasible_points(name):
        assert float(case.constraint.violation(case.unravel(jnp.asarray(z)))) <= 1e-13 * (
            1 + np.linalg.norm(z)
        )


@pytest.mark.parametrize("per_neuron", [False, True])
def test_multipliers_are_nnls_coefficients(per_neuron):
    rng = np.random.default_rng(18)
    case = ball_case(rng.normal(size=(4, 3)), 0.5, per_neuron=per_neuron)
    ball = case.constraint
    outside = ball.center + jnp.asarray(rng.normal(size=(4, 3)))
    outside = outside.at[1].set(ball.center[1] + 0.01)  # one neuron stays inside its own ball
    W = ball.project(outside)
    for _ in range(5):
        gradient = jnp.asarray(rng.normal(size=(4, 3)))
        ours = ball.multiplier(W, gradient)
        columns = case.normals(np.asarray(W).ravel())
        theirs = nnls(columns, -np.asarray(gradient).ravel())[0][1:]
        inside = np.linalg.norm(np.asarray(W - ball.center), axis=1) < 0.49
        expected = theirs[0]
        if per_neuron:
            expected = np.zeros(4)
            expected[~inside] = theirs
        np.testing.assert_allclose(ours, expected, atol=1e-12)
        assert ours.shape == ((4,) if per_neuron else ())
    assert bool(jnp.all(ball.multiplier(ball.center + 0.001, gradient) == 0))


@each_case
def test_the_gradient_of_the_violation(name):
    """0 inside, where a penalty asks for nothing, and outside the unit vector away from the set."""
    case = CASES[name]
    slope = jax.jit(jax.grad(lambda x: case.constraint.violation(case.unravel(x))))
    for z in feasible_points(name):  # most lie on a face, where rounding decides
        np.testing.assert_array_equal(slope(z), np.zeros(case.dim))
    for x in np.random.default_rng(20).normal(size=(4, case.dim)):
        away = x - np.asarray(projection(name)(x))
        expected = away / max(np.linalg.norm(away), 1e-300)
        np.testing.assert_allclose(slope(x), expected, atol=1e-9)


def test_the_gradient_of_a_violation_of_which_one_part_is_zero():
    sets = nl.Product(W=nl.Ball(jnp.zeros((2, 2)), 1.0), v=nl.Free())
    gradient = jax.grad(sets.violation)(nl.Params(2 * jnp.eye(2), jnp.ones(2)))
    np.testing.assert_allclose(gradient.W, jnp.eye(2) / 2**0.5, rtol=1e-12)
    np.testing.assert_array_equal(gradient.v, np.zeros(2))


# What a set says of itself.


@pytest.mark.parametrize("name", [name for name in CASES if "product" not in name])
def test_a_description_is_enough_for_the_verifier(name):
    """The verifier, which shares no code with the set, projects on what the set describes."""
    case = CASES[name]
    described = case.constraint.describe()
    if name in ("balls of columns", "cone of places"):
        assert described is None and case.constraint.as_ball() is None
        return
    kind, arrays = described
    known = verifier.SETS[kind]
    assert set(arrays) == set(known.arrays) and known.scalable == case.constraint.scalable
    arrays = {key: np.asarray(value) for key, value in arrays.items()}
    for x, d in np.random.default_rng(21).normal(size=(6, 2, case.dim)):
        theirs = known.project(np.asarray(case.unravel(x)), **arrays)
        np.testing.assert_allclose(theirs.ravel(), projection(name)(x), atol=1e-12)
        here, there = case.unravel(projection(name)(x)), case.unravel(jnp.asarray(d))
        tangent = known.tangent(np.asarray(here), np.asarray(there), share=1.0, **arrays)
        np.testing.assert_allclose(tangent, case.constraint.tangent(here, there), atol=1e-12)


def test_which_sets_are_balls_and_which_do_not_move():
    W = jnp.arange(6.0).reshape(3, 2)
    ball, rows = nl.Ball(W, 0.5), nl.Ball(W, 0.5, per_neuron=True)
    assert ball.as_ball() is ball and rows.as_ball() is rows
    for axis in (0, -2):
        assert nl.OfNeurons(rows, axis=axis).as_ball() is rows
    for axis in (1, -1):
        turned = nl.OfNeurons(ball, axis=axis)
        np.testing.assert_array_equal(turned.as_ball().center, W.T)
        assert nl.OfNeurons(rows, axis=axis).as_ball() is None
        x = 3 * jnp.ones((2, 3))
        np.testing.assert_allclose(turned.project(x), turned.as_ball().project(x), rtol=1e-14)
    places = nl.OfNeurons(nl.Ball(jnp.zeros((3, 8)), 0.5), axis=-2, positions=2)  # (6, 4)
    assert places.as_ball().center.shape == (6, 4)
    single = nl.OfNeurons(nl.Ball(jnp.ones(4), 0.5), axis=0)  # one weight a neuron
    assert single.as_ball().center.shape == (4, 1)
    cones = nl.PairedCone(0.1, 2.0), nl.CircularCone(jnp.array([1.0, -1.0]), 0.3)
    for other in (*cones, nl.Pairs(), nl.Free(), nl.Fixed(W)):
        assert other.as_ball() is None
        assert other.is_free == isinstance(other, nl.Free)
        assert other.is_fixed == isinstance(other, nl.Fixed)
        turned = nl.OfNeurons(other, axis=0)
        flags = ("is_free", "is_fixed", "scalable")
        assert [getattr(turned, f) for f in flags] == [getattr(other, f) for f in flags]
        assert turned.describe()[0] == other.describe()[0]


def test_a_subclass_that_projects_otherwise_is_another_set():
    class Half(nl.Ball):
        def project(self, x):
            return super().project(x).clip(0)

    class Named(nl.Ball):
        title = "the same set"

    center = jnp.zeros((2, 2))
    assert Half(center, 1.0).as_ball() is None and Half(center, 1.0).describe() is None
    assert Named(center, 1.0).as_ball() is not None and Named(center, 1.0).describe()[0] == "Ball"


def test_a_product_from_sets_by_path():
    ball, cone = nl.Ball(jnp.zeros((2, 2)), 1.0), nl.PairedCone(0.1, 2.0)
    made = as_product({"v": cone, "W": ball})
    assert made.W is ball and made.v is cone and as_product(made) is made
    assert as_product({"v": cone}).W.is_free and as_product({}).v.is_free
    for wrong, got in (
        ({"w": ball}, r"'w'\. The parameters of this network are W and v"),
        (ball, "Ball. Pass a narrowlib.Product, or sets by path"),
        (None, "NoneType"),
    ):
        with pytest.raises(ValueError, match=f"^constraint: got {got}"):
            as_product(wrong)
    with pytest.raises(ValueError, match=r"^W: got <class .*Ball"):
        as_product({"W": nl.Ball})


@pytest.mark.parametrize(
    "name", [name for name in CASES if name.startswith(("paired", "circular"))]
)
def test_least_scale_is_where_the_ray_enters(name):
    cone = CASES[name].constraint
    assert cone.scalable
    for z in feasible_points(name, seed=2):
        x = CASES[name].unravel(jnp.asarray(z))
        if float(jnp.linalg.norm(x)) < 1e-9:
            continue
        least = float(cone.least_scale(x))
        assert least <= 1 + 1e-12
        for factor in (1.0, 1.5, 40.0):
            scale = max(least, 1e-3) * factor
            assert float(cone.violation(scale * x)) <= 1e-12 * (1 + scale * float(abs(x).max()))
        if cone.zeta > 0:
            assert float(cone.violation(0.99 * least * x)) > 1e-5


def test_free_has_every_scale_and_others_have_no_ray():
    assert float(nl.Free().least_scale(jnp.ones(2))) == -np.inf
    assert not nl.Ball(jnp.zeros(2), 1.0).scalable and not nl.Fixed(jnp.zeros(2)).scalable
    for method in (nl.Fixed(jnp.zeros(2)).least_scale, Constraint().project):
        words = r"^constraint: got (Fixed\. It has no rays|Constraint\. It has no projection)"
        with pytest.raises(ValueError, match=words):
            method(jnp.zeros(2))


def test_sets_are_pytrees_that_a_sweep_may_vmap_over():
    W = jnp.asarray(np.random.default_rng(19).normal(size=(4, 3)))
    radii = jnp.array([0.1, 0.5, 5.0])
    balls = jax.vmap(lambda r: nl.Ball(0 * W, r).project(W))(radii)
    expected = [nl.project_ball(W, center=0 * W, radius=float(r)) for r in radii]
    np.testing.assert_allclose(balls, jnp.stack(expected), rtol=1e-14)
    v = jnp.array([3.0, 1.0, -3.0, -1.0])
    cones = jax.vmap(lambda z: nl.PairedCone(zeta=z, kappa=2.0 * z + 1))(radii)  # a batch of sets
    points = jax.vmap(lambda cone: cone.project(v))(cones)
    expected = [nl.project_paired_cone(v, zeta=z, kappa=2 * z + 1) for z in (0.1, 0.5, 5.0)]
    np.testing.assert_allclose(points, jnp.stack(expected), rtol=1e-14)
    product = nl.Product(W=nl.Ball(W, 1.0), v=nl.PairedCone(zeta=0.1, kappa=2))
    again = jax.tree.unflatten(jax.tree.structure(product), jax.tree.leaves(product))
    assert len(jax.tree.leaves(again)) == 4 and again.W.per_neuron is False


def test_sets_are_frozen():
    with pytest.raises(AttributeError):
        nl.PairedCone(zeta=0.1, kappa=2.0).zeta = 3.0

    @frozen_pytree("mode")
    class Half(Constraint):
        level: float
        mode: str

    assert jax.tree.leaves(Half(2.0, "x")) == [2.0]


def test_a_product_asks_each_block_for_itself():
    """The two blocks need not be of one network: a point in the plane beside two pairs."""
    C = nl.Product(W=nl.Ball(jnp.array([[7.0, -4.0]]), 1.0), v=nl.PairedCone(0.5, 2.0))
    inside = nl.Params(jnp.array([[7.0, -4.0]]), jnp.array([1.0, 1.0, -1.0, -1.0]))
    assert float(C.violation(inside)) == 0
    assert float(C.normal_cone_residual(inside, inside)) > 0
    with pytest.raises(ValueError, match=r"the length of v: got 3\."):
        C.project(nl.Params(inside.W, inside.v[:3]))
