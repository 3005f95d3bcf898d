"""Does the constraint on the last hidden layer help deeper narrow nets on new images?

Two-hidden-layer nets on digits, small convolutional nets on digits and CIFAR-10, with m neurons in
the last hidden layer. Free training has weight decay as its knob, constrained training the radius
of the ball, so that everyone has the same number of tries. Step size and knob are chosen by
validation error; test error is only reported. For the two-layer net ball and cone run alone too.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

import narrowlib as nl

FREE = {"step_size": [0.03, 0.1, 0.3, 1.0], "weight_decay": [0.0, 1e-3]}
HELD = {"step_size": [0.03, 0.1, 0.3, 1.0], "radius": [4.0, 16.0]}
CONE = {"step_size": [0.03, 0.1, 0.3, 1.0], "half_angle": [1.0, 1.57]}  # 1.57: pairs, a half-space
SMALL_STEPS = [0.003, 0.01, 0.03, 0.1]
RECORD = {
    "question": "At m neurons in the last hidden layer, which training has fewer test errors?",
    "net": "tanh; m neurons in the last hidden layer; cross-entropy; float32",
    "entries": {
        "SGD": FREE,
        "SGD, mirrored": FREE,
        "projected SGD": HELD,
        "Adam": {**FREE, "step_size": SMALL_STEPS},
        "projected Adam": {**HELD, "step_size": SMALL_STEPS},
    },
    "momentum": 0.9,
    "cone": {"half_angle": 1.0, "zeta": 0.1},
    "batch_size": 50,
    "problems": {
        "digits, two layers": {
            "data": "digits", "first": 32, "widths": [2, 4, 8, 16, 32],
            "train": 1000, "validation": 397, "epochs": 20,
            "alone": {"ball only": HELD, "cone only": CONE},
        },
        "digits, convolutions": {
            "data": "digits", "strides": [1, 2], "widths": [4, 32],
            "train": 1000, "validation": 397, "epochs": 10,
        },
        "CIFAR-10, convolutions": {
            "data": "cifar10", "strides": [2, 2], "widths": [4, 32],
            "train": 2500, "validation": 1000, "epochs": 5,
        },
    },
    "goal": "validation_error",
    "tuning": [0, 1, 2],
    "reporting": [10, 11, 12, 13, 14],
    "verdict": "ahead on every reporting seed, and medians apart by more than a factor:",
    "factor": {"train_loss": 2.0, "test_error": 1.25},
}  # fmt: skip
QUICK = {"data": "digits", "train": 1000, "validation": 397}
SMALLER = {
    "seconds": {
        "entries": {
            "SGD": {"step_size": [0.03, 0.3], "weight_decay": [0.0]},
            "projected SGD": {"step_size": [0.03, 0.3], "radius": [16.0]},
        },
        "problems": {
            "digits, two layers": {**QUICK, "first": 32, "widths": [4], "epochs": 10},
        },
        "tuning": [0, 1],
        "reporting": [10, 11, 12],
    },
    "minute": {
        "problems": {
            "digits, two layers": {**QUICK, "first": 32, "widths": [4], "epochs": 20},
            "digits, convolutions": {**QUICK, "strides": [1, 2], "widths": [4], "epochs": 3},
        },
        "tuning": [0],
        "reporting": [10, 11, 12],
    },
}


class TwoLayers(nnx.Module):
    """Images, `first` neurons, m neurons, 10 classes."""

    def __init__(self, rngs: nnx.Rngs, inputs: int, first: int, m: int):
        self.first = nnx.Linear(inputs, first, rngs=rngs)
        self.hidden = nnx.Linear(first, m, rngs=rngs)
        self.output = nnx.Linear(m, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.tanh(self.first(x.reshape(len(x), -1)))
        return self.output(nnx.tanh(self.hidden(x)))


class Convolutions(nnx.Module):
    """Images, 8 and 16 channels, m neurons, 10 classes."""

    def __init__(self, rngs: nnx.Rngs, shape: tuple[int, ...], strides: list[int], m: int):
        size = -(-shape[0] // strides[0])
        size = -(-size // strides[1])
        self.early = nnx.Conv(shape[2], 8, (3, 3), strides=strides[0], rngs=rngs)
        self.late = nnx.Conv(8, 16, (3, 3), strides=strides[1], rngs=rngs)
        self.hidden = nnx.Linear(16 * size**2, m, rngs=rngs)
        self.output = nnx.Linear(m, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.tanh(self.late(nnx.tanh(self.early(x))))
        return self.output(nnx.tanh(self.hidden(x.reshape(len(x), -1))))


def cross_entropy(outputs, y):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()


@cache
def images(data: str, split: str):
    """Images (n, height, width, channels) and classes; CIFAR-10 averaged to 16 × 16 pixels."""
    if data == "digits":
        made, shape = nl.digits(standardize=False), (8, 1, 8, 1, 1)
    else:
        made, shape = nl.cifar10(split=split, standardize=False), (16, 2, 16, 2, 3)
    fine = np.asarray(made.X, np.float32).reshape(-1, *shape)
    return fine.mean(axis=(2, 4)), np.asarray(made.classes, np.int32)


def parts(seed: int, plan: dict):
    """Training, validation and test images with classes, drawn by the seed."""
    x, y = images(plan["data"], "train")
    order = np.random.default_rng(seed).permutation(len(x))
    n, held = plan["train"], plan["train"] + plan["validation"]
    drawn = [(x[rows], y[rows]) for rows in (order[:n], order[n:held], order[held:])]
    if plan["data"] != "digits":
        drawn[2] = images(plan["data"], "test")
    center, scale = drawn[0][0].mean(axis=0), drawn[0][0].std()
    return [((x - center) / scale, y) for x, y in drawn]


@cache
def optimizer(name: str, momentum: float):
    """One object for all step sizes, so that a shape is compiled once."""

    @optax.inject_hyperparams
    def make(learning_rate, weight_decay):
        if "Adam" in name:
            return optax.adamw(learning_rate, weight_decay=weight_decay)
        decay = optax.add_decayed_weights(weight_decay)
        return optax.chain(decay, optax.sgd(learning_rate, momentum=momentum))

    return make(learning_rate=0.1, weight_decay=0.0)


outputs = nnx.jit(lambda net, x: net(x))


def train(key, *, entry, step_size, m, problem, record, weight_decay=0.0, radius=0.0,
          half_angle=0.0) -> dict[str, Any]:  # fmt: skip
    """One run: errors on the three parts, and how far the hidden kernel moved."""
    plan = record["problems"][problem]
    split = parts(int(jax.random.key_data(key)[-1]), plan)
    shape = split[0][0].shape[1:]
    if "first" in plan:
        net = TwoLayers(nnx.Rngs(key), math.prod(shape), plan["first"], m)
    else:
        net = Convolutions(nnx.Rngs(key), shape, plan["strides"], m)
    rules, cone = {}, record["cone"]
    if entry not in ("SGD", "Adam"):
        net = nl.mirrored(net, hidden="hidden", output="output")
    if radius:
        rules["hidden.kernel"] = nl.BallAroundStart(radius)
    if half_angle or "projected" in entry:
        angle = half_angle or cone["half_angle"]
        rules["output.kernel"] = nl.ConeAroundStart(angle, cone["zeta"])
    trainer = nl.ConstrainedTrainer(
        optimizer("Adam" if "Adam" in entry else "SGD", record["momentum"]),
        rules, loss=cross_entropy, batch_size=record["batch_size"])  # fmt: skip
    end = trainer.fit(
        net, *split[0], epochs=plan["epochs"], key=key, throw=False, progress=False,
        hyperparams={"learning_rate": step_size, "weight_decay": weight_decay})  # fmt: skip
    values = np.asarray(outputs(end.module, np.concatenate([x for x, _ in split])))
    cuts = np.cumsum([len(x) for x, _ in split])[:2]
    values = np.split(values, cuts)
    wrong = [(a.argmax(axis=1) != y).mean() for a, (_, y) in zip(values, split, strict=True)]
    way = end.module.hidden.kernel[...] - net.hidden.kernel[...]
    found = {"train_error": wrong[0], "validation_error": wrong[1], "test_error": wrong[2],
             "train_loss": float(cross_entropy(values[0], split[0][1])),
             "moved": float(np.linalg.norm(way))}  # fmt: skip
    finite = end.result.name == "completed"
    return {name: value if finite else math.nan for name, value in found.items()}


def run(record: dict) -> list[dict]:
    """A row for each problem, width and entrant."""
    rows = []
    for name, plan in record["problems"].items():
        rows += nl.race(
            partial(train, record=record),
            {**record["entries"], **plan.get("alone", {})},
            static={"problem": [name], "m": plan["widths"]}, goal=record["goal"],
            tuning=record["tuning"], reporting=record["reporting"],
            vectorize=False)  # fmt: skip
    return rows
