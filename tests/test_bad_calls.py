"""Every public function and class refuses what it can make nothing of, by name: one table.

A row has a call that is right, and for each argument the values that are wrong. Each of these must
end in a `ValueError` of three parts that begins with an argument; a public name without a row
fails. The same rows show that other forms of the right values are taken, and where a function runs.
"""

import dataclasses
import functools
import inspect
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from bad_inputs import COUNT, KEYS, NAN, NOTHING, POSITIVE, WORD, matrices, pairs, spoiled
from flax import linen, nnx
from strategies import problem

import narrowlib as nl
from narrowlib import _runs

# Values that are right: one small problem for all, so that little is compiled.

KEY = jax.random.key(3)
X, Y = problem(0, n=5, d=3)
P = nl.mirrored_lecun(jax.random.key(1), d=3, m=4)
LINE = jax.tree.map(lambda a: jnp.stack([a, a]), P)
AXIS = jnp.array([1.0, 2.0, -1.0, -2.0])
BALL, CONE, CIRCLE = nl.Ball(P.W, 1.0), nl.PairedCone(0.1, 4.0), nl.CircularCone(AXIS, 0.5, 0.1)
SETS = nl.Product(W=BALL, v=CONE)
STAYING = nl.Product(W=nl.Ball(P.W, 0.1), v=nl.Free())
SGD = optax.sgd(0.1)
GRADIENT, NEWTON = nl.ProjectedGradient(SETS), nl.ProjectedGaussNewton(SETS)


def net():
    return nl.OneHiddenLayer(P)


def wide():
    return nnx.Sequential(
        nnx.Linear(3, 4, rngs=nnx.Rngs(0)), jnp.tanh, nnx.Linear(4, 1, rngs=nnx.Rngs(1))
    )


def toy(key, rate, entry=None):
    return {"loss": rate, "error": 2 * rate}


# What takes a while is made when the first test asks for it.


@functools.cache
def cells():
    return nl.rank_sweep(KEY, n=[3, 4], d=3, m=2, draws=2)


@functools.cache
def certificate():
    return nl.existence_certificate(P, X, Y)


@functools.cache
def run():
    return nl.ConstrainedTrainer(SGD).fit(net(), X, Y, epochs=2, validation=(X, Y))


@functools.cache
def table():
    return nl.sweep(toy, seeds=[0], over={"rate": [0.1, 0.2]})


MADE = tempfile.TemporaryDirectory()  # for as long as the module is there


class Saved:
    """The path of a file that is saved when it is asked for."""

    def __init__(self, make):
        self.make = make

    @functools.cached_property
    def path(self):
        return os.fspath(self.make().save(Path(MADE.name) / self.make.__name__))

    def __fspath__(self):
        return self.path


def photos(name, shape):
    """A file of two images, as the data sets have them."""
    images = np.arange(2 * np.prod(shape), dtype=np.uint8).reshape(2, *shape)
    arrays = {"x_train": images, "x_test": images, "y_train": [0, 1], "y_test": [1, 0]}
    np.savez(Path(MADE.name) / name, **{k: np.asarray(a, np.uint8) for k, a in arrays.items()})
    return Path(MADE.name) / f"{name}.npz"


def method(make, name):
    """A method of something that is made when it is called."""
    return lambda **given: getattr(make(), name)(**given)


# Values that are wrong, by kind of argument; those of all kinds are in bad_inputs.py.


def without(values, *names):
    return {name: value for name, value in values.items() if name not in names}


