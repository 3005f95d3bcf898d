"""The theorems' statements measured, each with controls in which one hypothesis is dropped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, normal, problem

import narrowlib as nl
from narrowlib.certificates.rounding import point
from narrowlib.network.linearization import lipschitz_in_W

# The full-rank theorem at m d/2 >= n.


def rank(params, X, name="tanh"):
    found = nl.numerical_rank(params, X, activation=name, method="svd")
    assert found.verdict != "undecided"
    return found.rank


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("seed", range(5))
def test_full_rank(name, seed):
    n, d, m = 20, 5, 8  # m d/2 = n: not one column to spare
    X, _ = problem(seed, n=n, d=d)
    start = nl.mirrored_lecun(jax.random.key(seed + 100), d=d, m=m)
    assert rank(start, X, name) == n
    u = normal(jax.random.key(seed + 200), (m // 2,))
    assert rank(start._replace(v=jnp.concatenate([u, -u])), X, name) == n
    more, _ = problem(seed, n=n + 1, d=d)
    assert rank(start, more, name) == n  # one sample more than m d/2


def test_full_rank_fails_for_a_polynomial():
    X, _ = problem(0, n=20, d=5)
    start = nl.mirrored_lecun(jax.random.key(0), d=5, m=20)
    assert rank(start, X, "square") == 15  # d (d + 1)/2
    assert rank(start, X) == 20


def test_full_rank_fails_for_equal_samples():
    X, _ = problem(1, n=20, d=5)
    start = nl.mirrored_lecun(jax.random.key(1), d=5, m=20)
    assert rank(start, X.at[3].set(X[7])) == 19


def test_full_rank_fails_for_parallel_neurons():
    """All neurons in one direction: in d = 2, equal or opposite ones span d dimensions only."""
    X, _ = problem(2, n=8, d=2)
    generic = nl.mirrored_lecun(jax.random.key(2), d=2, m=8)
    w = generic.W[:1]
    equal = jnp.concatenate([w, w, -w, w])
    assert rank(generic, X) == 8
    assert rank(generic._replace(W=jnp.concatenate([equal, equal])), X) == 2


def test_full_rank_fails_for_a_zero_in_v():
    X, _ = problem(3, n=20, d=5)
    start = nl.mirrored_lecun(jax.random.key(3), d=5, m=8)
    silent = start._replace(v=start.v.at[jnp.array([0, 4])].set(0.0))
    assert rank(start, X) == 20 and rank(silent, X) == 15


# The landscape theorem: where J has full row rank, stationary points are global minima.


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("name", SMOOTH)
def test_landscape_polyak_lojasiewicz(name, K):
    """With ℓ = ‖r‖²/(2n): ‖∇ℓ‖² = ‖Jᵀr‖²/n² >= σ²‖r‖²/n² = 2 σ² ℓ/n."""
    X, y = problem(4, n=10, d=5, outputs=K)
    tightest = np.inf
    for seed in range(10):
        params = nl.lecun(jax.random.key(seed), d=5, m=12, outputs=K)
        gradient = jax.grad(nl.loss)(params, X, y, activation=name).W
        J = np.asarray(nl.jacobian(params, X, activation=name))
        U, s, _ = np.linalg.svd(J)
        value = float(nl.loss(params, X, y, activation=name))
        square = float(jnp.sum(gradient**2))
        assert square >= 2 * s[-1] ** 2 * value / 10 * (1 - 1e-9)
        # targets that miss along the weakest direction: equality, so the constant is the best one
        r = jnp.asarray(U[:, -1].reshape(y.shape))
        worst = nl.forward(params, X, activation=name) - r
        gradient = jax.grad(nl.loss)(params, X, worst, activation=name).W
        value = float(nl.loss(params, X, worst, activation=name))
        tightest = min(tightest, float(jnp.sum(gradient**2)) / (2 * s[-1] ** 2 * value / 10))
    assert tightest == pytest.approx(1.0, abs=1e-6)


def test_landscape_sigma_min_falls_no_faster_than_the_lipschitz_constant():
    """On the ball ‖W − W₀‖ < s/L the Jacobian keeps full rank, by Weyl's inequality."""
    X, _ = problem(5, n=10, d=5)
    sigma, start = nl.get_activation("tanh"), nl.mirrored_lecun(jax.random.key(5), d=5, m=8)
    s, L = point(start, X, sigma).sigma_min, lipschitz_in_W(start, X, sigma)
    for seed in range(20):
        direction = normal(jax.random.key(seed), (8, 5))
        distance = 0.9 * s / L * jax.random.uniform(jax.random.key(seed + 50))
        W = start.W + direction * distance / jnp.linalg.norm(direction)
        here = point(start._replace(W=W), X, sigma).sigma_min
        assert here >= s - L * float(distance) > 0


