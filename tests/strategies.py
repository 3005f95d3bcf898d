"""Shared by the tests of the library: small problems, sets with their plain descriptions."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.flatten_util import ravel_pytree

import narrowlib as nl

settings = hypothesis.settings(deadline=None, derandomize=True, max_examples=40, database=None)

SMOOTH = tuple(
    name for name in nl.activations()
    if nl.get_activation(name).generic and nl.get_activation(name).smooth
)  # fmt: skip
SCALES = (1e-8, 1.0, 1e8)


def normal(key, shape, dtype=float):
    """`jax.random.normal`, bit for bit, without a compilation for every shape.

    An entry depends on the key and on its place alone, so a small array begins a larger one.
    """
    size = math.prod(shape)
    drawn = jax.random.normal(key, (max(4096, 1 << (size - 1).bit_length()),), dtype)
    return jnp.asarray(np.asarray(drawn)[:size].reshape(shape))


def problem(seed, n=12, d=8, outputs=None, dtype=float):
    """Gaussian samples with Gaussian targets."""
    key_X, key_y = jax.random.split(jax.random.key(seed))
    shape = (n,) if outputs is None else (n, outputs)
    return normal(key_X, (n, d), dtype), normal(key_y, shape, dtype)


def near_interpolant(seed, K=None, activation="tanh", noise=1e-5, m=20):
    """A network that fits 12 samples up to a Gaussian shift of its hidden weights, and the data."""
    X, y = problem(seed, n=12, d=5, outputs=K)
    sol = nl.interpolate(
        X, y, key=jax.random.key(seed), width=m, scale=100.0, activation=activation
    )
    shift = noise * normal(jax.random.key(seed + 50), sol.params.W.shape)
    return sol.params._replace(W=sol.params.W + shift), X, y


def arrays(shape):
    """Arrays of eighths, so that ties and zeros are common."""
    return hnp.arrays(float, shape, elements=st.integers(-40, 40).map(lambda k: k / 8))


class Box(nl.Constraint):
    """A set as a reader writes it: no more than a projection, no pytree, no tangent cone."""

    def __init__(self, top):
        self.top = top

    def project(self, x):
        return jnp.clip(x, -self.top, self.top)


class Case(NamedTuple):
    """A set, with what the contract suite must know of it and does not ask it.

    `like` has the shape of its points. `excess` is a NumPy function of a flat point, at most 0
    where the point is feasible; `normals` returns generators of the normal cone there as columns,
    and a column's opposite beside it where both are normal. `expand` makes a flat point from
    SciPy's variables, of which there are `size`, `shrink` does the reverse for a feasible point,
    and `inequalities` (at least 0) is the set's description in those.
    """

    constraint: Any
    like: Any
    excess: Callable[[np.ndarray], float]
    normals: Callable[[np.ndarray], np.ndarray]
    expand: Callable[[np.ndarray], np.ndarray] | None = None
    shrink: Callable[[np.ndarray], np.ndarray] = np.asarray
    size: int = 0
    inequalities: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def dim(self):
        return ravel_pytree(self.like)[0].size

    def unravel(self, x):
        return ravel_pytree(self.like)[1](x)

    def project(self, x):
        return ravel_pytree(self.constraint.project(self.unravel(x)))[0]


def _both(columns):
    return np.concatenate([columns, -columns], axis=1)


def ball_case(center, radius, per_neuron=False):
    center = np.asarray(center)
    rows = center.reshape(len(center) if per_neuron else 1, -1)

    def moves(z):
        return (z - center.ravel()).reshape(rows.shape)

    def squares(z):
        return (moves(z) ** 2).sum(axis=1)

    def normals(z):
        if radius == 0:
            return _both(np.eye(z.size))
        columns = [np.zeros(z.size)]
        for j in np.flatnonzero(np.sqrt(squares(z)) > radius * (1 - 1e-9)):
            column = np.zeros(rows.shape)
            column[j] = moves(z)[j]
            columns.append(column.ravel())
        return np.stack(columns, axis=1)

    return Case(
        nl.Ball(jnp.asarray(center), radius, per_neuron=per_neuron),
        jnp.zeros(center.shape),
        lambda z: float(np.sqrt(squares(z)).max() - radius),
        normals,
        lambda z: z,
        np.asarray,
        center.size,
        lambda z: radius**2 - squares(z),
    )


def _ball(seed, radius, per_neuron, shape=(4, 3)):
    return ball_case(np.random.default_rng(seed).normal(size=shape), radius, per_neuron)


def _pair_normals(size, active=()):
    """Of a set of pairs: (e; e) and its opposite everywhere, and the active normals in u."""
    half = np.eye(size // 2)
    columns = [np.concatenate([n, -n])[:, None] for n in active]
    return np.concatenate([_both(np.concatenate([half, half])), *columns], axis=1)


def _pairs(shape):
    half = math.prod(shape) // 2
    return Case(
        nl.Pairs(),
        jnp.zeros(shape),
        lambda z: float(abs(z[:half] + z[half:]).max()),
        lambda z: _pair_normals(z.size),
        lambda u: np.concatenate([u, -u]),
        lambda z: z[:half],
        half,
        lambda u: np.ones(1),  # nothing more is asked
    )


def paired_case(m, zeta, kappa):
    half = m // 2

    def excess(z):
        u = z[:half]
        return float(max(abs(u + z[half:]).max(), zeta - u.min(), u.max() - kappa * u.min()))

    def normals(z):
        u, e, active = z[:half], np.eye(half), []
        low, high = u <= u.min() * (1 + 1e-9), u >= u.max() * (1 - 1e-9)
        if u.min() <= zeta * (1 + 1e-9):
            active += [-e[i] for i in np.flatnonzero(low)]
        if u.max() >= kappa * u.min() * (1 - 1e-9):
            pairs = [(i, k) for i in np.flatnonzero(low) for k in np.flatnonzero(high)]
            active += [e[k] - kappa * e[i] for i, k in pairs]
        return _pair_normals(z.size, active)

    return Case(
        nl.PairedCone(zeta=zeta, kappa=kappa),
        jnp.zeros(m),
        excess,
        normals,
        lambda z: np.concatenate([z[:half], -z[:half]]),
        lambda z: np.append(z[:half], z[:half].min()),
        half + 1,  # the last variable is the least size t
        lambda z: np.concatenate([z[:half] - z[-1], kappa * z[-1] - z[:half], [z[-1] - zeta]]),
    )


def _circular(seed, shape, half_angle, zeta):
    half = np.random.default_rng(seed).normal(size=(shape[0] // 2, *shape[1:]))
    axis, size = half.ravel(), np.linalg.norm(half)

    def parts(a):
        height = a @ axis / size
        rest = a - height * axis / size
        return height, np.linalg.norm(rest), rest

    def excess(z):
        a, b = np.split(z, 2)
        height, side, _ = parts(a)
        wide = side * math.cos(half_angle) - height * math.sin(half_angle)
        return float(max(abs(a + b).max(), wide, zeta * size - height))

    def normals(z):
        height, side, rest = parts(z[: axis.size])
        active = []
        on_edge = side * math.cos(half_angle) >= height * math.sin(half_angle) - 1e-9
        if on_edge and side > 0:
            outward = math.cos(half_angle) * rest / side
            active.append(outward - math.sin(half_angle) * axis / size)
        if height <= zeta * size + 1e-9:
            active.append(-axis / size)
        return _pair_normals(z.size, active)

    def inequalities(a):
        height, side, _ = parts(a)
        return np.array([height - zeta * size, (math.tan(half_angle) * height) ** 2 - side**2])

    return Case(
        nl.CircularCone(jnp.asarray(np.concatenate([half, -half])), half_angle, zeta),
        jnp.zeros(shape),
        excess,
        normals,
        lambda a: np.concatenate([a, -a]),
        lambda z: z[: axis.size],
        half.size,
        inequalities,
    )


def _turned(case, shape, rows, axis, positions=1):
    """A case's set for a kernel of another layout, of which `rows` makes rows of neurons."""
    order = np.asarray(rows(np.arange(math.prod(shape)).reshape(shape))).ravel()
    back = np.argsort(order)
    return Case(
        nl.OfNeurons(case.constraint, axis=axis, positions=positions),
        jnp.zeros(shape),
        lambda z: case.excess(z[order]),
        lambda z: case.normals(z[order])[back],
        lambda u: case.expand(u)[back],
        lambda z: case.shrink(z[order]),
        case.size,
        case.inequalities,
    )


