"""Every static mistake names the argument, the value received, and the mend: one table."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib._checks import check_finite

KEY = jax.random.key(0)
X, Y = problem(0)
BAD_X, BAD_Y = X.at[2, 3].set(jnp.nan), Y.at[5].set(jnp.inf)
P = nl.mirrored_lecun(KEY, d=8, m=4)
LINE = jax.tree.map(lambda a: jnp.stack([a, a]), P)  # a path of two points
SINGLE = jax.tree.map(lambda a: a.astype(jnp.float32), P)
X32 = X.astype(jnp.float32)
BALL, CONE = nl.Ball(P.W, 1.0), nl.PairedCone(0.1, 2.0)
SET = nl.Product(W=BALL, v=CONE)
SOLVER = nl.ProjectedGradient(SET)
NET = nl.OneHiddenLayer(P)
TRAINER = nl.ConstrainedTrainer(optax.sgd(0.1))
BATCHES = nl.ConstrainedTrainer(optax.sgd(0.1), batch_size=20)


def case(call, *args, says, **kwargs):
    name = f"{getattr(call, '__qualname__', call)}: {says[0]} {says[1]}"
    return pytest.param(call, args, kwargs, says, id=name)


# each row: the call, its arguments, and what the message says of argument, value and mend
TABLE = [
    # model
    case(nl.forward, P, X[:, :5], says=("X", "shape (12, 5)", "reads d = 8 inputs")),
    case(nl.forward, P, X[0], says=("X", "shape (8,)", "Pass an array with 2 axes")),
    case(nl.forward, P, X[:0], says=("X", "shape (0, 8)", "at least one sample")),
    case(nl.forward, P, X32, says=("X", "dtype float32", "convert one")),
    case(nl.forward, SINGLE, X, says=("X", "dtype float64", "parameters are float32")),
    case(nl.forward, P, 1j * X, says=("X", "dtype complex128", "pass real ones")),
    case(nl.forward, P, X, activation="swish", says=("activation", "'swish'", "tanh, softplus")),
    case(nl.forward, P, X, activation=None, says=("activation", "None", "narrowlib.Activation")),
    case(nl.forward, P._replace(v=P.v[:3]), X, says=("params.v", "shape (3,)", "has 4 neurons")),
    case(nl.forward, P._replace(W=P.W[0]), X, says=("params.W", "shape (8,)", "2 axes")),
    case(
        nl.forward, P._replace(v=P.v.astype(jnp.float32)), X,
        says=("params.v", "dtype float32", "params.W is float64"),
    ),
    case(nl.loss, P, X, Y[:5], says=("y", "shape (5,)", "X has 12 samples")),
    case(nl.loss, P, X, Y[:, None], says=("y", "shape (12, 1)", "network gives (12,)")),
    case(nl.loss, P, X, 1j * Y, says=("y", "dtype complex128", "pass real ones")),
    case(nl.loss, P, X, Y[0], says=("y", "shape ()", "1 axis or 2 axes")),
    case(nl.OneHiddenLayer, P._replace(v=P.v[:3]), says=("params.v", "shape (3,)", "4 neurons")),
    case(nl.OneHiddenLayer, P, activation="x", says=("activation", "'x'", "Choose one of")),
    case(nl.get_activation, 3, says=("activation", "3", "Choose one of tanh")),
    # initializers
    case(nl.mirrored_lecun, KEY, d=3, m=5, says=("m", "5", "even number of neurons")),
    case(nl.mirrored_lecun, KEY, d=3, m=0, says=("m", "0", "at least 2")),
    case(nl.mirrored_lecun, KEY, d=0, m=4, says=("d", "0", "at least 1")),
    case(nl.mirrored_lecun, KEY, d=3, m=4, scale=0.0, says=("scale", "0", "above 0")),
    case(nl.mirrored_lecun, KEY, d=3, m=4, scale=np.nan, says=("scale", "nan", "finite")),
    case(nl.mirrored_lecun, KEY, d=3, m=4, outputs=0, says=("outputs", "0", "at least 1")),
    case(nl.lecun, KEY, d=2.5, m=4, says=("d", "2.5", "whole number")),
    case(nl.lecun, KEY, d=3, m=True, says=("m", "True", "whole number")),
    # jacobian
    case(nl.jvp, P, X, P.W.T, says=("delta", "shape (8, 4)", "params.W has shape (4, 8)")),
    case(nl.vjp, P, X, Y[:3], says=("r", "shape (3,)", "The outputs are (12,)")),
    case(nl.vjp, P, X, Y[:, None], says=("r", "shape (12, 1)", "1 axis")),
    case(nl.gram, P, X[:, :2], says=("X", "shape (12, 2)", "d = 8")),
    case(nl.jacobian, P, X32, says=("X", "dtype float32", "convert one")),
    # rank
    case(nl.numerical_rank, SINGLE, X32, says=("params", "dtype float32", "jax_enable_x64")),
    case(nl.numerical_rank, P, X, method="qr", says=("method", "'qr'", "'gram', 'svd'")),
    case(nl.numerical_rank, P, BAD_X, says=("X", "1 entries that are NaN", "Remove or fill")),
    case(nl.rank_sweep, KEY, n=0, d=3, m=4, says=("n", "0", "at least 1")),
    case(nl.rank_sweep, KEY, n=[4, 2.5], d=3, m=4, says=("n", "4.0", "whole number")),
    case(nl.rank_sweep, KEY, n=4, d=0, m=4, says=("d", "0", "at least 1")),
    case(nl.rank_sweep, KEY, n=4, d=3, m=[2, 5], says=("m", "5", "even number")),
    case(nl.rank_sweep, KEY, n=4, d=3, m=4, draws=0, says=("draws", "0", "at least 1")),
    case(nl.rank_sweep, KEY, n=[3, 4], d=3, m=[2, 4, 6],
         says=("n, m", "shapes (2,) and (3,)", "broadcast")),
    case(nl.rank_sweep, KEY, n=[], d=3, m=4, says=("n, m", "no cells", "at least one")),
    case(nl.levenberg_marquardt, P, X[:, :5], Y, says=("X", "(12, 5)", "pass X of shape (n, 8)")),
    case(nl.levenberg_marquardt, P, BAD_X, Y, says=("X", "1 entries that are NaN", "Remove")),
    case(nl.levenberg_marquardt, P, X, Y, max_steps=0, says=("max_steps", "0", "at least 1")),
    case(nl.levenberg_marquardt, P, X, Y, tol=-1, says=("tol", "-1", "at least 0")),
    # the landscape
    case(nl.hvp, P, X, Y, P._replace(W=P.W[:, :2]),
         says=("direction.W", "float64 of shape (4, 2)", "of shape (4, 8)")),
    case(nl.hvp, P, X, Y, SINGLE, says=("direction.W", "float32 of shape (4, 8)", "float64")),
    case(nl.hessian, P, X, Y[:5], says=("y", "shape (5,)", "X has 12 samples")),
    case(nl.hessian_extremes, P, X, Y, k=0, says=("k", "0", "at least 1")),
    case(nl.hessian_extremes, P, X, Y, k=19, says=("k", "19", "There are 36 parameters")),
    case(nl.stationary_point, SINGLE, X32, Y, says=("params", "dtype float32", "float64")),
    case(nl.stationary_point, P, X, BAD_Y, says=("y", "1 entries that are NaN", "Remove")),
    case(nl.stationary_point, P, X, Y, within=0.0, says=("within", "0", "above 0")),
    case(nl.trust_region_newton, P, BAD_X, Y, says=("X", "1 entries that are NaN", "Remove")),
    case(nl.trust_region_newton, P, X, Y, max_steps=0, says=("max_steps", "0", "at least 1")),
    case(nl.trust_region_newton, P, X, Y, tol=-0.1, says=("tol", "-0.1", "at least 0")),
    case(nl.sigma_min_path, P, X, says=("params.W", "shape (4, 8)", "3 axes")),
    case(nl.sigma_min_path, LINE._replace(v=LINE.v[:1]), X,
         says=("params", "v (1, 4)", "same time axis")),
    case(nl.sigma_min_path, LINE, X[:, :5], says=("X", "shape (12, 5)", "reads d = 8 inputs")),
    case(nl.sigma_min_path, LINE, BAD_X, says=("X", "1 entries", "Remove or fill")),
    case(nl.sigma_min_path, LINE, X, refresh=0, says=("refresh", "0", "at least 1")),
    case(nl.sigma_min_path, LINE, X, rtol=1.0, says=("rtol", "1", "below 1")),
    case(nl.sigma_min_path, jax.tree.map(lambda a: jnp.stack([a, a]), SINGLE), X32,
         says=("params", "dtype float32", "allow_float32=True")),
    case(nl.guaranteed_radius, P, X, order=3, says=("order", "3", "one of 1, 2")),
    case(nl.guaranteed_radius, SINGLE, X32, says=("params", "dtype float32", "float64")),
    case(nl.guaranteed_radius, P, BAD_X, says=("X", "1 entries", "Remove or fill")),
    case(nl.least_on_sphere, P, X, jnp.zeros(2), key=KEY, says=("radii", "0", "above 0")),
    case(nl.least_on_sphere, P, X, jnp.ones(2), key=KEY, starts=0,
         says=("starts", "0", "at least 1")),
    case(nl.nearest_singular, SINGLE, X32, key=KEY,
         says=("params", "dtype float32", "float64")),
    case(nl.nearest_singular, P, BAD_X, key=KEY, says=("X", "1 entries", "Remove or fill")),
    case(nl.nearest_singular, P, X[:, :5], key=KEY,
         says=("X", "shape (12, 5)", "reads d = 8 inputs")),
    case(nl.nearest_singular, P, X, key=KEY, starts=0, says=("starts", "0", "at least 1")),
    case(nl.nearest_singular, P, X, key=KEY, activation="relu",
         says=("activation", "'relu'", "choose a smooth one")),
    case(jax.jit(lambda X: nl.nearest_singular(P, X, key=KEY).radius), X,
         says=("X", "traced values", "outside of jit")),
    case(nl.slice_directions, P, count=4, key=KEY, says=("count", "4", "1, 2 or 3")),
    case(nl.slice_directions, P, [P.W, P.W], key=KEY, says=("given", "dependent", "Leave out")),
    case(nl.slice_directions, P, [X], key=KEY, says=("given", "shape (12, 8)", "(4, 8)")),
    case(nl.slice_grid, P, X, Y[:3], [P.W], [jnp.ones(2)], says=("y", "shape (3,)", "12 samples")),
    case(nl.trajectory, P, X, Y, optax.sgd(0.1), num_steps=5, record_every=2,
         says=("num_steps", "5", "multiple of record_every")),
    case(nl.trajectory, P, X, Y, optax.sgd(0.1), num_steps=5, batch_size=13, key=KEY,
         says=("batch_size", "13", "There are 12 samples")),
    case(nl.trajectory, P, X, Y, optax.sgd(0.1), num_steps=5, batch_size=4,
         says=("key", "None", "pass a JAX random key")),
    case(nl.trajectory, P, X, Y, 0.1, num_steps=5, says=("optimizer", "0.1", "optax.sgd(0.1)")),
    case(nl.trajectory, P, X, Y, optax.sgd(0.1), num_steps=5, trainable=("U",),
         says=("trainable", "('U',)", '("W",)')),
    # projections and sets
    case(nl.project_ball, P.W, center=P.W[:2], radius=1.0, says=("center", "(2, 8)", "(4, 8)")),
    case(nl.project_ball, P.W, center=P.W, radius=-1.0, says=("radius", "-1", "at least 0")),
    case(nl.project_ball, P.W, center=P.W, radius=np.inf, says=("radius", "inf", "finite")),
    case(nl.project_paired_cone, X[0, :5], zeta=0.1, kappa=2,
         says=("length of v", "5", "even number")),
    case(nl.project_paired_cone, P.v, zeta=-0.1, kappa=2, says=("zeta", "-0.1", "at least 0")),
    case(nl.project_paired_cone, P.v, zeta=0.1, kappa=0.5, says=("kappa", "0.5", "at least 1")),
    case(nl.project_paired_cone, P.W, zeta=0.1, kappa=2, says=("v", "shape (4, 8)", "1 axis")),
    case(nl.project_circular_cone, P.v, axis=P.v[:2], half_angle=1.0,
         says=("axis", "shape (2,)", "V has shape (4,)")),
    case(nl.project_circular_cone, P.v, axis=P.v, half_angle=2.0,
         says=("half_angle", "2", "below 1.5708")),
    case(nl.project_circular_cone, P.v, axis=P.v, half_angle=0.0,
         says=("half_angle", "0", "above 0")),
    case(nl.project_circular_cone, P.v, axis=P.v, half_angle=1.0, zeta=-1.0,
         says=("zeta", "-1", "at least 0")),
    case(nl.project_circular_cone, P.v, axis=jnp.ones(4), half_angle=1.0,
         says=("axis's paired part", "0", "above 0")),
    case(nl.Ball, P.W, -0.5, says=("radius", "-0.5", "at least 0")),
    case(nl.Ball, P.W, np.nan, says=("radius", "nan", "finite")),
    case(nl.Ball, BAD_X, 1.0, says=("center", "NaN or infinite", "finite center")),
    case(nl.PairedCone, zeta=-1, kappa=2, says=("zeta", "-1", "at least 0")),
    case(nl.PairedCone, zeta=1, kappa=0.99, says=("kappa", "0.99", "at least 1")),
    case(nl.CircularCone, P.v, half_angle=1.6, says=("half_angle", "1.6", "below 1.5708")),
    case(nl.CircularCone, P.v, 0.5, zeta=-2, says=("zeta", "-2", "at least 0")),
    case(nl.CircularCone, jnp.ones(4), 0.5, says=("axis", "not (A; −A)", "mirrored start's v")),
    case(nl.CircularCone, jnp.ones(3), 0.5, says=("rows of the axis", "3", "even number")),
    case(nl.Pairs().project, jnp.ones(3), says=("rows of v", "3", "even number")),
    case(nl.Product, W=BALL, v=None, says=("v", "None", "Free()")),
    case(nl.Product, W=0.5, v=CONE, says=("W", "0.5", "Ball, PairedCone")),
    # solvers
    case(nl.ProjectedGradient, SET, 0.0, says=("step_size", "0", "above 0")),
    case(nl.ProjectedGradient, SET, -1, says=("step_size", "-1", "above 0")),
    case(nl.ProjectedGradient, BALL, says=("constraint", "Ball", "narrowlib.Product")),
    case(nl.ProjectedGradient, SET, "auto", says=("step_size", "'auto'", "Backtracking()")),
    case(nl.ProjectedGradient, SET, None, says=("step_size", "None", "a schedule")),
    case(nl.ProjectedGradient, nl.Product(W=BALL, v=nl.Fixed(P.v)), ray_scaling=True,
         says=("ray_scaling", "Fixed", "ray_scaling=False")),
    case(nl.ProjectedGaussNewton, BALL, says=("constraint", "Ball", "narrowlib.Product")),
    case(nl.ProjectedGaussNewton, nl.Product(W=nl.Fixed(P.W), v=CONE),
         says=("constraint.W", "Fixed", "Free()")),
    case(nl.ProjectedGaussNewton, nl.Product(W=nl.Ball(P.W, 1.0, per_neuron=True), v=CONE),
         says=("constraint.W", "a ball per neuron", "ProjectedGradient")),
    case(nl.ProjectedGaussNewton, nl.Product(W=nl.Ball(P.W, 0.0), v=CONE),
         says=("constraint.W.radius", "0", "above 0")),
    case(nl.ProjectedGaussNewton, nl.Product(W=BALL, v=BALL),
         says=("constraint.v", "Ball", "holds rays")),
    case(nl.ProjectedGaussNewton, SET, damping=0.0, says=("damping", "0", "above 0")),
    case(nl.ProjectedGaussNewton, SET, inner="lu", says=("inner", "'lu'", "cholesky")),
    case(nl.ProjectedGaussNewton(SET).run, P, X, Y, tol=-1.0, says=("tol", "-1", "at least 0")),
    case(nl.ProjectedGaussNewton(SET).run, P, X, Y, max_steps=0,
         says=("max_steps", "0", "at least 1")),
    case(nl.ProjectedGaussNewton(SET).init, P, BAD_X, Y,
         says=("X", "1 entries that are NaN", "Remove or fill")),
    case(nl.Backtracking, initial=0, says=("initial", "0", "above 0")),
    case(nl.Backtracking, shrink=1.0, says=("shrink", "1", "below 1")),
    case(nl.Backtracking, grow=0.5, says=("grow", "0.5", "at least 1")),
    case(nl.Backtracking, decrease=0.0, says=("decrease", "0", "above 0")),
    case(nl.Backtracking, max_trials=0, says=("max_trials", "0", "at least 1")),
    case(SOLVER.run, P, X, Y, max_steps=0, says=("max_steps", "0", "at least 1")),
    case(SOLVER.run, P, X, Y, tol=-1.0, says=("tol", "-1", "at least 0")),
    case(SOLVER.run, P, BAD_X, Y, says=("X", "1 entries that are NaN", "Remove or fill")),
    case(SOLVER.run, P, X, BAD_Y, says=("y", "1 entries that are NaN", "Remove or fill")),
    case(SOLVER.init, P._replace(v=P.v * np.nan), X, Y, says=("params.v", "4 entries", "Remove")),
    case(SOLVER.init, P, X, Y[:3], says=("y", "shape (3,)", "as many targets")),
    case(nl.projected, optax.sgd(0.1), "ball", says=("constraint", "'ball'", "Pass a Product")),
    case(nl.projected(optax.sgd(0.1), SET).update, P, None,
         says=("params", "None", "update(gradients, state, params)")),
    # interpolation
    case(nl.interpolate, X, Y[:2], key=KEY, says=("y", "shape (2,)", "12 samples")),
    case(nl.interpolate, X32, Y, key=KEY, says=("X", "dtype float32", "allow_float32=True")),
    case(nl.interpolate, BAD_X, Y, key=KEY, says=("X", "1 entries", "Remove or fill")),
    case(nl.interpolate, X, BAD_Y, key=KEY, says=("y", "1 entries", "Remove or fill")),
    case(nl.interpolate, X[:0], Y[:0], key=KEY, says=("X", "shape (0, 8)", "at least one")),
    case(nl.interpolate, X, Y, says=("key", "None", "a JAX random key")),
    case(nl.interpolate, X, Y, state=P, says=("state", "Params", "MinimumNormState")),
    case(nl.interpolate, X, Y, key=KEY, width=5, says=("width", "5", "even number")),
    case(nl.interpolate, X, Y, key=KEY, scale=-1.0, says=("scale", "-1", "above 0")),
    case(nl.interpolate, X, Y, key=KEY, tol=-1e-9, says=("tol", "-1e-09", "at least 0")),
    case(nl.interpolate, X, Y, key=KEY, max_steps=0, says=("max_steps", "0", "at least 1")),
    case(nl.interpolate, X.at[3].set(X[1]), Y, key=KEY,
         says=("y", "at sample 1", "No function fits both")),
    case(nl.interpolate, jnp.zeros((2, 3)).at[1].set(-0.0), Y[:2], key=KEY,
         says=("y", "at sample 1, whose rows of X are equal", "drop one")),
    # certificates
    case(nl.existence_certificate, SINGLE, X32, Y, says=("params", "dtype float32", "float64")),
    case(nl.existence_certificate, P, BAD_X, Y, says=("X", "1 entries", "Remove or fill")),
    case(
        nl.existence_certificate, P, X, Y, rigorous=True, activation="relu",
        says=("activation", "'relu'", "Ball arithmetic knows tanh"),
    ),
    case(nl.kkt_certificate, SINGLE, X32, Y, SET, says=("params", "dtype float32", "float64")),
    case(nl.kkt_certificate, P, X, BAD_Y, SET, says=("y", "1 entries", "Remove or fill")),
    case(nl.kkt_certificate, P, X, Y, BALL, says=("constraint", "Ball", "narrowlib.Product")),
    case(nl.kkt_certificate, P, X, Y, SET, target_loss=-1.0,
         says=("target_loss", "-1", "at least 0")),
    # data
    case(nl.gaussian, KEY, n=0, d=3, says=("n", "0", "at least 1")),
    case(nl.gaussian, KEY, n=3, d=0, says=("d", "0", "at least 1")),
    case(nl.teacher_student, KEY, n=3, d=2, m=0, says=("m", "0", "at least 1")),
    case(nl.teacher_student, KEY, n=3, d=2, m=2, noise=-1.0, says=("noise", "-1", "at least 0")),
    case(nl.teacher_student, KEY, n=3, d=2, m=2, activation="x",
         says=("activation", "'x'", "Choose one of")),
    case(nl.datasets.random_labels, KEY, 0, says=("n", "0", "at least 1")),
    case(nl.digits, n=0, says=("n", "0", "at least 1")),
    case(nl.digits, n=1798, says=("n", "1798", "There are 1797 images")),
    case(nl.digits, labels="onehot", says=("labels", "'onehot'", "'random', 'one_hot'")),
    case(nl.digits, labels="random", says=("key", "None", "pass key=jax.random.key(0)")),
    case(nl.mnist, split="valid", says=("split", "'valid'", "'train', 'test'")),
    case(nl.cifar10, split="valid", says=("split", "'valid'", "'train', 'test'")),
    # saved results
    case(nl.saved_results, "none", says=("name", "'none'", "There are saved results of")),
    # training
    case(nl.OfNeurons, 3.0, says=("constraint", "3.0", "such as Ball")),
    case(nl.OfNeurons, BALL, positions=0, says=("positions", "0", "at least 1")),
    case(nl.BallAroundStart, -1.0, says=("radius", "-1", "at least 0")),
    case(nl.ConeAroundStart, 2.0, says=("half_angle", "2", "below 1.5708")),
    case(nl.ConeAroundStart, 0.1, zeta=-1.0, says=("zeta", "-1", "at least 0")),
    case(nl.mirrored, NET, hidden="W", output="v", says=("hidden", "'W.kernel'", "are W, v")),
    case(nl.half_mean_squared_error, Y[:, None], Y, says=("y", "(12,)", "gives (12, 1)")),
    case(nl.ConstrainedTrainer, 0.1, says=("optimizer", "0.1", "optax.sgd(0.1)")),
    case(nl.ConstrainedTrainer, optax.sgd(0.1), {"W": 3.0},
         says=("constraints['W']", "3.0", "Pass a constraint or a rule")),
    case(nl.ConstrainedTrainer, optax.sgd(0.1), batch_size=0, says=("batch_size", "0", "1")),
    case(nl.ConstrainedTrainer(optax.sgd(0.1), {"w": BALL}).fit, NET, X, Y, epochs=1,
         says=("constraints", "'w'", "parameters are W, v")),
    case(nl.ConstrainedTrainer(optax.sgd(0.1), {"W": lambda W: W}).fit, NET, X, Y, epochs=1,
         says=("constraints['W']", "an array of float64", "return a constraint")),
    case(nl.load_run, "run.npz", 3, says=("module", "int", "Flax NNX module")),
    case(TRAINER.fit, NET, X, Y[:5], epochs=1, says=("y", "shape (5,)", "There are 12 samples")),
    case(TRAINER.fit, NET, X, Y, epochs=0, says=("epochs", "0", "at least 1")),
    case(TRAINER.fit, NET, BAD_X, Y, epochs=1, says=("X", "1 entries that are NaN", "Remove")),
    case(TRAINER.fit, NET, X, Y, epochs=1, report_every=0, says=("report_every", "0", "1")),
    case(TRAINER.fit, NET, X, Y, epochs=1, validation=(X, Y[:3]),
         says=("validation", "shape (3,)", "There are 12 samples")),
    case(BATCHES.fit, NET, X, Y, epochs=1, key=KEY, says=("batch_size", "20", "at most 12")),
    case(nl.ConstrainedTrainer(optax.sgd(0.1), batch_size=4).fit, NET, X, Y, epochs=1,
         says=("key", "None", "pass a JAX random key")),
    case(nl.sweep, len, seeds=[], says=("seeds", "nothing", "at least one")),
    case(nl.race, len, {}, tuning=[0], reporting=[1], says=("entries", "nothing", "at least one")),
    case(nl.race, len, {"A": {"x": []}}, tuning=[0], reporting=[1],
         says=("entries['A']['x']", "nothing", "at least one")),
    case(nl.race, len, {"A": {"x": [1]}}, tuning=[0, 1], reporting=[1, 2],
         says=("reporting", "[1]", "have not chosen")),
    case(nl.race, len, {"A": {"x": [1]}}, tuning=[0], reporting=[1], static={"x": [2]},
         says=("entries['A']", "['x']", "one place")),
    case(nl.race, lambda key, entry: {"loss": 1.0}, {"A": {}}, tuning=[0], reporting=[1],
         goal="error", vectorize=False, says=("goal", "'error'", "loss")),
    case(nl.compare_runs, [1.0], [1.0, 2.0], says=("b", "2 losses", "There are 1")),
    case(nl.compare_runs, [1.0], [2.0], 0.5, says=("factor", "0.5", "at least 1")),
    case(nl.experiment, "rave", says=("name", "'rave'", "kkt_points")),
]  # fmt: skip


@pytest.mark.parametrize("call, args, kwargs, says", TABLE)
def test_static_mistakes(call, args, kwargs, says):
    with pytest.raises(ValueError) as caught:
        call(*args, **kwargs)
    argument, value, mend = says
    message = str(caught.value)
    before, after = message.split(": got ", 1)
    assert argument in before
    assert value in after and mend in after
    assert message.endswith(".")


def test_one_sample_has_one_axis_too_few_but_traced_values_pass():
    """Checks of values look at numbers only: under jit the same calls go through."""
    traced = jax.jit(lambda r: nl.project_ball(P.W, center=P.W, radius=r))(-1.0)
    assert traced.shape == P.W.shape
    assert jax.jit(lambda x: SOLVER.init(P, x, Y).loss)(BAD_X).shape == ()


def test_entries_whose_sum_overflows_are_finite():
    large = np.array([3e38, 3e38, -1.0], np.float32)
    check_finite("X", large)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="X: got 2 entries that are NaN or infinite"):
            check_finite("X", np.append(large, [np.float32(bad), np.float32(-bad)]))


def test_files_that_are_no_certificates(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.ones(2))
    with pytest.raises(ValueError, match=r"path: got '.*other.npz'\. That archive holds no cert"):
        nl.load_certificate(tmp_path / "other.npz")
    np.savez(tmp_path / "later.npz", header=np.array('{"kind": "kkt", "format": 9, "claims": {}}'))
    with pytest.raises(ValueError, match=r"path: got .*, of kind 'kkt', format 9\. This narrow"):
        nl.load_certificate(tmp_path / "later.npz")
    with pytest.raises(FileNotFoundError):
        nl.load_certificate(tmp_path / "none.npz")


@pytest.mark.parametrize("load", [nl.load_certificate, nl.mnist])
@pytest.mark.parametrize("kind", ["empty", "text", "damaged", "one array"])
def test_damaged_archives(load, kind, tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.ones(999))
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"hello", "damaged": whole[:200]}.get(kind, whole))
    if kind == "one array":
        with path.open("wb") as stream:
            np.save(stream, np.ones(3))
    with pytest.raises(
        ValueError, match=r"path: got '.*mnist.npz'\. That file is no NumPy archive"
    ):
        load(path)
