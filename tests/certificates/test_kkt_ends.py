"""No certificate at what solvers make promises too much, and the verifier accepts each of them.

Random problems of three sizes, five activations, both cones, one ball and balls per neuron; ends
of solvers, early stops, shaken and rounded ends, random points, and points made to be hard.
"""

import functools
import json
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib import verifier

SEEDS, TOL = 34, 1e-9
KINDS = ("random", "early", "end", "shaken", "rounded", "hard")


class Group(NamedTuple):
    """Problems of one shape: `K` is None for a vector of targets and a paired cone."""

    activation: str
    n: int
    d: int
    m: int
    K: int | None = None
    per_neuron: bool = False

    @property
    def outputs(self):
        return () if self.K is None else (self.K,)


GROUPS = [
    Group("tanh", 12, 8, 4),
    Group("gelu", 12, 8, 4, per_neuron=True),
    Group("softplus", 20, 6, 8),
    Group("silu", 10, 6, 8, K=2),
    Group("sigmoid", 10, 6, 8, K=2, per_neuron=True),
]


def draw(rng, group):
    """A set around a mirrored start, a point that knows nothing of it, samples and targets."""
    U = rng.normal(size=(group.m // 2, group.d)) / group.d**0.5
    radius = 10 ** rng.uniform(-3, 0.5)
    ball = nl.Ball(jnp.asarray(np.concatenate([U, U])), radius, per_neuron=group.per_neuron)
    cone = nl.PairedCone(0.1, 1 + 10 ** rng.uniform(-1, 1))
    if group.K is not None:
        A = rng.normal(size=(group.m // 2, *group.outputs))
        axis = jnp.asarray(np.concatenate([A, -A]))
        cone = nl.CircularCone(axis, rng.uniform(0.05, 1.4), 0.1)
    point = nl.Params(
        W=rng.normal(size=(group.m, group.d)) / group.d**0.5,
        v=rng.normal(size=(group.m, *group.outputs)),
    )
    X, y = rng.normal(size=(group.n, group.d)), rng.normal(size=(group.n, *group.outputs))
    return jax.tree.map(jnp.asarray, (nl.Product(W=ball, v=cone), point, X, y))


@functools.partial(jax.jit, static_argnames=("group", "steps"))
def solve(sets, point, X, y, noise, group, steps):
    """Five kinds of points of each problem, and whether the third met the tolerance."""

    def one(sets, point, X, y, noise):
        if group.per_neuron:
            solver = nl.ProjectedGradient(sets, ray_scaling=True)
        else:
            solver = nl.ProjectedGaussNewton(sets)
        state = solver.init(sets.project(point), X, y, activation=group.activation)

        def advance(state, _):
            state = solver.step(state, X, y, activation=group.activation)
            return state, state.params

        _, path = jax.lax.scan(advance, state, length=steps)
        early = jax.tree.map(lambda a: a[steps // 10], path)
        end = jax.tree.map(lambda a: a[-1], path)
        shaken = sets.project(end._replace(W=end.W + noise))
        rounded = sets.project(end._replace(W=end.W.round(6)))
        slope = jax.grad(nl.loss)(end, X, y, activation=group.activation)
        points = (sets.project(point), early, end, shaken, rounded)
        return points, sets.normal_cone_residual(end, slope) <= TOL

    return jax.vmap(one)(sets, point, X, y, noise)


def hard(sets, point, X, rng, group):
    """W pulled to the sphere along the weakest direction of J, and targets that leave r there."""
    feasible, activation = sets.project(point), group.activation
    feasible = feasible._replace(W=jnp.asarray(sets.W.center))
    J = nl.jacobian(feasible, X, activation=activation).reshape(-1, group.m * group.d)
    weak = jnp.linalg.svd(J, full_matrices=False)[0][:, -1]
    weak = (weak + 10 ** rng.uniform(-6, 0) * rng.normal(size=weak.shape)).reshape(
        group.n, *group.outputs
    )
    pull = nl.vjp(feasible, X, weak, activation=activation)
    params = sets.project(feasible._replace(W=feasible.W - 1e9 * pull))
    F = nl.forward(params, X, activation=activation)
    return params, F - 10 ** rng.uniform(-9, 0) * weak


@functools.cache
def points(group):
    """For each of `SEEDS` problems: the set, the samples, and six points with their targets."""
    rng = np.random.default_rng(GROUPS.index(group))
    problems = [draw(rng, group) for _ in range(SEEDS)]
    noise = jnp.asarray(
        10 ** rng.uniform(-9, -1, size=(SEEDS, 1, 1)) * rng.normal(size=(SEEDS, group.m, group.d))
    )
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    steps = 1000 if group.per_neuron else 30
    five, met = jax.tree.map(np.asarray, solve(*batch, noise, group=group, steps=steps))
    made = []
    for k, (sets, point, X, y) in enumerate(problems):
        those = [(jax.tree.map(lambda a: jnp.asarray(a[k]), p), y) for p in five]  # noqa: B023
        those.append(hard(sets, point, X, rng, group))
        made.append((sets, X, those, bool(met[k])))
    return made


def check(path, cert):
    """The file's verdict by the verifier."""
    return verifier.verify(str(cert.save(path)))


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_certificates_at_what_solvers_make(group, tmp_path):
    """1,020 in all: each bound holds, each file is accepted, each converged fit is certified."""
    seen, certified, sharpest = 0, 0, math.inf
    for sets, X, those, met in points(group):
        for kind, (params, y) in zip(KINDS, those, strict=True):
            cert = nl.kkt_certificate(params, X, y, sets, activation=group.activation)
            seen += 1
            assert cert.residual <= cert.residual_bound * (1 + 1e-9) + 1e-12
            assert cert.residual_bound <= cert.stationarity_bound * (1 + 1e-9) + 1e-12
            assert cert.verdict != "infeasible"
            sharpest = min(sharpest, cert.residual_bound / cert.residual)
            if cert.verdict == "nearly global":
                certified += 1
                assert cert.loss <= cert.loss_bound <= cert.target_loss
            wrong = check(tmp_path / "cert", cert)
            assert wrong == [], (kind, cert.explain())
            if kind == "end" and met and cert.loss < 1e-18:
                assert cert.verdict == "nearly global"
    assert seen == SEEDS * len(KINDS)
    assert certified >= 10  # not an empty statement
    assert sharpest < 1.1  # the bound is nearly attained, so a smaller one would fail


def test_an_understated_bound_is_caught(tmp_path):
    """Bounds that are too small by 1 % do not pass, whatever the point."""
    group, caught = GROUPS[0], 0
    for sets, X, those, _ in points(group):
        for params, y in those:
            cert = nl.kkt_certificate(params, X, y, sets, activation=group.activation)
            if not (cert.residual > 1e-3 and cert.residual_bound < math.inf):
                continue  # at rounding one percent is not visible
            path = cert.save(tmp_path / "cert")
            with np.load(path) as archive:
                contents = dict(archive)
            for name in ("loss_bound", "residual_bound", "sigma_min", "loss"):
                head = json.loads(str(contents["header"]))
                head["claims"][name] *= 1.01 if name == "sigma_min" else 0.99
                np.savez(path, **(contents | {"header": np.array(json.dumps(head))}))
                wrong = verifier.verify(str(path))
                assert any(line.startswith(name) for line in wrong), (name, cert.claims)
            caught += 1
    assert caught >= 40
