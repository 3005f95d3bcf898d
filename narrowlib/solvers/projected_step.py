"""One step of projected gradient descent, with its step size and its exact step along the ray.

A step costs two products of an n × d by a d × m matrix: one forward at the new point, one back
through X for the gradient there, with which the next step begins. A rejected trial of
backtracking costs one more; the projection and the ray cost O(m d + m log m + n).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from narrowlib.constraints.base import Product
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import pull_back
from narrowlib.network.model import Params, half_mean_square
from narrowlib.solvers.result import RESULTS
from narrowlib.solvers.step_sizes import Backtracking


class Evaluation(NamedTuple):
    """The loss at one point. Nothing n × m: what a step carries is copied every time.

    Args:
        residual: F − y, shape (n,) or (n, K).
        loss: half the mean squared residual.
        gradient: its gradient, shaped like the parameters.
    """

    residual: Array
    loss: Array
    gradient: Params


class ForwardPass(NamedTuple):
    """The network at one point, as far as its gradient needs it.

    Args:
        phi: σ(X Wᵀ), shape (n, m).
        slope: σ′(X Wᵀ), shape (n, m).
        residual: F − y, shape (n,) or (n, K).
        loss: half the mean squared residual.
    """

    phi: Array
    slope: Array
    residual: Array
    loss: Array


class ProjectedGradientState(NamedTuple):
    """Where a run stands: all that the next step needs.

    Args:
        params: the feasible parameters.
        evaluation: the loss and its gradient there.
        step_size: the η used last; before the first step, the first to be tried.
        stationarity: ‖x − P(x − η∇ℓ)‖/η at the parameters before the last step.
        num_steps: steps taken.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Params
    evaluation: Evaluation
    step_size: Array
    stationarity: Array
    num_steps: Array
    code: Array


def forward_pass(params: Params, X: Array, y: Array, sigma: Activation) -> ForwardPass:
    """One product with X: outputs, slopes and the loss."""
    Z = X @ params.W.T
    phi = sigma.fn(Z)
    residual = phi @ params.v - y
    return ForwardPass(phi, sigma.derivative(Z), residual, half_mean_square(residual))


def evaluate(params: Params, at: ForwardPass, X: Array) -> Evaluation:
    """Another product with X: the gradient."""
    n = X.shape[0]
    gradient = Params(
        W=pull_back(at.slope, params.v, at.residual).T @ X / n, v=at.phi.T @ at.residual / n
    )
    return Evaluation(at.residual, at.loss, gradient)


@partial(jax.jit, static_argnames="sigma")
def first_state(
    constraint: Product, rule: Any, params: Params, X: Array, y: Array, sigma: Activation
) -> ProjectedGradientState:
    """The state before the first step, at the projection of the parameters."""
    params = constraint.project(params)
    first = rule.initial if isinstance(rule, Backtracking) else rule.at(jnp.zeros((), int))
    return ProjectedGradientState(
        params=params,
        evaluation=evaluate(params, forward_pass(params, X, y, sigma), X),
        step_size=jnp.asarray(first, X.dtype),
        stationarity=jnp.asarray(jnp.inf, X.dtype),
        num_steps=jnp.zeros((), int),
        code=jnp.asarray(RESULTS.max_steps.code),
    )


def _trial(
    constraint: Product, params: Params, gradient: Params, eta_W: Array, eta: Array
) -> Params:
    """The projected point for these step sizes."""
    return constraint.project(Params(params.W - eta_W * gradient.W, params.v - eta * gradient.v))


def _mapping(params: Params, new: Params, eta_W: Array, eta: Array) -> Array:
    """‖x − P(x − η∇ℓ)‖/η, each block with its own η."""
    W, v = (params.W - new.W) / eta_W, (params.v - new.v) / eta
    return jnp.sqrt(jnp.sum(W**2) + jnp.sum(v**2))