# The KKT theorem: every KKT point has zero loss.

X4, Y4 = problem(6, n=12, d=8)
START = nl.mirrored_lecun(jax.random.key(7), d=8, m=4)
KAPPA = 2.0


def guaranteed(per_neuron=False, kappa=KAPPA):
    sets = nl.Product(W=nl.Ball(START.W, 1.0, per_neuron=per_neuron), v=nl.PairedCone(0.1, kappa))
    return nl.kkt_certificate(START, X4, Y4, sets).guaranteed_radius


@pytest.mark.parametrize("per_neuron", [False, True])
def test_every_kkt_point_is_global(per_neuron):
    """From six random feasible starts, at 0.9 of the radius, to zero loss."""
    radius = 0.9 * guaranteed(per_neuron)
    sets = nl.Product(
        W=nl.Ball(START.W, radius, per_neuron=per_neuron), v=nl.PairedCone(0.1, KAPPA)
    )
    solver = nl.ProjectedGradient(sets, ray_scaling=True)

    def start_of(key):
        a, b = jax.random.split(key)
        u = jax.random.uniform(b, (2,), minval=1.0, maxval=2.0)
        W = START.W + radius * jax.random.normal(a, (4, 8))
        return sets.project(nl.Params(W, jnp.concatenate([u, -u])))

    starts = jax.vmap(start_of)(jax.random.split(jax.random.key(8), 6))
    runs = jax.jit(
        jax.vmap(lambda p: solver.run(p, X4, Y4, max_steps=20_000, tol=1e-12, throw=False))
    )(starts)
    assert float(runs.stats["loss"].max()) < 1e-12
    for i in range(6):
        params = jax.tree.map(lambda a, i=i: a[i], runs.params)
        cert = nl.kkt_certificate(params, X4, Y4, sets)
        assert cert.theorem_applies
        assert cert.verdict == "nearly global"


def stationary_with_large_loss(sets, start, steps=6000, tol=1e-9, X=X4, y=Y4, ray=False):
    """A point that is KKT to `tol`, and its certificate."""
    sol = nl.ProjectedGradient(sets, ray_scaling=ray).run(
        start, X, y, max_steps=steps, tol=tol, throw=False
    )
    gradient = jax.grad(nl.loss)(sol.params, X, y)
    assert float(sets.violation(sol.params)) < 1e-9
    assert float(sets.normal_cone_residual(sol.params, gradient)) < 1e-6
    cert = nl.kkt_certificate(sol.params, X, y, sets)
    assert not cert.theorem_applies and cert.verdict != "nearly global"
    assert cert.loss <= cert.loss_bound
    return cert


@pytest.mark.parametrize("seed", range(3))
def test_kkt_fails_without_pairs(seed):
    """F(W₀, v) is not zero: v alone is fitted, W leans on its sphere, the loss stays."""
    start = nl.lecun(jax.random.key(seed), d=8, m=4)
    sets = nl.Product(W=nl.Ball(start.W, 0.9 * guaranteed()), v=nl.Free())
    cert = stationary_with_large_loss(sets, start)
    assert cert.loss > 0.1 * float(jnp.mean(Y4**2)) / 2
    assert cert.ray == pytest.approx(0, abs=1e-6) and cert.start_output > 0.1
    assert not cert.hypotheses["mirrored start"]


def test_kkt_fails_without_a_floor():
    """ζ = 0: v = 0 is stationary, and its loss is that of F = 0."""
    sets = nl.Product(W=nl.Ball(START.W, 0.9 * guaranteed()), v=nl.PairedCone(0.0, KAPPA))
    zero = START._replace(v=jnp.zeros(4))
    gradient = jax.grad(nl.loss)(zero, X4, Y4)
    assert float(sets.normal_cone_residual(zero, gradient)) < 1e-14
    assert float(sets.violation(zero)) == 0
    cert = nl.kkt_certificate(zero, X4, Y4, sets)
    assert cert.loss == pytest.approx(float(jnp.mean(Y4**2)) / 2)
    assert not cert.hypotheses["ζ > 0"] and cert.verdict == "inconclusive"
    # with a floor the same place is not stationary
    floor = nl.Product(W=sets.W, v=nl.PairedCone(0.1, KAPPA))
    there = floor.project(zero)
    gradient = jax.grad(nl.loss)(there, X4, Y4)
    assert float(floor.normal_cone_residual(there, gradient)) > 1e-3


