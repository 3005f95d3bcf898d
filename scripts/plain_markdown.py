"""MyST as the chapters write it, turned into Markdown that any notebook shows.

Boxes become block quotes with a bold title, what the page folds becomes `<details>`, roles become
links or plain text. What is not known here is refused by its name, so that nothing is lost in
silence. The facts of the book, numbers and addresses, come from a `Page` of `book_index.py`.
"""

import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple, Protocol

CODE_FENCE = re.compile(r"(\s*)(`{3,}|~{3,})\s*(\{([^}`]+)\})?(.*)")
COLON_FENCE = re.compile(r"(\s*)(:{3,})\s*(\{([^}]+)\})?(.*)")
OPTION = re.compile(r"\s*:([\w-]+):(?:\s+(.*))?$")
UNKNOWN_LINE = re.compile(r"\s*(\(\S+\)=\s*$|\+\+\+|%\s|\[\^[^\]]+\]:|\[[^\]]+\]:\s)")
DEFINITION = re.compile(r"(.+)\n: +(.+(?:\n(?!\s*\n).+)*)")

NUMBERED = {
    "algorithm", "assumption", "axiom", "conjecture", "corollary", "criterion", "definition",
    "example", "lemma", "notation", "observation", "property", "proposition", "remark", "theorem",
}  # fmt: skip
NOTES = {"attention", "caution", "danger", "error", "hint", "important", "note", "seealso", "tip"}
NOTES |= {"warning"}
OPTIONS = {"class", "label", "name", "nonumber", "open"}
FOLDED = {"dropdown", "toggle"}


class NotKnown(ValueError):
    """Markup that this module cannot turn into plain Markdown."""


class Directive(NamedTuple):
    """A box: `:::{name} argument`, its options and its lines."""

    name: str
    argument: str
    options: dict[str, str]
    body: list[str]
    indent: str = ""

    @property
    def folded(self) -> bool:
        """Whether the page shows only its title."""
        return bool(FOLDED & set(self.options.get("class", "").split()))


class Code(NamedTuple):
    """Lines that stay as they are: a block of code with its fences."""

    lines: list[str]


Block = str | Code | Directive


class Page(Protocol):
    """What the book knows about a page and its surroundings."""

    def box(self, directive: Directive) -> tuple[str, str | None]:
        """The box's name, "Theorem 3", and where it comes from; called in the order of the page."""
        ...

    def named(self, label: str) -> tuple[str, str]:
        """What a label stands for, "Theorem 3", and its address."""
        ...

    def claim(self, name: str) -> tuple[str, str]:
        """The status of a claim, and the address of its row."""
        ...

    def citation(self, key: str) -> tuple[str, str, str]:
        """Authors, year (or nothing) and address of a work."""
        ...

    def page(self, target: str) -> tuple[str, str]:
        """Title and address of a page of the book, or of a file beside it."""
        ...

    def term(self, word: str) -> str:
        """The address of a word of the glossary."""
        ...


def fence_end(lines: list[str], start: int, marks: str) -> int:
    """The line that closes a fence: as many of its marks or more, and nothing else."""
    for number in range(start, len(lines)):
        line = lines[number].strip()
        if len(line) >= len(marks) and set(line) == {marks[0]}:
            return number
    raise NotKnown(f"{lines[start - 1].strip()!r} is not closed.")


def directive(name: str, argument: str, body: list[str], indent: str) -> Directive:
    """A box from the lines between its fences."""
    body = [line.removeprefix(indent) for line in body]
    options = {}
    if body and body[0].strip() == "---":  # options as YAML, which no chapter has
        options["---"], body = "", body[1:]
    while body and (option := OPTION.match(body[0])):
        options[option[1]] = (option[2] or "").strip()
        body = body[1:]
    return Directive(name.strip(), argument.strip(), options, body, indent)