AT_LEAST_0 = without(POSITIVE, "zero")
ANGLE = POSITIVE | {"a right angle": 1.6}
INDEX = without(COUNT, "zero", "huge") | {"beyond": 7}
COUNT_OR_NONE = without(COUNT, "nothing")
BOOL = {"nothing": None, "a word": "yes", "one": 1, "a float": 0.0, "a list": [True]}
CALLED = {"nothing": None, "a word": "tanh", "a number": 3.0, "an array": X}
SET = NOTHING | {"a radius": 1.0, "the class": nl.Ball, "both sets": SETS, "a function": jnp.tanh}
PAIR_OF_SETS = NOTHING | {
    "one set": BALL, "the class": nl.Product, "a pair": (BALL, CONE),
    "of another shape": nl.Product(W=nl.Ball(P.W[:, :2], 1.0), v=CONE),
    "swapped": nl.Product(W=CONE, v=BALL),
}  # fmt: skip
OPTIMISER = NOTHING | {"a rate": 0.1, "its maker": optax.sgd, "its class": optax.MultiSteps}
MODULE = NOTHING | {"a class": nnx.Linear, "a function": jnp.tanh, "Linen": linen.Dense(1)}
PATH = NOTHING | {"a number": 3, "empty": "", "bytes": b"a", "two": ["a", "b"]}
PATH = without(PATH, "a word")  # a name of a file
PAIR = pairs(P) | {"no axis": (P.W, 1.0), "one axis": (P.v, P.v), "words": ("W", "v")}
PAIR |= {"objects": (np.full(P.W.shape, None), P.v), "a matrix": P.W}
SAMPLES = matrices(X) | {"one input less": X[:, :2], "a set": {1.0}, "a function": jnp.tanh,
                         "single": X.astype("float32")}  # fmt: skip
VECTOR = {
    **NOTHING, "a number": 1.0, "short": Y[:2], "none": Y[:0], "complex": Y * 1j,
    "words": np.full(Y.shape, "1"), "objects": np.full(Y.shape, None), "ragged": [[1.0], [1, 2]],
    "three axes": Y[:, None, None],
}  # fmt: skip
MATRIX = matrices(P.W) | {"a part": P.W[:2], "a number": 1.0}
WEIGHTS = {
    **NOTHING, "a number": 1.0, "odd": P.v[:3], "none": P.v[:0], "complex": P.v * 1j,
    "words": np.full(4, "1"), "objects": np.full(4, None), "ragged": [[1.0], [1, 2]],
}  # fmt: skip
NOT_FINITE = without(spoiled(X), "1e+200")
CENTER = without(MATRIX, "a part", "one axis less", "one more", "a number")
CENTER |= without(spoiled(P.W), "1e+200")
START = NOTHING | {"complex": P.W * 1j, "words": np.full((4, 3), "1"), "nan": P.W * NAN}
SEVERAL = {"nothing": None, "a number": 3, "none": [], "halves": [0.5], "words": ["a"],
           "a word": "ab", "lists": [[1]], "true": [True], "huge": [10**40],
           "nothing in it": [None]}  # fmt: skip
MAPPING = {"nothing": None, "a number": 3, "a list": [1], "a word": "ab",
           "of a number": {"rate": 3}, "no names": {1: [1.0]}, "no values": {"rate": []},
           "objects": {"rate": [object()]},
           "a word for values": {"rate": "ab"}}  # fmt: skip
LOSSES = NOTHING | {"words": ["a", "b"], "a number": 3.0, "one less": [1.0, 2.0],
                    "complex": [1j] * 3, "lists": [[1.0], [2.0], [3.0]]}  # fmt: skip
NAN_WEIGHTS = {name: P._replace(W=W) for name, W in spoiled(P.W).items()}


@dataclasses.dataclass
class Row:
    """A call, its arguments, and what is wrong for each of them."""

    call: Any
    right: dict[str, Any]
    wrong: dict[str, dict[str, Any]]
    called: tuple[str, ...] = ()  # what messages call an argument besides its name

    def __call__(self, **changed):
        return self.call(**self.right | changed)


ROWS: dict[str, Row] = {}


def row(name, call, /, called=(), **arguments):
    """Enter a row: each argument with its right value and its wrong ones."""
    right = {argument: value for argument, (value, _) in arguments.items()}
    wrong = {argument: dict(bad) for argument, (_, bad) in arguments.items()}
    ROWS[name] = Row(call, right, wrong, tuple(called))


activation = ("tanh", WORD)
point = {"params": (P, PAIR), "X": (X, SAMPLES), "activation": activation}
problem_ = point | {"y": (Y, VECTOR | {"one column": Y[:, None]})}
NOT_FINITE_Y = without(spoiled(Y), "1e+200")
firm_X = (X, SAMPLES | NOT_FINITE)
firm = point | {"params": (P, PAIR | without(NAN_WEIGHTS, "1e+200")), "X": firm_X}
firm_problem = firm | {"y": (Y, VECTOR | NOT_FINITE_Y | {"one column": Y[:, None]})}
flag = (False, BOOL)
limits = {"max_steps": (3, COUNT), "tol": (1e-8, AT_LEAST_0), "throw": flag}

