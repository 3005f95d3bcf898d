"""Looks up the locked versions in the public lists of vulnerabilities: `make audit`.

A vulnerability is a failure. Where pip-audit, or what it asks, cannot be reached, nothing is known,
which is said and is none.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.txt"


def report(audited: dict) -> tuple[list[str], int]:
    """The vulnerabilities in pip-audit's answer, a line each, and how many packages it knew."""
    known = [package for package in audited["dependencies"] if "skip_reason" not in package]
    lines = []
    for package in known:
        for found in package["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            lines.append(
                f"{package['name']} {package['version']}: {found['id']}, mended in {mended}"
            )
    return lines, len(known)


def ask(*command: str) -> tuple[dict | None, str]:
    """pip-audit's answer about the lock, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "audit.json"
        options = ["--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
        options += ["--format", "json", "--output", str(answer), "--progress-spinner", "off"]
        done = subprocess.run([*command, *options], capture_output=True, text=True)
        try:
            return json.loads(answer.read_text(encoding="utf-8")), ""
        except (OSError, ValueError):  # it came to no end
            return None, done.stderr.strip()[-500:]


def main(*command: str) -> None:
    """Asks, and says what came of it."""
    audited, why = ask(*command)
    lines, known = report(audited) if audited else ([], 0)
    if lines:
        sys.exit("\n".join(lines))
    if known:
        print(f"No known vulnerability in {known} packages of {LOCK.name}.")
    else:
        print(f"Not audited: no list of vulnerabilities could be asked. {why}".strip())


if __name__ == "__main__":
    main(*(sys.argv[1:] or (sys.executable, "-m", "pip_audit")))
