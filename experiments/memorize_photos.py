"""Random labels on up to 10,000 photographs, fitted to rounding by a handful of neurons.

Each row is a process of its own, so that its peak of memory is its own too. The width is the
smallest with full rank that `interpolate` finds from 2⌈n/d⌉ on, and that with a few neurons more.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

RECORD = {
    "activation": "tanh",
    "labels": "random, +1 or -1",
    "network_key": 100,
    "extra_neurons": [0, 4],
    "sizes": [
        {"n": 1000, "label_seeds": [0, 1, 2]},
        {"n": 2000, "label_seeds": [0, 1, 2]},
        {"n": 5000, "label_seeds": [0]},
        {"n": 10_000, "label_seeds": [0]},
    ],
    "largest_n_with_extra_neurons": 1000,
    "data": ["mnist", "cifar10"],
}
SMALLER = {
    "seconds": {
        "sizes": [{"n": 200, "label_seeds": [0]}],
        "extra_neurons": [0],
        "data": ["digits"],
    },
    "minute": {"sizes": [{"n": 1000, "label_seeds": [0]}]},
}


def row(data: str, n: int, seed: int, width: int | None, key: int, activation: str) -> dict:
    """One fit, measured."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import narrowlib as nl

    load = {"mnist": nl.mnist, "cifar10": nl.cifar10, "digits": nl.digits}[data]
    photos = load(n=n, labels="random", key=jax.random.key(seed))
    begin = time.perf_counter()
    run = nl.interpolate(
        photos.X,
        photos.y,
        activation=activation,
        key=jax.random.key(key + seed),
        width=width,
        throw=False,
    )
    loss = float(run.stats["loss"])
    seconds = time.perf_counter() - begin
    numbers = ("residual", "floor", "scale", "distance", "largest_move")
    return {
        "data": data,
        "n": n,
        "d": photos.X.shape[1],
        "seed": seed,
        "least": 2 * -(-n // photos.X.shape[1]),
        "m": int(run.stats["width"]),
        "width_found": width is None,
        "result": run.result.name,
        "loss": loss,
        "steps": int(run.stats["num_steps"]),
        **{name: float(run.stats[name]) for name in numbers},
        "seconds": round(seconds, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def in_a_process(**asked) -> dict:
    """`row`, in a fresh process."""
    command = [sys.executable, __file__, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{asked} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run(record: dict) -> list[dict]:
    """A row for each data set, size, label seed and width."""
    rows = []
    for size in record["sizes"]:
        n = size["n"]
        for data in record["data"]:
            for seed in size["label_seeds"]:
                asked = {
                    "data": data,
                    "n": n,
                    "seed": seed,
                    "key": record["network_key"],
                    "activation": record["activation"],
                }
                found = in_a_process(**asked, width=None)
                rows.append(found)
                for extra in record["extra_neurons"]:
                    if extra and n <= record["largest_n_with_extra_neurons"]:
                        rows.append(in_a_process(**asked, width=found["m"] + extra))
    return rows


if __name__ == "__main__":
    print(json.dumps(row(**json.loads(sys.argv[1]))))
