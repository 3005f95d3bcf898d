"""`projected` against projected gradient descent, and feasibility after every update."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from strategies import problem

import narrowlib as nl

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(1), d=8, m=4)
SET = nl.Product(W=nl.Ball(START.W, 0.2), v=nl.PairedCone(zeta=0.2, kappa=2.0))


def trained(optimizer, steps):
    params, state = START, optimizer.init(START)

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(jax.grad(nl.loss)(params, X, Y), state, params)
        return optax.apply_updates(params, updates), state

    with jax.numpy_dtype_promotion("standard"):  # Optax counts steps in whole numbers
        for _ in range(steps):
            params, state = step(params, state)
            yield params


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adam(0.3),
        optax.sgd(0.5),
        optax.sgd(0.5, momentum=0.9),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1)),
    ],
    ids=["adam", "sgd", "momentum", "chain"],
)
def test_feasible_after_every_update(optimizer):
    moved = 0.0
    for params in trained(nl.projected(optimizer, SET), 30):
        assert float(SET.violation(params)) <= 1e-14
        moved = max(moved, float(jnp.linalg.norm(params.W - START.W)))
    assert moved > 0.19  # the constraint was felt
    plain = list(trained(optimizer, 30))[-1]
    assert float(SET.violation(plain)) > 0.01  # without it the optimiser leaves


def test_plain_sgd_is_projected_gradient():
    ours = list(trained(nl.projected(optax.sgd(0.3), SET), 20))[-1]
    sol = nl.ProjectedGradient(SET, 0.3).run(START, X, Y, max_steps=20, tol=0.0, throw=False)
    np.testing.assert_allclose(ours.W, sol.params.W, atol=1e-12)
    np.testing.assert_allclose(ours.v, sol.params.v, atol=1e-12)


def test_after_adam_it_need_not_be_a_kkt_point():
    """The warning of the docstring: Adam's resting point on the ball is not stationary."""
    center = jnp.zeros((1, 2))
    ball = nl.Ball(center, 1.0)
    optimizer = nl.projected(optax.adam(0.05), ball)
    gradient = jnp.array([[-1.0, -0.01]])  # a linear loss: the KKT point is along (1, 0.01)
    W, state = center, optimizer.init(center)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(300):
            updates, state = optimizer.update(gradient, state, W)
            W = optax.apply_updates(W, updates)
    assert float(ball.violation(W)) < 1e-14
    np.testing.assert_allclose(W[0, 0], W[0, 1], rtol=1e-3)  # Adam sees only signs
    assert float(ball.normal_cone_residual(W, gradient)) > 0.5


def test_a_single_set_on_a_single_array():
    cone = nl.PairedCone(zeta=0.5, kappa=1.0)
    optimizer = nl.projected(optax.sgd(1.0), cone)
    v = jnp.array([1.0, 1.0, -1.0, -1.0])
    updates, _ = optimizer.update(jnp.array([3.0, 0.0, 0.0, 0.0]), optimizer.init(v), v)
    np.testing.assert_allclose(v + updates, [0.5, 0.5, -0.5, -0.5])


# The same steps inside and around Optax's and Flax's own wrappers, against a plain loop.

RATE, STEPS = 0.3, 9


@jax.jit
def plain_step(params):
    """P(x − η∇ℓ(x)), written out."""
    gradient = jax.grad(nl.loss)(params, X, Y)
    return SET.project(jax.tree.map(lambda x, g: x - RATE * g, params, gradient))


@functools.cache
def plain_loop():
    points = [START]
    for _ in range(STEPS):
        points.append(plain_step(points[-1]))
    return points


def close(ours, theirs, atol=1e-13):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), ours, theirs)


def sgd(constraint=SET):
    return nl.projected(optax.sgd(RATE), constraint)