@partial(jax.jit, static_argnames=("ray_scaling", "sigma"))
def projected_step(
    constraint: Product,
    rule: Any,
    ray_scaling: bool,
    state: ProjectedGradientState,
    X: Array,
    y: Array,
    sigma: Activation,
    tol: Array,
) -> ProjectedGradientState:
    """One step, if one is possible: its code says why not, or that x was stationary to `tol`."""
    params, now = state.params, state.evaluation
    scale = jnp.ones((), X.dtype)
    if ray_scaling:
        mean_square = jnp.sum(params.v**2) / params.v.shape[0]
        scale = jnp.where(mean_square > 0, mean_square, 1)
    if isinstance(rule, Backtracking):
        eta, new, at, found = _search(constraint, rule, state, scale, X, y, sigma)
    else:
        eta = jnp.asarray(rule.at(state.num_steps), X.dtype)
        new = _trial(constraint, params, now.gradient, eta / scale, eta)
        at, found = forward_pass(new, X, y, sigma), jnp.asarray(True)
    # long steps make the measure small: take no step above 1 for it
    tried = _first_trial(rule, state) if isinstance(rule, Backtracking) else eta
    steps = jnp.minimum(tried / scale, 1), jnp.minimum(tried, 1)
    if isinstance(rule, Backtracking) or ray_scaling:
        stationarity = _mapping(params, _trial(constraint, params, now.gradient, *steps), *steps)
    else:
        near = jax.lax.cond(
            eta > 1, lambda: _trial(constraint, params, now.gradient, *steps), lambda: new
        )
        # the two agree in order; where rounding swallows the shorter step, the longer one counts
        stationarity = jnp.maximum(_mapping(params, near, *steps), _mapping(params, new, eta, eta))
    if ray_scaling:
        new, at = _scale_ray(constraint, new, at, y)
    after = evaluate(new, at, X)
    stationary = stationarity <= tol
    finite = jnp.isfinite(stationarity) & jnp.isfinite(after.loss)
    code = jnp.where(found, state.code, RESULTS.step_too_small.code)
    code = jnp.where(finite, code, RESULTS.non_finite.code)
    code = jnp.where(stationary, RESULTS.converged.code, code)
    take = code == state.code
    new, after = jax.tree.map(partial(jnp.where, take), (new, after), (params, now))
    return ProjectedGradientState(
        new,
        after,
        eta,
        stationarity,
        state.num_steps + take.astype(state.num_steps.dtype),
        code.astype(state.code.dtype),
    )


def _first_trial(rule: Backtracking, state: ProjectedGradientState) -> Array:
    grown = state.step_size * rule.grow
    return jnp.where(state.num_steps > 0, grown, rule.initial).astype(grown.dtype)


def _search(
    constraint: Product,
    rule: Backtracking,
    state: ProjectedGradientState,
    scale: Array,
    X: Array,
    y: Array,
    sigma: Activation,
) -> tuple[Array, Params, ForwardPass, Array]:
    """Shrink η until the step decreases the loss enough."""
    params, now = state.params, state.evaluation

    def attempt(eta: Array) -> tuple[Array, Params, ForwardPass, Array]:
        new = _trial(constraint, params, now.gradient, eta / scale, eta)
        at = forward_pass(new, X, y, sigma)
        moved_W, moved_v = jnp.sum((new.W - params.W) ** 2), jnp.sum((new.v - params.v) ** 2)
        predicted = (scale * moved_W + moved_v) / eta
        # a step so short that rounding swallows it is no step
        enough = (predicted > 0) & (at.loss <= now.loss - rule.decrease * predicted)
        return eta, new, at, enough

    def rejected(carry: tuple) -> Array:
        trials, (_, _, _, enough) = carry
        return ~enough & (trials < rule.max_trials)

    def shrink(carry: tuple) -> tuple:
        trials, (eta, *_) = carry
        return trials + 1, attempt(eta * rule.shrink)

    start = (jnp.ones((), int), attempt(_first_trial(rule, state)))
    return jax.lax.while_loop(rejected, shrink, start)[1]


def _scale_ray(
    constraint: Product, params: Params, at: ForwardPass, y: Array
) -> tuple[Params, ForwardPass]:
    """The least loss on {αv}: α = ⟨F, y⟩/⟨F, F⟩, but no less than stays feasible."""
    F = at.residual + y
    square = jnp.sum(F**2)
    alpha = jnp.sum(F * y) / jnp.where(square > 0, square, 1)
    alpha = jnp.maximum(alpha, constraint.v.least_scale(params.v))
    alpha = jnp.where((square > 0) & jnp.isfinite(alpha), alpha, 1)
    residual = alpha * F - y
    return (
        Params(params.W, alpha * params.v),
        at._replace(residual=residual, loss=half_mean_square(residual)),
    )
