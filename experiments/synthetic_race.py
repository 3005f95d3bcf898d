"""Where does the constraint help on synthetic data, with random labels and with teachers?

Gaussian samples; labels are random signs, or the outputs of a tanh network with few neurons, so
that an exact fit exists. Widths are multiples of n/d. Every entrant has six tries. First-order
methods run in single precision and take the same number of products with X; minibatch SGD splits
each step in four. L-BFGS, Levenberg-Marquardt (LM) and projected Gauss-Newton run in double
precision, for other numbers of operations. The grids were placed by a pilot on other seeds.

"projected SGD" was added after the others had run: minibatch SGD was far ahead of the full-batch
PGD, and the question was whether that is the batches or the constraint.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import narrowlib as nl
from narrowlib.study.shared import rounded, set_around, start_from

jax.config.update("jax_enable_x64", True)

STEPS = {"step_size": [0.05, 0.1, 0.2, 0.5, 1.0, 2.0], "knob": [0.0]}
MOMENTUM = {"step_size": [0.06, 0.25, 1.0], "knob": [0.9, 0.97]}  # β
ADAM = {"step_size": [0.002, 0.005, 0.01, 0.03, 0.06, 0.15], "knob": [0.999]}  # β₂
BOTH = {"step_size": [0.5, 1.0, 2.0], "knob": [0.0, 1.0]}  # W's size at the start; mirrored?
RECORD = {
    "problems": [[200, 4, 1000], [200, 20, 1000], [1000, 100, 300]],  # n, d, steps
    "widths": [1, 2, 4],  # in units of n/d
    "labels": ["random", "teacher"],
    "teacher": 4,  # its neurons
    "entries": {
        "GD, mirrored": STEPS,
        "SGD, LeCun": STEPS,
        "SGD, mirrored": STEPS,
        "momentum, LeCun": MOMENTUM,
        "momentum, mirrored": MOMENTUM,
        "Adam, LeCun": ADAM,
        "Adam, mirrored": ADAM,
        "paired GD": {"step_size": [0.1, 0.2, 0.4, 0.8, 1.6, 3.2], "knob": [0.0]},
        "PGD": {"step_size": [0.4, 0.8, 1.6], "knob": [1.0, 3.0]},  # the radius
        "projected SGD": {"step_size": [0.2, 0.5, 1.0], "knob": [1.0, 3.0]},
        "ray-scaled PGD": {"step_size": [2.5, 5.0, 10.0], "knob": [1.0, 3.0]},
        "projected Adam": {"step_size": [0.01, 0.03, 0.1], "knob": [1.0, 3.0]},
        "L-BFGS": BOTH,
        "LM": BOTH,
        "projected GN": {"step_size": [1e-3], "knob": [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]},
    },
    "batches": 4,  # of an epoch of SGD, which counts as a step
    "zeta": 0.1,  # over √m
    "kappa": 10.0,
    "evaluations": 150,  # of L-BFGS
    "newton_steps": 15,
    "zero": 1e-10,  # losses below count as this: single precision sees no further
    "tuning": [0, 1, 2],
    "reporting": [3, 4, 5, 6, 7, 8],
}
FEW = ("GD, mirrored", "Adam, mirrored", "PGD", "projected Adam")
SMALLER = {
    "seconds": {
        "problems": [[60, 6, 200]],
        "widths": [2],
        "labels": ["random"],
        "entries": {name: RECORD["entries"][name] for name in FEW},
    },
    "minute": {"problems": [[200, 20, 500]], "widths": [2], "labels": ["random"]},
}
POINTS = 10  # of a curve


def draw(seed, n, d, m, teacher):
    """By NumPy: samples, both kinds of labels, numbers for the starts, and the order of batches."""
    rng = np.random.default_rng([seed, n, d])
    X, signs = rng.normal(size=(n, d)), rng.choice([-1.0, 1.0], n)
    taught = np.tanh(X @ rng.normal(size=(teacher, d)).T / d**0.5) @ rng.normal(size=teacher)
    y = np.stack([signs, taught / np.sqrt(np.mean(taught**2))])
    orders = np.stack([rng.permutation(n) for _ in range(64)])
    return X, y, rng.normal(size=(m, d)) / d**0.5, rng.normal(size=m), orders


def feasible(start, radius, record):
    """The paper's set; the radius is in units of √m, about the length of W₀."""
    radius = radius * len(start.v) ** 0.5
    return set_around(start, radius, zeta=record["zeta"], kappa=record["kappa"])


