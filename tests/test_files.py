"""Files are whole or not there: many writers, errors, killed processes, damaged archives."""

import errno
import os
import signal
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest

import narrowlib as nl
from narrowlib._files import find_named, open_archive, write_whole


def parts(folder):
    return [file.name for file in folder.iterdir() if file.suffix == ".part"]


def test_many_writers_of_one_path_leave_one_whole_file(tmp_path):
    path, errors = tmp_path / "x.npz", []
    arrays = [np.full(200_000, k) for k in range(4)]

    def write(array):
        try:
            for _ in range(10):
                with write_whole(path) as stream:
                    np.savez(stream, array=array)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(array,)) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and parts(tmp_path) == []
    with open_archive("path", path) as archive:
        found = archive["array"]
    assert any(np.array_equal(found, array) for array in arrays)


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), write_whole(path) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    code = (
        "import sys; from pathlib import Path; from narrowlib._files import write_whole\n"
        "with write_whole(Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'half'); stream.flush(); print('here', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "x"
    run = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"here\n"
        with write_whole(path) as stream:  # the other is still running: its part stays
            stream.write(b"mine")
        assert len(parts(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
    assert len(parts(tmp_path)) == 1 and path.read_bytes() == b"mine"
    with write_whole(tmp_path / "y") as stream:  # another file's
        stream.write(b"")
    assert len(parts(tmp_path)) == 1
    with write_whole(path) as stream:
        stream.write(b"again")
    assert parts(tmp_path) == [] and path.read_bytes() == b"again"


def test_left_over_is_told_by_its_lock_and_not_by_its_age(tmp_path):
    path, left = tmp_path / "x", tmp_path / ".x.0123456789abcdef.part"
    left.touch()
    with write_whole(path) as outer:
        outer.write(b"outer")
        (own,) = parts(tmp_path)
        os.utime(tmp_path / own, (0, 0))
        with write_whole(path) as inner:
            inner.write(b"inner")
        assert parts(tmp_path) == [own] and path.read_bytes() == b"inner"
    assert parts(tmp_path) == [] and path.read_bytes() == b"outer"


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_a_replaced_file_keeps_its_permissions(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.touch(0o600)
    with write_whole(path) as stream:
        assert os.fstat(stream.fileno()).st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    refused = pytest.raises(
        PermissionError, match=r"^path: got '.*x'\. That file, or its disk, is write"
    )
    with refused, write_whole(path):
        pass


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused = pytest.raises(ValueError, match=r"^path: got '.*pipe'\. That is a device or a pipe")
    with refused, write_whole(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_long_name_in_another_script(tmp_path):
    path = tmp_path / ("数" * 80)  # 240 bytes of the 255 that a name may have
    with write_whole(path) as stream:
        stream.write(b"all")
    assert path.read_bytes() == b"all"


def test_an_error_of_a_network_is_not_one_of_the_disk(tmp_path):
    for error in (ConnectionResetError(104, "reset"), TimeoutError(110, "late"), OSError("odd")):
        with pytest.raises(type(error)) as caught, write_whole(tmp_path / "x"):
            raise error
        assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "real", tmp_path / "link"
    link.symlink_to(target)
    for text in (b"one", b"two"):
        with write_whole(link) as stream:
            stream.write(text)
        assert link.is_symlink() and target.read_bytes() == text


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for path, error, says in (
        (tmp_path, ValueError, "That is a folder"),
        (tmp_path / "none" / "x", FileNotFoundError, "There is no such folder: make it first"),
        (tmp_path / "file" / "x", NotADirectoryError, "There is no such folder"),
        (tmp_path / ("x" * 300), OSError, "It could not be written: file name too long"),
    ):
        with pytest.raises(error, match=rf"^path: got '.*'\. {says}"), write_whole(path):
            pass
    assert parts(tmp_path) == []
    full = pytest.raises(OSError, match=r"It could not be written: no space left on device\.")
    with full as caught, write_whole(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC


def damaged(tmp_path, how):
    path = tmp_path / "mnist.npz"
    x, y = np.zeros((20, 28, 28), np.uint8), np.zeros(20, np.uint8)
    x[:] = np.random.default_rng(0).integers(0, 256, x.shape)
    (np.savez_compressed if how == "zlib" else np.savez)(path, x_train=x, y_train=y)
    data = bytearray(path.read_bytes())
    if how in ("flipped", "zlib"):
        data[3000:3010] = bytes(b ^ 0x55 for b in data[3000:3010])
    elif how == "header":
        at = data.index(b"'descr'")
        data[at : at + 7] = b"!desc!!"
    elif how == "member":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x_train", b"no array")
            archive.writestr("y_train.npy", b"\x93NUMPY")
        return path
    elif how == "pickle":
        objects = np.array([{"a": 1}], object)
        np.savez(path, x_train=objects, y_train=objects)
        return path
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("how", ["flipped", "zlib", "header", "member", "pickle"])
def test_a_damaged_member_is_named_by_its_file(tmp_path, how):
    with pytest.raises(ValueError, match=r"^path: got '.*mnist.npz'\. That file is no NumPy arch"):
        nl.mnist(damaged(tmp_path, how))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_damage_changes_what_is_read(tmp_path, save):
    """Cut, or with bits flipped anywhere: the same arrays, or the file is named."""
    path, rng = tmp_path / "a.npz", np.random.default_rng(1)
    whole = {"X": rng.normal(size=(9, 4)), "y": rng.integers(0, 9, 9), "name": np.array("β")}
    save(path, **whole)
    good, refused = path.read_bytes(), 0
    for k in range(300):
        data = bytearray(good)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] ^= 1 << rng.integers(8)
        path.write_bytes(data[: rng.integers(len(data))] if k % 5 == 0 else data)
        try:
            with open_archive("path", path) as archive:
                found = {name: archive[name] for name in archive.files}
            renamed = set(found) - set(whole)  # a name is not under the checksum: it is missed
            assert renamed or all(np.array_equal(found[key], whole[key]) for key in found)
        except ValueError as error:
            assert str(error).startswith(f"path: got {str(path)!r}. That file is no NumPy archive")
            refused += 1
    assert refused > 200


def member(header, data, version=b"\x01\x00"):
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "shape, dtype, size",
    [("(2,)", "<f8", 24), ("(10**15,)", "<f8", 24), ("(-3,)", "<f8", 24), ("(3,)", "<f4", 24),
     ("(10**9, 10**9)", "<i8", 24), ("(3,)", "|O", 24), ("(3,)", "<f8", 20), ("()", "<f8", 0)],
)  # fmt: skip
def test_a_header_speaks_of_the_bytes_that_are_there(tmp_path, shape, dtype, size):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}"
    for version in (b"\x01\x00", b"\x07\x00"):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("X.npy", member(header, bytes(size), version))
        refused = pytest.raises(ValueError, match=r"^path: got '.*a.npz'\. That file is no NumPy")
        with refused, open_archive("path", tmp_path / "a.npz") as archive:
            archive["X"]


def test_an_archive_with_two_arrays_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X", b"")
        archive.writestr("X.npy", b"")
    refused = pytest.raises(ValueError, match=r"^path: got '.*a.npz'\. That file is no NumPy arch")
    with refused, open_archive("path", tmp_path / "a.npz"):
        pass


def test_reading_what_is_not_there(tmp_path):
    for path, error, says in (
        (tmp_path, ValueError, "That is a folder: pass a file"),
        (tmp_path / "none", FileNotFoundError, "There is no such file"),
    ):
        refused = pytest.raises(error, match=rf"^path: got '.*'\. {says}\.")
        with refused, open_archive("path", path):
            pass


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", x=np.ones(2))
    with open_archive("path", "~/a.npz") as archive:
        assert archive.files == ["x"] and archive["x"].tolist() == [1, 1]
    table = nl.Table([{"x": 1}], {})
    assert table.save("~/t.json") == tmp_path / "t.json"


@pytest.mark.parametrize("load", [nl.experiment, nl.saved_results])
@pytest.mark.parametrize(
    "name",
    [
        "../experiments/kkt_points",
        "/etc/passwd",
        "",
        ".",
        "least_width.py",
        None,
        3,
        "x\0",
        "n" * 5000,
        "kkt_points\n",
        "KKT_POINTS",
        b"kkt_points",
        "./kkt_points",
        "a\\b",
    ],
)
def test_a_name_is_no_path(load, name):
    with pytest.raises(ValueError, match=r"^name: got .*\. There are .*kkt_points"):
        load(name)


def test_the_first_folder_goes_first(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.txt").touch()
    (tmp_path / "b" / "two.txt").touch()
    folders = (tmp_path / "a", tmp_path / "b")
    assert find_named("one", folders, ".txt", "files") == tmp_path / "a" / "one.txt"
    assert find_named("two", folders, ".txt", "files") == tmp_path / "b" / "two.txt"