# fmt: off
# The network.
row("forward", nl.forward, **point)
row("gram", nl.gram, **point)
row("jacobian", nl.jacobian, **point)
row("jvp", nl.jvp, **point, delta=(P.W, MATRIX))
row("vjp", nl.vjp, **point, r=(Y, VECTOR))
row("loss", nl.loss, **problem_)
row("hessian", nl.hessian, **problem_)
row("hvp", nl.hvp, **problem_, direction=(P, PAIR))
row("hessian_extremes", nl.hessian_extremes, **firm_problem, k=(2, COUNT | {"too many": 99}))
row("half_mean_squared_error", nl.half_mean_squared_error, outputs=(Y, without(VECTOR, "a number")),
    y=(Y, without(VECTOR, "a number")))
row("OneHiddenLayer", nl.OneHiddenLayer, params=point["params"], activation=activation)
row("OneHiddenLayer.__call__", lambda X: net()(X), X=point["X"])
row("activations", nl.activations)
row("get_activation", nl.get_activation, activation=activation)
BOUND = {**AT_LEAST_0, "words": "inf"}
FUNCTION = CALLED | {"of text": len, "one number": jnp.sum, "text": lambda z: "z"}
row("Activation", nl.Activation, name=("wave", {"nothing": None, "a number": 3, "empty": ""}),
    fn=(jnp.sin, FUNCTION), derivative=(jnp.cos, FUNCTION),
    curvature=(1.0, BOUND | {"none at all": 0}),
    slope=(1.0, BOUND), jerk=(1.0, BOUND), analytic=(True, BOOL), polynomial=flag)
sizes = {"key": (KEY, KEYS), "d": (3, COUNT), "m": (4, COUNT | {"odd": 5}),
         "outputs": (2, COUNT_OR_NONE),
         "dtype": (float, {"a word": "seven", "whole": int, "complex": complex})}
row("mirrored_lecun", nl.mirrored_lecun, **sizes, scale=(1.0, POSITIVE))
row("lecun", nl.lecun, **sizes | {"m": (4, COUNT)})

# Sets.
row("Ball", nl.Ball, center=(P.W, CENTER), radius=(1.0, AT_LEAST_0), per_neuron=flag)
row("PairedCone", nl.PairedCone, zeta=(0.1, AT_LEAST_0), kappa=(2.0, POSITIVE | {"half": 0.5}))
row("CircularCone", nl.CircularCone, half_angle=(0.5, ANGLE), zeta=(0.1, AT_LEAST_0),
    axis=(AXIS, WEIGHTS | {"zero": 0 * AXIS, "no pairs": P.W[:, 0], "nan": AXIS * NAN}))
row("Pairs", nl.Pairs)
row("Free", nl.Free)
row("Fixed", nl.Fixed, value=(P.W, without(CENTER, "no rows", "1e+200")))
row("OfNeurons", nl.OfNeurons, constraint=(BALL, SET), axis=(-1, without(COUNT, "zero", "huge")),
    positions=(1, COUNT))
row("Product", nl.Product, W=(BALL, SET), v=(CONE, SET))
row("BallAroundStart", nl.BallAroundStart, radius=(1.0, AT_LEAST_0), per_neuron=flag,
    axis=(0, without(COUNT_OR_NONE, "zero", "huge")))
row("ConeAroundStart", nl.ConeAroundStart, half_angle=(0.5, ANGLE), zeta=(0.1, AT_LEAST_0),
    axis=(0, without(COUNT_OR_NONE, "zero", "huge")), positions=(1, COUNT))
row("BallAroundStart.__call__", nl.BallAroundStart(1.0, axis=0), start=(P.W, START),
    called=("center",))
row("ConeAroundStart.__call__", nl.ConeAroundStart(0.5, axis=0), start=(AXIS, START),
    called=("axis",))
for set_, x, bad in ((BALL, P.W, MATRIX), (CONE, AXIS, WEIGHTS), (CIRCLE, AXIS, WEIGHTS),
                     (nl.Pairs(), AXIS, WEIGHTS), (nl.Fixed(P.W), P.W, without(MATRIX, "one more")),
                     (nl.Free(), P.W, without(MATRIX, "a part", "a number", "no rows")),
                     (nl.OfNeurons(BALL, 0), P.W, MATRIX)):
    name = type(set_).__name__
    if name == "Free":
        bad = without(bad, "one axis less", "one more")
    both = {"x": (x, bad), "called": ("W", "v", "V", "center", "axis", "value", "direction")}
    row(f"{name}.project", set_.project, **both)
    row(f"{name}.violation", set_.violation, **both)
    row(f"{name}.tangent", set_.tangent, **both, direction=(x, bad))
    row(f"{name}.normal_cone_residual", set_.normal_cone_residual, **both, gradient=(x, bad))
row("Ball.multiplier", BALL.multiplier, x=(P.W, MATRIX), gradient=(P.W, MATRIX),
    called=("direction",))
blocks = ("center", "v")  # each block's set says what does not fit it
row("Product.project", SETS.project, params=(P, PAIR), called=blocks)
row("Product.violation", SETS.violation, params=(P, PAIR), called=blocks)
row("Product.normal_cone_residual", SETS.normal_cone_residual, params=(P, PAIR),
    gradient=(P, PAIR), called=(*blocks, "direction"))
row("project_ball", nl.project_ball, W=(P.W, MATRIX), center=(P.W, MATRIX),
    radius=(1.0, AT_LEAST_0), per_neuron=flag)
row("project_paired_cone", nl.project_paired_cone, v=(P.v, WEIGHTS), zeta=(0.1, AT_LEAST_0),
    kappa=(2.0, POSITIVE | {"half": 0.5}))
row("project_circular_cone", nl.project_circular_cone, V=(P.v, WEIGHTS), axis=(AXIS, WEIGHTS),
    half_angle=(0.5, ANGLE), zeta=(0.1, AT_LEAST_0))
row("projected", lambda **q: nl.projected(**q).init(P), optimizer=(SGD, OPTIMISER),
    constraint=(SETS, without(SET, "both sets")))

# Solvers.
row("Backtracking", nl.Backtracking, initial=(1.0, POSITIVE), decrease=(1e-4, POSITIVE),
    shrink=(0.5, POSITIVE | {"one": 1.0}), grow=(2.0, POSITIVE | {"half": 0.5}),
    max_trials=(60, COUNT))
STEP = without(POSITIVE, "two") | {"a class": nl.Backtracking}
ANY_SIZE = without(PAIR_OF_SETS, "of another shape", "swapped")  # before params are there
row("ProjectedGradient", nl.ProjectedGradient, constraint=(SETS, ANY_SIZE), step_size=(0.1, STEP),
    ray_scaling=flag)
row("ProjectedGaussNewton", nl.ProjectedGaussNewton, constraint=(SETS, ANY_SIZE),
    damping=(1e-3, POSITIVE), inner=("cholesky", WORD))


def begin(kind, constraint):
    return kind(constraint).init(P, X, Y)


def begin_and_step(solver, **given):
    return solver.step(solver.init(P, X, Y), **given)


for solver in (GRADIENT, NEWTON):
    name = type(solver).__name__
    row(f"{name}.init", solver.init, **firm_problem)
    row(f"{name}.step", functools.partial(begin_and_step, solver),
        **{k: problem_[k] for k in ("X", "y", "activation")})
    row(f"{name}.run", solver.run, **firm_problem, **limits)
    row(f"{name}, its sets", functools.partial(begin, type(solver)),
        constraint=(SETS, PAIR_OF_SETS), called=("W", "v", "center"))
row("levenberg_marquardt", nl.levenberg_marquardt, **firm_problem, **limits)
row("trust_region_newton", nl.trust_region_newton, **firm_problem, **limits)
row("interpolate", nl.interpolate, X=(X, without(firm_X[1], "one input less")),
    y=(Y, without(firm_problem["y"][1], "one column")), key=(KEY, KEYS),
    activation=activation, width=(4, COUNT_OR_NONE | {"odd": 5}),
    scale=(9.0, without(POSITIVE, "nothing")), allow_float32=flag,
    **limits | {"max_steps": (50, COUNT), "throw": (True, BOOL)})

# The landscape.
row("numerical_rank", nl.numerical_rank, **firm, method=("gram", WORD), allow_float32=flag)
row("rank_sweep", nl.rank_sweep, key=(KEY, KEYS), n=([3, 4], without(SEVERAL, "a number", "lists")),
    d=(3, COUNT), m=(2, without(SEVERAL, "a number", "lists")), draws=(2, COUNT),
    activation=activation, allow_float32=flag)
