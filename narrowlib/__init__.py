"""Train narrow neural networks to zero loss, and certify it.

The library of the book *Fewer than n Neurons*, on networks with one hidden layer:
F(W, v) = σ(X Wᵀ) v, with n samples, d inputs, m neurons and one output or K.
"""

from narrowlib import datasets as datasets
from narrowlib.activations import Activation as Activation
from narrowlib.activations import activations as activations
from narrowlib.activations import get_activation as get_activation
from narrowlib.certificates import Certificate as Certificate
from narrowlib.certificates import load_certificate as load_certificate
from narrowlib.cones import CircularCone as CircularCone
from narrowlib.cones import PairedCone as PairedCone
from narrowlib.constraints import Ball as Ball
from narrowlib.constraints import Fixed as Fixed
from narrowlib.constraints import Free as Free
from narrowlib.constraints import Product as Product
from narrowlib.datasets import Dataset as Dataset
from narrowlib.datasets import cifar10 as cifar10
from narrowlib.datasets import digits as digits
from narrowlib.datasets import gaussian as gaussian
from narrowlib.datasets import mnist as mnist
from narrowlib.datasets import teacher_student as teacher_student
from narrowlib.exercises import check as check
from narrowlib.existence import ExistenceCertificate as ExistenceCertificate
from narrowlib.existence import existence_certificate as existence_certificate
from narrowlib.existence_proof import ExistenceProof as ExistenceProof
from narrowlib.gauss_newton import GaussNewtonState as GaussNewtonState
from narrowlib.gauss_newton import ProjectedGaussNewton as ProjectedGaussNewton
from narrowlib.hessian import Extremes as Extremes
from narrowlib.hessian import hessian as hessian
from narrowlib.hessian import hessian_extremes as hessian_extremes
from narrowlib.hessian import hvp as hvp
from narrowlib.initializers import lecun as lecun
from narrowlib.initializers import mirrored_lecun as mirrored_lecun
from narrowlib.interpolate import interpolate as interpolate
from narrowlib.jacobian import gram as gram
from narrowlib.jacobian import jacobian as jacobian
from narrowlib.jacobian import jvp as jvp
from narrowlib.jacobian import vjp as vjp
from narrowlib.kkt import KKTCertificate as KKTCertificate
from narrowlib.kkt import kkt_certificate as kkt_certificate
from narrowlib.levenberg_marquardt import levenberg_marquardt as levenberg_marquardt
from narrowlib.model import OneHiddenLayer as OneHiddenLayer
from narrowlib.model import Params as Params
from narrowlib.model import forward as forward
from narrowlib.model import loss as loss
from narrowlib.nearest_singular import NearestSingular as NearestSingular
from narrowlib.nearest_singular import nearest_singular as nearest_singular
from narrowlib.nice_region import SphereMinimum as SphereMinimum
from narrowlib.nice_region import guaranteed_radius as guaranteed_radius
from narrowlib.nice_region import least_on_sphere as least_on_sphere
from narrowlib.projected_gradient import ProjectedGradient as ProjectedGradient
from narrowlib.projected_optimizer import projected as projected
from narrowlib.projected_step import Evaluation as Evaluation
from narrowlib.projected_step import ProjectedGradientState as ProjectedGradientState
from narrowlib.projections import project_ball as project_ball
from narrowlib.projections import project_circular_cone as project_circular_cone
from narrowlib.projections import project_paired_cone as project_paired_cone
from narrowlib.rank import NumericalRank as NumericalRank
from narrowlib.rank import numerical_rank as numerical_rank
from narrowlib.rank_sweep import RankSweep as RankSweep
from narrowlib.rank_sweep import rank_sweep as rank_sweep
from narrowlib.result import RESULTS as RESULTS
from narrowlib.result import Solution as Solution
from narrowlib.result import SolverError as SolverError
from narrowlib.saved import SavedResults as SavedResults
from narrowlib.saved import saved_results as saved_results
from narrowlib.sigma_path import SigmaPath as SigmaPath
from narrowlib.sigma_path import sigma_min_path as sigma_min_path
from narrowlib.slices import Slice as Slice
from narrowlib.slices import slice_directions as slice_directions
from narrowlib.slices import slice_grid as slice_grid
from narrowlib.stationary import StationaryPoint as StationaryPoint
from narrowlib.stationary import stationary_point as stationary_point
from narrowlib.step_sizes import Backtracking as Backtracking
from narrowlib.trajectory import Trajectory as Trajectory
from narrowlib.trajectory import trajectory as trajectory
from narrowlib.trust_region import trust_region_newton as trust_region_newton

__version__ = "0.1.0"
