"""What a training run can do: predict, score, evaluate, be best, stop early, be saved, be drawn."""

import json
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from modules import Net

import narrowlib as nl
from narrowlib.training.fingerprints import numbers

KEY = jax.random.key(3)
N, D, K = 2100, 5, 3  # more than two batches of evaluation
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype(np.float32)
CLASSES = (X @ RNG.normal(size=(D, K))).argmax(axis=1)


@pytest.fixture(autouse=True, scope="module")
def as_in_a_notebook():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def cross_entropy(outputs, y):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()


def accuracy(outputs, y):
    return (outputs.argmax(axis=-1) == y).mean()


TRAINER = nl.ConstrainedTrainer(
    optax.sgd(0.5), loss=cross_entropy, metrics={"accuracy": accuracy}, batch_size=50
)


@pytest.fixture(scope="module")
def run():
    """With dropout, which evaluation leaves out; the module stays in training mode."""
    net = Net(nnx.Rngs(0), dropout=0.3)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        return TRAINER.fit(
            net, X[:1000], CLASSES[:1000], epochs=4, key=KEY, report_every=2,
            validation=(X[1000:], CLASSES[1000:]),
        )  # fmt: skip


def by_hand(module):
    hidden, output = (
        [np.asarray(p[...], float) for p in (layer.kernel, layer.bias)]
        for layer in (module.hidden, module.output)
    )
    return np.tanh(X @ hidden[0] + hidden[1]) @ output[0] + output[1]


def test_predictions_are_the_evaluation_modes(run):
    wanted = by_hand(run.module)
    np.testing.assert_allclose(run.predict(X), wanted, atol=1e-5)
    np.testing.assert_allclose(run.predict(X.tolist()[:7]), wanted[:7], atol=1e-5)
    assert not run.module.dropout.deterministic  # as it was
    right = (wanted.argmax(axis=1) == CLASSES).mean()
    assert 0.5 < right < 1
    assert run.score(X, CLASSES) == pytest.approx(right, abs=1e-6)
    assert run.score(X, np.eye(K)[CLASSES]) == pytest.approx(right, abs=1e-6)
    log_sums = np.log(np.exp(wanted).sum(axis=1))
    entropy = (log_sums - wanted[np.arange(N), CLASSES]).mean()
    found = run.evaluate(X, CLASSES)
    assert found == {"loss": pytest.approx(entropy), "accuracy": pytest.approx(right)}


def test_the_score_of_targets(run):
    """R² of scikit-learn, variance weighted, for a linear fit of its own."""
    y = by_hand(run.module) + RNG.normal(size=(N, K))
    r = y - by_hand(run.module)
    wanted = 1 - (r**2).sum() / ((y - y.mean(axis=0)) ** 2).sum()
    assert run.score(X, y) == pytest.approx(wanted, abs=1e-6)
    assert run.score(X, by_hand(run.module)) == pytest.approx(1, abs=1e-8)
    assert run.score(X, y.mean(axis=0) + 0 * y + np.eye(N, K)) < 0.01


def test_the_best_report_is_kept(run):
    seen = run.history["validation"]
    assert seen["epoch"].tolist() == [2, 4]
    best = seen["epoch"][seen["loss"].argmin()]
    short = TRAINER.fit(Net(nnx.Rngs(0), dropout=0.3), X[:1000], CLASSES[:1000], key=KEY,
                        epochs=int(best), report_every=2)  # fmt: skip
    np.testing.assert_array_equal(short.module.hidden.kernel, run.best.hidden.kernel)
    held_out = run.evaluate(X[1000:], CLASSES[1000:], best=True)
    assert held_out["loss"] == pytest.approx(seen["loss"].min(), rel=1e-12)
    np.testing.assert_allclose(run.predict(X, best=True), by_hand(run.best), atol=1e-5)
    assert short.best is None
    with pytest.raises(ValueError, match=r"best: got True\. There is none: train with validation"):
        short.predict(X, best=True)