row("guaranteed_radius", nl.guaranteed_radius, **firm, allow_float32=flag,
    order=(1, COUNT | {"three": 3}))
row("least_on_sphere", nl.least_on_sphere, **firm, key=(KEY, KEYS), starts=(1, COUNT),
    steps=(1, COUNT), allow_float32=flag,
    radii=([0.1], NOTHING | {"none": [], "nan": [NAN], "zero": [0.0], "a number": 1.0}))
row("nearest_singular", nl.nearest_singular, **firm, key=(KEY, KEYS), starts=(1, COUNT))
row("stationary_point", nl.stationary_point, **firm_problem, within=(1e-6, POSITIVE),
    allow_float32=flag)
TWO = matrices(P.W[:2]) | {"one": P.W[:1], "a part": P.W[:2, :2]}
row("plane_of_a_pair", nl.plane_of_a_pair, X=point["X"], y=problem_["y"], activation=activation,
    delta=(P.W, without(MATRIX, "a part", "one axis less", "one more")),
    center=(P.W[2:], without(TWO, "nothing")), zeta=(0.1, AT_LEAST_0),
    u_max=(2.0, without(POSITIVE, "nothing", "none of them") | {"below zeta": 0.05}))
LISTS = {"nothing": None, "a number": 3, "words": "ab", "numbers": [1.0], "objects": [object()]}
row("slice_directions", nl.slice_directions, params=(P, PAIR | without(NAN_WEIGHTS, "1e+200")),
    given=([P.W], LISTS), count=(2, COUNT), key=(KEY, KEYS))
row("slice_grid", nl.slice_grid, **problem_,
    directions=([P.W], LISTS | {"none": [], "a part": [P.W[:2]], "nan": [P.W * NAN]}),
    coordinates=([jnp.ones(2)], LISTS | {"two": [jnp.ones(2)] * 2, "no points": [[]]}))
row("sigma_min_path", nl.sigma_min_path, X=firm_X, activation=activation, refresh=(2, COUNT),
    rtol=(1e-3, POSITIVE | {"one": 1.0}), allow_float32=flag,
    params=(LINE, pairs(LINE) | {"a point": P, "nan": LINE._replace(W=LINE.W * NAN)}))
row("RankSweep.share", method(cells, "share"), verdict=("full", WORD))
row("RankSweep.draw", lambda index: cells().draw(index, 0), index=(1, INDEX | {"huge": 10**40}))

# Certificates.
row("existence_certificate", nl.existence_certificate, **firm_problem, rigorous=flag,
    allow_float32=flag)
row("existence_certificate, a proof", functools.partial(nl.existence_certificate, rigorous=True),
    **firm_problem | {"activation": ("tanh", WORD | {"one without balls": "relu"})})
row("kkt_certificate", nl.kkt_certificate, **firm_problem, constraint=(SETS, PAIR_OF_SETS),
    target_loss=(1e-3, without(AT_LEAST_0, "nothing")), verifiable=(True, BOOL),
    allow_float32=flag, called=("W", "v", "center"))
row("load_certificate", nl.load_certificate,
    path=(Saved(certificate), PATH | {"absent": "nowhere.npz"}))
row("Certificate.save", method(certificate, "save"), path=("file", PATH))
row("KKTCertificate.save", lambda path: nl.kkt_certificate(P, X, Y, SETS).save(path),
    path=("file", PATH))

# Data.
row("gaussian", nl.gaussian, key=(KEY, KEYS), n=(4, COUNT), d=(3, COUNT))
row("teacher_student", nl.teacher_student, key=(KEY, KEYS), n=(4, COUNT), d=(3, COUNT),
    m=(2, COUNT), outputs=(2, COUNT_OR_NONE), activation=activation,
    noise=(0.1, AT_LEAST_0))
row("random_labels", nl.datasets.random_labels, key=(KEY, KEYS), n=(4, COUNT))
row("digits", nl.digits, n=(5, COUNT_OR_NONE), labels=("random", WORD), key=(KEY, KEYS),
    standardize=(True, BOOL))
FILE = without(PATH, "nothing") | {"absent": "nowhere.npz"}
for load, shape in ((nl.mnist, (28, 28)), (nl.cifar10, (32, 32, 3))):
    row(load.__name__, load, path=(photos(load.__name__, shape), FILE), n=(2, COUNT_OR_NONE),
        split=("test", WORD), labels=("random", WORD), key=(KEY, KEYS), standardize=(True, BOOL))
