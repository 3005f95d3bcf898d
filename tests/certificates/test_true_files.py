"""No true certificate is refused: sets of all kinds, both precisions, points on faces, near faces
and at the centre, weights without rank, outputs that are exact and σ_min where rounding begins.
"""

import functools
import json
import math
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from forgery import D, M, N
from truth import falsehoods

import narrowlib as nl

HALF = M // 2
KKT, EXISTENCE, JUDGED = 60, 16, 6  # of a group; every JUDGED-th is put to the oracle too


class Group(NamedTuple):
    """Certificates that share their compiled programs."""

    activation: str
    K: int | None = None
    dtype: Any = np.float64

    @property
    def single(self):
        return self.dtype == np.float32

    def __str__(self):
        return f"{self.activation}-{self.K}-{np.dtype(self.dtype).name}"


GROUPS = [Group(name, K) for name in nl.activations() for K in (None, 2)]
GROUPS += [Group(name, K, np.float32) for name in ("tanh", "gelu") for K in (None, 2)]
GROUPS += [Group("relu", None, np.float32)]


def at_a_face(rng, face):
    """A factor by which a distance misses its face: none, a little, or a lot."""
    return {"on": 0.0, "near": 10.0 ** rng.uniform(-13, -6), "off": 0.5}[face]


def hidden(rng):
    """W's set and W, nowhere or somewhere near its face."""
    U = rng.normal(size=(HALF, D)) / D**0.5
    center = np.concatenate([U, U]) if rng.random() < 0.7 else rng.normal(size=(M, D))
    kind = rng.choice(
        ["ball", "ball", "per neuron", "per neuron", "free", "fixed", "pairs", "cone"]
    )
    radius, place = 10.0 ** rng.uniform(-4, 0.5), rng.choice(["on", "near", "off", "centre"])
    move = rng.normal(size=(M, D))
    if kind == "per neuron":
        move /= np.linalg.norm(move, axis=1, keepdims=True)
    move *= radius / (1 if kind == "per neuron" else np.linalg.norm(move))
    if place == "centre":
        W = center + move * rng.choice([0.0, 1e-15, 1e-12, 1e-8])
    else:
        W = center + move * (1 - at_a_face(rng, place))
    if kind == "per neuron" and rng.random() < 0.5:  # some neurons inside
        W = np.where(rng.random((M, 1)) < 0.5, W, center + 0.3 * move)
    if kind == "cone":
        axis = np.concatenate([U, -U])
        return (lambda: nl.CircularCone(axis, 0.7, 0.5)), circular(rng, axis, 0.7, 0.5)
    sets = {
        "ball": lambda: nl.Ball(center, radius),
        "per neuron": lambda: nl.Ball(center, radius, per_neuron=True),
        "free": nl.Free,
        "fixed": lambda: nl.Fixed(W),
        "pairs": nl.Pairs,
    }
    return sets[kind], np.concatenate([W[:HALF], -W[:HALF]]) if kind == "pairs" else W


def circular(rng, axis, angle, zeta):
    """A point of a circular cone, its edge, its cut or their corner, or close to one."""
    A = axis[:HALF]
    E = rng.normal(size=A.shape)
    E -= A * np.sum(E * A) / np.sum(A * A)
    E *= np.linalg.norm(A) * math.tan(angle) / np.linalg.norm(E)
    height = zeta * (1 + at_a_face(rng, rng.choice(["on", "near", "off"])))
    B = height * (A + E * (1 - at_a_face(rng, rng.choice(["on", "near", "off"]))))
    return np.concatenate([B, -B])


def paired(rng, zeta, kappa):
    """A point of a paired cone, its floor, its ratio or their corner, or close to one."""
    floor = zeta * (1 + at_a_face(rng, rng.choice(["on", "near", "off"])))
    top = floor * (1 + (kappa - 1) * (1 - at_a_face(rng, rng.choice(["on", "near", "off"]))))
    u = np.array([floor, rng.uniform(floor, top), top])
    if rng.random() < 0.3:
        u[1] = rng.choice([floor, top, floor * (1 + 1e-9), top * (1 - 1e-9)])
    u = rng.permutation(u)
    return np.concatenate([u, -u])


def outer(rng, K):
    """v's set and v."""
    shape = (HALF,) if K is None else (HALF, K)
    A = rng.normal(size=shape)
    axis, zeta = np.concatenate([A, -A]), 10.0 ** rng.uniform(-2, 0)
    kind = rng.choice(["cone", "cone", "circular", "circular", "free", "fixed", "pairs", "ball"])
    if kind == "cone" and K is None:
        kappa = 1 + 10.0 ** rng.uniform(-3, 3) * rng.integers(2)
        return (lambda: nl.PairedCone(zeta, kappa)), paired(rng, zeta, kappa)
    if kind in ("cone", "circular"):
        angle = rng.uniform(0.05, 1.4)
        return (lambda: nl.CircularCone(axis, angle, zeta)), circular(rng, axis, angle, zeta)
    if kind == "ball":
        v = axis + zeta * (1 - at_a_face(rng, rng.choice(["on", "near", "off"]))) * axis / (
            np.linalg.norm(axis)
        )
        return (lambda: nl.Ball(axis, zeta)), v
    sets = {"free": nl.Free, "fixed": lambda: nl.Fixed(axis), "pairs": nl.Pairs}
    return sets[kind], axis


