"""The door and the decorator: what is taken, as what; what is refused, in which words."""

import datetime
import fractions
import inspect
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from narrowlib import _checks, _runs
from narrowlib._runs import runs

WHOLE = np.array([[3, 0], [1, 2], [5, 7]])


class Frame:
    """A table as data-frame libraries make it: NumPy asks it for its array."""

    def __init__(self, *columns):
        self.columns = columns

    def __array__(self, dtype=None, copy=None):
        return np.array(list(zip(*self.columns, strict=True)), dtype=dtype or object)


class Attached:
    """A tensor that does not let go of its numbers while derivatives are recorded."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


class Sparse:
    """A matrix that holds its nonzero entries only."""

    shape = (3, 2)

    def toarray(self):
        return WHOLE.astype(float)


class Missing:
    """The entry of a nullable column."""

    def __repr__(self):
        return "<NA>"


def refused(call, *args, says, **kwargs):
    """The call fails, and its message has the argument, the value and the mend."""
    with pytest.raises(ValueError) as caught:
        call("size", *args, **kwargs)
    start, value, mend = str(caught.value).partition(": got ")[0], *says
    assert start == "size"
    assert f"got {value}" in str(caught.value) and mend in str(caught.value)
    assert str(caught.value).endswith(".")


# Arrays.

HOLDERS = {
    "a list of lists": WHOLE.tolist(),
    "a tuple of arrays": tuple(WHOLE),
    "whole numbers": WHOLE,
    "unsigned bytes": WHOLE.astype(np.uint8),
    "the other byte order": WHOLE.astype(">f8"),
    "whole numbers in the other byte order": WHOLE.astype(">i2"),
    "extended precision": WHOLE.astype(np.longdouble),
    "objects that are numbers": WHOLE.astype(object),
    "fractions": [[fractions.Fraction(int(entry)) for entry in row] for row in WHOLE],
    "a frame": Frame([3, 1, 5], [0.0, 2.0, 7.0]),
    "a column that is not contiguous": np.stack([WHOLE, WHOLE], axis=2)[..., 1],
    "a JAX array of whole numbers": jnp.asarray(WHOLE, jnp.int32),
    "a list of JAX numbers": [[jnp.float64(entry) for entry in row] for row in WHOLE],
    "memory": memoryview(WHOLE.astype(float)),
}


@pytest.mark.parametrize("given", HOLDERS.values(), ids=HOLDERS)
def test_whatever_holds_numbers_is_taken_as_an_array_of_them(given):
    x = _checks.float_array("size", given, (2,))
    assert isinstance(x, jax.Array) and x.dtype == jnp.float64
    np.testing.assert_array_equal(x, WHOLE)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_floating_array_keeps_its_precision(dtype):
    x = _checks.float_array("size", jnp.asarray(WHOLE, dtype), (2,))
    assert x.dtype == dtype
    half = _checks.check_inputs(jnp.asarray(WHOLE, dtype))
    assert half.dtype == ("float64" if dtype == "float64" else "float32")


def test_truth_values_are_zeros_and_ones_in_the_wanted_precision():
    x = _checks.float_array("size", WHOLE > 2, (2,), whole=jnp.float32)
    assert x.dtype == jnp.float32
    np.testing.assert_array_equal(x, [[1, 0], [0, 0], [1, 1]])


DAY = datetime.date(2024, 2, 29)
NO_ARRAYS = {
    "nothing": (None, "None", "real numbers"),
    "text": ("3.5", "'3.5'", "real numbers"),
    "bytes": (b"\x03", "b'\\x03'", "real numbers"),
    "a dictionary": ({3: 5}, "{3: 5}", "real numbers"),
    "a set": ({3}, "{3}", "real numbers"),
    "a generator's function": (len, "the entry <built-in function len>", "real numbers"),
    "words": (np.array([["red", "blue"]]), "an array of <U4", "real numbers"),
    "dates": (np.array([["2024-02-29"]], "M8[D]"), "an array of datetime64[D]", "real numbers"),
    "durations": (np.array([[3]], "m8[s]"), "an array of timedelta64[s]", "real numbers"),
    "dates as objects": ([[DAY]], "the entry datetime.date(2024, 2, 29)", "real numbers"),
    "complex numbers": (WHOLE * 1j, "dtype complex128", "pass real ones"),
    "complex JAX numbers": (jnp.ones((2, 2)) * 1j, "dtype complex128", "pass real ones"),
    "rows of two lengths": ([[1.0], [2.0, 3.0]], "[[1.0], [2.0, 3.0]]", "the same length"),
    "a nullable column": (Frame([1, 2], [3, Missing()]), "the entry <NA>", "real numbers"),
    "a missing entry": ([[1.0, None]], "the entry None", "real numbers"),
    "a sparse matrix": (Sparse(), "a sparse Sparse", "Pass its toarray()"),
    "a tensor with derivatives": (Attached(), "<", "Pass an array of"),
    "a number too large": ([[10**400, 1]], "[[1000", "real numbers"),
    "keys": (jax.random.split(jax.random.key(0), 2), "an array of key<fry>", "real numbers"),
    "placeholders": (jax.ShapeDtypeStruct((2, 2), float), "an array of float64", "real numbers"),
    "one axis": (WHOLE[0], "shape (2,)", "2 axes"),
    "three axes": (WHOLE[None], "shape (1, 3, 2)", "2 axes"),
}


@pytest.mark.parametrize("given, value, mend", NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_what_holds_no_numbers_is_refused(given, value, mend):
    refused(_checks.float_array, given, (2,), says=(value, mend))


def test_traced_numbers_pass_in_a_list_too():
    total = jax.jit(lambda a: _checks.float_array("size", [a, 2 * a], (1,)).sum())(1.5)
    assert total == 4.5


# Numbers.


@pytest.mark.parametrize("given", [4, np.int8(4), np.uint64(4), np.array(4), jnp.asarray(4)])
def test_whole_numbers(given):
    found = _checks.check_int("size", given, 1)
    assert found == 4 and type(found) is int


@pytest.mark.parametrize(
    "given",
    [None, "4", 4.0, True, np.True_, 4j, [4], np.array([4]), np.array([4, 5]), 0, -4, 10**30,
     float("nan"), jnp.asarray(4.0), fractions.Fraction(4), object],
    ids=str,
)  # fmt: skip
def test_no_whole_numbers(given):
    refused(_checks.check_int, given, 1, says=("", "Pass a whole number of at least 1"))


def test_the_least_and_the_largest_whole_number():
    assert _checks.check_int("size", 2**31 - 1, 0) == 2**31 - 1
    refused(_checks.check_int, 2**31, 0, says=("2147483648", "at most 2147483647"))
    refused(_checks.check_int, 7, 0, 6, says=("7", "at least 0 and at most 6"))
    assert _checks.check_even("size", 6) == 6
    refused(_checks.check_even, 7, says=("7", "even number"))


@pytest.mark.parametrize(
    "given", [0.25, np.float16(0.25), np.array(0.25), jnp.asarray(0.25), 2, np.int64(2)], ids=repr
)
def test_numbers_come_back_as_they_are(given):
    assert _checks.check_number("size", given, above=0) is given


@pytest.mark.parametrize(
    "given",
    [None, "0.25", True, np.False_, 0.25j, [0.25], np.array([0.25]), np.array([]), float("nan"),
     float("inf"), 0.0, -1, 10**400, np.array("0.25"), object(), float],
    ids=lambda given: str(given)[:12],
)  # fmt: skip
def test_no_numbers(given):
    refused(_checks.check_number, given, above=0, says=("", "Pass a finite number above 0."))


def test_bounds_of_numbers():
    assert _checks.check_number("size", 0, minimum=0) == 0
    refused(_checks.check_number, -0.5, minimum=0, says=("-0.5", "at least 0."))
    refused(_checks.check_number, 1, minimum=0, below=1, says=("1", "at least 0 and below 1."))
    batch = np.array([0.5, 2.0])
    assert _checks.check_number("size", batch, above=0, batch=True) is batch
    refused(_checks.check_number, batch, above=1, batch=True, says=("0.5", "above 1."))
    assert jax.jit(lambda a: _checks.check_number("size", a, above=0))(-3.0) == -3.0


# The rest of the door.


def test_true_and_false():
    assert _checks.check_bool("size", np.True_) is True
    for given in (1, 0.0, "no", None, [True], np.array([True])):
        refused(_checks.check_bool, given, says=(_checks.shown(given), "True or False"))


def test_choices():
    assert _checks.check_choice("size", "wide", ("narrow", "wide")) == "wide"
    assert _checks.check_choice("size", None, ("narrow", None)) is None
    for given in ("Wide", "", None, 1, ["wide"], np.array(["wide", "narrow"]), np.nan):
        refused(_checks.check_choice, given, ("narrow", "wide"), says=("", "'narrow', 'wide'."))
    refused(_checks.check_choice, True, (1, 2), says=("True", "1, 2"))


def test_functions():
    assert _checks.check_function("size", len, "jnp.tanh") is len
    for given in (None, "tanh", 3.0, jnp.ones(2)):
        refused(_checks.check_function, given, "jnp.tanh", says=("", "such as jnp.tanh"))


def test_keys_of_both_styles_give_the_same_numbers():
    new, old = jax.random.key(9), jax.random.PRNGKey(9)
    for given in (new, old):
        key = _checks.check_key("size", given)
        np.testing.assert_array_equal(jax.random.normal(key, (3,)), jax.random.normal(new, (3,)))


@pytest.mark.parametrize(
    "given",
    [None, 0, 9.0, "key", [0, 9], np.array([0, 9], np.uint32), jnp.arange(2.0), jnp.arange(3),
     jax.random.split(jax.random.key(9), 1), jax.random.PRNGKey(9)[None], jax.random.key],
    ids=lambda given: str(given)[:12],
)  # fmt: skip
def test_no_keys(given):
    refused(_checks.check_key, given, says=("", ""))


def test_several_keys_are_counted():
    several = jax.random.split(jax.random.key(9), 5)
    refused(_checks.check_key, several, says=("5 keys", "vmap over them"))
    drawn = jax.vmap(lambda key: jax.random.normal(_checks.check_key("size", key)))(several)
    assert drawn.shape == (5,)


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _checks.check_path("size", "~/runs/a") == tmp_path / "runs" / "a"
    assert _checks.check_path("size", Path("~")) == tmp_path
    assert _checks.check_path("size", os.fspath(tmp_path)) == tmp_path
    there = _checks.check_path("size", "C:/runs") == Path("C:/runs")  # a drive, no address
    assert there and _checks.check_path("size", "Über/b:c") == Path("Über/b:c")
    addresses = ("gs://runs/a", "s3://runs", "https://a.org/b", Path("gs://runs/a"))
    nowhere = ("\ud800", "~nobody-of-this-name/runs")
    for given in (None, 3, "", b"runs", "a\0b", ["runs"], Path, *addresses, *nowhere):
        refused(_checks.check_path, given, says=("", "as text or pathlib.Path"))


def test_optimisers():
    steps = optax.MultiSteps(optax.sgd(0.5), every_k_schedule=2)
    for given in (optax.sgd(0.5), optax.chain(optax.clip(1.0), optax.adam(0.5)), steps):
        made = _checks.check_optimizer("size", given)
        assert isinstance(made, optax.GradientTransformationExtraArgs)
        made.init(jnp.ones(2))
    for given in (None, 0.5, "adam", optax.adam, optax.MultiSteps, (len, len)):
        refused(_checks.check_optimizer, given, says=("", "such as optax.sgd(0.1)"))


def test_modules():
    net = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    assert _checks.check_module("size", net) is net
    refused(_checks.check_module, linen.Dense(1), says=("Dense", "Flax Linen module"))
    refused(_checks.check_module, nnx.Linear, says=("the class Linear", "such as nl.One"))
    refused(_checks.check_module, lambda x: x, says=("function", "such as nl.One"))
    refused(_checks.check_module, None, says=("NoneType", "such as nl.One"))


def test_long_values_are_cut_and_stay_on_one_line():
    text = _checks.shown("a line\n" * 50)
    assert len(text) == _checks.SHOWN + 1 and text.endswith("…") and "\n" not in text
    assert _checks.shown(jnp.ones((3, 2))) == "an array of float64 of shape (3, 2)"


# Where a function runs.


@runs("host")
def host(scale, params, *, times=1):
    """Looks at its values."""
    return float(scale) * float(params["W"].sum()) * times


@runs("jit")
def jitted(scale, params, *, times=1):
    """Stops when it likes."""
    return jax.lax.fori_loop(0, times, lambda _, a: a * scale, params["W"].sum())


@runs("jit and grad")
def smooth(scale, params, *, times=1):
    """Has a derivative."""
    return scale * params["W"].sum() * times


P = {"W": jnp.arange(3.0)}


@pytest.mark.parametrize("function", [host, jitted, smooth])
def test_a_decorated_function_is_itself(function):
    assert function(2.0, P) == 6.0
    assert function.runs in _runs.MEANING
    assert function.__name__ in {"host", "jitted", "smooth"} and function.__doc__
    assert list(inspect.signature(function).parameters) == ["scale", "params", "times"]


BATCH = jax.tree.map(lambda a: jnp.stack([a, a]), P)


@pytest.mark.parametrize(
    "call",
    [
        lambda: jax.jit(host)(2.0, P),
        lambda: jax.jit(lambda p: host(2.0, params=p))(P),
        lambda: jax.jit(lambda s: host(s, P))(2.0),
        lambda: jax.vmap(lambda p: host(2.0, p))(BATCH),
        lambda: jax.grad(host)(2.0, P),
        lambda: jax.eval_shape(host, 2.0, P),
        lambda: host(jax.ShapeDtypeStruct((), float), P),
    ],
)
def test_on_the_host_only(call):
    with pytest.raises(ValueError, match=r"^(scale|params): got traced values\. Call host outside"):
        call()


def test_under_jit_and_vmap():
    for function in (jitted, smooth):
        assert jax.jit(function)(2.0, P) == 6.0
        np.testing.assert_array_equal(jax.vmap(lambda p, f=function: f(2.0, p))(BATCH), [6.0, 6.0])
        np.testing.assert_array_equal(jax.vmap(lambda s, f=function: f(s, P))(P["W"]), [0, 3, 6])


@pytest.mark.parametrize("derivative", [jax.grad, jax.value_and_grad, jax.jacfwd, jax.jacrev])
def test_no_derivative_of_what_stops_when_it_likes(derivative):
    for call in (derivative(jitted), jax.jit(derivative(jitted))):
        with pytest.raises(ValueError, match=r"^jitted: got a derivative to take\. It stops where"):
            call(2.0, P)
    with pytest.raises(ValueError, match=r"^jitted: got a derivative"):
        derivative(lambda p: jitted(2.0, params=p))(P)
    with pytest.raises(ValueError, match=r"^jitted: got a derivative"):
        jax.vmap(derivative(jitted), in_axes=(0, None))(jnp.ones(2), P)


def test_what_is_constant_for_the_derivative_passes():
    """Only a derivative with respect to what the function reads is refused."""
    assert jax.grad(lambda s: s * jitted(2.0, P))(5.0) == 6.0
    assert jax.grad(smooth)(2.0, P) == 3.0
    assert jax.grad(lambda s: s * jitted(jax.lax.stop_gradient(s), P))(2.0) == 6.0


def test_what_holds_no_array_is_not_traced():
    """Keys without an order, and what can be read once only."""
    for tree in ({"a": 1, 2: "b"}, [{None: 1, 3: 2}], iter([1]), (k for k in range(2))):
        assert not _checks.is_traced(tree)
    assert jax.jit(lambda x: jnp.full((), _checks.is_traced({"a": x})))(1.0)


def test_one_optimiser_stays_one_object():
    """A program that is compiled for it is compiled once."""
    plain = optax.GradientTransformation(lambda params: (), lambda u, s, p=None: (u, s))
    many = optax.MultiSteps(optax.sgd(0.1), 2)
    for given in (plain, many, optax.lbfgs()):
        made = [_checks.check_optimizer("optimizer", given) for _ in range(2)]
        assert made[0] == made[1] and hash(made[0]) == hash(made[1])


def test_real_arrays_keep_their_kind():
    for given, kind in (
        ([1, 2], "i"),
        (np.ones(2, ">f4"), "f"),
        ([True, False], "b"),
        (np.array([1, 2.5], object), "f"),
        (jnp.arange(2), "i"),
    ):
        found = _checks.real_array("y", given)
        assert found.dtype.kind == kind and found.dtype.isnative
        np.testing.assert_array_equal(found, np.asarray(given, float))
