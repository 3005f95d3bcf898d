"""What certificates have in common: their numbers and their file.

A certificate is computed from X, y, the parameters and the constraint alone, never from a
solver's state. Its file is a NumPy archive without pickles that holds the data, the weights and
the claims; `verifier.py`, which needs NumPy and nothing else, computes every claim again.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from narrowlib._checks import check_path, fail
from narrowlib._files import open_archive, write_whole
from narrowlib._runs import runs

MOST_BYTES = 2**29  # of arrays in one file: what verifier.py reads
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
    version: ClassVar[int] = 2  # of the file's format
    verdicts: ClassVar[tuple[str, ...]] = ()
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

        `verifier.py` reads files of up to 8,192 samples times outputs.

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
        header = {"format": self.version, "kind": self.kind, "claims": self.claims}
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
        if archive.unpacked > MOST_BYTES:
            mend = "Unpacked it is larger than any certificate that narrowlib writes."
            fail("path", repr(str(path)), mend)
        arrays = {name: archive[name] for name in archive.files}
    if "header" not in arrays:
        mend = "That archive holds no certificate: it has no header."
        fail("path", repr(str(path)), mend)
    kind, claims = _header(path, str(arrays.pop("header")))
    wanted = set(kind._claimed())
    for found, word in ((set(claims) - wanted, "unknown"), (wanted - set(claims), "missing")):
        if found:
            _damaged(path, f"{word} claims: {', '.join(sorted(found))}")
    for field in dataclasses.fields(kind):
        if field.name in claims and not _fits(field, claims[field.name], kind):
            _damaged(path, f"{field.name} = {claims[field.name]!r}"[:80])
    return kind.from_claims(arrays, claims)


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _damaged(path: Path, what: str) -> NoReturn:
    mend = "The file is damaged, or another narrowlib wrote it."
    fail("path", f"{str(path)!r}, with {what}", mend)


def _fits(field: dataclasses.Field, value: Any, kind: type[Certificate]) -> bool:
    """Whether a claim is of the type that its field names."""
    if field.name == "verdict":
        return value in kind.verdicts
    if field.name == "multiplier":
        many = value if isinstance(value, list) else [value]
        return all(_is_number(x) for x in many)
    if value is None:
        return field.name in kind.infinite or "None" in str(field.type)
    name = str(field.type).removesuffix(" | None")
    if name.startswith("dict"):
        inner = str if name.endswith("str]") else bool
        return isinstance(value, dict) and all(type(x) is inner for x in value.values())
    return _is_number(value) if name == "float" else type(value).__name__ == name


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _header(path: Path, text: str) -> tuple[type[Certificate], dict[str, Any]]:
    """The kind of a file, and its claims."""
    try:
        header = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        header = None
    claims = header.get("claims") if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        fail("path", repr(str(path)), "The header of that certificate cannot be read.")
    name, version = header.get("kind"), header.get("format")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None or type(version) is not int or version != kind.version:
        known = ", ".join(f"{name} of format {one.version}" for name, one in _KINDS.items())
        mend = f"This narrowlib reads {known}."
        fail("path", f"{str(path)!r}, of kind {name!r}, format {version!r}", mend)
    return kind, claims
