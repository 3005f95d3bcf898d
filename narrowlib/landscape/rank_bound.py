r"""The rank that J has at most, by arguments that do not round.

Row (i, c) of J holds $v_{jc}\, \sigma'(w_j^\top x_i)\, x_{ik}$ in column (j, k). So

- equal samples have equal rows, and a sample of zeros has none; outputs likewise;
- equal neurons have proportional columns, unless their output weights tell them apart;
- an input that is the same, or 0, for most samples has columns that are so but for few rows;
- if σ′ is affine, all rows are combinations of the products $x_k\, (w_j^\top x)$ and of the $x_k$.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from narrowlib.network.activations import Activation
from narrowlib.network.model import Params


def rank_bound(params: Params, X: Float[np.ndarray, "n d"], sigma: Activation) -> int:
    """What the rank of J cannot exceed; often what it is."""
    W, V = (np.asarray(array) for array in params)
    V = V.reshape(len(V), -1)
    samples = _distinct(X[X.any(axis=1)])
    W = W[:, samples.any(axis=0)]
    outputs = len(_directions(V.T))
    kinds, kind = np.unique(W, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    told_apart = (len(_directions(V[kind == k])) for k in range(len(kinds)))
    neurons = [min(count, outputs) for count in told_apart if count > 0]
    bound = min(
        outputs * len(samples),
        _by_inputs(samples, np.zeros(X.shape[1], X.dtype), sum(neurons), outputs),
        _by_inputs(samples, _usual(samples), sum(neurons), outputs),
    )
    if sigma.polynomial and sigma.jerk == 0:
        inputs = W.shape[1]
        own = min(len(neurons), inputs)
        products = own * inputs - own * (own - 1) // 2
        linear = float(sigma.derivative(jnp.zeros((), X.dtype))) != 0
        bound = min(bound, outputs * (products + linear * inputs))
    return int(bound)


def _by_inputs(samples: np.ndarray, usual: np.ndarray, neurons: int, outputs: int) -> int:
    """The least bound that takes the columns of some inputs as they are, and of others the rows.

    Of those that differ from their usual values in the fewest samples; what these values have in
    common are the columns of an input that is 1 everywhere.
    """
    apart = samples != usual
    order = np.argsort(apart.sum(axis=0), kind="stable")
    rows = np.logical_or.accumulate(apart[:, order], axis=1).sum(axis=0)
    common = np.logical_or.accumulate(usual[order] != 0)
    rows, common = np.concatenate([[0], rows]), np.concatenate([[0], common])
    left = samples.shape[1] - np.arange(len(rows))
    return int((neurons * (left + common) + outputs * rows).min())


def _usual(samples: np.ndarray) -> np.ndarray:
    """The most frequent value of each input."""
    usual = np.zeros(samples.shape[1], samples.dtype)
    for k, column in enumerate(samples.T):
        values, counts = np.unique(column, return_counts=True)
        if len(values):
            usual[k] = values[counts.argmax()]
    return usual


def nearly_equal(params: Params, X: Float[np.ndarray, "n d"]) -> bool:
    """Whether samples, neurons or outputs differ, but by so little that rounding may hide it."""
    W, V = (np.asarray(array) for array in params)
    V = V.reshape(len(V), -1)
    V = V / np.maximum(np.max(np.abs(V), axis=0), np.finfo(V.dtype).tiny)
    return any(len(_distinct(rows)) > len(_distinct(_rounded(rows))) for rows in (X, W, V.T))


def _rounded(array: np.ndarray) -> np.ndarray:
    """To multiples of √ε times the largest entry."""
    largest = np.max(np.abs(array), initial=0)
    if largest == 0:
        return array
    return np.round(array / largest / np.sqrt(np.finfo(array.dtype).eps))


def _distinct(rows: np.ndarray) -> np.ndarray:
    return np.unique(rows, axis=0)


def _directions(rows: np.ndarray) -> np.ndarray:
    """The rows that are not zero, each once, of r and −r one."""
    rows = rows[rows.any(axis=1)]
    first = np.take_along_axis(rows, (rows != 0).argmax(axis=1)[:, None], axis=1)
    return _distinct(rows * np.sign(first))
