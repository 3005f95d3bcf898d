"""Where files come from: hand-made archives, a server on this machine, and no network at all."""

import contextlib
import errno
import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading

import numpy as np
import pooch
import pytest
from PIL import Image

import narrowlib as nl
from narrowlib import _downloads as downloads
from narrowlib._downloads import SOURCES, VARIABLE, _convert_cifar10, image_file


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """An empty cache, no variable, and no way out."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", offline)
    monkeypatch.setattr(pooch.get_logger(), "disabled", True)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


DOWNLOAD = pooch.HTTPDownloader.__call__


def offline(*arguments, **options):
    raise ConnectionResetError("no route to host")


def records(n, seed):
    """CIFAR's binary form: a label byte, then the red, green and blue planes."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 10, n, np.uint8), rng.integers(0, 256, (n, 3, 32, 32), np.uint8)


def cifar_archive(path, leave_out=()):
    parts = {}
    with tarfile.open(path, "w:gz") as tar:
        for i, name in enumerate([f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]):
            labels, planes = parts[name] = records(2 + i, seed=i)
            flat = np.concatenate([labels[:, None], planes.reshape(len(labels), -1)], axis=1)
            if name not in leave_out:
                info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                info.size = flat.nbytes
                tar.addfile(info, io.BytesIO(flat.tobytes()))
    return parts


@contextlib.contextmanager
def served(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_path_may_be_the_file_or_its_folder(tmp_path):
    (tmp_path / "mnist.npz").touch()
    assert image_file("mnist", tmp_path) == tmp_path / "mnist.npz"
    assert image_file("mnist", str(tmp_path / "mnist.npz")) == tmp_path / "mnist.npz"


def test_a_missing_path_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none.npz"):
        with pytest.raises(FileNotFoundError, match=r"^path: got '.*', where there is no mnist"):
            nl.mnist(path)


def test_the_variable_names_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"variable {VARIABLE}: got .*no cifar10.npz"):
        nl.cifar10()
    (tmp_path / "cifar10.npz").touch()
    assert image_file("cifar10", None) == tmp_path / "cifar10.npz"
    (tmp_path / "own.npz").touch()
    assert image_file("cifar10", tmp_path / "own.npz") == tmp_path / "own.npz"  # a path goes first
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="Pass the file, or the folder that holds it"):
        nl.mnist()


@pytest.mark.parametrize("load", [nl.mnist, nl.cifar10])
def test_offline_says_what_to_do(load):
    with pytest.raises(ConnectionError) as caught:
        load()
    message, name = str(caught.value), load.__name__
    assert message.startswith(f"{name}: could not download https://")
    for words in ("ConnectionResetError", f"{name}.npz", VARIABLE, "nl.digits()"):
        assert words in message
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_a_converted_file_in_the_cache_is_used_without_a_network(nowhere):
    (nowhere / "cifar10.npz").touch()
    assert image_file("cifar10", None) == nowhere / "cifar10.npz"


def test_conversion_of_cifars_binary_form(tmp_path):
    parts = cifar_archive(tmp_path / "cifar.tar.gz")
    file = _convert_cifar10(tmp_path / "cifar.tar.gz", tmp_path / "cifar10.npz")
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert arrays["x_train"].shape == (2 + 3 + 4 + 5 + 6, 32, 32, 3)
    assert arrays["x_test"].shape == (7, 32, 32, 3)
    labels, planes = parts["test_batch.bin"]
    np.testing.assert_array_equal(arrays["y_test"], labels)
    np.testing.assert_array_equal(
        arrays["x_test"][3, 10, 20], planes[3, :, 10, 20]
    )  # red, green, blue
    labels, planes = parts["data_batch_2.bin"]
    np.testing.assert_array_equal(arrays["y_train"][2:5], labels)
    np.testing.assert_array_equal(arrays["x_train"][2:5, ..., 1], planes[:, 1])
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "cifar.tar.gz", "cifar10.npz",
    ]  # fmt: skip


def test_an_archive_that_lacks_a_batch(tmp_path):
    cifar_archive(tmp_path / "cifar.tar.gz", leave_out=["data_batch_3.bin"])
    with pytest.raises(ValueError, match=r"CIFAR-10 archive: got no data_batch_3.bin\. Delete it"):
        _convert_cifar10(tmp_path / "cifar.tar.gz", tmp_path / "cifar10.npz")
    assert not (tmp_path / "cifar10.npz").exists()


