"""Constraint sets, their projections, and the optimiser that stays inside.

The names below are those that this package had when it was one file; all are in `narrowlib` too.
"""

from narrowlib.constraints.ball import Ball as Ball
from narrowlib.constraints.ball import project_ball as project_ball
from narrowlib.constraints.base import Constraint as Constraint
from narrowlib.constraints.base import Fixed as Fixed
from narrowlib.constraints.base import Free as Free
from narrowlib.constraints.base import Product as Product
from narrowlib.constraints.base import as_product as as_product
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
from narrowlib.constraints.theory import BetweenBalls as BetweenBalls
from narrowlib.constraints.theory import CrossSection as CrossSection
