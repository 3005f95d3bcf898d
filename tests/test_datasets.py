"""Data against scikit-learn's raw arrays, a loop that standardises, and the laws of the draws."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

import narrowlib as nl
from narrowlib.datasets import random_labels

KEY = jax.random.key(0)
ROOT = Path(__file__).resolve().parent.parent


def data_folder():
    """Where real images lie: the folder NARROWLIB_DATA, else shared data beside the repository."""
    named = os.environ.get("NARROWLIB_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


def standardized(X):
    out = np.zeros_like(X)
    for k in range(X.shape[1]):
        if X[:, k].std() > 1e-12:
            out[:, k] = (X[:, k] - X[:, k].mean()) / X[:, k].std()
    return out


def test_random_labels_are_fair():
    y = np.asarray(random_labels(KEY, 10_000))
    assert set(y) == {-1.0, 1.0}
    assert abs(y.sum()) < 5 * np.sqrt(10_000)


def test_gaussian():
    data = nl.gaussian(KEY, n=4000, d=5)
    assert data.X.shape == (4000, 5) and data.y.shape == (4000,)
    assert abs(np.asarray(data.X).mean()) < 5 / np.sqrt(20_000)
    np.testing.assert_allclose(np.cov(data.X.T), np.eye(5), atol=5 * np.sqrt(2 / 4000))
    assert abs(np.corrcoef(data.X[:, 0], data.y)[0, 1]) < 5 / np.sqrt(4000)
    assert data.classes is data.images is data.teacher is None
    again, other = nl.gaussian(KEY, n=4000, d=5), nl.gaussian(jax.random.key(1), n=4000, d=5)
    np.testing.assert_array_equal(again.X, data.X)
    assert not np.any(np.asarray(other.X) == np.asarray(data.X))


@pytest.mark.parametrize("outputs", [None, 3])
def test_teacher_student(outputs):
    exact = nl.teacher_student(KEY, n=2000, d=4, m=3, outputs=outputs, activation="gelu")
    F = nl.forward(exact.teacher, exact.X, activation="gelu")
    np.testing.assert_allclose(exact.y, F, rtol=1e-12, atol=1e-14)
    noisy = nl.teacher_student(KEY, n=2000, d=4, m=3, outputs=outputs, activation="gelu", noise=0.5)
    np.testing.assert_array_equal(noisy.X, exact.X)
    noise = np.asarray(noisy.y - exact.y)
    assert noise.std() == pytest.approx(0.5, rel=5 / np.sqrt(2 * noise.size))


@pytest.mark.parametrize("n", [None, 100])
def test_digits(n):
    raw = load_digits()
    images, classes = raw.images[:n] / 16, raw.target[:n]
    plain, data = nl.digits(n=n, standardize=False), nl.digits(n=n)
    np.testing.assert_array_equal(plain.images, images)
    np.testing.assert_array_equal(plain.X, images.reshape(len(images), 64))
    np.testing.assert_array_equal(plain.classes, classes)
    np.testing.assert_array_equal(plain.y, classes)
    np.testing.assert_allclose(data.X, standardized(np.asarray(plain.X)), atol=1e-13)
    assert bool(jnp.all(jnp.isfinite(data.X)))
    one_hot = nl.digits(n=n, labels="one_hot").y
    np.testing.assert_array_equal(one_hot, classes[:, None] == np.arange(10)[None])
    coins = nl.digits(n=n, labels="random", key=KEY)
    np.testing.assert_array_equal(coins.y, random_labels(KEY, len(images)))
    np.testing.assert_array_equal(coins.classes, classes)
    assert len(coins.images) == len(coins.X) == len(coins.y) == len(images)


def small_archive(folder, name, shape):
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 12), ("test", 5)):
        arrays[f"x_{split}"] = rng.integers(0, 256, size=(n, *shape), dtype=np.uint8)
        arrays[f"y_{split}"] = rng.integers(0, 10, size=n, dtype=np.uint8)
    np.savez(folder / f"{name}.npz", **arrays)
    return arrays


@pytest.mark.parametrize(
    "load, shape", [(nl.mnist, (28, 28)), (nl.cifar10, (32, 32, 3))], ids=["mnist", "cifar10"]
)
@pytest.mark.parametrize("split, n", [("train", 12), ("test", 5)])
def test_image_archives(load, shape, split, n, tmp_path):
    arrays = small_archive(tmp_path, load.__name__, shape)
    x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    data = load(tmp_path, split=split, standardize=False)
    np.testing.assert_allclose(data.images, x / 255)
    np.testing.assert_allclose(data.X, x.reshape(n, -1) / 255, rtol=1e-15)
    np.testing.assert_array_equal(data.classes, y)
    few = load(tmp_path / f"{load.__name__}.npz", split=split, n=3)
    expected = standardized(x[:3].reshape(3, -1) / 255)
    np.testing.assert_allclose(few.X, expected, atol=1e-12)
    with pytest.raises(ValueError, match=rf"n: got {n + 1}\. There are {n} images"):
        load(tmp_path, split=split, n=n + 1)
    labels = load(tmp_path, split=split, labels="random", key=KEY).y
    np.testing.assert_array_equal(labels, random_labels(KEY, n))


def test_an_archive_of_something_else(tmp_path):
    np.savez(tmp_path / "mnist.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"path: got '.*mnist.npz'.*needs x_train and y_train"):
        nl.mnist(tmp_path)


def test_a_constant_input_becomes_zero_and_not_noise(tmp_path):
    x = np.full((7, 28, 28), 77, np.uint8)  # 77/255 is no binary fraction: its spread rounds
    x[:, 0, 0] = np.arange(7)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=np.zeros(7, np.uint8))
    X = np.asarray(nl.mnist(tmp_path).X)
    assert np.all(X[:, 1:] == 0)
    assert X[:, 0].std() == pytest.approx(1) and abs(X[:, 0].mean()) < 1e-14


@pytest.mark.parametrize(
    "load, shape, brightness", [(nl.mnist, (28, 28), 0.13), (nl.cifar10, (32, 32, 3), 0.47)]
)
def test_real_images(load, shape, brightness):
    file = data_folder() / f"{load.__name__}.npz"
    if not file.is_file():
        pytest.skip(f"no {file.name} in a folder named by NARROWLIB_DATA")
    data = load(file, n=500, standardize=False)
    assert data.images.shape == (500, *shape)
    assert float(data.X.mean()) == pytest.approx(brightness, abs=0.03)
    assert set(data.classes) == set(range(10))
    assert 0 <= float(data.X.min()) < float(data.X.max()) <= 1
    X = np.asarray(load(file, n=500).X)
    varies = X.std(axis=0) > 0
    np.testing.assert_allclose(X[:, varies].std(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-12)


def archive_of(folder, **changed):
    """Twenty images of MNIST's shape, in a file, with some of its arrays changed."""
    rng = np.random.default_rng(3)
    arrays = {
        "x_train": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_train": rng.permutation(np.arange(20) % 10),
    }
    np.savez(folder / "mnist.npz", **(arrays | changed))
    return folder / "mnist.npz", arrays


