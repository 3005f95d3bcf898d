"""What the experiments share, against the library's own start and set."""

import jax
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.study.shared import rounded, set_around, start_from


def test_the_switch_gives_the_mirrored_start_or_leaves_all_as_it_is():
    free = nl.lecun(jax.random.key(0), d=3, m=6)
    both = jax.vmap(lambda on: start_from(*free, on))(np.array([0, 1]) > 0)
    for part, given in zip(both, free, strict=True):
        np.testing.assert_array_equal(part[0], given)
    W, v = np.asarray(both.W[1]), np.asarray(both.v[1])
    np.testing.assert_array_equal(W, np.tile(free.W[:3], (2, 1)))
    own = nl.mirrored_lecun(jax.random.key(1), d=3, m=6)
    np.testing.assert_allclose(v, own.v, rtol=1e-15)


@pytest.mark.parametrize("far", [0.5, 3.0])
def test_the_set_is_the_papers(far):
    start = nl.mirrored_lecun(jax.random.key(0), d=3, m=4)
    sets = set_around(start, 1.5, zeta=0.2, kappa=4.0)
    move = np.zeros((4, 3))
    move[0, 0] = far
    end = sets.project(nl.Params(start.W + move, np.array([9.0, 0.0, -9.0, 0.0])))
    assert np.linalg.norm(end.W - start.W) == pytest.approx(min(far, 1.5))
    u = np.asarray(end.v[:2])
    assert (u >= 0.1 - 1e-12).all() and u[0] <= 4 * u[1] + 1e-12
    np.testing.assert_array_equal(end.v[2:], -u)
    assert sets.violation(start) == 0


def test_few_digits():
    values = np.array([[1 / 3, np.inf], [2e-9 / 3, -np.nan]], np.float32)
    assert rounded(values) == [[0.3333, None], [6.667e-10, None]]
    assert rounded(np.float64(123456), 3) == 123000.0 and rounded(np.nan) is None
