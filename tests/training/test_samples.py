"""What goes into a run is looked at before anything is compiled, and refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from modules import Net, mean_square

import narrowlib as nl
from narrowlib.training.epochs import run_epochs, take_apart
from narrowlib.training.evaluation import outputs_of
from narrowlib.training.samples import check_data

N, D, K = 9, 5, 3
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
CLASSES = np.arange(N) % K
NET = Net(nnx.Rngs(0))


@pytest.fixture(autouse=True)
def as_in_a_notebook():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def cross_entropy(outputs, y):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()


def one_hot_entropy(outputs, y):
    return optax.softmax_cross_entropy(outputs, y).mean()


def careless_square(outputs, y):
    """Broadcasts whatever it gets."""
    return jnp.mean((outputs - y) ** 2)


def binary(outputs, y):
    return optax.sigmoid_binary_cross_entropy(outputs[:, 0], y).mean()


def accuracy(outputs, y):
    return (outputs.argmax(axis=-1) == y).mean()


def read(y, loss, net=NET, samples=X, **metrics):
    functions = (("loss", loss), *metrics.items())
    return check_data(("X", "y"), samples, y, take_apart(net, train=True), functions)[1]


ROWS = np.eye(K)[CLASSES]
READ = {
    "classes": (CLASSES, cross_entropy, CLASSES),
    "classes in a list": (CLASSES.tolist(), cross_entropy, CLASSES),
    "unsigned": (CLASSES.astype(np.uint8), cross_entropy, CLASSES),
    "big-endian": (CLASSES.astype(">i4"), cross_entropy, CLASSES),
    "objects": (CLASSES.astype(object), cross_entropy, CLASSES),
    "floats": (CLASSES.astype(float), cross_entropy, CLASSES),
    "one-hot": (ROWS, cross_entropy, CLASSES),
    "one-hot truth": (ROWS == 1, cross_entropy, CLASSES),
    "one-hot for a loss of rows": (ROWS.astype(int), one_hot_entropy, ROWS),
    "truth for a loss of rows": (ROWS == 1, one_hot_entropy, ROWS),
    "targets": (ROWS + 0.5, mean_square, ROWS + 0.5),
    "whole targets": (4 * ROWS.astype(int), mean_square, 4 * ROWS),
}


@pytest.mark.parametrize("name", READ)
def test_targets_are_read_as_the_loss_takes_them(name):
    given, loss, wanted = READ[name]
    y = read(given, loss)
    np.testing.assert_array_equal(y, wanted)
    assert y.dtype == (jnp.int32 if wanted is CLASSES else jnp.float32)


def test_truth_values_are_two_classes():
    two = Net(nnx.Rngs(0), outputs=2)
    np.testing.assert_array_equal(read(CLASSES == 1, cross_entropy, two), CLASSES == 1)
    with pytest.raises(ValueError, match=r"y: got truth values\. The module tells 3 classes apart"):
        read(CLASSES == 1, cross_entropy)


REFUSED = {
    "from 1": (CLASSES + 1, cross_entropy, r"y: got classes from 1 to 3\. .* 0 to 2: pass y - 1\."),
    "negative": (CLASSES - 1, cross_entropy, r"y: got classes from -1 to 1\. The module tells 3"),
    "floats from 1": (CLASSES + 1.0, cross_entropy, r"y: got classes from 1 to 3\."),
    "too many": (CLASSES * 2, cross_entropy, r"y: got classes from 0 to 4\. .* from 0 to 2\."),
    "halves": (CLASSES / 2, cross_entropy, r"y: got shape \(9,\) of float64\. The loss cannot"),
    "text": (np.array(list("abcabcabc")), cross_entropy, r"y: got text\. Number .*numpy\.unique"),
    "words": (["cat", 1.0] * 4 + ["cat"], cross_entropy, r"y: got text\. Number the classes"),
    "dates": (np.zeros(N, "M8[s]"), cross_entropy, "y: got an array of datetime64"),
    "none": (None, cross_entropy, r"y: got None\. Pass an array of real numbers"),
    "NaN": (np.where(CLASSES == 1, np.nan, 0.0), cross_entropy, "y: got 3 entries that are NaN"),
    "too few": (CLASSES[:4], cross_entropy, r"y: got shape \(4,\)\. There are 9 samples"),
    "classes for rows": (CLASSES, one_hot_entropy, r"y: got .*pass jax\.nn\.one_hot\(y, 3\)\."),
    "column": (
        CLASSES[:, None],
        cross_entropy,
        r"y: got shape \(9, 1\) of int64\. The loss cannot",
    ),
    "other rows": (ROWS[:, :2], nl.half_mean_squared_error, r"y: got shape \(9, 2\)\. The network"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_targets_that_do_not_fit_are_refused_by_name(name):
    given, loss, says = REFUSED[name]
    with pytest.raises(ValueError, match=says):
        read(given, loss)


def test_what_would_be_broadcast_is_refused():
    one = Net(nnx.Rngs(0), outputs=1)
    says = r"y: got shape \(9,\)\. The module gives \(9, 1\), which would be broadcast: pass y of"
    with pytest.raises(ValueError, match=says):
        read(CLASSES / 2, careless_square, one)
    assert read(CLASSES == 1, binary, one).dtype == jnp.float32  # this loss knows what it does
    with pytest.raises(ValueError, match=r"y: got shape \(9,\)\. The module gives \(9, 1\)"):
        read(CLASSES / 2, binary, one, metric=careless_square)
    # with as many samples as classes the wrong shapes fit by chance
    with pytest.raises(ValueError, match=r"y: got shape \(3,\)\. The module gives \(3, 3\)"):
        read(CLASSES[:3], one_hot_entropy, samples=X[:3])
    with pytest.raises(ValueError, match=r"y: got shape \(1,\)\. The module gives \(1, 3\)"):
        read(CLASSES[:1], one_hot_entropy, samples=X[:1])
    read(CLASSES[:3], cross_entropy, samples=X[:3])
    read(CLASSES[:1], cross_entropy, samples=X[:1])


def no_mean(outputs, y):
    return (outputs - y) ** 2


def on_the_host(outputs, y):
    return float(jnp.mean(outputs)) if y.sum() > 0 else 0.0


def two_of_them(outputs, y):
    return jnp.mean(outputs), jnp.mean(y)


def counts(outputs, y):
    return jnp.sum(outputs.argmax(axis=-1) == y.argmax(axis=-1))


def test_losses_and_metrics_that_are_no_scalars_are_refused():
    for loss, says in (
        (no_mean, r"loss: got no_mean, which returns shape \(9, 3\) of float32\. Return a mean"),
        (two_of_them, r"loss: got two_of_them, which returns tuple\. Return a mean"),
        (counts, r"loss: got counts, which returns shape \(\) of int"),
        (on_the_host, r"loss: got on_the_host\. It looks at values: write it with jax\.numpy"),
    ):
        with pytest.raises(ValueError, match=says):
            read(ROWS, loss)
    read(ROWS, mean_square, metric=counts)
    with pytest.raises(ValueError, match="metric: got no_mean, which returns"):
        read(ROWS, mean_square, metric=no_mean)
    with pytest.raises(ValueError, match=r"metric: got cross_entropy\. It cannot compare y of"):
        read(ROWS, mean_square, metric=cross_entropy)


class Odd(nnx.Module):
    def __init__(self, call):
        self.p, self.call = nnx.Param(jnp.ones(5)), call

    def __call__(self, x):
        return self.call(x, self.p[...])


def test_samples_and_modules_that_do_not_fit_are_refused():
    says = r"X: got shape \(9, 4\)\. The module Net cannot take that: dot_general"
    with pytest.raises(ValueError, match=says):
        read(ROWS, mean_square, samples=X[:, :4])
    one = nl.OneHiddenLayer(nl.lecun(jax.random.key(0), d=4, m=2))
    with pytest.raises(ValueError, match=r"X: got shape \(9, 5\)\. params\.W reads d = 4 inputs"):
        read(ROWS, mean_square, one)
    for call, says in (
        (lambda x, p: x if x.sum() > 0 else p, r"module: got Odd\. It looks at values"),
        (lambda x, p: (x * p).sum(), r"module: got Odd\. It makes shape \(\) of 9 samples"),
    ):
        with pytest.raises(ValueError, match=says):
            read(ROWS, mean_square, Odd(call))
    with pytest.raises(ValueError, match=r"module: got Dropout\. It has no parameters"):
        read(ROWS, mean_square, nnx.Dropout(0.5, rngs=nnx.Rngs(0)))
    for bad, says in (
        (None, "X: got None"),
        ("ab", "X: got 'ab'"),
        ([[1.0], [1.0, 2.0]], r"X: got \[\[1.0\], \[1.0, 2.0\]\]\. .* rows of the same length"),
        (3.0, r"X: got shape \(\)"),
        (X[:0], r"X: got shape \(0, 5\)"),
        (np.full_like(X, np.inf), "X: got 45 entries"),
        (X + 1j, "X: got dtype complex"),
    ):
        with pytest.raises(ValueError, match=says):
            read(ROWS, mean_square, samples=bad)


def test_modules_of_several_outputs_are_left_to_their_loss():
    def two(x, p):
        return x * p, x.sum(axis=1)

    def both(outputs, y):
        return jnp.mean(outputs[0]) + jnp.mean((outputs[1] - y) ** 2)

    np.testing.assert_array_equal(read(CLASSES, both, Odd(two)), CLASSES)


def test_precision_follows_the_parameters():
    """Double precision in, single precision through: no warning, and whole numbers stay whole."""
    parts = take_apart(NET, train=True)
    functions = (("loss", mean_square),)
    for given in (X.astype(float), X.astype(">f8"), X.tolist(), X.astype(object)):
        samples, y = check_data(("X", "y"), given, ROWS, parts, functions)
        assert samples.dtype == y.dtype == jnp.float32
        np.testing.assert_array_equal(samples, X)
    words = nnx.Embed(10, 4, rngs=nnx.Rngs(0))
    samples, _ = check_data(
        ("X", "y"), CLASSES, np.ones((N, 4)), take_apart(words, train=True), functions
    )
    assert jnp.issubdtype(samples.dtype, jnp.integer)


class Frame:
    """What a pandas frame is to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


