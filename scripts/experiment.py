"""Runs an experiment of `experiments/` and saves its rows with their provenance.

`python scripts/experiment.py` runs all of them, `python scripts/experiment.py NAME ...` some.
An experiment is a file with `RECORD`, the settings as JSON, and `run(RECORD)`, which returns rows.
"""

import argparse
import datetime
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import book_status
from book_status import ROOT

EXPERIMENTS = ROOT / "experiments"
RESULTS = ROOT / "benchmarks" / "results" / "experiments"


def commit() -> str:
    """The commit that is checked out, with a plus where files have changed since."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "narrowlib", "experiments"],
            cwd=ROOT, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
    except OSError:
        return "unknown"
    return f"{head}+" if head and changed else head or "unknown"


def load(path: Path):
    """The experiment's module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # true of every .py file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def save(path: Path, results: Path) -> Path:
    """Runs one experiment; a killed run leaves the old results whole."""
    module = load(path)
    start = time.perf_counter()
    rows = module.run(module.RECORD)
    provenance = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "versions": book_status.versions(),
        "machine": book_status.machine(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    saved = {"name": path.stem, "record": module.RECORD, "rows": rows, "provenance": provenance}
    text = json.dumps(saved, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    results.mkdir(parents=True, exist_ok=True)
    file = results / f"{path.stem}.json"
    part = file.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
    return file


def main() -> None:
    """Runs what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: every experiment")
    names = parser.parse_args().names
    there = {path.stem: path for path in sorted(EXPERIMENTS.glob("*.py"))}
    if unknown := sorted(set(names) - set(there)):
        sys.exit(f"No experiment: {', '.join(unknown)}. There are {', '.join(there)}.")
    for name in names or there:
        print(f"{name} ...", flush=True)
        print(save(there[name], RESULTS).relative_to(ROOT))


if __name__ == "__main__":
    main()