PATHS = {"W": SET.W, "v": SET.v}
ONE_SET_EACH = {"ball": sgd(SET.W), "cone": sgd(SET.v)}
BOTH = [nl.Params(True, False), nl.Params(False, True)]
MADE = optax.inject_hyperparams(lambda learning_rate: nl.projected(optax.sgd(learning_rate), SET))
WRAPPED = {
    "bare": sgd(),
    "sets by path": sgd(PATHS),
    "around a chain": nl.projected(optax.chain(optax.scale(0.5), optax.sgd(2 * RATE)), SET),
    "last in a chain": optax.chain(optax.scale(0.5), nl.projected(optax.sgd(2 * RATE), SET)),
    "masked": optax.chain(*(optax.masked(sgd(), mask) for mask in BOTH)),
    "a transformation for each": optax.multi_transform(ONE_SET_EACH, nl.Params("ball", "cone")),
    "inside inject_hyperparams": MADE(learning_rate=RATE),
    "around inject_hyperparams": nl.projected(
        optax.inject_hyperparams(optax.sgd)(learning_rate=RATE), SET
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_it_is_a_plain_projected_loop(name):
    for ours, theirs in zip(trained(WRAPPED[name], STEPS), plain_loop()[1:], strict=True):
        close(ours, theirs)
        assert float(SET.violation(ours)) <= 1e-14


def test_without_being_last_it_leaves_the_set():
    """Control of the docstring's warning about chains."""
    *_, last = trained(optax.chain(sgd(), optax.scale(3.0)), STEPS)
    assert float(SET.violation(last)) > 0.01


@pytest.mark.parametrize("outside", [True, False])
def test_accumulated_over_several_steps(outside):
    """The same gradient three times over is one step."""
    inner = optax.MultiSteps(sgd() if outside else optax.sgd(RATE), 3)
    optimizer = inner.gradient_transformation() if outside else nl.projected(inner, SET)
    for i, ours in enumerate(trained(optimizer, STEPS), start=1):
        close(ours, plain_loop()[i // 3], atol=1e-7)  # Optax divides by 3 in single precision


def test_with_lookahead():
    optimizer = optax.lookahead(sgd(), sync_period=3, slow_step_size=0.5)
    params = optax.LookaheadParams.init_synced(START)
    state, fast, slow = optimizer.init(params), START, START

    @jax.jit
    def step(params, state):
        gradient = jax.grad(nl.loss)(params.fast, X, Y)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for i in range(1, STEPS + 1):
        with jax.numpy_dtype_promotion("standard"):
            params, state = step(params, state)
        fast = plain_step(fast)
        if i % 3 == 0:
            slow = fast = jax.tree.map(lambda s, f: s + 0.5 * (f - s), slow, fast)
        for ours, theirs in ((params.fast, fast), (params.slow, slow)):
            close(ours, theirs)
            assert float(SET.violation(ours)) <= 1e-14


@pytest.mark.parametrize("sets", [SET, PATHS, nl.Product(W=SET.W, v=nl.Free())])
def test_in_an_nnx_optimizer(sets):
    net = nl.OneHiddenLayer(START)
    optimizer = nnx.Optimizer(net, nl.projected(optax.sgd(RATE), sets), wrt=nnx.Param)

    @nnx.jit
    def step(net, optimizer):
        gradient = nnx.grad(lambda net: nl.half_mean_squared_error(net(X), Y))(net)
        optimizer.update(net, gradient)

    with jax.numpy_dtype_promotion("standard"):
        for theirs in plain_loop()[1:]:
            step(net, optimizer)
            if not isinstance(sets, nl.Product) or not sets.v.is_free:
                close(net.params, theirs)
            assert float(SET.W.violation(net.params.W)) <= 1e-14


def test_parts_of_a_deeper_module():
    class Deep(nnx.Module):
        def __init__(self):
            self.parts = nnx.List([nnx.Linear(8, 8, rngs=nnx.Rngs(0), param_dtype=float)])
            self.last = nl.OneHiddenLayer(plain_loop()[3])

        def __call__(self, x):
            return self.last(self.parts[0](x))

    net = Deep()
    kernel = net.parts[0].kernel[...]
    sets = {"parts.0.kernel": nl.Ball(kernel, 0.01), "last.v": SET.v}
    optimizer = nnx.Optimizer(net, nl.projected(optax.sgd(RATE), sets), wrt=nnx.Param)
    gradient = nnx.grad(lambda net: nl.half_mean_squared_error(net(X), Y))(net)
    with jax.numpy_dtype_promotion("standard"):
        optimizer.update(net, gradient)
    moved = float(jnp.linalg.norm(net.parts[0].kernel[...] - kernel))
    assert moved == pytest.approx(0.01) and float(SET.v.violation(net.last.v[...])) <= 1e-14


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: nl.projected(optax.sgd, SET), r"optimizer: got <function sgd"),
        (lambda: nl.projected(optax.sgd(0.1), nl.Ball), r"constraint: got <class .*Ball"),
        (lambda: nl.projected(optax.sgd(0.1), {"W": nl.Ball}), r"constraint\['W'\]: got <class"),
        (lambda: nl.projected(optax.sgd(0.1), nl.BallAroundStart(1.0)), r"constraint: got BallAro"),
        (
            lambda: nl.projected(optax.sgd(0.1), {"w": nl.Free()}).init(START),
            r"constraint: got 'w'\. The parameters are W, v\.",
        ),
        (
            lambda: nl.projected(optax.sgd(0.1), {"W": nl.Ball(START.W[:2], 1.0)}).init(START),
            r"constraint\['W'\]: got Ball\. It cannot project .*center: got shape \(2, 8\)",
        ),
        (
            lambda: sgd(SET.W).init(START),
            r"constraint: got one Ball for 2 parameters\. Pass sets by path",
        ),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        call()


def test_a_set_keeps_shape_and_is_given_the_precision():
    class Column(nl.Constraint):
        def project(self, x):
            return x[:, None]

    class Nothing(nl.Constraint):
        def project(self, x):
            pass

    class Single(nl.Constraint):
        def project(self, x):
            return np.asarray(x, np.float32)

    for wrong, got in ((Column, r"an array of float64 of shape \(4, 1\)"), (Nothing, "None")):
        words = rf"constraint: got {wrong.__name__}, whose projection is {got}\. Let its method"
        with pytest.raises(ValueError, match=rf"^{words} project return an array of shape \(4,\)"):
            wrong().project(START.v)
        longer = rf"^constraint\['v'\]: got {wrong.__name__}\. It cannot project .*{words}"
        with pytest.raises(ValueError, match=longer):
            nl.projected(optax.sgd(0.1), {"v": wrong()}).init(START)
    assert Single().project(START.v).dtype == START.v.dtype