FIT = {
    "Linen": ({"module": linen.Dense(3)}, r"module: got Dense\. That is a Flax Linen module"),
    "class": ({"module": nl.OneHiddenLayer}, r"module: got the class OneHiddenLayer"),
    "function": ({"module": jnp.tanh}, "module: got .*Pass a Flax NNX module"),
    "epochs": ({"epochs": 10**30}, "epochs: got 1000000000.*at most 2147483647"),
    "report_every": ({"report_every": 0}, "report_every: got 0"),
    "no pair": ({"validation": X}, "validation: got an array .*Pass a pair"),
    "three": ({"validation": (X, ROWS, ROWS)}, r"validation: got 3 entries\. Pass a pair"),
    "their width": ({"validation": (X[:, :4], ROWS)}, r"validation\[0\]: got shape \(9, 4\)"),
    "their labels": ({"validation": (X, ROWS[:2])}, r"validation\[1\]: got shape \(2, 3\)"),
    "their shape": ({"validation": (X, X)}, r"validation\[1\]: got shape \(9, 5\)"),
    "key": ({"key": 0}, r"key: got 0\. Pass a JAX random key"),
    "keys": ({"key": jax.random.split(jax.random.key(0), 3)}, r"key: got 3 keys"),
    "progress": ({"progress": "yes"}, "progress: got 'yes'. Pass True or False"),
    "throw": ({"throw": None}, "throw: got None"),
    "patience": ({"patience": 3}, r"patience: got 3\. It watches the validation loss"),
    "no patience": ({"patience": 0.5, "validation": (X, ROWS)}, r"patience: got 0\.5"),
    "callbacks": ({"callbacks": [print, "print"]}, r"callbacks\[1\]: got 'print'"),
    "no callbacks": ({"callbacks": 3}, "callbacks: got 3. Pass a list of functions"),
    "hyperparams": ({"hyperparams": 0.1}, r"hyperparams: got 0\.1\. Pass a dictionary"),
}


