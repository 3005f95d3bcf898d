"""Write results/README.md from the JSON files beside it."""

from __future__ import annotations

import json
from typing import Any

from driver import RESULTS

ORDER = (
    "gram",
    "projected_gradient",
    "paired_cone",
    "interpolate",
    "memorize",
    "gauss_newton",
    "trainer",
    "import_time",
)
HEAD = """# Results

Written by `make bench` from the JSON files in this folder; [how to read them](../README.md).
A ratio is the time of an implementation over narrowlib's in the same round, the median over
rounds, with its quartiles: above 1, narrowlib is faster.
"""


def short(value: float) -> str:
    """Three digits, without an exponent where none is needed."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def result_row(label: str, result: dict[str, Any], problem: dict[str, Any]) -> str:
    """One line of the table of a case."""
    ratio = short(result["ratio"])
    if "ratio_quartiles" in result:
        ratio += f" ({' to '.join(map(short, result['ratio_quartiles']))})"
    seconds = result["median"]
    time = f"{short(1000 * seconds)} ms" if seconds < 1 else f"{short(seconds)} s"
    if "steps" in problem:
        time += f", {short(1e6 * seconds / problem['steps'])} µs a step"
    digest = result.get("digest", {})
    found = [f"{k} {short(v)}" for k, v in digest.items() if isinstance(v, float | int)]
    memory = f"{result['peak_bytes'] / 2**20:.0f} MiB" if "peak_bytes" in result else ""
    return f"| {label} | {time} | {ratio} | {memory} | {'; '.join(found)} |"


def page(record: dict[str, Any]) -> str:
    """One benchmark: its targets, then its cases."""
    machine = record["machine"]
    lines = [f"## {record['benchmark']}", ""]
    lines.append(f"{record['date']}, {machine['cpu']}, {machine['cores']} cores.")
    if record["note"]:
        lines += ["", record["note"]]
    lines += ["", "| target | measured | goal | met |", "| --- | --- | --- | --- |"]
    for goal in record["targets"]:
        verdict = "yes" if goal["met"] else "**no**"
        want = f"{goal['sign']} {goal['goal']:g}"
        lines.append(f"| {goal['what']} | {short(goal['value'])} | {want} | {verdict} |")
    for case in record["cases"]:
        problem = ", ".join(f"{k} = {v}" for k, v in case["problem"].items())
        lines += ["", f"### {problem}", ""]
        lines += ["| | time | ratio | memory | result |", "| --- | --- | --- | --- | --- |"]
        lines += [result_row(k, v, case["problem"]) for k, v in case["results"].items()]
    versions = {name: v for name, v in record["versions"].items() if v}
    for name, found in versions.items():
        packages = ", ".join(f"{k} {v}" for k, v in sorted(found.items()))
        lines += ["", f"Versions with {name}: {packages}."]
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    found = [path for name in ORDER if (path := RESULTS / f"{name}.json").is_file()]
    pages = [page(json.loads(path.read_text())) for path in found]
    (RESULTS / "README.md").write_text("\n\n".join([HEAD.rstrip(), *pages]) + "\n")


if __name__ == "__main__":
    main()
