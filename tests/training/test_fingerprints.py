"""Hashes that tell data and runs apart."""

import jax
import jax.numpy as jnp
import numpy as np

import narrowlib as nl
from narrowlib.training.fingerprints import fingerprint


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
