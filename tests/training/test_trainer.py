"""The trainer against loops written by hand, and what happens when a run goes wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from modules import ConvNet, Net, Sum, mean_output, mean_square
from strategies import Box

import narrowlib as nl
from narrowlib.training.epochs import parameters_by_path, run_epochs

KEY = jax.random.key(3)


@pytest.fixture(autouse=True)
def promotion():
    """Flax and Optax promote types and ranks themselves."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def data(n=40, d=10):
    made = nl.gaussian(jax.random.key(0), n=n, d=d)
    start = nl.mirrored_lecun(jax.random.key(1), d=d, m=16)
    return start, made.X, made.y


def test_full_batch_is_the_projected_gradient_method():
    """The same iterates as the library's own solver, which knows nothing of modules."""
    start, X, y = data()
    sets = nl.Product(W=nl.Ball(start.W, 1.0), v=nl.PairedCone(zeta=0.1, kappa=4.0))
    solver = nl.ProjectedGradient(sets, step_size=0.4)
    wanted = solver.run(start, X, y, max_steps=60, tol=0.0, throw=False)
    trainer = nl.ConstrainedTrainer(optax.sgd(0.4), {"W": sets.W, "v": sets.v})
    run = trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=60)
    np.testing.assert_allclose(run.module.params.W, wanted.params.W, atol=1e-12)
    np.testing.assert_allclose(run.module.params.v, wanted.params.v, atol=1e-12)
    np.testing.assert_allclose(run.history["loss"][1:], wanted.stats["history"]["loss"][:-1])
    assert run.result is nl.RESULTS.completed and run.history["validation"] == {}
    assert trainer.violation(run.module, nl.OneHiddenLayer(start)) < 1e-12
    free = nl.ConstrainedTrainer(optax.sgd(0.4)).fit(nl.OneHiddenLayer(start), X, y, epochs=60)
    assert trainer.violation(free.module, nl.OneHiddenLayer(start)) > 0.1  # the control


def test_minibatches_and_a_schedule_by_hand():
    start, X, y = data(n=42)
    schedule = optax.exponential_decay(0.3, 5, 0.5)
    trainer = nl.ConstrainedTrainer(optax.adam(schedule), batch_size=8)
    run = trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=3, key=KEY)
    optimizer, params = optax.adam(schedule), start
    state, losses = optimizer.init(params), []
    for epoch in range(3):
        order = jax.random.permutation(jax.random.fold_in(KEY, epoch), 42)
        for rows in order[:40].reshape(5, 8):
            value, gradient = jax.value_and_grad(nl.loss)(params, X[rows], y[rows])
            updates, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            losses.append(value)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-5)  # the schedule is float32
    np.testing.assert_allclose(run.module.params.W, params.W, atol=1e-6)


def test_an_epoch_sees_every_sample_once_but_for_the_last():
    n, size = 23, 5
    trainer = nl.ConstrainedTrainer(optax.sgd(1.0), loss=mean_output, batch_size=size)
    seen = []
    for epochs in (1, 2):
        run = trainer.fit(Sum(n), jnp.eye(n), jnp.zeros(n), epochs=epochs, key=KEY)
        seen.append(np.asarray(-size * run.module.p[...]))
    for counts in (seen[0], seen[1] - seen[0]):
        np.testing.assert_allclose(np.sort(counts), [0] * 3 + [1] * 20, atol=1e-12)
    assert (seen[0] != seen[1] - seen[0]).any()  # another order, so others are left out


def test_validation_metrics_and_reports():
    start, X, y = data()
    trainer = nl.ConstrainedTrainer(optax.sgd(0.2), metrics={"square": mean_square}, batch_size=10)
    held_out = (jnp.concatenate([X] * 60)[:2345], jnp.concatenate([y] * 60)[:2345])
    run = trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=10, key=KEY, validation=held_out,
                      report_every=4)  # fmt: skip
    shown = run.history["validation"]
    assert shown["epoch"].tolist() == [4, 8, 10]
    r = nl.forward(run.module.params, held_out[0]) - held_out[1]
    np.testing.assert_allclose(shown["square"][-1], np.mean(np.asarray(r) ** 2), rtol=1e-10)
    np.testing.assert_allclose(shown["loss"], shown["square"] / 2, rtol=1e-10)
    assert len(run.history["loss"]) == 40


def test_how_a_run_is_cut_into_reports_changes_nothing():
    start, X, y = data()
    trainer = nl.ConstrainedTrainer(optax.adam(0.01), batch_size=7)
    runs = [trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=6, key=KEY, report_every=k)
            for k in (1, 4, 6)]  # fmt: skip
    for run in runs[1:]:
        np.testing.assert_array_equal(run.module.params.W, runs[0].module.params.W)
        np.testing.assert_array_equal(run.history["loss"], runs[0].history["loss"])


