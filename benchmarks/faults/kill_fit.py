"""SIGKILL at random moments of training runs with checkpoints; each has to end with its own bits.

python benchmarks/faults/kill_fit.py KILLS SEED; prints the counts as JSON. POSIX only.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "resumed_run.py"
EPOCHS, EACH = 150, 10  # epochs of a run, kills of a run before it may end


def start(folder, output):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    command = [sys.executable, str(SCRIPT), str(folder), str(EPOCHS), str(output)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def arrays(path):
    with np.load(path) as archive:
        return {name: archive[name].tobytes() for name in archive.files}


def timed(folder, output):
    """How long a whole run takes, and when its first checkpoint is there."""
    began, first = time.monotonic(), None
    running = start(folder, output)
    while running.poll() is None:
        if (
            first is None
            and Path(folder).is_dir()
            and any(f.name.isdigit() for f in Path(folder).iterdir())
        ):
            first = time.monotonic() - began
        time.sleep(0.01)
    assert running.returncode == 0, running.stderr.read()
    return first, time.monotonic() - began


def main(kills, seed):
    draw = random.Random(seed)
    counts = {"kills": 0, "ended before": 0, "runs": 0, "same bits": 0, "temporary folders": 0}
    counts |= {"left at the end": 0, "said": []}
    with tempfile.TemporaryDirectory() as room:
        room = Path(room)
        first, whole = timed(room / "whole", room / "whole.npz")
        truth = arrays(room / "whole.npz")
        while counts["kills"] < kills:
            name = f"run{counts['runs']}"
            for _ in range(min(EACH, kills - counts["kills"])):
                running = start(room / name, room / f"{name}.npz")
                try:  # mostly while it trains and saves, at times while it starts
                    running.wait(draw.uniform(0.5 * first, whole))
                    counts["ended before"] += 1
                except subprocess.TimeoutExpired:
                    running.send_signal(signal.SIGKILL)
                    counts["kills"] += 1
                counts["said"] += [said] if (said := running.communicate()[1].strip()) else []
                if (room / name).is_dir():
                    left = [f for f in (room / name).iterdir() if "tmp" in f.name]
                    counts["temporary folders"] += len(left)
                if running.returncode == 0:
                    break
            assert start(room / name, room / f"{name}.npz").wait() == 0
            counts["runs"] += 1
            counts["same bits"] += arrays(room / f"{name}.npz") == truth
            there = [
                f for f in (room / name).iterdir() if not (f.name.isdigit() or f.name == ".lock")
            ]
            counts["left at the end"] += len(there)
    return counts


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:])), indent=1))
