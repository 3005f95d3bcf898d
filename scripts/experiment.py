"""Runs an experiment of `experiments/` and saves its rows with their provenance.

`python scripts/experiment.py` runs all of them, `python scripts/experiment.py NAME ...` some, with
`--scale seconds` or `--scale minute` in small. An experiment is a file with `RECORD`, the settings
as JSON, `SMALLER`, what differs at the smaller scales, and `run(RECORD)`, which returns rows.
The paper's scale, which the chapters read, is kept with the project; the others are not.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import book_status
from book_status import ROOT

from narrowlib._files import write_whole
from narrowlib.study.experiment import SCALES, load_experiment

EXPERIMENTS = ROOT / "experiments"
RESULTS = ROOT / "benchmarks" / "results" / "experiments"


def commit(name: str) -> str:
    """The commit that is checked out, with a plus where what the rows come from has changed."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()
        sources = f"experiments/{name}.py", "narrowlib", ":!narrowlib/exercises"
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", *sources],
            cwd=ROOT, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
    except OSError:
        return "unknown"
    return f"{head}+" if head and changed else head or "unknown"


def save(path: Path, results: Path, scale: str = "paper") -> Path:
    """Runs one experiment; a killed run leaves the old results whole."""
    done = load_experiment(path).run(scale)
    here = {"versions": book_status.versions(), "machine": book_status.machine()}
    provenance = done.provenance | here | {"commit": commit(path.stem)}
    saved = {"name": done.name, "record": done.record, "rows": done.rows, "provenance": provenance}
    text = json.dumps(saved, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    results.mkdir(parents=True, exist_ok=True)
    file = results / f"{path.stem}.json"
    with write_whole(file) as stream:
        stream.write(text.encode())
    return file


def main() -> None:
    """Runs what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: every experiment")
    parser.add_argument("--scale", choices=SCALES, default="paper")
    asked = parser.parse_args()
    names, results = asked.names, RESULTS
    if asked.scale != "paper":
        results = ROOT / "_build" / "experiments" / asked.scale
    there = {path.stem: path for path in sorted(EXPERIMENTS.glob("*.py"))}
    if unknown := sorted(set(names) - set(there)):
        sys.exit(f"No experiment: {', '.join(unknown)}. There are {', '.join(there)}.")
    for name in names or there:
        print(f"{name} ...", flush=True)
        print(save(there[name], results, asked.scale).relative_to(ROOT))


if __name__ == "__main__":
    main()
