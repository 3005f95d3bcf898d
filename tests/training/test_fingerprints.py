"""Hashes that tell data and runs apart."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from modules import Sum, mean_square

import narrowlib as nl
from narrowlib.training.epochs import Program, first_state, take_apart
from narrowlib.training.fingerprints import behaviour, fingerprint, hash_of_arrays
from narrowlib.training.lifted import AsGiven


def test_fingerprints_see_every_setting():
    def settings(x=0.0, key=0, radius=1.0, batch_size=8):
        ball = nl.Ball(jnp.zeros(2), radius)
        return fingerprint(jnp.full(3, x), jax.random.key(key), {"W": ball}, batch_size)

    others = [{"x": 1.0}, {"key": 1}, {"radius": 2.0}, {"batch_size": 9}]
    assert settings() == settings()
    assert len({settings(), *(settings(**other) for other in others)}) == 5
    assert fingerprint(jnp.zeros(2)) != fingerprint(jnp.zeros((2, 1)))
    assert fingerprint(jnp.zeros(2)) != fingerprint(jnp.zeros(2, jnp.float32))


def test_data_hashes():
    X = np.arange(6.0).reshape(2, 3)
    assert nl.data_hash(X) == nl.data_hash(jnp.asarray(X)) == nl.data_hash(np.asfortranarray(X))
    other = X.copy()
    other[1, 2] = np.nextafter(5.0, 6.0)
    hashes = {nl.data_hash(a) for a in (X, other, X.T, X.astype(np.float32), X.ravel())}
    assert len(hashes) == 5 and all(len(h) == 16 for h in hashes)


def test_what_a_data_hash_is_not_of():
    words = np.array([[1.5, "x"], [2.5, "y"]], dtype=object)
    for bad in (words, None, "abc", object(), [[1.0], [1.0, 2.0]]):
        with pytest.raises(ValueError, match=r"arrays\[1\]: got"):
            nl.data_hash(np.ones(2), bad)
    numbers = np.array([[1.5, 2], [3, 4]], dtype=object)
    assert nl.data_hash(numbers) == nl.data_hash([[1.5, 2], [3, 4]])


def late(boundary):
    return optax.sgd(optax.piecewise_constant_schedule(0.1, {boundary: 0.5}))


SAME_FIRST_STEP = {
    "momentum": (optax.sgd(0.1, momentum=0.9), optax.sgd(0.1, momentum=0.8)),
    "second moment": (optax.adam(0.1, b2=0.999), optax.adam(0.1, b2=0.99)),
    "eps": (optax.adam(0.1, eps=1e-8), optax.adam(0.1, eps=1e-4)),
    "weight decay": (optax.adamw(0.1, weight_decay=0.0), optax.adamw(0.1, weight_decay=1e-3)),
    "clipping": (optax.chain(optax.clip(1.5), optax.sgd(0.1)), optax.sgd(0.1)),
    "a schedule, late": (late(3000), late(5000)),
    "accumulation": (optax.MultiSteps(optax.sgd(0.1), 7), optax.MultiSteps(optax.sgd(0.1), 8)),
    "patience of a plateau": tuple(
        optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=k)) for k in (5, 9)
    ),
}


def seen_of(optimizer, loss=mean_square, scale=1.0):
    trainer = nl.ConstrainedTrainer(optimizer, loss=loss)
    net = Sum(3)
    parts = take_apart(net, train=True)
    test = take_apart(net, train=False).structure
    program = Program(parts.structure, test, AsGiven(trainer.optimizer), trainer.loss, None)
    state = first_state(trainer.optimizer, {}, parts.params, parts.rest)
    return behaviour(program, trainer.optimizer, state, scale * jnp.eye(3), jnp.ones(3))


@pytest.mark.parametrize("name", SAME_FIRST_STEP)
def test_optimisers_that_start_alike_are_told_apart(name):
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        one, other = (seen_of(optimizer) for optimizer in SAME_FIRST_STEP[name])
    assert one != other and all(np.isfinite(np.array(one, float)))


def test_what_only_training_shows_is_seen():
    """Dropout and running means: modules with one start that are evaluated alike."""

    class Noisy(nnx.Module):
        def __init__(self, rate, momentum):
            self.dropout = nnx.Dropout(rate, rngs=nnx.Rngs(0))
            self.means = nnx.BatchNorm(3, momentum=momentum, rngs=nnx.Rngs(0))

        def __call__(self, X):
            return jnp.sum(self.means(self.dropout(X)), axis=1)

    def seen(rate, momentum):
        parts, test = (take_apart(Noisy(rate, momentum), train=mode) for mode in (True, False))
        sgd = optax.with_extra_args_support(optax.sgd(0.1))
        program = Program(parts.structure, test.structure, AsGiven(sgd), mean_square, None)
        state = first_state(sgd, {}, parts.params, parts.rest)
        X = jnp.eye(5, 3, dtype=jnp.float32)
        return behaviour(program, sgd, state, X, jnp.ones(5, jnp.float32))

    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        assert len({seen(0.2, 0.9), seen(0.3, 0.9), seen(0.2, 0.8)}) == 3


def test_hashes_of_arrays_by_name():
    """Recomputed from their definition: files that are kept depend on it."""
    arrays = {"b": np.arange(3.0), "a": np.array("x")}
    text = b"a\n<U1()\n" + "x".encode("utf-32-le") + b"b\nfloat64(3,)\n"
    wanted = hashlib.sha256(text + np.arange(3.0).tobytes()).hexdigest()
    assert hash_of_arrays(arrays) == wanted
    others = [{**arrays, "b": np.arange(3)}, {**arrays, "b": np.ones(3)}, {"c": np.arange(3.0)}]
    assert wanted not in map(hash_of_arrays, others)


def test_losses_that_agree_on_one_sample_are_told_apart():
    def total_square(outputs, y):
        return jnp.sum((outputs - y) ** 2)

    def huber(outputs, y):
        return jnp.mean(2 * optax.huber_loss(outputs, y, delta=1.5))

    assert len({seen_of(optax.sgd(0.1), loss) for loss in (mean_square, total_square, huber)}) == 3
    assert seen_of(optax.sgd(0.1)) == seen_of(optax.sgd(0.1))  # made anew
