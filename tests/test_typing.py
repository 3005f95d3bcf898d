"""The annotated shapes hold: other tests again, with every annotation of narrowlib checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOOK = "--jaxtyping-packages=narrowlib,beartype.beartype"


@pytest.mark.slow
def test_shapes_and_types_as_annotated():
    chosen = ["test_model.py", "test_initializers.py", "test_jacobian.py", "test_projections.py",
              "test_kkt.py", "test_result.py"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", HOOK, "-p", "no:cacheprovider",
         *(f"tests/{name}" for name in chosen), "-k", "not float32_stays_and and not slow_search"],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_a_wrong_shape_is_caught():
    """The hook is at work: a result of the wrong type does not pass."""
    code = (
        "from jaxtyping import install_import_hook\n"
        "with install_import_hook('narrowlib', 'beartype.beartype'):\n"
        "    import narrowlib as nl\n"
        "from jaxtyping import TypeCheckError\n"
        "import jax.numpy as jnp\n"
        "try:\n"
        "    nl.project_paired_cone(jnp.ones(4), zeta='0.1', kappa=2.0)\n"
        "except TypeCheckError:\n"
        "    print('caught')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "caught\n", done.stderr
