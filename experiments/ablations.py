"""Which element of the constrained trainer carries its gain? All 64 subsets of six elements.

The elements are the mirrored start, the pairing v = (u; −u), the ball on W, the floor ζ and the
ratio κ on the sizes of v, and ray scaling, which is ours; all but the last are the paper's method.
A run goes through one program with six switches, so that subsets differ in nothing else. Every
subset chooses its step size on its own: the lowest median on the tuning seeds. On the larger
problem only "nothing", "each alone", "full" and "full without each" run. Then ε, ζ and κ are
varied one at a time, at the step size chosen before.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import narrowlib as nl
from narrowlib.constraints.paired import cone_threshold
from narrowlib.study.shared import rounded, start_from

jax.config.update("jax_enable_x64", True)

RECORD = {
    "elements": ["mirror", "pairing", "ball", "zeta", "kappa", "ray"],
    "problems": [  # subsets: all 64, or the 14 of "one at a time"
        {"n": 200, "d": 20, "m": 10, "labels": "random", "optimizer": "GD", "subsets": "all"},
        {"n": 200, "d": 20, "m": 20, "labels": "random", "optimizer": "GD", "subsets": "all"},
        {"n": 200, "d": 20, "m": 10, "labels": "teacher", "optimizer": "GD", "subsets": "all"},
        {"n": 200, "d": 20, "m": 10, "labels": "random", "optimizer": "Adam", "subsets": "all"},
        {"n": 400, "d": 10, "m": 40, "labels": "random", "optimizer": "GD", "subsets": "single"},
    ],
    "step_sizes": {
        "GD": [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2],
        "Adam": [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2],
    },
    "grid_from": "step sizes that subsets chose after 500 steps on seeds 90 and 91",
    "steps": 2000,
    "tuning": [0, 1, 2],
    "reporting": [10, 11, 12, 13, 14, 15, 16, 17],
    "epsilon": 1.0,  # in units of √m: as far as the neurons are long at the start
    "zeta": 0.1,  # in units of 1/√m, the size of the output weights at the start
    "kappa": 10.0,
    "sweeps": {
        "epsilon": [0.03, 0.1, 0.3, 1, 3, 10],
        "zeta": [0, 0.01, 0.03, 0.1, 0.3, 1],
        "kappa": [1, 2, 5, 10, 30, 100],
    },
    "swept": [["mirror", "pairing", "ball", "zeta", "kappa"],
              ["mirror", "pairing", "ball", "zeta", "kappa", "ray"]],
    "activation": "tanh",
    "precision": "float32",
}  # fmt: skip
BATCH = 64
_small = [{"n": 40, "d": 8, "m": 6, "labels": "random", "optimizer": "GD", "subsets": "all"}]
SMALLER = {
    "seconds": {"problems": _small, "steps": 200, "reporting": [10, 11, 12, 13, 14],
                "step_sizes": {"GD": [0.1, 0.2, 0.4, 0.8]}},
    "minute": {"problems": RECORD["problems"][:1], "steps": 500},
}  # fmt: skip


@nl.frozen_pytree()
class Sizes(nl.Constraint):
    """Sizes aⱼ = signⱼ vⱼ with aⱼ ≥ ζ and max a ≤ κ min a, each on or off, in pairs or not.

    With neither ζ nor κ the signs are free. The projection is exact: the nearest pairs first,
    which is right because the set is one of paired points and the rest treats both of a pair
    alike; then the nearest sizes, as in `project_paired_cone`.
    """

    signs: jax.Array  # of the start
    pairing: jax.Array
    zeta_on: jax.Array
    kappa_on: jax.Array
    zeta: jax.Array
    kappa: jax.Array

    def project(self, x):
        x = jnp.where(self.pairing, nl.Pairs().project(x), x)
        sizes = self.signs * x
        floor = jnp.where(self.zeta_on, self.zeta, 0)
        ordered = jnp.sort(sizes)
        least = jnp.maximum(cone_threshold(ordered, ordered, self.kappa), floor)
        bounded = jnp.clip(sizes, least, self.kappa * least)
        raised = jnp.where(self.zeta_on, jnp.maximum(sizes, floor), sizes)
        return self.signs * jnp.where(self.kappa_on, bounded, raised)

    def least_scale(self, x):
        least = jnp.min(self.signs * x)
        needed = jnp.where(self.zeta_on, self.zeta / jnp.where(least > 0, least, 1), 0)
        return jnp.where(self.zeta_on | self.kappa_on, needed, -jnp.inf).astype(x.dtype)


def draw(seed, n, d, m, labels):
    """Samples, targets and the normal numbers of both starts: the same ones for every subset."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), rng.choice([-1.0, 1.0], n)
    W, z = rng.normal(size=(m, d)) / d**0.5, rng.normal(size=m) / m**0.5
    if labels == "teacher":  # of width d, from LeCun's law
        y = np.tanh(X @ rng.normal(size=(d, d)) / d**0.5) @ rng.normal(size=d) / d**0.5
    return [a.astype(np.float32) for a in (X, y, W, z)]


