"""A run that is killed and started again ends with the same bits."""

import os
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
from narrowlib.training.checkpoints import open_checkpoints

HERE = Path(__file__).resolve().parents[1]
EPOCHS = 150


def start(folder, output):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE)}
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


def test_what_is_saved_comes_back_with_its_kinds(tmp_path):
    def make(k, x, half):
        return {"key": jax.random.key(k), "x": x, "n": jnp.asarray(k), "half": [half]}

    state = make(7, jnp.arange(3.0), jnp.ones(2, jnp.float32))
    losses = np.array([0.1, np.nan, 1 / 3])
    with open_checkpoints(tmp_path, "run") as saved:
        assert saved.latest(state) is None
        for epoch in (1, 2, 3):
            saved.save(epoch, state, losses, [{"epoch": epoch, "loss": 1 / 3}])
    template = make(0, jnp.zeros(3), jnp.zeros(2, jnp.float32))
    with open_checkpoints(tmp_path, "run") as saved:
        found, there, records = saved.latest(template)
    assert records == [{"epoch": 3, "loss": 1 / 3}]
    np.testing.assert_array_equal(there, losses)
    assert jnp.array_equal(jax.random.key_data(found["key"]), jax.random.key_data(state["key"]))
    assert found["half"][0].dtype == jnp.float32 and found["x"].dtype == jnp.float64
    np.testing.assert_array_equal(found["x"], state["x"])
    assert epochs_saved(tmp_path) == [2, 3]


def test_another_run_in_the_same_folder_is_refused_and_a_longer_one_goes_on(tmp_path):
    data = nl.gaussian(jax.random.key(0), n=20, d=5)
    module = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(1), d=5, m=8))
    trainer = nl.ConstrainedTrainer(optax.sgd(0.1))
    first = trainer.fit(module, data.X, data.y, epochs=10, checkpoints=tmp_path)
    on = trainer.fit(module, data.X, data.y, epochs=30, checkpoints=tmp_path)
    at_once = trainer.fit(module, data.X, data.y, epochs=30)
    np.testing.assert_array_equal(on.module.params.W, at_once.module.params.W)
    np.testing.assert_array_equal(on.history["loss"][:10], first.history["loss"])
    done = trainer.fit(module, data.X, data.y, epochs=30, checkpoints=tmp_path)
    np.testing.assert_array_equal(done.module.params.W, on.module.params.W)
    with pytest.raises(ValueError, match=r"epochs: got 20\. The folder holds 30 epochs"):
        trainer.fit(module, data.X, data.y, epochs=20, checkpoints=tmp_path)
    other_loss = nl.ConstrainedTrainer(optax.sgd(0.1), loss=mean_square)
    another = [(trainer, 2 * data.y), (nl.ConstrainedTrainer(optax.sgd(0.2)), data.y),
               (other_loss, data.y)]  # fmt: skip
    for changed, y in another:
        with pytest.raises(ValueError, match=r"checkpoints: got .* of another run"):
            changed.fit(module, data.X, y, epochs=30, checkpoints=tmp_path)
