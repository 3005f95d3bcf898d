"""The NumPy checker, run as a script where JAX cannot be imported: true files and forged ones."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib import verifier

SCRIPT = Path(verifier.__file__)
RUN = """
import runpy, sys
for name in ("jax", "jaxlib", "narrowlib", "flax", "optax", "scipy"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def check(*arguments):
    """The exit status and the words of `python verifier.py …` in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@functools.cache
def certificates():
    """True certificates of every kind, by name."""
    made = {}
    for name in (*SMOOTH, "square", "relu"):
        for K in (None, 2) if name in ("tanh", "gelu", "square") else (None,):
            X, y = problem(0, n=8, d=8, outputs=K)
            params = nl.mirrored_lecun(jax.random.key(1), d=8, m=8, outputs=K, scale=50.0)
            if name in SMOOTH:
                params = nl.interpolate(
                    X, y, key=jax.random.key(1), activation=name, width=8, scale=50.0
                ).params
            made[f"existence {name} {K}"] = nl.existence_certificate(params, X, y, activation=name)
    X, y = problem(2, n=12)
    start = nl.mirrored_lecun(jax.random.key(3), d=8, m=4)
    cone = nl.PairedCone(0.1, 2.0)
    sets = {
        "frobenius": nl.Product(W=nl.Ball(start.W, 1.0), v=cone),
        "small": nl.Product(W=nl.Ball(start.W, 0.01), v=cone),
        "per neuron": nl.Product(W=nl.Ball(start.W, 0.6, per_neuron=True), v=cone),
        "circular": nl.Product(W=nl.Ball(start.W, 1.0), v=nl.CircularCone(start.v, 0.5, 0.1)),
        "free": nl.Product(W=nl.Free(), v=nl.Free()),
    }
    for name, constraint in sets.items():
        solver = nl.ProjectedGradient(constraint, ray_scaling=True)
        for steps in (3, 3000):
            sol = solver.run(start, X, y, max_steps=steps, tol=1e-7, throw=False)
            made[f"kkt {name} {steps}"] = nl.kkt_certificate(sol.params, X, y, constraint)
    away = nl.Params(start.W + 1, jnp.arange(4.0))
    made["kkt infeasible"] = nl.kkt_certificate(away, X, y, sets["frobenius"])
    many, labels = problem(4, n=20)
    made["kkt inconclusive"] = nl.kkt_certificate(start, many, labels, sets["frobenius"])
    Z, T = problem(5, n=8, outputs=2)
    start = nl.mirrored_lecun(jax.random.key(6), d=8, m=8, outputs=2)
    several = nl.Product(W=nl.Ball(start.W, 1.0), v=nl.CircularCone(start.v, 0.5, 0.1))
    sol = nl.ProjectedGradient(several).run(start, Z, T, max_steps=20, throw=False)
    made["kkt outputs"] = nl.kkt_certificate(sol.params, Z, T, several)
    slim = nl.Product(W=several.W, v=nl.CircularCone(start.v, 0.002, 0.1))
    made["kkt slim cone"] = nl.kkt_certificate(slim.project(sol.params), Z, T, slim)
    assert made["kkt slim cone"].guaranteed_radius > 0
    return made


def test_true_certificates_are_accepted(tmp_path):
    for name, cert in certificates().items():
        assert verifier.verify(str(cert.save(tmp_path / name.replace(" ", "_")))) == [], name
    verdicts = {cert.verdict for cert in certificates().values()}
    assert verdicts == {
        "exists", "inconclusive", "nearly global", "not stationary", "infeasible",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["existence tanh None", "kkt frobenius 3000", "kkt outputs"])
def test_as_a_script_without_jax(name, tmp_path):
    path = certificates()[name].save(tmp_path / "cert")
    assert check(path) == (0, "accepted: every claim came out again\n")
    lie = rewrite(path, {"verdict": "certainly true"})
    status, words = check(lie)
    assert status == 1 and "rejected" in words and "verdict: claimed 'certainly true'" in words


def test_the_script_says_how_it_is_used():
    assert check() == (2, "usage: python verifier.py certificate.npz\n")


def rewrite(path, claims=None, arrays=None, header=None):
    """The file again with some claims, arrays or header entries replaced."""
    with np.load(path) as archive:
        contents = {name: archive[name] for name in archive.files}
    head = json.loads(str(contents.pop("header"))) | (header or {})
    head["claims"] |= claims or {}
    forged = path.with_name("forged.npz")
    np.savez(forged, header=np.array(json.dumps(head)), **(contents | (arrays or {})))
    return forged


EXISTENCE = ("residual", "sigma_min", "lipschitz", "h", "radius", "samples", "neurons")
KKT = ("residual", "loss", "sigma_min", "lipschitz", "residual_bound", "loss_bound", "distance",
       "samples", "neurons", "radius", "guaranteed_radius", "stationarity_W", "stationarity_v",
       "stationarity_bound")  # fmt: skip


@pytest.mark.parametrize("factor", [0.5, 1.01, float("nan")])
@pytest.mark.parametrize(
    "name, claim",
    [("existence square None", claim) for claim in EXISTENCE]
    + [(f"kkt {sets} 3", claim) for sets in ("frobenius", "per neuron") for claim in KKT],
)
def test_an_altered_number_is_rejected(name, claim, factor, tmp_path):
    cert = certificates()[name]
    path = cert.save(tmp_path / "cert")
    value = (1.0 if cert.claims[claim] is None else cert.claims[claim]) * factor
    wrong = verifier.verify(str(rewrite(path, {claim: value})))
    # a residual claimed too large is a bound still, but h and the radius no longer follow from it
    names = {"residual": ("residual", "h")}.get(claim, (claim,))
    names = ("header: NaN is no number",) if factor != factor else names
    assert any(line.startswith(names) for line in wrong), wrong


def test_a_flipped_verdict_is_rejected(tmp_path):
    words = {"exists", "inconclusive", "nearly global", "not stationary", "infeasible"}
    for cert in certificates().values():
        path = cert.save(tmp_path / "cert")
        for word in words - {cert.verdict}:
            wrong = verifier.verify(str(rewrite(path, {"verdict": word})))
            assert [line[:7] for line in wrong] == ["verdict"]


@pytest.mark.parametrize("name", ["existence tanh None", "kkt frobenius 3000", "kkt per neuron 3"])
@pytest.mark.parametrize("array", ["X", "y", "W", "v"])
def test_altered_arrays_are_rejected(name, array, tmp_path):
    cert = certificates()[name]
    path = cert.save(tmp_path / "cert")
    changed = np.array(cert.arrays[array])
    changed.flat[0] += 0.01
    assert verifier.verify(str(rewrite(path, arrays={array: changed})))
    changed.flat[0] = np.nan
    assert verifier.verify(str(rewrite(path, arrays={array: changed}))) == [
        f"{array}: NaN or infinite entries"
    ]


@pytest.mark.parametrize(
    "name, arrays",
    [
        ("kkt frobenius 3", {"zeta": np.array(50.0)}),
        ("kkt frobenius 3000", {"radius": np.array(1e-6)}),
        ("kkt per neuron 3000", {"radius": np.array(1e-6)}),
        ("kkt circular 3000", {"half_angle": np.array(1e-6)}),
        ("kkt circular 3000", {"zeta": np.array(50.0)}),
        ("kkt frobenius 3", {"center": np.zeros((4, 8))}),
    ],
)
def test_another_set_is_rejected(name, arrays, tmp_path):
    path = certificates()[name].save(tmp_path / "cert")
    assert verifier.verify(str(rewrite(path, arrays=arrays)))


@pytest.mark.parametrize("name", ["kkt small 3", "kkt per neuron 3"])
def test_an_altered_multiplier_is_rejected(name, tmp_path):
    cert = certificates()[name]
    path = cert.save(tmp_path / "cert")
    negative = (-np.abs(cert.multiplier) - 0.1).tolist()
    for forged in (negative, (2 * np.abs(cert.multiplier) + 0.1).tolist()):
        wrong = verifier.verify(str(rewrite(path, {"multiplier": forged})))
        assert any(line.startswith("multiplier") for line in wrong)


@pytest.mark.parametrize(
    "claims",
    [
        {"violation": 1e-3},
        {"ray": 1e-3},
        {"start_output": 1e-3},
        {"hypotheses": {}},
        {"sets": {"W": "Ball", "v": "Free"}},
        {"sets": {"W": "Ball", "v": "MyCone"}},
        {"sets": {"W": "Fixed", "v": "PairedCone"}},
    ],
)
def test_other_altered_claims_are_rejected(claims, tmp_path):
    path = certificates()["kkt frobenius 3"].save(tmp_path / "cert")
    assert verifier.verify(str(rewrite(path, claims)))


@pytest.mark.parametrize("name", ["kkt circular 3", "kkt free 3"])
def test_the_sets_are_told_by_their_arrays(name, tmp_path):
    cert = certificates()[name]
    for kind in {"PairedCone", "CircularCone", "Free", "Fixed"} - {cert.sets["v"]}:
        path = cert.save(tmp_path / "cert")
        forged = rewrite(path, {"sets": cert.sets | {"v": kind}})
        assert verifier.verify(str(forged))[0].startswith(("arrays: ", "v: a PairedCone has no"))


def test_every_claim_is_looked_at(tmp_path):
    """Whatever is taken out of a file is missed: no claim goes unread."""
    for name in ("existence tanh None", "kkt frobenius 3"):
        cert = certificates()[name]
        for claim in cert.claims:
            path = cert.save(tmp_path / "cert")
            with np.load(path) as archive:
                contents = {key: archive[key] for key in archive.files}
            head = json.loads(str(contents.pop("header")))
            del head["claims"][claim]
            np.savez(path, header=np.array(json.dumps(head)), **contents)
            assert verifier.verify(str(path)), claim


@pytest.mark.parametrize(
    "header, claims, words",
    [
        ({"kind": "proof"}, {}, "header: kind 'proof', format 2 is not read"),
        ({"format": 1}, {}, "header: kind 'existence', format 1 is not read"),
        ({"format": 2.0}, {}, "header: kind 'existence', format 2.0 is not read"),
        ({"more": 2}, {}, "header: format, kind and claims are needed"),
        ({}, {"activation": "sine"}, "activation: 'sine' is unknown"),
        ({"kind": "kkt"}, {}, None),
    ],
)
def test_strange_headers(header, claims, words, tmp_path):
    path = certificates()["existence tanh None"].save(tmp_path / "cert")
    forged = rewrite(path, claims, header=header)
    if words is None:  # one kind's claims under another's name
        assert check(forged)[0] == 1
        return
    (line,) = verifier.verify(str(forged))
    assert line.startswith(words)


def test_a_file_with_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "trap.npz", header=np.array([object()], dtype=object))
    status, words = check(tmp_path / "trap.npz")
    assert status == 1 and "allow_pickle=False" in words


@pytest.mark.parametrize("name", [*SMOOTH, "square", "relu"])
def test_its_activations_are_the_librarys(name):
    """Written twice, on purpose: the two must say the same."""
    fn, derivative, curvature = verifier.ACTIVATIONS[name]
    sigma, z = nl.get_activation(name), np.linspace(-30, 30, 4001)
    np.testing.assert_allclose(fn(z), sigma.fn(jnp.asarray(z)), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(derivative(z), sigma.derivative(jnp.asarray(z)), atol=1e-14)
    assert curvature == sigma.curvature
    assert set(verifier.ACTIVATIONS) == set(nl.activations())


@functools.cache
def sets_of_every_kind():
    X, y = problem(8, n=10, d=6)
    start = nl.mirrored_lecun(jax.random.key(9), d=6, m=8)
    W, v = start
    signed = jnp.concatenate([W[:4], -W[:4]])
    return start, X, y, {
        "W": {
            "Free": nl.Free(),
            "Fixed": nl.Fixed(W),
            "Ball": nl.OfNeurons(nl.Ball(W.T, 0.4)),
            "Pairs": nl.Pairs(),
            "CircularCone": nl.CircularCone(signed, 0.4, 0.1),
        },
        "v": {
            "Free": nl.Free(),
            "Fixed": nl.Fixed(0.1),
            "Ball": nl.Ball(v, 0.2),
            "balls": nl.Ball(v, 0.1, per_neuron=True),
            "Pairs": nl.Pairs(),
            "PairedCone": nl.OfNeurons(nl.PairedCone(0.1, 2.0), axis=0),
            "CircularCone": nl.CircularCone(v, 0.3, 0.1),
        },
    }  # fmt: skip


def certify(W="Ball", v="PairedCone"):
    start, X, y, sets = sets_of_every_kind()
    C, rng = nl.Product(W=sets["W"][W], v=sets["v"][v]), np.random.default_rng(10)
    far = nl.Params(start.W + 0.3 * rng.normal(size=(8, 6)), start.v + 0.3 * rng.normal(size=8))
    return nl.kkt_certificate(C.project(far), X, y, C)


@pytest.mark.parametrize(
    ("W", "v"),
    [(W, "PairedCone") for W in ("Free", "Fixed", "Ball", "Pairs", "CircularCone")]
    + [("Ball", v) for v in ("Free", "Fixed", "Ball", "balls", "Pairs", "CircularCone")],
)
def test_sets_of_every_kind_on_both_parts(W, v, tmp_path):
    cert = certify(W, v)
    assert cert.sets == {"W": W, "v": v.replace("balls", "Ball")}
    path = cert.save(tmp_path / "cert")
    assert verifier.verify(str(path)) == []
    for name in ("stationarity_W", "stationarity_v", "loss_bound", "violation"):
        wrong = verifier.verify(str(rewrite(path, {name: 1.1 * cert.claims[name] + 1e-3})))
        assert any(line.startswith(name) for line in wrong), name
    for part in ("W", "v"):  # the same arrays, claimed to be another set
        for other in set(verifier.SETS) - {cert.sets[part]}:
            claimed = cert.sets | {part: other}
            if (cert.sets[part], part, other) == ("Pairs", "W", "Free"):
                continue  # σ′ is even: the gradient lies in that set, so the claims are true
            assert verifier.verify(str(rewrite(path, {"sets": claimed}))), claimed
    telling = {"center", "radius", "center_v", "radius_v", "fixed_W", "fixed_v"}
    for name in telling & set(cert.arrays):
        moved = cert.arrays[name] * 0.9 + 0.05  # another set: the point is off it, or stuck less
        assert verifier.verify(str(rewrite(path, arrays={name: moved}))), name


@pytest.mark.parametrize(
    "arrays",
    [
        {"fixed_v": np.ones(8)},
        {"axis": np.ones(8)},
        {"center_v": np.ones(8)},
        {"extra": np.ones(2)},
    ],
)
def test_arrays_of_another_set_are_not_smuggled_in(arrays, tmp_path):
    (line,) = verifier.verify(str(rewrite(certify().save(tmp_path / "cert"), arrays=arrays)))
    assert line.startswith("arrays: ") and next(iter(arrays)) in line
