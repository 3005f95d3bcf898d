"""Proofs that a few neurons fit n digits with random labels exactly, up to all 1,797 of them.

Each proof is made by ball arithmetic, saved, and checked again in whole numbers by
`proof_verifier.py` in an interpreter of its own.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECORD = {
    "samples": [200, 400, 800, 1797],
    "width": {"1797": 72},  # elsewhere the width that nl.interpolate chooses
    "labels": 0,
    "network": 2,
}
SMALLER = {
    "seconds": {"samples": [50]},
    "minute": {"samples": [200, 400]},
}


def run(record):
    """One row for each number of samples."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import narrowlib as nl
    from narrowlib import proof_verifier

    rows = []
    for n in record["samples"]:
        data = nl.digits(n=n, labels="random", key=jax.random.key(record["labels"]))
        key, width = jax.random.key(record["network"]), record["width"].get(str(n))
        fit = nl.interpolate(data.X, data.y, key=key, width=width)
        plain = nl.existence_certificate(fit.params, data.X, data.y)
        start = time.perf_counter()
        proof = nl.existence_certificate(fit.params, data.X, data.y, rigorous=True)
        made = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            file = proof.save(Path(folder) / "proof")
            command = [sys.executable, "-I", proof_verifier.__file__, str(file)]
            again = subprocess.run(command, capture_output=True, text=True)
            size = file.stat().st_size
        names = ("neurons", "residual", "sigma_min", "lipschitz", "h", "radius", "shift", "slack")
        rows.append(
            {"n": n, "verdict": proof.verdict, "verified": again.returncode == 0}
            | {name: getattr(proof, name) for name in names}
            | {f"plain_{name}": getattr(plain, name) for name in ("residual", "h", "radius")}
            | {"bytes": size, "prove_seconds": round(made - start, 1)}
            | {"verify_seconds": round(time.perf_counter() - made, 1)}
        )
    return rows
