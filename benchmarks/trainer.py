"""`ConstrainedTrainer` and `sweep` against loops written by hand, in float32.

Minibatches: one epoch over 60,000 samples of 784 inputs (MNIST's size, random numbers), 32 tanh
neurons, ten classes, cross-entropy, plain SGD, a ball around the hidden layer's start. The same
network, batches of 128 and projection in a `lax.scan` by hand and in PyTorch's usual loop.

Sweep: 32 runs of projected gradient at (n, d, m) = (200, 20, 20), as `sweep` runs them on two host
devices, against the same on one device, one run after the other, and a loop by hand on two devices.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import driver

EPOCH = {"n": 60_000, "d": 784, "m": 32, "classes": 10, "batch_size": 128, "seed": 0}
RUNS = {"n": 200, "d": 20, "m": 20, "runs": 32, "steps": 2000, "seed": 0}
STEP_SIZE, RADIUS, ROUNDS, DEVICES = 0.1, 1.0, 7, 2
NOTE = """What limits it. A step is two products of a batch, 128 × 784, with a matrix of 32 columns,
six million multiplications, which the scan and PyTorch both leave to a matrix library: the scan by
hand itself is less than twice as fast as PyTorch's loop. Of what the trainer takes beyond the scan
about a third is one pass over X, 188 MB, that looks for NaN at each call of `fit`; with more epochs
its share falls. A run of a sweep is some fifty operations a step, each of a microsecond or less:
side by side they are larger and fewer, and two devices of one core each share them out. tanh is a
twentieth of the time."""


def epoch_arrays(problem: dict[str, int]) -> tuple[Any, Any, Any, Any]:
    """X, the classes, and the two kernels, shaped (inputs, outputs)."""
    import numpy as np

    rng = np.random.default_rng(problem["seed"])
    n, d, m, K = (problem[name] for name in ("n", "d", "m", "classes"))
    X = rng.standard_normal((n, d), np.float32)
    classes = (X @ rng.standard_normal((d, K), np.float32)).argmax(axis=1)
    hidden = rng.standard_normal((d, m), np.float32) / np.float32(d**0.5)
    output = rng.standard_normal((m, K), np.float32) / np.float32(m**0.5)
    return X, classes, hidden, output


def prepare(implementation: str, problem: dict[str, Any]) -> tuple[Callable, Callable]:
    """One call, which ends in a mean loss, and its digest; see worker.py."""
    if "runs" in problem:
        call = prepare_sweep(implementation, problem)
    else:
        made = {"narrowlib": prepare_trainer, "scan by hand": prepare_scan}
        made["torch eager"] = prepare_torch
        call = made[implementation](*epoch_arrays(problem), problem["batch_size"])
    return call, lambda loss: {"loss": float(loss)}


def cross_entropy(logits: Any, classes: Any) -> Any:
    """Optax's, averaged."""
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean()


def prepare_trainer(X: Any, classes: Any, hidden: Any, output: Any, batch: int) -> Callable:
    """The library's trainer on a Flax module."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    import narrowlib as nl

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.hidden = nnx.Param(jnp.asarray(hidden))
            self.output = nnx.Param(jnp.asarray(output))

        def __call__(self, x: Any) -> Any:
            return jnp.tanh(x @ self.hidden[...]) @ self.output[...]

    net, key = Net(), jax.random.key(1)
    X, classes = jnp.asarray(X), jnp.asarray(classes)
    rules = {"hidden": nl.BallAroundStart(RADIUS)}
    trainer = nl.ConstrainedTrainer(
        optax.sgd(STEP_SIZE), rules, loss=cross_entropy, batch_size=batch
    )
    return lambda: trainer.fit(net, X, classes, epochs=1, key=key).history["loss"].mean()


def prepare_scan(X: Any, classes: Any, hidden: Any, output: Any, batch: int) -> Callable:
    """The same epoch, as one would write it in JAX for this network alone."""
    import jax
    import jax.numpy as jnp

    X, classes, start = jnp.asarray(X), jnp.asarray(classes), jnp.asarray(hidden)
    steps = len(X) // batch

    def loss(params: Any, x: Any, y: Any) -> Any:
        return cross_entropy(jnp.tanh(x @ params[0]) @ params[1], y)

    @jax.jit
    def epoch(params: Any, X: Any, classes: Any, key: Any) -> tuple[Any, Any]:
        order = jax.random.permutation(key, len(X))[: steps * batch].reshape(steps, batch)

        def step(params: Any, rows: Any) -> tuple[Any, Any]:
            now, gradient = jax.value_and_grad(loss)(params, X[rows], classes[rows])
            hidden, output = jax.tree.map(lambda p, g: p - STEP_SIZE * g, params, gradient)
            move = hidden - start
            hidden = start + move * jnp.minimum(1, RADIUS / jnp.linalg.norm(move))
            return (hidden, output), now

        return jax.lax.scan(step, params, order)

    def call() -> float:
        # the order that the trainer's first epoch has
        key = jax.random.fold_in(jax.random.key(1), 0)
        return float(epoch((start, jnp.asarray(output)), X, classes, key)[1].mean())

    return call


def prepare_torch(X: Any, classes: Any, hidden: Any, output: Any, batch: int) -> Callable:
    """PyTorch's usual loop over shuffled batches, on tensors that are in memory."""
    import torch

    X, classes = torch.from_numpy(X), torch.from_numpy(classes)
    start, out = torch.from_numpy(hidden), torch.from_numpy(output)

    def call() -> float:
        W, V = start.clone().requires_grad_(), out.clone().requires_grad_()
        optimizer = torch.optim.SGD([W, V], lr=STEP_SIZE)
        order, losses = torch.randperm(len(X)), []
        for rows in order.split(batch)[: len(X) // batch]:
            optimizer.zero_grad()
            now = torch.nn.functional.cross_entropy(torch.tanh(X[rows] @ W) @ V, classes[rows])
            now.backward()
            optimizer.step()
            with torch.no_grad():
                move = W - start
                W.copy_(start + move * (RADIUS / move.norm()).clamp(max=1.0))
            losses.append(now.detach())
        return float(torch.stack(losses).mean())

    return call


def one_run(key: Any, step_size: Any, *, problem: dict[str, int]) -> dict[str, Any]:
    """Projected gradient on a problem of its own."""
    import jax

    import narrowlib as nl

    keys = jax.random.split(key)
    data = nl.gaussian(keys[0], n=problem["n"], d=problem["d"])
    start = nl.mirrored_lecun(keys[1], d=problem["d"], m=problem["m"])
    sets = nl.Product(W=nl.Ball(start.W, 3.0), v=nl.PairedCone(0.1, 10.0))
    solution = nl.ProjectedGradient(sets, step_size).run(
        start, data.X, data.y, max_steps=problem["steps"], throw=False, tol=0.0
    )
    return {"loss": solution.stats["loss"]}


def prepare_sweep(implementation: str, problem: dict[str, int]) -> Callable:
    """All runs, as one compiled program."""
    import jax
    import jax.numpy as jnp

    from narrowlib.study.sweep import sweep_program

    jax.config.update("jax_num_cpu_devices", DEVICES)
    seeds, step_sizes, number = range(problem["runs"] // 2), (0.1, 0.3), problem["runs"]
    run = partial(one_run, problem=problem)
    if implementation == "one after the other":
        compiled = jax.jit(lambda cells: jax.lax.map(lambda c: run(c[0], **c[1]), cells))
    elif implementation == "by hand, two devices":
        compiled = by_hand(problem)
    else:
        # what `sweep` compiles; called by itself it would compile at each call
        devices = jax.devices()[: 1 if implementation == "one device" else DEVICES]
        compiled = sweep_program(run, chunk=number // len(devices), devices=devices)
    keys = jax.vmap(jax.random.key)(jnp.repeat(jnp.asarray(seeds), 2))
    cells = keys, {"step_size": jnp.tile(jnp.asarray(step_sizes), len(seeds))}
    return lambda: float(jax.block_until_ready(compiled(cells))["loss"].mean())


def by_hand(problem: dict[str, int]) -> Callable:
    """The same runs as one would write them for this network alone, samples last."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import narrowlib as nl

    def one(cell: Any) -> dict[str, Any]:
        keys, step_size = jax.random.split(cell[0]), cell[1]["step_size"]
        data = nl.gaussian(keys[0], n=problem["n"], d=problem["d"])
        start = nl.mirrored_lecun(keys[1], d=problem["d"], m=problem["m"])
        sets = nl.Product(W=nl.Ball(start.W, 3.0), v=nl.PairedCone(0.1, 10.0))

        def loss(params: Any) -> Any:
            return jnp.mean((params.v @ jnp.tanh(params.W @ data.X.T) - data.y) ** 2) / 2

        def step(params: Any, _: None) -> tuple[Any, Any]:
            now, gradient = jax.value_and_grad(loss)(params)
            return sets.project(jax.tree.map(lambda p, g: p - step_size * g, params, gradient)), now

        return {"loss": loss(jax.lax.scan(step, start, length=problem["steps"])[0])}

    mesh = jax.sharding.Mesh(np.array(jax.devices()[:DEVICES]), ("runs",))
    runs = jax.sharding.PartitionSpec("runs")
    return jax.jit(
        jax.shard_map(jax.vmap(one), mesh=mesh, in_specs=runs, out_specs=runs, check_vma=False)
    )


def main() -> None:
    """Run both comparisons and judge them."""
    names = ("narrowlib", "scan by hand", "torch eager")
    epoch = driver.compare("trainer", EPOCH, dict.fromkeys(names, "bench"), rounds=ROUNDS)
    ways = ("narrowlib", "one device", "one after the other", "by hand, two devices")
    runs = driver.compare("trainer", RUNS, dict.fromkeys(ways, "bench"), rounds=ROUNDS)
    results = epoch["results"]
    targets = [
        driver.target("trainer / scan by hand", 1 / results["scan by hand"]["ratio"], "<", 1.15),
        driver.target("torch eager / trainer", results["torch eager"]["ratio"], ">", 2),
        driver.target(
            "by hand on two devices / sweep",
            runs["results"]["by hand, two devices"]["ratio"], ">", 0.8,
        ),
    ]  # fmt: skip
    losses = [result["digest"]["loss"] for result in results.values()]
    spread = max(losses) - min(losses)
    targets.append(driver.target("spread of the epoch's mean losses", spread, "<", 0.02))
    driver.save("trainer", [epoch, runs], targets, NOTE)


if __name__ == "__main__":
    main()
