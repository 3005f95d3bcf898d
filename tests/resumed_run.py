"""A training run with checkpoints, in a process of its own: tests kill it and start it again.

python resumed_run.py FOLDER EPOCHS OUTPUT; it writes the trained weights to OUTPUT at its end.
"""

import sys

import jax
import numpy as np
import optax
from flax import nnx
from modules import Net, mean_square

import narrowlib as nl


def train(folder, epochs):
    """Dropout, minibatches, Adam with a schedule, a ball: much that a resumed run could lose."""
    net = nl.mirrored(Net(nnx.Rngs(0), dropout=0.2), hidden="hidden", output="output")
    X = jax.random.normal(jax.random.key(1), (64, 5))
    Y = jax.random.normal(jax.random.key(2), (64, 3))
    trainer = nl.ConstrainedTrainer(
        optax.adam(optax.cosine_decay_schedule(0.01, 2000)),
        {"hidden.kernel": nl.BallAroundStart(0.5)},
        loss=mean_square, batch_size=10,
    )  # fmt: skip
    return trainer.fit(net, X, Y, epochs=epochs, key=jax.random.key(3), validation=(X, Y),
                       report_every=5, checkpoints=folder)  # fmt: skip


def numbers(run):
    """Everything that a run came to."""
    leaves = jax.tree.leaves([nnx.state(m, nnx.Param) for m in (run.module, run.best)])
    shown = run.history["validation"]
    return [*map(np.asarray, leaves), run.history["loss"], *shown.values()]


if __name__ == "__main__":
    folder, epochs, output = sys.argv[1:]
    np.savez(output, *numbers(train(None if folder == "none" else folder, int(epochs))))
