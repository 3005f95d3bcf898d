"""A run that is killed and started again ends with the same bits."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from modules import mean_square

import narrowlib as nl
from narrowlib.training.checkpoints import Saved, open_checkpoints

HERE = Path(__file__).resolve().parents[1]
EPOCHS = 150


def start(folder, output):
    paths = os.pathsep.join([str(HERE.parent), str(HERE)])
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    command = [sys.executable, str(HERE / "resumed_run.py"), str(folder), str(EPOCHS), str(output)]
    return subprocess.Popen(command, env=environment)


def epochs_saved(folder):
    """Complete checkpoints: Orbax gives the others another name."""
    return sorted(int(f.name) for f in folder.glob("*") if f.name.isdigit())


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bits(tmp_path):
    folder, ends = tmp_path / "run", {}
    whole = start("none", tmp_path / "whole.npz")
    newest = 0
    for pause in (0.0, 0.013):  # after another checkpoint; while saving, or while training
        running = start(folder, tmp_path / "never.npz")
        while not epochs_saved(folder) or epochs_saved(folder)[-1] <= newest:
            assert running.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        wanted = pytest.raises(ValueError, match=f"Process {running.pid} trains in that folder")
        with wanted, open_checkpoints(folder, "another"):
            pass
        time.sleep(pause)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert epochs_saved(folder)[-1] > newest  # nothing complete was lost
        newest = epochs_saved(folder)[-1]
    assert 0 < newest < EPOCHS
    assert start(folder, tmp_path / "broken.npz").wait() == whole.wait() == 0
    assert not (tmp_path / "never.npz").exists()
    for name in ("whole", "broken"):
        with np.load(tmp_path / f"{name}.npz") as archive:
            ends[name] = [archive[k] for k in archive.files]
    for a, b in zip(ends["whole"], ends["broken"], strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(epochs_saved(folder)) == 2


def saved(epoch, state, best=None, **notes):
    losses = np.array([0.1, np.nan, 1 / 3])
    return Saved(epoch, state, best, losses, {"records": [{"loss": 1 / 3}], **notes})


def some_state(k, x, half):
    return {"key": jax.random.key(k), "x": x, "n": jnp.asarray(k), "half": [half]}


def test_what_is_saved_comes_back_with_its_kinds(tmp_path):
    state = some_state(7, jnp.arange(3.0), jnp.ones(2, jnp.float32))
    template = some_state(0, jnp.zeros(3), jnp.zeros(2, jnp.float32))
    empty = saved(0, template, best=jnp.zeros(4))
    with open_checkpoints(tmp_path, "run") as checkpoints:
        assert checkpoints.latest(empty) is None
        for epoch in (1, 2, 3):
            checkpoints.save(saved(epoch, state, best=jnp.arange(4.0) if epoch == 3 else None))
        assert epochs_saved(tmp_path) == [2, 3]
    with open_checkpoints(tmp_path, "run") as checkpoints:
        found = checkpoints.latest(empty)
    assert found.epoch == 3 and found.notes == {"records": [{"loss": 1 / 3}]}
    np.testing.assert_array_equal(found.losses, saved(3, state).losses)
    there = found.state
    assert jnp.array_equal(jax.random.key_data(there["key"]), jax.random.key_data(state["key"]))
    assert there["half"][0].dtype == jnp.float32 and there["x"].dtype == jnp.float64
    np.testing.assert_array_equal(there["x"], state["x"])
    np.testing.assert_array_equal(found.best, np.arange(4.0))


def largest_file(folder):
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


DAMAGES = {
    "no files": lambda newest: [f.unlink() for f in newest.rglob("*") if f.is_file()],
    "a file cut": lambda newest: os.truncate(largest_file(newest), 40),
    "a letter changed": lambda newest: (newest / "run" / "metadata").write_text(
        (newest / "run" / "metadata").read_text().replace("0.33", "0.34")
    ),
    "a copy": lambda newest: shutil.copytree(newest, newest.with_name("12")),
    "an empty folder": lambda newest: newest.with_name("77").mkdir(),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's own
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, how):
    state = some_state(7, jnp.arange(300.0), jnp.ones(2, jnp.float32))
    with open_checkpoints(tmp_path, "run") as checkpoints:
        for epoch in (5, 9):
            checkpoints.save(saved(epoch, state))
    DAMAGES[how](tmp_path / "9")
    newest = 9 if how in ("a copy", "an empty folder") else 5
    with open_checkpoints(tmp_path, "run") as checkpoints:
        with pytest.warns(UserWarning, match=rf"named \.damaged\. The run goes on from {newest}"):
            assert checkpoints.latest(saved(0, state)).epoch == newest
        checkpoints.save(saved(9 + newest, state))  # there is room for what comes
        assert checkpoints.latest(saved(0, state)).epoch == 9 + newest
    assert len(list(tmp_path.glob("*.damaged"))) == 1


def test_nothing_but_damage_is_said(tmp_path):
    (tmp_path / "3").mkdir()
    wanted = pytest.raises(ValueError, match=r"checkpoints: got .*\(3\) is damaged: delete it")
    with open_checkpoints(tmp_path, "run") as checkpoints, wanted:
        checkpoints.latest(saved(0, {}))
    assert (tmp_path / "3").is_dir()


def test_folders_that_are_none(tmp_path, monkeypatch):
    (tmp_path / "notes").write_text("")
    for folder, says in (
        (tmp_path / "notes", "That is a file"),
        (tmp_path / "notes" / "below", "It cannot be opened"),
        ("gs://bucket/run", "Pass a path on this machine"),
        ("", "Pass a path"),
        (7, "Pass a path"),
    ):
        wanted = pytest.raises(ValueError, match=f"checkpoints: got .*{says}")
        with wanted, open_checkpoints(folder, "run"):
            pass
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_checkpoints("~/mine", "run") as checkpoints:
        checkpoints.save(saved(1, {"x": jnp.ones(1)}))
        assert epochs_saved(tmp_path / "mine") == [1]
        shutil.rmtree(tmp_path / "mine")
        (tmp_path / "mine").write_text("a file by now")
        with pytest.raises(ValueError, match=r"checkpoints: got .*Checkpoint 2 could not be writ"):
            checkpoints.save(saved(2, {"x": jnp.ones(1)}))


def problem():
    data = nl.gaussian(jax.random.key(0), n=20, d=5)
    return nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(1), d=5, m=8)), data.X, data.y


def test_another_run_in_the_same_folder_is_refused_and_a_longer_one_goes_on(tmp_path):
    module, X, y = problem()
    trainer = nl.ConstrainedTrainer(optax.sgd(0.1))
    first = trainer.fit(module, X, y, epochs=10, checkpoints=tmp_path)
    on = trainer.fit(module, X, y, epochs=30, checkpoints=tmp_path)
    at_once = trainer.fit(module, X, y, epochs=30)
    np.testing.assert_array_equal(on.module.params.W, at_once.module.params.W)
    np.testing.assert_array_equal(on.history["loss"][:10], first.history["loss"])
    done = trainer.fit(module, X, y, epochs=30, checkpoints=tmp_path)
    np.testing.assert_array_equal(done.module.params.W, on.module.params.W)
    with pytest.raises(ValueError, match=r"epochs: got 20\. The folder holds 30 epochs"):
        trainer.fit(module, X, y, epochs=20, checkpoints=tmp_path)
    other_loss = nl.ConstrainedTrainer(optax.sgd(0.1), loss=mean_square)
    another = [(trainer, 2 * y), (nl.ConstrainedTrainer(optax.sgd(0.2)), y), (other_loss, y),
               (nl.ConstrainedTrainer(optax.sgd(0.1, momentum=0.5)), y)]  # fmt: skip
    for changed, targets in another:
        with pytest.raises(ValueError, match=r"checkpoints: got .* of another run"):
            changed.fit(module, X, targets, epochs=30, checkpoints=tmp_path)


def first_output(outputs, y):
    return jnp.mean(abs(outputs))


def test_metrics_and_validation_may_come_later_but_not_change(tmp_path):
    module, X, y = problem()
    plain, more = (
        nl.ConstrainedTrainer(optax.sgd(0.1), metrics=metrics)
        for metrics in ({}, {"size": first_output})
    )
    go = {"checkpoints": tmp_path, "report_every": 3}
    plain.fit(module, X, y, epochs=3, **go)
    plain.fit(module, X, y, epochs=6, validation=(X, y), **go)
    run = more.fit(module, X, y, epochs=9, validation=(X, y), **go)
    seen = run.history["validation"]
    assert seen["epoch"].tolist() == [6, 9]
    assert np.isnan(seen["size"][0]) and seen["size"][1] > 0 and np.isfinite(seen["loss"]).all()
    with pytest.raises(ValueError, match="validation: got other data"):
        more.fit(module, X, y, epochs=12, validation=(X, -y), **go)


def mean_output(outputs, y):
    return jnp.mean(outputs)


def test_neither_a_metric_nor_the_data_change_their_meaning(tmp_path):
    module, X, y = problem()
    one, other, plain = (
        nl.ConstrainedTrainer(optax.sgd(0.1), metrics=metrics)
        for metrics in ({"size": first_output}, {"size": mean_output}, {})
    )
    go = {"checkpoints": tmp_path, "report_every": 3}
    seen = {"validation": (X, y)}
    one.fit(module, X, y, epochs=3, **seen, **go)
    with pytest.raises(ValueError, match=r"^metrics\['size'\]: got another function\. The run in"):
        other.fit(module, X, y, epochs=6, **seen, **go)
    plain.fit(module, X, y, epochs=6, **seen, **go)  # one that is left out is no mistake
    plain.fit(module, X, y, epochs=9, **go)
    with pytest.raises(ValueError, match=r"^validation: got other data"):  # known from epoch 6
        plain.fit(module, X, y, epochs=12, validation=(X, -y), **go)
    run = one.fit(module, X, y, epochs=12, **seen, **go)
    assert run.history["validation"]["epoch"].tolist() == [3, 6, 12]
    np.testing.assert_array_equal(np.isnan(run.history["validation"]["size"]), [0, 1, 0])


def test_a_cell_that_was_interrupted_is_run_again(tmp_path):
    module, X, y = problem()
    trainer = nl.ConstrainedTrainer(optax.sgd(0.1))
    go = {"epochs": 9, "report_every": 3}

    def interrupt(report):
        if report.epoch == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(module, X, y, **go, callbacks=interrupt, checkpoints=tmp_path)
    again = trainer.fit(module, X, y, **go, checkpoints=tmp_path)
    whole = trainer.fit(module, X, y, **go)
    np.testing.assert_array_equal(again.module.params.W, whole.module.params.W)
    np.testing.assert_array_equal(again.history["loss"], whole.history["loss"])


def test_early_stopping_and_the_best_survive_a_break(tmp_path):
    """Whoever stops at its 12th epoch stops there too when it was killed at the third."""
    module, X, y = problem()
    trainer = nl.ConstrainedTrainer(optax.sgd(0.5))
    held_out = X[:5], -y[:5]  # its loss rises as that of the rest falls

    def stop(report):
        return report.epoch >= 12

    for name, how in {"patience": {"patience": 9}, "callback": {"callbacks": stop}}.items():
        same = {"validation": held_out, "report_every": 3, **how}
        whole = trainer.fit(module, X, y, epochs=60, **same)
        folder = {"checkpoints": tmp_path / name}
        trainer.fit(module, X, y, epochs=3, **same, **folder)
        for _ in range(2):  # resumed, and asked again when all is done
            again = trainer.fit(module, X, y, epochs=60, **same, **folder)
            assert again.result is whole.result is nl.RESULTS.stopped
            assert again.epochs == whole.epochs == 12
            np.testing.assert_array_equal(again.module.params.W, whole.module.params.W)
            np.testing.assert_array_equal(again.best.params.W, whole.best.params.W)
            np.testing.assert_array_equal(
                again.history["validation"]["loss"], whole.history["validation"]["loss"]
            )
        longer = trainer.fit(module, X, y, epochs=15, validation=held_out, report_every=3, **folder)
        assert longer.result is nl.RESULTS.completed and longer.epochs == 15
