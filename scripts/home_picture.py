"""Draws the picture that stands for the live figure where there is no JavaScript.

Eight points and eight neurons, as on the home page: projected gradient for 300 steps, then
projected Gauss–Newton to the end, both by the library.
"""

import io

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from book_status import ROOT, write_whole
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from PIL import Image

import narrowlib as nl
from narrowlib import plots

PICTURE = ROOT / "book/images/plane_and_ball.png"
RADIUS = 1.0
LABELS = (1.0, 1, -1, 1, -1, -1, 1, -1)


def solved() -> tuple[nl.Params, nl.Solution, jax.Array, jax.Array]:
    """The start, the end of the run, and the data."""
    turn = 0.3 + 2 * np.pi * np.arange(8) / 8.6
    X, y = jnp.asarray(1.6 * np.stack([np.cos(turn), np.sin(turn)], axis=1)), jnp.array(LABELS)
    start = nl.mirrored_lecun(jax.random.key(0), d=2, m=8)
    C = nl.Product(W=nl.Ball(start.W, radius=RADIUS), v=nl.PairedCone(zeta=0.01, kappa=10))
    first = nl.ProjectedGradient(C, ray_scaling=True).run(start, X, y, max_steps=300, tol=0.0)
    return start, nl.ProjectedGaussNewton(C).run(first.params, X, y, tol=1e-9), X, y


def weights(start: nl.Params, end: nl.Params, ax: Axes) -> None:
    """The neurons at the start and at the end, with the ball's shadow around each start."""
    for j, (before, after) in enumerate(zip(start.W, end.W, strict=True)):
        ax.add_patch(Circle(tuple(before), RADIUS, fill=False, ls="--", color="C0", lw=0.8))
        ax.plot(*np.stack([before, after], axis=1), color="C0", lw=1)
        ax.plot(*after, "o", color="C0", mfc="C0" if j < 4 else "none")
    ax.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal", xlim=(-3, 3), ylim=(-3, 3))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    plots.book_style()
    start, sol, X, y = solved()
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.6))
    plots.plane(sol.params, X, y, ax=axes[0])
    weights(start, sol.params, axes[1])
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    with write_whole(PICTURE) as stream:  # few colours: every visitor of the home page loads it
        Image.open(drawn).convert("RGB").quantize(48).save(stream, format="PNG", optimize=True)
    print(f"{PICTURE.name}: loss {sol.stats['loss']:.0e}")
