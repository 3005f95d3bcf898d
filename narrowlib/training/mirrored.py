r"""The mirrored start for any Flax NNX module: a hidden layer whose neurons come in pairs.

The second half of the hidden layer's neurons are copies of the first; the next layer reads them
with the opposite sign. Whatever acts on each neuron alike in between (an activation, pooling over
places, normalisation of a channel by itself) keeps the pairs equal, so that the next layer's
output is its bias: the network starts at zero from there on.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from narrowlib._checks import check_int, check_module, fail, shown
from narrowlib._runs import runs
from narrowlib.constraints.kernels import from_neuron_rows, neuron_rows
from narrowlib.training.epochs import parameters_by_path, with_parameters


@runs("jit and grad")
def mirrored(module: Any, *, hidden: str, output: str, positions: int = 1) -> Any:
    r"""A copy of a module whose hidden layer is mirrored: $W = (U; U)$, $v = (u; -u)$.

    Args:
        module: a Flax NNX module.
        hidden: the path of the layer whose neurons (or channels) become pairs, such as "hidden"
            or "layers.0": a layer with a `kernel` and perhaps a `bias`, as `nnx.Linear` and
            `nnx.Conv` have.
        output: the path of the layer that reads them.
        positions: where `output` is a `Linear` layer that reads flattened images, how many
            places each channel has (height × width).

    Returns:
        The copy; the module itself is left as it is.

    Raises:
        ValueError: if `module` is no NNX module, there is no such layer, the number of neurons is
            odd, or the two layers do not fit together.

    Example:
        >>> import jax, narrowlib as nl
        >>> from flax import nnx
        >>> class Net(nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.hidden = nnx.Linear(5, 8, rngs=rngs)
        ...         self.output = nnx.Linear(8, 3, rngs=rngs)
        ...
        ...     def __call__(self, x):
        ...         return self.output(nnx.tanh(self.hidden(x)))
        >>> net = nl.mirrored(Net(nnx.Rngs(0)), hidden="hidden", output="output")
        >>> bool(abs(net(jax.numpy.ones((2, 5)))).max() < 1e-6)
        True

    References:
        Zhang et al. (2021), Algorithm 1; for layers inside deeper networks, ours.
    """
    check_module("module", module)
    for argument, path in (("hidden", hidden), ("output", output)):
        if not isinstance(path, str):
            fail(argument, shown(path), 'Pass a path as text, such as "hidden" or "layers.0".')
    positions = check_int("positions", positions, 1)
    there = parameters_by_path(module)
    kernel = _parameter(there, "hidden", f"{hidden}.kernel")
    reading = _parameter(there, "output", f"{output}.kernel")
    m = kernel.shape[-1] if kernel.ndim > 1 else 0
    if min(kernel.ndim, reading.ndim) < 2:
        fail("hidden", repr(hidden), "Kernels need two axes or more: inputs and neurons.")
    if m % 2:
        fail("hidden", f"{hidden!r} with {m} neurons", "Mirrored halves need an even number.")
    if reading.shape[-2] != m * positions:
        fail(
            "output",
            f"a kernel of shape {reading.shape}",
            f"{hidden} has {m} neurons: with positions={positions} the layer that reads them has "
            f"{m * positions} inputs.",
        )
    changed = {f"{hidden}.kernel": _twins(kernel, -1, 1, 1.0)}
    changed[f"{output}.kernel"] = _twins(reading, -2, positions, -1.0)
    if f"{hidden}.bias" in there:
        changed[f"{hidden}.bias"] = _twins(there[f"{hidden}.bias"], -1, 1, 1.0)
    return with_parameters(nnx.clone(module), changed)


def _parameter(there: dict[str, Array], argument: str, path: str) -> Array:
    if path not in there:
        fail(argument, repr(path), f"The module's parameters are {', '.join(there)}.")
    return there[path]


def _twins(kernel: Array, axis: int, positions: int, sign: float) -> Array:
    """The kernel with its second half of neurons made from the first."""
    rows = neuron_rows(kernel, axis, positions)
    half = rows[: rows.shape[0] // 2]
    return from_neuron_rows(jnp.concatenate([half, sign * half]), kernel, axis, positions)
