"""Data to memorise: random points, teachers, and real images.

Every function returns a `Dataset`. Images come flattened and, unless told otherwise,
standardised input by input: mean 0 and variance 1 over the samples asked for, and 0 where an
input never varies. Random labels are independent fair ±1, the hardest to memorise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import check_bool, check_choice, check_int, check_key, check_number, fail
from narrowlib._downloads import read_images
from narrowlib._runs import runs
from narrowlib.network.activations import Activation
from narrowlib.network.model import Params, forward
from narrowlib.network.starts import lecun

LABELS = ("random", "one_hot", "classes")
SPLITS = ("train", "test")


class Dataset(NamedTuple):
    """Samples and targets, with what they came from.

    Args:
        X: samples, shape (n, d), in JAX's default precision.
        y: targets: (n,) for random labels and classes, (n, classes) for one-hot.
        classes: the true classes as whole numbers, shape (n,); None for synthetic data.
        images: the raw images in [0, 1], shape (n, height, width) or (n, height, width, 3);
            None for synthetic data.
        teacher: the network that made the targets; None unless from `teacher_student`.
    """

    X: Array
    y: Array
    classes: np.ndarray | None = None
    images: np.ndarray | None = None
    teacher: Params | None = None


@runs("jit and grad")
def random_labels(key: Key[Array, ""], n: int) -> Float[Array, " n"]:
    """Independent fair labels +1 or −1.

    Args:
        key: a JAX random key.
        n: how many.

    Returns:
        The labels, shape (n,).

    Raises:
        ValueError: if n is not positive or the key is none.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> sorted(set(nl.datasets.random_labels(jax.random.key(0), 50).tolist()))
        [-1.0, 1.0]
    """
    return jax.random.rademacher(check_key("key", key), (check_int("n", n, 1),), float)


@runs("jit and grad")
def gaussian(key: Key[Array, ""], *, n: int, d: int) -> Dataset:
    """Standard normal samples with random ±1 labels: data in general position.

    Args:
        key: a JAX random key.
        n: number of samples.
        d: number of inputs.

    Returns:
        A `Dataset` with X (n, d) and y (n,).

    Raises:
        ValueError: if a size is not positive or the key is none.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> nl.gaussian(jax.random.key(0), n=100, d=5).X.shape
        (100, 5)
    """
    n, d = check_int("n", n, 1), check_int("d", d, 1)
    key_X, key_y = jax.random.split(check_key("key", key))
    return Dataset(jax.random.normal(key_X, (n, d), float), random_labels(key_y, n))


@runs("jit and grad")
def teacher_student(
    key: Key[Array, ""],
    *,
    n: int,
    d: int,
    m: int,
    outputs: int | None = None,
    activation: str | Activation = "tanh",
    noise: float = 0.0,
) -> Dataset:
    """Standard normal samples with the outputs of a random network as targets.

    Args:
        key: a JAX random key.
        n: number of samples.
        d: number of inputs.
        m: number of the teacher's hidden neurons.
        outputs: `None` for targets (n,), or K for (n, K).
        activation: the teacher's.
        noise: the standard deviation of Gaussian noise added to the targets, at least 0.

    Returns:
        A `Dataset`; `teacher` holds the `Params` that made it.

    Raises:
        ValueError: if a size is not positive, the noise negative, the activation unknown or the
            key none.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> data = nl.teacher_student(jax.random.key(0), n=100, d=5, m=3)
        >>> float(nl.loss(data.teacher, data.X, data.y))
        0.0
    """
    n, d = check_int("n", n, 1), check_int("d", d, 1)
    noise = check_number("noise", noise, minimum=0)
    key_X, key_teacher, key_noise = jax.random.split(check_key("key", key), 3)
    teacher = lecun(key_teacher, d=d, m=m, outputs=outputs)
    X = jax.random.normal(key_X, (n, d), float)
    y = forward(teacher, X, activation=activation)
    return Dataset(X, y + noise * jax.random.normal(key_noise, y.shape, float), teacher=teacher)


@runs("jit and grad")
def digits(
    *,
    n: int | None = None,
    labels: str = "classes",
    key: Key[Array, ""] | None = None,
    standardize: bool = True,
) -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 × 8 pixels: real data that needs no download.

    Args:
        n: how many, from the first on; `None` for all 1,797.
        labels: "random" for ±1 drawn from `key`, "one_hot", or "classes" 0 to 9.
        key: a JAX random key, for random labels.
        standardize: each pixel to mean 0 and variance 1; else its value in [0, 1].

    Returns:
        A `Dataset` with X (n, 64).

    Raises:
        ValueError: if n is out of range, the labels are unknown, or a key is missing.

    Example:
        >>> import narrowlib as nl
        >>> nl.digits().X.shape
        (1797, 64)

    References:
        Alpaydin and Kaynak (1998), UCI "Optical recognition of handwritten digits".
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        text = "The digits come with scikit-learn: pip install 'narrowlib[book]'."
        raise ModuleNotFoundError(text) from None
    pixels, classes = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8)
    return _images(lambda n: (images, classes), 16.0, n, labels, key, standardize)


@runs("jit and grad")
def mnist(
    path: str | os.PathLike[str] | None = None,
    *,
    n: int | None = None,
    split: str = "train",
    labels: str = "classes",
    key: Key[Array, ""] | None = None,
    standardize: bool = True,
) -> Dataset:
    """MNIST, 28 × 28 pixels: 60,000 images to train on, 10,000 to test.

    Args:
        path: an `.npz` file with x_train, y_train, x_test, y_test, or a folder with `mnist.npz`
            in it. `None` looks where the environment variable NARROWLIB_DATA says, if it is set:
            a folder, or a file of that name; else in the cache, and then downloads.
        n: how many, from the first on; `None` for all.
        split: "train" or "test".
        labels: "random" for ±1 drawn from `key`, "one_hot", or "classes" 0 to 9.
        key: a JAX random key, for random labels.
        standardize: each pixel to mean 0 and variance 1; else its value in [0, 1].

    Returns:
        A `Dataset` with X (n, 784).

    Raises:
        ValueError: for wrong arguments, or a file that is damaged or holds something else.
        FileNotFoundError: if the path leads nowhere.
        OSError: if a download is needed and not possible (ConnectionError), or not to be stored.

    Example:
        >>> import narrowlib as nl
        >>> nl.mnist(n=100).X.shape[0]  # doctest: +SKIP
        100

    References:
        LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
    """
    check_choice("split", split, SPLITS)
    return _images(partial(read_images, "mnist", path, split), 255.0, n, labels, key, standardize)


@runs("jit and grad")
def cifar10(
    path: str | os.PathLike[str] | None = None,
    *,
    n: int | None = None,
    split: str = "train",
    labels: str = "classes",
    key: Key[Array, ""] | None = None,
    standardize: bool = True,
) -> Dataset:
    """CIFAR-10, 32 × 32 colour pixels: 50,000 images to train on, 10,000 to test.

    Args:
        path: an `.npz` file with x_train, y_train, x_test, y_test, or a folder with `cifar10.npz`
            in it. `None` looks where the environment variable NARROWLIB_DATA says, if it is set:
            a folder, or a file of that name; else in the cache, and then downloads.
        n: how many, from the first on; `None` for all that the file holds. More are read on from
            `cifar10_more.npz` beside it: JPEG bytes in a row, `jpeg`, `offsets` and classes `y`.
        split: "train" or "test".
        labels: "random" for ±1 drawn from `key`, "one_hot", or "classes" 0 to 9.
        key: a JAX random key, for random labels.
        standardize: each input to mean 0 and variance 1; else its value in [0, 1].

    Returns:
        A `Dataset` with X (n, 3072).

    Raises:
        ValueError: for wrong arguments, or a file that is damaged or holds something else.
        FileNotFoundError: if the path leads nowhere.
        OSError: if a download is needed and not possible (ConnectionError), or not to be stored.

    Example:
        >>> import narrowlib as nl
        >>> nl.cifar10(n=100).X.shape[0]  # doctest: +SKIP
        100

    References:
        Krizhevsky (2009), "Learning multiple layers of features from tiny images".
    """
    check_choice("split", split, SPLITS)
    return _images(partial(read_images, "cifar10", path, split), 255.0, n, labels, key, standardize)


def _images(
    read: Callable[[int | None], tuple[np.ndarray, np.ndarray]],
    white: float,
    n: int | None,
    labels: str,
    key: Key[Array, ""] | None,
    standardize: bool,
) -> Dataset:
    """The first n of the images that `read` gives when told n, with values from 0 to `white`."""
    check_choice("labels", labels, LABELS)
    check_bool("standardize", standardize)
    if labels == "random" and key is None:
        fail("key", "None", "Random labels need a key: pass key=jax.random.key(0).")
    key = None if key is None else check_key("key", key)
    n = None if n is None else check_int("n", n, 1)
    images, classes = read(n)
    if n is not None and n > len(images):
        fail("n", n, f"There are {len(images)} images: ask for at most as many.")
    images, classes = images[:n] / white, np.asarray(classes[:n], int)
    if key is not None and labels == "random":
        y = random_labels(key, len(images))
    else:
        y = jnp.asarray(np.eye(10)[classes] if labels == "one_hot" else classes)
    X = images.reshape(len(images), -1)
    return Dataset(jnp.asarray(_standardized(X) if standardize else X), y, classes, images)


def _standardized(X: ArrayLike) -> np.ndarray:
    X = np.asarray(X, float)
    spread = X.std(axis=0)
    varies = spread > 1e-12  # a constant pixel's computed spread may be a rounding error
    return np.where(varies, (X - X.mean(axis=0)) / np.where(varies, spread, 1), 0.0)
