"""Step sizes and the like that an optimiser keeps in its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from narrowlib._checks import check_number, fail, shown


def with_hyperparams(hyperparams: Mapping[str, float], opt_state: Any) -> Any:
    """An optimiser's state with these values, in the precision of those that were there.

    Raises:
        ValueError: if the state keeps no such value, or a schedule sets it, or one is no number.
    """
    if not isinstance(hyperparams, Mapping):
        fail("hyperparams", shown(hyperparams), 'Pass a dictionary such as {"learning_rate": 0.1}.')
    kept = [s for s in jax.tree.leaves(opt_state, is_leaf=_injected) if _injected(s)]
    names = {name for state in kept for name in state.hyperparams}
    scheduled = {name for state in kept for name in getattr(state, "hyperparams_states", {})}
    for name, value in hyperparams.items():
        if name not in names:
            there = f"It keeps {', '.join(sorted(names))}." if names else (
                "The optimiser keeps no such value: make it with optax.inject_hyperparams."
            )  # fmt: skip
            fail("hyperparams", shown(name), there)
        if name in scheduled:
            fail("hyperparams", shown(name), "A schedule sets it at each step: make it a number.")
        check_number(f"hyperparams[{name!r}]", value)

    def put(state: Any) -> Any:
        if not _injected(state):
            return state
        values = {
            name: jnp.asarray(hyperparams.get(name, now), jnp.result_type(now))
            for name, now in state.hyperparams.items()
        }
        return state._replace(hyperparams=values)

    return jax.tree.map(put, opt_state, is_leaf=_injected)


def _injected(state: Any) -> bool:
    return isinstance(getattr(state, "hyperparams", None), dict)
