"""The door: what passes, and what is refused in words."""

import jax
import jax.numpy as jnp

from narrowlib._checks import is_traced


def test_a_dictionary_whose_keys_have_no_order_is_not_traced():
    assert not is_traced({"a": 1, 2: "b"}) and not is_traced(([{None: 1, 3: 2}],))
    assert not is_traced(iter([1]), (k for k in range(2)))
    assert jax.jit(lambda x: jnp.full((), is_traced({"a": x})))(1.0)
