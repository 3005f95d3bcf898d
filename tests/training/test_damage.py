"""Damaged checkpoints and files of runs: the numbers that were written, or an error in words."""

import json
import os
import re
import shutil
import warnings
import zipfile
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import narrowlib as nl
from narrowlib.training import run_file
from narrowlib.training.checkpoints import Saved, open_checkpoints
from narrowlib.training.file_lists import LIST
from narrowlib.training.fingerprints import hash_of_arrays


def saved(epoch):
    """Another state, best and history for each epoch."""
    rng = np.random.default_rng(epoch)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape))  # noqa: E731
    state = {"key": jax.random.key(epoch), "W": draw(3, 40), "half": draw(5).astype(jnp.float16)}
    notes = {"records": [{"epoch": epoch, "loss": float(draw())}], "validation": "a"}
    return Saved(epoch, state, draw(7), np.asarray(draw(2 * epoch)), notes)


def bits(found):
    leaves = [jax.random.key_data(found.state["key"]), found.state["W"], found.state["half"]]
    arrays = [np.asarray(a) for a in (*leaves, found.best, found.losses)]
    return json.dumps(found.notes), [(a.dtype.str, a.shape, a.tobytes()) for a in arrays]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with open_checkpoints(folder, "run") as checkpoints:
        for epoch in (5, 9):
            checkpoints.save(saved(epoch))
    return folder


WHOLE = {epoch: bits(saved(epoch)) for epoch in (5, 9)}


def flipped(data, rng):
    data = bytearray(data or b"\0")
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return bytes(data)


