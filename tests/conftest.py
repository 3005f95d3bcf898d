"""The library's tests run without implicit broadcasting of ranks or promotion of types."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def strict_jax():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield
