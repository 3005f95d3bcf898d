"""Runs an experiment of `experiments/` and saves its rows with their provenance.

`python scripts/experiment.py` runs all of them, `python scripts/experiment.py NAME ...` some, with
`--scale seconds` or `--scale minute` in small. An experiment is a file with `RECORD`, the settings
as JSON, `SMALLER`, what differs at the smaller scales, and `run(RECORD)`, which returns rows.
The paper's scale, which the chapters read, is kept with the project; the others are not.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from book_status import ROOT

from narrowlib import _provenance
from narrowlib.study.experiments import SCALES, load_experiment

EXPERIMENTS = ROOT / "experiments"
RESULTS = ROOT / "benchmarks" / "results" / "experiments"


def save(path: Path, results: Path, scale: str = "paper") -> Path:
    """Runs one experiment; a killed run leaves the old results whole."""
    done = load_experiment(path).run(scale)
    sources = f"experiments/{path.stem}.py", "narrowlib", ":!narrowlib/exercises"
    provenance = done.provenance | {
        "versions": _provenance.versions("matplotlib"),
        "commit": _provenance.commit(ROOT, *sources),
    }
    results.mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(done, provenance=provenance).save(results / f"{path.stem}.json")


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
