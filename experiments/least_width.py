"""How narrow can it get? The share of data sets that a search fits, width by width.

Gaussian samples with normal or with ±1 labels, drawn ten times. For each width, several starts at
up to three scales; a data set counts as fitted if one of them ends with a loss of zero, to
rounding. The next scale is tried only where a data set is left. All widths of one (n, d) share
one compiled program: narrower networks are padded with neurons that stay zero.
"""

import jax
import jax.numpy as jnp
import numpy as np

import narrowlib as nl

jax.config.update("jax_enable_x64", True)

RECORD = {
    "n": [24, 48, 96],
    "d": [2, 4, 8, 16],
    "left_out": [[96, 2]],  # 80 widths, and the search fails at nearly all of them
    "labels": ["normal", "signs"],
    "seeds": 10,
    "starts": 4,
    "scales": [1, 3, 10],
    "max_steps": 500,
    "zero": 1e-18,
    "activation": "tanh",
}
SMALLER = {
    "seconds": {"n": [24], "d": [16], "labels": ["normal"], "seeds": 2, "starts": 2},
    "minute": {"n": [24], "d": [4, 8, 16]},
}


def padded_starts(key, m, most, d, count, scale):
    """Starts of width m, padded with zero neurons to width `most`."""
    key_W, key_v = jax.random.split(key)
    awake = jnp.arange(most) < m
    W = jax.random.normal(key_W, (count, most, d)) * awake[:, None]
    v = jax.random.normal(key_v, (count, most)) * awake
    return nl.Params(scale * W / np.sqrt(d), v / np.sqrt(m))


@jax.jit
def best_losses(starts, X, y):
    """For each data set (X, y) the least final loss of all starts."""
    options = dict(max_steps=500, tol=1e-9, throw=False)

    def end(start, X, y):
        sol = nl.levenberg_marquardt(start, X, y, **options)
        return sol.stats["loss"]

    over_starts = jax.vmap(end, (0, None, None))
    return jax.vmap(over_starts, (None, 0, 0))(starts, X, y).min(1)


def draw(labels, seeds, n, d):
    """Gaussian samples (seeds, n, d) with normal or ±1 labels (seeds, n)."""
    X, y = [], []
    for seed in range(seeds):
        key_X, key_y = jax.random.split(jax.random.key(1000 + seed))
        X.append(jax.random.normal(key_X, (n, d)))
        normal = labels == "normal"
        toss = jax.random.normal if normal else jax.random.rademacher
        y.append(toss(key_y, (n,), float))
    return jnp.stack(X), jnp.stack(y)


def widths(n, d):
    """Widths from half the count to 2⌈n/d⌉ + 2: all of them near the count, then fewer."""
    count, last = -(-n // (d + 1)), 2 * -(-n // d) + 2
    near = range(max(1, -(-n // (2 * (d + 1)))), min(last, count + 6) + 1)
    step = max(1, (last - count) // 8)
    return sorted({*near[-10:], near[0], *range(count + 6, last, step), last - 2, last})


def run(record):
    """One row for each (n, d, labels, m)."""
    rows = []
    pairs = [(n, d) for n in record["n"] for d in record["d"] if [n, d] not in record["left_out"]]
    for n, d in pairs:
        most = widths(n, d)[-1]
        for labels in record["labels"]:
            X, y = draw(labels, record["seeds"], n, d)
            for m in widths(n, d):
                best = np.full(record["seeds"], np.inf)
                for k, scale in enumerate(record["scales"]):
                    key = jax.random.fold_in(jax.random.key(m), k)
                    starts = padded_starts(key, m, most, d, record["starts"], scale)
                    best = np.minimum(best, best_losses(starts, X, y))
                    if (best < record["zero"]).all():
                        break
                rows.append(
                    {"n": n, "d": d, "labels": labels, "m": m, "parameters": m * (d + 1)}
                    | {"share": float(np.mean(best < record["zero"])), "scales": k + 1}
                    | {"median": float(np.median(best)), "worst": float(best.max())}
                )
    return rows