def blocks(text: str) -> Iterator[Block]:
    """The text as paragraphs, code and boxes, in order; what a box holds is not looked at."""
    lines, plain, number = text.split("\n"), [], 0
    while number < len(lines):
        fence = CODE_FENCE.fullmatch(lines[number]) or COLON_FENCE.fullmatch(lines[number])
        if fence is None:
            plain.append(lines[number])
            number += 1
            continue
        indent, marks, _, name, rest = fence.groups()
        if plain:
            yield "\n".join(plain)
            plain = []
        end = fence_end(lines, number + 1, marks)
        if name:
            yield directive(name, rest, lines[number + 1 : end], indent)
        elif marks[0] == ":":
            raise NotKnown(f"{lines[number].strip()!r} names no directive.")
        else:
            yield Code(lines[number : end + 1])
        number = end + 1
    if plain:
        yield "\n".join(plain)


def directives(text: str) -> Iterator[Directive]:
    """Every box of a text, each before those that stand in it."""
    for block in blocks(text):
        if isinstance(block, Directive):
            yield block
            yield from directives("\n".join(block.body))


def convert(text: str, page: Page, quoted: bool = False) -> str:
    """A text in plain Markdown; in a block quote each formula stands on one line."""
    parts = []
    for block in blocks(text):
        if isinstance(block, Code):
            parts.append("\n".join(block.lines))
        elif isinstance(block, Directive):
            made = boxed(block, page, quoted).split("\n")
            parts.append("\n".join(f"{block.indent}{line}".rstrip() for line in made))
        else:
            parts.append(paragraphs(block, page, quoted))
    # Two block quotes in a row would run together; a comment parts them and is not shown.
    joined: list[str] = []
    for part in parts:
        before = next((p for p in reversed(joined) if p.strip()), "")
        if last_line(before).startswith(">") and part.lstrip("\n").startswith(">"):
            joined.append("\n<!-- -->\n")
        joined.append(part)
    return "\n".join(joined)


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(text.split("\n")) if line.strip()), "")


def boxed(box: Directive, page: Page, quoted: bool) -> str:
    """A box as a block quote, as a paragraph with a bold beginning, or folded."""
    kind, _, rest = box.name.partition(":")
    if unknown := set(box.options) - OPTIONS:
        raise NotKnown(f"{{{box.name}}} has the option {sorted(unknown)[0]!r}.")
    argument = inline(box.argument, page)
    if box.name in NOTES - {"hint"} and box.argument:  # the first line of the note itself
        box = box._replace(argument="", body=[box.argument, *box.body])
    if kind == "prf" and rest in NUMBERED:
        name, source = page.box(box)
        title = f"{name} ({argument})" if argument else name
        head = f"**{title}.**" + (f"\n\n*Source:* {inline(source, page, True)}." if source else "")
        return quote(f"{head}\n\n{contents(box, page, True)}")
    if box.name == "prf:proof":
        proof = contents(box, page, quoted)
        if box.folded:
            return folded("Proof", proof)
        begins = re.match(r"\s*(\d+\.|[-*>|#]|\$\$|```)\s?", proof)
        return f"**Proof.**{chr(10) * 2 if begins else ' '}{proof}"
    if box.name == "exercise":
        name, _ = page.box(box)
        return f"### {name}{': ' if argument else ''}{argument}\n\n{contents(box, page, quoted)}"
    if box.name == "solution":
        name, _ = page.named(box.argument)
        return folded(f"Solution to {name}", contents(box, page, quoted))
    if box.name == "hint":
        return folded("Hint", contents(box, page, quoted))
    if box.name == "dropdown" or (box.name == "admonition" and box.folded):
        return folded(argument, contents(box, page, quoted))
    if box.name == "admonition":
        return quote(f"**{argument}**\n\n{contents(box, page, True)}")
    if box.name in NOTES:
        name = "See also" if box.name == "seealso" else box.name.title()
        if box.folded:
            return folded(name, contents(box, page, quoted))
        return quote(f"**{name}.** {contents(box, page, True)}")
    raise NotKnown(f"the directive {{{box.name}}} is not known here.")


def contents(box: Directive, page: Page, quoted: bool) -> str:
    """What stands in a box."""
    return convert("\n".join(box.body), page, quoted).strip("\n")