row("data_hash", lambda data: nl.data_hash(data),
    data=(X, {"an object": object(), "a function": jnp.tanh}), called=("arrays",))

# Training.
row("ConstrainedTrainer", nl.ConstrainedTrainer, optimizer=(SGD, OPTIMISER),
    constraints=({"W": BALL}, {"a number": 3, "a set": BALL, "a word": "W", "no names": {1: BALL},
                               "a radius": {"W": 1.0}, "the class": {"W": nl.Ball}}),
    loss=(nl.half_mean_squared_error, CALLED),
    metrics=({}, {"a number": 3, "a function": jnp.sum, "no names": {1: jnp.sum},
                  "no functions": {"error": 3.0}, "the loss": {"loss": nl.half_mean_squared_error},
                  "epochs": {"epoch": nl.half_mean_squared_error}}),
    batch_size=(2, COUNT_OR_NONE))


LABELS = without(VECTOR, "three axes")
samples = {"X": (X, without(SAMPLES, "single") | NOT_FINITE), "y": (Y, LABELS | NOT_FINITE_Y)}
row("ConstrainedTrainer.fit", nl.ConstrainedTrainer(SGD, batch_size=2).fit, module=(net(), MODULE),
    **samples, epochs=(2, COUNT), key=(KEY, KEYS),
    validation=((X, Y), {"a number": 3, "samples": X, "three": (X, Y, Y), "short": (X, Y[:2]),
                         "nothing in it": (None, Y), "nan": (X * NAN, Y)}),
    report_every=(1, COUNT_OR_NONE), patience=(2, COUNT_OR_NONE),
    callbacks=((), {"a word": "stop", "a number": 3, "words": ["stop"]}),
    progress=(False, without(BOOL, "nothing")), throw=(True, BOOL),
    checkpoints=(None, without(PATH, "nothing")),
    hyperparams=(None, {"a number": 3, "a rate": {"learning_rate": 0.1}}))
row("TrainingRun.predict", method(run, "predict"), X=samples["X"], best=(True, BOOL))
row("TrainingRun.evaluate", method(run, "evaluate"), **samples, best=(True, BOOL))
row("TrainingRun.score", method(run, "score"), **samples, best=(True, BOOL))
row("TrainingRun.plot", method(run, "plot"), ax=(None, without(NOTHING, "nothing")))
row("TrainingRun.save", method(run, "save"), path=("file", PATH))
row("load_run", nl.load_run, path=(Saved(run), PATH | {"absent": "nowhere"}),
    module=(net(), MODULE), trainer=(None, without(MODULE, "nothing")))
row("ConstrainedTrainer.sets", lambda module: nl.ConstrainedTrainer(SGD, {"W": BALL}).sets(module),
    module=(net(), MODULE))
row("ConstrainedTrainer.violation", nl.ConstrainedTrainer(SGD, {"W": BALL}).violation,
    module=(net(), MODULE), start=(net(), MODULE))
NAMED = {"nothing": None, "a number": 3, "empty": "", "unknown": "third", "two": ["a", "b"]}
row("mirrored", nl.mirrored, module=(wide(), MODULE), hidden=("layers.0", NAMED),
    output=("layers.2", NAMED), positions=(1, COUNT | {"too many": 5}))
row("trajectory", nl.trajectory, **firm_problem, optimizer=(SGD, OPTIMISER), num_steps=(3, COUNT),
    record_every=(1, COUNT), batch_size=(2, COUNT_OR_NONE | {"too large": 9}), key=(KEY, KEYS),
    trainable=(("W", "v"), {"nothing": None, "a number": 3, "none": (), "unknown": ("U",),
                            "numbers": (1,)}))

# Studies.
SEEDS = without(SEVERAL, "huge") | {"negative": [-1]}
row("sweep", nl.sweep, run=(toy, CALLED), seeds=([0, 1], SEEDS), chunk=(2, COUNT),
    over=({"rate": [0.1, 0.2]}, without(MAPPING, "nothing")),
    about=({}, {"a number": 3, "a word": "ab", "objects": {"a": object()}}))