def rule(name, eta, knob, start, record):
    """The Optax optimiser of a first-order entrant."""
    if name == "Adam":
        return optax.adam(eta, b2=knob)
    if name in ("GD", "SGD", "momentum"):
        return optax.sgd(eta, momentum=knob if name == "momentum" else None)
    if name == "paired GD":
        return nl.projected(optax.sgd(eta), nl.Product(W=nl.Free(), v=nl.Pairs()))
    inner = optax.adam(eta) if name == "projected Adam" else optax.sgd(eta)
    return nl.projected(inner, feasible(start, knob, record))


def stepper(name, eta, knob, start, X, y, orders, record):
    """The state at the start, a function that takes one step's worth of products, and params."""
    if name == "ray-scaled PGD":
        solver = nl.ProjectedGradient(feasible(start, knob, record), eta / len(start.v), True)
        return solver.init(start, X, y), lambda state, _: solver.step(state, X, y)
    optimizer = rule(name, eta, knob, start, record)

    def update(carry, X, y):
        params, state = carry
        updates, state = optimizer.update(jax.grad(nl.loss)(params, X, y), state, params)
        return optax.apply_updates(params, updates), state

    def epoch(carry, k):
        batches = orders[k % len(orders)].reshape(record["batches"], -1)
        return jax.lax.scan(lambda c, at: (update(c, X[at], y[at]), None), carry, batches)[0]

    def full(carry, _):
        return update(carry, X, y)

    return (start, optimizer.init(start)), epoch if name.endswith("SGD") else full


def first_order(name, eta, knob, start, X, y, orders, steps, record):
    """The end of a run, and its loss at equal distances."""
    state, step = stepper(name, eta, knob, start, X, y, orders, record)

    def params_of(state):
        return state.params if name == "ray-scaled PGD" else state[0]

    def stretch(state, at):
        state = jax.lax.scan(lambda s, k: (step(s, k), None), state, at)[0]
        return state, nl.loss(params_of(state), X, y)

    state, curve = jax.lax.scan(stretch, state, jnp.arange(steps).reshape(POINTS, -1))
    return params_of(state), curve


def lbfgs(start, X, y, most):
    """L-BFGS with Optax's line search, until it has taken that many evaluations."""
    optimizer = optax.lbfgs()

    def fun(params):
        return nl.loss(params, X, y)

    both = optax.value_and_grad_from_state(fun)

    def step(carry):
        params, state, spent, curve = carry
        value, g = both(params, state=state)
        updates, state = optimizer.update(g, state, params, value=value, grad=g, value_fn=fun)
        params = optax.apply_updates(params, updates)
        spent = spent + jnp.maximum(optax.tree.get(state, "num_linesearch_steps"), 1)
        later = jnp.arange(POINTS) >= spent * POINTS // most - 1
        return params, state, spent, jnp.where(later, optax.tree.get(state, "value"), curve)

    first = start, optimizer.init(start), jnp.zeros((), int), jnp.full(POINTS, fun(start))
    params, _, _, curve = jax.lax.while_loop(lambda c: c[2] < most, step, first)
    return params, curve


