"""What certificates share: exact files, whole or not at all, and bounds on rounding errors."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib.network.linearization import lipschitz_in_W
from narrowlib.network.rounding import least_singular_value, output_rounding

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


def test_infinite_claims_survive_the_file(tmp_path):
    cert = make("existence")
    assert cert.radius == math.inf  # the start is far from the targets
    assert nl.load_certificate(cert.save(tmp_path / "far")).radius == math.inf


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
    assert s * (1 - 1e-4) <= least_singular_value(params, Z, sigma) <= s * (1 + 1e-12)
    if name == "tanh":
        exact = np.tanh(np.asarray(Z, np.longdouble) @ np.asarray(params.W, np.longdouble).T)
        exact = exact @ np.asarray(params.v, np.longdouble)
        error = float(np.linalg.norm(np.asarray(nl.forward(params, Z)) - exact))
        bound = output_rounding(params, Z, sigma)
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
