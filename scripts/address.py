"""Writes the book's public address everywhere: `make address URL=https://github.com/you/repo`.

`repository: url:` in `_config.yml` holds the address. The set-up cells of the notebooks, the
README's clone line and Colab links, pyproject.toml and CITATION.cff hold copies of it.
"""

import json
import re
import sys
from pathlib import Path

import book_status
import yaml
from book_status import ROOT

FILES = (
    "_config.yml",
    "*.md",
    "CITATION.cff",
    "pyproject.toml",
    "book/**/*.md",
    "book/**/*.ipynb",
    "narrowlib/**/*.py",
)
CONFIG = ROOT / "_config.yml"
URL = re.compile(r"https://github\.com/([A-Za-z0-9-]+/[A-Za-z0-9._-]+)")


def slug_of(url: str) -> str:
    """`owner/repository` of a GitHub address, or a `ValueError` that says what is wrong with it."""
    match = URL.fullmatch(url)
    if match is None or url.endswith((".git", "/.", "/..")):
        raise ValueError(
            f"URL={url!r} is no address of a repository: it must read "
            "https://github.com/OWNER/REPOSITORY, with no '.git' and no '/' at its end."
        )
    return match[1]


def current_slug(config: str) -> str:
    """`owner/repository` as `_config.yml` has it."""
    return slug_of(yaml.safe_load(config)["repository"]["url"])


def pages(config: str) -> str:
    """The address of the rendered book: `html: baseurl:`, or GitHub's own pages."""
    given = yaml.safe_load(config).get("html", {}).get("baseurl", "")
    owner, repository = current_slug(config).split("/")
    host = f"https://{owner.lower()}.github.io"
    usual = host if f"https://{repository.lower()}" == host else f"{host}/{repository}"
    return given.rstrip("/") or usual


def readdress(text: str, old: str, new: str) -> str:
    """`text` with `old` replaced where it is a whole `owner/repository` inside an address."""
    whole = re.compile(rf"(?<=/){re.escape(old)}(?![\w-])(?!\.(?!git\b)\w)")
    return whole.sub(lambda _: new, text)


def files() -> list[Path]:
    """The files that may hold the address; last the one that says which address the others have.

    So a run that is killed half-way can be started again.
    """
    found = {path for pattern in FILES for path in ROOT.glob(pattern)}
    whole = [p for p in found if p.is_file() and ".ipynb_checkpoints" not in p.parts]
    return sorted(whole, key=lambda path: (path == CONFIG, path))


def rewrite(path: Path, old: str, new: str) -> bool:
    """Rewrites one file, and the status entry of a notebook; whether it had the address."""
    before = path.read_bytes().decode()
    after = readdress(before, old, new)
    if after == before:
        return False
    status = book_status.read()
    entry = status["notebooks"].get(path.relative_to(ROOT).as_posix())
    right = entry and entry["source_sha256"] == book_status.source_sha256(json.loads(before))
    if right:  # the outputs do not depend on the address: the hash stays right
        entry["source_sha256"] = book_status.source_sha256(json.loads(after))
        book_status.write(status)
    book_status.write_text(path, after)
    return True


def main(url: str) -> None:
    """Rewrites the files, and the status entries of notebooks whose code it touched."""
    try:
        new = slug_of(url)
        old = current_slug(CONFIG.read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(str(error))
    for path in files():
        if rewrite(path, old, new):
            print(path.relative_to(ROOT).as_posix())
    print(f"The address is https://github.com/{new}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
