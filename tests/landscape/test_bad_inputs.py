"""Questions about a landscape refuse what they cannot answer, by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad_inputs import COUNT, KEYS, POSITIVE, WORD, matrices, pairs, refused, spoiled
from strategies import problem

import narrowlib as nl

KEY = jax.random.key(0)
X, Y = problem(0, n=5, d=3)
P = nl.mirrored_lecun(jax.random.key(1), d=3, m=4)
NET = {"params": P, "X": X}
BAD_NET = {
    "params": pairs(P) | {bad: P._replace(W=W) for bad, W in spoiled(P.W).items()},
    "X": matrices(X) | spoiled(X),
    "activation": WORD,
}
BAD_Y = {
    "y": spoiled(Y)
    | {"nothing": None, "a word": "seven", "short": Y[:2], "complex": 1j * np.asarray(Y)}
}
LISTS = {
    "nothing": None,
    "a number": 3,
    "words": "ab",
    "numbers": [1.0],
    "objects": [object()],
}
FLAG = {"allow_float32": {"a word": "no", "nothing": None, "one": 1}}
LINE = jax.tree.map(lambda a: jnp.stack([a, a]), P)


@pytest.mark.parametrize(
    "call, more, bad",
    [
        (nl.numerical_rank, {}, FLAG | {"method": WORD}),
        (nl.guaranteed_radius, {}, FLAG | {"order": {"zero": 0, "a word": "1", "1.0": 1.0}}),
        (
            nl.least_on_sphere,
            {"radii": [0.1], "key": KEY, "starts": 1, "steps": 1},
            FLAG | {"key": KEYS, "starts": COUNT, "steps": COUNT,
                    "radii": {"none": [], "nan": [np.nan], "zero": [0.0], "a number": 1.0}},
        ),
        (nl.nearest_singular, {"key": KEY, "starts": 1}, {"key": KEYS, "starts": COUNT}),
        (nl.stationary_point, {"y": Y}, FLAG | BAD_Y | {"within": POSITIVE}),
        (
            nl.slice_grid,
            {"y": Y, "directions": [P.W], "coordinates": [jnp.ones(2)]},
            BAD_Y | {
                "directions": LISTS | {"none": [], "a part": [P.W[:2]], "nan": [P.W * np.nan]},
                "coordinates": LISTS | {"two": [jnp.ones(2), jnp.ones(2)], "no points": [[]]},
            },
        ),
        (
            nl.sigma_min_path,
            {"params": LINE},
            FLAG | {"refresh": COUNT, "rtol": POSITIVE | {"one": 1.0}, "params": pairs(LINE) | {
                bad: LINE._replace(W=W) for bad, W in spoiled(LINE.W).items()
            }},
        ),
    ],
)  # fmt: skip
def test_questions_about_a_point(call, more, bad):
    refused(call, NET | more, BAD_NET | bad)


def test_directions_and_sweeps():
    refused(
        nl.slice_directions,
        {"params": P, "key": KEY},
        {"params": pairs(P), "key": KEYS, "count": COUNT | {"four": 4}, "given": LISTS},
    )
    sizes = {"key": KEY, "n": [3, 4], "d": 3, "m": 2, "draws": 2}
    many = {k: v for k, v in COUNT.items() if k not in ("a list", "two")}
    many |= {"ragged": [[1], [1, 2]], "halves": [2.5], "none": []}
    bad = {"key": KEYS, "d": COUNT, "draws": COUNT, "n": many, "m": many, "activation": WORD}
    refused(nl.rank_sweep, sizes, bad | FLAG)


def test_whole_numbers_are_weights():
    """By hand: two neurons, each with one sample that it alone sees."""
    rank = nl.numerical_rank((np.array([[1, 0], [0, 1]]), [1, -1]), np.eye(2))
    assert (rank.rank, rank.verdict) == (2, "full")


def test_an_activation_that_breaks_down():
    broken = nl.Activation("broken", jnp.exp, lambda z: jnp.log(z * 0 - 1), curvature=np.inf)
    for method in ("gram", "svd"):
        with pytest.raises(ValueError, match=r"activation: got 'broken', whose derivative is NaN"):
            nl.numerical_rank(P, X, method=method, activation=broken)


@pytest.mark.parametrize("call", [
    lambda p: nl.numerical_rank(p, X).sigma_min,
    lambda p: nl.nearest_singular(p, X, key=KEY).radius,
])  # fmt: skip
def test_host_functions_say_so(call):
    for transform in (jax.jit, jax.grad):
        with pytest.raises(ValueError, match=r"params: got traced values\. Call \w+ outside"):
            transform(call)(P)
    with pytest.raises(ValueError, match=r"key: got traced values\. Call rank_sweep outside of"):
        jax.jit(lambda key: nl.rank_sweep(key, n=3, d=2, m=2, draws=1).rank)(KEY)


@pytest.mark.parametrize("call", [
    lambda p: nl.stationary_point(p, X, Y).loss,
    lambda p: jnp.sum(nl.least_on_sphere(p, X, [0.1], key=KEY, steps=1, starts=1).sigma_min),
    lambda p: jnp.sum(nl.sigma_min_path(jax.tree.map(lambda a: a[None], p), X).sigma_min),
])  # fmt: skip
def test_what_has_no_derivative_says_so(call):
    with pytest.raises(ValueError, match=r": got a derivative to take\. "):
        jax.grad(call)(P)


def test_what_has_one():
    """The radius and a slice's σ_min, against differences."""
    network = nl.lecun(jax.random.key(3), d=3, m=6)
    D, step = nl.lecun(jax.random.key(4), d=3, m=6).W, 1e-6

    def values(t):
        moved = network._replace(W=network.W + t * D)
        cut = nl.slice_grid(network, X, Y, [D], [jnp.stack([t])])
        return jnp.stack([nl.guaranteed_radius(moved, X), cut.sigma_min[0], cut.loss[0]])

    slopes = jax.jacfwd(values)(0.0)
    differences = (values(jnp.asarray(step)) - values(jnp.asarray(-step))) / (2 * step)
    np.testing.assert_allclose(slopes, differences, rtol=1e-5)
