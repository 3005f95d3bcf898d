"""Constraint sets, their projections, and the optimiser that stays inside."""

from narrowlib.constraints.base import Ball as Ball
from narrowlib.constraints.base import Constraint as Constraint
from narrowlib.constraints.base import Fixed as Fixed
from narrowlib.constraints.base import Free as Free
from narrowlib.constraints.base import Product as Product
from narrowlib.constraints.base import frozen_pytree as frozen_pytree
