"""Any Optax optimiser, kept feasible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from narrowlib._checks import check_optimizer, fail, shown
from narrowlib._runs import runs
from narrowlib.constraints.base import Constraint, Product, check_constraint
from narrowlib.constraints.paths import check_fits, check_sets, named_leaves, project_by_path

Project = Callable[[Any], Any]


@runs("jit and grad")
def projected(
    optimizer: optax.GradientTransformation, constraint: Any
) -> optax.GradientTransformationExtraArgs:
    r"""Wrap an Optax optimiser so that its parameters stay in a set.

    $$\theta_{k+1} = P_C(\theta_k + u_k)$$

    with the optimiser's update $u_k$. After plain `optax.sgd` without momentum that is the
    projected gradient step. **After Adam, or any other preconditioned or averaged step, it is
    not**: its fixed points need not be KKT points, so nothing that the KKT theorem says of KKT
    points follows for where it stops. Check the end with `kkt_certificate`.

    The projection must be the last that happens to an update. In a chain wrap the whole,
    `projected(optax.chain(a, b), C)`, or the last part, `optax.chain(a, projected(b, C))`: the two
    are the same. `optax.chain(projected(a, C), b)` leaves the set. `optax.masked`,
    `optax.multi_transform`, `optax.MultiSteps`, `optax.lookahead` and `nnx.Optimizer` go outside;
    `optax.inject_hyperparams` goes either side.

    Args:
        optimizer: an Optax gradient transformation, or an object such as `optax.MultiSteps`.
        constraint: a `Product`, for the parameters at the paths "W" and "v" (of `Params`, or of a
            `OneHiddenLayer`'s state); a mapping from paths to sets, as `trainer.sets(net)`; one
            set where the parameters are one array; or an object with `project(params)`.

    Returns:
        A gradient transformation whose `update` must be given the parameters.

    Raises:
        ValueError: if the optimiser or the constraint is none; in `init`, if a path is missing or a
            set does not fit its parameter; in `update`, if it is called without parameters.

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

    References:
        Zhang et al. (2021), Algorithm 2, for plain gradient descent.
    """
    inner = check_optimizer("optimizer", optimizer)
    project = _projection(constraint)

    def init(params: Any) -> Any:
        if isinstance(constraint, Product | Mapping):
            check_sets(_by_path(constraint), params)
        elif isinstance(constraint, Constraint):
            check_fits("constraint", constraint, _only_leaf(constraint, params))
        return inner.init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if params is None:
            fail("params", "None", "Call update(gradients, state, params) with them.")
        updates, state = inner.update(updates, state, params, **extra)
        moved = project(optax.apply_updates(params, updates))
        return jax.tree.map(lambda new, old: new - old, moved, params), state

    return optax.GradientTransformationExtraArgs(init, update)


def _by_path(constraint: Product | Mapping[str, Constraint]) -> Mapping[str, Constraint]:
    if isinstance(constraint, Product):
        return {"W": constraint.W, "v": constraint.v}
    return constraint


def _projection(constraint: Any) -> Project:
    """The projection of whatever pytree the parameters are."""
    if isinstance(constraint, Product | Mapping):
        sets = _by_path(constraint)
        for path, one in sets.items():
            check_constraint(f"constraint[{path!r}]", one)
        return lambda params: project_by_path(sets, params)
    if isinstance(constraint, Constraint):
        return lambda params: jax.tree.map(constraint.project, params)
    project = getattr(constraint, "project", None)
    if isinstance(constraint, type) or not callable(project):
        mend = "Pass a Product, sets by path, or a constraint on one array."
        fail("constraint", shown(constraint), mend)
    return project


def _only_leaf(constraint: Constraint, params: Any) -> Any:
    leaves, _ = named_leaves(params)
    if len(leaves) != 1:
        got = f"one {type(constraint).__name__} for {len(leaves)} parameters"
        fail("constraint", got, f"Pass sets by path: the parameters are {', '.join(leaves)}.")
    return next(iter(leaves.values()))
