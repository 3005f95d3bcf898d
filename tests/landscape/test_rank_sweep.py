"""A sweep says of each draw what one decomposition of its own Jacobian says."""

import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.landscape.rank import judge

KEY = jax.random.key(0)
N, M = np.array([3, 7, 12]), np.array([[2], [8]])


def dense(params, X, name):
    """Singular values of J by automatic differentiation and NumPy, largest first."""
    X, W, v = (np.asarray(array) for array in (X, *params))
    z = np.zeros(256)  # one length for all shapes: one program
    z[: len(X) * len(W)] = np.ravel(X @ W.T)
    slopes = _slopes(z, name)[: len(X) * len(W)].reshape(len(X), len(W))
    J = np.einsum("ij,j,ik->ijk", slopes, v, X).reshape(len(X), -1)
    values = np.zeros(len(X))
    found = np.linalg.svd(J, compute_uv=False)
    values[: len(found)] = found
    return values


@partial(jax.jit, static_argnames="name")
def _slopes(z, name):
    return jax.vmap(jax.grad(nl.get_activation(name).fn))(z)


@pytest.mark.parametrize("name", nl.activations())
def test_every_cell_agrees_with_its_own_jacobian(name):
    d = 3
    sweep = nl.rank_sweep(KEY, n=N, d=d, m=M, draws=2, activation=name)
    assert sweep.rank.shape == (2, 3, 2)
    for index in np.ndindex(*sweep.rank.shape):
        params, X = sweep.draw(*index)
        n, m = N[index[1]], M[index[0], 0]
        assert X.shape == (n, d) and params.W.shape == (m, d)
        one = nl.numerical_rank(params, X, activation=name, method="svd")
        assert one.verdict == sweep.verdict[index] and one.rank == sweep.rank[index]
        values = dense(params, X, name)
        assert sweep.sigma_max[index] == pytest.approx(values[0], rel=1e-10)
        if n <= d * m // 2:
            assert sweep.sigma_min[index] == pytest.approx(values[-1], abs=1e-12)
        else:
            assert sweep.sigma_min[index] == 0  # exactly, where the SVD of J leaves rounding
        assert sweep.threshold[index] == pytest.approx(one.threshold, rel=1e-10)


def test_padding_changes_no_verdict_near_the_threshold():
    """Spectra that fall through the threshold, of full ranks: none is called deficient."""
    h = np.array([4, 8, 9, 10])
    sweep = nl.rank_sweep(KEY, n=h, d=1, m=2 * h, draws=20)
    assert {"full", "undecided"} == set(sweep.verdict.ravel())
    for index in np.ndindex(*sweep.rank.shape):
        params, X = sweep.draw(*index)
        values = dense(params, X, "tanh")
        floor = sweep.threshold[index]
        if values[-1] > 3 * floor:
            assert sweep.rank[index] == len(X)
        if values[-1] > 30 * floor:
            assert sweep.verdict[index] == "full"
        if values[-1] < floor / 3:
            assert sweep.rank[index] < len(X)


def test_starts_are_mirrored_and_have_lecun_s_variance():
    sweep = nl.rank_sweep(KEY, n=50, d=4, m=80, draws=20)
    drawn = [sweep.draw(i) for i in range(20)]
    W = np.stack([params.W for params, _ in drawn])
    X = np.stack([X for _, X in drawn])
    np.testing.assert_array_equal(W[:, :40], W[:, 40:])
    np.testing.assert_array_equal(drawn[0][0].v, np.repeat([1.0, -1.0], 40))
    assert W.std() == pytest.approx(0.5, rel=0.05) and X.std() == pytest.approx(1, rel=0.05)
    assert len(np.unique(X)) == X.size and len(np.unique(W)) == W.size // 2
    assert float(jnp.abs(nl.forward(*drawn[0])).max()) < 1e-12


def test_shares_count_draws():
    sweep = nl.rank_sweep(KEY, n=[4, 9], d=4, m=4, draws=7, activation="relu")
    for verdict in ("full", "deficient", "undecided"):
        counted = [sum(row == verdict) / 7 for row in sweep.verdict]
        np.testing.assert_allclose(sweep.share(verdict), counted)
    assert sweep.share()[1] == 0 and sweep.share().shape == (2,)


def test_shapes_broadcast():
    def shape(n, m):
        return nl.rank_sweep(KEY, n=n, d=2, m=m, draws=3).rank.shape

    assert shape(2, 4) == (3,)
    assert shape([2, 3], 4) == (2, 3)
    assert shape([2, 3], [4, 6]) == (2, 3)
    assert shape([2, 3], [[4], [6], [2]]) == (3, 2, 3)


def test_the_square_s_rank_is_known():
    h = np.arange(1, 7)
    sweep = nl.rank_sweep(KEY, n=20, d=4, m=2 * h, draws=5, activation="square")
    missing = np.maximum(4 - h, 0)
    np.testing.assert_array_equal(
        sweep.rank, np.repeat(10 - missing * (missing + 1) // 2, 5).reshape(6, 5)
    )


def compiled(caplog):
    wanted = tuple(f"Finished XLA compilation of jit({name})" for name in ("_draw", "_spectra"))
    return [record for record in caplog.records if record.getMessage().startswith(wanted)]


def test_a_whole_table_is_compiled_once(caplog):
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        nl.rank_sweep(KEY, n=[5, 8, 13], d=3, m=[[2], [6]], draws=4)
        first = len(compiled(caplog))
        nl.rank_sweep(jax.random.key(1), n=[4, 2, 13], d=3, m=[[6], [4]], draws=4)
        again = len(compiled(caplog))
    assert first == 2 and again == 2  # draws and spectra, whatever n and m


def test_batches_do_not_show(monkeypatch):
    whole = nl.rank_sweep(KEY, n=[5, 6], d=2, m=6, draws=6)
    module = importlib.import_module(
        "narrowlib.landscape.rank_sweep"
    )  # nl.rank_sweep is the function
    monkeypatch.setattr(module, "BATCH", 150)
    jax.clear_caches()
    small = nl.rank_sweep(KEY, n=[5, 6], d=2, m=6, draws=6)
    np.testing.assert_allclose(small.sigma_min, whole.sigma_min, rtol=1e-9)


def test_judge_looks_at_no_value_beyond_the_rows():
    spectra = np.array([[1.0, 0.5, 0.0], [1.0, 0.5, 7.0], [1.0, 1e-12, 0.0]])
    rank, verdict, gap = judge(spectra, np.full(3, 1e-10), np.array([2, 2, 2]), np.array([2, 2, 2]))
    assert rank.tolist() == [2, 2, 1]
    assert verdict.tolist() == ["full", "full", "deficient"]
    np.testing.assert_allclose(gap, [5e9, 5e9, 1e12])