def data(rng, group, params):
    """Samples and targets, some of which are hard."""
    X = rng.normal(size=(N, D)) * 10.0 ** (rng.uniform(-2, 2) * rng.integers(2))
    way = rng.integers(12)
    if way == 0:
        X[1] = X[0]
    elif way == 1:  # σ_min where rounding begins
        X[1] = X[0] * (1 + 10.0 ** rng.uniform(-9, -5))
    elif way == 2:
        X[rng.integers(N)] = 0
    elif way == 3:
        params["W"][:] = params["W"][0]
    elif way == 4:
        params["W"], params["v"] = np.round(params["W"], 6), np.round(params["v"], 6)
    y = rng.normal(size=(N,) if group.K is None else (N, group.K))
    return X, y * 10.0 ** rng.uniform(-3, 3)


def draw(rng, group):
    """A set, a point and data, in the precision of the group."""
    (W_set, W), (v_set, v) = hidden(rng), outer(rng, group.K)
    params = {"W": np.array(W), "v": np.array(v)}
    X, y = data(rng, group, params)
    if group.single:
        cast = functools.partial(np.asarray, dtype=np.float32)
        params, X, y = {k: cast(x) for k, x in params.items()}, cast(X), cast(y)
    params = nl.Params(*(jnp.asarray(params[part]) for part in ("W", "v")))
    sets = nl.Product(W=W_set(), v=v_set())
    if rng.random() < 0.4:
        params = sets.project(params)
    way = rng.integers(6)
    F = np.asarray(nl.forward(params, jnp.asarray(X), activation=group.activation))
    if way == 0:
        y = F  # the residual is rounding
    elif way in (1, 2):
        y = (F + 10.0 ** rng.uniform(-16, -3) * rng.normal(size=F.shape)).astype(F.dtype)
    elif way == 3:
        y = 0 * y
    return sets, params, jnp.asarray(X), jnp.asarray(y)


def certificates(group, seed=0):
    """True certificates of a group; what narrowlib refuses to certify is drawn again."""
    rng = np.random.default_rng([seed, GROUPS.index(group)])
    options = {"activation": group.activation, "allow_float32": group.single}
    made = 0
    while made < KKT + EXISTENCE:
        sets, params, X, y = draw(rng, group)
        try:
            if made < KKT:
                target = None if rng.random() < 0.5 else 10.0 ** rng.uniform(-20, 3)
                cert = nl.kkt_certificate(params, X, y, sets, target_loss=target, **options)
            else:
                cert = nl.existence_certificate(params, X, y, **options)
        except ValueError as error:
            assert "overflow" in str(error)
            continue
        made += 1
        yield cert


def check(cert, path, verify):
    """A verifier accepts the file, and loading gives the same again."""
    path = cert.save(path)
    with np.errstate(all="ignore"):
        assert verify(str(path)) == [], cert
    again = nl.load_certificate(path)
    assert type(again) is type(cert)
    assert json.dumps(again.claims) == json.dumps(cert.claims)
    assert again.arrays.keys() == cert.arrays.keys()
    for name, value in cert.arrays.items():
        assert again.arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(again.arrays[name], value)


def oracle(cert):
    claims = json.loads(json.dumps(cert.claims))
    header = {"format": 2, "kind": cert.kind, "claims": claims}
    arrays = {name: np.asarray(value) for name, value in cert.arrays.items()}
    return [found for found in falsehoods(arrays, header) if found.material]


def test_there_are_a_thousand():
    assert len(GROUPS) * (KKT + EXISTENCE) >= 1000


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_a_true_file_is_accepted(group, tmp_path):
    verdicts, kinds = set(), set()
    with warnings.catch_warnings():
        for k, cert in enumerate(certificates(group)):
            check(cert, tmp_path / "true", nl.verifier.verify)
            verdicts.add(cert.verdict)
            kinds |= set(getattr(cert, "sets", {}).values())
            if k % JUDGED == 0:
                assert oracle(cert) == [], cert
    assert "inconclusive" in verdicts and len(verdicts) >= 3
    cones = {"PairedCone"} if group.K is None else set()
    assert kinds == {"Free", "Fixed", "Ball", "Pairs", "CircularCone"} | cones


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_true_proof_is_accepted(dtype, K, tmp_path):
    rng, verdicts = np.random.default_rng(7), set()
    for activation in ("tanh", "softplus", "sigmoid", "gelu", "silu", "square"):
        group = Group(activation, K, dtype)
        for _ in range(3):
            _, params, X, y = draw(rng, group)
            cert = nl.existence_certificate(
                params, X, y, activation=activation, rigorous=True, allow_float32=group.single
            )
            check(cert, tmp_path / "true", nl.proof_verifier.verify)
            assert oracle(cert) == [], cert
            verdicts.add(cert.verdict)
    assert "inconclusive" in verdicts