def _product(ball, cone):
    split = ball.dim

    def normals(z):
        first, second = ball.normals(z[:split]), cone.normals(z[split:])
        columns = np.zeros((z.size, first.shape[1] + second.shape[1]))
        columns[:split, : first.shape[1]], columns[split:, first.shape[1] :] = first, second
        return columns

    return Case(
        nl.Product(W=ball.constraint, v=cone.constraint),
        nl.Params(ball.like, cone.like),
        lambda z: max(ball.excess(z[:split]), cone.excess(z[split:])),
        normals,
        lambda z: np.concatenate([ball.expand(z[: ball.size]), cone.expand(z[ball.size :])]),
        lambda z: np.concatenate([ball.shrink(z[:split]), cone.shrink(z[split:])]),
        ball.size + cone.size,
        lambda z: np.concatenate(
            [ball.inequalities(z[: ball.size]), cone.inequalities(z[ball.size :])]
        ),
    )


_POINT = np.linspace(-1, 1, 6)

CASES = {
    "ball": _ball(0, 0.7, False),
    "ball of radius 0": _ball(1, 0.0, False),
    "balls per neuron": _ball(2, 0.4, True),
    "balls per neuron, vector": _ball(10, 0.4, True, shape=(5,)),
    "pairs": _pairs((6,)),
    "pairs, K": _pairs((4, 3)),
    "paired": paired_case(6, 0.3, 2.0),
    "paired, no floor": paired_case(6, 0.0, 3.0),
    "paired, equal": paired_case(6, 0.2, 1.0),
    "paired, loose": paired_case(6, 0.5, 1e8),
    "paired, two": paired_case(2, 0.5, 2.0),
    "circular": _circular(3, (6,), 0.6, 0.3),
    "circular, K": _circular(4, (6, 3), 0.9, 0.2),
    "circular, no cut": _circular(5, (6,), 0.5, 0.0),
    "circular, two": _circular(6, (2,), 0.5, 0.3),
    "balls of columns": _turned(_ball(11, 0.4, True), (3, 4), lambda k: k.T, axis=-1),
    "cone of places": _turned(  # channel c at place p is entry 2 p + c
        _circular(12, (2, 6), 0.7, 0.2), (6, 2), lambda k: k.reshape(3, 2, 2).swapaxes(0, 1),
        axis=-2, positions=3,
    ),
    "product": _product(_ball(7, 0.7, False), paired_case(4, 0.3, 2.0)),
    "product, K": _product(_ball(8, 0.3, True), _circular(9, (4, 2), 0.7, 0.2)),
    "free": Case(nl.Free(), jnp.zeros(6), lambda z: 0.0, lambda z: np.zeros((z.size, 1))),
    "fixed": Case(
        nl.Fixed(jnp.asarray(_POINT)), jnp.zeros(6), lambda z: abs(z - _POINT).max(),
        lambda z: _both(np.eye(z.size)),
    ),
}  # fmt: skip


@functools.cache
def projection(name):
    """The compiled projection of a case, on flat points."""
    return jax.jit(CASES[name].project)


def feasible_points(name, count=8, seed=0):
    """Points of a set: projections of points far and near, checked by the caller's `excess`."""
    rng = np.random.default_rng(seed)
    spread = 10.0 ** rng.uniform(-1, 1, size=(count, 1))
    return [
        np.asarray(projection(name)(x)) for x in spread * rng.normal(size=(count, CASES[name].dim))
    ]
