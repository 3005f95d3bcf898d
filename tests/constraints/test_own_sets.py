"""Sets that a reader writes: plain classes with `project`, in every place that takes a set."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib import verifier

X, Y = problem(3, n=10, d=5)
START = nl.mirrored_lecun(jax.random.key(4), d=5, m=6)


class Slab(nl.Constraint):
    """|x| ≤ top, entry by entry, around an array."""

    def __init__(self, middle, top, name="slab"):
        self.middle, self.top, self.name = middle, top, name

    def project(self, x):
        top = self.top if self.top > 0 else 0.0  # code that branches on a number
        return self.middle + jnp.clip(x - self.middle, -top, top)


class Plain(nl.Constraint):
    def project(self, x):
        return jnp.clip(x, -0.25, 0.25)


@dataclasses.dataclass
class Recorded(nl.Constraint):
    top: float
    parts: tuple = (1, 2)

    def project(self, x):
        return jnp.clip(x, -self.top, self.top)


class Nested(nl.Constraint):
    def __init__(self, *sets):
        self.sets = list(sets)
        self.inner = nl.PairedCone(0.1, 2.0)

    def project(self, x):
        return self.sets[0].project(x)


class Slotted(nl.Constraint):
    __slots__ = ("table",)

    def __init__(self, table):
        self.table = table

    def project(self, x):
        return jnp.clip(x, -self.table, self.table)


MIDDLE = 0.1 * jnp.ones((6, 5))
OWN = {
    "no attributes": Plain(),
    "an array, a number and a word": Slab(MIDDLE, 0.2),
    "a dataclass": Recorded(0.2),
    "sets within": Nested(Slab(MIDDLE, 0.2)),
    "slots": Slotted(0.2 * jnp.ones((6, 5))),
}


@pytest.mark.parametrize("name", OWN)
def test_they_pass_through_jax_unharmed(name):
    own = OWN[name]
    leaves, structure = jax.tree.flatten(own)
    assert all(isinstance(leaf, jax.Array | float) for leaf in leaves)
    again = jax.tree.unflatten(structure, leaves)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)))
    np.testing.assert_array_equal(again.project(x), own.project(x))
    # what stands in for an array does not change the structure
    strange = jax.tree.map(lambda leaf: "word", own)
    assert jax.tree.structure(strange) == structure
    np.testing.assert_array_equal(jax.jit(lambda c, x: c.project(x))(own, x), own.project(x))


def test_arrays_are_leaves_and_everything_else_is_static():
    traces = []

    @jax.jit
    def project(own, x):
        traces.append(own.name)
        return own.project(x)

    x = jnp.ones((6, 5))
    for own in (Slab(MIDDLE, 0.2), Slab(2 * MIDDLE, 0.2), Slab(MIDDLE, 0.2, "slab")):
        np.testing.assert_allclose(project(own, x), own.project(x))
    assert traces == ["slab"]  # other numbers in the array: the same program
    for own in (Slab(MIDDLE, 0.3), Slab(MIDDLE, 1.0)):
        np.testing.assert_allclose(project(own, x), own.project(x))
    assert len(traces) == 3
    tops = (1, 1.0, True)  # equal, and not the same
    assert len({jax.tree.structure(Slab(MIDDLE, top)) for top in tops}) == 3
    moved = jax.grad(lambda middle: project(Slab(middle, 0.2), 9 * x).sum())(MIDDLE)
    np.testing.assert_array_equal(moved, np.ones((6, 5)))
    radii = jnp.array([0.1, 0.3])
    widths = jax.vmap(lambda r: Slotted(r).project(x).max())(radii)
    np.testing.assert_allclose(widths, radii)


def test_an_unhashable_attribute_is_known_by_its_identity():
    class Listed(nl.Constraint):
        def __init__(self, words):
            self.words = words

        def project(self, x):
            return x

    words = ["a", "b"]
    structure = jax.tree.structure
    assert structure(Listed(words)) == structure(Listed(words))
    assert structure(Listed(words)) != structure(Listed(list(words)))


def test_classes_that_are_pytrees_already_stay_as_they_are():
    @flax.struct.dataclass
    class Struct(nl.Constraint):
        top: float

        def project(self, x):
            return jnp.clip(x, -self.top, self.top)

    @jax.tree_util.register_static
    class Still(nl.Constraint):
        def project(self, x):
            return x

    @nl.frozen_pytree("name")
    class Frozen(nl.Constraint):
        top: float
        name: str

        def project(self, x):
            return jnp.clip(x, -self.top, self.top)

    assert jax.tree.leaves(Struct(2.0)) == [2.0] and jax.tree.leaves(Still()) == []
    assert jax.tree.leaves(Frozen(2.0, "x")) == [2.0]  # its numbers are leaves


def test_arguments_that_nobody_takes_are_refused():
    with pytest.raises(TypeError, match=r"Plain\(\) takes no arguments"):
        Plain(3.0)


@pytest.mark.parametrize("name", OWN)
def test_in_the_trainer_and_the_solver_and_the_optimiser(name):
    own = OWN[name]
    net = nl.OneHiddenLayer(START)
    sets = {"W": own, "v": nl.Pairs()}
    run = nl.ConstrainedTrainer(optax.sgd(0.3), sets).fit(net, X, Y, epochs=4)
    ours = run.module.params
    assert float(own.violation(ours.W)) < 1e-12 and run.result.name == "completed"
    product = nl.Product(W=own, v=nl.Pairs())
    sol = nl.ProjectedGradient(product, 0.3).run(START, X, Y, max_steps=4, tol=0.0, throw=False)
    np.testing.assert_allclose(sol.params.W, ours.W, atol=1e-12)
    optimizer, params = nl.projected(optax.sgd(0.3), product), product.project(START)
    state = optimizer.init(params)
    for _ in range(4):
        updates, state = optimizer.update(jax.grad(nl.loss)(params, X, Y), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params.W, ours.W, atol=1e-12)


def test_what_a_set_lacks_is_said_by_name():
    own = Plain()
    for call, words in (
        (lambda: own.tangent(MIDDLE, MIDDLE), "It has no tangent cone: write its method tangent"),
        (lambda: own.least_scale(MIDDLE), "It has no rays"),
        (lambda: nl.Constraint().project(MIDDLE), "It has no projection"),
    ):
        with pytest.raises(ValueError, match=rf"^constraint: got (Plain|Constraint)\. {words}"):
            call()
    with pytest.raises(ValueError, match=r"^ray_scaling: got True with v in Plain"):
        nl.ProjectedGradient(nl.Product(W=nl.Free(), v=own), ray_scaling=True)


class Turning(Plain):
    """The same set, and its tangent cone."""

    def tangent(self, x, direction):
        stuck = (x >= 0.25) & (direction > 0) | (x <= -0.25) & (direction < 0)
        return jnp.where(stuck, 0, direction)


@pytest.mark.parametrize("part", ["W", "v"])
def test_a_certificate_or_a_refusal_by_name(part, tmp_path):
    def certify(own, **more):
        sets = nl.Product(**({"W": nl.Free(), "v": nl.Free()} | {part: own}))
        return nl.kkt_certificate(sets.project(START), X, Y, sets, **more)

    with pytest.raises(ValueError, match=rf"^constraint\.{part}: got Plain\. It has no tangent"):
        certify(Plain())
    words = rf"^constraint\.{part}: got Turning\. verifier\.py knows Free, Fixed, Ball"
    with pytest.raises(ValueError, match=words):
        certify(Turning())
    cert = certify(Turning(), verifiable=False)
    assert cert.violation == 0 and cert.sets[part] == "own Turning"
    with pytest.raises(ValueError, match=rf"^sets\['{part}'\]: got 'own Turning'"):
        cert.save(tmp_path / "own")
    assert list(tmp_path.iterdir()) == []

    class Described(Turning):
        def describe(self):
            return "Ball", {}  # not what a ball is made of

    with pytest.raises(ValueError, match=rf"^constraint\.{part}: got Described"):
        certify(Described())


def test_one_that_the_verifier_is_taught(tmp_path, monkeypatch):
    """A new kind of set: its own file, and one entry of the verifier."""

    class Taught(Turning):
        def describe(self):
            return "Taught", {"top": 0.25}

    sets = nl.Product(W=Taught(), v=nl.Free())
    entry = verifier.Kind(
        ("top",),
        lambda x, top: np.clip(x, -top, top),
        lambda x, d, share, top: np.where((np.abs(x) >= top) & (x * d > 0), 0, d),
    )
    monkeypatch.setitem(verifier.SETS, "Taught", entry)
    cert = nl.kkt_certificate(sets.project(START), X, Y, sets)
    path = cert.save(tmp_path / "taught")
    assert cert.sets["W"] == "Taught" and verifier.verify(str(path)) == []