@pytest.mark.parametrize("kind", ["column", "one-hot", "one-hot floats", "floats", "big-endian"])
def test_classes_are_read_however_they_are_stored(tmp_path, kind):
    _, arrays = archive_of(tmp_path)
    y = arrays["y_train"]
    stored = {
        "column": y[:, None], "one-hot": np.eye(10, dtype=bool)[y],
        "one-hot floats": np.eye(10)[y], "floats": y.astype(float), "big-endian": y.astype(">i4"),
    }[kind]  # fmt: skip
    file, _ = archive_of(tmp_path, y_train=stored)
    data = nl.mnist(file, n=15)
    assert data.classes.tolist() == y[:15].tolist()
    assert nl.mnist(file, n=15, labels="one_hot").y.argmax(1).tolist() == y[:15].tolist()


@pytest.mark.parametrize("shape", [(784,), (28, 28, 1)])
def test_flat_images_are_images(tmp_path, shape):
    _, arrays = archive_of(tmp_path)
    x = arrays["x_train"]
    file, _ = archive_of(tmp_path, x_train=x.reshape(20, *shape).astype(float))
    np.testing.assert_array_equal(nl.mnist(file, standardize=False).images, x / 255)


ONES, CLASSES = np.full((20, 28, 28), 200.0), np.arange(20) % 10
WRONG_FILES = [
    ({"y_train": CLASSES[:13]}, "with shape (13,) as y_train. There are 20 images"),
    ({"y_train": np.arange(400).reshape(20, 20)}, "with shape (20, 20) as y_train"),
    ({"y_train": np.ones((20, 10))}, "with rows that are not one-hot as y_train"),
    ({"y_train": CLASSES + 0.25}, "with the label 0.25 as y_train. Classes are whole numbers"),
    ({"y_train": CLASSES * np.nan}, "with the label nan as y_train"),
    ({"y_train": CLASSES - 2}, "with the label -2 as y_train"),
    ({"y_train": CLASSES + 5}, "with the label 10 as y_train"),
    ({"y_train": CLASSES.astype("U5")}, "with dtype <U5 as y_train. Store classes as whole"),
    ({"y_train": np.array(4)}, "with shape () as y_train"),
    ({"x_train": ONES * np.nan}, "float64 that is not from 0 to 255 as x_train. Store pixels"),
    ({"x_train": -ONES}, "float64 that is not from 0 to 255 as x_train"),
    ({"x_train": ONES * 2}, "float64 that is not from 0 to 255 as x_train"),
    ({"x_train": ONES / 255}, "with values up to 1 as x_train. Store pixels from 0 to 255"),
    ({"x_train": (ONES / 255).round().astype(np.uint8)}, "with values up to 1 as x_train"),
    ({"x_train": ONES > 1}, "bool that is not from 0 to 255 as x_train"),
    ({"x_train": ONES * np.inf}, "that is not from 0 to 255 as x_train"),
    ({"x_train": ONES.astype("U6")}, "that is not from 0 to 255 as x_train"),
    ({"x_train": ONES[:0], "y_train": CLASSES[:0]}, "with shape (0, 28, 28) as x_train"),
    ({"x_train": np.array(7)}, "with shape () as x_train. Images of mnist have the shape (n, 28"),
    ({"x_train": ONES[:, :9]}, "with shape (20, 9, 28) as x_train"),
]