row("race", nl.race, run=(toy, CALLED), tuning=([0], SEEDS), reporting=([1], SEEDS),
    entries=({"a": {"rate": [0.1]}}, {**{k: {"a": bad} for k, bad in MAPPING.items()},
                                      "nothing": None, "none": {}, "a list": [1]}),
    goal=("loss", NAMED), chunk=(2, COUNT), vectorize=(True, BOOL))
row("compare_runs", nl.compare_runs, a=([1.0, 2.0, 3.0], LOSSES), b=([1.0, 2.0, 3.0], LOSSES),
    factor=(2.0, POSITIVE | {"half": 0.5}))
row("experiment", nl.experiment, name=("kkt_points", NAMED))
row("saved_results", nl.saved_results, name=("kkt_points", NAMED))
row("Experiment.run", nl.Experiment("toy", "?", {"seconds": {}}, lambda record: [{"a": 1}]).run,
    scale=("seconds", WORD))
row("Table.where", lambda names: table().where(**names), called=("where",),
    names=({"rate": 0.1}, {"a typo": {"rat": 1}}))
row("Table.save", method(table, "save"), path=("file", PATH))
row("Table.__getitem__", lambda index: table()[index], called=("row", "column"),
    index=("loss", {"a typo": "los", "nothing": None}))
row("check", nl.check, number=("0.1.1", WORD | {"unknown": "9.9"}), answer=(1, {}))
row("frozen_pytree", nl.frozen_pytree)
row("claim", lambda names: nl.claim(names), names=("loss", PATH))
# fmt: on

# Public names without a row: the records that the library makes, and the base of all sets.
RECORDS = {
    "Certificate", "Constraint", "Dataset", "ExistenceCertificate", "ExistenceProof",
    "Experiment", "Extremes", "GaussNewtonState", "KKTCertificate", "NearestSingular",
    "NumericalRank", "PairPlane", "Params", "ProjectedGradientState", "RESULTS", "RankSweep",
    "SavedResults", "SigmaPath", "Slice", "Solution", "SolverError", "SphereMinimum",
    "StationaryPoint", "Sweep", "Table", "TrainingRun", "Trajectory",
}  # fmt: skip

# What the library asks of a set, and readers do not call.
ASKED_BY_THE_LIBRARY = {"as_ball", "at", "cross_section", "describe", "least_scale"}


def public():
    """The public names that are called, and of classes the methods that take arguments."""
    for name in sorted(nl.__all__):
        thing = getattr(nl, name)
        if callable(thing) and name not in RECORDS:
            yield name
        if name == "Constraint":
            continue  # its methods are tried on every set
        for method, function in vars(thing).items() if isinstance(thing, type) else ():
            if method.startswith("_") or method in ASKED_BY_THE_LIBRARY:
                continue
            if inspect.isfunction(function) and len(inspect.signature(function).parameters) > 1:
                yield f"{name}.{method}"


def test_everything_public_has_a_row():
    assert set(public()) - {name.partition(",")[0] for name in ROWS} == set()
    assert {name for name in RECORDS if not hasattr(nl, name)} == set()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def complaint(row, argument, value):
    """What is wrong with the end of a bad call; nothing if it is refused by name."""
    try:
        row(**{argument: value})
    except (ValueError, FileNotFoundError) as error:
        text, names = str(error), (*row.right, *row.called)
        begin = text.partition(": got ")[0]
        words = re.findall(r"\w+", begin)
        if re.fullmatch(r"[^\n]+: got .+\. .+\.", text, re.S) and set(words) & set(names):
            return None
        return f"in other words: {type(error).__name__}: {text[:150]}"
    except Exception as error:
        return f"raw {type(error).__name__}: {str(error)[:150]}"
    return "accepted"


@pytest.mark.parametrize("name", ROWS)
def test_what_is_wrong_is_refused_by_name(name):
    row = ROWS[name]
    row()
    complaints = {
        f"{argument}: {kind}": end
        for argument, values in row.wrong.items()
        for kind, value in values.items()
        if (end := complaint(row, argument, value)) is not None
    }
    assert complaints == {}


