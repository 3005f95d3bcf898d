"""Which method fits random labels on photos? Training loss on CIFAR-10 with random ±1 labels.

The images are the same for every seed; labels and starts are drawn by the seed. So a clean sweep
over the seeds is a statement about these images. All images are standardised pixel by pixel.
First-order methods take full-batch steps in single precision, projected Gauss-Newton few steps in
double precision, on the first problem only: a step on 5,000 images would take too long.

Without restrictions a method starts from LeCun's or from the mirrored start, as its grid says.
The projected ones start mirrored; their grid has two radii of the ball instead. The ranges of
step sizes and the number of Gauss-Newton steps were set after looking at one seed, 98 or 99 (0 for
Gauss-Newton), at n = 1,000.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import narrowlib as nl
from narrowlib.study.shared import set_around, start_from

jax.config.update("jax_enable_x64", True)

ETAS = [0.003, 0.01, 0.03, 0.1]
SMALL = [0.0001, 0.0003, 0.001, 0.003]
RECORD = {
    "data": "cifar10",
    "problems": [{"n": 1000, "widths": [2, 4]}, {"n": 5000, "widths": [4]}],
    "steps": 300,
    "entries": {
        "GD": {"step_size": ETAS, "mirrored": [0, 1]},
        "momentum": {"step_size": ETAS, "mirrored": [0, 1]},
        "Adam": {"step_size": SMALL, "mirrored": [0, 1]},
        "PGD": {"step_size": ETAS, "radius": [1.0, 10.0]},
        "projected Adam": {"step_size": SMALL, "radius": [1.0, 10.0]},
    },
    "momentum": 0.9,
    "zeta": 0.1,  # over √m
    "kappa": 10.0,
    "newton": {"damping": [1e-3, 1e-2, 1e-1, 1.0], "radius": [1.0, 10.0]},
    "newton_steps": 30,
    "newton_largest_n": 1000,
    "tuning": [0, 1, 2],
    "reporting": [3, 4, 5, 6, 7],
    "every": 10,
}
SMALLER = {
    "seconds": {
        "data": "digits",
        "problems": [{"n": 100, "widths": [4]}],
        "steps": 100,
        "entries": {
            "GD": {"step_size": [0.03, 0.1], "mirrored": [0, 1]},
            "PGD": {"step_size": [0.03, 0.1], "radius": [1.0, 10.0]},
        },
        "newton": {"damping": [1e-3], "radius": [1.0]},
    },
    "minute": {"problems": [{"n": 1000, "widths": [2]}], "steps": 100},
}


def photos(data, n):
    """The first n images, standardised."""
    return nl.digits(n=n).X if data == "digits" else nl.cifar10(n=n).X


def problem(key, n, d, m, mirrored, dtype):
    """Labels and a start: everything that a seed decides."""
    key_y, key_W, key_v = jax.random.split(key, 3)
    W = jax.random.normal(key_W, (m, d), dtype) / d**0.5
    free = jax.random.normal(key_v, (m,), dtype) * m**-0.5
    start = start_from(W, free, jnp.asarray(mirrored) > 0)
    return start, jax.random.rademacher(key_y, (n,), dtype)


def sets(start, radius, record):
    """The paper's feasible set around a mirrored start."""
    return set_around(start, radius, zeta=record["zeta"], kappa=record["kappa"])


def rule(entry, start, step_size, radius, record):
    """The Optax transformation of an entrant."""
    if entry == "GD":
        return optax.sgd(step_size)
    if entry == "momentum":
        return optax.sgd(step_size, momentum=record["momentum"])
    if entry == "Adam":
        return optax.adam(step_size)
    inner = optax.sgd(step_size) if entry == "PGD" else optax.adam(step_size)
    return nl.projected(inner, sets(start, radius, record))


def first_order(record, X):
    """A run of a first-order method; X is shared, so that runs side by side are one product."""
    X = jnp.asarray(X, jnp.float32)

    def run(key, *, entry, m, step_size, mirrored=1, radius=1.0):
        eta, radius = (jnp.asarray(a, X.dtype) for a in (step_size, radius))
        start, y = problem(key, *X.shape, m, mirrored, X.dtype)
        optimizer = rule(entry, start, eta, radius, record)

        def step(state, _):
            p, inner = state
            value, gradient = jax.value_and_grad(nl.loss)(p, X, y)
            updates, inner = optimizer.update(gradient, inner, p)
            return (optax.apply_updates(p, updates), inner), value

        state = start, optimizer.init(start)
        (p, _), before = jax.lax.scan(step, state, length=record["steps"])
        end = nl.loss(p, X, y)
        curve = jnp.append(before, end)[:: record["every"]]
        moved = jnp.linalg.norm(p.W - start.W)
        return {"loss": end, "curve": curve, "moved": moved, "size": jnp.abs(p.v).max()}

    return run


def second_order(record, X):
    """A run of projected Gauss-Newton in double precision."""

    def run(key, *, entry, m, damping, radius):
        start, y = problem(key, *X.shape, m, 1, X.dtype)
        solver = nl.ProjectedGaussNewton(sets(start, radius, record), damping=damping)
        steps = record["newton_steps"]
        end = solver.run(start, X, y, max_steps=steps, tol=1e-12, throw=False)
        moved = jnp.linalg.norm(end.params.W - start.W)
        return {
            "loss": end.stats["loss"],
            "moved": moved,
            "size": jnp.abs(end.params.v).max(),
            "num_steps": end.stats["num_steps"],
        }

    return run


def spectrum(record, X, m):
    """Eigenvalues of the tangent kernel J Jᵀ at the mirrored start of the first reporting seed."""
    start, _ = problem(jax.random.key(record["reporting"][0]), *X.shape, m, 1, X.dtype)
    values = np.linalg.eigvalsh(np.asarray(nl.gram(start, X)))[::-1]
    return [float(f"{value:.4g}") for value in values]


def run(record):
    """A row for each problem, width and entrant."""
    rows, seeds = [], {name: record[name] for name in ("tuning", "reporting")}
    for asked in record["problems"]:
        X, static = photos(record["data"], asked["n"]), {"m": asked["widths"]}
        found = [
            *nl.race(first_order(record, X), record["entries"], static=static, chunk=8, **seeds)
        ]
        if asked["n"] <= record["newton_largest_n"]:
            entry = {"projected Gauss-Newton": record["newton"]}
            found += nl.race(
                second_order(record, X), entry, static=static, vectorize=False, **seeds
            )
        for row in found:
            kept = row["entry"] == "GD" and asked["n"] <= record["newton_largest_n"]
            values = spectrum(record, X, row["m"]) if kept else None
            rows.append({"n": asked["n"], "d": X.shape[1], **row, "spectrum": values})
    return rows
