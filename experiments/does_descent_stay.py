"""Does gradient descent stay? Full-batch, minibatch and Adam runs from two starts, width by width.

Gaussian samples with ±1 labels. Widths are multiples of n/d, output weights start with LeCun's
size, and either W alone is trained or both layers. Each run is recorded at 51 points: the loss,
the distance from the start, the least and the largest singular value of J. All step sizes, seeds
and starts of one (n, d, m, layers, optimizer) are one compiled program.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import narrowlib as nl
from narrowlib.study.shared import rounded

jax.config.update("jax_enable_x64", True)

RECORD = {
    "problems": [[40, 10], [60, 6], [80, 20]],
    "widths": [1, 2, 3, 4],  # in units of n/d
    "starts": ["LeCun", "mirrored"],
    "layers": ["W", "both"],
    "step_sizes": {"GD": [0.1, 0.3, 1, 3], "SGD": [0.03, 0.1, 0.3], "Adam": [0.001, 0.01, 0.1]},
    "batches": 5,  # of an epoch of SGD, and the samples that are left
    "seeds": 5,
    "num_steps": 4000,
    "record_every": 80,
    "activation": "tanh",
}
SMALLER = {
    "seconds": {
        "problems": [[40, 10]],
        "widths": [1],
        "step_sizes": {"GD": [0.3], "SGD": [0.1], "Adam": [0.01]},
        "seeds": 2,
        "num_steps": 400,
        "record_every": 40,
    },
    "minute": {"problems": [[40, 10]], "widths": [1, 2]},
}
STARTS = {"LeCun": nl.lecun, "mirrored": nl.mirrored_lecun}


def draw(seed, n, d, m, start):
    """The start, the samples and the labels of a seed; starts share samples and labels."""
    key_data, key_start = jax.random.split(jax.random.key(2400 + seed))
    data = nl.gaussian(key_data, n=n, d=d)
    return STARTS[start](key_start, d=d, m=m), data.X, data.y


def spectrum(params, X):
    """The least and the largest singular value of J, from J Jᵀ."""
    values = jnp.linalg.eigvalsh(nl.gram(params, X))
    return jnp.sqrt(jnp.maximum(values[0], 0.0)), jnp.sqrt(values[-1])


def sign(params, X):
    """The sign of det J where J is square."""
    return jnp.linalg.slogdet(nl.jacobian(params, X))[0]


def measure(start, X, y, key, step_size, name, layers, record):
    """One run, and what is kept of it."""
    n = len(X)
    make = optax.adam if name == "Adam" else optax.sgd
    path = nl.trajectory(
        start, X, y, make(step_size), num_steps=record["num_steps"],
        record_every=record["record_every"], key=key,
        batch_size=n // record["batches"] if name == "SGD" else None,
        trainable=("W",) if layers == "W" else ("W", "v"),
    )  # fmt: skip
    least, largest = jax.lax.map(lambda p: spectrum(p, X), path.params)
    found = {
        "loss": path.loss[-1],  # NaN where the run diverged
        "distance": path.distance.max(),
        "radius": nl.guaranteed_radius(start, X),
        "first": least[0],  # σ_min at the start
        "least": least.min(),  # on the way
        "last": least[-1],
        "relative": (least / largest).min(),
    }
    if start.W.size == n:  # J is square: a change of sign proves a singular point in between
        signs = jax.lax.map(lambda p: sign(p, X), path.params)
        found["turns"] = (signs[1:] != signs[:-1]).sum()
    return found


def cell(n, d, m, layers, name, record):
    """Everything of one program: arrays (starts, step sizes, seeds) of each measured number."""
    draws = [[draw(s, n, d, m, start) for s in range(record["seeds"])]
             for start in record["starts"]]  # fmt: skip
    starts, X, y = jax.tree.map(
        lambda *a: jnp.stack(a).reshape(len(draws), -1, *a[0].shape), *itertools.chain(*draws)
    )
    keys = jax.random.split(jax.random.key(2500), record["seeds"])
    sizes = jnp.asarray(record["step_sizes"][name], float)

    def one(start, X, y, key, size):
        return measure(start, X, y, key, size, name, layers, record)

    seeds = jax.vmap(one, (0, 0, 0, 0, None))
    grid = jax.vmap(jax.vmap(seeds, (None, None, None, None, 0)), (0, 0, 0, None, None))
    return jax.tree.map(np.asarray, jax.jit(grid)(starts, X, y, keys, sizes))


def run(record):
    """A row for each (n, d, m, layers, optimizer, start, step size), with an entry a seed."""
    rows = []
    for (n, d), times in itertools.product(record["problems"], record["widths"]):
        m = times * n // d
        for layers, name in itertools.product(record["layers"], record["step_sizes"]):
            found = cell(n, d, m, layers, name, record)
            for i, start in enumerate(record["starts"]):
                for j, size in enumerate(record["step_sizes"][name]):
                    setting = {"n": n, "d": d, "m": m, "times": times, "layers": layers}
                    setting |= {"optimizer": name, "step_size": size, "start": start}
                    rows.append(setting | {k: rounded(a[i, j]) for k, a in found.items()})
    return rows
