"""Interleaved comparisons: every implementation in its own process, asked in turn.

The processes wait while one works, and the order A B C A B C … spreads whatever else the machine
does over all of them. What is reported is the median over rounds of the ratio *within* a round,
which a slow minute in the middle of a run does not move. A comparison's file names its problems
and implementations, calls `compare` for each problem, judges targets with `target`, and `save`s.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def interpreter(environment: str) -> str:
    """The Python of one of the environments that run.sh makes."""
    return str(HERE / f".venv-{environment}" / "bin" / "python")


def surroundings() -> dict[str, str]:
    """The variables of a worker: it imports narrowlib from the working tree."""
    return {**os.environ, "PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}


class Process:
    """A worker and the pipes to it."""

    def __init__(self, environment: str, module: str):
        self.process = subprocess.Popen(
            [interpreter(environment), "-W", "ignore", str(HERE / "worker.py"), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=surroundings(),
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended on {request}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{request}\n{answer['error']}")
        return answer

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def workers(module: str, implementations: dict[str, str]) -> Iterator[dict[str, Process]]:
    """A process for each implementation, in the environment named for it."""
    running = {name: Process(env, module) for name, env in implementations.items()}
    try:
        yield running
    finally:
        for process in running.values():
            process.close()


def compare(
    module: str,
    problem: dict[str, Any],
    implementations: dict[str, str],
    *,
    rounds: int,
    baseline: str = "narrowlib",
) -> dict[str, Any]:
    """Time implementations of one problem against a baseline.

    Args:
        module: the name of the comparison's file; workers import its `prepare`.
        problem: what to solve, as JSON.
        implementations: name to environment, the baseline among them.
        rounds: how many times each is asked.
        baseline: whose time is 1.

    Returns:
        The problem and, for each implementation, `seconds` of each round, their `median`, the
        median `ratio` to the baseline and its quartiles, `peak_bytes`, `digest` and `versions`.
    """
    print(f"{module} {problem}", flush=True)
    with workers(module, implementations) as running:
        results = {
            name: process.ask(do="prepare", implementation=name, problem=problem)
            for name, process in running.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(rounds):
            for name, process in running.items():
                seconds[name].append(process.ask(do="run")["seconds"])
    for name, result in results.items():
        ratios = [a / b for a, b in zip(seconds[name], seconds[baseline], strict=True)]
        result["seconds"] = seconds[name]
        result["median"] = statistics.median(seconds[name])
        result["ratio"] = statistics.median(ratios)
        result["ratio_quartiles"] = quartiles(ratios)
        print(f"  {name:24s} {result['median']:10.4g} s  × {result['ratio']:.3g}", flush=True)
    return {"problem": problem, "baseline": baseline, "results": results}


def quartiles(values: list[float]) -> list[float]:
    """The first and the third; both the value itself where there is one."""
    if len(values) < 2:
        return [values[0]] * 2
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def target(what: str, value: float, sign: str, goal: float) -> dict[str, Any]:
    """One goal and whether it was met: sign is "<" or ">"."""
    met = value < goal if sign == "<" else value > goal
    print(f"  {'met   ' if met else 'MISSED'} {what}: {value:.4g} {sign} {goal:g}", flush=True)
    return {"what": what, "value": value, "sign": sign, "goal": goal, "met": met}


def machine() -> dict[str, Any]:
    """What it ran on, without names."""
    model = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system(), "load": load}


def save(
    name: str, cases: list[dict[str, Any]], targets: list[dict[str, Any]], note: str = ""
) -> None:
    """Write results/NAME.json; versions are gathered from the cases."""
    found: dict[str, dict[str, str]] = {}
    for case in cases:
        for label, result in case["results"].items():
            found[label] = result.pop("versions", found.get(label, {}))
    record = {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "note": note,
        "versions": found,
        "targets": targets,
        "cases": cases,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