def train(problem, subset, step_size, epsilon, zeta, kappa, optimizer, steps):
    """One run; `subset` holds a bit for each element, in the record's order."""
    X, y, W, z = problem
    n, m = len(y), len(z)
    mirror, pairing, ball, zeta_on, kappa_on, ray = (subset.astype(int) >> jnp.arange(6)) % 2 > 0
    start = start_from(W, z, mirror)
    eta, epsilon, zeta, kappa = (jnp.asarray(a, X.dtype) for a in (step_size, epsilon, zeta, kappa))
    signs = jnp.sign(jnp.where(pairing, nl.Pairs().project(start.v), start.v))
    sizes = Sizes(signs, pairing, zeta_on, kappa_on, zeta / m**0.5, kappa)
    region = nl.Product(nl.Ball(start.W, jnp.where(ball, epsilon * m**0.5, jnp.inf)), sizes)
    rule = optax.scale_by_adam() if optimizer == "Adam" else optax.identity()

    def scaled(p, now):  # v at its best on the ray, and the loss there
        phi = jnp.tanh(X @ p.W.T)
        F = phi @ p.v
        square = F @ F
        best = jnp.maximum(F @ y / jnp.where(square > 0, square, 1), sizes.least_scale(p.v))
        best = jnp.where(ray & now & (square > 0), best, 1)
        r = best * F - y
        return nl.Params(p.W, best * p.v), phi, r, r @ r / (2 * n)

    def step(carry, k):
        p, inner = carry
        p, phi, r, _ = scaled(p, k > 0)  # outputs of a mirrored start are rounding
        gradient = nl.Params(((1 - phi**2) * r[:, None] * p.v).T @ X / n, phi.T @ r / n)
        move, inner = rule.update(gradient, inner, p)
        square = p.v @ p.v / m
        divide = ray & (optimizer == "GD") & (square > 0)  # as in `nl.ProjectedGradient`
        W = p.W - eta / jnp.where(divide, square, 1) * move.W
        return (region.project(nl.Params(W, p.v - eta * move.v)), inner), None

    first = region.project(start)
    (p, _), _ = jax.lax.scan(step, (first, rule.init(first)), jnp.arange(steps))
    p, _, _, loss = scaled(p, True)
    least, most = jnp.min(jnp.abs(p.v)), jnp.max(jnp.abs(p.v))
    return {"loss": loss, "distance": jnp.linalg.norm(p.W - start.W) / m**0.5,
            "least": least * m**0.5, "most": most * m**0.5}  # fmt: skip


@partial(jax.jit, static_argnames=("optimizer", "steps"))
def batch(problems, cells, optimizer, steps):
    """Runs side by side; a cell starts with the index of its problem."""

    def one(cell):
        return train([a[cell[0]] for a in problems], *cell[1:], optimizer, steps)

    return jax.vmap(one)(cells)


def results(record, which, cells):
    """Arrays, an entry a cell, which starts with its seed; one compiled program a problem."""
    size = {k: which[k] for k in ("n", "d", "m", "labels")}
    seeds = [*record["tuning"], *record["reporting"]]
    problems = [jnp.stack(a) for a in zip(*(draw(seed, **size) for seed in seeds), strict=True)]
    cells = [(seeds.index(seed), *map(float, rest)) for seed, *rest in cells]
    parts = []
    for i in range(0, len(cells), BATCH):  # the last part is filled up
        part = [cells[min(j, len(cells) - 1)] for j in range(i, i + BATCH)]
        columns = tuple(np.array(c) for c in zip(*part, strict=True))
        parts.append(batch(problems, columns, which["optimizer"], record["steps"]))
    return {k: np.concatenate([p[k] for p in parts])[: len(cells)] for k in parts[0]}


def run(record):
    """A row for each problem and subset, and one for each value of a swept number."""
    names = record["elements"]
    bits = {name: 1 << i for i, name in enumerate(names)}
    single = [0, *bits.values(), 63, *(63 - b for b in bits.values())]
    numbers = {k: record[k] for k in record["sweeps"]}
    rows = []
    for which in record["problems"]:
        codes = list(range(64)) if which["subsets"] == "all" else single
        grid = record["step_sizes"][which["optimizer"]]
        cells = [(seed, code, size, *numbers.values())
                 for code in codes for size in grid for seed in record["tuning"]]  # fmt: skip
        tried = results(record, which, cells)["loss"].reshape(len(codes), len(grid), -1)
        tried = np.where(np.isfinite(tried), tried, np.inf)
        chosen = dict(zip(codes, np.median(tried, axis=2).argmin(axis=1), strict=True))
        kinds = [(code, None, None, numbers) for code in codes]
        for subset in record["swept"]:
            code = sum(bits[name] for name in subset)
            kinds += [
                (code, name, value, numbers | {name: value})
                for name, values in record["sweeps"].items()
                for value in values
            ]
        cells = [(seed, code, grid[chosen[code]], *now.values())
                 for code, _, _, now in kinds for seed in record["reporting"]]  # fmt: skip
        found = results(record, which, cells)
        found = {k: v.reshape(len(kinds), -1) for k, v in found.items()}
        for i, (code, name, value, _) in enumerate(kinds):
            row = {k: which[k] for k in ("n", "d", "m", "labels", "optimizer")}
            row |= {"kind": "sweep" if name else "subset",
                    "subset": [e for e in names if bits[e] & code],
                    "step_size": grid[chosen[code]]}  # fmt: skip
            if name:
                row |= {"name": name, "value": value}
            else:
                row["at_edge"] = bool(chosen[code] in (0, len(grid) - 1))
                row["tried"] = rounded(tried[codes.index(code)])
            row["loss"] = rounded(found["loss"][i])
            row |= {k: rounded(np.median(found[k][i])) for k in ("distance", "least", "most")}
            rows.append(row)
    return rows
