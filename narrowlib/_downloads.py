"""Where image files come from: a path, a folder of one's own, a cache, or a download.

A download is checked against its SHA-256 before it gets its name, so that an interrupted one never
looks like a file. What a file holds is looked at before it is used.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from narrowlib._checks import check_path, fail
from narrowlib._files import of_the_disk, open_archive, write_whole

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
SHAPES = {"mnist": (28, 28), "cifar10": (32, 32, 3)}
CLASSES = 10


def read_images(
    name: str, path: str | os.PathLike[str] | None, split: str, n: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The images of a data set, with values from 0 to 255, and their classes.

    Where more than those of the file are asked for, further ones from a second file beside it. A
    converted file in the cache that turns out to be damaged is made again.
    """
    file = image_file(name, path)
    try:
        x, y = _read(name, file, split)
        more = file.with_name(f"{name}_more.npz")
        if n is None or n <= len(x) or split != "train" or not more.is_file():
            return x, y
        further, classes = _read_jpeg(more, n - len(x), SHAPES[name])
        return np.concatenate([x, further.astype(x.dtype)]), np.concatenate([y, classes])
    except ValueError:
        if path is not None or os.environ.get(VARIABLE):
            raise
        return _read(name, _cached(name, anew=True), split)


def _read(name: str, file: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    wanted = f"x_{split}", f"y_{split}"
    with open_archive("path", file) as archive:
        if not set(wanted) <= set(archive.files):
            text = f"The archive needs {wanted[0]} and {wanted[1]}."
            fail("path", repr(str(file)), text)
        x, y = (archive[member] for member in wanted)

    def refuse(member: str, found: str, mend: str) -> NoReturn:
        fail("path", f"{str(file)!r} with {found} as {member}", mend)

    height, width, *colours = shape = SHAPES[name]
    if not colours and x.ndim > 1 and x.shape[1:] in ((height * width,), (height, width, 1)):
        x = x.reshape(-1, height, width)
    if x.shape[1:] != shape or len(x) == 0:
        sizes = ", ".join(map(str, shape))
        refuse(wanted[0], f"shape {x.shape}", f"Images of {name} have the shape (n, {sizes}).")
    bytes_ = x.dtype == np.uint8
    if x.dtype.kind not in "uif" or not (bytes_ or (np.min(x) >= 0 and np.max(x) <= 255)):
        refuse(wanted[0], f"{x.dtype} that is not from 0 to 255", "Store pixels from 0 to 255.")
    if 0 < np.max(x) <= 1:
        refuse(wanted[0], "values up to 1", "Store pixels from 0 to 255.")
    return x, _classes(wanted[1], y, len(x), refuse)


def _read_jpeg(file: Path, count: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The first images of a file that holds them as JPEG bytes in a row, and their classes."""
    from PIL import Image

    with open_archive("path", file) as archive:
        if not {"jpeg", "offsets", "y"} <= set(archive.files):
            fail("path", repr(str(file)), "The archive needs jpeg, offsets and y.")
        jpeg, offsets, y = (archive[name] for name in ("jpeg", "offsets", "y"))

    def refuse(member: str, found: str, mend: str) -> NoReturn:
        fail("path", f"{str(file)!r} with {found} as {member}", mend)

    if jpeg.dtype != np.uint8 or jpeg.ndim != 1:
        refuse("jpeg", f"{jpeg.dtype} of shape {jpeg.shape}", "Store bytes in a row.")
    ends = offsets.tolist() if offsets.ndim == 1 and offsets.dtype.kind in "ui" else []
    if not ends or ends[0] < 0 or ends[-1] > len(jpeg) or sorted(ends) != ends:
        refuse("offsets", "no places in a row", "Store where each image begins, and the end.")
    y = _classes("y", y, len(ends) - 1, refuse)[:count]
    images = np.empty((len(y), *shape), np.uint8)
    for i in range(len(y)):
        try:
            with Image.open(io.BytesIO(jpeg[ends[i] : ends[i + 1]].tobytes())) as image:
                if image.size != (shape[1], shape[0]):
                    refuse("jpeg", f"image {i} of size {image.size}", "All have one size.")
                images[i] = np.asarray(image.convert("RGB" if shape[2:] else "L"))
        except (OSError, SyntaxError, Image.DecompressionBombError):  # Pillow's words for damage
            refuse("jpeg", f"image {i} that cannot be read", "Get the file again.")
    return images, y


def _classes(member: str, y: np.ndarray, n: int, refuse: Any) -> np.ndarray:
    """Whole numbers from 0 to 9, one an image, from a column of them or from one-hot rows."""
    if y.shape not in ((n,), (n, 1), (n, CLASSES)):
        refuse(member, f"shape {y.shape}", f"There are {n} images: store a class for each.")
    if y.dtype.kind not in "buif":
        refuse(member, f"dtype {y.dtype}", "Store classes as whole numbers from 0 to 9.")
    if y.shape[1:] == (CLASSES,):
        if not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
            refuse(member, "rows that are not one-hot", "Store one class for each image.")
        return y.argmax(axis=1)
    y = y.reshape(-1)
    if wrong := [label for label in y.tolist() if label not in range(CLASSES)]:
        refuse(member, f"the label {wrong[0]}", "Classes are whole numbers from 0 to 9.")
    return y.astype(int)


def image_file(name: str, path: str | os.PathLike[str] | None) -> Path:
    """The `.npz` file of a data set; downloaded and converted if nothing is there.

    Args:
        name: "mnist" or "cifar10".
        path: the file, a folder that holds `name.npz`, or `None`.

    Returns:
        The path of an existing file.

    Raises:
        ValueError: if the path is none.
        FileNotFoundError: if a path was given, or NARROWLIB_DATA is set, and it is not there.
        ConnectionError: if a download is needed and not possible.
        OSError: if it cannot be stored.

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
    source = "path" if path is not None else f"the environment variable {VARIABLE}"
    given = check_path(source, path if path is not None else os.environ[VARIABLE])
    file = given / f"{name}.npz" if os.path.isdir(given) else given
    # the variable is for all data sets: a file is the one that it is named after
    if not os.path.isfile(file) or (path is None and file.name != f"{name}.npz"):
        raise FileNotFoundError(
            f"{source}: got {str(given)!r}, where there is no {name}.npz. "
            "Pass the file, or the folder that holds it, or nothing to download it."
        )
    return file


def _cached(name: str, anew: bool = False) -> Path:
    """The file in the cache, put there if it is missing; `anew` if it is damaged."""
    try:
        import pooch
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "Downloading data needs pooch: pip install 'narrowlib[book]'."
        ) from None
    cache, (url, checksum) = Path(pooch.os_cache("narrowlib")), SOURCES[name]
    converted, archive = cache / f"{name}.npz", cache / url.rsplit("/", 1)[1]
    if converted.is_file() and archive != converted and not anew:
        return converted
    elsewhere = (
        f"get {name}.npz (arrays x_train, y_train, x_test, y_test) from elsewhere and pass its "
        f"path, or put its folder in the environment variable {VARIABLE}. "
        "nl.digits() needs no download."
    )
    try:
        if not (archive.is_file() and _sha256(archive) == checksum):
            cache.mkdir(parents=True, exist_ok=True)
            pooch.get_logger().info("Downloading %s to %s.", url, archive)
            with write_whole(archive, name) as stream:
                pooch.HTTPDownloader(chunk_size=2**16)(url, stream, None)
                stream.flush()
                if (found := _sha256(Path(stream.name))) != checksum:
                    fail(name, f"another file from {url}: {found}", f"Try again, or {elsewhere}")
        return archive if archive == converted else _convert_cifar10(archive, converted)
    except OSError as error:
        if of_the_disk(error):
            why = os.strerror(error.errno or 0).lower()
            text = f"{name}: could not store {url} in {str(cache)!r}: {why}. Make room, or "
            raise type(error)(text + elsewhere) from error
        raise ConnectionError(
            f"{name}: could not download {url} ({type(error).__name__}). With no network, "
            f"{elsewhere}"
        ) from error


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


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
    with write_whole(target, "the cache") as stream:
        np.savez(stream, **arrays)
    return target
