"""The pages of the library, one library file at a time, under the names that readers type.

`.. library-names:: book/api/network` is a table of what that page documents; of several pages, in
the order of the alphabet. `.. library:: network.model` documents what `narrowlib` exports from that
file, as `narrowlib.forward` and not `narrowlib.network.model.forward`; a module that is exported
whole (`nl.plots`) is documented with its own public names. Signatures show the annotations as the
source writes them: evaluated, `Float[ArrayLike, "n d"]` fills five lines.
"""

import importlib
import inspect
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import stringify_signature

from narrowlib._runs import MEANING

from . import docmath

logger = logging.getLogger(__name__)
PACKAGE = "narrowlib"
FILE = re.compile(r"^\.\. library:: (\S+)", re.M)


def line(thing: object) -> int:
    """Where in its file something is defined, so that the page has the file's order."""
    try:
        return inspect.getsourcelines(inspect.unwrap(thing))[1]
    except (OSError, TypeError):
        return 0


def exported(module: str) -> tuple[str, list[str]]:
    """The prefix and the names under which readers reach the public parts of one file."""
    package = importlib.import_module(PACKAGE)
    public = getattr(package, "__all__", [n for n in vars(package) if not n.startswith("_")])
    home = f"{PACKAGE}.{module}"
    names = [n for n in public if getattr(getattr(package, n), "__module__", None) == home]
    if names:
        return PACKAGE, sorted(names, key=lambda n: line(getattr(package, n)))
    own = importlib.import_module(home)
    return home, [
        n
        for n in getattr(own, "__all__", [n for n in vars(own) if not n.startswith("_")])
        if getattr(vars(own).get(n), "__module__", None) == home
    ]


def markup(prefix: str, name: str) -> list[str]:
    """The autodoc directive for one name."""
    thing = getattr(importlib.import_module(prefix), name)
    kind = "class" if inspect.isclass(thing) else "function" if callable(thing) else "data"
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        kind = "exception"
    lines = [f".. auto{kind}:: {prefix}.{name}"]
    if inspect.isclass(thing):
        # Fields are described under "Args"; listed again they would say nothing new.
        fields = {*getattr(thing, "_fields", ()), *getattr(thing, "__dataclass_fields__", ())}
        members = [
            n
            for n, value in vars(thing).items()
            if not n.startswith("_") and n not in fields and getattr(value, "__doc__", None)
            and (callable(value) or isinstance(value, property | classmethod | staticmethod))
        ]  # fmt: skip
        lines += [f"   :members: {', '.join(members)}"] if members else []
    return [*lines, ""]


class Names(SphinxDirective):
    """A table of the names on the pages that are given: each with its first sentence."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        pages = self.arguments[0].split()
        names = []
        for page in pages:
            path = self.env.doc2path(page)
            self.env.note_dependency(path)
            for module in FILE.findall(Path(path).read_text("utf8")):
                prefix, own = exported(module)
                names += [f"{prefix}.{name}".removeprefix(f"{PACKAGE}.") for name in own]
        if len(pages) > 1:
            names.sort(key=str.lower)
        lines = [f".. currentmodule:: {PACKAGE}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in names]
        holder = nodes.Element()
        self.state.nested_parse(StringList(lines, self.env.docname), 0, holder)
        return holder.children


class Library(SphinxDirective):
    """What one file of the library is about, and an entry for each of its names."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        try:
            prefix, names = exported(module)
        except ImportError as error:
            logger.warning("library: %s", error, location=self.get_location())
            return []
        if not names:
            logger.warning("library: %s exports nothing", module, location=self.get_location())
            return []
        about = inspect.getdoc(sys.modules[f"{PACKAGE}.{module}"]) or ""
        lines = [*docmath.convert(about.splitlines()), "", f".. currentmodule:: {prefix}", ""]
        for name in names:
            lines += markup(prefix, name)
        holder = nodes.Element()
        self.state.nested_parse(StringList(lines, f"{PACKAGE}/{module}.py"), 0, holder)
        return holder.children


def signature(app: Sphinx, what, name, obj, options, args, result):
    """The signature with its annotations as written; autodoc's own where there is none."""
    if not name.startswith(PACKAGE) or what not in ("class", "function", "method"):
        return None
    init = vars(obj).get("__init__") if what == "class" else None  # Flax's metaclass hides it
    try:
        written = inspect.signature(init or obj)
    except (TypeError, ValueError):
        return None
    parameters = list(written.parameters.values())
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    written = written.replace(parameters=parameters)
    text = stringify_signature(written, show_return_annotation=False)
    returns = written.return_annotation
    shown = what != "class" and isinstance(returns, str)
    return text, returns if shown else None


def internal(app: Sphinx, env, node, inner):
    """Leave unlinked a type that the library uses and does not document; a misspelt one warns."""
    if node.get("refdomain") == "py":
        name = str(node["reftarget"]).rpartition(".")[2]
        homes = [module for path, module in sys.modules.items() if path.startswith(f"{PACKAGE}.")]
        if any(hasattr(module, name) for module in homes):
            return inner
    return None


def where(app: Sphinx, what, name, obj, options, lines: list[str]) -> None:
    """Say after the first paragraph where a function runs; `runs` has written it down."""
    if (word := getattr(obj, "runs", None)) in MEANING:
        end = lines.index("") if "" in lines else len(lines)
        lines[end:end] = ["", f"**Runs** {MEANING[word].replace('`', '``')}."]


def setup(app: Sphinx) -> dict:
    app.add_directive("library", Library)
    app.add_directive("library-names", Names)
    app.connect("autodoc-process-docstring", where, priority=300)
    app.connect("autodoc-process-signature", signature)
    app.connect("missing-reference", internal)
    return {"parallel_read_safe": True}
