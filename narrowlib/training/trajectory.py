r"""The path that an optimizer takes through weight space, with any Optax transformation.

Step k+1 is $\theta_{k+1} = \theta_k + u(\nabla \ell_{B_k}(\theta_k))$, where u is the optimizer's
update and $\ell_{B_k}$ the loss on the k-th minibatch, or on all samples. One `lax.scan` over what
is recorded, and inside it one over the steps in between: nothing is compiled twice, and memory
goes to recorded points only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from narrowlib._checks import check_int, check_optimizer, fail, shown
from narrowlib._runs import runs
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_finite_problem, check_problem, half_mean_square
from narrowlib.training.minibatches import batches_of_epoch, check_batches


class Trajectory(NamedTuple):
    """What `trajectory` returns, as a pytree; T recorded points, of which the start is the first.

    Args:
        params: the weights, with time in front: `W` (T, m, d), `v` (T, m) or (T, m, K).
        steps: how many steps were taken before each point, shape (T,): 0, record_every, …
        loss: ℓ on all samples, shape (T,).
        distance: ‖W − W₀‖ in the Frobenius norm, shape (T,).
        finite: whether weights and loss are finite, shape (T,); once False, it stays so.
    """

    params: Params
    steps: Int[Array, " time"]
    loss: Float[Array, " time"]
    distance: Float[Array, " time"]
    finite: Bool[Array, " time"]


@runs("jit and grad")
def trajectory(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    optimizer: optax.GradientTransformation,
    *,
    num_steps: int,
    record_every: int = 1,
    batch_size: int | None = None,
    key: Key[Array, ""] | None = None,
    trainable: Sequence[str] = ("W", "v"),
    activation: str | Activation = "tanh",
) -> Trajectory:
    """Run an optimizer on `nl.loss` for a number of steps, and keep the weights on the way.

    Nothing stops a run early and nothing is raised: a run that diverges has infinity or NaN in
    its histories from there on, and `finite` says where.

    With `batch_size`, every epoch goes through the samples in a new random order, the one that
    `ConstrainedTrainer` has with the same key. Every batch is full: the n mod `batch_size` samples
    at the order's end are left out, in each epoch others.

    Memory: T (m d + m K) numbers for T = num_steps / record_every + 1 recorded points.
    Under `vmap`, over starts, data, keys or step sizes, that is so for each run. For step sizes,
    map a function that makes the optimizer, or use `optax.inject_hyperparams`. One optimizer
    object is compiled once for each shape of the data; `optax.sgd(0.1)` written anew is another.

    Args:
        params: the start, `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        optimizer: any Optax transformation, such as `optax.sgd(0.1)`, with schedules if wanted.
            One that needs the loss (`optax.lbfgs`, `optax.polyak_sgd`) receives it.
        num_steps: how many steps, a multiple of `record_every`.
        record_every: how many steps from one recorded point to the next.
        batch_size: how many samples a step sees, at most n; `None` for all.
        key: a JAX random key for the order of the samples; not used without `batch_size`.
        trainable: which weights move. The optimizer sees those only, and receives `Params` with
            `None` for the others, so that weight decay and norms leave these out.
        activation: a name of `activations()` or an `Activation`.

    Returns:
        A `Trajectory`.

    Raises:
        ValueError: if shapes or precisions do not match, an entry is not finite, or a number of
            steps or samples, the key, the optimizer or a name in `trainable` is not as above.

    Example:
        >>> import jax, optax
        >>> import narrowlib as nl
        >>> data = nl.gaussian(jax.random.key(0), n=20, d=5)
        >>> start = nl.mirrored_lecun(jax.random.key(1), d=5, m=16)
        >>> path = nl.trajectory(start, data.X, data.y, optax.sgd(0.5), num_steps=200,
        ...                      record_every=50, trainable=("W",))
        >>> path.steps.tolist(), path.params.W.shape
        ([0, 50, 100, 150, 200], (5, 16, 5))
        >>> bool(path.loss[-1] < path.loss[0] / 2), float(path.distance[0])
        (True, 0.0)

    References:
        Chapter "Does gradient descent stay?".
    """
    sigma = get_activation(activation)
    params, X, y = check_problem(params, X, y)
    check_finite_problem(params, X, y)
    record_every = check_int("record_every", record_every, 1)
    num_steps = check_int("num_steps", num_steps, 1)
    if num_steps % record_every:
        fail("num_steps", num_steps, f"Pass a multiple of record_every = {record_every}.")
    batch_size, key = check_batches(batch_size, key, len(X))
    optimizer = check_optimizer("optimizer", optimizer)
    names = (trainable,) if isinstance(trainable, str) else trainable
    if not isinstance(names, Sequence) or not names or any(n not in Params._fields for n in names):
        fail("trainable", shown(trainable), 'Pass ("W",), ("v",) or ("W", "v").')
    return _run(params, X, y, key, optimizer, sigma, num_steps // record_every, record_every,
                batch_size, tuple(name in names for name in Params._fields))  # fmt: skip


_STATIC = ("optimizer", "sigma", "records", "between", "batch_size", "moves")


@partial(jax.jit, static_argnames=_STATIC)
def _run(
    start: Params,
    X: Array,
    y: Array,
    key: Array | None,
    optimizer: optax.GradientTransformationExtraArgs,
    sigma: Activation,
    records: int,
    between: int,
    batch_size: int | None,
    moves: tuple[bool, bool],
) -> Trajectory:
    n = len(X)

    def whole(moving: Params) -> Params:
        """All weights, from those that move."""
        return Params(*(s if p is None else p for p, s in zip(moving, start, strict=True)))

    def residual(moving: Params, X: Array, y: Array) -> Array:
        params = whole(moving)
        return sigma.fn(X @ params.W.T) @ params.v - y

    per_epoch = 1 if batch_size is None else n // batch_size

    def shuffled(epoch: Array) -> Array:
        assert key is not None and batch_size is not None  # where there are minibatches
        return batches_of_epoch(key, epoch, n, batch_size)

    def step(carry: tuple[Params, Any, Array, Array], _: None) -> tuple:
        moving, state, batches, k = carry
        samples, targets = X, y
        if batch_size is not None:
            place = k % per_epoch
            batches = jax.lax.cond(place == 0, shuffled, lambda _: batches, k // per_epoch)
            samples, targets = X[batches[place]], y[batches[place]]

        def loss(moving: Params) -> Array:
            return half_mean_square(residual(moving, samples, targets))

        value, gradient = jax.value_and_grad(loss)(moving)
        given = {"value": value, "grad": gradient, "value_fn": loss}
        change, state = optimizer.update(gradient, state, moving, **given)
        return (optax.apply_updates(moving, change), state, batches, k + 1), None

    def record(carry: tuple, _: None) -> tuple:
        carry = jax.lax.scan(step, carry, length=between)[0]
        return carry, observe(carry[0])

    def observe(moving: Params) -> tuple[Params, Array, Array]:
        distance = jnp.linalg.norm(whole(moving).W - start.W)
        return moving, half_mean_square(residual(moving, X, y)), distance

    moving = Params(*(p if move else None for p, move in zip(start, moves, strict=True)))  # type: ignore
    batches = jnp.zeros((per_epoch, batch_size or 0), int)
    carry = (moving, optimizer.init(moving), batches, jnp.zeros((), int))
    history = jax.lax.scan(record, carry, length=records)[1]
    first = jax.tree.map(lambda a: a[None], observe(moving))
    stacked, loss, distance = jax.tree.map(lambda *a: jnp.concatenate(a), first, history)
    still = jax.tree.map(lambda a: jnp.broadcast_to(a, (records + 1, *a.shape)), start)
    path = Params(*(s if p is None else p for p, s in zip(stacked, still, strict=True)))
    finite = jnp.isfinite(loss) & jnp.all(jnp.isfinite(path.W), axis=(1, 2))
    finite &= jnp.all(jnp.isfinite(path.v), axis=tuple(range(1, path.v.ndim)))
    return Trajectory(path, between * jnp.arange(records + 1), loss, distance, finite)
