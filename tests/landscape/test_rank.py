"""Verdicts on rank against data whose rank is known by construction, and against the SVD."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib.landscape.rank import MARGIN, _judge

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
        ([1.0, 1e-3, 1e-9, 0.9e-10], 3, "deficient", 1e-9 / 0.9e-10),
        ([0.0, 0.0], 0, "deficient", np.inf),
        ([1.0], 1, "full", 1 / THRESHOLD),
    ],
)
def test_judge(singular, rank, verdict, gap):
    threshold = THRESHOLD if singular[0] else 0.0
    judged = _judge(np.array(singular), threshold, "svd")
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
    """As two samples near each other, σ_min falls in proportion: full, undecided, deficient."""
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
    assert by_gram[0] == "full" and "undecided" in by_gram and by_gram[-1] == "deficient"
    assert verdicts[4][1] == "full"  # 1e-8 apart: the SVD still tells them apart
    order = {"full": 0, "undecided": 1, "deficient": 2}
    assert [order[v] for v in by_gram] == sorted(order[v] for v in by_gram)


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
