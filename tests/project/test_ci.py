"""What continuous integration may run, and what `make audit` makes of an answer."""

import json
import re
import sys

import audit
import pytest
import working_tree
import yaml

WORKFLOWS = sorted((working_tree.ROOT / ".github" / "workflows").glob("*.y*ml"))
JOBS = yaml.safe_load((WORKFLOWS[0].parent / "ci.yml").read_text("utf-8"))["jobs"]
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


MAY_WRITE = {"notebooks"}  # pushes what `make notebooks` has built to a branch of that name


def test_workflows_may_only_read_but_for_one_job():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        writing = {name for name, job in workflow["jobs"].items() if "permissions" in job}
        assert writing <= MAY_WRITE


def test_only_main_is_published_and_only_when_its_tests_have_passed():
    job = JOBS["notebooks"]
    assert job["permissions"] == {"contents": "write"}
    assert job["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    assert job["needs"] == "test"
    *before, push = job["steps"]
    assert [step["run"] for step in before if "run" in step] == ["make notebooks PYTHON=python"]
    assert re.findall(r"git push .* (\S+)$", push["run"], re.M) == ["notebooks"]


def test_no_step_sees_the_token_but_the_one_that_pushes():
    """Neither a checkout that keeps it, nor the variables of a step that runs others' code."""
    holders = []
    for name, job in JOBS.items():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
            if re.search(r"github\.token|secrets\.", json.dumps(step)):
                holders.append((name, step["name"]))
        assert "env" not in job
    assert holders == [("notebooks", "push them to the branch notebooks")]


def test_every_notebook_runs_each_week_at_both_ends():
    job = JOBS["chapters"]
    when = "github.event_name == 'schedule' || github.event_name == 'workflow_dispatch'"
    assert job["if"] == when
    ends = {row["end"] for row in job["strategy"]["matrix"]["include"]}
    assert ends == {"floor", "newest"}
    assert job["steps"][-1]["run"] == "make ${{ matrix.end }} NOTEBOOKS=book PYTHON=python"


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
