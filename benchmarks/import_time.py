"""What `import narrowlib` adds to `import jax, flax.nnx`, in fresh processes.

The two kinds of process alternate; what is judged is the median of the differences of
neighbours. A last process lists what takes longest (`python -X importtime`).
"""

from __future__ import annotations

import statistics
import subprocess
from typing import Any

import driver

KINDS = {"jax, flax.nnx": "jax, flax.nnx", "narrowlib": "jax, flax.nnx, narrowlib"}
ROUNDS = 15
LISTED = 8


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a fresh interpreter of the bench environment."""
    return subprocess.run(
        [driver.interpreter("bench"), "-W", "ignore", *options, "-c", code],
        env=driver.surroundings(),
        check=True,
        capture_output=True,
        text=True,
    )


def seconds(modules: str) -> float:
    """How long an import takes, as the importing process sees it."""
    code = f"import time; t = time.perf_counter(); import {modules}; print(time.perf_counter() - t)"
    return float(run(code).stdout)


def slowest() -> list[dict[str, Any]]:
    """The modules that narrowlib adds, by the milliseconds they take themselves."""
    marker = "import jax, flax.nnx, sys; print('added:', file=sys.stderr); import narrowlib"
    report = run(marker, "-X", "importtime").stderr.split("added:")[1]
    rows = [
        line.removeprefix("import time:").split("|") for line in report.splitlines() if "|" in line
    ]
    modules = [{"module": name.strip(), "ms": int(own) / 1000} for own, _, name in rows]
    return sorted(modules, key=lambda row: -row["ms"])[:LISTED]


def main() -> None:
    """Run the comparison and judge it."""
    for modules in KINDS.values():
        seconds(modules)  # the first import reads the disk and may write bytecode
    times: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):
        for name, modules in KINDS.items():
            times[name].append(seconds(modules))
    bare = times["jax, flax.nnx"]
    added = [a - b for a, b in zip(times["narrowlib"], bare, strict=True)]
    results: dict[str, dict[str, Any]] = {}
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values, times["narrowlib"], strict=True)]
        results[name] = {
            "seconds": values,
            "median": statistics.median(values),
            "ratio": statistics.median(ratios),
        }
    results["narrowlib"]["digest"] = {"slowest": slowest()}
    print(f"import_time\n  {results['narrowlib']['digest']}")
    case = {"problem": {"rounds": ROUNDS}, "baseline": "narrowlib", "results": results}
    goal = driver.target("seconds that import narrowlib adds", statistics.median(added), "<", 0.3)
    driver.save("import_time", [case], [goal])


if __name__ == "__main__":
    main()
