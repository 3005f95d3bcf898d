"""What certificates have in common: their numbers, their file, and their arithmetic's error.

A certificate is computed from X, y, the parameters and the constraint alone, never from a
solver's state. Its file is a NumPy archive without pickles that holds the data, the weights and
the claims; `verifier.py`, which needs NumPy and nothing else, computes every claim again.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, ArrayLike

from narrowlib._checks import check_double, fail
from narrowlib._files import open_archive, write_whole
from narrowlib.network import rounding
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_finite_problem, check_problem
from narrowlib.network.rounding import least_singular_value as least_singular_value

FORMAT = 1
_KINDS: dict[str, type[Certificate]] = {}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Certificate:
    """The base of `ExistenceCertificate` and `KKTCertificate`: data, weights, claims.

    Args:
        arrays: what the claims are about, by name: X, y, W, v and the constraint's arrays.
        activation: the activation's name.
        verdict: the conclusion, in a word or two.
    """

    kind: ClassVar[str]
    arrays: dict[str, np.ndarray] = dataclasses.field(repr=False)
    activation: str
    verdict: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.kind] = cls

    @property
    def claims(self) -> dict[str, Any]:
        """Every number and word of the certificate, ready for JSON."""
        fields = (f.name for f in dataclasses.fields(self) if f.name != "arrays")
        return {name: getattr(self, name) for name in fields}

    def explain(self) -> str:
        """The certificate read aloud: what was checked, and what follows."""
        raise TypeError("a bare Certificate has nothing to explain")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the certificate to a file, whole or not at all.

        Args:
            path: where to; `.npz` is appended if the name lacks it.

        Returns:
            The path of the file.
        """
        path = Path(path)
        path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        header = {"format": FORMAT, "kind": self.kind, "claims": self.claims}
        contents: dict[str, Any] = {"header": np.array(json.dumps(header)), **self.arrays}
        with write_whole(path) as stream:
            np.savez_compressed(stream, **contents)
        return path


def load_certificate(path: str | os.PathLike[str]) -> Certificate:
    """Read a certificate back from its file.

    Loading does not check it: run `verifier.py` on the file for that.

    Args:
        path: a file that `Certificate.save` wrote.

    Returns:
        The `ExistenceCertificate` or `KKTCertificate`.

    Raises:
        ValueError: if the file is no certificate, or of a later format.
        FileNotFoundError: if there is no such file.

    Example:
        >>> import jax, tempfile, pathlib
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True), tempfile.TemporaryDirectory() as folder:
        ...     X = jax.random.normal(jax.random.key(0), (8, 5))
        ...     sol = nl.interpolate(X, X[:, 0], key=jax.random.key(1))
        ...     cert = nl.existence_certificate(sol.params, X, X[:, 0])
        ...     nl.load_certificate(cert.save(pathlib.Path(folder) / "mine")).verdict
        'exists'
    """
    with open_archive("path", path) as archive:
        if "header" not in archive.files:
            fail("path", repr(str(path)), "That archive holds no certificate: it has no header.")
        header = json.loads(str(archive["header"]))
        arrays = {name: archive[name] for name in archive.files if name != "header"}
    if header.get("format") != FORMAT or header.get("kind") not in _KINDS:
        found = f"kind {header.get('kind')!r}, format {header.get('format')!r}"
        fail("path", found, f"This narrowlib reads {' and '.join(_KINDS)} of format {FORMAT}.")
    return _KINDS[header["kind"]](arrays=arrays, **header["claims"])


def certified_problem(
    params: Params, X: ArrayLike, y: ArrayLike, activation: str | Activation, allow_float32: bool
) -> tuple[Params, Array, Array, Activation]:
    """The checked arguments of a certificate."""
    sigma = get_activation(activation)
    params, X, y = check_problem(params, X, y)
    check_double("params", X.dtype, allow_float32)
    check_finite_problem(params, X, y)
    return params, X, y, sigma


def output_rounding(params: Params, X: Array, sigma: Activation) -> float:
    """A bound on how far rounding moves the computed outputs, in the norm over all samples."""
    return float(rounding.output_rounding(params, X, sigma))