def rising(seed=0):
    """Data whose held-out loss falls for a while and then rises."""
    start = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(seed), d=5, m=16))
    y = X[:, 0] + np.where(np.arange(N) < 20, 3 * np.sin(7 * X[:, 1]), 0)
    return start, X[:20], y[:20], (X[20:60], y[20:60])


def test_patience_stops_after_the_minimum():
    start, A, b, held_out = rising()
    trainer = nl.ConstrainedTrainer(optax.sgd(0.7))
    same = {"epochs": 400, "report_every": 5, "validation": held_out}
    whole = trainer.fit(start, A, b, **same)
    losses, epochs = (whole.history["validation"][name] for name in ("loss", "epoch"))
    for patience in (20, 52):
        run = trainer.fit(start, A, b, **same, patience=patience)
        low, wanted = np.inf, None
        for epoch, loss in zip(epochs, losses, strict=True):  # the rule, written out
            if loss < low:
                low, at = loss, epoch
            elif epoch - at >= patience:
                wanted = epoch
                break
        assert wanted is not None and wanted < 400
        assert run.epochs == wanted and run.result is nl.RESULTS.stopped
        np.testing.assert_array_equal(run.history["loss"], whole.history["loss"][:wanted])
        np.testing.assert_array_equal(
            run.best.params.W, trainer.fit(start, A, b, epochs=int(at)).module.params.W
        )
    assert trainer.fit(start, A, b, **same, patience=10_000).result is nl.RESULTS.completed


def test_callbacks_see_each_report_and_may_stop():
    start, A, b, held_out = rising()
    trainer, reports = nl.ConstrainedTrainer(optax.sgd(0.7)), []
    same = {"epochs": 40, "report_every": 5}
    whole = trainer.fit(start, A, b, validation=held_out, callbacks=reports.append, **same)
    assert [r.epoch for r in reports] == list(range(5, 41, 5))
    assert reports[2].loss == pytest.approx(whole.history["loss"][10:15].mean())
    np.testing.assert_array_equal(
        [r.validation["loss"] for r in reports], whole.history["validation"]["loss"]
    )
    plain = trainer.fit(start, A, b, **same, callbacks=[print, lambda r: r.epoch == 15])
    assert plain.result is nl.RESULTS.stopped and plain.epochs == 15 and plain.best is None
    assert plain.history["validation"] == {}
    with pytest.raises(ValueError, match=r"callbacks\[0\]: got the answer 5\. Return True to stop"):
        trainer.fit(start, A, b, **same, callbacks=[lambda r: r.epoch])


def test_a_run_in_a_line(run):
    assert repr(run).startswith("TrainingRun(completed after 4 epochs, loss ")
    assert "best validation loss" in repr(run) and "\n" not in repr(run) and len(repr(run)) < 120
    start, A, b, _ = rising()
    with pytest.raises(nl.SolverError) as raised:
        nl.ConstrainedTrainer(optax.sgd(1e200)).fit(start, A, b, epochs=9)
    assert repr(raised.value.solution).startswith("TrainingRun(non_finite after")


