"""The house: imports run one way, a file holds one idea, and a set is asked, not its class."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import narrowlib as nl
from narrowlib import constraints

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "narrowlib"
FILES = sorted(LIBRARY.rglob("*.py"))

# From the top floor to the bottom; a room may import from floors below its own, and no other: so
# there is no circle.
FLOORS = (
    ("exercises",),
    ("study",),
    ("training",),
    ("plots", "sliders", "claims"),
    ("landscape", "certificates"),
    ("solvers",),
    ("constraints", "datasets"),
    ("network",),
    ("_runs", "_lists", "_downloads"),
    ("_files", "_provenance"),
    ("_writing",),
    ("_checks",),
    ("_seen",),
)
ALONE = {"verifier", "proof_verifier"}  # readers copy each of them as one file
FLOOR = {room: k for k, floor in enumerate(FLOORS) for room in floor}

FILE_LINES, FUNCTION_LINES = 300, 60  # but for the verifiers' files


@functools.cache
def tree(path):
    return ast.parse(path.read_text("utf-8"))


def module_name(path):
    """The dotted name by which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imported(path):
    """The modules of narrowlib that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "narrowlib"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports say where from, in full"
            module = node.module or ""
            if module.split(".")[0] == "narrowlib":
                names = [f"{module}.{alias.name}" for alias in node.names]
                found |= {name if name in MODULES else module for name in names}
    return found


def room(name):
    """The part of the house that a module stands in; the door for narrowlib itself."""
    return name.split(".")[1] if "." in name else "the door"


@functools.cache
def arrows():
    """From each room to the rooms that it imports from."""
    found = {room(name): set() for name in MODULES}
    for name, path in MODULES.items():
        found[room(name)] |= {room(other) for other in imported(path)} - {room(name)}
    return found


def picture():
    """The arrows as text, floor by floor; those to the workshop in the cellar are left out."""
    rooms = [name for floor in FLOORS for name in floor]
    wide, lines = max(map(len, rooms)), []
    for name in rooms:
        below = [other for other in (*rooms, *sorted(ALONE)) if other in arrows()[name]]
        below = [other for other in below if name.startswith("_") or not other.startswith("_")]
        lines.append(f"{name:{wide}}  →  {', '.join(below)}" if below else name)
    return "\n".join([*lines, *sorted(ALONE)])


def test_every_room_has_its_floor():
    assert set(arrows()) == {"the door", *FLOOR, *ALONE}


def upward(all_arrows):
    """The rooms with an import that does not point down; a verifier may import nothing."""
    return {
        name
        for name, others in all_arrows.items()
        if name != "the door"
        for other in others - (ALONE if name in FLOOR else set())
        if FLOOR.get(other, -1) <= FLOOR.get(name, len(FLOORS))
    }


def test_imports_point_down():
    assert upward(arrows()) == set()


def test_an_arrow_up_would_be_seen():
    wrong = {"network": "solvers", "landscape": "certificates", "verifier": "network"}
    for below, above in wrong.items():
        assert below in upward(arrows() | {below: {above}})
    assert "exercises" not in upward({"exercises": {"verifier", "network"}})


def test_the_picture_of_the_arrows_is_the_one_in_the_guide():
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    drawn = re.search(r"```text\n(exercises .*?)\n```", guide, re.S)
    assert drawn is not None
    assert drawn[1] == picture(), f"CONTRIBUTING.md should show\n\n{picture()}\n"


# One file, one idea; one function, one page.


def relative(path):
    return path.relative_to(LIBRARY).as_posix()


def test_a_file_has_at_most_300_lines():
    found = {relative(p) for p in FILES if len(p.read_text("utf-8").splitlines()) > FILE_LINES}
    assert found - {f"{name}.py" for name in ALONE} == set()


def docstring_lines(node):
    """The numbers of the lines of a node's docstring and of those of functions in it."""
    taken = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner):
            taken |= set(range(inner.body[0].lineno, inner.body[0].end_lineno + 1))
    return taken


def code_lines(path):
    """For each function of a file, its lines without docstrings and blank ones."""
    lines = path.read_text("utf-8").splitlines()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = set(range(node.lineno, node.end_lineno + 1)) - docstring_lines(node)
            yield node.name, sum(bool(lines[k - 1].strip()) for k in own)


def test_functions_are_counted_without_docstrings_and_blank_lines(tmp_path):
    path = tmp_path / "one.py"
    path.write_text('def f():\n    """One\n    two."""\n\n    # why\n    return 1\n')
    assert list(code_lines(path)) == [("f", 3)]


def test_a_function_has_at_most_60_lines_of_code():
    found = {
        f"{relative(path)}: {function}"
        for path in FILES
        for function, count in code_lines(path)
        if count > FUNCTION_LINES
    }
    assert found == set()


# A set describes itself: only its own package and the verifier, which has sets of its own, ask
# for the class.


def subclasses(cls):
    return {cls.__name__}.union(*map(subclasses, cls.__subclasses__()))


# Those of the library itself: tests of this process may have made more.
SETS = subclasses(constraints.Constraint) & {*vars(nl), *vars(constraints)}
ASKED = SETS - {"Constraint", "Product"}


TESTS = ("isinstance", "issubclass")


def classes_asked_for(path):
    """The sets whose class a file asks for: by isinstance, issubclass, `is` or match."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in TESTS:
            asked = node.args[1:]
        elif isinstance(node, ast.Compare):
            asked = node.comparators
        elif isinstance(node, ast.MatchClass):
            asked = [node.cls]
        else:
            continue
        names = {
            getattr(inner, "id", getattr(inner, "attr", ""))
            for part in asked
            for inner in ast.walk(part)
        }
        found |= names & ASKED
    return found


def test_the_sets_are_known():
    assert {"Ball", "PairedCone", "CircularCone", "Fixed", "Free", "OfNeurons"} <= ASKED


def test_no_file_asks_for_the_class_of_a_set():
    outside = [p for p in FILES if room(module_name(p)) not in {"constraints", *ALONE}]
    assert {relative(path) for path in outside if classes_asked_for(path)} == set()


# Names.


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_is_hidden_by_a_name(name):
    module = importlib.import_module(name)
    seen = functools.reduce(getattr, name.split(".")[1:], nl)
    assert seen is module


def test_what_is_public():
    assert {"Ball", "kkt_certificate", "RESULTS", "constraints", "verifier"} <= set(nl.__all__)
    assert len(set(nl.__all__)) == len(nl.__all__)
    packages = {path.parent.name for path in FILES} - {"constraints"}
    assert not packages & set(nl.__all__)
    assert set(dir(nl)) == {*nl.__all__, "plots", "sliders", "__version__"}
    with pytest.raises(AttributeError, match="has no attribute 'baal'"):
        _ = nl.baal


def test_public_modules_are_there_after_the_import_and_cost_nothing_before():
    code = """
import sys
import narrowlib as nl
from narrowlib import *
print(*sorted({"matplotlib", "narrowlib.verifier", "narrowlib.plots"} & set(sys.modules)))
print(nl.plots.book_style.__name__, nl.sliders.__name__, nl.proof_verifier.verify.__name__)
from narrowlib import plots
print(plots is nl.plots is sys.modules["narrowlib.plots"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == [
        "narrowlib.verifier",  # of the star
        "book_style narrowlib.sliders verify",
        "True",
    ], done.stderr
