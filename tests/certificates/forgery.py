"""Certificates' files that lie, of many kinds: what a verifier has to stand.

A kind is a function of a generator of random numbers and of a true file's contents that changes
them, or returns the bytes of a file. Many know how the verifier works: they compute every claim
honestly for arrays of their own, and change one thing after that.

`refuse` says of a forgery whether it must be refused whatever the oracle finds: it is malformed,
or reads differently by readers of other taste. Where it is None the oracle decides.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import math
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from truth import SETS as SET_ARRAYS
from truth import falsehoods

import narrowlib as nl

N, D, M = 6, 5, 6
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass
class Contents:
    """What is in a file: its arrays and its header, both free to be changed."""

    name: str
    arrays: Arrays
    header: dict[str, Any]

    @property
    def claims(self) -> dict[str, Any]:
        return self.header["claims"]

    def copy(self) -> Contents:
        arrays = {name: np.array(value) for name, value in self.arrays.items()}
        return Contents(self.name, arrays, json.loads(json.dumps(self.header)))


class Forgery(NamedTuple):
    """A forged file: its kind, the true file behind it, what was done, its bytes."""

    kind: str
    base: str
    what: str
    data: bytes
    refuse: bool | None


class Misfit(Exception):
    """The kind has nothing to change in this file."""


# Files.


def npy(value: Any) -> bytes:
    """An array as the bytes of an .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(value), allow_pickle=True)
    return stream.getvalue()


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")  # two members of one name
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def members(c: Contents, text: str | None = None) -> list[tuple[str, bytes]]:
    """The members of a file with these contents, the header first."""
    text = json.dumps(c.header) if text is None else text
    return [("header.npy", npy(np.array(text)))] + [
        (f"{name}.npy", npy(value)) for name, value in c.arrays.items()
    ]


def packed(c: Contents, text: str | None = None) -> bytes:
    return zipped(members(c, text))


# True files to start from.


