"""What the KKT theorem asks of the two sets: of W's a place, of v's a cross-section."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array


class CrossSection(NamedTuple):
    r"""What the KKT theorem asks of a cone of output weights: its points of height 1.

    With one of them, v, the height scales the Jacobian: $J(W, hv) = h\,J(W, v)$. All others of
    height 1 are $v + (E; -E)$ with $\|E\| \le$ `spread`, up to entries that are larger than v's.

    Args:
        v: output weights of height 1, (u; −u).
        height: the least height, ζ.
        spread: how far the others lie to the side; 0 where their entries are only larger.
        stretch: the most by which they exceed the largest neuron's size in v, a factor.
        pairwise: whether the sizes of pairs are free but for a ratio: then `stretch` does not count
            where W's set is a ball.
    """

    v: Array
    height: Any
    spread: float
    stretch: float
    pairwise: bool = False


class BetweenBalls(NamedTuple):
    """Two balls around a start: one inside of a set of hidden weights, one around it.

    Args:
        center: $W_0$, shape (m, d), neuron j in row j.
        inner: the radius ε of a ball that the set contains.
        outer: the radius of a ball that contains the set.
    """

    center: Array
    inner: float
    outer: float
