"""A large array is looked at once, as long as it lives; small ones and others each time."""

import gc

import jax.numpy as jnp
import numpy as np
import pytest

from narrowlib import _seen
from narrowlib._checks import check_finite


def test_a_large_array_is_remembered_as_long_as_it_lives():
    x = jnp.zeros(_seen.LARGE)
    assert not _seen.is_known(x)
    check_finite("x", x)
    assert _seen.is_known(x) and not _seen.is_known(jnp.zeros(_seen.LARGE))
    before = len(_seen._found)
    del x
    gc.collect()
    assert len(_seen._found) == before - 1


def test_others_are_looked_at_each_time():
    small, host = jnp.zeros(3), np.zeros(_seen.LARGE)
    for x in (small, host):
        check_finite("x", x)
        assert not _seen.is_known(x)
    host[7] = np.nan
    with pytest.raises(ValueError, match="x: got 1 entries"):
        check_finite("x", host)
    with pytest.raises(ValueError, match="x: got 2 entries"):
        check_finite("x", jnp.asarray(host).at[5].set(np.inf))
