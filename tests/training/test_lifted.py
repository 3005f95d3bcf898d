"""An update without its numbers against Optax's own, and what then needs no compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import narrowlib as nl
from narrowlib.training.epochs import run_epochs
from narrowlib.training.lifted import AsGiven, Pattern, without_numbers


@pytest.fixture(autouse=True)
def promotion():
    """Flax and Optax promote types and ranks themselves."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


PARAMS = {"W": jnp.arange(6.0).reshape(3, 2) / 7, "v": jnp.ones(3)}
GRADIENT = jax.tree.map(lambda x: jnp.cos(3 * x), PARAMS)


def cosine(size):
    return optax.cosine_decay_schedule(size, 50)


SHARED = {
    "sgd": optax.sgd,
    "momentum": lambda size: optax.sgd(size, momentum=size, nesterov=True),
    "adam": lambda size: optax.adam(size, b1=1 - size),
    "schedule": lambda size: optax.adamw(cosine(size)),
    "warm-up": lambda size: optax.sgd(optax.warmup_cosine_decay_schedule(0.0, size, 3, 20)),
    "clipped": lambda size: optax.chain(optax.clip_by_global_norm(size), optax.rmsprop(size)),
    "masked": lambda size: optax.masked(optax.adagrad(size), {"W": True, "v": False}),
    "in its state": lambda size: optax.inject_hyperparams(optax.lion)(learning_rate=size),
}
OWN = {
    "line search": optax.lbfgs,
    "plateau": lambda size: optax.chain(optax.sgd(size), optax.contrib.reduce_on_plateau()),
    "callback": lambda size: optax.chain(optax.sgd(size), optax.stateless(called_back)),
}


def called_back(updates, params=None):
    jax.debug.callback(lambda: None)
    return updates


def made(make, size):
    optimizer = optax.with_extra_args_support(make(size))
    state = optimizer.init(PARAMS)
    return optimizer, state, *without_numbers(optimizer, PARAMS, state)


@pytest.mark.parametrize("name", SHARED)
def test_one_pattern_and_the_numbers_of_each(name):
    _, _, first, numbers = made(SHARED[name], 0.3)
    other, state, second, others = made(SHARED[name], 0.07)
    assert isinstance(first, Pattern) and first == second and hash(first) == hash(second)
    run = jax.jit(lambda numbers, state: first(numbers, GRADIENT, state, PARAMS, {}))
    for _ in range(4):  # the first's operations with the second's numbers
        wanted, after = other.update(GRADIENT, state, PARAMS)
        found = run(others, state)
        for one, two in zip(jax.tree.leaves(found), jax.tree.leaves((wanted, after)), strict=True):
            # a schedule's count is in single precision; by a constant a compiler divides otherwise
            np.testing.assert_allclose(one, two, rtol=1e-6)
        state = after
    if name != "in its state":  # there they are no numbers of the update
        assert numbers and any(a != b for a, b in zip(numbers[1], others[1], strict=True))
    assert run._cache_size() == 1


def test_other_operations_are_another_pattern():
    patterns = [made(make, 0.3)[2] for make in SHARED.values()]
    assert len(set(patterns)) == len(patterns)
    plain, nesterov = (made(lambda s, n=n: optax.sgd(s, 0.9, n), 0.3)[2] for n in (False, True))
    assert plain != nesterov and plain != AsGiven(optax.sgd(0.3))
    early, late = (
        made(lambda s, k=k: optax.sgd(optax.piecewise_constant_schedule(s, {k: 0.5})), 0.3)[2]
        for k in (3, 4)
    )
    assert early != late  # a whole number is no number here: it may be a length or a branch


@pytest.mark.parametrize("name", OWN)
def test_what_looks_at_the_loss_or_calls_back_keeps_its_numbers(name):
    _, _, first, numbers = made(OWN[name], 0.3)
    assert isinstance(first, AsGiven) and numbers == ()
    assert first != made(OWN[name], 0.3)[2]
    optimizer = optax.sgd(0.3)
    assert AsGiven(optimizer) == AsGiven(optimizer) != AsGiven(optax.sgd(0.3))


def mean_square(outputs, y):
    return jnp.mean((outputs - y) ** 2)


def fitted(optimizer, radius=1.0, seed=0, batch_size=5):
    data = nl.gaussian(jax.random.key(0), n=20, d=4)
    start = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(seed), d=4, m=6))
    rules = {"W": nl.BallAroundStart(radius), "v": nl.PairedCone(0.1, 1 + radius)}
    trainer = nl.ConstrainedTrainer(optimizer, rules, loss=mean_square, batch_size=batch_size)
    return trainer.fit(start, data.X, data.y, epochs=3, report_every=3, key=jax.random.key(seed))


def test_another_learning_rate_radius_or_seed_compiles_nothing():
    fitted(optax.adam(cosine(0.1)))
    before = run_epochs._cache_size()
    for size, radius, seed in ((0.01, 1.0, 0), (0.1, 0.3, 0), (0.1, 1.0, 7), (0.3, 2.0, 3)):
        run = fitted(optax.adam(cosine(size)), radius, seed)
        assert run_epochs._cache_size() == before
        assert run.result is nl.RESULTS.completed
    losses = [fitted(optax.adam(cosine(s))).history["loss"] for s in (0.1, 0.01, 0.1)]
    np.testing.assert_array_equal(losses[0], losses[2])
    assert not np.allclose(losses[0][1:], losses[1][1:])
    fitted(optax.adam(cosine(0.1)), batch_size=4)  # the control: another size is another program
    assert run_epochs._cache_size() == before + 1


def test_a_run_that_diverges_is_gone_through_again_with_guards():
    """The loss overflows in the middle: what stays is what was finite before."""
    sizes = {3: 1e160}
    optimizer = optax.sgd(optax.piecewise_constant_schedule(0.1, sizes))
    data = nl.gaussian(jax.random.key(0), n=20, d=4)
    start = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(1), d=4, m=6))
    trainer = nl.ConstrainedTrainer(optimizer, loss=mean_square)
    whole = trainer.fit(start, data.X, data.y, epochs=9, report_every=9, throw=False)
    parts = trainer.fit(start, data.X, data.y, epochs=9, report_every=1, throw=False)
    assert whole.result is parts.result is nl.RESULTS.non_finite
    np.testing.assert_array_equal(whole.history["loss"], parts.history["loss"])
    short = trainer.fit(start, data.X, data.y, epochs=3, report_every=1)
    np.testing.assert_allclose(short.history["loss"], whole.history["loss"][:3], rtol=1e-12)
    for one, two in zip(whole.module.params, parts.module.params, strict=True):
        np.testing.assert_array_equal(one, two)
        assert np.isfinite(one).all()