def test_what_predictions_and_scores_refuse(run):
    for call, says in (
        (lambda: run.predict(X[:, :4]), r"X: got shape \(2100, 4\)\. The module Net cannot"),
        (lambda: run.predict(None), "X: got None"),
        (lambda: run.predict(X, best="yes"), "best: got 'yes'"),
        (lambda: run.score(X, CLASSES + 1), "y: got classes from 1 to 3"),
        (lambda: run.score(X, CLASSES[:-1]), r"y: got shape \(2099,\)"),
        (lambda: run.score(X, "abc"), "y: got 'abc'"),
        (lambda: run.score(X, np.ones((N, K))), "y: got equal targets"),
        (lambda: run.evaluate(X, X), r"y: got shape \(2100, 5\)"),
        (lambda: jax.jit(run.predict)(X), "X: got traced values"),
        (lambda: run.plot(ax=3), "ax: got 3"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


# Saved to a file.


def same_arrays(one, other):
    for a, b in zip(*(jax.tree.leaves(nnx.state(m)) for m in (one, other)), strict=True):
        np.testing.assert_array_equal(numbers(a), numbers(b))


def test_a_saved_run_comes_back(run, tmp_path):
    path = run.save(tmp_path / "mine")
    assert path == tmp_path / "mine.npz" and [f.name for f in tmp_path.iterdir()] == ["mine.npz"]
    made = Net(nnx.Rngs(9), dropout=0.3)
    again = nl.load_run(path, made, TRAINER)
    same_arrays(again.module, run.module)
    same_arrays(again.best, run.best)
    assert again.result is run.result and repr(again) == repr(run)
    np.testing.assert_array_equal(again.history["loss"], run.history["loss"])
    for name, values in run.history["validation"].items():
        np.testing.assert_array_equal(again.history["validation"][name], values)
    assert again.evaluate(X, CLASSES) == run.evaluate(X, CLASSES)
    assert abs(made.hidden.kernel - run.module.hidden.kernel).max() > 0.01  # left as it was
    bare = nl.load_run(str(path), made)
    assert bare.score(X, CLASSES) == run.score(X, CLASSES)
    with pytest.raises(ValueError, match=r"trainer: got None\. A file holds no functions"):
        bare.evaluate(X, CLASSES)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            np.lib.format.read_magic(archive.open(name))  # arrays, and no pickle among them
    assert isinstance(json.loads(str(np.load(path)["header"])), dict)


def test_half_precision_survives_a_file(tmp_path):
    net = nnx.Linear(2, 2, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    run = nl.TrainingRun(net, jnp.asarray(7), {"loss": np.ones(1), "validation": {}})
    again = nl.load_run(run.save(tmp_path / "half"), net)
    assert again.module.kernel.dtype == jnp.bfloat16 and again.best is None
    np.testing.assert_array_equal(again.module.kernel, net.kernel)


def test_files_and_modules_that_do_not_fit(run, tmp_path):
    path = run.save(tmp_path / "mine")
    for module, says in (
        (Net(nnx.Rngs(0), m=6, dropout=0.3), r"module: got hidden\.bias: float32, shape \(6,\)\."),
        (nnx.Linear(5, 3, rngs=nnx.Rngs(0)), r"module: got .*no such variable"),
        (Net, "module: got the class Net"),
    ):
        with pytest.raises(ValueError, match=says):
            nl.load_run(path, module)
    with pytest.raises(FileNotFoundError, match=r"path: got .*There is no such file"):
        nl.load_run(tmp_path / "yours.npz", run.module)
    with pytest.raises(ValueError, match="trainer: got Net"):
        nl.load_run(path, run.module, run.module)
    (tmp_path / "text.npz").write_text("abc")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    whole = path.read_bytes()
    half = len(whole) // 2
    (tmp_path / "cut.npz").write_bytes(whole[:half])
    (tmp_path / "flip.npz").write_bytes(whole[:half] + bytes([whole[half] ^ 8]) + whole[half + 1 :])
    for name in ("text", "other", "cut", "flip"):
        with pytest.raises(ValueError, match=r"path: got .*damaged"):
            nl.load_run(tmp_path / f"{name}.npz", run.module)
    for bad in (None, 3, ""):
        with pytest.raises(ValueError, match="path: got"):
            run.save(bad)


# Drawn.


def test_the_plot_shows_losses_against_epochs(run):
    ax = run.plot()
    training, validation = ax.get_lines()
    np.testing.assert_array_equal(training.get_ydata(), run.history["loss"])
    np.testing.assert_allclose(training.get_xdata()[[0, 20, -1]], [0, 1, 4 - 1 / 20])
    np.testing.assert_array_equal(validation.get_ydata(), run.history["validation"]["loss"])
    np.testing.assert_array_equal(validation.get_xdata(), [2, 4])
    assert ax.get_xlabel() == "epoch" and ax.get_yscale() == "log"
    other = run.plot(ax=ax)
    assert other is ax and len(ax.get_lines()) == 4
    import matplotlib.pyplot as plt

    plt.close(ax.figure)


def test_training_imports_no_matplotlib():
    code = "import narrowlib, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