@pytest.mark.parametrize("name", FIT)
def test_fit_refuses_before_it_compiles(name):
    bad, says = FIT[name]
    good = {"module": NET, "X": Frame(X.astype(float)), "y": Frame(ROWS), "epochs": 2}
    trainer = nl.ConstrainedTrainer(optax.sgd(0.1), loss=mean_square, batch_size=3)
    sizes = run_epochs._cache_size(), outputs_of._cache_size()
    with pytest.raises(ValueError, match=says):
        trainer.fit(**(good | {"key": jax.random.key(0)} | bad))
    assert (run_epochs._cache_size(), outputs_of._cache_size()) == sizes


TRAINERS = {
    "a metric named epoch": ({"metrics": {"epoch": accuracy}}, "metrics: got 'epoch'. The history"),
    "a metric named loss": ({"metrics": {"loss": accuracy}}, "metrics: got 'loss'"),
    "no metric": ({"metrics": {"a": 3}}, r"metrics\['a'\]: got 3\. Pass a function"),
    "a list of metrics": ({"metrics": [accuracy]}, r"metrics: got \[.*Pass a dictionary"),
    "no loss": ({"loss": "mse"}, "loss: got 'mse'. Pass a function"),
    "no optimiser": ({"optimizer": optax.sgd}, "optimizer: got <function sgd"),
    "a set": ({"constraints": nl.Free()}, r"constraints: got .*Pass a dictionary"),
    "a class": ({"constraints": {"W": nl.Ball}}, r"constraints\['W'\]: got <class"),
    "a number": (
        {"constraints": {"W": 3.0}},
        r"constraints\['W'\]: got 3\.0\. Pass a constr",
    ),
    "batch size": ({"batch_size": 2.0}, "batch_size: got 2.0"),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_trainers_refuse_what_they_cannot_use(name):
    bad, says = TRAINERS[name]
    with pytest.raises(ValueError, match=says):
        nl.ConstrainedTrainer(**({"optimizer": optax.sgd(0.1)} | bad))


def test_sets_and_violation_name_what_does_not_fit():
    ball = nl.ConstrainedTrainer(optax.sgd(0.1), {"hidden.kernel": nl.BallAroundStart(1.0)})
    wide, other = Net(nnx.Rngs(0), m=6), nnx.Linear(5, 8, rngs=nnx.Rngs(0))
    for call, says in (
        (lambda: ball.sets(linen.Dense(3)), r"module: got Dense\. That is a Flax Linen"),
        (lambda: ball.sets(other), r"constraints: got 'hidden\.kernel'\. The module's parameters"),
        (lambda: ball.violation(NET, 3), "start: got int"),
        (lambda: ball.violation(wide, NET), r"module: got the parameter hidden\.kernel of shape"),
        (
            lambda: ball.violation(other, NET),
            r"module: got the parameter hidden\.kernel of sh",
        ),
    ):
        with pytest.raises(ValueError, match=says):
            call()
    rule = nl.ConstrainedTrainer(optax.sgd(0.1), {"hidden.kernel": jnp.shape})
    with pytest.raises(ValueError, match=r"constraints\['hidden\.kernel'\]: got \(5, 8\)\. Let"):
        rule.sets(NET)
    ill = nl.ConstrainedTrainer(
        optax.sgd(0.1), {"hidden.kernel": nl.Ball(jnp.zeros((2, 3)), 1.0)}, loss=mean_square
    )
    with pytest.raises(ValueError, match=r"constraints\['hidden\.kernel'\]: got Ball\. It cann"):
        ill.fit(NET, X, ROWS, epochs=1)
