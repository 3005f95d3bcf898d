"""Where image files come from: a path, a folder of one's own, a cache, or a download.

Pooch downloads: to a temporary file first, checked against its SHA-256 before it gets its name,
so that an interrupted download never looks like a file.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np

from narrowlib._checks import fail
from narrowlib._files import write_whole

VARIABLE = "NARROWLIB_DATA"
SOURCES = {
    "mnist": (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    ),
    # the binary version: the usual one is a pickle, which can run code when it is opened
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
}


def image_file(name: str, path: str | os.PathLike[str] | None) -> Path:
    """The `.npz` file of a data set; downloaded and converted if nothing is there.

    Args:
        name: "mnist" or "cifar10".
        path: the file, a folder that holds `name.npz`, or `None`.

    Returns:
        The path of an existing file.

    Raises:
        FileNotFoundError: if a path was given, or NARROWLIB_DATA is set, and it is not there.
        ConnectionError: if a download is needed and not possible.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "mnist.npz"
        ...     file.touch()
        ...     image_file("mnist", folder).name
        'mnist.npz'
    """
    if path is None and not os.environ.get(VARIABLE):
        return _cached(name)
    given = Path(path if path is not None else os.environ[VARIABLE])
    file = given / f"{name}.npz" if given.is_dir() else given
    if not file.is_file():
        source = "path" if path is not None else f"the environment variable {VARIABLE}"
        raise FileNotFoundError(
            f"{source}: got {str(given)!r}, where there is no {name}.npz. "
            "Pass the file, or the folder that holds it, or nothing to download it."
        )
    return file


def _cached(name: str) -> Path:
    try:
        import pooch
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "Downloading data needs pooch: pip install 'narrowlib[book]'."
        ) from None
    cache, (url, checksum) = Path(pooch.os_cache("narrowlib")), SOURCES[name]
    converted = cache / f"{name}.npz"
    if converted.is_file() and not url.endswith(".npz"):
        return converted
    try:
        fetched = Path(
            pooch.retrieve(url, known_hash=checksum, fname=url.rsplit("/", 1)[1], path=cache)
        )
    except OSError as error:
        raise ConnectionError(
            f"{name}: could not download {url} ({type(error).__name__}). With no network, get "
            f"{name}.npz (arrays x_train, y_train, x_test, y_test) from elsewhere and pass its "
            f"path, or put its folder in the environment variable {VARIABLE}. "
            "nl.digits() needs no download."
        ) from error
    return fetched if fetched.suffix == ".npz" else _convert_cifar10(fetched, converted)


def _convert_cifar10(archive: Path, target: Path) -> Path:
    """CIFAR-10's binary records (a label byte, then 3 × 32 × 32 bytes) as an `.npz` file."""
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        members = {Path(member.name).name: member for member in tar.getmembers()}
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
        for name in names:
            stream = tar.extractfile(members[name]) if name in members else None
            if stream is None:
                fail("the CIFAR-10 archive", f"no {name}", "Delete it and download again.")
            records = np.frombuffer(stream.read(), np.uint8).reshape(-1, 3073)
            parts["test" if name.startswith("test") else "train"].append(records)
    arrays = {}
    for split, records in parts.items():
        joined = np.concatenate(records)
        arrays[f"y_{split}"] = joined[:, 0]
        arrays[f"x_{split}"] = joined[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    with write_whole(target) as stream:
        np.savez(stream, **arrays)
    return target