def test_download_check_convert_and_cache(tmp_path, nowhere, monkeypatch):
    """The whole way once, from a server on this machine; the second time without it."""
    site = tmp_path / "site"
    site.mkdir()
    cifar_archive(site / "cifar.tar.gz")
    checksum = hashlib.sha256((site / "cifar.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", DOWNLOAD)
    with served(site) as address:
        monkeypatch.setitem(SOURCES, "cifar10", (f"{address}/cifar.tar.gz", f"sha256:{checksum}"))
        first = nl.cifar10(standardize=False)
    assert first.X.shape == (20, 3072)
    again = nl.cifar10(standardize=False)  # the server is gone
    np.testing.assert_array_equal(first.X, again.X)
    assert (nowhere / "cifar10.npz").is_file()


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path, nowhere, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    np.savez(site / "mnist.npz", x_train=np.zeros((2, 28, 28)), y_train=np.zeros(2))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", DOWNLOAD)
    with served(site) as address:
        monkeypatch.setitem(SOURCES, "mnist", (f"{address}/mnist.npz", "sha256:" + "0" * 64))
        with pytest.raises(
            ValueError, match=r"^mnist: got another file from http.*: sha256:\w{64}\. Try"
        ):
            nl.mnist()
    assert list(nowhere.iterdir()) == []


def test_the_sources_are_no_pickles_and_have_checksums():
    for url, checksum in SOURCES.values():
        assert url.startswith("https://") and "python" not in url
        assert checksum.startswith("sha256:") and len(checksum) == 7 + 64
    assert downloads.SOURCES is SOURCES


def test_the_variable_may_name_the_file_of_one_data_set(tmp_path, monkeypatch):
    (tmp_path / "mnist.npz").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mnist.npz"))
    assert image_file("mnist", None) == tmp_path / "mnist.npz"
    with pytest.raises(FileNotFoundError, match=rf"variable {VARIABLE}: got .*no cifar10.npz"):
        nl.cifar10()


def test_the_home_folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mnist.npz").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert image_file("mnist", "~/data") == tmp_path / "data" / "mnist.npz"
    monkeypatch.setenv(VARIABLE, "~/data")
    assert image_file("mnist", None) == tmp_path / "data" / "mnist.npz"
    for path in ("", 3, b"data", "a\0b"):
        with pytest.raises(ValueError, match=r"^path: got .*\. Pass a path"):
            nl.mnist(path)


@pytest.fixture
def archive(tmp_path, nowhere, monkeypatch):
    """CIFAR-10's archive in the cache, as a download left it."""
    cifar_archive(nowhere / "cifar.tar.gz")
    checksum = hashlib.sha256((nowhere / "cifar.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setitem(SOURCES, "cifar10", ("https://none/cifar.tar.gz", f"sha256:{checksum}"))
    return nowhere / "cifar.tar.gz"


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "other arrays"])
def test_a_damaged_conversion_is_made_again(archive, nowhere, damage):
    whole = nl.cifar10(standardize=False).images
    file = nowhere / "cifar10.npz"
    data = bytearray(file.read_bytes())
    if damage == "other arrays":
        np.savez(file, a=np.ones(2))
    else:
        data[5000] ^= 8
        file.write_bytes({"cut": data[:3000], "empty": b"", "flipped": data}[damage])
    np.testing.assert_array_equal(nl.cifar10(standardize=False).images, whole)
    with np.load(file) as healed:
        assert len(healed["x_train"]) == len(whole)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"^path: got .*cifar10.npz.*damaged"):
        nl.cifar10(file)  # a file of one's own is not touched
    assert file.read_bytes() == b""


