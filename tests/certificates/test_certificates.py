"""What certificates share: exact files, whole or not at all, and bounds on rounding errors."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib import verifier
from narrowlib.certificates.rounding import point
from narrowlib.network.linearization import lipschitz_in_W

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(1), d=8, m=4)
SETS = {
    "ball": nl.Product(W=nl.Ball(START.W, 0.5), v=nl.PairedCone(0.1, 2)),
    "per neuron": nl.Product(W=nl.Ball(START.W, 0.5, per_neuron=True), v=nl.PairedCone(0.1, 2.0)),
    "circular": nl.Product(W=nl.Ball(START.W, 0.5), v=nl.CircularCone(START.v, 0.3, 0.1)),
    "free": nl.Product(W=nl.Free(), v=nl.Free()),
}


def make(kind):
    if kind == "existence":
        return nl.existence_certificate(START, X, Y)
    return nl.kkt_certificate(START, X, Y, SETS[kind])


@pytest.mark.parametrize("kind", ["existence", *SETS])
def test_files_are_exact(kind, tmp_path):
    cert = make(kind)
    path = cert.save(tmp_path / "mine")
    assert path == tmp_path / "mine.npz"
    again = nl.load_certificate(path)
    assert type(again) is type(cert) and again.claims == cert.claims
    assert again.explain() == cert.explain()
    assert again.arrays.keys() == cert.arrays.keys() >= {"X", "y", "W", "v"}
    for name, array in cert.arrays.items():
        assert array.dtype == again.arrays[name].dtype
        np.testing.assert_array_equal(again.arrays[name], array)
    assert again.save(tmp_path / "twice.npz") == tmp_path / "twice.npz"


def refuse_constant(word):
    raise AssertionError(f"{word} is no JSON")


def test_infinite_claims_survive_the_file_and_are_none_in_it(tmp_path):
    many, labels = problem(4, n=20)  # more samples than the rank that four neurons have
    for cert, names in (
        (make("existence"), {"radius", "h"}),  # the start is far from the targets
        (nl.existence_certificate(START, X, Y, activation="relu"), {"radius", "h", "lipschitz"}),
        (
            nl.kkt_certificate(START, many, labels, SETS["ball"]),
            {"residual_bound", "loss_bound", "stationarity_bound"},
        ),
    ):
        path = cert.save(tmp_path / "far")
        with np.load(path) as archive:
            header = json.loads(str(archive["header"]), parse_constant=refuse_constant)
        again = nl.load_certificate(path)
        void = {name for name in names if getattr(cert, name) == math.inf}
        assert void and all(getattr(again, name) == math.inf for name in void)
        assert {name for name, value in header["claims"].items() if value is None} >= void
        assert header["claims"] == cert.claims == again.claims
        assert verifier.verify(str(path)) == []


def rewrite(path, change):
    """The file again, with its header changed in place."""
    with np.load(path) as archive:
        contents = {name: archive[name] for name in archive.files}
    header = json.loads(str(contents.pop("header")))
    changed = change(header)
    header = header if changed is None else changed
    text = header if isinstance(header, str) else json.dumps(header)
    np.savez(path, header=np.array(text), **contents)
    return path


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_files_that_say_infinity_are_not_read(value, tmp_path):
    """JSON has no such number: an infinite claim is null."""

    def change(header):
        header["claims"]["radius"] = value

    path = rewrite(make("existence").save(tmp_path / "odd"), change)
    with pytest.raises(ValueError, match=r"^path: got .*odd\.npz'\. The header of that"):
        nl.load_certificate(path)
    assert verifier.verify(str(path))[0].endswith("is no number")


@pytest.mark.parametrize("kind", ["existence", "ball"])
def test_unknown_and_missing_claims_are_refused_twice(kind, tmp_path):
    def more(header):
        header["claims"]["theorem_applies"] = True

    def less(header):
        del header["claims"]["sigma_min"]

    for change, words in (
        (more, "unknown claims: theorem_applies"),
        (less, "missing claims: sigma_min"),
    ):
        path = rewrite(make(kind).save(tmp_path / "mine"), change)
        with pytest.raises(ValueError, match=f"^path: got .*mine.npz', with {words}"):
            nl.load_certificate(path)
        (line,) = verifier.verify(str(path))
        assert line == "claims: missing or unknown: " + words.split(": ")[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: [],
        lambda header: "3",
        lambda header: "no JSON at all",
        lambda header: "[" * 100_000,
        lambda header: {"format": 1, "kind": "kkt"},
        lambda header: {**header, "claims": [1.0]},
        lambda header: {**header, "kind": ["kkt"]},
        lambda header: {**header, "kind": None},
        lambda header: {**header, "format": 7},
    ],
    ids=["a list", "a number", "text", "deep", "no claims", "claims a list", "kind a list",
         "no kind", "later"],
)  # fmt: skip
def test_strange_headers_are_one_error(change, tmp_path):
    path = rewrite(make("existence").save(tmp_path / "mine"), change)
    with pytest.raises(ValueError, match=r"^path: got "):
        nl.load_certificate(path)
    assert verifier.verify(str(path))


def test_damaged_files_are_one_error(tmp_path):
    good = make("ball").save(tmp_path / "good").read_bytes()
    middle = len(good) // 2
    damaged = {
        "cut": good[:middle],
        "flipped": good[:200] + bytes([good[200] ^ 255]) + good[201:],
        "filled": good[:300] + bytes(200) + good[500:],
        "empty": b"",
        "text": b"W, v",
    }
    for name, content in damaged.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"^path: got '.*{name}\.npz'"):
            nl.load_certificate(path)
    with pytest.raises(ValueError, match=r"^path: got .*That is a folder"):
        nl.load_certificate(tmp_path)
    for nowhere in ("", "/", None, 3):
        with pytest.raises(ValueError, match=r"^path: got "):
            make("existence").save(nowhere)


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert make("existence").save("~/mine") == tmp_path / "mine.npz"
    assert nl.load_certificate("~/mine.npz").verdict == "inconclusive"


@pytest.mark.parametrize("scale_X, scale_y", [(1e200, 1.0), (1.0, 1e200), (1e300, 1e300)])
def test_numbers_that_overflow_are_not_certified(scale_X, scale_y):
    for certify in (
        lambda X, y: nl.existence_certificate(START, X, y),
        lambda X, y: nl.kkt_certificate(START, X, y, SETS["ball"]),
    ):
        with pytest.raises(ValueError, match=r"^[Xy]: got entries of up to .* products overflow"):
            certify(scale_X * X, scale_y * Y)


def test_an_activation_that_overflows_is_not_certified():
    far = nl.Activation("far", jnp.exp, lambda z: jnp.exp(800 + z), curvature=1.0)
    for certify in (
        lambda: nl.existence_certificate(START, X, Y, activation=far),
        lambda: nl.kkt_certificate(START, X, Y, SETS["ball"], activation=far),
    ):
        with pytest.raises(ValueError, match=r"^params: got \w+ = (inf|nan)\. The numbers over"):
            certify()


def test_under_jit_there_is_a_sentence():
    for certify in (
        lambda p: nl.existence_certificate(p, X, Y).residual,
        lambda p: nl.existence_certificate(p, X, Y, rigorous=True).residual,
        lambda p: nl.kkt_certificate(p, X, Y, SETS["ball"]).loss,
    ):
        with pytest.raises(
            ValueError, match=r"^params: got traced values\. Call \w+ outside of jit"
        ):
            jax.jit(certify)(START)


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = make("existence").save(tmp_path / "mine.npz")
    before = path.read_bytes()

    def break_off(stream, **arrays):
        stream.write(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", break_off)
    with pytest.raises(OSError, match="disk full"):
        make("ball").save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.npz"]


def test_saving_where_there_is_no_folder_fails_plainly(tmp_path):
    with pytest.raises(FileNotFoundError):
        make("existence").save(tmp_path / "none" / "mine.npz")


def test_pickles_are_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    np.savez(tmp_path / "trap.npz", header=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match=r"path: got .*That file is no NumPy archive"):
        nl.load_certificate(tmp_path / "trap.npz")


def test_nothing_is_shared_with_the_file(tmp_path):
    cert = make("existence")
    with pytest.raises(dataclasses.FrozenInstanceError):
        cert.verdict = "exists"
    assert set(cert.claims) >= {"verdict", "activation", "samples"} and "arrays" not in cert.claims


@pytest.mark.parametrize("K", [None, 3])
@pytest.mark.parametrize("name", SMOOTH)
def test_lipschitz_and_rounding_and_sigma_are_bounds(K, name):
    """On random pairs of weights, and against sums in extended precision."""
    Z, _ = problem(3, n=10, d=4)
    sigma, rng = nl.get_activation(name), np.random.default_rng(4)
    params = nl.lecun(jax.random.key(5), d=4, m=40, outputs=K)
    L, largest = lipschitz_in_W(params, Z, sigma), 0.0
    for size in (1e-3, 0.1, 1.0, 3.0) * 5:
        W = params.W + size * jnp.asarray(rng.normal(size=(40, 4)))
        change = nl.jacobian(params._replace(W=W), Z, activation=name) - nl.jacobian(
            params, Z, activation=name
        )
        quotient = np.linalg.norm(change, 2) / float(jnp.linalg.norm(W - params.W))
        largest = max(largest, quotient)
    assert 0 < largest <= L
    s = np.linalg.svd(np.asarray(nl.jacobian(params, Z, activation=name)), compute_uv=False)[-1]
    assert s * (1 - 1e-4) <= point(params, Z, sigma).sigma_min <= s * (1 + 1e-12)
    if name == "tanh":
        exact = np.tanh(np.asarray(Z, np.longdouble) @ np.asarray(params.W, np.longdouble).T)
        exact = exact @ np.asarray(params.v, np.longdouble)
        error = float(np.linalg.norm(np.asarray(nl.forward(params, Z)) - exact))
        bound = point(params, Z, sigma).off_outputs
        assert 0 < error <= bound < 1e-11


def test_the_lipschitz_constant_is_nearly_met():
    """One sample, one neuron, weights around the point of greatest curvature: L is sharp."""
    x = jnp.array([[2.0]])
    peak = np.arctanh(1 / np.sqrt(3)) / 2
    ahead, behind = (
        nl.jacobian(nl.Params(jnp.array([[peak + t]]), jnp.ones(1)), x)[0, 0] for t in (1e-5, -1e-5)
    )
    at_peak = nl.Params(jnp.array([[peak]]), jnp.ones(1))
    L = float(lipschitz_in_W(at_peak, x, nl.get_activation("tanh")))
    assert abs(float(ahead - behind)) / 2e-5 == pytest.approx(L, rel=1e-6)
