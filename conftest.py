"""Tests and docstring examples run in float64; those about float32 say so themselves.

They compile much and compute little, so the compiler's optimisations are switched off for them,
which halves their time. Notebooks and other processes that tests start have them on: they see what
readers see.
"""

import os

import jax

jax.config.update("jax_enable_x64", True)

FLAGS = os.environ.get("XLA_FLAGS")
os.environ["XLA_FLAGS"] = f"{FLAGS or ''} --xla_backend_optimization_level=0"
jax.devices()  # reads the flags
if FLAGS is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = FLAGS
