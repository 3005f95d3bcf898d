"""Inputs that nothing can be made of, by kind, and what a refusal has to say."""

import datetime
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

NAN = float("nan")
LARGE = 1e200
NOTHING = {"nothing": None, "a word": "seven", "an object": object(), "a dictionary": {"a": 1.0}}
COUNT = NOTHING | {
    "zero": 0, "a half": 2.5, "a float": 3.0, "true": True, "a list": [2], "huge": 10**40,
    "two": np.array([1, 2]),
}  # fmt: skip
POSITIVE = NOTHING | {"zero": 0.0, "negative": -2.0, "nan": NAN, "complex": 2j, "true": True,
                      "two": [1.0, 2.0], "none of them": np.array([])}  # fmt: skip
KEYS = NOTHING | {"a seed": 7, "two numbers": [1, 2], "floats": np.array([0.5, 1.0]),
                  "keys": jax.random.split(jax.random.key(0), 2)}  # fmt: skip
WORD = {"nothing": None, "another word": "seven", "capitals": "TANH", "in a list": ["tanh"],
        "a number": 7, "empty": "", "a function": jnp.tanh}  # fmt: skip


def matrices(x):
    """Of an array like x: what is no such array."""
    x = np.asarray(x, float)
    return NOTHING | {
        "one axis less": x[0], "one more": x[None], "no rows": x[:0], "complex": x + 1j,
        "text": np.full(x.shape, "1"), "objects": np.full(x.shape, None),
        "ragged": [[1.0], [1.0, 2.0]],
        "days": np.full(x.shape, datetime.date(2020, 1, 1)),
    }  # fmt: skip


def spoiled(x):
    """Of an array like x: entries that nothing can be concluded from."""
    second = (np.arange(x.size) == 1).reshape(x.shape)
    return {str(bad): np.where(second, bad, x) for bad in (NAN, np.inf, LARGE)}


def pairs(params):
    """What is no pair of weights that fit together."""
    W, v = params
    return NOTHING | {
        "three": (W, v, v), "swapped": (v, W), "no weights": (None, v), "too short": (W, v[:-1]),
        "no neurons": (W[:0], v[:0]), "complex": (W, np.asarray(v) * 1j),
        "one single": (W, v.astype("float32")),
    }  # fmt: skip


def refused(call, arguments, bad):
    """Every bad value of every argument is refused by name, in three parts."""
    for name, values in bad.items():
        for kind, value in values.items():
            with pytest.raises(ValueError) as caught:
                call(**arguments | {name: value})
            message = str(caught.value)
            assert re.fullmatch(rf"[^:]*{name}[^:]*: got .+\. .+\.", message), (name, kind, message)
