"""Where does the constrained problem end? Projected gradient from many random feasible starts.

Gaussian samples with ±1 labels, the ball around a mirrored start and a paired cone. For each width
and each radius ε of the ball, 500 starts: W uniform in the ball, v in the cone with sizes over two
decades. Ray-scaled projected gradient with backtracking, one compiled program a width. An end is
a fit, or stuck, which is a KKT point with a loss above 1e-3, or it is still on its way.
"""

import jax
import jax.numpy as jnp
import numpy as np

import narrowlib as nl

jax.config.update("jax_enable_x64", True)

RECORD = {
    "n": 12,
    "d": 8,
    "widths": [4, 8],
    "radii": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1, 3, 10, 30, 100],
    "zeta": 0.1,
    "kappa": 2.0,
    "starts": 500,
    "seeds": 2,
    "max_steps": 5000,
    "fit": 1e-12,
    "stationary": 1e-6,
    "stuck_above": 1e-3,
    "activation": "tanh",
}
SMALLER = {
    "seconds": {"widths": [4], "radii": [1e-2, 1, 100], "starts": 20, "seeds": 1},
    "minute": {"widths": [4], "radii": [1e-3, 1e-2, 1e-1, 1, 10, 100], "starts": 100},
}


def draw(seed, n, d, m):
    """Samples, labels and the mirrored start whose W is the centre of the ball."""
    key_X, key_y, key_W = jax.random.split(jax.random.key(3300 + seed), 3)
    X = jax.random.normal(key_X, (n, d))
    return X, jax.random.rademacher(key_y, (n,), float), nl.mirrored_lecun(key_W, d=d, m=m)


def feasible(key, center, radius, zeta, kappa):
    """A random point of the feasible set."""
    m, d = center.shape
    keys = jax.random.split(key, 4)
    direction = jax.random.normal(keys[0], center.shape)
    length = radius * jax.random.uniform(keys[1]) ** (1 / (m * d))
    u = jax.random.uniform(keys[2], (m // 2,), minval=1.0, maxval=kappa)
    u = zeta * u * 10.0 ** jax.random.uniform(keys[3], maxval=2.0)
    W = center + length * direction / jnp.linalg.norm(direction)
    return nl.Params(W, jnp.concatenate([u, -u]))


def program(record):
    """Compiled: the ends of a batch of starts."""

    def one(key, radius, center, X, y):
        start = feasible(key, center, radius, record["zeta"], record["kappa"])
        cone = nl.PairedCone(record["zeta"], record["kappa"])
        sets = nl.Product(W=nl.Ball(center, radius), v=cone)
        sol = nl.ProjectedGradient(sets, ray_scaling=True).run(
            start, X, y, max_steps=record["max_steps"], tol=1e-9, throw=False,
            activation=record["activation"],
        )  # fmt: skip
        gradient = jax.grad(nl.loss)(sol.params, X, y, activation=record["activation"])
        distance = jnp.linalg.norm(sol.params.W - center) / radius
        return sol.stats["loss"], sets.normal_cone_residual(sol.params, gradient), distance

    return jax.jit(jax.vmap(one, (0, None, None, None, None)))


def guarantee(start, X, record):
    """The radius under which the theorem covers every KKT point."""
    m = len(start.v)
    signs = jnp.concatenate([jnp.ones(m // 2), -jnp.ones(m // 2)])
    radius = nl.guaranteed_radius(nl.Params(start.W, signs), X, activation=record["activation"])
    return float(radius) / (1.5 * record["kappa"])


def run(record):
    """One row for each (m, seed, ε)."""
    rows, run_all = [], program(record)
    keys = jax.random.split(jax.random.key(1), record["starts"])
    for m in record["widths"]:
        for seed in range(record["seeds"]):
            X, y, start = draw(seed, record["n"], record["d"], m)
            for radius in record["radii"]:
                loss, stationarity, distance = map(
                    np.asarray, run_all(keys, float(radius), start.W, X, y)
                )
                fit = loss <= record["fit"]
                stuck = (loss > record["stuck_above"]) & (stationarity <= record["stationary"])
                quantiles = np.quantile(loss, [0, 0.25, 0.5, 0.75, 1])
                rows.append({
                    "m": m, "seed": seed, "radius": radius,
                    "guaranteed": float(f"{guarantee(start, X, record):.4g}"),
                    "fits": int(fit.sum()), "stuck": int(stuck.sum()),
                    "losses": [float(f"{q:.3g}") for q in quantiles],
                    "least_stuck": float(f"{loss[stuck].min():.3g}") if stuck.any() else None,
                    "on_sphere": int((distance > 1 - 1e-6).sum()),
                })  # fmt: skip
    return rows
