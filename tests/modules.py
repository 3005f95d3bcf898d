"""Flax modules that tests train."""

import jax.numpy as jnp
from flax import nnx


class Net(nnx.Module):
    """Two layers with biases, and dropout between them if asked for."""

    def __init__(self, rngs, d=5, m=8, outputs=3, dropout=0.0):
        self.hidden = nnx.Linear(d, m, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.output = nnx.Linear(m, outputs, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(jnp.tanh(self.hidden(x))))


class ConvNet(nnx.Module):
    """Convolutions in a list, normalisation, and a dense layer that reads flattened images."""

    def __init__(self, rngs, channels=4, size=6, outputs=2):
        self.layers = nnx.List([
            nnx.Conv(1, 2, (3, 3), rngs=rngs), nnx.Conv(2, channels, (3, 3), rngs=rngs),
        ])  # fmt: skip
        self.norm = nnx.BatchNorm(channels, rngs=rngs)
        self.output = nnx.Linear(size * size * channels, outputs, rngs=rngs)

    def __call__(self, x):
        x = jnp.tanh(self.layers[0](x))
        x = jnp.tanh(self.norm(self.layers[1](x)))
        return self.output(x.reshape(x.shape[0], -1))


class Sum(nnx.Module):
    """One weight a sample: with one-hot samples its gradient counts them."""

    def __init__(self, n):
        self.p = nnx.Param(jnp.zeros(n))

    def __call__(self, x):
        return x @ self.p[...]


def mean_output(outputs, y):
    return jnp.mean(outputs)


def mean_square(outputs, y):
    return jnp.mean((outputs - y) ** 2)
