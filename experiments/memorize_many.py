"""Random labels on 10,000, 20,000 and 50,000 photographs, fitted exactly, each with a certificate.

One neuron for a thousand photographs of CIFAR-10. They are different photographs, decoded from
JPEG; of the 50,000, 10,000 lie in `cifar10.npz` and 40,000 in `cifar10_more.npz`, unless the first
file is the original, which holds them all. Each row is a process of its own, so that its peak of
memory is its own too. The largest takes half an hour on two quiet cores, and 13 GiB.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

RECORD = {
    "activation": "tanh",
    "labels": "random, +1 or -1",
    "label_seed": 0,
    "network_key": 100,
    "data": "cifar10",
    "sizes": [{"n": 10_000, "m": 10}, {"n": 20_000, "m": 20}, {"n": 50_000, "m": 50}],
}
SMALLER = {
    "seconds": {"data": "digits", "sizes": [{"n": 300, "m": 16}]},
    "minute": {"sizes": [{"n": 4000, "m": 4}]},
}


def memory(field: str) -> float:
    """A field of the kernel's account of this process, in GiB; 0 where there is none (Linux)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(x.split()[1]) / 2**20 for x in lines if x.startswith(field)), 0.0)


def row(data: str, n: int, m: int, seed: int, key: int, activation: str) -> dict:
    """One fit and its certificate, measured."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import numpy as np

    import narrowlib as nl

    load = {"cifar10": nl.cifar10, "digits": nl.digits}[data]
    photos = load(n=n, labels="random", key=jax.random.key(seed))
    X, y = photos.X, photos.y
    different = len({hashlib.sha256(image).digest() for image in photos.images})
    del photos
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, load_average = memory("VmRSS"), os.getloadavg()[0]
    begin, cpu = time.perf_counter(), time.process_time()
    run = nl.interpolate(X, y, activation=activation, key=jax.random.key(key), width=m, throw=False)
    loss = float(run.stats["loss"])
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    peak, begin = memory("VmHWM"), time.perf_counter()
    params, stats, name = run.params, run.stats, run.result.name
    del run
    proof = nl.existence_certificate(params, X, y, activation=activation)
    numbers = ("residual", "floor", "scale", "distance", "largest_move")
    counts = ("num_steps", "factorizations", "cg_steps", "bytes")
    return {
        "data": data,
        "n": n,
        "different": different,
        "d": X.shape[1],
        "seed": seed,
        "m": m,
        "result": name,
        "loss": loss,
        **{name: float(stats[name]) for name in numbers},
        **{name: int(stats[name]) for name in counts},
        "weights": int(np.size(params.W)),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "load_before": round(load_average, 1),
        "data_gib": round(before, 2),
        "peak_gib": round(peak, 2),
        "verdict": proof.verdict,
        "h": proof.h if proof.verdict == "exists" else None,
        "radius": proof.radius if proof.verdict == "exists" else None,
        "sigma_min": proof.sigma_min,
        "certificate_residual": proof.residual,
        "certificate_seconds": round(time.perf_counter() - begin, 1),
        "certificate_peak_gib": round(memory("VmHWM"), 2),
    }


def in_a_process(**asked) -> dict:
    """`row`, in a fresh process."""
    command = [sys.executable, __file__, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{asked} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run(record: dict) -> list[dict]:
    """A row for each size."""
    common = {
        "data": record["data"],
        "seed": record["label_seed"],
        "key": record["network_key"],
        "activation": record["activation"],
    }
    return [in_a_process(**size, **common) for size in record["sizes"]]


if __name__ == "__main__":
    print(json.dumps(row(**json.loads(sys.argv[1]))))
