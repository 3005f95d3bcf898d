r"""What kind of stationary point is near? An answer that is proved, or "undecided".

A computed point is never exactly stationary. Newton's method tells whether an exact one is near:
let θ = (W, v), g = ‖∇ℓ(θ)‖, H = ∇²ℓ(θ), μ the least |eigenvalue| of H, and M a Lipschitz constant
of ∇²ℓ around θ. If h = M g/μ² < ½, there is a θ* with ∇ℓ(θ*) = 0 within
(μ/M)(1 − √(1 − 2h)) ≤ 2g/μ, and its Hessian has as many negative eigenvalues as H.

M comes from bounds on the outputs' derivatives in all weights, with S_k = sup |σ⁽ᵏ⁾|, R = max ‖xᵢ‖
and V = max ‖v_j‖, over the ball in question:

- ‖F″‖ ≤ B₂ = S₁‖X‖ + S₂ V R‖X‖,
- ‖F‴‖ ≤ B₃ = (2/√3) S₂ R‖X‖ + S₃ V R²‖X‖,
- M = (3‖F′‖B₂ + ‖r‖B₃)/n.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from narrowlib._checks import check_number, fail, is_concrete
from narrowlib._runs import runs
from narrowlib.constraints.pytrees import frozen_pytree
from narrowlib.network.activations import Activation
from narrowlib.network.hessian import dense_hessian
from narrowlib.network.linearization import Linearization, linearize
from narrowlib.network.model import Params
from narrowlib.network.theory import check_theory_problem

VERDICTS = ("undecided", "global minimum", "local minimum", "saddle", "not stationary")


@frozen_pytree()
class StationaryPoint:
    """What `stationary_point` found, with its numbers; a pytree, so that it passes `vmap`.

    Args:
        code: the place of the verdict among "undecided", "global minimum", "local minimum",
            "saddle", "not stationary".
        loss: ℓ at the point given.
        loss_bounds: between which losses the exact point lies, shape (2,); NaN where none is
            proved. (0, 0) for a global minimum, which fits every sample.
        gradient: g, with a bound on its rounding error added.
        eigenvalues: of the Hessian in all weights, ascending, shape (p,).
        slack: a bound on the rounding error of each eigenvalue.
        lipschitz: M, over the ball of radius 2g/μ; at the point itself where μ is lost in rounding.
        h: M g/μ², or L‖r‖/s² where an exact fit was proved; the verdict asks for less than ½.
        radius: how far away the exact point is at most; infinite where none is proved. For "not
            stationary" the radius within which there is none.
    """

    code: Int[Array, "..."]
    loss: Float[Array, "..."]
    loss_bounds: Float[Array, "... 2"]
    gradient: Float[Array, "..."]
    eigenvalues: Float[Array, "... p"]
    slack: Float[Array, "..."]
    lipschitz: Float[Array, "..."]
    h: Float[Array, "..."]
    radius: Float[Array, "..."]

    @property
    def verdict(self) -> str | np.ndarray:
        """The verdict; for a batch of points, an array of them."""
        if not is_concrete(self.code):
            fail("verdict", "a traced value", "Read `.code` inside jit or vmap.")
        found = np.array(VERDICTS)[np.asarray(self.code)]
        return str(found) if found.ndim == 0 else found

    @property
    def negative(self) -> Int[Array, "..."]:
        """How many eigenvalues are negative beyond rounding."""
        return jnp.sum(self.eigenvalues < -self.slack[..., None], axis=-1)


@runs("jit")
def stationary_point(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    within: float = 1e-6,
    allow_float32: bool = False,
) -> StationaryPoint:
    r"""Classify the point of the training loss that these weights are at, or close to.

    - "global minimum": weights within `radius` fit every sample exactly. Proved by the existence
      lemma for all weights together; possible only where p = m (d + K) ≥ n K.
    - "local minimum": within `radius` there is an exact, strict local minimum. It is a bad one if
      the lower of `loss_bounds` is positive and a fit exists.
    - "saddle": within `radius` there is an exact stationary point with a direction of descent.
    - "not stationary": within `within`·(1 + ‖θ‖) there is no stationary point.
    - "undecided": none of these is proved. Continuous families of stationary points have singular
      Hessians, so the test cannot prove them: copied neurons, neurons with v = 0.

    The bounds on the gradient, the eigenvalues and the residual take in the rounding errors of
    their sums; elementary functions and the eigenvalue routine are trusted to their usual accuracy.
    For small networks: the Hessian in all p weights is formed and decomposed, 24 n m d p + 9 p³
    operations.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`; one without a finite `slope`,
            `curvature` and `jerk` is always "undecided".
        within: the distance of "not stationary", relative to 1 + ‖θ‖.
        allow_float32: answer in single precision too.

    Returns:
        A `StationaryPoint`.

    Raises:
        ValueError: if shapes or precisions do not match, an entry is not finite, or in float32
            unless allowed.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     data = nl.gaussian(jax.random.key(0), n=30, d=5)
        ...     start = nl.lecun(jax.random.key(1), d=5, m=10)
        ...     sol = nl.levenberg_marquardt(start, data.X, data.y)
        ...     points = [nl.stationary_point(p, data.X, data.y) for p in (start, sol.params)]
        >>> [point.verdict for point in points]
        ['not stationary', 'global minimum']

    References:
        The argument is Newton–Kantorovich's. Chapter "What can go wrong in a narrow net".
    """
    params, X, y, sigma = check_theory_problem(
        params, X, y, activation=activation, allow_float32=allow_float32
    )
    within = check_number("within", within, above=0)
    return _classify(params, X, y, jnp.asarray(within, X.dtype), sigma)


@partial(jax.jit, static_argnames="sigma")
def _classify(
    params: Params, X: Array, y: Array, within: Array, sigma: Activation
) -> StationaryPoint:
    n, (W, v) = X.shape[0], params
    at = linearize(params, X, sigma)
    r, first = at.residual(y), at.dense_all
    size = jnp.sqrt(jnp.sum(W**2) + jnp.sum(v**2))
    H = dense_hessian(params, X, y, sigma)
    eigenvalues = jnp.linalg.eigvalsh(H)
    # a matrix with NaN would decide nothing anyway: every comparison below is false
    error_r, error_J, error_g, slack = _rounding(params, at, y, sigma)
    singular = jnp.linalg.svd(first, compute_uv=False)
    B1, s = singular[0] + error_J, singular[-1] - error_J
    residual = jnp.linalg.norm(r) + error_r
    gradient = jnp.sqrt(sum(jnp.sum(g**2) for g in at.gradient(r)))
    steepest = jnp.max(jnp.abs(eigenvalues)) + slack

    def bounds(radius: Array) -> tuple[Array, Array]:
        """B₂ and M over the ball of this radius."""
        B2, B3 = _derivative_bounds(v, X, sigma, radius)
        slope = B1 + B2 * radius
        return B2, (3 * slope * B2 + (residual + slope * radius) * B3) / n

    # an exact fit: the lemma of the expressivity theorem, for all weights
    wide = first.shape[0] <= first.shape[1]
    fit_h = bounds(2 * residual / s)[0] * residual / s**2
    fits = wide & (s > 0) & (fit_h < 0.5)
    fit_radius = 2 * residual / s / (1 + jnp.sqrt(1 - 2 * fit_h))
    # a stationary point: the same lemma for the gradient
    g, mu = gradient + error_g, jnp.maximum(jnp.min(jnp.abs(eigenvalues)) - slack, 0)
    M = bounds(jnp.where(mu > 0, 2 * g / mu, 0))[1]
    h = jnp.where(mu > 0, M * g / mu**2, jnp.inf)
    found = h < 0.5
    radius = 2 * g / mu / (1 + jnp.sqrt(1 - 2 * h))
    descends = eigenvalues[0] < -slack
    # none: the gradient does not vanish within this distance
    near = within * (1 + size)
    none = gradient - error_g > steepest * near + bounds(near)[1] * near**2 / 2

    code = jnp.select([fits, found & ~descends, found, none], [1, 2, 3, 4], 0)
    reach = residual - error_r + jnp.stack([-1, 1]) * (error_r + B1 * radius)
    reach = reach + jnp.stack([-1, 1]) * bounds(radius)[0] * radius**2 / 2
    losses = jnp.maximum(reach, 0) ** 2 / (2 * n)
    return StationaryPoint(
        code=code,
        loss=jnp.sum(r**2) / (2 * n),
        loss_bounds=jnp.where(fits, 0, jnp.where(found, losses, jnp.nan)),
        gradient=g,
        eigenvalues=eigenvalues,
        slack=slack,
        lipschitz=M,
        h=jnp.where(fits, fit_h, h),
        radius=jnp.select([fits, found, none], [fit_radius, radius, near], jnp.inf),
    )


def _derivative_bounds(v: Array, X: Array, sigma: Activation, radius: Array) -> tuple[Array, Array]:
    """B₂ and B₃ over the ball of this radius in (W, v)."""
    norm, R = jnp.linalg.norm(X, 2), jnp.max(jnp.linalg.norm(X, axis=1))
    V = jnp.max(jnp.linalg.norm(v.reshape(v.shape[0], -1), axis=1)) + radius
    B2 = sigma.slope * norm + sigma.curvature * V * R * norm
    B3 = 2 / 3**0.5 * sigma.curvature * R * norm + sigma.jerk * V * R**2 * norm
    return B2, B3


def _rounding(
    params: Params, at: Linearization, y: Array, sigma: Activation
) -> tuple[Array, Array, Array, Array]:
    """Bounds on the rounding errors of the residual, of F′, of ∇ℓ and of the eigenvalues of ∇²ℓ.

    A pre-activation errs by d ε‖xᵢ‖‖w_j‖ at most, and σ and its derivatives by four units more.
    """
    W, X, r, m = params.W, at.X, at.residual(y), params.W.shape[0]
    (n, d), largest = X.shape, jnp.max(jnp.abs(at.phi))
    eps = jnp.finfo(X.dtype).eps
    v = params.v.reshape(m, -1)
    R, norm = jnp.max(jnp.linalg.norm(X, axis=1)), jnp.linalg.norm(X)
    heaviest = jnp.max(jnp.linalg.norm(v, axis=1))
    z = d * eps * R * jnp.max(jnp.linalg.norm(W, axis=1))
    error_0 = sigma.slope * z + 4 * eps * largest
    error_1 = sigma.curvature * z + 4 * eps * sigma.slope
    error_2 = sigma.jerk * z + 4 * eps * sigma.curvature
    size_r, sums = jnp.linalg.norm(r), (n + m + d + 8) * eps
    error_r = (error_0 + m * eps * largest) * n**0.5 * jnp.sum(jnp.abs(v))
    error_r = error_r + 2 * eps * jnp.linalg.norm(y)
    error_J = error_1 * jnp.linalg.norm(v) * norm + error_0 * (n * m * v.shape[1]) ** 0.5
    whole = at.frobenius
    error_J = error_J + sums * whole
    error_g = (whole * error_r + error_J * size_r + sums * whole * size_r) / n
    second = sigma.slope * norm + sigma.curvature * heaviest * R * norm
    error_H = 2 * whole * error_J + second * error_r
    error_H = error_H + size_r * norm * (error_1 + error_2 * heaviest * R)
    error_H = error_H + (sums + (W.size + v.size) * eps) * (whole**2 + size_r * second)
    return error_r, error_J, error_g, error_H / n
