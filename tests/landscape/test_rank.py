"""Verdicts on rank against data whose rank is known by construction, and against the SVD."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib.landscape.rank import MARGIN, _judge
from narrowlib.landscape.rank_bound import rank_bound

methods = pytest.mark.parametrize("method", ["gram", "svd"])
THRESHOLD = 1e-10


@pytest.mark.parametrize(
    "singular, rank, verdict, gap",
    [
        ([1.0, 0.5, 0.1], 3, "full", 0.1 / THRESHOLD),
        ([1.0, 2 * MARGIN * THRESHOLD], 2, "full", 2 * MARGIN),
        ([1.0, 0.5 * MARGIN * THRESHOLD], 2, "undecided", 0.5 * MARGIN),  # too near the noise
        ([1.0, 0.5, 1e-12], 2, "deficient", 0.5e12),
        ([1.0, 0.5, 0.0], 2, "deficient", np.inf),
        ([1.0, 2e-10, 0.9e-10], 2, "undecided", 2 / 0.9),  # no gap to speak of
        ([1.0, 1e-3, 1e-9, 0.9e-10], 3, "undecided", 1e-9 / 0.9e-10),  # a spectrum may fall so
        ([1.0, 1e-2, 0.9e-10], 2, "deficient", 1e-2 / 0.9e-10),
        ([0.0, 0.0], 0, "deficient", np.inf),
        ([1.0], 1, "full", 1 / THRESHOLD),
    ],
)
def test_judge(singular, rank, verdict, gap):
    threshold = THRESHOLD if singular[0] else 0.0
    judged = _judge(np.array(singular), threshold, "svd", len(singular), True)
    assert (judged.rank, judged.verdict) == (rank, verdict)
    assert judged.gap == pytest.approx(gap)
    assert judged.sigma_min == singular[-1]


def lecun(n, d, m, seed=0):
    X, _ = problem(seed, n=n, d=d)
    return nl.lecun(jax.random.key(seed + 100), d=d, m=m), X


@methods
def test_generic_weights_have_full_rank(method):
    for seed in range(5):
        params, X = lecun(20, 5, 8, seed)
        found = nl.numerical_rank(params, X, method=method)
        assert (found.rank, found.verdict, found.method) == (20, "full", method)
        assert len(found.singular_values) == 20


@methods
def test_fewer_columns_than_rows(method):
    params, X = lecun(20, 3, 4)
    found = nl.numerical_rank(params, X, method=method)
    assert (found.rank, found.verdict) == (12, "deficient")
    assert len(found.singular_values) == 20


@methods
def test_equal_samples_cost_a_rank_each(method):
    params, X = lecun(12, 5, 8)
    doubled = jnp.concatenate([X, X[:4]])
    found = nl.numerical_rank(params, doubled, method=method)
    assert (found.rank, found.verdict) == (12, "deficient")


@methods
def test_parallel_neurons_count_once(method):
    """Neurons along one line in d = 1: their columns differ; equal ones do not."""
    params, X = lecun(12, 5, 4)
    equal = nl.Params(jnp.tile(params.W[:1], (4, 1)), params.v)
    assert nl.numerical_rank(equal, X, method=method).rank == 5


@methods
def test_the_square_spans_few_dimensions(method):
    """σ(z) = z²: J's columns hold products x_i x_k, so at most d(d + 1)/2 are independent."""
    d = 4
    params, X = lecun(20, d, 12)
    found = nl.numerical_rank(params, X, activation="square", method=method)
    assert (found.rank, found.verdict) == (d * (d + 1) // 2, "deficient")


@methods
def test_several_outputs(method):
    X, _ = problem(0, n=10, d=5)
    params = nl.lecun(jax.random.key(1), d=5, m=12, outputs=3)
    found = nl.numerical_rank(params, X, method=method)
    assert (found.rank, found.verdict, len(found.singular_values)) == (30, "full", 30)
    one = nl.Params(params.W, jnp.tile(params.v[:, :1], (1, 3)))  # three equal outputs
    assert nl.numerical_rank(one, X, method=method).rank == 10


def test_a_near_duplicate_passes_through_every_verdict():
    """As two samples near each other, σ_min falls in proportion, and the rank stays full."""
    params, X = lecun(12, 5, 8)
    verdicts, smallest = [], []
    distances = (1e-2, 1e-4, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12)
    for distance in distances:
        near = jnp.concatenate([X, X[:1] + distance * jnp.ones((1, 5))])
        by_gram, by_svd = (nl.numerical_rank(params, near, method=m) for m in ("gram", "svd"))
        verdicts.append((by_gram.verdict, by_svd.verdict))
        smallest.append(by_svd.sigma_min)
        if by_gram.verdict == "full":  # what the cruder method is sure of, the finer one confirms
            assert by_svd.verdict == "full"
            assert by_gram.sigma_min == pytest.approx(by_svd.sigma_min, rel=0.05)
    np.testing.assert_allclose(
        smallest[:5], smallest[0] * np.array(distances[:5]) / distances[0], rtol=0.1
    )
    by_gram = [pair[0] for pair in verdicts]
    assert by_gram == ["full"] * by_gram.count("full") + ["undecided"] * by_gram.count("undecided")
    assert 0 < by_gram.count("full") < len(by_gram)
    assert verdicts[4][1] == "full"  # 1e-8 apart: the SVD still tells them apart


def test_methods_agree_on_singular_values():
    params, X = lecun(15, 5, 8)
    by_gram, by_svd = (nl.numerical_rank(params, X, method=m) for m in ("gram", "svd"))
    np.testing.assert_allclose(by_gram.singular_values, by_svd.singular_values, rtol=1e-8)
    dense = np.linalg.svd(np.asarray(nl.jacobian(params, X)), compute_uv=False)
    np.testing.assert_allclose(by_svd.singular_values, dense, rtol=1e-12)
    assert by_gram.threshold > by_svd.threshold
    assert "rank 15 of 15 (full)" in str(by_gram)


def test_a_network_of_zeros_has_rank_zero():
    X, _ = problem(0, n=4, d=3)
    for method in ("gram", "svd"):
        found = nl.numerical_rank(nl.Params(jnp.ones((2, 3)), jnp.zeros(2)), X, method=method)
        assert (found.rank, found.verdict) == (0, "deficient")


def test_float32_is_answered_when_asked_for():
    X, _ = problem(0, n=10, d=5, dtype=jnp.float32)
    params = nl.lecun(jax.random.key(0), d=5, m=8, dtype=jnp.float32)
    found = nl.numerical_rank(params, X, allow_float32=True)
    assert found.rank == 10 and found.singular_values.dtype == np.float32
    assert found.threshold > 1e-4 * found.singular_values[0]


@pytest.mark.parametrize("distance", [1e-5, 1e-8, 1e-11, 1e-14, 0])
@pytest.mark.parametrize("scale", [1e-120, 1e-6, 1.0, 1e5])
def test_near_duplicates_never_make_a_false_verdict(distance, scale):
    """Samples, neurons or outputs that differ at all leave the rank full; equal ones do not."""
    rng, near = np.random.default_rng(3), 1 + distance * np.array([1.0, -1.0, 2.0])
    X, W = rng.standard_normal((6, 3)), rng.standard_normal((4, 3))
    v = scale * rng.standard_normal((4, 2))
    twice, pair = np.concatenate([X[:3], X[:1] * near]), W[[0, 1, 0, 1]] * near
    outputs = np.stack([v[:, 0], v[:, 0] * (1 + distance * np.arange(4))], 1)
    cases = [(W, v[:, 0], twice, 4, 3), (pair, v[:, 0], X[:, :3], 6, 6), (W, outputs, X[:3], 6, 3)]
    for W, v, X, rows, exact in cases:
        params = nl.Params(jnp.asarray(W), jnp.asarray(v))
        for method in ("gram", "svd"):
            found = nl.numerical_rank(params, X, method=method)
            right = exact if distance == 0 else rows
            assert len(found.singular_values) == rows
            if found.verdict != "undecided":
                assert (found.rank, found.verdict == "full") == (right, right == rows)
            if distance == 0 or (distance == 1e-5 and method == "svd" and scale > 1e-100):
                assert found.verdict != "undecided"


def exact_rank(rows):
    """The rank of a matrix of fractions."""
    rank, rows = 0, [list(row) for row in rows]
    for column in range(len(rows[0])):
        pivot = next((row for row in rows[rank:] if row[column]), None)
        if pivot is not None:
            rows.remove(pivot)
            rows.insert(rank, pivot)
            rank += 1
            for k in range(rank, len(rows)):
                factor = rows[k][column] / pivot[column]
                rows[k] = [a - factor * b for a, b in zip(rows[k], pivot, strict=True)]
    return rank


@pytest.mark.parametrize("seed", range(12))
def test_the_square_against_fractions(seed):
    """J of z² is rational: cancelling pre-activations, empty samples, parallel neurons."""
    rng = np.random.default_rng(seed)
    n, d, m = 5, 2, 4
    X = np.round(rng.standard_normal((n, d)), 2) + 10.0 ** (seed % 4 * 3) * (seed % 2)
    W = np.outer(rng.standard_normal(m), [1.0, -1.0]) if seed % 3 else rng.standard_normal((m, d))
    X[0] *= seed % 5 > 0
    v = rng.standard_normal(m)
    exact = [[Fraction(float(x)) for x in row] for row in (*X, *W)]
    Z = [[sum(a * b for a, b in zip(x, w, strict=True)) for w in exact[n:]] for x in exact[:n]]
    rows = [
        [Fraction(float(v[j])) * Z[i][j] * x for j in range(m) for x in exact[i]] for i in range(n)
    ]
    for method in ("gram", "svd"):
        found = nl.numerical_rank(nl.Params(W, v), X, activation="square", method=method)
        if found.verdict != "undecided":
            assert (found.rank, found.verdict) == (exact_rank(rows), "deficient")


def test_rounding_in_the_entries_is_in_the_threshold():
    """σ′ = 1 − tanh² near 1: what is left of it is noise, and no rank of it is full."""
    rng = np.random.default_rng(0)
    X, W = 18 + rng.uniform(0, 1, (4, 1)), np.ones((6, 1)) + 1e-3 * rng.uniform(0, 1, (6, 1))
    for method in ("gram", "svd"):
        found = nl.numerical_rank(nl.Params(W, np.ones(6)), X, method=method)
        assert found.verdict == "undecided"


def test_a_dead_relu_and_a_saturated_tanh():
    """The one is flat, exactly; the other only looks so."""
    W, v, X = -np.ones((2, 3)), np.ones(2), np.ones((2, 3)) + np.eye(2, 3)
    dead = nl.numerical_rank(nl.Params(W, v), X, activation="relu", method="svd")
    assert (dead.rank, dead.verdict) == (0, "deficient")
    flat = nl.numerical_rank(nl.Params(100 * W, v), X, method="svd")
    assert (flat.rank, flat.verdict) == (0, "undecided")


def test_the_bound_counts_what_structure_allows():
    rng = np.random.default_rng(1)
    tanh, square = nl.get_activation("tanh"), nl.get_activation("square")
    X, W, v = rng.standard_normal((9, 3)), rng.standard_normal((4, 3)), rng.standard_normal(4)

    def bound(W, v, X, sigma=tanh):
        return rank_bound(nl.Params(W, v), X, sigma)

    assert bound(W, v, X) == 9 and bound(W[:2], v[:2], X) == 6
    assert bound(W, v * [1, 1, 0, 0], X) == 6  # neurons that count for nothing
    assert bound(np.tile(W[:2], (2, 1)), v, X) == 6
    assert bound(W, v, X[[0, 1, 1, 0]]) == 2 and bound(W, v, 0 * X) == 0
    assert bound(W, v, X * [1, 1, 0]) == 8 and bound(W[:3], v[:3], X * [1, 0, 0]) == 3
    rare = X * (np.arange(9)[:, None] < [9, 9, 2])  # two samples use the last input
    assert bound(W[:3], v[:3], rare) == 3 + 3 + 2
    usual = np.where(np.arange(9)[:, None] < [9, 2, 2], X, [0, 2, 3])  # else two are constant
    assert bound(W[:3], v[:3], usual) == 3 + 3 + 2
    assert bound(W, v, X, square) == 6 and bound(W[:2], v[:2], X, square) == 5
    V = np.stack([v, -2 * v], 1)
    assert bound(W, V, X[:3]) == 6 and bound(W, V * [1, 0], X[:3]) == 3
    two = np.concatenate([V[:2], -V[:2]])  # pairs: two outputs do not tell v and −v apart
    assert bound(np.tile(W[:2], (2, 1)), two, X) == 6
    half = nl.Activation("half", lambda z: z**2 / 2 + z, lambda z: z + 1, 1.0, True, True, jerk=0)
    assert bound(W, v, np.concatenate([X, X + 1]), half) == 9
