"""Optimisers of every kind in the trainer, against Optax's own loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import narrowlib as nl
from narrowlib.training.epochs import run_epochs

KEY = jax.random.key(3)
DATA = nl.gaussian(jax.random.key(0), n=40, d=10)
START = nl.mirrored_lecun(jax.random.key(1), d=10, m=16)


@pytest.fixture(autouse=True)
def promotion():
    """Flax and Optax promote types and ranks themselves."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def data():
    start = jax.tree.map(lambda a: a.astype(float), START)
    return start, jnp.asarray(DATA.X, float), jnp.asarray(DATA.y, float)


OPTIMIZERS = {
    "line search": lambda: optax.lbfgs(),
    "polyak": lambda: optax.polyak_sgd(0.5),
    "plateau": lambda: optax.chain(
        optax.sgd(0.3), optax.contrib.reduce_on_plateau(patience=1, rtol=0.5)
    ),
    "momo": lambda: optax.contrib.momo(0.05),
    "accumulation": lambda: optax.MultiSteps(optax.sgd(0.3), 4),
    "a warm-up from 0": lambda: optax.sgd(optax.warmup_cosine_decay_schedule(0.0, 0.3, 5, 20)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_against_optax(name):
    start, X, y = data()
    made = OPTIMIZERS[name]()
    run = nl.ConstrainedTrainer(made).fit(nl.OneHiddenLayer(start), X, y, epochs=12)
    assert run.result is nl.RESULTS.completed
    if hasattr(made, "gradient_transformation"):
        made = made.gradient_transformation()
    optimizer = optax.with_extra_args_support(made)

    def loss(params):
        r = jnp.tanh(X @ params.W.T) @ params.v - y
        return (r**2).mean() / 2

    @jax.jit
    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(
            gradient, state, params, value=value, grad=gradient, value_fn=loss
        )
        return optax.apply_updates(params, updates), state, value

    params, state, losses = start, optimizer.init(start), []
    for _ in range(12):
        params, state, value = step(params, state)
        losses.append(value)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-7)
    np.testing.assert_allclose(run.module.params.W, params.W, atol=1e-9)
    assert abs(params.W - start.W).max() > 1e-3


def test_a_line_search_sees_the_loss_of_its_batch():
    """It never ends a step higher on the same batch, as it may on the other."""
    start, X, y = data()
    trainer = nl.ConstrainedTrainer(optax.lbfgs(), batch_size=20)
    run = trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=1, key=KEY)
    rows = jax.random.permutation(jax.random.fold_in(KEY, 0), 40).reshape(2, 20)
    ends = [float(nl.loss(run.module.params, X[r], y[r])) for r in rows]
    assert ends[1] < 0.8 * run.history["loss"][1]


def test_an_optimiser_that_cannot_make_a_step_is_named():
    start, X, y = data()

    def update(updates, state, params=None, *, teacher, **extra):
        return updates, state

    odd = optax.GradientTransformationExtraArgs(lambda params: (), update)
    with pytest.raises(ValueError, match=r"optimizer: got .*cannot make a step: .*'teacher'"):
        nl.ConstrainedTrainer(odd).fit(nl.OneHiddenLayer(start), X, y, epochs=1)


def test_the_first_epochs_compile_all_of_them():
    """Nothing in the state changes its type on the way, not even by being more certain of it."""
    start, X, y = data()
    for optimizer in (optax.adam(0.1), optax.inject_hyperparams(optax.adam)(0.1)):
        before = run_epochs._cache_size()
        nl.ConstrainedTrainer(optimizer).fit(
            nl.OneHiddenLayer(start), X, y, epochs=6, report_every=2
        )
        assert run_epochs._cache_size() == before + 1


def test_a_step_size_in_the_optimisers_state_is_that_of_an_optimiser_made_with_it():
    start, X, y = data()
    inside = nl.ConstrainedTrainer(optax.inject_hyperparams(optax.sgd)(learning_rate=9.0))
    start = nl.OneHiddenLayer(start)
    keep = {"epochs": 20, "report_every": 20}
    inside.fit(start, X, y, **keep, hyperparams={"learning_rate": 0.01})
    before = run_epochs._cache_size()
    runs = {s: inside.fit(start, X, y, **keep, hyperparams={"learning_rate": s}) for s in (0.1, 1)}
    assert run_epochs._cache_size() == before
    for size, run in runs.items():
        alone = nl.ConstrainedTrainer(optax.sgd(size)).fit(start, X, y, **keep)
        np.testing.assert_allclose(run.history["loss"], alone.history["loss"], rtol=1e-12)


def test_hyperparams_that_are_not_there():
    start, X, y = data()

    def fit(optimizer, **hyperparams):
        trainer = nl.ConstrainedTrainer(optimizer)
        return trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=1, hyperparams=hyperparams)

    inside = optax.inject_hyperparams(optax.sgd)
    with pytest.raises(ValueError, match=r"hyperparams: got 'rate'\. It keeps learning_rate\."):
        fit(inside(0.1), rate=0.1)
    with pytest.raises(ValueError, match=r"hyperparams: got 'mu'.*inject_hyperparams"):
        fit(optax.adam(0.1), mu=0.1)
    for bad in ("0.1", None, np.ones(2), np.nan, True):
        with pytest.raises(ValueError, match=r"hyperparams\['learning_rate'\]: got"):
            fit(inside(0.1), learning_rate=bad)
    falling = optax.exponential_decay(0.1, 5, 0.5)
    with pytest.raises(ValueError, match=r"hyperparams: got 'learning_rate'\. A schedule sets it"):
        fit(inside(falling), learning_rate=0.1)