DAMAGES = {
    "cut": lambda data, rng: data[: len(data) // 2],
    "flipped": flipped,
    "removed": None,
    "emptied": lambda data, rng: b"",
    "of something else": lambda data, rng: b'{"run": "run", "epoch": 9, "hash": []}',
    "noise": lambda data, rng: rng.bytes(50),
    "a folder": None,
}


def damage(file, how, rng):
    make, data = DAMAGES[how], file.read_bytes()
    file.unlink()  # it may have another name elsewhere
    if make is not None:
        file.write_bytes(make(data, rng))
    elif how == "a folder":
        file.mkdir()


def outcome(folder):
    """The epoch that is gone on from, with its own bits and a warning if it is not the newest."""
    with warnings.catch_warnings(record=True) as caught, open_checkpoints(folder, "run") as there:
        warnings.simplefilter("always", UserWarning)
        found = there.latest(saved(1))
    assert found is not None and bits(found) == WHOLE[found.epoch]
    said = [str(w.message) for w in caught if str(w.message).startswith("checkpoints: got")]
    assert len(said) == (found.epoch == 5)
    for text in said:
        assert str(folder) in text and "[9]" in text and "goes on from 5" in text
    return found.epoch


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's own
@pytest.mark.parametrize(("listed", "ways"), [(True, 5), (False, 3)])
def test_whatever_is_done_to_a_file_of_the_newest_checkpoint(whole, tmp_path, listed, ways):
    """Without the list, as after a kill at that moment, the hash of the arrays decides."""
    rng, outcomes = np.random.default_rng(0), Counter()
    for file in [f for f in (whole / "9").rglob("*") if f.is_file()]:
        for how in list(DAMAGES)[:ways]:
            folder = tmp_path / "run"
            shutil.copytree(whole, folder, copy_function=os.link)
            if not listed:
                (folder / "9" / LIST).unlink()
            damaged = folder / file.relative_to(whole)
            if not damaged.exists():
                shutil.rmtree(folder)
                continue
            damage(damaged, how, rng)
            changed = not damaged.is_file() or damaged.read_bytes() != file.read_bytes()
            epoch = outcome(folder)
            outcomes[epoch] += 1
            if listed and changed and file.name != LIST:
                assert epoch == 5, f"{how} {file} was not seen"
            shutil.rmtree(folder)
    assert sum(outcomes.values()) >= 25 * ways and outcomes[5] >= 30


def test_where_no_checkpoint_is_whole_it_says_what_to_delete(whole, tmp_path):
    rng = np.random.default_rng(1)
    for i, how in enumerate(DAMAGES):
        folder = tmp_path / str(i) / "run"
        shutil.copytree(whole, folder)
        for epoch in ("5", "9"):
            for file in [f for f in (folder / epoch).rglob("*") if f.is_file()]:
                damage(file, how, rng)
        with open_checkpoints(folder, "run") as checkpoints:
            says = rf"^checkpoints: got {str(folder)!r}\. .*\(5 and 9\) is damaged: delete it"
            with pytest.raises(ValueError, match=says):
                checkpoints.latest(saved(1))
        assert (folder / "5").is_dir() and (folder / "9").is_dir()


def test_what_only_has_the_name_of_a_checkpoint_is_never_deleted(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for name in ("0", "3", "007", "notes", "12"):
        (folder / name).mkdir()
        (folder / name / "thesis.txt").write_text(name)
    (folder / "40").write_text("a file")
    with open_checkpoints(folder, "run") as checkpoints:
        with pytest.warns(UserWarning, match=r"\[12, 40\], now named \.damaged.* from 9"):
            assert checkpoints.latest(saved(1)).epoch == 9
        for epoch in (12, 40, 41):
            checkpoints.save(saved(epoch))
    kept = {f.parent.name: f.read_text() for f in folder.rglob("thesis.txt")}
    assert kept == {"0": "0", "3": "3", "12.damaged": "12", "007": "007", "notes": "notes"}
    assert (folder / "40.damaged").read_text() == "a file"
    assert not (folder / "5").exists() and not (folder / "12").exists()


def test_a_kill_while_an_old_one_is_deleted_leaves_nothing(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "1.deleted" / "state").mkdir(parents=True)
    assert outcome(folder) == 9
    assert sorted(f.name for f in folder.iterdir()) == [".lock", "5", "9"]


def test_links(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.move(folder / "9", tmp_path / "elsewhere")
    (folder / "9").symlink_to(tmp_path / "elsewhere")
    wanted = pytest.raises(ValueError, match=r"^checkpoints: got .*/run'\. 9 in it is a link")
    with open_checkpoints(folder, "run") as checkpoints, wanted:
        checkpoints.latest(saved(1))
    (tmp_path / "link").symlink_to(whole)
    with open_checkpoints(tmp_path / "link", "run") as checkpoints:
        assert checkpoints.latest(saved(1)).epoch == 9
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    wanted = pytest.raises(ValueError, match=r"^checkpoints: got .*It cannot be opened")
    with wanted, open_checkpoints(tmp_path / "loop", "run"):
        pass


def test_what_cannot_be_read_just_now_is_not_set_aside(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for code, says in ((13, "permission denied"), (24, "too many open files")):
        with open_checkpoints(folder, "run") as checkpoints, monkeypatch.context() as patch:

            def fails(*given, code=code, **more):
                raise OSError(code, os.strerror(code))

            patch.setattr(checkpoints.manager, "restore", fails)
            with pytest.raises(ValueError, match=rf"^checkpoints: got .*cannot be read: {says}"):
                checkpoints.latest(saved(1))
    assert outcome(folder) == 9


def test_a_full_disk_is_named_and_the_checkpoints_before_stay(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    with open_checkpoints(folder, "run") as checkpoints, monkeypatch.context() as patch:

        def full(*given, **more):
            raise ValueError("RESOURCE_EXHAUSTED: No space left on device")

        patch.setattr(checkpoints.manager, "save", full)
        with pytest.raises(ValueError, match=r"^checkpoints: got .* 12 could .* disk is full\. M"):
            checkpoints.save(saved(12))
    assert outcome(folder) == 9


# One run a folder.


def test_two_runs_in_one_folder_are_refused(tmp_path):
    says = rf"^checkpoints: got '{tmp_path}'\. Process {os.getpid()} trains in that folder"
    with open_checkpoints(tmp_path, "run") as first:
        first.save(saved(5))
        with pytest.raises(ValueError, match=says), open_checkpoints(tmp_path, "run"):
            pass
        with open_checkpoints(tmp_path / "below", "run"):  # another folder
            first.save(saved(9))
    assert outcome(tmp_path) == 9
    with pytest.raises(KeyboardInterrupt), open_checkpoints(tmp_path, "run"):
        raise KeyboardInterrupt
    assert outcome(tmp_path) == 9


def test_a_folder_without_locks_is_used_without(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run", ignore=lambda *_: [".lock"])
    (tmp_path / "run" / ".lock").mkdir()
    assert outcome(tmp_path / "run") == 9


# Files of runs.

LINEAR = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
HISTORY = {"loss": np.linspace(1.0, 0.1, 9), "validation": {"loss": np.ones(3) / 3}}
DONE = nl.RESULTS.completed.code


@pytest.fixture(scope="module")
def run():
    return nl.TrainingRun(LINEAR, jnp.asarray(DONE), HISTORY, LINEAR, 3)


def numbers(run):
    layers = [a[...] for m in (run.module, run.best) for a in (m.kernel, m.bias)]
    arrays = [*layers, run.history["loss"], *run.history["validation"].values()]
    made = [(np.asarray(a).dtype.str, np.asarray(a).tobytes()) for a in arrays]
    return made, list(run.history["validation"]), run.steps_per_epoch, run.result


def test_whatever_is_done_to_the_file_of_a_run(run, tmp_path):
    path = run.save(tmp_path / "mine")
    data, rng, refused = path.read_bytes(), np.random.default_rng(2), 0
    places = rng.choice(len(data), 200, replace=False)
    damaged = [data[:k] + bytes([data[k] ^ (1 << rng.integers(8))]) + data[k + 1 :] for k in places]
    damaged += [data[:k] for k in places[:40]] + [b"", rng.bytes(99), data[9:], data + data[:50]]
    for content in damaged:
        path.write_bytes(content)
        try:
            again = nl.load_run(path, LINEAR)
        except ValueError as error:
            assert str(error).startswith(f"path: got {str(path)!r}. That file")
            refused += 1
        else:
            assert numbers(again) == numbers(run)
    assert refused >= 150


def test_a_number_changed_in_the_file_of_a_run_is_seen(run, tmp_path):
    """Written anew by somebody else: then the archive's own sums agree."""
    path = run.save(tmp_path / "mine")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name in set(arrays) - {"header", "hash"}:
        other = arrays[name].copy()
        other.flat[-1] = np.nextafter(other.flat[-1], 9)
        np.savez(path, **{**arrays, name: other})
        with pytest.raises(ValueError, match=r"^path: got .*damaged one"):
            nl.load_run(path, LINEAR)
    np.savez(path, **arrays)
    assert numbers(nl.load_run(path, LINEAR)) == numbers(run)


def test_headers_that_make_no_sense(run, tmp_path):
    modules = [({}, []), ({}, [])]
    whole = run_file.to_archive(run_file.Contents("completed", 3, HISTORY, modules))
    assert run_file.of_archive(whole) is not None
    header, path = json.loads(str(whole["header"])), tmp_path / "mine.npz"

    def changed(**others):
        return json.dumps({**header, **others})

    kinds = {"kernel": {"dtype": "float32", "shape": [3, 2]}}
    nested = "[" * 100_000
    texts = ["", "[]", "3", "null", nested, "{}", changed(format=1), changed(kind="table")]
    texts += [changed(result="fine"), changed(result=[]), changed(steps_per_epoch=0)]
    texts += [changed(steps_per_epoch="3"), changed(validation=["a", "b"]), changed(validation=7)]
    texts += [changed(module=kinds), changed(module=[1]), changed(best={"kernel": 3})]
    for text in texts:
        arrays = {**whole, "header": np.array(text)}
        del arrays["hash"]
        np.savez(path, **arrays, hash=np.array(hash_of_arrays(arrays)))
        with pytest.raises(ValueError, match=r"^path: got .*damaged one"):
            nl.load_run(path, LINEAR)
    for leaf in (np.ones((2, 3), np.float32), np.ones(5, np.int8), np.array(["x"])):
        arrays = {**whole, "header": np.array(changed(module=kinds)), "module/0": leaf}
        del arrays["hash"]
        np.savez(path, **arrays, hash=np.array(hash_of_arrays(arrays)))
        with pytest.raises(ValueError, match=r"^path: got .*damaged one"):
            nl.load_run(path, LINEAR)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../out.npy", b"")
    with pytest.raises(ValueError, match=r"^path: got .*damaged one"):
        nl.load_run(path, LINEAR)


def test_paths_that_name_no_file(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.npz").mkdir()
    for path, says in (
        (".", "That is a folder"), ("/", "That is a folder"), ("..", "That is a folder"),
        ("mine", "That is a folder"), ("gs://bucket/mine", "Pass a path on this machine"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"^path: got .*{re.escape(says)}"):
            run.save(path)
    with pytest.raises(ValueError, match=r"^path: got .*That is a folder"):
        nl.load_run("mine.npz", LINEAR)
    with pytest.raises(ValueError, match=r"^path: got .*Pass a path on this machine"):
        nl.load_run("s3://bucket/mine.npz", LINEAR)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["mine.npz"]
