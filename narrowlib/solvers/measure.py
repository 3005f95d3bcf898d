r"""What `tol` is compared with: two relative measures, in units made once, here.

A residual is measured in units of the targets,

$$\frac{\|r\|}{\|y\|} \quad (\|r\| \text{ where } y = 0),$$

and a gradient, by what the normal cone of the feasible set leaves of it, block by block in units of
the Jacobian in that block and of the targets:

$$\Bigl\|\Bigl(\frac{\operatorname{dist}(-\nabla_W \ell, N_W)}{u_W},
  \frac{\operatorname{dist}(-\nabla_v \ell, N_v)}{u_v}\Bigr)\Bigr\|, \qquad
  u_W = \tfrac1n \|J_W\|_F \|y\|, \quad u_v = \tfrac1n \|J_v\|_F \|y\|.$$

Both are at most about 1 at a start that computes zero, since $\nabla\ell = J^\top r / n$. Neither
changes when y and v are multiplied by the same number, or when X is and W divided by it. One unit
for both blocks would not do: $\nabla_W \ell$ grows with the square of the targets, $\nabla_v \ell$
with the targets.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from narrowlib.constraints.base import Constraint, Product
from narrowlib.constraints.lengths import length, power_of_two
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization, columns, linearize, output_sizes
from narrowlib.network.model import Params, half_mean_square


class Data(NamedTuple):
    """The samples of a problem, with what the measures need of them; made by `prepare`.

    Args:
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        squares: ‖xᵢ‖², shape (n,).
        target: ‖y‖, or 1 where y = 0.
        XT: `columns(X)`.
    """

    X: Array
    y: Array
    squares: Array
    target: Array
    XT: Array | None

    def linearize(self, params: Params, sigma: Activation) -> Linearization:
        """The network at these parameters, on these samples."""
        return linearize(params, self.X, sigma, self.XT)


def target_size(y: Float[Array, "n *K"]) -> Float[Array, ""]:
    """The unit of residuals: ‖y‖, or 1 where y = 0."""
    size = length(y)
    return jnp.where(size > 0, size, jnp.ones_like(size))


def prepare(X: Float[Array, "n d"], y: Float[Array, "n *K"]) -> Data:
    """The data with their sizes."""
    return Data(X, y, jnp.sum(X**2, axis=1), target_size(y), columns(X))


def block_units(at: Linearization, data: Data) -> Params:
    """The units (u_W, u_v) of the gradient's two blocks; 1 for a block whose Jacobian is zero."""
    n, scale = data.X.shape[0], power_of_two(jnp.max(jnp.abs(at.v)))
    weights = output_sizes(at.v / scale) ** 2
    in_W = scale * jnp.sqrt(weights @ (at.slope**2 @ data.squares))
    # as a product with ones: in the compiled loop three times as fast as one sum over m × n entries
    in_v = jnp.sqrt(at.num_outputs * jnp.sum(at.phi**2 @ jnp.ones_like(data.squares)))
    W, v = (u * (data.target / n) for u in (in_W, in_v))
    # a unit that vanishes for its small factors stays 0: a measure in it is NaN, and meets no tol
    return Params(W=jnp.where(in_W > 0, W, 1), v=jnp.where(in_v > 0, v, 1))


def stationarity(
    constraint: Product, params: Params, gradient: Params, units: Params
) -> Float[Array, ""]:
    """The measure of a gradient. It says when to stop, and has no derivative."""
    # cones may be scaled: the blocks are measured in their units before, not after
    params, gradient, units = jax.lax.stop_gradient((params, gradient, units))
    relative = Params(W=gradient.W / units.W, v=gradient.v / units.v)
    return distance(constraint, params, relative)


def evaluate(
    constraint: Product, params: Params, at: Linearization, residual: Array, data: Data
) -> dict[str, Any]:
    """What a state of the constrained problem holds of one point beside the weights."""
    gradient = at.gradient(residual)
    return {
        "residual": residual,
        "loss": half_mean_square(residual),
        "gradient": gradient,
        "stationarity": stationarity(constraint, params, gradient, block_units(at, data)),
    }


def distance(constraint: Product, params: Params, gradient: Params) -> Float[Array, ""]:
    """The distance from −gradient to the normal cone of the product."""
    return jnp.hypot(
        _left(constraint.W, params.W, gradient.W), _left(constraint.v, params.v, gradient.v)
    )


def _left(constraint: Constraint, x: Array, gradient: Array) -> Array:
    """What the normal cone leaves of −gradient g.

    For a set that knows no tangent cone it is ‖x − P(x − s g)‖/s, which is zero exactly at
    stationary points too, for every s > 0. Here s g has a length that x's digits show well,
    whatever step a solver has in use.
    """
    if type(constraint).tangent is not Constraint.tangent:
        return constraint.normal_cone_residual(x, gradient)
    size, slope = length(x), length(gradient)
    move = jnp.finfo(x.dtype).eps ** 0.25 * jnp.where(size > 0, size, 1)
    step = move / jnp.where(slope > 0, slope, 1)
    return length(x - constraint.project(x - step * gradient)) / step


def shown_unit(
    constraint: Product, params: Params, gradient: Params, units: Params, measure: Array
) -> Float[Array, ""]:
    """What the measure is to be multiplied by for the distance itself, both blocks together."""
    plain = distance(constraint, params, gradient)
    mean = jnp.sqrt((units.W**2 + units.v**2) / 2)
    return jnp.where(measure > 0, plain / jnp.where(measure > 0, measure, 1), mean)
