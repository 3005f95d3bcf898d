"""What do ball and cone cost in test accuracy? Ten classes, one narrow layer, five entrants.

Digits, MNIST and CIFAR-10 with true labels; minibatch SGD in `ConstrainedTrainer`. The output
weights are free (from two starts), or paired and nothing else, or paired with their signs fixed
entry by entry, or paired within an angle of their start. The paired ones keep the hidden weights
in a ball around the start.
Free training has six step sizes, the others three step sizes and two radii of the ball.

The validation error chooses; the test error is only reported. A seed decides the start and the
order of the samples, for the digits also the split. Images are centred and divided by one number,
both from the training images. The range of step sizes was set after looking at seed 99.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import narrowlib as nl

FREE = {"step_size": [0.03, 0.1, 0.2, 0.5, 1.0, 2.0]}
INSIDE = {"step_size": [0.1, 0.5, 2.0], "radius": [2.0, 8.0]}
RECORD = {
    "problems": [
        {"data": "digits", "epochs": 40, "loss": "cross-entropy", "widths": [4, 16, 64, 128]},
        {"data": "digits", "epochs": 40, "loss": "squared", "widths": [4, 16]},
        {"data": "mnist", "epochs": 2, "loss": "cross-entropy", "widths": [4, 16, 64]},
        {"data": "mnist", "epochs": 2, "loss": "squared", "widths": [4]},
        {"data": "cifar10", "epochs": 3, "loss": "cross-entropy", "widths": [4, 16]},
    ],
    "entries": {
        "free, LeCun": FREE,
        "free, mirrored": FREE,
        "pairs": INSIDE,
        "signs": INSIDE,
        "cone": INSIDE,
    },
    "batch_size": 128,
    "half_angle": 0.8,
    "zeta": 0.1,  # signs: least size of an entry, over √m; cone: least height
    "held_out": {"digits": [297, 300], "mnist": [6000, 10000], "cifar10": [1500, 2000]},
    "tuning": [0, 1, 2],
    "reporting": [3, 4, 5, 6, 7],
}  # fmt: skip
SMALLER = {
    "seconds": {
        "problems": [{"data": "digits", "epochs": 20, "loss": "squared", "widths": [4]}],
        "entries": {
            "free, mirrored": {"step_size": [0.1, 0.2, 0.5, 1.0]},
            "pairs": {"step_size": [0.1, 0.5], "radius": [2.0, 8.0]},
        },
    },
    "minute": {
        "problems": [{"data": "digits", "epochs": 40, "loss": "squared", "widths": [4, 16]}],
    },
}  # fmt: skip


class Net(nnx.Module):
    """The book's network for ten classes: no biases."""

    def __init__(self, rngs, d, m):
        self.hidden = nnx.Linear(d, m, use_bias=False, rngs=rngs)
        self.output = nnx.Linear(m, 10, use_bias=False, rngs=rngs)

    def __call__(self, x):
        return self.output(nnx.tanh(self.hidden(x)))


@nl.frozen_pytree()
class Signs(nl.Constraint):
    """V = (A; −A), every entry of A with its own fixed sign and a least size."""

    signs: jax.Array
    zeta: float

    def project(self, x):
        A = nl.Pairs().project(x)[: len(x) // 2]
        A = self.signs * jnp.maximum(self.signs * A, self.zeta)
        return jnp.concatenate([A, -A])


def cross_entropy(outputs, y):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()


def squared(outputs, y):
    return nl.half_mean_squared_error(outputs, jax.nn.one_hot(y, 10, dtype=outputs.dtype))


def error(outputs, y):
    return float((outputs.argmax(axis=-1) != y).mean())


LOSSES = {"cross-entropy": cross_entropy, "squared": squared}
SGD = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)  # one, so that it compiles once


def images(data, held_out):
    """Images and classes to train on, for validation and for the test, in this order."""
    load = {"digits": nl.digits, "mnist": nl.mnist, "cifar10": nl.cifar10}[data]
    parts = [load(standardize=False)]
    if data != "digits":
        parts.append(load(split="test", standardize=False))
    X = np.concatenate([np.asarray(part.X, np.float32) for part in parts])
    classes = np.concatenate([np.asarray(part.classes, np.int32) for part in parts])
    cut = len(X) - sum(held_out)
    X -= X[:cut].mean(axis=0)
    X /= X[:cut].std()
    return jnp.asarray(X), jnp.asarray(classes), [cut, cut + held_out[0]]


def rules(entry, m, radius, record):
    """The constraints of an entrant."""
    zeta = record["zeta"]
    sets = {
        "pairs": lambda start: nl.Pairs(),
        "signs": lambda start: Signs(jnp.sign(start[: m // 2]), zeta / m**0.5),
        "cone": nl.ConeAroundStart(record["half_angle"], zeta),
    }
    if entry not in sets:
        return {}
    return {"hidden.kernel": nl.BallAroundStart(radius), "output.kernel": sets[entry]}


def runner(record, asked):
    """A run on one data set with one loss; what the seeds share is loaded once."""
    data, measure = asked["data"], LOSSES[asked["loss"]]
    X, classes, cuts = images(data, record["held_out"][data])

    def split(order):
        return [(X[rows], classes[rows]) for rows in np.split(order, cuts)]

    whole = split(np.arange(len(X)))

    def run(key, *, entry, m, step_size, radius=None):
        seed = int(jax.random.key_data(key)[-1])
        parts = (
            split(np.random.default_rng(seed).permutation(len(X))) if data == "digits" else whole
        )
        net = Net(nnx.Rngs(seed), X.shape[1], m)
        if entry != "free, LeCun":
            net = nl.mirrored(net, hidden="hidden", output="output")
        trainer = nl.ConstrainedTrainer(
            SGD, rules(entry, m, radius, record), loss=measure, batch_size=record["batch_size"]
        )
        end = trainer.fit(
            net, *parts[0], epochs=asked["epochs"], key=key, report_every=asked["epochs"],
            hyperparams={"learning_rate": step_size}, throw=False, progress=False,
        )  # fmt: skip
        outputs = [end.module(x) for x, _ in parts]
        there = 1.0 if end.result == nl.RESULTS.completed else np.nan
        errors = [there * error(out, y) for out, (_, y) in zip(outputs, parts, strict=True)]
        move = end.module.hidden.kernel[...] - net.hidden.kernel[...]
        V0, V = (np.asarray(a.output.kernel[...], float) for a in (net, end.module))
        cosine = (V0 * V).sum() / np.linalg.norm(V0) / np.linalg.norm(V)
        return {
            "validation_error": errors[1],
            "test_error": errors[2],
            "train_error": errors[0],
            "train_loss": there * float(measure(outputs[0], parts[0][1])),
            "moved": float(jnp.linalg.norm(move)),
            "size": np.linalg.norm(V),
            "angle": np.arccos(np.clip(cosine, -1, 1)),  # of V with its start, in radians
            "flipped": (V0 * V < 0).mean(),  # share of the entries with a new sign
            "counts": np.bincount(np.asarray(parts[0][1]), minlength=10),  # training images
        }

    return run


def run(record):
    """A row for each data set, loss, width and entrant."""
    rows = []
    for asked in record["problems"]:
        found = nl.race(
            runner(record, asked), record["entries"], goal="validation_error",
            static={"m": asked["widths"]}, vectorize=False,
            tuning=record["tuning"], reporting=record["reporting"],
        )  # fmt: skip
        rows += [{"data": asked["data"], "loss": asked["loss"], **row} for row in found]
    return rows