def test_kkt_fails_without_the_ray():
    """v fixed: on the sphere the pull of the loss is balanced, and the loss is large."""
    sets = nl.Product(W=nl.Ball(START.W, 0.9 * guaranteed()), v=nl.Fixed(START.v))
    cert = stationary_with_large_loss(sets, START)
    assert cert.loss > 0.5 * float(jnp.mean(Y4**2)) / 2
    assert cert.ray < 0 < cert.multiplier  # the ray would go on down
    assert cert.distance == pytest.approx(sets.W.radius, rel=1e-6)


def test_kkt_fails_for_conflicting_labels():
    """Two equal samples with different targets: no rank, and a loss that cannot vanish."""
    X, y = X4.at[1].set(X4[0]), Y4.at[0].set(1.0).at[1].set(-1.0)
    sets = nl.Product(W=nl.Ball(START.W, 0.5), v=nl.PairedCone(0.1, KAPPA))
    sol = nl.ProjectedGradient(sets, ray_scaling=True).run(
        START, X, y, max_steps=3000, tol=1e-9, throw=False
    )
    cert = nl.kkt_certificate(sol.params, X, y, sets)
    assert cert.loss >= 1 / 12 * (1 - 1e-9)  # (1² + 1²)/(2 n)
    assert cert.verdict == "inconclusive" and cert.guaranteed_radius == 0


# The bound for approximate KKT points holds wherever it is evaluated.


def random_points(per_neuron):
    """On and in the sphere, near the direction of descent and far from it, v small and large."""
    rng, least = np.random.default_rng(9), guaranteed(per_neuron)
    toward = -np.asarray(jax.grad(nl.loss)(START, X4, Y4).W)
    toward /= np.linalg.norm(toward, axis=1 if per_neuron else None, keepdims=True)
    for _ in range(100):
        radius = least * 10.0 ** rng.uniform(-2, 1.5)
        ball = nl.Ball(START.W, radius, per_neuron=per_neuron)
        sets = nl.Product(W=ball, v=nl.PairedCone(0.01, KAPPA))
        noise = rng.normal(size=(4, 8)) * 10.0 ** rng.uniform(-4, 0)
        move = rng.choice([0.5, 1.0, 3.0]) * radius * (toward + noise)
        u = 10.0 ** rng.uniform(-1, 3.5) * rng.uniform(1, 2, size=2)
        v = jnp.asarray(np.concatenate([u, -u]))
        yield sets.project(nl.Params(START.W + jnp.asarray(move), v)), sets, Y4


def points_of_runs(per_neuron):
    """On the way to a KKT point."""
    for share in (0.1, 0.3, 0.9):
        ball = nl.Ball(START.W, share * guaranteed(per_neuron), per_neuron=per_neuron)
        sets = nl.Product(W=ball, v=nl.PairedCone(0.01, KAPPA))
        solver = nl.ProjectedGradient(sets, ray_scaling=True)
        state = solver.init(START, X4, Y4)
        for step in range(200):
            state = solver.step(state, X4, Y4)
            if step % 10 == 0:
                yield state.params, sets, Y4


def worst_points(per_neuron):
    """Residuals along the weakest singular vector, with W pulled to the sphere by them."""
    for seed in range(10):
        ball = nl.Ball(START.W, 0.1 * guaranteed(per_neuron), per_neuron=per_neuron)
        sets = nl.Product(W=ball, v=nl.PairedCone(0.01, KAPPA))
        u = jax.random.uniform(jax.random.key(seed), (2,), minval=5.0, maxval=8.0)
        params = nl.Params(START.W, jnp.concatenate([u, -u]))
        weakest = jnp.linalg.svd(nl.jacobian(params, X4))[0][:, -1]
        params = sets.project(params._replace(W=START.W - nl.vjp(params, X4, weakest)))
        yield params, sets, nl.forward(params, X4) - 1e-3 * weakest


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("points", [random_points, points_of_runs, worst_points])
def test_the_approximate_bound_holds(points, per_neuron):
    on_sphere, sharpest = 0, 0.0
    for params, sets, y in points(per_neuron):
        cert = nl.kkt_certificate(params, X4, y, sets)
        assert cert.residual <= cert.residual_bound * (1 + 1e-9)
        sharpest = max(sharpest, cert.residual / cert.residual_bound)
        multiplier = np.asarray(cert.multiplier)
        if not np.any(multiplier > 0):
            continue
        assert cert.residual <= cert.stationarity_bound * (1 + 1e-9)
        on_sphere += cert.stationarity_bound < np.inf
    assert on_sphere >= 5
    if points is worst_points:
        assert sharpest > 0.9
