"""Trajectories against a plain loop with Optax, and the contract of minibatches and freezing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from strategies import problem

import narrowlib as nl

KEY = jax.random.key(5)
OPTIMIZERS = {
    "sgd": lambda: optax.sgd(0.3),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(1e-2),
    "decay": lambda: optax.adamw(optax.cosine_decay_schedule(0.05, 40)),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(0.05), optax.sgd(0.5)),
    "injected": lambda: optax.inject_hyperparams(optax.sgd)(0.3),
    "line search": optax.lbfgs,
    "polyak": lambda: optax.polyak_sgd(1.0),
}


@pytest.fixture(autouse=True)
def as_in_a_notebook():
    """Optax itself promotes types: its Adam raises to the power of an integer count."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def setting(seed=0, n=12, d=4, m=6, K=None, dtype=float):
    X, y = problem(seed, n=n, d=d, outputs=K, dtype=dtype)
    start = nl.lecun(jax.random.key(seed + 7), d=d, m=m, outputs=K, dtype=dtype)
    return start, X, y


def plain_loop(params, X, y, optimizer, steps, batches=None, fixed=(), activation="tanh"):
    """Optax's own loop, a step at a time, on the loss written out."""
    optimizer = optax.with_extra_args_support(optimizer)
    moving = {name: p for name, p in params._asdict().items() if name not in fixed}

    def loss(moving, rows):
        p = {**params._asdict(), **moving}
        sigma = nl.get_activation(activation).fn
        r = sigma(X[rows] @ p["W"].T) @ p["v"] - y[rows]
        return (r**2).sum() / (2 * len(rows))

    @jax.jit
    def step(moving, state, rows):
        value, gradient = jax.value_and_grad(loss)(moving, rows)
        change, state = optimizer.update(
            gradient, state, moving, value=value, grad=gradient,
            value_fn=lambda p: loss(p, rows),
        )  # fmt: skip
        return optax.apply_updates(moving, change), state

    state, path, everything = optimizer.init(moving), [params], jnp.arange(len(X))
    for k in range(steps):
        rows = everything if batches is None else jnp.asarray(batches[k])
        moving, state = step(moving, state, rows)
        path.append(nl.Params(**{**params._asdict(), **moving}))
    return jax.tree.map(lambda *a: np.stack(a), *path)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_against_a_plain_loop(name):
    start, X, y = setting()
    path = nl.trajectory(start, X, y, OPTIMIZERS[name](), num_steps=12)
    for found, wanted in zip(
        path.params, plain_loop(start, X, y, OPTIMIZERS[name](), 12), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    assert not np.allclose(path.params.W[-1], start.W, atol=1e-3)
    np.testing.assert_array_equal(path.steps, np.arange(13))
    each = [float(nl.loss(jax.tree.map(lambda a, k=k: a[k], path.params), X, y)) for k in range(13)]
    np.testing.assert_allclose(path.loss, each, rtol=1e-12)
    moved = np.linalg.norm(np.asarray(path.params.W - start.W).reshape(13, -1), axis=1)
    np.testing.assert_allclose(path.distance, moved, rtol=1e-12)
    assert path.distance[0] == 0 and bool(path.finite.all())


@pytest.mark.parametrize("activation", ["softplus", "gelu"])
@pytest.mark.parametrize("fixed", [(), ("v",), ("W",)], ids=["both", "W", "v"])
def test_several_outputs_and_frozen_layers(fixed, activation):
    """Weight decay would move a frozen layer, and the clipped norm would see it."""
    start, X, y = setting(1, K=3)

    def optimizer():
        return optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(0.02, weight_decay=0.1))

    trainable = tuple(name for name in ("W", "v") if name not in fixed)
    path = nl.trajectory(
        start, X, y, optimizer(), num_steps=10, record_every=5, trainable=trainable,
        activation=activation,
    )  # fmt: skip
    wanted = plain_loop(start, X, y, optimizer(), 10, fixed=fixed, activation=activation)
    for name in ("W", "v"):
        found = np.asarray(getattr(path.params, name))
        np.testing.assert_allclose(found, getattr(wanted, name)[::5], rtol=0, atol=1e-12)
        still = (found == np.asarray(getattr(start, name))).all()
        assert still == (name in fixed)
    assert path.params.v.shape == (3, 6, 3)


# Minibatches.


def columns_that_move(path):
    """With X the identity, sample i moves column i of W and nothing else."""
    return np.any(np.diff(np.asarray(path.params.W), axis=0) != 0, axis=1)


