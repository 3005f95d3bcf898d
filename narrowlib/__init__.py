"""Train narrow neural networks to zero loss, and certify it.

The library of the book *Fewer than n Neurons*, on networks with one hidden layer:
F(W, v) = σ(X Wᵀ) v, with n samples, d inputs, m neurons and one output or K.
"""

import importlib as _importlib
import types as _types
import typing as _typing

from narrowlib import constraints as constraints
from narrowlib import datasets as datasets
from narrowlib.certificates.base import Certificate as Certificate
from narrowlib.certificates.base import load_certificate as load_certificate
from narrowlib.certificates.existence import ExistenceCertificate as ExistenceCertificate
from narrowlib.certificates.existence import existence_certificate as existence_certificate
from narrowlib.certificates.existence_proof import ExistenceProof as ExistenceProof
from narrowlib.certificates.kkt import KKTCertificate as KKTCertificate
from narrowlib.certificates.kkt import kkt_certificate as kkt_certificate
from narrowlib.claims import claim as claim
from narrowlib.constraints.ball import Ball as Ball
from narrowlib.constraints.ball import project_ball as project_ball
from narrowlib.constraints.base import Constraint as Constraint
from narrowlib.constraints.base import Fixed as Fixed
from narrowlib.constraints.base import Free as Free
from narrowlib.constraints.base import Product as Product
from narrowlib.constraints.circular import CircularCone as CircularCone
from narrowlib.constraints.circular import project_circular_cone as project_circular_cone
from narrowlib.constraints.kernels import BallAroundStart as BallAroundStart
from narrowlib.constraints.kernels import ConeAroundStart as ConeAroundStart
from narrowlib.constraints.kernels import OfNeurons as OfNeurons
from narrowlib.constraints.paired import PairedCone as PairedCone
from narrowlib.constraints.paired import Pairs as Pairs
from narrowlib.constraints.paired import project_paired_cone as project_paired_cone
from narrowlib.constraints.projected_optimizer import projected as projected
from narrowlib.constraints.pytrees import frozen_pytree as frozen_pytree
from narrowlib.datasets import Dataset as Dataset
from narrowlib.datasets import cifar10 as cifar10
from narrowlib.datasets import digits as digits
from narrowlib.datasets import gaussian as gaussian
from narrowlib.datasets import mnist as mnist
from narrowlib.datasets import teacher_student as teacher_student
from narrowlib.exercises import check as check
from narrowlib.landscape.least_on_sphere import SphereMinimum as SphereMinimum
from narrowlib.landscape.least_on_sphere import least_on_sphere as least_on_sphere
from narrowlib.landscape.nearest_singular import NearestSingular as NearestSingular
from narrowlib.landscape.nearest_singular import nearest_singular as nearest_singular
from narrowlib.landscape.nice_region import guaranteed_radius as guaranteed_radius
from narrowlib.landscape.plane_of_a_pair import PairPlane as PairPlane
from narrowlib.landscape.plane_of_a_pair import plane_of_a_pair as plane_of_a_pair
from narrowlib.landscape.rank import NumericalRank as NumericalRank
from narrowlib.landscape.rank import numerical_rank as numerical_rank
from narrowlib.landscape.rank_sweep import RankSweep as RankSweep
from narrowlib.landscape.rank_sweep import rank_sweep as rank_sweep
from narrowlib.landscape.sigma_path import SigmaPath as SigmaPath
from narrowlib.landscape.sigma_path import sigma_min_path as sigma_min_path
from narrowlib.landscape.slices import Slice as Slice
from narrowlib.landscape.slices import slice_directions as slice_directions
from narrowlib.landscape.slices import slice_grid as slice_grid
from narrowlib.landscape.stationary import StationaryPoint as StationaryPoint
from narrowlib.landscape.stationary import stationary_point as stationary_point
from narrowlib.network.activations import Activation as Activation
from narrowlib.network.activations import activations as activations
from narrowlib.network.activations import get_activation as get_activation
from narrowlib.network.hessian import Extremes as Extremes
from narrowlib.network.hessian import hessian as hessian
from narrowlib.network.hessian import hessian_extremes as hessian_extremes
from narrowlib.network.hessian import hvp as hvp
from narrowlib.network.jacobian import gram as gram
from narrowlib.network.jacobian import jacobian as jacobian
from narrowlib.network.jacobian import jvp as jvp
from narrowlib.network.jacobian import vjp as vjp
from narrowlib.network.model import OneHiddenLayer as OneHiddenLayer
from narrowlib.network.model import Params as Params
from narrowlib.network.model import forward as forward
from narrowlib.network.model import half_mean_squared_error as half_mean_squared_error
from narrowlib.network.model import loss as loss
from narrowlib.network.starts import lecun as lecun
from narrowlib.network.starts import mirrored_lecun as mirrored_lecun
from narrowlib.solvers.interpolate import interpolate as interpolate
from narrowlib.solvers.levenberg_marquardt import levenberg_marquardt as levenberg_marquardt
from narrowlib.solvers.projected_gauss_newton import GaussNewtonState as GaussNewtonState
from narrowlib.solvers.projected_gauss_newton import ProjectedGaussNewton as ProjectedGaussNewton
from narrowlib.solvers.projected_gradient import ProjectedGradient as ProjectedGradient
from narrowlib.solvers.projected_gradient import ProjectedGradientState as ProjectedGradientState
from narrowlib.solvers.result import RESULTS as RESULTS
from narrowlib.solvers.result import Solution as Solution
from narrowlib.solvers.result import SolverError as SolverError
from narrowlib.solvers.step_sizes import Backtracking as Backtracking
from narrowlib.solvers.trust_region import trust_region_newton as trust_region_newton
from narrowlib.study.experiments import Experiment as Experiment
from narrowlib.study.experiments import SavedResults as SavedResults
from narrowlib.study.experiments import experiment as experiment
from narrowlib.study.experiments import saved_results as saved_results
from narrowlib.study.race import compare_runs as compare_runs
from narrowlib.study.race import race as race
from narrowlib.study.sweep import Sweep as Sweep
from narrowlib.study.sweep import sweep as sweep
from narrowlib.study.tables import Table as Table
from narrowlib.training.fingerprints import data_hash as data_hash
from narrowlib.training.mirrored import mirrored as mirrored
from narrowlib.training.run import TrainingRun as TrainingRun
from narrowlib.training.run import load_run as load_run
from narrowlib.training.trainer import ConstrainedTrainer as ConstrainedTrainer
from narrowlib.training.trajectory import Trajectory as Trajectory
from narrowlib.training.trajectory import trajectory as trajectory

__version__ = "0.1.0"

# What is imported above is public, but for the packages that the imports leave behind.
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    name
    for name, value in sorted(globals().items())
    if not name.startswith("_") and not isinstance(value, _types.ModuleType)
]
__all__ += ["constraints", "datasets", "proof_verifier", "verifier"]
_DRAWING = ("plots", "sliders")  # public too, but a star takes no Matplotlib along

if _typing.TYPE_CHECKING:
    from narrowlib import plots as plots
    from narrowlib import proof_verifier as proof_verifier
    from narrowlib import sliders as sliders
    from narrowlib import verifier as verifier
else:

    def __getattr__(name):
        """Import a public module when it is used first."""
        if name in __all__ or name in _DRAWING:
            return _importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_DRAWING, "__version__"])
