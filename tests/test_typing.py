"""The annotated shapes hold: other tests again, with every annotation of narrowlib checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
CHOSEN = (
    "network/test_model.py::test_forward_is_a_sum_over_neurons",
    "network/test_model.py::test_the_module_is_the_function",
    "network/test_starts.py::test_shapes_types_and_keys",
    "network/test_linearization.py::test_under_jit_and_vmap",
    "constraints/test_projections.py::test_paired_cone_by_hand",
    "landscape/test_rank_sweep.py::test_shapes_broadcast",
    "constraints/test_constraints.py::test_at_the_apex_the_tangent_cone_is_the_cone",
    "certificates/test_kkt_theory.py::test_the_radius_is_compared_strictly",
    "constraints/test_projected.py::test_plain_sgd_is_projected_gradient",
    "solvers/test_interpolate.py::test_the_start_is_kept_and_only_W_moves",
    "certificates/test_existence.py::test_the_verdict_turns_at_a_half",
    "certificates/test_kkt.py::test_not_stationary",
)


@pytest.mark.slow
def test_shapes_and_types_as_annotated():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "--jaxtyping-packages=narrowlib,typechecker.check",
         *(str(TESTS / name) for name in CHOSEN)],
        cwd=TESTS.parent, capture_output=True, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_the_check_is_at_work():
    code = """
from jaxtyping import TypeCheckError, install_import_hook
with install_import_hook("narrowlib", "typechecker.check"):
    import narrowlib as nl
import jax.numpy as jnp
for wrong in (
    lambda: nl.project_paired_cone(jnp.ones(4), zeta="0.1", kappa=2.0),
    lambda: nl.project_ball(jnp.ones((2, 3)), center=jnp.ones((3, 2)), radius=1.0),
):
    try:
        wrong()
    except TypeCheckError:
        print("caught")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=TESTS.parent,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert done.stdout == "caught\ncaught\n", done.stderr