@pytest.mark.parametrize("batch_size", [1, 4, 5, 12])
def test_every_batch_is_full_and_no_sample_comes_twice_in_an_epoch(batch_size):
    n = 12
    start, _, y = setting(2, n=n, d=n)
    per_epoch = n // batch_size
    path = nl.trajectory(
        start, jnp.eye(n), y, optax.sgd(0.1), num_steps=3 * per_epoch, batch_size=batch_size,
        key=KEY, trainable=("W",),
    )  # fmt: skip
    seen = columns_that_move(path).reshape(3, per_epoch, n)
    np.testing.assert_array_equal(seen.sum(axis=2), batch_size)
    each = np.sort(seen.sum(axis=1))
    np.testing.assert_array_equal(each, [[0] * (n % batch_size) + [1] * (n - n % batch_size)] * 3)
    if batch_size < n:
        assert not (seen[0] == seen[1]).all() and not (seen[1] == seen[2]).all()


@pytest.mark.parametrize("batch_size", [4, 5])
def test_a_batch_is_averaged_over_its_own_samples(batch_size):
    start, _, y = setting(3, n=12, d=12, K=2)
    X = jnp.eye(12)
    optimizer = optax.adam(0.05)
    path = nl.trajectory(start, X, y, optimizer, num_steps=7, batch_size=batch_size, key=KEY)
    still = nl.trajectory(
        start, X, y, optax.sgd(0.1), num_steps=7, batch_size=batch_size, key=KEY, trainable=("W",)
    )
    batches = [np.flatnonzero(row) for row in columns_that_move(still)]
    assert {len(rows) for rows in batches} == {batch_size}
    for found, wanted in zip(
        path.params, plain_loop(start, X, y, optimizer, 7, batches), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_the_trainer_goes_the_same_way():
    """The same batches in the same order, with what is left over dropped in each epoch."""
    start, X, y = setting(13, n=14)
    optimizer = optax.adam(0.03)
    path = nl.trajectory(start, X, y, optimizer, num_steps=9, batch_size=4, key=KEY)
    trainer = nl.ConstrainedTrainer(optimizer, batch_size=4)
    run = trainer.fit(nl.OneHiddenLayer(start), X, y, epochs=3, key=KEY)
    assert len(run.history["loss"]) == 9
    np.testing.assert_allclose(run.module.params.W, path.params.W[-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.module.params.v, path.params.v[-1], rtol=0, atol=1e-12)


BAD = {
    "no key": ({"key": None}, r"key: got None\. Minibatches are drawn at random"),
    "a number as key": ({"key": 0}, r"key: got 0\. Pass a JAX random key"),
    "batch size": ({"batch_size": 13}, r"batch_size: got 13\. There are 12 samples"),
    "half a batch": ({"batch_size": 1.5}, r"batch_size: got 1\.5"),
    "steps": ({"num_steps": 5, "record_every": 2}, r"num_steps: got 5\. Pass a multiple"),
    "optimiser": ({"optimizer": optax.sgd}, "optimizer: got <function sgd"),
    "nothing trainable": ({"trainable": ()}, r"trainable: got \(\)"),
    "not trainable": ({"trainable": ["W", "u"]}, r"trainable: got \['W', 'u'\]"),
    "no names": ({"trainable": 3}, "trainable: got 3"),
    "weights": ({"params": (None, None)}, r"params\.W: got None"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name):
    start, X, y = setting()
    bad, says = BAD[name]
    good = dict(params=start, X=X, y=y, optimizer=optax.sgd(0.1), num_steps=4, batch_size=4)
    with pytest.raises(ValueError, match=says):
        nl.trajectory(**(good | {"key": KEY} | bad))


def test_multisteps_and_old_keys_are_taken():
    start, X, y = setting()
    many = optax.MultiSteps(optax.sgd(0.3), 3)
    path = nl.trajectory(start, X, y, many, num_steps=6, record_every=3)
    once = nl.trajectory(start, X, y, optax.sgd(0.3), num_steps=2)
    np.testing.assert_allclose(path.params.W, once.params.W, rtol=0, atol=1e-8)  # 1/3 in float32
    same, sgd = {"num_steps": 4, "batch_size": 4}, optax.sgd(0.1)
    old, new = (
        nl.trajectory(start, X, y, sgd, key=make(5), **same)
        for make in (jax.random.PRNGKey, jax.random.key)
    )
    np.testing.assert_array_equal(old.params.W, new.params.W)


def test_the_key_decides_the_order():
    start, X, y = setting(4)

    optimizer = optax.sgd(0.1)

    def run(key):
        options = dict(num_steps=6, batch_size=4, key=key)
        return np.asarray(nl.trajectory(start, X, y, optimizer, **options).params.W)

    np.testing.assert_array_equal(run(KEY), run(KEY))
    assert not np.allclose(run(KEY), run(jax.random.key(6)))
    whole = nl.trajectory(start, X, y, optimizer, num_steps=6)
    shuffled = nl.trajectory(start, X, y, optimizer, num_steps=6, batch_size=12, key=KEY)
    np.testing.assert_allclose(shuffled.params.W, whole.params.W, atol=1e-13)


# Recording, compilation, precision.


def test_recording_less_leaves_the_path_alone():
    start, X, y = setting(5)
    optimizer, options = optax.adam(0.02), dict(batch_size=5, key=KEY)
    dense = nl.trajectory(start, X, y, optimizer, num_steps=12, **options)
    sparse = nl.trajectory(start, X, y, optimizer, num_steps=12, record_every=4, **options)
    for all_points, some in zip(jax.tree.leaves(dense), jax.tree.leaves(sparse), strict=True):
        np.testing.assert_allclose(all_points[::4], some, rtol=1e-13, atol=1e-15)
    assert sparse.params.W.shape == (4, 6, 4)


def test_vmap_over_starts_data_keys_and_step_sizes():
    settings = [setting(seed) for seed in range(3)]
    starts, X, y = jax.tree.map(lambda *a: jnp.stack(a), *settings)
    keys, rates = jax.random.split(KEY, 3), jnp.array([0.1, 0.2, 0.4])

    def run(start, X, y, key, rate):
        return nl.trajectory(
            start, X, y, optax.adam(rate), num_steps=8, record_every=4, batch_size=5, key=key
        )

    together = jax.jit(jax.vmap(run))(starts, X, y, keys, rates)
    assert together.loss.shape == (3, 3)
    alone_compiled = jax.jit(run)
    for k, (a, b, c) in enumerate(settings):
        alone = alone_compiled(a, b, c, keys[k], rates[k])
        for one, many in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(many[k], one, rtol=0, atol=1e-12)


def test_step_sizes_by_injected_hyperparameters():
    start, X, y = setting(6)

    def run(rate):
        optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=rate)
        return nl.trajectory(start, X, y, optimizer, num_steps=5).loss[-1]

    found = jax.vmap(run)(jnp.array([0.1, 0.5, 0.1 + 1e-6, 0.1 - 1e-6]))
    for rate, loss in zip((0.1, 0.5), found[:2], strict=True):
        wanted = nl.trajectory(start, X, y, optax.sgd(rate), num_steps=5).loss[-1]
        assert loss == pytest.approx(float(wanted), rel=1e-12)
    slope = jax.grad(run)(0.1)  # the whole run can be differentiated
    assert slope == pytest.approx(float(found[2] - found[3]) / 2e-6, rel=1e-5)


def test_one_optimizer_is_compiled_once():
    start, X, y = setting(7)
    update, traced = optax.sgd(0.1), []

    def counted(*args):
        traced.append(1)
        return update.update(*args)

    optimizer = optax.GradientTransformation(update.init, counted)
    nl.trajectory(start, X, y, optimizer, num_steps=50, record_every=10)
    first = len(traced)
    nl.trajectory(start, 2 * X, -y, optimizer, num_steps=50, record_every=10)
    assert len(traced) == first <= 2


def test_divergence_shows_in_the_history():
    start, X, y = setting(8)
    path = nl.trajectory(start, X, y, optax.sgd(1e4), num_steps=40)
    finite = np.asarray(path.finite)
    assert finite[0] and not finite[-1]
    assert (np.diff(finite.astype(int)) <= 0).all()
    assert np.isfinite(np.asarray(path.loss)[finite]).all()


def test_float32():
    start, X, y = setting(9, dtype=jnp.float32)
    optimizer = optax.adam(optax.exponential_decay(0.05, 10, 0.9))
    path = nl.trajectory(start, X, y, optimizer, num_steps=20, batch_size=5, key=KEY)
    assert path.loss.dtype == path.distance.dtype == path.params.W.dtype == jnp.float32
    double = jax.tree.map(lambda a: a.astype(float), (start, X, y))
    wide = nl.trajectory(*double, optimizer, num_steps=20, batch_size=5, key=KEY)
    np.testing.assert_allclose(path.loss, wide.loss, rtol=1e-4)


def test_gradient_descent_stays_where_the_theorem_says():
    """η = 1/β and h < 1/4: path length, rank and rate as promised (the chapter's proposition)."""
    n = 12
    X, y = problem(10, n=n, d=4)
    start = nl.mirrored_lecun(jax.random.key(3), d=4, m=12, scale=2e4)
    values = np.linalg.svd(np.asarray(nl.jacobian(start, X)), compute_uv=False)
    S, s, size = values[0], values[-1], np.linalg.norm(y)
    X_ = np.asarray(X)
    curvature = nl.get_activation("tanh").curvature
    L = curvature * np.linalg.norm(X_, axis=1).max() * np.linalg.norm(X_, 2)
    L *= float(abs(start.v).max())
    h = L * size / s**2
    assert h < 0.25
    beta = ((S + s) ** 2 + L * size) / n
    path = nl.trajectory(start, X, y, optax.sgd(1 / beta), num_steps=2000, trainable=("W",))
    steps = np.linalg.norm(np.diff(np.asarray(path.params.W), axis=0).reshape(2000, -1), axis=1)
    assert steps.sum() <= s / L * (1 - np.sqrt(1 - 4 * h))
    rate = 1 - s**2 * (1 - 4 * h) / (n * beta)
    loss = np.asarray(path.loss)
    assert (loss[1:] <= rate * loss[:-1] + 1e-25).all()
