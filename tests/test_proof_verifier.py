"""The whole-number checker: its arithmetic encloses Arb's, true files pass, forged ones do not."""

import functools
import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import flint
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import strategies as st
from strategies import SMOOTH, normal, problem, settings

import narrowlib as nl
from narrowlib import proof_verifier as pv
from narrowlib.certificates import existence_proof

SCRIPT = Path(pv.__file__)
RUN = """
import runpy, sys
for name in ("jax", "jaxlib", "narrowlib", "flax", "optax", "scipy", "flint"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ACTIVATIONS = (*SMOOTH, "square")


@pytest.fixture(autouse=True)
def many_bits():
    before, flint.ctx.prec = flint.ctx.prec, 1000
    yield
    flint.ctx.prec = before


def check(*arguments):
    """The exit status and the words of the script in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN, SCRIPT, *map(str, arguments)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


# the arithmetic


def encloses(ball, exact, places):
    """The ball holds the exact number (an arb of 1,000 bits), and is no wider than 2^-places."""
    unit = arb(fmpq(1, 1 << pv.Q))
    low, high = (arb(c) * unit for c in (ball.c - ball.r, ball.c + ball.r))
    return bool(low <= exact <= high) and bool(unit * ball.r < arb(2) ** -places)


def at(z):
    """A float as a ball without width, and as an arb."""
    num, den = z.as_integer_ratio()
    return pv.Ball((num << pv.Q) // den), arb(z)


points = st.builds(
    lambda k, e: k * 2.0**e, st.integers(-(2**53), 2**53), st.sampled_from([-120, -54, -50, -48])
)


def test_constants():
    assert encloses(pv.PI, arb.pi(), 370)
    assert encloses(pv.LN2, arb(2).log(), 370)
    assert encloses(pv.ROOT_2PI, (2 * arb.pi()).sqrt(), 370)
    for name, square in pv.CURVATURE_SQUARED.items():
        flint.ctx.prec = 300  # `_balls` under more bits than the library's
        bound = existence_proof._balls(nl.get_activation(name))[2]
        exact = arb(fmpq(square.numerator, square.denominator))
        assert exact >= (bound * bound).lower() and exact <= bound * bound + arb(2) ** -200, name


@settings
@hypothesis.given(points)
def test_elementary_functions_enclose(z):
    t = -abs(z)
    ball, exact = at(t)
    assert encloses(pv.exp(ball), exact.exp(), 350)
    assert encloses(pv.log1p(pv.exp(ball)), exact.exp().log1p(), 350)
    assert encloses(pv.density(ball), (-exact * exact / 2).exp() / (2 * arb.pi()).sqrt(), 340)
    ball, exact = at(abs(z))
    assert encloses(pv.normal_cdf(ball), (1 + (exact / arb(2).sqrt()).erf()) / 2, 165)


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings
@hypothesis.given(points)
@hypothesis.example(0.0)
@hypothesis.example(14.999)
@hypothesis.example(-15.0)
@hypothesis.example(1e9)
@hypothesis.example(-1e9)
@hypothesis.example(5e-30)
def test_activations_enclose(name, z):
    ball, exact = at(z)
    value, slope, _ = existence_proof._balls(nl.get_activation(name))
    found = pv.sigma_and_slope(name, ball)
    places = 160 - math.log2(1 + abs(z)) if name == "gelu" else 300
    assert encloses(found[0], value(exact), places)
    assert encloses(found[1], slope(exact), places)


whole = st.integers(-(2**400), 2**400)
radius = st.integers(0, 2**390)


@settings
@hypothesis.given(whole, radius, whole, radius, st.integers(-9, 9), st.integers(1, 99))
def test_operations_enclose_the_ends(a, r, b, q, k, n):
    """Exact rationals: the results at the four corners lie inside."""
    x, y, unit = pv.Ball(a, r), pv.Ball(b, q), Fraction(1, 1 << pv.Q)

    def inside(ball, value):
        return (ball.c - ball.r) * unit <= value <= (ball.c + ball.r) * unit

    for p in (a - r, a + r):
        assert inside(x.times(k), p * k * unit) and inside(x.over(n), p * unit / n)
        for s in (b - q, b + q):
            assert inside(x + y, (p + s) * unit) and inside(x - y, (p - s) * unit)
            assert inside(x * y, p * s * unit**2)
            if abs(b) > q:
                z = y if b > 0 else -y
                assert inside(x / z, Fraction(p, s if b > 0 else -s))
    if b <= q:
        with pytest.raises(pv.Rejected, match="divisor"):
            x / y


# true files


def made(activation="tanh", K=None, seed=0, noise=0.0):
    X, y = problem(seed, n=8, d=8, outputs=K)
    sol = nl.interpolate(X, y, key=jax.random.key(1), activation=activation, width=8, scale=50.0)
    shift = noise * normal(jax.random.key(9), sol.params.W.shape)
    params = sol.params._replace(W=sol.params.W + shift)
    return nl.existence_certificate(params, X, y, activation=activation, rigorous=True)


@functools.cache
def proofs():
    """Proofs, and files that prove nothing, by name."""
    found = {f"{name} {K}": made(name, K) for name in ACTIVATIONS for K in (None, 2)}
    found["some noise"] = made(noise=1e-9)
    found["too far"] = made(noise=0.1)
    X, y = problem(0, n=8, d=8)
    start = nl.mirrored_lecun(jax.random.key(1), d=8, m=8)
    found["zero weights"] = nl.existence_certificate(
        start._replace(v=0 * start.v), X, y, rigorous=True
    )
    found["zero targets"] = nl.existence_certificate(start, X, 0 * y, rigorous=True)
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (start, X, y))
    found["single"] = nl.existence_certificate(*single, rigorous=True, allow_float32=True)
    twins = X.at[1].set(X[0])
    found["equal samples"] = nl.existence_certificate(start, twins, y, rigorous=True)
    return found


