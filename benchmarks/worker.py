"""One implementation in a process of its own, timed on request.

Started by the driver as `python worker.py MODULE`. Each line read is a JSON request, each line
written its JSON answer:

- `{"do": "prepare", "implementation": …, "problem": {…}}` builds the inputs and makes the first
  call, which compiles. The answer holds its seconds, how far memory rose above what the inputs
  took (`peak_bytes`), versions, and what the result was (`digest`).
- `{"do": "run"}` makes more calls, until they have taken half a second together: after a wait the
  first wakes the machine. The answer holds the median of their seconds.

MODULE has `prepare(implementation, problem)`, which returns two functions: `call()` does the work
and waits for its end, `digest(result)` makes a JSON object of its result.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import statistics
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

WARM = 0.5  # seconds
PACKAGES = (
    "flax",
    "jax",
    "jaxlib",
    "jaxopt",
    "neural-tangents",
    "numpy",
    "optax",
    "optimistix",
    "scipy",
    "torch",
)


def memory(field: str) -> int:
    """A field of the kernel's account of this process, in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def reset_peak() -> None:
    """Make the peak of resident memory start again from what is resident now (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def versions() -> dict[str, str]:
    """The installed versions of the packages that matter and are loaded here."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        if name.replace("-", "_") in sys.modules:
            found[name] = metadata.version(name)
    return found


class Worker:
    """Holds the call that was prepared last."""

    def __init__(self, module: str):
        self.module = importlib.import_module(module)

    def prepare(self, implementation: str, problem: dict[str, Any]) -> dict[str, Any]:
        self.call, digest = self.module.prepare(implementation, problem)
        reset_peak()
        before = memory("VmRSS")
        start = time.perf_counter()
        result = self.call()
        seconds = time.perf_counter() - start
        peak = memory("VmHWM") - before
        return {
            "first_seconds": seconds,
            "peak_bytes": max(peak, 0),
            "digest": digest(result),
            "versions": versions(),
        }

    def run(self) -> dict[str, Any]:
        seconds: list[float] = []
        while sum(seconds) < WARM:
            start = time.perf_counter()
            self.call()
            seconds.append(time.perf_counter() - start)
        return {"seconds": statistics.median(seconds)}


def main() -> None:
    """Answer requests until the input ends. Only answers go to the real standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to standard error
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