def test_several_outputs_in_a_flax_module():
    """Ball and circular cone by path, in single precision, inside float64 tests."""
    net = nl.mirrored(Net(nnx.Rngs(0)), hidden="hidden", output="output")
    rules = {"hidden.kernel": nl.BallAroundStart(0.5),
             "output.kernel": nl.ConeAroundStart(0.3, zeta=0.1)}  # fmt: skip
    trainer = nl.ConstrainedTrainer(optax.sgd(0.2), rules, loss=mean_square)
    X = jax.random.normal(KEY, (30, 5), jnp.float32)
    Y = jax.random.normal(jax.random.key(4), (30, 3), jnp.float32)
    run = trainer.fit(net, X, Y, epochs=200)
    assert run.history["loss"][-1] < 0.8 * run.history["loss"][0]
    assert trainer.violation(run.module, net) < 1e-5
    there = parameters_by_path(run.module)
    assert there["hidden.kernel"].dtype == jnp.float32
    moved = jnp.linalg.norm(there["hidden.kernel"] - parameters_by_path(net)["hidden.kernel"])
    assert moved == pytest.approx(0.5, rel=1e-5)  # the ball is active: it did something
    np.testing.assert_allclose(there["output.kernel"][:4], -there["output.kernel"][4:], atol=1e-6)


def test_running_means_and_dropout_are_carried_along():
    net = ConvNet(nnx.Rngs(0))
    X = jax.random.normal(KEY, (20, 6, 6, 1), jnp.float32)
    Y = jax.random.normal(KEY, (20, 2), jnp.float32)
    trainer = nl.ConstrainedTrainer(optax.sgd(0.01), loss=mean_square, batch_size=10)
    run = trainer.fit(net, X, Y, epochs=3, key=KEY, validation=(X, Y))
    assert abs(run.module.norm.mean[...]).max() > 0 and abs(net.norm.mean[...]).max() == 0
    wet = Net(nnx.Rngs(0), dropout=0.5)
    X, Y = X[:, 0, :5, 0], jnp.zeros((20, 3), jnp.float32)
    trainer = nl.ConstrainedTrainer(optax.sgd(0.0), loss=mean_square)
    run = trainer.fit(wet, X, Y, epochs=4, validation=(X, Y))
    assert len(set(run.history["loss"].tolist())) == 4  # a new mask a step
    assert len(set(run.history["validation"]["loss"].tolist())) == 1  # none in evaluation
    assert not run.module.dropout.deterministic  # the mode of the module that was given
    wet.eval()
    run = trainer.fit(wet, X, Y, epochs=4)
    assert run.module.dropout.deterministic and len(set(run.history["loss"].tolist())) == 4


def test_divergence_keeps_the_last_good_weights():
    start, X, y = data()
    trainer = nl.ConstrainedTrainer(optax.sgd(1e200))
    with pytest.raises(nl.SolverError, match="last finite parameters") as raised:
        trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=50)
    run = raised.value.solution
    assert run.result is nl.RESULTS.non_finite
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(nnx.state(run.module)))
    assert np.isfinite(nl.loss(run.module.params, X, y))
    assert len(run.history["loss"]) < 50
    quiet = trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=50, throw=False)
    assert quiet.result is nl.RESULTS.non_finite


def test_a_set_of_ones_own():
    start, X, y = data()
    boxes = {"W": Box(0.1), "v": lambda start: Box(abs(start).max() / 2)}
    trainer = nl.ConstrainedTrainer(optax.sgd(0.2), boxes)
    run = trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=4)
    most = abs(start.v).max() / 2
    W, v = np.clip(start.W, -0.1, 0.1), np.clip(start.v, -most, most)
    for _ in range(4):
        g = jax.grad(nl.loss)(nl.Params(W, v), X, y)
        W = np.clip(W - 0.2 * g.W, -0.1, 0.1)
        v = np.clip(v - 0.2 * g.v, -most, most)
    np.testing.assert_allclose(run.module.params.W, W, atol=1e-12)
    np.testing.assert_allclose(run.module.params.v, v, atol=1e-12)
    assert trainer.violation(run.module, nl.OneHiddenLayer(start)) == 0
    assert trainer.violation(nl.OneHiddenLayer(start), nl.OneHiddenLayer(start)) > 0.1


def test_the_given_module_is_left_alone_and_compiled_once():
    start, X, y = data()
    module = nl.OneHiddenLayer(start)
    trainer = nl.ConstrainedTrainer(optax.sgd(0.1))
    trainer.fit(module, X, y, epochs=5, report_every=5)
    np.testing.assert_array_equal(module.params.W, start.W)
    before = run_epochs._cache_size()
    trainer.fit(nl.OneHiddenLayer(nl.lecun(KEY, d=10, m=16)), X, y, epochs=5, report_every=5)
    trainer.fit(module, X, y, epochs=10, report_every=5)  # from the first report to the second
    assert run_epochs._cache_size() == before