def test_true_files_are_accepted(tmp_path):
    for name, cert in proofs().items():
        assert pv.verify(str(cert.save(tmp_path / name.replace(" ", "_")))) == [], name
    verdicts = [cert.verdict for cert in proofs().values()]
    assert verdicts.count("proved") >= 12 and verdicts.count("inconclusive") >= 3
    assert proofs()["equal samples"].verdict == "inconclusive"


def test_as_a_script_without_jax_or_flint(tmp_path):
    path = proofs()["tanh None"].save(tmp_path / "proof")
    status, words = check(path)
    assert status == 0
    assert words.startswith("accepted: every claim is implied\n8 tanh neurons within ")
    assert words.endswith("of those in the file\nfit all 8 samples exactly\n")
    path = proofs()["too far"].save(tmp_path / "far")
    assert check(path) == (
        0, "accepted: every claim is implied\ninconclusive: nothing is proved\n"
    )  # fmt: skip
    status, words = check(rewrite(path, {"verdict": "proved"}))
    assert status == 1 and words.startswith("rejected\n  verdict: claimed 'proved'")
    assert check() == (2, "usage: python proof_verifier.py proof.npz\n")


def test_its_bounds_are_those_of_arb():
    """Two arithmetics, one number: the claims are a rounding above what the script finds."""
    for name in ("tanh None", "gelu 2", "some noise"):
        cert = proofs()[name]
        found = pv.facts(pv.read(cert.arrays), cert.activation, cert.shift)
        for claim, power in (("residual", 2), ("lipschitz", 4), ("slack", 2)):
            ratio = Fraction(cert.claims[claim]) ** power / found[claim]
            assert 1 <= ratio <= 1 + Fraction(1, 10**14), (name, claim)


# forged files


