"""Checkers of Part 2, Chapter 1, "What can go wrong in a narrow net"."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    Verdict,
    exercise,
    function_of,
    near,
    numeric_exercise,
    weights_of,
)
from narrowlib.landscape.stationary import stationary_point
from narrowlib.network.model import Params, forward
from narrowlib.network.starts import lecun


@numeric_exercise("2.1.1")
def _certificate_radius(value: float) -> Verdict:
    """(μ/M)(1 - √(1 - 2h)) for g = 2e-7, μ = 0.003 and M = 12; the largest eigenvalue is 4."""
    g, mu, largest, M = 2e-7, 0.003, 4.0, 12.0

    def radius(mu: float, sign: int = -1) -> float:
        return mu / M * (1 + sign * math.sqrt(1 - 2 * M * g / mu**2))

    if near(value, radius(mu), 0.01):
        return Verdict(True, "A little more than the Newton step g/μ, and less than 2g/μ.")
    if near(value, M * g / mu**2, 0.01):
        return Verdict(False, "That is h. It is below one half, so there is a distance.")
    if near(value, g / mu, 0.01):
        return Verdict(False, "That is the longest Newton step; the exact point can be further.")
    if near(value, 2 * g / mu, 0.01):
        return Verdict(False, "A valid bound, but t is smaller.")
    if near(value, mu / M, 0.01):
        return Verdict(False, "That is how far the Hessian stays invertible. Mind the root.")
    if near(value, radius(mu, 1), 0.01):
        return Verdict(False, "The other root: take the smaller one.")
    if near(value, radius(largest), 0.01):
        return Verdict(False, "μ is the least eigenvalue in absolute value, not the largest.")
    return Verdict(False, "t = (μ/M)(1 - √(1 - 2h)) with h = M g/μ².")


@exercise("2.1.2")
def _four_verdicts(answer: Any) -> Verdict:
    """What the certificate proves at four points with M = 10."""
    M = 10.0
    points = {
        "A": (1e-6, (0.2, 1.0, 3.0)),
        "B": (1e-4, (-0.3, -0.1, 2.0)),
        "C": (1e-9, (1e-5, 0.4, 2.0)),
        "D": (1e-13, (-0.5, 1e-7, 1.0)),
    }
    words = ("minimum", "saddle", "undecided")
    if not isinstance(answer, list | tuple):
        return Verdict(False, "Pass four words.")
    given = [str(word).strip().lower().removeprefix("local ") for word in answer]
    if len(given) != 4 or not set(given) <= set(words):
        return Verdict(False, "Pass four words, each local minimum, saddle or undecided.")
    for word, (name, (g, eigenvalues)) in zip(given, points.items(), strict=True):
        mu = min(map(abs, eigenvalues))
        certain = M * g / mu**2 < 0.5
        right = words[2] if not certain else words[1] if min(eigenvalues) < 0 else words[0]
        if word == right:
            continue
        if not certain:
            return Verdict(False, f"Look at {name} again: how large is its h?")
        if word == "undecided":
            return Verdict(False, f"Look at {name} again: its h is small enough.")
        return Verdict(False, f"Look at {name} again: the signs of its eigenvalues tell which.")
    return Verdict(True, "A small gradient is worth as much as μ² is large.")


@numeric_exercise("2.1.3")
def _tanh_infimum(value: float) -> Verdict:
    """One tanh neuron on x = (1, 3), y = (1, 4): the distance from the line through x."""
    x, y = np.array([1.0, 3.0]), np.array([1.0, 4.0])

    def square(line: np.ndarray) -> float:
        return float(y @ y - (y @ line) ** 2 / (line @ line))

    if near(value, square(x) / 4):
        return Verdict(True, "No weights attain it: w has to vanish and v to grow.")
    if abs(value) < 1e-9:
        return Verdict(False, "The labels have a ratio that the outputs cannot have.")
    if near(value, square(x)):
        return Verdict(False, "That is the squared distance. The loss divides it by 2n.")
    if near(value, square(x) / 2):
        return Verdict(False, "The loss is half the mean square.")
    if near(value, square(np.ones(2)) / 4):
        return Verdict(False, "The other end of the ratio is closer to the labels.")
    return Verdict(False, "The outputs fill the cone between two lines. Which is nearer to y?")


def _at_rest(seed: int, m: int, d: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """A tanh network with samples and labels for which it is stationary, at a positive loss."""
    rng = np.random.default_rng(seed)
    n = m * (d + 1) + 3
    X, W, v = rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=m)
    phi = np.tanh(X @ W.T)
    J = (((1 - phi**2) * v)[:, :, None] * X[:, None, :]).reshape(n, -1)
    r = np.linalg.svd(np.concatenate([J, phi], axis=1))[0][:, -1]  # orthogonal to all columns
    return Params(jnp.asarray(W), jnp.asarray(v)), X, phi @ v - r


@exercise("2.1.4")
def _split(answer: Any) -> Verdict:
    """A function (params, j, part) that copies neuron j and divides its output weight."""
    function = function_of(answer)
    for seed, (j, part) in enumerate([(0, 0.3), (2, -0.5), (1, 0.8)]):
        m, d = 3, 2 + seed
        with jax.enable_x64(True):
            params, X, y = _at_rest(seed, m, d)
            returned = function(params, j, part)
            W, v = weights_of(returned, "Your function has to return nl.Params of arrays.")
            old = np.asarray(params.W), np.asarray(params.v)
        if W.shape != (m + 1, d) or v.shape != (m + 1,):
            return Verdict(False, f"One neuron more: W should be {m + 1} × {d}, v of {m + 1}.")
        phi = np.tanh(X @ W.T)
        r = phi @ v - y
        if not np.allclose(r, np.tanh(X @ old[0].T) @ old[1] - y, rtol=0, atol=1e-6):
            return Verdict(False, "The outputs change: the two shares have to add up to v_j.")
        slope = ((1 - phi**2) * np.outer(r, v)).T @ X
        if not math.hypot(np.linalg.norm(slope), float(np.linalg.norm(phi.T @ r))) < 1e-6:
            return Verdict(False, "The outputs stay, but the gradient does not: is it a copy?")
        want_W, want_v = np.vstack([old[0], old[0][j]]), np.append(old[1], (1 - part) * old[1][j])
        want_v[j] *= part
        if not (np.allclose(W, want_W, atol=1e-6) and np.allclose(v, want_v, atol=1e-6)):
            return Verdict(
                False, "It stays stationary, but neuron j should keep the share `part`, in place."
            )
    return Verdict(True, "A stationary point of the narrow net, a whole line of the wider one.")


@exercise("2.1.5")
def _own_minimum(answer: Any) -> Verdict:
    """Two GELU neurons at a proved local minimum with a positive loss, on a teacher's labels."""
    W, v = weights_of(answer, "Pass the params of your network.", 2, 2)
    with jax.enable_x64(True):
        X = gaussian(jax.random.key(5), n=15, d=2).X
        y = forward(lecun(jax.random.key(50), d=2, m=2), X, activation="gelu")
        params = Params(jnp.asarray(W), jnp.asarray(v))
        point = stationary_point(params, X, y, activation="gelu")
        verdict, loss, h = point.verdict, float(point.loss), float(point.h)
        low = float(point.loss_bounds[0])
    if verdict == "local minimum" and low > 1e-6:
        return Verdict(True, f"A strict local minimum with a loss of {loss:.4f}, and it is bad.")
    if loss < 1e-6:
        return Verdict(False, f"The loss is {loss:.0e}: that is a fit.")
    if verdict == "undecided":
        return Verdict(False, f"Undecided: h = {h:.1e}. Go on to a smaller gradient, or elsewhere.")
    if verdict == "saddle":
        return Verdict(False, "That is a saddle: go on along its direction of descent.")
    return Verdict(False, f"The verdict is {verdict!r}: let a solver go on until it rests.")