def draw(seed: int, K: int | None = None) -> tuple[np.random.Generator, nl.Params, np.ndarray]:
    """Mirrored weights and samples."""
    rng = np.random.default_rng(seed)
    U = rng.normal(size=(M // 2, D)) / D**0.5
    u = rng.uniform(1, 2, M // 2) if K is None else rng.normal(size=(M // 2, K))
    return rng, nl.Params(np.concatenate([U, U]), np.concatenate([u, -u])), rng.normal(size=(N, D))


def constraints(start: nl.Params) -> dict[str, nl.Product]:
    """One feasible set of each kind."""
    axis = np.asarray(start.v)
    circular = nl.CircularCone(axis, 0.5, 0.2)
    own = nl.PairedCone(0.2, 5.0) if axis.ndim == 1 else circular
    return {
        "ball": nl.Product(W=nl.Ball(start.W, 0.7), v=own),
        "small ball": nl.Product(W=nl.Ball(start.W, 1e-4), v=own),
        "per neuron": nl.Product(W=nl.Ball(start.W, 0.3, per_neuron=True), v=own),
        "circular": nl.Product(W=nl.Ball(start.W, 0.7), v=circular),
        "narrow": nl.Product(W=nl.Ball(start.W, 1e-4), v=nl.CircularCone(axis, 0.002, 0.2)),
        "free": nl.Product(W=nl.Free(), v=nl.Free()),
        "pairs": nl.Product(W=nl.Ball(start.W, 0.7), v=nl.Pairs()),
        "fixed v": nl.Product(W=nl.Ball(start.W, 0.7), v=nl.Fixed(axis)),
        "fixed W": nl.Product(W=nl.Fixed(start.W), v=own),
        "exchanged": nl.Product(W=nl.Pairs(), v=nl.Ball(axis, 0.3)),
    }


def outputs(params: nl.Params, X: Any, activation: str = "tanh") -> np.ndarray:
    return np.asarray(nl.forward(params, jnp.asarray(X), activation=activation))


@functools.cache
def true_files() -> tuple[Contents, ...]:
    """True certificates of every kind, with every verdict."""
    made: dict[str, Any] = {}
    with jax.enable_x64(True):
        for seed, (activation, K) in enumerate(
            [("tanh", None), ("gelu", None), ("tanh", 2), ("square", None), ("relu", None)]
        ):
            rng, start, X = draw(seed, K)
            W = np.asarray(start.W) + 0.2 * rng.normal(size=(M, D))
            params = nl.Params(jnp.asarray(W), jnp.asarray(start.v))
            for word, noise in (("near", 1e-9), ("far", 1.0)):
                F = outputs(params, X, activation)
                y = F + noise * rng.normal(size=F.shape)
                name = f"existence {word} {activation} {K}"
                made[name] = nl.existence_certificate(params, X, y, activation=activation)
                if activation in ("tanh", "gelu"):
                    made[f"proof {word} {activation} {K}"] = nl.existence_certificate(
                        params, X, y, activation=activation, rigorous=True
                    )
        for seed, K in ((10, None), (11, 2)):
            rng, start, X = draw(seed, K)
            W = np.asarray(start.W) + 0.2 * rng.normal(size=(M, D))
            moved = nl.Params(jnp.asarray(W), jnp.asarray(start.v))
            for name, sets in constraints(start).items():
                params = sets.project(moved)
                F = outputs(params, X)
                for word, noise in (("near", 1e-7), ("far", 1.0), ("exact", 0.0)):
                    if K and word != "far" and name not in ("ball", "free"):
                        continue
                    y = F + noise * rng.normal(size=F.shape)
                    made[f"kkt {name} {word} {K}"] = nl.kkt_certificate(params, X, y, sets)
            sets = constraints(start)["ball"]
            away = nl.Params(moved.W + 1, moved.v + 1)
            made[f"kkt outside {K}"] = nl.kkt_certificate(away, X, F + 1, sets)
    return tuple(
        Contents(name, {k: np.asarray(a) for k, a in cert.arrays.items()}, header_of(cert))
        for name, cert in made.items()
    )


def header_of(cert: Any) -> dict[str, Any]:
    return {"format": cert.version, "kind": cert.kind, "claims": cert.claims}


# The honest part of a dishonest file.


def honest(c: Contents, **options: Any) -> Contents:
    """Every claim computed anew by narrowlib for the arrays as they are now.

    Raises `Misfit` where narrowlib refuses them.
    """
    a, claims = {k: np.asarray(x, float) for k, x in c.arrays.items()}, c.claims
    try:
        with jax.enable_x64(True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            params = nl.Params(jnp.asarray(a["W"]), jnp.asarray(a["v"]))
            if c.header["kind"] == "kkt":
                part = {p: make_set(claims["sets"][p], a, p) for p in ("W", "v")}
                cert = nl.kkt_certificate(
                    params, a["X"], a["y"], nl.Product(**part),
                    activation=claims["activation"],
                    target_loss=options.get("target", 1e-6),
                )  # fmt: skip
            else:
                rigorous = c.header["kind"] == "existence proof"
                cert = nl.existence_certificate(
                    params, a["X"], a["y"], activation=claims["activation"], rigorous=rigorous
                )  # fmt: skip
                if rigorous:
                    c.arrays["factor"] = cert.arrays["factor"]
    except (ValueError, np.linalg.LinAlgError, OverflowError, ZeroDivisionError) as error:
        raise Misfit(str(error)) from None
    c.header["claims"] = json.loads(json.dumps(cert.claims))
    return c


def make_set(kind: str, a: Arrays, part: str) -> Any:
    """The set of a part of the parameters, from the arrays of a file."""
    own = SET_ARRAYS[kind]
    try:
        values = [a[k] if k in a and f"{k}_{part}" not in a else a[f"{k}_{part}"] for k in own]
    except KeyError as error:
        raise Misfit(str(error)) from None
    if kind == "Ball":
        return nl.Ball(values[0], float(values[1]), per_neuron=bool(values[2]))
    if kind == "PairedCone":
        return nl.PairedCone(float(values[0]), float(values[1]))
    if kind == "CircularCone":
        return nl.CircularCone(values[0], float(values[1]), float(values[2]))
    return nl.Fixed(values[0]) if kind == "Fixed" else getattr(nl, kind)()


COMPLAINT = re.compile(r"^(\w+): claimed .*?, (?:found|implied|the file holds) (.+?)\.?$")


def adapted(c: Contents, verify: Callable[[bytes], list[str]]) -> Contents:
    """The claims changed to what the verifier says that it found, until it says nothing new."""
    for _ in range(6):
        changed = False
        for line in verify(packed(c)):
            said = COMPLAINT.match(line)
            if said and said[1] in c.claims:
                with contextlib.suppress(ValueError, SyntaxError):
                    value = json.loads(said[2].replace("'", '"').replace("None", "null"))
                    changed = changed or c.claims[said[1]] != value
                    c.claims[said[1]] = value
        if not changed:
            break
    return c


FAVOUR = {
    "residual": -1, "loss": -1, "sigma_min": 1, "lipschitz": -1, "h": -1, "radius": -1,
    "residual_bound": -1, "loss_bound": -1, "stationarity_bound": -1, "violation": -1,
    "stationarity_W": -1, "stationarity_v": -1, "guaranteed_radius": 1, "ray": 1, "distance": -1,
    "start_output": -1, "shift": 1, "slack": -1, "target_loss": 1,
}  # fmt: skip
Kind = Callable[[np.random.Generator, Contents], Any]
KINDS: dict[str, Kind] = {}


def kind(function: Kind) -> Kind:
    KINDS[function.__name__] = function
    return function


def pick(rng: np.random.Generator, values: Any) -> Any:
    values = list(values)
    if not values:
        raise Misfit
    return values[rng.integers(len(values))]


def numbers(c: Contents) -> list[str]:
    """The claims that are positive numbers and could be better."""
    return [k for k, x in c.claims.items() if k in FAVOUR and type(x) is float and x > 0]


def sweetened(rng: np.random.Generator, c: Contents, low: float = -8.0) -> tuple[str, bool]:
    """One claim moved in the forger's favour; whether by enough to be refused in any case."""
    name, by = pick(rng, numbers(c)), 10.0 ** rng.uniform(low, 0)
    c.claims[name] *= 1 + by if FAVOUR[name] > 0 else 1 / (1 + by)
    # what follows from other claims by a formula can never be better than that
    derived = name in ("h", "loss_bound")
    return f"{name} by {by:.1e}", derived and by > 1e-6


# Claims.


@kind
def one_claim_better(rng, c):
    what, refuse = sweetened(rng, c)
    return what, refuse or None


@kind
def all_claims_better(rng, c):
    by = 10.0 ** rng.uniform(-7, -1)
    for name in numbers(c):
        c.claims[name] *= 1 + FAVOUR[name] * by
    return f"all by {by:.1e}", None


@kind
def better_and_consistent(rng, c):
    """One number better, and all that follows from it by formula."""
    p, by = c.claims, 10.0 ** rng.uniform(-7, -0.3)
    if c.header["kind"] == "kkt":
        share = pick(rng, (1 - by, 1e-3, 0.0))
        if p["residual_bound"] is None:
            p["residual_bound"], p["loss_bound"] = 1.0, 1.0
        p["residual_bound"] *= share
        p["loss_bound"] = p["residual_bound"] ** 2 / (2 * p["samples"])
        if p["loss_bound"] <= p["target_loss"]:
            p["verdict"] = "nearly global"
        return f"residual_bound times {share}", None
    name = pick(rng, ("residual", "sigma_min", "lipschitz"))
    if p[name] is None:
        p[name] = 1.0
    p[name] *= 1 + by if FAVOUR[name] > 0 else 1 / (1 + by)
    if rng.random() < 0.3:
        p[name] = 1e9 if FAVOUR[name] > 0 else 1e-12
    follow(p)
    return f"{name} by {by:.1e} and what follows", None


def follow(p: dict[str, Any]) -> None:
    """The claims of an existence certificate that follow from ‖r‖, σ_min and L."""
    R, s, L = p["residual"], p["sigma_min"], p["lipschitz"]
    h = L * R / s**2 if s > 0 and L is not None else math.inf
    nudge = 1 + 1e-12 if "shift" in p else 1.0
    p["h"] = h * nudge if h < math.inf else None
    exists = h < 0.5
    p["radius"] = 2 * R / s / (1 + math.sqrt(1 - 2 * h)) * nudge**2 if exists else None
    p["verdict"] = ("proved" if "shift" in p else "exists") if exists else "inconclusive"


STRANGE = (
    math.nan, math.inf, -math.inf, -1.0, -1e-9, 10**400, -(10**400), "0", "", None, True, False, [],
    [0.0], [[0.0]], {}, "nan", "1.0", [None], {"a": 1}, 1e999, "Infinity",
)  # fmt: skip


@kind
def strange_number(rng, c):
    name = pick(rng, [k for k, x in c.claims.items() if type(x) in (int, float)])
    value = pick(rng, STRANGE)
    if value is not None or name == "ray":
        value = STRANGE[0] if name == "ray" and value in (-1.0, -1e-9, None) else value
    c.claims[name] = value
    return f"{name} = {str(value)[:20]}", None if value is None else True


@kind
def vanishing_number(rng, c):
    name = pick(rng, [k for k, x in c.claims.items() if type(x) is float])
    c.claims[name] = pick(rng, (0.0, -0.0, 5e-324, 1e-300, -5e-324))
    return f"{name} = {c.claims[name]}", None


@kind
def null_number(rng, c):
    name = pick(rng, c.claims)
    c.claims[name] = None
    return f"{name} = null", None


@kind
def count_that_is_not_whole(rng, c):
    name = pick(rng, ("samples", "neurons"))
    true = c.claims[name]
    c.claims[name] = pick(
        rng, (true + 0.0005, float(true), str(true), true + 1, true - 1, True, [true], -true)
    )
    return f"{name} = {c.claims[name]!r}", True


@kind
def other_verdict(rng, c):
    words = ("exists", "proved", "nearly global", "not stationary", "inconclusive", "infeasible",
             "Exists", "exists ", "nearly\u00a0global", "", "prоved", 1, True, None,
             ["exists"])  # fmt: skip
    c.claims["verdict"] = pick(rng, [w for w in words if w != c.claims["verdict"]])
    return repr(c.claims["verdict"]), True


@kind
def other_activation(rng, c):
    words = ("tanh", "softplus", "sigmoid", "gelu", "silu", "square", "relu", "Tanh", "tanh\x00",
             "", None, ["tanh"], {}, 0, "exp", "__class__")  # fmt: skip
    c.claims["activation"] = pick(rng, [w for w in words if w != c.claims["activation"]])
    if c.claims["activation"] == "relu" and rng.random() < 0.5:
        c.claims["lipschitz"] = None
    return repr(c.claims["activation"]), None


@kind
def claim_too_many(rng, c):
    name = pick(rng, ("theorem_applies", "note", "Residual", "residual ", "__class__", "", "é"))
    c.claims[name] = pick(rng, (True, "proved", 0.0, None))
    return repr(name), True


@kind
def claim_missing(rng, c):
    name = pick(rng, c.claims)
    del c.claims[name]
    return name, True


@kind
def claim_renamed(rng, c):
    name = pick(rng, c.claims)
    value = c.claims.pop(name)
    c.claims[pick(rng, (name.upper() + "_", name + " ", name[:-1], "x"))] = value
    return name, True


@kind
def two_claims_of_one_name(rng, c):
    """One of the two is a lie, and the last counts."""
    name, lie = pick(rng, numbers(c)), pick(rng, (0.0, 1e9, -1.0))
    text, true = json.dumps(c.header), f'"{name}": {json.dumps(c.claims[name])}'
    pair = [true, f'"{name}": {lie}']
    if rng.random() < 0.5:
        pair.reverse()
    return f"{name} twice", None, packed(c, text.replace(true, ", ".join(pair), 1))


@kind
def two_headers_in_one(rng, c):
    text = json.dumps(c.header)
    other = json.dumps(pick(rng, true_files()).header["claims"])
    if other == json.dumps(c.claims):
        raise Misfit
    return "claims twice", None, packed(c, f'{text[:-1]}, "claims": {other}}}')


@kind
def hypotheses_changed(rng, c):
    holds = c.claims.get("hypotheses")
    if not holds:
        raise Misfit
    name, way = pick(rng, holds), int(rng.integers(7))
    if way == 0:
        holds[name] = not holds[name]
        refuse = True if holds[name] else None
    elif way == 1:
        refuse = True
        del holds[name]
    elif way == 2:
        refuse = not all(holds.values())
        c.claims["hypotheses"] = dict.fromkeys(holds, True)
    elif way == 3:
        refuse, holds["the author is honest"] = True, True
    elif way == 4:
        refuse, holds[name] = True, pick(rng, (1, "true", None, 1.0, [True]))
    elif way == 5:
        refuse, c.claims["hypotheses"] = True, pick(rng, ({}, [], True, None, list(holds)))
    else:
        refuse, c.claims["hypotheses"] = True, {k: yes for k, yes in holds.items() if yes}
        if c.claims["hypotheses"] == holds:
            raise Misfit
    return f"{name}, way {way}", refuse or None


@kind
def other_sets(rng, c):
    if "sets" not in c.claims:
        raise Misfit
    kinds, true = ("Ball", "PairedCone", "CircularCone", "Free", "Fixed", "Pairs"), c.claims["sets"]
    values = [{"W": p, "v": q} for p in kinds for q in kinds]
    values += [{"v": "Free"}, {"W": "Free"}, None, [], "Free", {"W": ["Ball"], "v": "Free"},
               {"W": "Ball", "v": "own Box"}, {"W": "Ball", "v": None},
               {**true, "x": "Free"}]  # fmt: skip
    c.claims["sets"] = pick(rng, [value for value in values if value != true])
    return str(c.claims["sets"]), None


@kind
def other_target(rng, c):
    if "target_loss" not in c.claims:
        raise Misfit
    target = pick(rng, (math.inf, math.nan, -1.0, -5e-324, True, "1", None, [1.0], 10**400, 0.0))
    c.claims["target_loss"] = target
    fair = type(target) is float and target == 0.0
    if not fair or rng.random() < 0.5:
        c.claims["verdict"] = "nearly global"
    return f"target {target!r:.20}", None if fair else True


@kind
def target_from_the_loss_itself(rng, c):
    """A point with a little more loss than is asked for, said to have reached it."""
    if c.header["kind"] != "kkt" or not c.claims["loss"] > 0:
        raise Misfit
    c.claims["target_loss"] = c.claims["loss"] * (1 - 10.0 ** rng.uniform(-8, -1))
    c.claims["verdict"] = "nearly global"
    return f"target {c.claims['target_loss']}", None


@kind
def claim_without_a_reader(rng, c):
    """Claims that no bound uses in the state that the file is in."""
    p = c.claims
    if c.header["kind"] != "kkt":
        raise Misfit
    free = [] if p["sets"]["W"] == "Ball" else ["radius", "distance", "start_output", "multiplier"]
    if p["guaranteed_radius"] is None:
        free.append("guaranteed_radius")
    if p["residual_bound"] is None:
        free += ["stationarity_bound", "loss_bound", "residual_bound"]
    name = pick(rng, free)
    p[name] = pick(rng, (-1.0, 5.0, 1e99, 1e-9))
    return f"{name} = {p[name]}", True


@kind
def other_kind_or_format(rng, c):
    if rng.random() < 0.5:
        values = ("existence", "kkt", "existence proof", "Existence", None, ["kkt"], {}, "", 0)
        c.header["kind"] = pick(rng, [x for x in values if x != c.header["kind"]])
        return f"kind {c.header['kind']!r}", True
    true = c.header["format"]
    c.header["format"] = pick(rng, (float(true), True, str(true), true + 1, 0, -1, None, [true]))
    if c.header["format"] is True and rng.random() < 0.5:
        c.header["extra"] = 1
    return f"format {c.header['format']!r}", True


@kind
def header_of_another(rng, c):
    other = pick(rng, [b for b in true_files() if b.header["claims"] != c.claims])
    c.header = other.copy().header
    return other.name, None


@kind
def multiplier_changed(rng, c):
    true = c.claims.get("multiplier")
    if true is None:
        raise Misfit
    many = true if isinstance(true, list) else [true]
    values = ([*many, 0.0], many[:-1], [many], [x + 1 for x in many], [x * 1.01 + 1 for x in many],
              "0", None, -1.0, [-1.0] * len(many), sum(many) + 1, True)  # fmt: skip
    c.claims["multiplier"] = pick(rng, values)
    return str(c.claims["multiplier"])[:40], True


# Arrays.


def floats(c: Contents) -> list[str]:
    return [k for k, x in c.arrays.items() if x.dtype.kind == "f" and x.size]


@kind
def entry_moved(rng, c):
    name, by = pick(rng, floats(c)), 10.0 ** rng.uniform(-12, 1)
    x = np.array(c.arrays[name], float)
    x.flat[rng.integers(x.size)] += by * pick(rng, (-1, 1))
    c.arrays[name] = x
    return f"{name} by {by:.1e}", None


@kind
def entry_that_is_no_number(rng, c):
    name = pick(rng, floats(c))
    x = np.array(c.arrays[name], float)
    x.flat[rng.integers(x.size)] = value = pick(rng, (math.nan, math.inf, -math.inf))
    c.arrays[name] = x
    return f"{name} {value}", True


@kind
def entry_out_of_scale(rng, c):
    name = pick(rng, floats(c))
    x = np.array(c.arrays[name], float)
    x.flat[rng.integers(x.size)] = value = pick(rng, (1e308, -1e308, 1e200, 1e-320, 0.0, 1e16))
    c.arrays[name] = x
    return f"{name} {value}", None


OTHER_TYPES = ("i1", "u1", "i4", "i8", "u8", "c8", "c16", "?", "U16", "S8", "M8[s]", "m8[s]", "g",
               "G", "O", [("x", "f8")], "V8")  # fmt: skip


@kind
def array_of_another_type(rng, c):
    """Numbers, but none that a verifier can be asked to compute with."""
    kind_of = pick(rng, OTHER_TYPES)
    for name in [pick(rng, c.arrays)] if rng.random() < 0.7 else list(c.arrays):
        if name == "per_neuron" and kind_of == "?":
            raise Misfit
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                c.arrays[name] = c.arrays[name].astype(kind_of)
        except (TypeError, ValueError):
            raise Misfit from None
    return f"{name} {kind_of}", True


@kind
def whole_numbers_that_wrap(rng, c):
    """A Gram matrix that is positive definite in a type of few bits only."""
    if c.header["kind"] != "existence":
        raise Misfit
    kind_of = pick(rng, ("u1", "i1", "i2", "u2"))
    X = rng.integers(1, 100, size=(2, 1)).astype(kind_of)
    gram = (X @ X.T).astype(float)
    least = np.linalg.eigvalsh(gram)[0]
    if not least > 0:
        raise Misfit
    y = np.tanh(1e-3 * X[:, 0].astype(float)) + np.array([1e-6, -1e-6])
    c.arrays = {"X": X, "y": y, "W": np.array([[1e-3]]), "v": np.ones(1)}
    p, longest = c.claims, float(np.linalg.norm(X.astype(float)))
    p |= {"activation": "tanh", "samples": 2, "neurons": 1, "residual": 2e-6}
    p |= {"sigma_min": math.sqrt(least) * 0.9, "lipschitz": 0.77 * longest**2}
    follow(p)
    return f"{kind_of} {X.ravel()}", True


@kind
def fewer_bits_with_the_old_claims(rng, c):
    kind_of = pick(rng, ("f2", "f4"))
    for name in pick(rng, [["X"], ["W"], ["v"], ["y"], ["X", "y", "W", "v"], list(c.arrays)]):
        if c.arrays[name].dtype.kind == "f":
            c.arrays[name] = c.arrays[name].astype(kind_of)
    return kind_of, None


@kind
def fewer_bits_and_one_lie(rng, c):
    kind_of = pick(rng, ("f2", "f4", ">f4", ">f8"))
    for name in "XyWv":
        c.arrays[name] = c.arrays[name].astype(kind_of)
    honest(c)
    return (f"{kind_of}: " + sweetened(rng, c)[0]), None


SHAPES: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda x: x[None], lambda x: x[..., None], lambda x: x.T, lambda x: x.reshape(-1),
    lambda x: x[:-1], lambda x: np.concatenate([x, x]), lambda x: x[:0],
    lambda x: x.reshape(1, -1), lambda x: np.broadcast_to(x, (2, *x.shape)),
    lambda x: x[:, :-1], lambda x: np.tile(x, (1, 2)), lambda x: x.ravel()[0],
)  # fmt: skip


@kind
def array_of_another_shape(rng, c):
    name, change = pick(rng, c.arrays), pick(rng, SHAPES)
    before = c.arrays[name].shape
    try:
        c.arrays[name] = np.array(change(c.arrays[name]))
    except (IndexError, ValueError):
        raise Misfit from None
    if c.arrays[name].shape == before:
        raise Misfit
    return f"{name} {before} -> {c.arrays[name].shape}", True


@kind
def nothing_in_it(rng, c):
    way = pick(rng, ("no samples", "no neurons", "no inputs", "no outputs"))
    a, p = c.arrays, c.claims
    cuts = {"no samples": ("X", "y"), "no neurons": ("W", "v", "center", "axis", "fixed_W")}
    for name in cuts.get(way, ()):
        if name in a:
            a[name] = a[name][:0]
    for name in {"no inputs": ("X", "W", "center"), "no outputs": ("y", "v")}.get(way, ()):
        if name in a:
            a[name] = a[name].reshape(len(a[name]), -1)[:, :0]
    p |= {"samples": len(a["X"]), "neurons": len(a["W"])}
    for name in ("residual", "h", "radius", "loss", "residual_bound", "loss_bound"):
        if name in p:
            p[name] = 0.0
    return way, True


@kind
def rows_in_another_order(rng, c):
    name = pick(rng, [k for k in c.arrays if c.arrays[k].ndim])
    c.arrays[name] = c.arrays[name][rng.permutation(len(c.arrays[name]))]
    return name, None


@kind
def rows_in_another_order_together(rng, c):
    """True where all that belongs together goes together."""
    groups = (("X", "y"), ("W", "v"), ("W", "v", "center", "axis", "fixed_v", "fixed_W"))
    names = [k for k in pick(rng, groups) if k in c.arrays]
    order = rng.permutation(len(c.arrays[names[0]]))
    for name in names:
        c.arrays[name] = c.arrays[name][order]
    return "+".join(names), None


@kind
def arrays_exchanged(rng, c):
    a = c.arrays
    pairs = [(p, q) for p in a for q in a if p < q and a[p].shape == a[q].shape]
    p, q = pick(rng, [(p, q) for p, q in pairs if not np.array_equal(a[p], a[q])])
    a[p], a[q] = a[q], a[p]
    return f"{p} and {q}", None


@kind
def array_of_another_file(rng, c):
    other = pick(rng, true_files())
    names = [k for k in c.arrays if k in other.arrays]
    names = [k for k in names if not np.array_equal(c.arrays[k], other.arrays[k])]
    name = pick(rng, names)
    c.arrays[name] = other.arrays[name]
    return f"{name} of {other.name}", None


SMUGGLED = {
    "fixed_v": lambda c: c.arrays["v"], "fixed_W": lambda c: c.arrays["W"],
    "kappa": lambda c: np.array(2.0), "zeta": lambda c: np.array(0.1),
    "zeta_W": lambda c: np.array(0.1), "axis": lambda c: c.arrays["v"],
    "half_angle": lambda c: np.array(0.5), "center": lambda c: c.arrays["W"],
    "radius": lambda c: np.array(1e9), "per_neuron": lambda c: np.array(False),
    "center_v": lambda c: c.arrays["v"], "radius_v": lambda c: np.array(1e9),
    "junk": lambda c: np.ones(3), "X ": lambda c: c.arrays["X"], "factor": lambda c: np.eye(N),
    "shift": lambda c: np.array(1.0), "claims": lambda c: np.array("{}"), "": lambda c: np.ones(1),
}  # fmt: skip


@kind
def array_smuggled_in(rng, c):
    names = [k for k in SMUGGLED if k not in c.arrays]
    for name in rng.permutation(names)[: rng.integers(1, 3)]:
        c.arrays[str(name)] = SMUGGLED[str(name)](c)
    return ", ".join(sorted(c.arrays)), True


@kind
def another_set_smuggled_in(rng, c):
    """The claims of a set that everything lies in, the name of another, and the arrays of both."""
    if c.header["kind"] != "kkt" or c.claims["sets"]["v"] not in ("PairedCone", "CircularCone"):
        raise Misfit
    a = c.arrays
    a["v"] = rng.normal(size=a["v"].shape) * 5
    a["y"] = outputs(nl.Params(a["W"], a["v"]), a["X"])
    name, old = c.claims["sets"]["v"], c.claims["hypotheses"]
    hidden = {k: a.pop(k) for k in ("zeta", "kappa", "axis", "half_angle") if k in a}
    a["fixed_v"], c.claims["sets"]["v"] = a["v"], "Fixed"
    honest(c)
    a |= hidden
    c.claims["sets"]["v"] = name
    c.claims["hypotheses"] = old
    return name, True


@kind
def array_missing(rng, c):
    name = pick(rng, c.arrays)
    del c.arrays[name]
    return name, True


# Arrays changed by one who knows the theory: all claims are honest but for one thing.


@kind
def other_problem_and_one_lie(rng, c):
    name = pick(rng, ("X", "y", "W", "v"))
    c.arrays[name] = c.arrays[name] + rng.normal(size=c.arrays[name].shape)
    honest(c)
    what, refuse = sweetened(rng, c)
    return f"{name}: {what}", refuse or None


@kind
def other_problem_and_one_word(rng, c):
    c.arrays["y"] = c.arrays["y"] + rng.normal(size=c.arrays["y"].shape)
    honest(c)
    words = {"exists", "proved", "nearly global", "not stationary", "inconclusive", "infeasible"}
    c.claims["verdict"] = pick(rng, sorted(words - {c.claims["verdict"]}))
    return c.claims["verdict"], True


NUMBERS_OF_SETS = {
    "radius": (-1.0, -1e-12, -0.1), "zeta": (-1.0, -1e-12), "kappa": (0.5, 0.999999, 0.0, -2.0),
    "half_angle": (0.0, -0.5, math.pi / 2, 1.6, 3.1, 4.0),
}  # fmt: skip


@kind
def number_of_a_set_out_of_range(rng, c):
    name = pick(rng, [k for k in NUMBERS_OF_SETS if k in c.arrays])
    value = pick(rng, NUMBERS_OF_SETS[name])
    c.arrays[name] = np.array(value)
    if name == "radius":
        c.claims["radius"] = value
    return f"{name} = {value}", True


@kind
def number_of_a_set_a_little_better(rng, c):
    """A set that is larger than the one of which the claims speak, or smaller."""
    name = pick(rng, [k for k in NUMBERS_OF_SETS if k in c.arrays])
    by = 10.0 ** rng.uniform(-9, 0) * pick(rng, (-1, 1))
    c.arrays[name] = c.arrays[name] * (1 + by)
    return f"{name} by {by:.1e}", None


@kind
def axis_that_is_not_mirrored(rng, c):
    if "axis" not in c.arrays:
        raise Misfit
    A, way = np.array(c.arrays["axis"]), int(rng.integers(4))
    half = len(A) // 2
    if way == 0:
        A[half:] = A[:half]
    elif way == 1:
        A[half:] *= 1 + 10.0 ** rng.uniform(-15, 2)
    elif way == 2:
        A[:] = 0
    else:
        A[rng.integers(len(A))] += 1
    if np.array_equal(A, c.arrays["axis"]):
        raise Misfit
    c.arrays["axis"] = A
    return f"way {way}", True


@kind
def per_neuron_that_is_neither(rng, c):
    if "per_neuron" not in c.arrays:
        raise Misfit
    values = (2.0, 0.5, math.nan, -1.0, np.array([True]), np.array([[False]]), 2, "yes", "", b"1",
              np.zeros(0, bool), 1j, np.array([True] * M))  # fmt: skip
    value = pick(rng, values)
    c.arrays["per_neuron"] = np.array(value)
    return repr(value), True


@kind
def ball_of_the_other_kind(rng, c):
    if "per_neuron" not in c.arrays:
        raise Misfit
    c.arrays["per_neuron"] = np.array(not c.arrays["per_neuron"])
    if rng.random() < 0.7:
        old = c.copy().claims
        honest(c)
        for name in rng.permutation(["guaranteed_radius", "multiplier", "hypotheses"])[:1]:
            if c.claims[str(name)] == old[str(name)]:
                raise Misfit
            c.claims[str(name)] = old[str(name)]
    return f"per_neuron {c.arrays['per_neuron']}", None


@kind
def centre_moved(rng, c):
    if "center" not in c.arrays:
        raise Misfit
    by = 10.0 ** rng.uniform(-9, 0)
    c.arrays["center"] = c.arrays["center"] + by * rng.normal(size=c.arrays["center"].shape)
    if rng.random() < 0.6:
        old = c.copy().claims
        honest(c)
        names = ("hypotheses", "guaranteed_radius", "start_output", "distance", "violation")
        name = pick(rng, [k for k in names if c.claims[k] != old[k]])
        c.claims[name] = old[name]
        return f"by {by:.1e}, old {name}", None
    return f"by {by:.1e}", None


@kind
def weights_that_cancel(rng, c):
    """Targets that are the outputs as rounded, of weights so large that rounding is not small."""
    a, p, size = c.arrays, c.claims, 10.0 ** rng.uniform(6, 17)
    phi = np.tanh(a["X"] @ a["W"].T)
    direction = np.linalg.svd(phi)[2][-1]
    a["v"] = size * (direction if a["v"].ndim == 1 else np.outer(direction, [1, -1]))
    a["y"] = phi @ a["v"]
    p["activation"] = "tanh"
    if c.header["kind"] == "kkt":
        if p["sets"]["v"] not in ("Free", "Fixed"):
            raise Misfit
        if "fixed_v" in a:
            a["fixed_v"] = a["v"]
    honest(c, target=0.0 if rng.random() < 0.5 else 1e-12)
    if c.header["kind"] == "kkt":
        p = c.claims
        p |= {"residual": 0.0, "loss": 0.0, "residual_bound": 0.0, "loss_bound": 0.0}
        p |= {"stationarity_bound": 0.0, "stationarity_W": 0.0, "stationarity_v": 0.0, "ray": 0.0}
        p["verdict"] = "nearly global"
    else:
        c.claims["residual"] *= 10.0 ** rng.uniform(-6, 0)
        follow(c.claims)
    return f"size {size:.0e}", None


@kind
def twins_with_other_targets(rng, c):
    """Two equal samples, or nearly, that no network can tell apart."""
    a, by = c.arrays, pick(rng, (0.0, 1e-16, 1e-12, 1e-9))
    a["X"][1] = a["X"][0] * (1 + by)
    a["y"] = outputs(nl.Params(a["W"], a["v"]), a["X"], c.claims["activation"]) * 1.0
    a["y"][0] += 1e-9
    honest(c)
    p = c.claims
    p["sigma_min"] = pick(rng, (1e-6, 1e-9, 1.0, p["sigma_min"] * 2 + 1e-12))
    if c.header["kind"] != "kkt":
        follow(p)
    else:
        p["residual_bound"] = p["residual"] / p["sigma_min"]
        p["loss_bound"] = p["residual_bound"] ** 2 / (2 * N)
        p["verdict"] = "nearly global"
    return f"apart by {by}, σ_min {p['sigma_min']:.1e}", None


@kind
def neurons_all_alike(rng, c):
    a = c.arrays
    a["W"] = np.repeat(a["W"][:1], M, axis=0)
    if c.header["kind"] == "kkt" and "fixed_W" in a:
        a["fixed_W"] = a["W"]
    honest(c)
    c.claims["sigma_min"] = pick(rng, (1e-7, 1e-12, c.claims["sigma_min"] * 1.5 + 1e-9, 0.1))
    if c.header["kind"] != "kkt":
        follow(c.claims)
    return f"σ_min {c.claims['sigma_min']:.1e}", None


@kind
def out_of_the_range_of_doubles(rng, c):
    """Scales at which squares overflow or vanish."""
    names = pick(rng, [("X",), ("v",), ("v", "y"), ("W",), ("y",), ("X", "y", "v"), ("center",)])
    by = 10.0 ** pick(rng, (-320, -200, -160, 150, 160, 200, 300))
    for name in [k for k in names if k in c.arrays]:
        with np.errstate(all="ignore"):
            c.arrays[name] = c.arrays[name] * by
    with contextlib.suppress(Misfit):
        honest(c)
    for name in rng.permutation(numbers(c))[: rng.integers(0, 3)]:
        c.claims[str(name)] = 0.0 if FAVOUR[str(name)] < 0 else 1.0
    return f"{names} times {by:.0e}", None


@kind
def gradient_called_balanced(rng, c):
    """A point off a face, further than what counts as on it, said to be held by it."""
    if c.header["kind"] != "kkt":
        raise Misfit
    name = pick(rng, ("stationarity_W", "stationarity_v", "stationarity_bound"))
    if c.claims[name] is None:
        raise Misfit
    c.claims[name] *= pick(rng, (0.0, 1e-8, 0.5, 0.99))
    return name, None


@kind
def off_a_face_and_balanced(rng, c):
    """W a little inside of its sphere, with the multiplier of the sphere."""
    a, p = c.arrays, c.claims
    if c.header["kind"] != "kkt" or "center" not in a or not a["per_neuron"] == 0:
        raise Misfit
    off, move = 10.0 ** rng.uniform(-7.5, -4), a["W"] - a["center"]
    if not np.linalg.norm(move) > 0:
        raise Misfit
    move = move * float(a["radius"]) / np.linalg.norm(move)
    a["W"] = a["center"] + move
    honest(c)
    on = c.copy().claims
    a["W"] = a["center"] + move * (1 - off)
    honest(c)
    for name in pick(rng, (("multiplier",), ("stationarity_W",), ("multiplier", "stationarity_W"))):
        c.claims[name] = on[name]
    if on["multiplier"] == 0 or p is None:
        raise Misfit
    return f"off by {off:.1e}", None


@kind
def ball_of_radius_zero(rng, c):
    """At ε = 0 the start is a KKT point with any loss: the theorem says nothing."""
    a = c.arrays
    if c.header["kind"] != "kkt" or "center" not in a:
        raise Misfit
    a["W"], a["radius"] = np.array(a["center"]), np.array(0.0)
    a["y"] = a["y"] + 1
    honest(c)
    true = c.claims["hypotheses"]
    c.claims["hypotheses"] = dict.fromkeys(true, True)
    return str(true), True


@kind
def radius_of_another_theorem(rng, c):
    """A guaranteed radius larger than the theorem gives."""
    p = c.claims
    if not p.get("guaranteed_radius"):
        raise Misfit
    p["guaranteed_radius"] *= pick(rng, (2.0, 1.5, 1 + 1e-6, 100.0, 1e6))
    if p["radius"] < p["guaranteed_radius"]:
        p["hypotheses"]["ε under the guaranteed radius"] = True
    return str(p["guaranteed_radius"]), None


@kind
def kink_called_smooth(rng, c):
    """The claims of a smooth activation for one whose slope jumps."""
    if c.header["kind"] != "existence":
        raise Misfit
    a = c.arrays
    c.claims["activation"] = "relu"
    a["y"] = outputs(nl.Params(a["W"], a["v"]), a["X"], "relu") + 1e-9
    honest(c)
    c.claims["lipschitz"] = pick(rng, (1.0, 1e-3, 100.0, 0.0))
    follow(c.claims)
    return f"L = {c.claims['lipschitz']}", True


@kind
def outside_of_its_set(rng, c):
    """A point outside, said to be inside."""
    if c.header["kind"] != "kkt" or c.claims["sets"] == {"W": "Free", "v": "Free"}:
        raise Misfit
    part, by = pick(rng, ("W", "v")), 10.0 ** rng.uniform(-7, 1)
    old = c.copy().claims
    c.arrays[part] = c.arrays[part] + by * rng.normal(size=c.arrays[part].shape)
    honest(c)
    if not c.claims["violation"] > 1e-8:
        raise Misfit
    c.claims["violation"], c.claims["verdict"] = 0.0, old["verdict"]
    if rng.random() < 0.5:
        c.claims["violation"] = old["violation"]
    return f"{part} by {by:.1e}", None


@kind
def violation_hidden_by_large_weights(rng, c):
    """Output weights outside of their set, beside hidden weights beyond all measure."""
    a, p, by = c.arrays, c.claims, 10.0 ** rng.uniform(9, 15)
    if c.header["kind"] != "kkt" or p["sets"]["W"] not in ("Ball", "Free"):
        raise Misfit
    if p["sets"]["v"] == "Free":
        raise Misfit
    a["X"] = a["X"] / by
    for name in ("W", "center", "radius"):
        if name in a:
            a[name] = a[name] * by
    if "center" in a:
        a["W"] = a["center"] + 0.5 * (a["W"] - a["center"])
    a["v"] = a["v"] + rng.normal(size=a["v"].shape)
    a["y"] = outputs(nl.Params(a["W"], a["v"]), a["X"])
    honest(c)
    c.claims["violation"] = pick(rng, (0.0, c.claims["violation"]))
    c.claims["verdict"] = "nearly global" if rng.random() < 0.5 else c.claims["verdict"]
    return f"by {by:.0e}", None


def claimed_as_computed(c: Contents, activation: str, sigma: Any, slope: Any, bend: float) -> None:
    """The claims of an existence certificate as a program finds them that trusts its squares."""
    a = c.arrays
    X, W, v = (a[name].astype(float) for name in ("X", "W", "v"))
    Z, m = X @ W.T, len(W)
    B = slope(Z) * v
    gram = (X @ X.T) * (B @ B.T)
    slack = (len(X) + X.shape[1] + m) * np.finfo(float).eps * np.trace(gram)
    s = math.sqrt(max(float(np.linalg.eigvalsh(gram)[0]) - slack, 0))
    rate = bend * np.linalg.norm(X, axis=1).max() * np.linalg.norm(X, 2)
    rate *= np.linalg.norm(v[:, None], axis=1).max()
    p, r = c.claims, sigma(Z) @ v - a["y"]
    p |= {"activation": activation, "samples": len(X), "neurons": m, "sigma_min": s}
    p |= {"lipschitz": float(rate), "residual": float(np.linalg.norm(r)) * (1 + 1e-14)}
    follow(p)


@kind
def rate_that_vanishes(rng, c):
    """Output weights whose squares are 0 in doubles: so is L, and h."""
    if c.header["kind"] != "existence":
        raise Misfit
    by = 10.0 ** rng.uniform(25, 35)
    c.arrays = {"X": by * rng.normal(size=(3, 5)), "W": by * rng.normal(size=(6, 5)),
                "v": 1e-165 * rng.normal(size=6), "y": rng.normal(size=3)}  # fmt: skip
    with np.errstate(all="ignore"):
        claimed_as_computed(c, "square", np.square, lambda z: 2 * z, 2.0)
    return f"by {by:.0e}", None


@kind
def slack_that_vanishes(rng, c):
    """A Gram matrix so small that ε times it is 0, and its eigenvalue is noise."""
    if c.header["kind"] != "existence":
        raise Misfit
    for _ in range(50):
        by = 10.0 ** rng.uniform(-160, -156)
        a = {"X": rng.normal(size=(3, 2)), "W": rng.normal(size=(1, 2)), "v": by * np.ones(1)}
        c.arrays = a | {"y": np.tanh(a["X"] @ a["W"].T) @ a["v"]}
        with np.errstate(all="ignore"):
            bend = 4 / (3 * math.sqrt(3))
            claimed_as_computed(c, "tanh", np.tanh, lambda z: 1 / np.cosh(z) ** 2, bend)
        if c.claims["sigma_min"] > 0:
            return f"by {by:.0e}", None
    raise Misfit


# Containers.


@kind
def cut_off(rng, c):
    data = packed(c)
    end = int(rng.integers(len(data)))
    return f"{end} of {len(data)} bytes", True, data[:end]


@kind
def bit_flipped(rng, c):
    data = bytearray(packed(c))
    k = int(rng.integers(len(data)))
    data[k] ^= 1 << int(rng.integers(8))
    return f"in byte {k}", None, bytes(data)


@kind
def bytes_overwritten(rng, c):
    data = bytearray(packed(c))
    size = int(rng.integers(1, 100))
    k = int(rng.integers(len(data) - size))
    data[k : k + size] = bytes(size) if rng.random() < 0.5 else rng.bytes(size)
    return f"{size} from {k}", None, bytes(data)


@kind
def two_members_of_one_name(rng, c):
    name = pick(rng, ("X", "y", "W", "v", "header"))
    other = c.copy()
    if name == "header":
        other.claims["verdict"] = "certain"
        lie = members(other)[0]
    else:
        other.arrays[name] = other.arrays[name] + 1
        lie = (f"{name}.npy", npy(other.arrays[name]))
    lie = (pick(rng, (lie[0], lie[0], lie[0][:-4])), lie[1])
    both = [lie, *members(c)] if rng.random() < 0.5 else [*members(c), lie]
    return lie[0], None, zipped(both)


@kind
def member_of_an_odd_name(rng, c):
    more = pick(rng, ("../../W.npy", "/W.npy", "sub/", "sub/X.npy", "README.txt", "X.npy.npy",
                      "C:\\W", "W\u200b.npy", ".npy", "junk.npy", "HEADER.npy", "W.NPY",
                      "\U0001f600", "__class__.npy"))  # fmt: skip
    content = b"" if more.endswith("/") else npy(c.arrays["W"] + 1)
    return more, True, zipped([*members(c), (more, content)])


@kind
def members_renamed(rng, c):
    name = pick(rng, c.arrays)
    new = pick(rng, (f"{name.upper()}.NPY", f" {name}.npy", f"{name}.npy ", f"./{name}.npy"))
    return new, True, zipped([(new if k == f"{name}.npy" else k, x) for k, x in members(c)])


@kind
def marked_as_encrypted(rng, c):
    data = bytearray(packed(c))
    place = data.find(b"PK\x01\x02")
    for _ in range(int(rng.integers(3))):
        place = data.find(b"PK\x01\x02", place + 1)
    data[place + 8] |= 1
    return f"at {place}", True, bytes(data)


def shaped(shape: Any, descr: str = "'<f8'") -> bytes:
    """The head of an .npy file with little behind it."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(64)


@kind
def array_larger_than_the_file(rng, c):
    shape = pick(rng, ((10**12,), (10**6, 10**6), (-1,), (2**63,), (2**40, 0), (3, -2), "10",
                       (1.5,), (10**30,)))  # fmt: skip
    name = pick(rng, [*c.arrays, "junk"])
    kept = [(k, x) for k, x in members(c) if k != f"{name}.npy"]
    return f"{name} {shape}", True, zipped([*kept, (f"{name}.npy", shaped(shape))])


@kind
def bomb(rng, c):
    """A few kilobytes that unpack to megabytes; a test of memory has larger ones."""
    size, name = 1 << int(rng.integers(20, 24)), pick(rng, ("X", "junk", "header", "W"))
    content = npy(np.zeros(size // 8)) if name != "header" else npy(np.array(" " * (size // 4)))
    kept = [(k, x) for k, x in members(c) if k != f"{name}.npy"]
    return f"{name} {size}", True, zipped([*kept, (f"{name}.npy", content)], zipfile.ZIP_DEFLATED)


@kind
def no_archive(rng, c):
    texts = (b"", b"hello", b"\x80\x04K\x01.", npy(np.ones(3)), b"PK\x05\x06" + bytes(18),
             bytes(1000), json.dumps(c.header).encode(), b"PK\x03\x04", rng.bytes(500), zipped([]),
             zipped([("header", b"{}")]), b"\x93NUMPY", b"\x1f\x8b\x08" + bytes(40))  # fmt: skip
    data = pick(rng, texts)
    return repr(data[:10]), True, data


@kind
def pickle_in_it(rng, c):
    call = b"cbuiltins\nprint\n(S'unpickled'\ntR."
    name = pick(rng, [*c.arrays, "junk", "header"])
    content = pick(rng, (shaped("(1,)", "'|O'")[:-64] + call, npy(np.array([{}], object)), call))
    kept = [(k, x) for k, x in members(c) if k != f"{name}.npy"]
    return name, True, zipped([*kept, (f"{name}.npy", content)])


@kind
def header_of_another_form(rng, c):
    text = json.dumps(c.header)
    forms = (np.array([text, text]), np.ones(3), np.array(text)[None, None], np.array(1.0),
             np.array(text.encode("utf-16")), np.zeros(0), np.array([], "U1"),
             np.array((1, 2.0), [("a", "i4"), ("b", "f8")]), np.array(True))  # fmt: skip
    value = pick(rng, forms)
    content = pick(rng, (npy(value), npy(value), text.encode(), b""))
    return f"{value.dtype} {value.shape}", True, zipped([("header.npy", content), *members(c)[1:]])


@kind
def text_that_is_no_header(rng, c):
    text = json.dumps(c.header)
    start = f'{{"format": {c.header["format"]}, "kind": "{c.header["kind"]}"'
    values = ("", "{", "[]", "3", "null", "NaN", "true", '"x"', "[" * 10**5 + "]" * 10**5,
              text + "x", text[:-1], start + "}", start + ', "claims": []}',
              start + ', "claims": null}', start + ', "claims": "x"}',
              start + ', "claims": {}}', text.replace('"', "'"),
              text.replace('"samples": ', '"samples": 1' + "0" * 5000),
              text.replace('"samples": ', '"samples": 1' + "0" * 400), text + text,
              text.replace('"verdict": "', '"verdict": "\\ud800'), '{"a":' * 10**4,
              text.replace("{", '{"x": NaN, ', 1), text.replace("{", '{"x": 1e999, ', 1),
              "\x00" + text, "// header\n" + text, start + ', "claims": {"a": ' * 2)  # fmt: skip
    value = pick(rng, values)
    return repr(value[:30]), True, packed(c, value)


BEFORE = b"#!/bin/sh\n"  # which an archive may have


@kind
def another_way_to_pack(rng, c):
    """True, and packed as other programs may: either answer will do, a crash will not."""
    method = pick(rng, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    c.arrays = {name: np.asfortranarray(value) for name, value in c.arrays.items()}
    data = zipped(members(c), method)
    data = pick(rng, (data, BEFORE + data, data + b"behind"))
    return f"method {method}", None, data


def forge(
    name: str, rng: np.random.Generator, verify: Callable[[bytes], list[str]] | None = None
) -> Forgery:
    """A forgery of a kind, from a true file that has something to change.

    Args:
        name: a name in `KINDS`.
        rng: where its choices come from.
        verify: a verifier that one forgery in five is fitted to, claim by claim.
    """
    for _ in range(5000):
        c = pick(rng, true_files()).copy()
        with contextlib.suppress(Misfit):
            what, refuse, *data = KINDS[name](rng, c)
            if not data and verify and rng.random() < 0.2 and c.header.get("kind") == "kkt":
                c, what = adapted(c, verify), what + ", fitted"
                refuse = refuse if unfit(name) else None
            content = data[0] if data else packed(c)
            return Forgery(name, c.name, what, content, refuse)
    raise AssertionError(f"{name}: no true file has anything to change")


def unfit(name: str) -> bool:
    """Whether a file of this kind stays wrong when its numbers have been made right."""
    return name not in {
        "one_claim_better", "all_claims_better", "better_and_consistent", "strange_number",
        "count_that_is_not_whole", "other_verdict", "hypotheses_changed", "other_target",
        "target_from_the_loss_itself", "claim_without_a_reader", "multiplier_changed",
        "other_problem_and_one_lie", "other_problem_and_one_word", "ball_of_radius_zero",
    }  # fmt: skip


# What becomes of one.


class Outcome(NamedTuple):
    """What became of a file.

    Args:
        accepted: the verifiers that accepted it.
        false: what is false of it, if one accepted it.
        crashes: verifiers that raised something, and what.
        loaded: "loaded", "named" for an error as it should be, or what was raised.
    """

    accepted: tuple[str, ...]
    false: tuple[Any, ...]
    crashes: tuple[str, ...]
    loaded: str


VERIFIERS = {"verifier": nl.verifier.verify, "proof_verifier": nl.proof_verifier.verify}


def outcome(forgery: Forgery, path: Path) -> Outcome:
    """Give a file to both verifiers, the oracle (if one accepts it) and `load_certificate`."""
    path.write_bytes(forgery.data)
    accepted, crashes = [], []
    for name, verify in VERIFIERS.items():
        try:
            if verify(str(path)) == []:
                accepted.append(name)
        except Exception as error:
            crashes.append(f"{name}: {error!r:.200}")
    false: tuple[Any, ...] = ()
    if accepted:
        false = ("it must be refused",) if forgery.refuse else tuple(oracle(forgery.data))
    return Outcome(tuple(accepted), false, tuple(crashes), loading(path))


def oracle(data: bytes) -> list[Any]:
    """The material falsehoods of a file; one that cannot be read is one."""
    try:
        stream = io.BytesIO(data.removeprefix(BEFORE))
        with np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
    except Exception as error:
        return [f"it cannot be read: {error!r:.100}"]
    return [found for found in falsehoods(arrays, header) if found.material]


def loading(path: Path) -> str:
    """What `load_certificate` does with a file."""
    try:
        nl.load_certificate(path)
    except ValueError as error:
        return "named" if str(error).startswith("path: got ") else f"raw: {error!r:.200}"
    except Exception as error:
        return f"raw: {error!r:.200}"
    return "loaded"
