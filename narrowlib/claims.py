"""Claims that a notebook checks: a tick and the margin, or what was expected and what was seen.

The book asserts what it says. A reader's machine is not the book's: another version, another
processor or a GPU rounds otherwise, and a check that hangs on rounding must not end the page.
So a check of the book reports, and raises only where `NARROWLIB_STRICT=1` asks for it, as the
book's own tests do.
"""

import ast
import linecache
import operator
import os
import sys
from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any

import numpy as np

from narrowlib._checks import fail, shown

STRICT = "NARROWLIB_STRICT"
ORDER = {ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥", ast.Eq: "=", ast.NotEq: "≠"}
ORDER |= {ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"}
SMALL_LEFT, SMALL_RIGHT = (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)
# Evaluated a second time for the margin: only what costs nothing and changes nothing.
CHEAP = {"abs", "all", "any", "float", "int", "len", "max", "min", "norm", "round", "set", "sorted"}
CHEAP |= {"sum", "values", "mean", "median", "std", "array", "asarray", "isfinite", "log10", "sqrt"}
CHEAP |= {"zip", "range", "enumerate", "items", "keys"}
LONGEST = 60  # characters of a value in print


class claim:
    """Check a claim and report: `with nl.claim("plane-fit"): assert loss < 1e-20`.

    Where every `assert` of the block holds, one line for each comparison says what was seen and
    the margin: how many times the value could grow (or shrink) until the claim fails. Where one
    fails, the line says what was expected and what was seen, the rest of the block is left out,
    and the program goes on. With the environment variable `NARROWLIB_STRICT=1` a failing claim
    raises, as a plain `assert` does. Other errors are raised always.

    Args:
        names: What is claimed: in the book, one or more ids of its ledger of claims.

    Raises:
        ValueError: A name is no text, or there is none.
        AssertionError: An `assert` of the block fails, and `NARROWLIB_STRICT` is 1.

    Example:
        >>> with claim("toy-loss"):
        ...     loss = 2e-9
        ...     assert loss < 1e-8
        ✓ toy-loss
            loss = 2e-09 < 1e-08    margin: 5 times
    """

    def __init__(self, *names: str):
        if not names:
            fail("names", "no name", 'Say what is claimed, as in nl.claim("plane-fit").')
        for name in names:
            if not isinstance(name, str) or not name.strip():
                fail("names", shown(name), "Pass a text that says what is claimed.")
        self.names = names
        self._block: ast.With | None = None

    def __enter__(self) -> "claim":
        frame = sys._getframe(1)
        self._block = _block_at(frame.f_code, frame.f_lineno)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        name = ", ".join(self.names)
        asserts = [] if self._block is None else list(_asserts(self._block))
        if kind is None:
            print(f"✓ {name}")
            frame = sys._getframe(1)
            for node in asserts:
                for text in _lines(node.test, frame):
                    print(f"    {text}")
            return False
        if not issubclass(kind, AssertionError) or os.environ.get(STRICT, "0") not in ("", "0"):
            return False
        print(f"✗ {name}")
        if trace is not None:
            line = trace.tb_lineno
            for node in asserts:
                if node.lineno <= line <= (node.end_lineno or node.lineno):
                    print(f"    expected {ast.unparse(node.test)}")
                    for text in _lines(node.test, trace.tb_frame):
                        print(f"    seen     {text}")
        if str(error):
            print(f"    {str(error).splitlines()[0]}")
        print("    Another machine can round otherwise than the book's. Going on.")
        return True


def _block_at(code: CodeType, line: int) -> ast.With | None:
    """The `with` that is entered at a line of a file or of a notebook's cell, if it can be read."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except (SyntaxError, ValueError):  # a cell with a magic command, for one
        return None
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and node.lineno <= line <= node.body[0].lineno
    ]
    return found[-1] if found else None


def _asserts(block: ast.With) -> Iterator[ast.Assert]:
    """The asserts of a block in their order, without those of functions that it defines."""
    waiting: list[ast.AST] = list(block.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Assert):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting = list(ast.iter_child_nodes(node)) + waiting


def _cheap(node: ast.AST) -> bool:
    """True if evaluating an expression again costs nothing and changes nothing."""
    for part in ast.walk(node):
        if isinstance(part, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            return False
        if isinstance(part, ast.Call):
            called = part.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name not in CHEAP:
                return False
    return True


def _value(node: ast.expr, frame: FrameType) -> Any:
    """What an expression is in a frame; `_Unknown` where that cannot be said."""
    if not _cheap(node):
        raise _Unknown
    # One space of names: a comprehension sees no locals of `eval` otherwise.
    names = {**frame.f_globals, **frame.f_locals}
    try:
        return eval(compile(ast.Expression(node), "<claim>", "eval"), names)
    except Exception as error:
        raise _Unknown from error


class _Unknown(Exception):
    """A value that is not shown."""


def _lines(test: ast.expr, frame: FrameType) -> Iterator[str]:
    """One line for each comparison of an assertion: the values and the margin."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _lines(part, frame)
        return
    inner, generators = _inside(test)
    if not isinstance(inner, ast.Compare):
        return
    sides = [inner.left, *inner.comparators]
    for op, left, right in zip(inner.ops, sides, sides[1:], strict=False):
        try:
            pair: ast.expr = ast.Tuple([left, right], ast.Load())
            if generators:
                pair = ast.ListComp(pair, generators)
            seen = _value(ast.fix_missing_locations(pair), frame)
        except _Unknown:
            continue
        a, b = _worst(op, seen if generators else [seen])
        words = f"{_text(left, a)} {ORDER[type(op)]} {_text(right, b)}"
        yield f"{words}{_margin(op, a, b)}"


def _inside(test: ast.expr) -> tuple[ast.expr, list[ast.comprehension]]:
    """The comparison in `all(… for …)`, `np.all(…)` or `(…).all()`, and what it runs over."""
    if isinstance(test, ast.Call):
        called = test.func
        if isinstance(called, ast.Attribute) and called.attr == "all" and not test.args:
            return called.value, []
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name == "all" and len(test.args) == 1:
            inner = test.args[0]
            if isinstance(inner, ast.GeneratorExp | ast.ListComp):
                return inner.elt, inner.generators
            return inner, []
    return test, []


def _worst(op: ast.cmpop, pairs: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The pair, of all and of all entries of arrays, that is nearest to failing."""
    if not isinstance(op, SMALL_LEFT + SMALL_RIGHT):
        return pairs[0] if pairs else (None, None)
    numbers = []
    for left, right in pairs:
        try:
            a, b = np.broadcast_arrays(np.asarray(left, float), np.asarray(right, float))
        except (TypeError, ValueError):
            return left, right
        numbers += list(zip(a.ravel(), b.ravel(), strict=True))
    sign = 1 if isinstance(op, SMALL_LEFT) else -1
    ratio = all(a > 0 and b > 0 for a, b in numbers)

    def room(pair: tuple[float, float]) -> float:
        a, b = np.log(pair) if ratio else pair
        return sign * (b - a)

    return min(numbers, key=room) if numbers else (None, None)


def _text(node: ast.expr, value: Any) -> str:
    """A side as it is written with its value; a number only as a number."""
    if isinstance(value, float | np.floating) or getattr(value, "shape", None) == ():
        shown = f"{float(value):.4g}" if np.isrealobj(value) else str(value)
    else:
        shown = str(value)
    written = ast.unparse(node)
    if not any(isinstance(part, ast.Name) for part in ast.walk(node)) or len(shown) > LONGEST:
        return written
    return f"{written} = {shown}" if len(written) <= LONGEST else shown


def _margin(op: ast.cmpop, left: Any, right: Any) -> str:
    """How far a comparison of two numbers is from failing."""
    if not isinstance(op, SMALL_LEFT + SMALL_RIGHT):
        return ""
    less, more = (left, right) if isinstance(op, SMALL_LEFT) else (right, left)
    try:
        less, more = float(less), float(more)
    except (TypeError, ValueError):
        return ""
    holds = {ast.Lt: operator.lt, ast.Gt: operator.lt}.get(type(op), operator.le)(less, more)
    if not holds:
        return ": fails"
    if less == more:
        return "    margin: none"
    if less > 0 and np.isfinite(more):
        times = more / less
        return f"    margin: {times:.3g} times" if times < 1e4 else f"    margin: {times:.0e} times"
    return f"    margin: {more - less:.3g}"
