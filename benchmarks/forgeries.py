"""Forged certificates by the thousand: what the verifiers accept, and what loading them does.

    python benchmarks/forgeries.py [count] [seed]

The kinds and the oracle are those of `tests/certificates/`. The figures go to
`results/forgeries.json`; a file that is false and accepted, a crash or a raw error is named there,
and the exit status is 1.
"""

from __future__ import annotations

import collections
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests" / "certificates")]
RESULTS = HERE / "results" / "forgeries.json"
NAMED = 50  # as many failures are named


def attack(count: int, seed: int, path: Path) -> dict[str, Any]:
    """Forge files, in turn of each kind, and count what becomes of them."""
    import forgery

    def verify(data: bytes) -> list[str]:
        path.write_bytes(data)
        return forgery.VERIFIERS["verifier"](str(path))

    kinds = list(forgery.KINDS)
    figures = {name: collections.Counter(dict.fromkeys(COLUMNS, 0)) for name in kinds}
    failures: list[str] = []
    longest = 0.0
    for k in range(count):
        name = kinds[k % len(kinds)]
        rng = np.random.default_rng([seed, k % len(kinds), k // len(kinds)])
        with np.errstate(all="ignore"):
            forged = forgery.forge(name, rng, verify)
            begun = time.perf_counter()
            found = forgery.outcome(forged, path)
        longest = max(longest, time.perf_counter() - begun)
        row = figures[name]
        row["forged"] += 1
        row["accepted"] += bool(found.accepted)
        row["false accepted"] += bool(found.false)
        row["crashes"] += len(found.crashes)
        row["loaded"] += found.loaded == "loaded"
        row["raw errors"] += found.loaded not in ("loaded", "named")
        bad = [*map(str, found.false), *found.crashes]
        bad += [] if found.loaded in ("loaded", "named") else [found.loaded]
        failures += [f"{k} {name}, {forged.base}, {forged.what}: {text}"[:400] for text in bad]
    total = sum(figures.values(), collections.Counter(dict.fromkeys(COLUMNS, 0)))
    return {
        "kinds": len(kinds),
        "total": {column: total[column] for column in COLUMNS},
        "by kind": {name: dict(row) for name, row in figures.items()},
        "failures": failures[:NAMED],
        "longest_s": round(longest, 3),
    }


COLUMNS = ("forged", "accepted", "false accepted", "crashes", "loaded", "raw errors")


def main() -> int:
    """Run the attack and store its figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        figures = attack(count, seed, Path(folder) / "forged.npz")
    settings = {"count": count, "seed": seed}
    seconds = round(time.perf_counter() - begun)
    RESULTS.write_text(
        json.dumps({"settings": settings, "seconds": seconds, **figures}, indent=1) + "\n", "utf-8"
    )
    print(json.dumps(figures["total"], indent=1))
    print(*figures["failures"], sep="\n")
    return 1 if figures["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