@pytest.mark.parametrize("changed, says", WRONG_FILES)
def test_a_file_of_something_else(tmp_path, changed, says):
    file, _ = archive_of(tmp_path, **changed)
    with pytest.raises(ValueError) as caught:
        nl.mnist(file, labels="one_hot")
    message = str(caught.value)
    assert message.startswith(f"path: got {str(file)!r}") and says in message
    assert message.endswith(".")


def test_one_data_set_is_not_the_other(tmp_path):
    file, _ = archive_of(tmp_path)
    with pytest.raises(ValueError, match=r"^path: got .*Images of cifar10 have the shape \(n, 32"):
        nl.cifar10(file)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"key": 3}, "key: got 3. Pass a JAX random key"),
        ({"standardize": "no"}, "standardize: got 'no'. Pass True or False"),
        ({"labels": None}, "labels: got None. Choose one of"),
        ({"labels": "random", "key": np.zeros(2)}, "key: got an array of float64"),
        ({"n": 2.5}, "n: got 2.5"),
    ],
)
def test_wrong_arguments_come_before_the_file(arguments, says):
    for load in (nl.digits, nl.mnist, nl.cifar10):
        path = {} if load is nl.digits else {"path": "nowhere"}
        with pytest.raises(ValueError, match=says):
            load(**path, **arguments)


def test_draws_run_under_jit_and_take_old_keys():
    old = jax.random.PRNGKey(0)
    np.testing.assert_array_equal(nl.gaussian(old, n=5, d=2).X, nl.gaussian(KEY, n=5, d=2).X)
    np.testing.assert_array_equal(random_labels(old, 9), random_labels(KEY, 9))
    taught = nl.teacher_student(old, n=5, d=2, m=2, noise=0.5)

    def traced(key, noise):
        return nl.teacher_student(key, n=5, d=2, m=2, noise=noise).y

    np.testing.assert_allclose(jax.jit(traced)(KEY, 0.5), taught.y, rtol=1e-12)
    coins = jax.jit(lambda key: nl.digits(n=6, labels="random", key=key).y)(KEY)
    np.testing.assert_array_equal(coins, random_labels(KEY, 6))