def newton(name, eta, knob, start, X, y, record):
    """Levenberg-Marquardt on all weights, or projected Gauss-Newton."""
    keep = {"max_steps": record["newton_steps"], "throw": False}
    if name == "LM":
        sol = nl.levenberg_marquardt(start, X, y, tol=1e-5, **keep)
    else:
        solver = nl.ProjectedGaussNewton(feasible(start, knob, record), damping=eta)
        sol = solver.run(start, X, y, tol=1e-9, **keep)
    at = np.arange(1, POINTS + 1) * record["newton_steps"] // POINTS - 1
    return sol.params, sol.stats["history"]["loss"][at]


def look(params, start):
    """How far W went, in units of √m; the size of v, 1 at the mirrored start; if it is paired."""
    m = len(start.v)
    u = (params.v[: m // 2] - params.v[m // 2 :]) / 2
    size = jnp.linalg.norm(params.v)
    return {
        "moved": jnp.linalg.norm(params.W - start.W) / m**0.5,
        "size": size,
        "paired": 2**0.5 * jnp.linalg.norm(u) / size,
        "ratio": jnp.where(u.min() > 0, u.max() / u.min(), jnp.inf),
    }


def runner(n, d, steps, record):
    """A run of any entrant on the problems of one size."""
    seeds = range(max(record["tuning"] + record["reporting"]) + 1)
    drawn = [draw(s, n, d, max(record["widths"]) * n // d, record["teacher"]) for s in seeds]
    arrays = [jnp.asarray(np.stack(a)) for a in zip(*drawn, strict=True)]

    def run(key, *, entry, step_size, knob, labels, m):
        name, _, kind = entry.partition(", ")
        X, y, W, z, orders = (a[jax.random.key_data(key)[-1]] for a in arrays)
        y = y[labels.astype(int)]
        exact = name in ("L-BFGS", "LM", "projected GN")
        dtype = jnp.float64 if exact else jnp.float32
        X, y, W, z, eta, knob = (a.astype(dtype) for a in (X, y, W, z, step_size, knob))
        tuned_start = name in ("L-BFGS", "LM")
        mirrored = knob > 0 if tuned_start else kind != "LeCun"
        start = start_from(W[:m], z[:m] * m**-0.5, mirrored)
        if tuned_start:
            start = start._replace(W=eta * start.W)
        if name == "L-BFGS":
            end, curve = lbfgs(start, X, y, record["evaluations"])
        elif exact:
            end, curve = newton(name, eta, knob, start, X, y, record)
        else:
            end, curve = first_order(name, eta, knob, start, X, y, orders, steps, record)
        loss = jnp.maximum(nl.loss(end, X, y), record["zero"])  # NaN stays NaN
        return {"loss": loss, "curve": curve, **look(end, start)}

    return run


def median(runs):
    """The median over the seeds; a failed run is infinite; None if the median is."""
    middle = np.median(np.nan_to_num(np.array(runs, float), nan=np.inf), axis=0)
    return rounded(middle, 3)


def brief(row, asked):
    """A row as it is saved: medians of the tries and of the curves, the losses of every seed."""
    found = row["results"]
    return asked | {
        **{k: row[k] for k in ("m", "entry", "seconds")},
        "chosen": {k: row["chosen"][k] for k in ("step_size", "knob")},
        "at_edge": [k for k in row["at_edge"] if k != "labels"],
        "tries": [median(point["loss"]) for point in row["grid"]],
        "loss": found["loss"],
        **{k: median(found[k]) for k in ("curve", "moved", "size", "paired", "ratio")},
    }


def run(record):
    """One row for each problem, width, kind of labels and entrant."""
    rows = []
    for (n, d, steps), labels in itertools.product(record["problems"], record["labels"]):
        kind = float(["random", "teacher"].index(labels))
        entries = {name: {**grid, "labels": [kind]} for name, grid in record["entries"].items()}
        found = nl.race(
            runner(n, d, steps, record), entries, tuning=record["tuning"],
            reporting=record["reporting"], chunk=6,
            static={"m": [k * n // d for k in record["widths"]]},
        )  # fmt: skip
        rows += [brief(row, {"labels": labels, "n": n, "d": d}) for row in found]
    return rows
