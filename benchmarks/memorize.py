"""`interpolate` on up to 50,000 CIFAR-10 images with random labels, and how far its peers get.

One tanh neuron for a thousand images, float64. The rows are those of the experiment
`memorize_many`, which `make experiments NAME=memorize_many` runs on two quiet cores in about an
hour; the images are different photographs, decoded from JPEG. The peers solve the same kind of
problem, width 2⌈n/d⌉ or a little more, from the same seeds and with the same residual: SciPy's
`least_squares` (trf with its exact solver, the Jacobian dense as it asks for, in closed form) and
L-BFGS-B (SciPy, with JAX's gradients). Each climbs a ladder of sizes and has two minutes a size; a
size is finished when the loss, half the mean squared error, is under 1e-18. What a peer leaves at
the first size that it does not finish is kept. A peer trains all weights that it likes: W alone, as
`interpolate` does, or W and v, whichever is better for it (`least_squares`: W; L-BFGS: W and v).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import driver
import peers
from interpolate import data_folder
from peers import SECONDS

SEED = 0
LADDER = (125, 250, 500, 1000, 2000)
FINISHED = 1e-18
PEERS = ("scipy least_squares", "scipy L-BFGS")


def width(n: int) -> int:
    """The theorem's width, and no less than four neurons."""
    return 2 * max(2, -(-n // 3072))


def prepare(implementation: str, problem: dict[str, Any]) -> tuple[Callable, Callable]:
    """One call and its digest; see worker.py."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import narrowlib as nl

    n, m = problem["n"], problem["m"]
    data = nl.cifar10(data_folder(), n=n, labels="random", key=jax.random.key(problem["seed"]))
    key = jax.random.key(problem["seed"] + 1)
    if implementation == "narrowlib":

        def call() -> Any:
            run = nl.interpolate(data.X, data.y, key=key, width=m, throw=False)
            return jax.block_until_ready(run.stats)

        def digest(stats: Any) -> dict[str, Any]:
            names = ("loss", "num_steps", "scale", "largest_move")
            return {name: float(stats[name]) for name in names}

        return call, digest
    if "least" in implementation:  # from the start that `interpolate` chooses
        start = nl.interpolate(data.X, data.y, key=key, width=m, throw=False).stats["start"]
        return peers.least_squares(start, data.X, data.y, FINISHED), dict
    start = nl.mirrored_lecun(key, d=data.X.shape[1], m=m)
    return peers.lbfgs(start, data.X, data.y, FINISHED), dict


def climb(peer: str) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """A case for each size of the ladder up to the first that the peer does not finish."""
    cases, finished = [], None
    for n in LADDER:
        problem = {"data": "CIFAR-10, random labels", "n": n, "m": width(n), "seed": SEED}
        print(f"memorize {problem}, {peer}", flush=True)
        with driver.workers("memorize", {peer: "bench"}) as running:
            result = running[peer].ask(do="prepare", implementation=peer, problem=problem)
        ours = driver.compare("memorize", problem, {"narrowlib": "bench"}, rounds=3)
        result["median"] = result["digest"].pop("took")
        result["ratio"] = result["median"] / ours["results"]["narrowlib"]["median"]
        ours["results"][peer] = result
        cases.append(ours)
        print(
            f"  {peer}: {result['median']:.1f} s, loss {result['digest']['loss']:.2g}", flush=True
        )
        if result["digest"]["loss"] >= FINISHED:
            break
        finished = ours
    return cases, finished


def large() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The cases of the experiment, and what was wanted of them."""
    saved = json.loads((driver.RESULTS / "experiments" / "memorize_many.json").read_text())
    cases, targets = [], []
    for row in saved["rows"]:
        n, m = row["n"], row["m"]
        names = ("loss", "num_steps", "factorizations", "cg_steps", "scale", "largest_move", "h")
        result = {
            "median": row["seconds"],
            "ratio": 1.0,
            "peak_bytes": 2**30 * (row["peak_gib"] - row["data_gib"]),
            "digest": {name: row[name] for name in names},
            "versions": saved["provenance"]["versions"],
        }
        problem = {"data": "CIFAR-10, random labels", "n": n, "m": m, "seed": row["seed"]}
        cases.append(
            {"problem": problem, "baseline": "narrowlib", "results": {"narrowlib": result}}
        )
        at, most = f"at n = {n:,}", {10_000: (12, 1), 50_000: (1800, 14)}.get(n)
        targets.append(driver.target(f"loss {at}", row["loss"], "<", 1e-18))
        if most:
            targets += [
                driver.target(f"seconds {at}", row["seconds"], "<", most[0]),
                driver.target(
                    f"GiB above the data {at}", result["peak_bytes"] / 2**30, "<", most[1]
                ),
            ]
        certified = float(row["verdict"] == "exists")
        targets.append(driver.target(f"certificates {at}", certified, ">", 0))
    return cases, targets


def main() -> None:
    """Run the comparison and judge it; without the images, say so and end."""
    if data_folder() is None:
        print("memorize: skipped, no cifar10.npz (set NARROWLIB_DATA to its folder)")
        return
    (cases, targets), note = large(), []
    for peer in PEERS:
        climbed, finished = climb(peer)
        cases += climbed
        size = f"n = {finished['problem']['n']}" if finished else f"none of n = {LADDER}"
        note.append(f"{peer} finishes {size}")
    limit = f"in {SECONDS:.0f} s to a loss under {FINISHED:g}"
    driver.save("memorize", cases, targets, note=f"Largest size {limit}: {'; '.join(note)}.")


if __name__ == "__main__":
    main()