def rewrite(path, claims=None, arrays=None, header=None, drop=None):
    """The file again with some claims, arrays or header entries replaced."""
    with np.load(path) as archive:
        contents = {name: archive[name] for name in archive.files}
    head = json.loads(str(contents.pop("header"))) | (header or {})
    head["claims"] |= claims or {}
    head["claims"].pop(drop, None)
    contents |= arrays or {}
    contents.pop(drop, None)
    forged = path.with_name("forged.npz")
    np.savez(forged, header=np.array(json.dumps(head)), **contents)
    return forged


NUMBERS = ("residual", "sigma_min", "lipschitz", "h", "radius", "shift", "slack")


@pytest.mark.parametrize("factor", [0.5, 1 - 1e-5, 1 + 1e-5, 2.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("claim", NUMBERS)
@pytest.mark.parametrize("name", ["tanh None", "gelu 2"])
def test_an_altered_number_is_rejected(name, claim, factor, tmp_path):
    cert = proofs()[name]
    path = cert.save(tmp_path / "proof")
    wrong = pv.verify(str(rewrite(path, {claim: cert.claims[claim] * factor})))
    # slack may be claimed larger: it is true still, as long as σ_min follows from it
    assert wrong or (claim == "slack" and factor > 1)


@pytest.mark.parametrize("claim", ["residual", "lipschitz", "slack", "radius", "h"])
def test_the_smallest_step_too_far_is_rejected(claim, tmp_path):
    """Two floats below an upper bound is below the bound."""
    cert = proofs()["some noise"]
    path = cert.save(tmp_path / "proof")
    value = cert.claims[claim]
    for _ in range(3):
        value = math.nextafter(value, 0)
    wrong = pv.verify(str(rewrite(path, {claim: value})))
    assert [line.split(":")[0] for line in wrong][:1] == [claim]


def test_a_larger_sigma_min_is_rejected(tmp_path):
    cert = proofs()["some noise"]
    path = cert.save(tmp_path / "proof")
    wrong = pv.verify(str(rewrite(path, {"sigma_min": cert.sigma_min * (1 + 1e-13)})))
    assert [line.split(":")[0] for line in wrong] == ["sigma_min"]


def test_a_flipped_verdict_is_rejected(tmp_path):
    for cert in proofs().values():
        path = cert.save(tmp_path / "proof")
        for word in {"proved", "inconclusive", "exists"} - {cert.verdict}:
            (line,) = pv.verify(str(rewrite(path, {"verdict": word})))
            assert line.startswith("verdict: claimed")


@pytest.mark.parametrize("name", ["tanh None", "silu 2"])
@pytest.mark.parametrize("array", ["X", "y", "W", "v", "factor"])
def test_altered_arrays_are_rejected(name, array, tmp_path):
    cert = proofs()[name]
    path = cert.save(tmp_path / "proof")
    for place in (0, -1):
        changed = np.array(cert.arrays[array])
        changed.flat[place] *= 1 + 1e-6
        wrong = pv.verify(str(rewrite(path, arrays={array: changed})))
        assert any(line.startswith(("residual", "slack")) for line in wrong), place
    changed.flat[0] = np.nan
    wrong = pv.verify(str(rewrite(path, arrays={array: changed})))
    assert wrong == [f"{array}: NaN or infinite entries"]


def test_a_flipped_label_and_two_equal_samples_are_rejected(tmp_path):
    cert = proofs()["tanh None"]
    path = cert.save(tmp_path / "proof")
    flipped, twins = np.array(cert.arrays["y"]), np.array(cert.arrays["X"])
    flipped[3] *= -1
    twins[1] = twins[0]
    for arrays in ({"y": flipped}, {"X": twins}):
        wrong = pv.verify(str(rewrite(path, arrays=arrays)))
        assert any(line.startswith("residual") for line in wrong)
    assert any(line.startswith("slack") for line in wrong)


def test_a_proof_for_other_weights_is_rejected(tmp_path):
    """Every number of one proof, the weights of another."""
    path = proofs()["tanh None"].save(tmp_path / "proof")
    other = proofs()["some noise"].arrays
    assert pv.verify(str(rewrite(path, arrays={"W": other["W"]})))
    assert pv.verify(str(rewrite(path, {"activation": "sigmoid"})))


STRANGE = [
    ({"claims": {"samples": 9}}, "samples: claimed 9"),
    ({"claims": {"neurons": 8.0}}, "neurons: claimed 8.0"),
    ({"claims": {"residual": "small"}}, "residual: claimed 'small'"),
    ({"claims": {"residual": None}}, "residual: claimed None"),
    ({"claims": {"shift": True}}, "shift: claimed True"),
    ({"claims": {"slack": 10**400}}, "file: cannot be read as a proof (OverflowError"),
    ({"claims": {"shift": 1e-300}}, "shift: an entry has"),
    ({"claims": {"activation": "relu"}}, "activation: 'relu' is unknown"),
    ({"claims": {"activation": ["tanh"]}}, "file: cannot be read as a proof (TypeError"),
    ({"claims": {"more": 1}}, "claims: activation, h"),
    ({"header": {"kind": "existence"}}, "header: kind 'existence', format 1"),
    ({"header": {"format": 2}}, "header: kind 'existence proof', format 2"),
    ({"arrays": {"X": np.zeros((8, 8), complex)}}, "X: entries of type complex128"),
    ({"arrays": {"y": np.arange(8)}}, "y: entries of type int64"),
    ({"arrays": {"W": np.zeros((7, 8))}}, "arrays: their shapes"),
    ({"arrays": {"X": np.zeros((0, 8))}}, "arrays: their shapes"),
    ({"arrays": {"factor": np.eye(7)}}, "arrays: their shapes"),
    ({"arrays": {"factor": np.ones((8, 8))}}, "factor: it has entries above"),
    ({"arrays": {"y": np.full(8, 1e-60)}}, "y: an entry has"),
    ({"arrays": {"more": np.eye(2)}}, "arrays: W, X, factor, v, y are needed"),
    ({"arrays": {"v": np.zeros((8, 2))}}, "arrays: their shapes"),
]


@pytest.mark.parametrize("change, words", STRANGE)
def test_strange_files_are_rejected_with_a_reason(change, words, tmp_path):
    path = proofs()["tanh None"].save(tmp_path / "proof")
    wrong = pv.verify(str(rewrite(path, **change)))
    assert wrong[0].startswith(words), wrong


def test_every_claim_and_array_is_needed(tmp_path):
    cert = proofs()["tanh None"]
    for name in (*cert.claims, *cert.arrays):
        path = cert.save(tmp_path / "proof")
        assert pv.verify(str(rewrite(path, drop=name))), name


def test_what_is_no_archive_is_rejected(tmp_path):
    path = proofs()["tanh None"].save(tmp_path / "proof")
    data = path.read_bytes()
    np.savez(tmp_path / "trap.npz", header=np.array([object()], dtype=object))
    np.savez(tmp_path / "words.npz", header=np.array("not JSON"))
    np.savez(tmp_path / "list.npz", header=np.array("[1, 2]"))
    np.save(tmp_path / "plain.npy", np.eye(2))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    (tmp_path / "text").write_text("accepted")
    bad = ["trap.npz", "words.npz", "list.npz", "plain.npy", "empty", "cut", "text", "missing", ""]
    for name in bad:
        (line,) = pv.verify(str(tmp_path / name))
        assert line.startswith(("file: cannot be read as a proof", "file: there is no such")), name


@pytest.mark.parametrize("seed", range(5))
def test_no_damaged_byte_makes_it_raise(seed, tmp_path):
    data = bytearray(proofs()["tanh None"].save(tmp_path / "proof").read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(data), 3):
        data[place] ^= 1 << int(rng.integers(8))
    (tmp_path / "damaged").write_bytes(data)
    assert isinstance(pv.verify(str(tmp_path / "damaged")), list)
