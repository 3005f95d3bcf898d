"""What continuous integration may run, and what `make audit` makes of an answer."""

import json
import re
import sys

import audit
import pytest
import working_tree
import yaml

WORKFLOWS = sorted((working_tree.ROOT / ".github" / "workflows").glob("*.y*ml"))
COMMIT_AND_TAG = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} +# v\d+(\.\d+)*")


def not_pinned(workflow):
    """The uses of actions that name no commit, with its tag as a comment."""
    lines = re.findall(r"^[ -]*[\"']?uses[\"']?\s*:\s*(.*?)\s*$", workflow, re.MULTILINE)
    return [line for line in lines if not COMMIT_AND_TAG.fullmatch(line)]


def used(node):
    """Every `uses` of a workflow, wherever it stands."""
    if isinstance(node, dict):
        own = [node["uses"]] if "uses" in node else []
        return own + [name for value in node.values() for name in used(value)]
    return [name for value in node for name in used(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_their_commit(path):
    text = path.read_text("utf-8")
    names = used(yaml.safe_load(text))
    assert names and not_pinned(text) == []
    assert len(names) == len(
        re.findall(r"\buses\b[\"']?\s*:", text)
    )  # each stood on a line that was looked at
    tags = set(re.findall(r"([\w./-]+@[0-9a-f]{40}) +# (v[\d.]+)", text))
    assert len({name for name, _ in tags}) == len(tags) == len(set(names))


@pytest.mark.parametrize(
    "line",
    ["- uses: actions/checkout@v4", "- uses: actions/checkout", "uses: a/b@11d5960  # v4",
     "- 'uses': a/b@main # v1", f"- uses: a/b@{'0' * 40}", "- uses: docker://alpine:3",
     f"- uses: a/b@{'0' * 39}g # v1"],
)  # fmt: skip
def test_a_tag_is_no_commit(line):
    assert not_pinned(f"steps:\n  {line}\n")


def test_workflows_may_only_read():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        assert not any("permissions" in job for job in workflow["jobs"].values())


def tool(folder, answer):
    """A stand-in for pip-audit that writes an answer, or none."""
    file = folder / "tool.py"
    file.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"text = {answer!r}\n"
        "if text is None: sys.exit('no route to host')\n"
        "Path(sys.argv[sys.argv.index('--output') + 1]).write_text(text)\n"
        "sys.exit('vulns' in text)\n"
    )
    return sys.executable, str(file)


CLEAN = {"name": "a", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "b", "skip_reason": "Dependency not found on PyPI"}
BAD = {"name": "c", "version": "2.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2.1"]}]}


def test_a_vulnerability_is_a_failure(tmp_path):
    answer = json.dumps({"dependencies": [CLEAN, UNKNOWN, BAD]})
    with pytest.raises(SystemExit, match=r"^c 2\.0: PYSEC-2026-1, mended in 2\.1$"):
        audit.main(*tool(tmp_path, answer))


@pytest.mark.parametrize(
    "answer, says",
    [
        (json.dumps({"dependencies": [CLEAN, UNKNOWN]}), "No known vulnerability in 1 packages"),
        (json.dumps({"dependencies": [UNKNOWN]}), "Not audited"),
        (None, "Not audited: no list of vulnerabilities could be asked. no route to host"),
        ('{"dependencies": [{"name":', "Not audited"),
    ],
)
def test_without_a_network_nothing_is_known_and_nothing_fails(tmp_path, capsys, answer, says):
    audit.main(*tool(tmp_path, answer))
    assert says in capsys.readouterr().out