def quote(text: str) -> str:
    """A block quote."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def folded(title: str, text: str) -> str:
    """A text that a click on its title shows; the blank lines make its Markdown count."""
    title = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(title, quote=False))
    title = re.sub(r"\*(.+?)\*", r"<em>\1</em>", title)
    title = re.sub(r"`([^`]+)`", r"<code>\1</code>", title)
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"


def paragraphs(text: str, page: Page, quoted: bool) -> str:
    """Text between boxes: lists of terms become lists, roles links."""
    for line in text.split("\n"):
        if UNKNOWN_LINE.match(line):
            raise NotKnown(f"the line {line.strip()[:60]!r} is not known here.")
    text = DEFINITION.sub(lambda m: f"- **{m[1].strip()}**: {m[2]}", text)
    if lost := re.search(r"^: .*", text, re.M):
        raise NotKnown(f"the line {lost[0][:60]!r} defines nothing.")
    return inline(text, page, quoted)


def inline(text: str, page: Page, quoted: bool = False) -> str:
    """The roles and links of a text; code and formulas stay as they are."""
    kept: list[str] = []

    def keep(part: str) -> str:
        kept.append(part)
        return f"\0{len(kept) - 1}\0"

    out, place = [], 0
    mark = re.compile(r"\\.|(?:\{([\w:.+-]+)\})?(`+)|\$\$|\$", re.S)
    while found := mark.search(text, place):
        out.append(text[place : found.start()])
        role, ticks = found[1], found[2]
        if ticks:
            ends = re.compile(rf"(?<!`){ticks}(?!`)")
        else:
            ends = re.compile(rf"(?<!\\){re.escape(found[0])}")
        end = None if found[0][0] == "\\" else ends.search(text, found.end())
        if end is None or "\n\n" in text[found.end() : end.start()]:
            if role:
                raise NotKnown(f"the role {{{role}}} is not closed.")
            out.append(keep(found[0]) if found[0][0] == "\\" else found[0])
            place = found.end()
            continue
        inside, whole = text[found.end() : end.start()], text[found.start() : end.end()]
        if role:
            whole = in_role(role, re.sub(r"\s+", " ", inside), page)
        elif not ticks and (quoted or found[0] == "$"):
            whole = re.sub(r"\s*\n\s*", " ", whole)
        out.append(keep(whole))
        place = end.end()
    marked = "".join(out) + text[place:]
    if "{{" in marked:
        raise NotKnown(f"the substitution {marked[marked.index('{{') :][:40]!r} is not known here.")
    if "[^" in marked:
        raise NotKnown(f"the footnote {marked[marked.index('[^') :][:40]!r} is not known here.")
    marked = re.sub(r"\[([^\[\]]*)\]\(([^()\s]+)\)", lambda m: linked(m[1], m[2], page), marked)
    while "\0" in marked:
        marked = re.sub(r"\0(\d+)\0", lambda m: kept[int(m[1])], marked)
    return marked


def linked(words: str, target: str, page: Page) -> str:
    """A link with the whole address; a page that is named by nothing is named by its title."""
    if re.match(r"https?://|mailto:", target):
        return f"[{words}]({target})"
    title, address = page.page(target)
    return f"[{words or title}]({address})"


def in_role(role: str, text: str, page: Page) -> str:
    """A role as a link or as text."""
    explicit = re.fullmatch(r"(.+?)\s*<([^<>]+)>", text)
    words, target = (explicit[1], explicit[2]) if explicit else ("", text)
    if role == "claim":
        status, address = page.claim(text)
        return f"([{status}]({address}))"
    if role in ("prf:ref", "ref", "numref"):
        name, address = page.named(target)
        words = words.replace("%s", name.rpartition(" ")[2])
        return f"[{words or name}]({address})"
    if role in ("cite", "cite:p", "cite:t"):
        works = [page.citation(key.strip()) for key in text.split(",")]
        form = " ({})" if role == "cite:t" else ", {}"  # of the year, where there is one
        links = [f"[{n}{form.format(year) if year else ''}]({at})" for n, year, at in works]
        return ", ".join(links) if role == "cite:t" else f"({', '.join(links)})"
    if role == "doc":
        title, address = page.page(target)
        return f"[{words or title}]({address})"
    if role == "term":
        return f"[{words or target}]({page.term(target)})"
    if role == "math":
        return f"${text}$"
    raise NotKnown(f"the role {{{role}}} is not known here.")
