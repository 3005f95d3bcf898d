"""Whatever is no network, sample, key or bound is refused by name; what is clear is taken."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad_inputs import COUNT, KEYS, NAN, POSITIVE, WORD, matrices, pairs, refused, spoiled
from strategies import problem

import narrowlib as nl

X, Y = problem(0, n=5, d=3)
P = nl.lecun(jax.random.key(1), d=3, m=4)
NET = {"params": P, "X": X}
BAD_NET = {"params": pairs(P), "X": matrices(X), "activation": WORD}
BAD_Y = {"y": {k: v for k, v in matrices(Y[:, None]).items() if k not in ("one axis less",)}}


@pytest.mark.parametrize(
    "call, more, bad",
    [
        (nl.forward, {}, {}),
        (nl.gram, {}, {}),
        (nl.jacobian, {}, {}),
        (nl.jvp, {"delta": P.W}, {"delta": matrices(P.W)}),
        (nl.vjp, {"r": Y}, {"r": matrices(X)}),
        (nl.loss, {"y": Y}, BAD_Y),
        (nl.hessian, {"y": Y}, BAD_Y),
        (nl.hvp, {"y": Y, "direction": P}, BAD_Y | {"direction": pairs(P)}),
        (nl.hessian_extremes, {"y": Y}, BAD_Y | {"k": COUNT, "X": spoiled(X), "y": spoiled(Y)}),
        (
            lambda params, activation="tanh", **_: nl.OneHiddenLayer(params, activation=activation),
            {},
            {"X": {}},
        ),
    ],
)
def test_functions_of_a_network(call, more, bad):
    call(**NET | more)
    refused(call, NET | more, BAD_NET | bad)


def test_starts():
    sizes = {"key": jax.random.key(0), "d": 3, "m": 4}
    types = {
        "a word": "seven",
        "whole numbers": int,
        "complex": complex,
        "a number": 3,
        "list": [1],
    }
    bad = {"key": KEYS, "d": COUNT, "m": COUNT, "dtype": types | {"no type": ""}}
    outputs = {"outputs": {k: v for k, v in COUNT.items() if v is not None}}
    refused(nl.lecun, sizes, bad | outputs)
    refused(nl.mirrored_lecun, sizes, bad | outputs | {"scale": POSITIVE})
    for dtype in ("float32", np.float32, jnp.float32, np.dtype("float32")):
        assert nl.lecun(**sizes, dtype=dtype).W.dtype == jnp.float32
    old = nl.lecun(jax.random.PRNGKey(0), d=3, m=4)
    np.testing.assert_array_equal(old.W, nl.lecun(**sizes).W)


def test_activations_of_ones_own():
    good = {"name": "wave", "fn": jnp.sin, "derivative": jnp.cos, "curvature": 1.0}
    functions = {
        "nothing": None, "a word": "sin", "of numbers": math.sin, "by NumPy": np.linalg.norm,
        "one number": jnp.sum, "text": lambda z: "z", "whole": lambda z: z.astype(int),
        "two arguments": jnp.power, "no hash": type("F", (), {"__hash__": None, "__call__": abs})(),
    }  # fmt: skip
    bounds = {"nothing": None, "negative": -1.0, "nan": NAN, "a word": "inf", "complex": 1j,
              "two": np.ones(2), "true": True, "none": []}  # fmt: skip
    bad = {
        "name": {"nothing": None, "a number": 3, "empty": ""},
        "fn": functions, "derivative": functions,
        "curvature": bounds | {"flat": 0.0}, "slope": bounds, "jerk": bounds,
        "analytic": {"a word": "yes", "nothing": None, "one": 1},
    }  # fmt: skip
    refused(nl.Activation, good, bad)
    of_arrays = nl.Activation(**good | {"curvature": jnp.asarray(1.0)}, slope=np.float32(1))
    assert of_arrays.curvature == 1.0 and isinstance(of_arrays.curvature, float)
    assert hash(of_arrays) == hash(nl.Activation(**good, slope=1))
    line = nl.Activation("line", lambda z: z, jnp.ones_like, curvature=1e-9, polynomial=True)
    assert line.smooth  # a control: its Jacobian does not change
    with pytest.raises(ValueError, match="curvature: got an array"):
        jax.jit(lambda c: nl.Activation(**good | {"curvature": c}).curvature)(1.0)


def test_losses_of_outputs():
    outputs, y = jnp.ones((3, 2)), jnp.zeros((3, 2))
    bad = {"nothing": None, "a word": "seven", "a number": 3.0, "complex": 1j * np.ones((3, 2))}
    refused(nl.half_mean_squared_error, {"outputs": outputs, "y": y},
            {"outputs": bad, "y": bad | {"shorter": y[:2]}})  # fmt: skip
    assert float(nl.half_mean_squared_error([1.0, 2.0], [1, 4])) == 1.0


def test_clear_meanings_are_taken():
    """Lists, whole numbers, truth values, and the other byte order."""
    W, v = [[1, 0], [0, 1]], [1, -1]
    samples = np.array([[0.5, 2.0], [1.0, 0.0]])
    expected = np.tanh(samples) @ np.array([1.0, -1.0])
    for x in (samples, samples.tolist(), samples.astype(">f8")):
        np.testing.assert_allclose(nl.forward((W, v), x), expected)
    np.testing.assert_allclose(nl.jvp((W, v), samples, [[True, False], [0, 0]]),
                               nl.jacobian((W, v), samples) @ np.eye(4)[0])  # fmt: skip


def test_what_is_nan_stays_nan():
    """Pure functions do not look at values: so they work under jit."""
    spoilt = X.at[2, 1].set(jnp.nan)
    assert np.isnan(nl.forward(P, spoilt)).tolist() == [False, False, True, False, False]
    assert np.isnan(nl.jvp(P, spoilt, P.W)).tolist() == [False, False, True, False, False]
    assert np.isnan(nl.loss(P, spoilt, Y)) and np.isnan(nl.vjp(P, spoilt, Y)).any()


def test_where_they_run():
    assert nl.forward.runs == nl.gram.runs == nl.hvp.runs == nl.lecun.runs == "jit and grad"
    assert nl.hessian_extremes.runs == "host"
    with pytest.raises(ValueError, match=r"params: got traced values\. Call hessian_extremes outs"):
        jax.jit(lambda p: nl.hessian_extremes(p, X, Y).lowest)(P)
