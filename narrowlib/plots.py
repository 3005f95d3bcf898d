"""The book's figures. Each function draws on given axes, or makes its own, and returns them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import ArrayLike, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from narrowlib._checks import (
    check_finite,
    check_inputs,
    check_int,
    check_number,
    check_targets,
    fail,
    shown,
)
from narrowlib._lists import check_list, check_mapping, check_numbers
from narrowlib._runs import runs
from narrowlib.landscape.plane_of_a_pair import plane_of_a_pair
from narrowlib.landscape.rank_sweep import RankSweep
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_params, forward

BLUE, VERMILION = "#0072B2", "#D55E00"
VERDICTS = {"full": BLUE, "undecided": "#E69F00", "deficient": "#E8E8E8"}


@runs("host")
def book_style() -> None:
    """Use the book's Matplotlib style from here on.

    Returns:
        Nothing.

    Example:
        >>> from narrowlib import plots
        >>> plots.book_style()
        >>> plots.plt.rcParams["savefig.facecolor"]
        'white'
    """
    plt.style.use(Path(__file__).with_name("book.mplstyle"))


def _axes(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    if ax is not None and not isinstance(ax, Axes):
        fail("ax", shown(ax), "Pass Matplotlib axes, or None for a new figure.")
    return plt.figure(figsize=size).add_subplot() if ax is None else ax


@runs("host")
def plane(
    params: Params,
    X: Float[ArrayLike, "n 2"],
    y: Float[ArrayLike, " n"],
    *,
    activation: str | Activation = "tanh",
    ax: Axes | None = None,
) -> Axes:
    """A network on the plane: its outputs as colours, its samples as marked points.

    Args:
        params: weights of a network with two inputs and one output.
        X: samples, shape (n, 2).
        y: labels ±1, shape (n,): drawn as plus signs and circles.
        activation: a name of `activations()` or an `Activation`.
        ax: where to draw; `None` for a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: if the network has no two inputs or several outputs, a label has no sign, or an
            argument is of another kind.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> from narrowlib import plots
        >>> data = nl.gaussian(jax.random.key(0), n=6, d=2)
        >>> ax = plots.plane(nl.lecun(jax.random.key(1), d=2, m=3), data.X, data.y)
        >>> plots.plt.close(ax.figure)
    """
    params = check_params(params)
    if params.W.shape[1] != 2 or params.v.ndim != 1:
        sizes = f"W of shape {params.W.shape} and v of shape {params.v.shape}"
        fail("params", sizes, "A plane needs two inputs, and one output.")
    X = check_inputs(X, d=2)
    y = check_targets(y, X, outputs=())
    for name, array in (("X", X), ("y", y)):
        check_finite(name, array)
    activation = get_activation(activation)
    if not (X.any() and y.all()):
        fail("X" if y.all() else "y", "zeros", "Pass samples not all zero, labels of either sign.")
    ax = _axes(ax, (4.0, 3.6))
    X, y = np.asarray(X), np.asarray(y)
    reach = 1.15 * float(np.abs(X).max())
    line = np.linspace(-reach, reach, 121)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    outputs = forward(params, jnp.asarray(grid, params.W.dtype), activation=activation)
    outputs = np.clip(np.asarray(outputs).reshape(121, 121), -1.4, 1.4)
    outputs[np.abs(outputs) < 1e-9] = 0.0  # a mirrored start is zero, but for rounding
    ax.contourf(line, line, outputs, levels=np.linspace(-1.5, 1.5, 16), cmap="RdBu")
    if outputs.any():
        ax.contour(line, line, outputs, levels=[0.0], colors="0.35", linewidths=0.9)
    for sign, marker, colour in ((1, "P", BLUE), (-1, "o", VERMILION)):
        chosen = np.sign(y) == sign
        ax.scatter(*X[chosen].T, marker=marker, s=60, color=colour, edgecolor="white", zorder=3)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.grid(False)
    return ax


@runs("host")
def pair_disc(
    X: ArrayLike, y: ArrayLike, radius: float, *, ax: Axes | None = None, **of: Any
) -> Axes:
    """The loss of a pair of neurons over the disc ‖δ‖ ≤ ε, at the best u: dark is low.

    Args:
        X: samples, shape (n, 2).
        y: targets, shape (n,). The lightest shade is 1.2 times the loss of F = 0, and above.
        radius: ε of the disc.
        ax: where to draw; `None` for a new figure.
        **of: `center`, `zeta`, `u_max` and `activation` of `nl.plane_of_a_pair`.

    Returns:
        The axes; `ax.collections[0]` has the colours.

    Example:
        >>> from narrowlib import plots
        >>> ax = plots.pair_disc([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0], 0.3, zeta=0.1)
        >>> plots.plt.close(ax.figure)
    """
    angle, size = np.linspace(0, 2 * np.pi, 181), np.linspace(0.01, 1, 60)
    size *= check_number("radius", radius, above=0)
    delta = np.stack([np.outer(size, np.cos(angle)), np.outer(size, np.sin(angle))], axis=-1)
    loss = np.asarray(plane_of_a_pair(delta, X, y, **of).loss)
    top = 0.6 * float(np.mean(np.asarray(y) ** 2))
    ax, shades = _axes(ax, (4.0, 3.6)), np.linspace(0, top, 31)
    ax.contourf(*np.moveaxis(delta, -1, 0), np.minimum(loss, top), shades, cmap="Blues_r")
    ax.set(aspect="equal", **dict.fromkeys(("xlim", "ylim"), (-1.06 * radius, 1.06 * radius)))
    ax.grid(False)
    return ax


@runs("host")
def loss_curves(
    curves: Mapping[str, Float[ArrayLike, " steps"]], *, ax: Axes | None = None
) -> Axes:
    """Training losses against steps, both on logarithmic scales.

    Args:
        curves: for each method's name its loss after each step.
        ax: where to draw; `None` for a new figure.

    Returns:
        The axes.

    Example:
        >>> from narrowlib import plots
        >>> ax = plots.loss_curves({"halving": [0.5, 0.25, 0.125]})
        >>> ax.get_xscale()
        'log'
        >>> plots.plt.close(ax.figure)
    """
    named = {
        name: check_numbers(f"curves[{name!r}]", losses, 1)
        for name, losses in check_mapping("curves", curves).items()
    }
    ax = _axes(ax)
    for name, losses in named.items():
        steps = np.arange(1, len(losses) + 1)
        ax.plot(steps, losses, label=name, marker="o" if len(losses) < 20 else None, markersize=4)
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="training loss ℓ")
    ax.legend()
    return ax


@runs("host")
def rank_by_width(
    ranks: Mapping[str, Mapping[int, int]],
    samples: int,
    *,
    predicted: Mapping[int, int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Numerical ranks of the Jacobian against the number of neurons.

    Args:
        ranks: for each data set's name the rank at each width.
        samples: n, the rank to reach, drawn as a line.
        predicted: a predicted rank at each width, drawn as crosses.
        ax: where to draw; `None` for a new figure.

    Returns:
        The axes.

    Example:
        >>> from narrowlib import plots
        >>> ax = plots.rank_by_width({"data": {2: 5, 4: 10}}, samples=10)
        >>> plots.plt.close(ax.figure)
    """
    samples = check_int("samples", samples, 1)
    for name, of_width in check_mapping("ranks", ranks).items():
        _numbers_by_width(f"ranks[{name!r}]", of_width)
    if predicted is not None:
        _numbers_by_width("predicted", predicted)
    ax = _axes(ax)
    ax.axhline(samples, color="0.4", linewidth=1, linestyle="-")
    for name, of_width in ranks.items():
        ax.plot(list(of_width), list(of_width.values()), marker="o", markersize=5, label=name)
    if predicted is not None:
        ax.plot(*zip(*predicted.items(), strict=True), "kx", ms=9, label="predicted")
    ax.set_xticks(sorted({width for of_width in ranks.values() for width in of_width}))
    ax.annotate(f"n = {samples}", (ax.get_xlim()[0], samples), (4, 4), textcoords="offset points")
    ax.set(xlabel="number of neurons m", ylabel="rank of the Jacobian")
    ax.legend(loc="lower right")
    return ax


