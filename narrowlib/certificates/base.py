"""What certificates have in common: their numbers, their file, and their arithmetic's error.

A certificate is computed from X, y, the parameters and the constraint alone, never from a
solver's state. Its file is a NumPy archive without pickles that holds the data, the weights and
the claims; `verifier.py`, which needs NumPy and nothing else, computes every claim again.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_path, fail
from narrowlib._files import open_archive, write_whole
from narrowlib._runs import runs
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import lipschitz_in_W
from narrowlib.network.model import Params
from narrowlib.network.rounding import least_singular_value

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
    infinite: ClassVar[tuple[str, ...]] = ()  # claims that are ∞ where a bound is void
    arrays: dict[str, np.ndarray] = dataclasses.field(repr=False)
    activation: str
    verdict: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.kind] = cls

    @property
    def claims(self) -> dict[str, Any]:
        """Every number and word of the certificate, ready for JSON: None stands for ∞."""
        values = {name: getattr(self, name) for name in self._claimed()}
        return values | {name: None for name in self.infinite if values[name] == math.inf}

    @classmethod
    def _claimed(cls) -> list[str]:
        return [f.name for f in dataclasses.fields(cls) if f.name != "arrays"]

    def explain(self) -> str:
        """The certificate read aloud: what was checked, and what follows."""
        fail("certificate", "a bare Certificate", "Only the kinds of certificates have a reading.")

    @runs("host")
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the certificate to a file, whole or not at all.

        Args:
            path: where to; `.npz` is appended if the name lacks it.

        Returns:
            The path of the file.

        Raises:
            ValueError: if the path is none, or the certificate is one that cannot be verified.
        """
        path = check_path("path", path)
        if not path.name:
            fail("path", repr(str(path)), "That is a folder: name a file in it.")
        path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        header = {"format": FORMAT, "kind": self.kind, "claims": self.claims}
        text = np.array(json.dumps(header, allow_nan=False))
        contents: dict[str, Any] = {"header": text, **self.arrays}
        with write_whole(path) as stream:
            np.savez_compressed(stream, **contents)
        return path

    @classmethod
    def from_claims(cls, arrays: dict[str, np.ndarray], claims: dict[str, Any]) -> Certificate:
        """The inverse of `claims`, for claims that are complete."""
        void: dict[str, Any] = {name: math.inf for name in cls.infinite if claims[name] is None}
        return cls(arrays=arrays, **(claims | void))


@runs("host")
def load_certificate(path: str | os.PathLike[str]) -> Certificate:
    """Read a certificate back from its file.

    Loading does not check it: run `verifier.py` on the file for that.

    Args:
        path: a file that `Certificate.save` wrote.

    Returns:
        The `ExistenceCertificate`, `ExistenceProof` or `KKTCertificate`.

    Raises:
        ValueError: if the file is no certificate, is damaged, or of a later format.
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
    path = check_path("path", path)
    with open_archive("path", path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if "header" not in arrays:
        mend = "That archive holds no certificate: it has no header."
        fail("path", repr(str(path)), mend)
    kind, claims = _header(path, str(arrays.pop("header")))
    wanted = set(kind._claimed())
    for found, word in ((set(claims) - wanted, "unknown"), (wanted - set(claims), "missing")):
        if found:
            got = f"{str(path)!r}, with {word} claims: {', '.join(sorted(found))}"
            fail("path", got, "The file is damaged, or another narrowlib wrote it.")
    return kind.from_claims(arrays, claims)


def _header(path: Path, text: str) -> tuple[type[Certificate], dict[str, Any]]:
    """The kind of a file, and its claims."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    claims = header.get("claims") if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        fail("path", repr(str(path)), "The header of that certificate cannot be read.")
    kind, version = header.get("kind"), header.get("format")
    if version != FORMAT or not isinstance(kind, str) or kind not in _KINDS:
        mend = f"This narrowlib reads {' and '.join(_KINDS)} of format {FORMAT}."
        fail("path", f"kind {kind!r}, format {version!r}", mend)
    return _KINDS[kind], claims


def checked_numbers(**numbers: Any) -> None:
    """Refuse to certify numbers that have left the range of their precision."""
    for name, value in numbers.items():
        if not np.all(np.isfinite(value)):
            mend = "The numbers overflow on the way: scale the samples, targets or weights."
            fail("params", f"{name} = {value}", mend)


def rank_and_rate(params: Params, X: Array, sigma: Activation) -> tuple[float, float]:
    """σ_min(J), rounding taken off, and L, ∞ where σ′ jumps."""
    try:
        s = least_singular_value(params, X, sigma)
    except np.linalg.LinAlgError:  # NaN in J Jᵀ
        s = math.nan
    L = float(lipschitz_in_W(params, X, sigma)) if sigma.smooth else math.inf
    checked_numbers(sigma_min=s, lipschitz=L if sigma.smooth else 0.0)
    return s, L
