"""The factor in panels and the factor as one matrix, against SciPy; and what it takes."""

import operator
import tracemalloc
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from narrowlib.network import gram_factor
from narrowlib.network.gram_factor import DenseFactor, PanelFactor, check_memory, factor_bytes

KINDS = {"panels": PanelFactor, "dense": DenseFactor}


def case(seed, n=70, d=9, m=6, K=1, dtype=float):
    """X, features, and the Gram matrix that they stand for."""
    rng = np.random.default_rng(seed)
    X, B = rng.normal(size=(n, d)), rng.normal(size=(n * K, m))
    return X.astype(dtype), B.astype(dtype), np.kron(X @ X.T, np.ones((K, K))) * (B @ B.T)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("block", [1, 16, 70, 512])
@pytest.mark.parametrize("kind", KINDS)
def test_it_solves(kind, block, K, dtype, monkeypatch):
    monkeypatch.setattr(gram_factor, "BLOCK", block)
    X, B, gram = case(1, K=K, dtype=dtype)
    shift = np.linspace(1, 2, len(B)).astype(dtype)
    z = np.random.default_rng(2).normal(size=len(B)).astype(dtype)
    right = scipy.linalg.solve(gram + np.diag(shift), z, assume_a="pos")
    found = KINDS[kind].of(X, B, shift).solve(z)
    assert found.dtype == dtype
    tolerance = 1e-11 if dtype == np.float64 else 2e-2  # the condition is about 1e4
    np.testing.assert_allclose(found, right, rtol=0, atol=tolerance * abs(right).max())
    np.testing.assert_array_equal(z, np.random.default_rng(2).normal(size=len(B)).astype(dtype))


@pytest.mark.parametrize("block", [16, 512])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_there_where_all_eigenvalues_are_positive(kind, block, monkeypatch):
    monkeypatch.setattr(gram_factor, "BLOCK", block)
    for seed in range(5):
        X, B, gram = case(seed)
        least, *_, largest = scipy.linalg.eigvalsh(gram)
        for by in (1e-12, 1e-9, 1e-6):
            assert KINDS[kind].of(X, B, np.asarray(by * largest - least)) is not None
            assert KINDS[kind].of(X, B, np.asarray(-by * largest - least)) is None


def exact_error(lower, gram):
    """The largest entry of L Lᵀ − A, in rational numbers."""
    L = [[Fraction(x) for x in row] for row in np.tril(lower).tolist()]
    A = [[Fraction(x) for x in row] for row in gram.tolist()]
    n = len(A)
    errors = [
        abs(sum(L[i][k] * L[j][k] for k in range(j + 1)) - A[i][j])
        for i in range(n) for j in range(i + 1)
    ]  # fmt: skip
    return float(max(errors))


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("block", [8, 512])
def test_a_careful_factor_keeps_its_bound(block, careful, monkeypatch):
    """Rows of length 1, d of them and more: the bound is for the sums of its blocks."""
    monkeypatch.setattr(gram_factor, "BLOCK", block)
    X, B, _ = case(6, n=60, d=50, m=4)
    X = X / np.linalg.norm(X, axis=1)[:, None]
    B = B / np.linalg.norm(B, axis=1)[:, None]
    exact = (
        [[Fraction(x) for x in row] for row in X.tolist()],
        [[Fraction(x) for x in row] for row in B.tolist()],
    )
    gram = np.array(
        [
            [
                sum(map(operator.mul, exact[0][i], exact[0][j]))
                * sum(map(operator.mul, exact[1][i], exact[1][j]))
                for j in range(60)
            ]
            for i in range(60)
        ],
        dtype=object,
    )
    factor = PanelFactor.of(X, B, np.asarray(0.0), careful=careful)
    lower = np.zeros((60, 60))
    for start, panel in zip(factor.starts, factor.panels, strict=True):
        lower[start:, start : start + panel.shape[1]] = panel
    # panels lie in rows, BLAS has written them as columns: the triangle on top is transposed
    for start, panel in zip(factor.starts, factor.panels, strict=True):
        w = panel.shape[1]
        lower[start : start + w, start : start + w] = np.triu(panel[:w]).T
    error = exact_error(lower, gram)
    assert error <= gram_factor.longest_sum(60, 50, 4, 1) * np.finfo(float).eps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_it_is_not_there_for_what_is_no_number(kind, bad):
    X, B, _ = case(3)
    B[40, 2] = bad
    assert KINDS[kind].of(X, B, np.asarray(1.0)) is None


def test_it_takes_the_memory_that_it_says(monkeypatch):
    monkeypatch.setattr(gram_factor, "BLOCK", 100)
    X, B, _ = case(4, n=1500, d=20, m=8)
    PanelFactor.of(X[:10], B[:10], np.asarray(1.0))  # SciPy is loaded
    tracemalloc.start()
    factor = PanelFactor.of(X, B, np.asarray(1.0))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert factor is not None
    assert 0.9 < kept / (4 * 1500 * 1600) < 1.01
    assert 0.85 < peak / factor_bytes(1500, float) < 1.01


def test_what_does_not_fit_is_refused(monkeypatch):
    X = jnp.ones((3000, 2))
    assert check_memory("X", X) == factor_bytes(3000, float)
    assert factor_bytes(3000, np.float32) * 2 == factor_bytes(3000, float)
    monkeypatch.setattr(gram_factor, "memory_of_machine", lambda: 2**25)
    text = (
        r"^X: got 3,000 different samples, whose factor takes 0\.1 GiB, and this machine has 0\.0"
    )
    with pytest.raises(MemoryError, match=text):
        check_memory("X", X)
    with pytest.raises(MemoryError, match="3,000 different samples with 2 outputs"):
        check_memory("X", X, 2)
    check_memory("X", X[:1000])
    monkeypatch.setattr(gram_factor, "memory_of_machine", lambda: None)
    check_memory("X", X, 100)


def test_the_memory_of_the_machine(monkeypatch):
    found = gram_factor.memory_of_machine()
    assert found is not None and 2**28 < found < 2**44
    monkeypatch.delattr(gram_factor.os, "sysconf")
    monkeypatch.setattr(gram_factor.Path, "read_text", lambda path: "max\n")
    assert gram_factor.memory_of_machine() is None
    monkeypatch.setattr(gram_factor.Path, "read_text", lambda path: "1048576\n")
    assert gram_factor.memory_of_machine() == 2**20


def test_on_a_cpu_the_cpu_makes_it():
    assert gram_factor.on_host(jnp.ones((2, 2)), 2)
    X, B, _ = case(5)
    factor = gram_factor.factorize(jnp.asarray(X), jnp.asarray(B), 1.0)
    assert isinstance(factor, PanelFactor)
