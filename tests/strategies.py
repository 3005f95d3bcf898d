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


class Case(NamedTuple):
    """A set, with what the contract suite must know of it and does not ask it.

    `like` has the shape of its points. `excess` is a NumPy function of a flat point, at most 0
    where the point is feasible. `expand` makes a flat point from SciPy's variables, of which there
    are `size`, and `inequalities` (at least 0) is the set's description in those.
    """

    constraint: Any
    like: Any
    excess: Callable[[np.ndarray], float]
    expand: Callable[[np.ndarray], np.ndarray] | None = None
    size: int = 0
    inequalities: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def dim(self):
        return ravel_pytree(self.like)[0].size

    def unravel(self, x):
        return ravel_pytree(self.like)[1](x)

    def project(self, x):
        return ravel_pytree(self.constraint.project(self.unravel(x)))[0]


def _ball(seed, radius, per_neuron, shape=(4, 3)):
    center = np.random.default_rng(seed).normal(size=shape)

    def squares(z):
        move = (z.reshape(shape) - center) ** 2
        return move.sum(axis=1) if per_neuron else np.array([move.sum()])

    return Case(
        nl.Ball(jnp.asarray(center), radius, per_neuron=per_neuron),
        jnp.zeros(shape),
        lambda z: float(np.sqrt(squares(z)).max() - radius),
        lambda z: z,
        center.size,
        lambda z: radius**2 - squares(z),
    )


def _paired(m, zeta, kappa):
    half = m // 2

    def excess(z):
        u = z[:half]
        return float(max(abs(u + z[half:]).max(), zeta - u.min(), u.max() - kappa * u.min()))

    return Case(
        nl.PairedCone(zeta=zeta, kappa=kappa),
        jnp.zeros(m),
        excess,
        lambda z: np.concatenate([z[:half], -z[:half]]),
        half + 1,  # the last variable is the least size t
        lambda z: np.concatenate([z[:half] - z[-1], kappa * z[-1] - z[:half], [z[-1] - zeta]]),
    )


def _circular(seed, shape, half_angle, zeta):
    half = np.random.default_rng(seed).normal(size=(shape[0] // 2, *shape[1:]))
    axis, size = half.ravel(), np.linalg.norm(half)

    def parts(a):
        height = a @ axis / size
        return height, np.linalg.norm(a - height * axis / size)

    def excess(z):
        a, b = np.split(z, 2)
        height, side = parts(a)
        wide = side * math.cos(half_angle) - height * math.sin(half_angle)
        return float(max(abs(a + b).max(), wide, zeta * size - height))

    def inequalities(a):
        height, side = parts(a)
        return np.array([height - zeta * size, (math.tan(half_angle) * height) ** 2 - side**2])

    return Case(
        nl.CircularCone(jnp.asarray(np.concatenate([half, -half])), half_angle, zeta),
        jnp.zeros(shape),
        excess,
        lambda a: np.concatenate([a, -a]),
        half.size,
        inequalities,
    )


def _product(ball, cone):
    split = ball.dim
    return Case(
        nl.Product(W=ball.constraint, v=cone.constraint),
        nl.Params(ball.like, cone.like),
        lambda z: max(ball.excess(z[:split]), cone.excess(z[split:])),
        lambda z: np.concatenate([ball.expand(z[: ball.size]), cone.expand(z[ball.size :])]),
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
    "paired": _paired(6, 0.3, 2.0),
    "paired, no floor": _paired(6, 0.0, 3.0),
    "paired, equal": _paired(6, 0.2, 1.0),
    "paired, loose": _paired(6, 0.5, 1e8),
    "paired, two": _paired(2, 0.5, 2.0),
    "circular": _circular(3, (6,), 0.6, 0.3),
    "circular, K": _circular(4, (6, 3), 0.9, 0.2),
    "circular, no cut": _circular(5, (6,), 0.5, 0.0),
    "circular, two": _circular(6, (2,), 0.5, 0.3),
    "product": _product(_ball(7, 0.7, False), _paired(4, 0.3, 2.0)),
    "product, K": _product(_ball(8, 0.3, True), _circular(9, (4, 2), 0.7, 0.2)),
    "free": Case(nl.Free(), jnp.zeros(6), lambda z: 0.0),
    "fixed": Case(nl.Fixed(jnp.asarray(_POINT)), jnp.zeros(6), lambda z: abs(z - _POINT).max()),
}


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