def test_threads_that_convert_at_once(archive, nowhere):
    found = []
    convert = functools.partial(_convert_cifar10, archive, nowhere / "cifar10.npz")
    threads = [threading.Thread(target=lambda: found.append(convert())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == 4 * [nowhere / "cifar10.npz"]
    assert nl.cifar10(split="test").X.shape == (7, 3072)
    assert sorted(file.name for file in nowhere.iterdir()) == ["cifar.tar.gz", "cifar10.npz"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("when", ["download", "conversion"])
def test_a_disk_that_is_full_or_closed_is_no_missing_network(
    archive, nowhere, monkeypatch, number, when
):
    def full(*arguments, **options):
        raise OSError(number, os.strerror(number))

    if when == "download":
        archive.unlink()
        monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    else:
        monkeypatch.setattr(np, "savez", full)
    before = sorted(nowhere.iterdir())
    with pytest.raises(OSError) as caught:
        nl.cifar10()
    message = str(caught.value)
    assert message.startswith("cifar10: could not store https://") and str(nowhere) in message
    assert os.strerror(number).lower() in message
    assert not isinstance(caught.value, ConnectionError)
    assert sorted(nowhere.iterdir()) == before


def test_a_cache_that_is_a_file(nowhere):
    nowhere.rmdir()
    nowhere.touch()
    with pytest.raises(OSError, match=r"^mnist: could not store https://.*: file exists\. Make"):
        nl.mnist()


def test_a_killed_download_leaves_nothing_after_the_next(tmp_path, nowhere, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    x, y = np.full((3, 28, 28), 200, np.uint8), np.zeros(3, np.uint8)
    np.savez(site / "mnist.npz", x_train=x, y_train=y)
    checksum = hashlib.sha256((site / "mnist.npz").read_bytes()).hexdigest()
    (nowhere / ".mnist.npz.0123456789abcdef.part").write_bytes(b"half")
    (nowhere / "mnist.npz").write_bytes(b"of another version")
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", DOWNLOAD)
    with served(site) as address:
        monkeypatch.setitem(SOURCES, "mnist", (f"{address}/mnist.npz", f"sha256:{checksum}"))
        assert nl.mnist().X.shape == (3, 784)
        assert nl.mnist().X.shape == (3, 784)
    assert [file.name for file in nowhere.iterdir()] == ["mnist.npz"]


def jpeg_file(path, count, seed=0, **changed):
    """Images as JPEG bytes in a row, and what Pillow reads of each by itself."""
    rng = np.random.default_rng(seed)
    parts, seen = [], []
    for _ in range(count):
        small = rng.integers(0, 256, (4, 4, 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(small).resize((32, 32)).save(stream, "JPEG")
        parts.append(stream.getvalue())
        seen.append(np.asarray(Image.open(stream)))
    members = {
        "jpeg": np.frombuffer(b"".join(parts), np.uint8),
        "offsets": np.cumsum([0, *map(len, parts)]),
        "y": rng.integers(0, 10, count, np.uint8),
    } | changed
    np.savez(path, **members)
    return np.stack(seen), members["y"]


def first_file(folder):
    labels, planes = records(3, seed=1)
    x = planes.transpose(0, 2, 3, 1)
    np.savez(folder / "cifar10.npz", x_train=x, y_train=labels, x_test=x[:2], y_test=labels[:2])
    return x, labels


@pytest.mark.parametrize("by", ["variable", "path"])
def test_a_second_file_holds_further_images_of_cifar(by, tmp_path, monkeypatch):
    x, labels = first_file(tmp_path)
    more, classes = jpeg_file(tmp_path / "cifar10_more.npz", 4)
    path = None if by == "variable" else tmp_path
    if by == "variable":
        monkeypatch.setenv(VARIABLE, str(tmp_path))
    for n in (None, 2, 3, 5, 7):
        data = nl.cifar10(path, n=n, standardize=False)
        whole, known = np.concatenate([x, more]), np.concatenate([labels, classes])
        count = 3 if n is None else n
        np.testing.assert_array_equal(data.images, whole[:count] / 255)
        np.testing.assert_array_equal(data.classes, known[:count])
    with pytest.raises(ValueError, match=r"n: got 8\. There are 7 images"):
        nl.cifar10(path, n=8)
    with pytest.raises(ValueError, match=r"n: got 3\. There are 2 images"):  # none to test on
        nl.cifar10(path, n=3, split="test")
    (tmp_path / "cifar10_more.npz").unlink()
    with pytest.raises(ValueError, match=r"n: got 4\. There are 3 images"):
        nl.cifar10(path, n=4)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"offsets": np.array([0, 10, 5])}, "as offsets. Store where each image begins"),
        ({"offsets": np.array([0, 10, 10**6])}, "as offsets"),
        ({"offsets": np.array([0.0, 10.0, 20.0])}, "as offsets"),
        ({"jpeg": np.zeros((2, 2))}, r"float64 of shape \(2, 2\) as jpeg. Store bytes"),
        ({"y": np.zeros(3, int)}, "shape .3,. as y"),
        ({"offsets": np.array([0, 10, 20])}, "image 0 that cannot be read as jpeg. Get the file"),
    ],
)
def test_a_second_file_that_is_damaged_is_named(changed, words, tmp_path):
    first_file(tmp_path)
    jpeg_file(tmp_path / "cifar10_more.npz", 2, **changed)
    with pytest.raises(ValueError, match=f"^path: got .*cifar10_more.npz.*{words}"):
        nl.cifar10(tmp_path, n=5)
    np.savez(tmp_path / "cifar10_more.npz", jpeg=np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="needs jpeg, offsets and y"):
        nl.cifar10(tmp_path, n=5)