def _numbers_by_width(name: str, of_width: object) -> None:
    for width, rank in check_mapping(name, of_width).items():
        check_int(f"{name}: the width", width, 1)
        check_numbers(f"{name}[{width}]", rank, 0)


@runs("host")
def image_row(images: Float[ArrayLike, "k height width"], titles: Sequence[str]) -> Figure:
    """Small grey images in a row, each with a title.

    Args:
        images: values from 0 to 1, shape (k, height, width).
        titles: k of them.

    Returns:
        The figure.

    Example:
        >>> import narrowlib as nl
        >>> from narrowlib import plots
        >>> plots.plt.close(plots.image_row(nl.digits(n=3).images, ["a", "b", "c"]))
    """
    images, titles = check_numbers("images", images, 3), check_list("titles", titles)
    if len(titles) != len(images):
        fail("titles", f"{len(titles)} of them", f"There are {len(images)} images: name each.")
    figure, axes = plt.subplots(1, len(images), figsize=(0.8 * len(images), 1.1), squeeze=False)
    for ax, image, title in zip(axes[0], images, titles, strict=True):
        ax.imshow(1 - image, cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    return figure


@runs("host")
def phase_diagram(sweep: RankSweep, *, ax: Axes | None = None) -> Axes:
    """Verdicts over numbers of samples and neurons, with the staircase n = (m/2) d.

    Each cell is a mixture of the colours in `VERDICTS`, by the shares of its draws.

    Args:
        sweep: over a table of cells, n along its columns and m along its rows.
        ax: where to draw; `None` for a new figure.

    Returns:
        The axes.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> from narrowlib import plots
        >>> with jax.enable_x64(True):
        ...     sweep = nl.rank_sweep(jax.random.key(0), n=[2, 4, 6], d=2, m=[[2], [4]], draws=3)
        >>> plots.plt.close(plots.phase_diagram(sweep).figure)
    """
    if not isinstance(sweep, RankSweep) or sweep.n.ndim != 2:
        got = f"cells {sweep.n.shape}" if isinstance(sweep, RankSweep) else shown(sweep)
        fail("sweep", got, "Pass a RankSweep over a table: n=[2, 4], m=[[2], [4], [6]].")
    ax = _axes(ax)
    n, m = sweep.n[0], sweep.m[:, 0]
    colours = np.array([tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in VERDICTS.values()])
    shares = np.stack([sweep.share(verdict) for verdict in VERDICTS], axis=-1)
    ax.imshow(shares @ colours / 255, origin="lower", aspect="auto", interpolation="nearest")
    reach = np.searchsorted(n, m * sweep.d / 2, side="right") - 0.5
    edges = np.arange(len(m) + 1) - 0.5
    ax.stairs(reach, edges, orientation="horizontal", baseline=None, color="black", linewidth=1.5)
    for axis, sizes in ((ax.xaxis, n), (ax.yaxis, m)):
        step = -(-len(sizes) // 4)
        places = np.arange(step - 1, len(sizes), step)
        axis.set_ticks(places, sizes[places].tolist())
    ax.set(xlabel="samples n", ylabel="neurons m")
    ax.grid(False)
    return ax
