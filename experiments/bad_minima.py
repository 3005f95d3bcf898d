"""Where does training end in a narrow network? Ends of many runs, sorted by what is proved of them.

Gaussian samples with normal labels. For each width and each draw of them 200 LeCun starts:
Levenberg–Marquardt first, one compiled program for all widths of one (n, d), with narrower
networks padded by neurons that stay zero. What is not at zero loss goes on with Newton's method in
a trust region, a hundred steps, and to the certificate of `stationary_point`.
"""

import jax
import jax.numpy as jnp
import numpy as np

import narrowlib as nl

jax.config.update("jax_enable_x64", True)

FATES = ("zero", "proved", "strict", "far", "undecided")
RECORD = {
    "problems": [
        {"n": 20, "d": 4, "widths": [2, 3, 4, 5, 6, 8, 10, 12], "seeds": 5},
        {"n": 24, "d": 8, "widths": [1, 2, 3, 4, 5, 6, 8], "seeds": 5},
        {"n": 12, "d": 2, "widths": [2, 3, 4, 5, 6, 8, 12, 14], "seeds": 3},
    ],
    "activations": ["tanh", "gelu"],
    "starts": 200,
    "max_steps": [500, 50],  # of Levenberg–Marquardt; of Newton, which runs twice
    "zero": 1e-18,  # a loss below is an exact fit, to rounding
    "growth": 1.01,  # of all weights, in the last fifty steps
    "far": 30,  # the length of all weights
    "kept": 0,  # the seed whose single ends are kept
}
SMALLER = {
    "seconds": {
        "problems": [{"n": 12, "d": 2, "widths": [2, 6], "seeds": 1}],
        "activations": ["tanh"],
        "starts": 10,
    },
    "minute": {
        "problems": [{"n": 12, "d": 2, "widths": [2, 3, 4, 5, 6, 8, 12, 14], "seeds": 1}],
        "activations": ["tanh"],
    },
}
BATCH = 40  # ends that are classified at a time


def draw(seed, n, d):
    """Gaussian samples (n, d) with normal labels."""
    key_X, key_y = jax.random.split(jax.random.key(seed))
    return jax.random.normal(key_X, (n, d)), jax.random.normal(key_y, (n,))


def lengths(params):
    """‖(W, v)‖ for a batch of networks."""
    return np.sqrt(np.asarray(jnp.sum(params.W**2, (1, 2)) + jnp.sum(params.v**2, 1)))


def programs(activation, steps):
    """A run of Levenberg–Marquardt; two of Newton, and the verdict. Each over a batch."""
    keep = {"activation": activation, "throw": False}

    def descend(params, X, y):
        sol = nl.levenberg_marquardt(params, X, y, tol=1e-9, max_steps=steps[0], **keep)
        return sol.params, sol.stats["loss"]

    def newton(params, X, y):
        sol = nl.trust_region_newton(params, X, y, max_steps=steps[1], **keep)
        return sol.params, sol.code

    def judge(params, X, y):
        return nl.stationary_point(params, X, y, activation=activation)

    descend, newton, judge = (
        jax.jit(jax.vmap(f, (0, None, None))) for f in (descend, newton, judge)
    )

    def polish(params, X, y):
        half, _ = newton(params, X, y)
        end, code = newton(half, X, y)
        return half, end, code, judge(end, X, y)

    return descend, polish


def fates(half, end, code, point, record):
    """Indices into FATES."""
    verdict = point.verdict
    rest = np.asarray(code) == nl.RESULTS.converged.code
    strict = rest & np.asarray(point.eigenvalues[:, 0] > point.slack)
    grew = ~rest & (lengths(end) > record["growth"] * lengths(half))
    far = grew | (rest & ~strict & (lengths(end) > record["far"]))
    zero = (verdict == "global minimum") | (np.asarray(point.loss) < record["zero"])
    return np.select([zero, verdict == "local minimum", strict, far], [0, 1, 2, 3], 4)


def ends(starts, m, X, y, descend, polish, record):
    """The fate, the loss and a proved lower bound of it (0 if none), for every start of width m.

    `starts` are padded.
    """
    params, losses = descend(starts, X, y)
    losses, found = np.array(losses), np.zeros(len(starts.v), int)
    least = np.zeros(len(found))
    left = np.flatnonzero(losses >= record["zero"])
    for k in range(0, len(left), BATCH):
        chosen = np.resize(left[k : k + BATCH], BATCH)  # the last batch repeats some
        half, end, code, point = polish(nl.Params(params.W[chosen, :m], params.v[chosen, :m]), X, y)
        found[chosen] = fates(half, end, code, point, record)
        losses[chosen] = point.loss
        least[chosen] = np.nan_to_num(point.loss_bounds[:, 0])
    return found, losses, least


def row(activation, problem, m, seed, found, losses, least, record):
    """Counts of the fates; `bad` are the proved minima above the least loss of all ends."""
    counts = np.bincount(found, minlength=len(FATES)).tolist()
    bad = (found == FATES.index("proved")) & (least > (1 + 1e-9) * losses.min())
    row = {"activation": activation, "n": problem["n"], "d": problem["d"], "m": m, "seed": seed}
    row |= dict(zip(FATES, counts, strict=True))
    row |= {"bad": int(bad.sum()), "least": float(f"{losses.min():.4g}")}
    row |= {"levels": len(np.unique(losses[bad].round(6)))}
    if seed == record["kept"]:
        order = np.argsort(losses)
        row["losses"] = [float(f"{losses[i]:.4g}") for i in order]
        row["fates"] = found[order].tolist()
    return row


def run(record):
    """One row for each (activation, n, d, m, seed)."""
    rows = []
    for activation in record["activations"]:
        for problem in record["problems"]:
            n, d, widths = problem["n"], problem["d"], problem["widths"]
            descend, polish = programs(activation, record["max_steps"])
            keys = jax.random.split(jax.random.key(1), record["starts"])
            for m in widths:
                starts = jax.vmap(lambda key, m=m, d=d: nl.lecun(key, d=d, m=m))(keys)
                pad = widths[-1] - m
                starts = nl.Params(
                    jnp.pad(starts.W, ((0, 0), (0, pad), (0, 0))),
                    jnp.pad(starts.v, ((0, 0), (0, pad))),
                )
                for seed in range(problem["seeds"]):
                    X, y = draw(seed, n, d)
                    found = ends(starts, m, X, y, descend, polish, record)
                    rows.append(row(activation, problem, m, seed, *found, record))
    return rows
