"""Any Optax optimiser, kept feasible."""

from __future__ import annotations

from typing import Any

import jax
import optax

from narrowlib._checks import fail


def projected(
    optimizer: optax.GradientTransformation, constraint: Any
) -> optax.GradientTransformationExtraArgs:
    """Wrap an Optax optimiser so that its parameters stay in a set.

    Each update is followed by the Euclidean projection. After plain `optax.sgd` without momentum
    that is the projected gradient step. **After Adam, or any other preconditioned or averaged
    step, it is not**: its fixed points need not be KKT points, so nothing that the KKT theorem
    says of KKT points follows for where it stops. Check the end with `kkt_certificate`.

    Args:
        optimizer: an Optax gradient transformation.
        constraint: an object with `project(params)`: a `Product` for `Params`, or a single
            `Ball`, `PairedCone`, … where the parameters are one array.

    Returns:
        A gradient transformation whose `update` must be given the parameters, and must come last
        in a chain.

    Raises:
        ValueError: if the constraint has no `project`, or `update` is called without parameters.

    Example:
        >>> import jax, optax
        >>> import narrowlib as nl
        >>> start = nl.mirrored_lecun(jax.random.key(0), d=3, m=4)
        >>> C = nl.Product(W=nl.Ball(start.W, radius=0.1), v=nl.PairedCone(zeta=0.1, kappa=2.0))
        >>> optimizer = nl.projected(optax.adam(0.3), C)
        >>> state = optimizer.init(start)
        >>> gradient = jax.tree.map(jax.numpy.ones_like, start)
        >>> updates, state = optimizer.update(gradient, state, start)
        >>> bool(C.violation(optax.apply_updates(start, updates)) < 1e-6)
        True
    """
    if not hasattr(constraint, "project"):
        fail("constraint", repr(constraint), "Pass a Product, or a constraint on one array.")
    inner = optax.with_extra_args_support(optimizer)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if params is None:
            fail("params", "None", "Call update(gradients, state, params) with them.")
        updates, state = inner.update(updates, state, params, **extra)
        moved = constraint.project(optax.apply_updates(params, updates))
        return jax.tree.map(lambda new, old: new - old, moved, params), state

    return optax.GradientTransformationExtraArgs(inner.init, update)