def test_a_complaint_is_made_where_a_refusal_is_not_by_name():
    """The control: a raw error, other words, another argument's name, and no error at all."""

    def made(error):
        def call(size):
            if error is not None:
                raise error

        return complaint(Row(call, {"size": 1}, {}), "size", 2)

    assert made(ValueError("size: got 2. Pass 1.")) is None
    assert made(FileNotFoundError("the size of it: got 2. Pass 1.")) is None
    assert made(None) == "accepted"
    assert made(TypeError("size: got 2. Pass 1.")).startswith("raw TypeError")
    for text in ("size is wrong", "size: got 2", "width: got 2. Pass 1.", "sizes: got 2. Pass 1."):
        assert made(ValueError(text)).startswith("in other words")


# The same values in other forms.


def another_form(value):
    """A value of the same meaning."""
    if isinstance(value, nl.Params):
        return tuple(np.asarray(a).tolist() for a in value)
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(value)
    if isinstance(value, jax.Array):
        return np.asarray(value).astype(">f8") if value.ndim == 2 else np.asarray(value).tolist()
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int16(value)
    if isinstance(value, float):
        return np.asarray(value)
    if isinstance(value, Path):
        return str(value)
    if value in (jnp.float64, float):
        return "float64"
    return value


def numbers(answer):
    """The numbers of an answer."""
    leaves = jax.tree.leaves(nnx.state(answer) if isinstance(answer, nnx.Module) else answer)
    return [np.asarray(a) for a in leaves if isinstance(a, float | int | np.ndarray | jax.Array)
            and not jnp.issubdtype(jnp.asarray(a).dtype, jax.dtypes.prng_key)]  # fmt: skip


@pytest.mark.parametrize("name", [n for n in ROWS if ROWS[n].right])
def test_what_is_clear_is_taken(name):
    row = ROWS[name]
    wanted = row()
    given = row(**{argument: another_form(value) for argument, value in row.right.items()})
    for a, b in zip(numbers(given), numbers(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


# Where functions run.

FUNCTIONS = [name for name in ROWS if inspect.isroutine(getattr(nl, name, None))]
FUNCTIONS.remove("frozen_pytree")  # a decorator of classes
DATA = {"params", "X", "y", "r", "delta", "direction", "outputs", "W", "v", "V", "key"}


def traceable(row):
    """The arrays among a row's arguments, and the call of them."""
    arrays = {
        name: value
        for name, value in row.right.items()
        if name in DATA and isinstance(value, jax.Array | nl.Params)
    }

    def call(arrays):
        return [a for a in jax.tree.leaves(row(**arrays)) if isinstance(a, jax.Array)]

    return arrays, call


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_runs_where_it_says(name):
    row, where = ROWS[name], getattr(nl, name).runs
    arrays, call = traceable(row)
    if not arrays:
        assert where in _runs.MEANING
        return
    if where == "host":
        with pytest.raises(ValueError, match=r"(\w+): got traced values\. Call \w+ outside of"):
            jax.eval_shape(call, arrays)
        return
    jax.eval_shape(call, arrays)
    floats = {k: v for k, v in arrays.items() if k != "key"}
    rest = {k: v for k, v in arrays.items() if k == "key"}
    if not floats:
        return
    slope = jax.grad(lambda floats: sum(jnp.sum(a) for a in call(floats | rest)
                                        if jnp.issubdtype(a.dtype, jnp.floating)))  # fmt: skip
    if where == "jit":
        with pytest.raises(ValueError, match=": got a derivative to take"):
            jax.eval_shape(slope, floats)
    else:
        jax.eval_shape(slope, floats)


# What is NaN stays NaN, in the functions that may be traced and so cannot look.

PURE = ("forward", "gram", "jacobian", "jvp", "vjp", "loss", "hessian", "hvp",
        "half_mean_squared_error", "project_ball", "project_paired_cone", "project_circular_cone",
        "Ball.project", "PairedCone.project", "CircularCone.project", "Pairs.project",
        "Product.project")  # fmt: skip


@pytest.mark.parametrize("name", PURE)
def test_what_is_nan_stays_nan_or_is_refused(name):
    row = ROWS[name]
    arrays = {k: v for k, v in row.right.items() if isinstance(v, jax.Array | nl.Params)}
    for argument, value in arrays.items():
        spoilt = jax.tree.map(lambda a: a.at[0].set(NAN), value)
        if complaint(row, argument, spoilt) is not None:
            assert any(np.isnan(a).any() for a in numbers(row(**{argument: spoilt}))), argument
    if "." not in name:
        assert "NaN" in inspect.getdoc(row.call), "the docstring says so"
