"""The book as one PDF: `make pdf`, with `ARGS=--solutions` for the hints and solutions too.

Chromium prints the built pages one by one, proofs unfolded; pypdf joins them behind a page of
contents, writes the page numbers and turns links to other pages of the book into links within it.
"""

import argparse
import io
import os
import shutil
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import book_status
import yaml
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject

ROOT = book_status.ROOT
MARGINS = {"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"}

# What is for the screen goes; what fits on a page is not cut; what is wide is made narrower.
PRINT = """
  .bd-header, .bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-footer,
  .bd-footer-content, #jb-print-docs-body, .headerlink, .toggle-button, .copybtn,
  .nl-slider input, .nl-slider button, form.ledger-filter, div.cell.check,
  details.hide:not([open]) { display: none !important; }
  .bd-main, .bd-content, .bd-article-container
    { display: block !important; max-width: none !important; }
  .admonition, figure, table, tr, div.highlight, div.cell_output, mjx-container[display="true"]
    { break-inside: avoid; }
  h1, h2, h3, .admonition-title { break-after: avoid; }
  figure img { max-height: 230mm; object-fit: contain; }
  pre { white-space: pre-wrap !important; }
  #main-content h1, article h1 { display: block !important; }
  html { font-size: 13px; }
"""
UNFOLD = """solutions => {
  document.querySelectorAll(".toggle-hidden").forEach(e => e.classList.remove("toggle-hidden"));
  if (!solutions) {
    document.querySelectorAll(".solution, .admonition.hint").forEach(e => e.remove());
  }
}"""


class Chapter(NamedTuple):
    """A page of the book: the part it stands in, its title, its file, and its printed pages."""

    part: str
    title: str
    file: Path
    pdf: bytes


def parts(toc: dict) -> list[tuple[str, list[str]]]:
    """The captions of `_toc.yml` with their pages in order; the root comes first, without one."""

    def walk(items: list[dict]) -> list[str]:
        return [n for item in items for n in (item["file"], *walk(item.get("sections", [])))]

    found = [(part.get("caption", ""), walk(part["chapters"])) for part in toc["parts"]]
    return [("", [toc["root"]]), *found]


def printed(page: Page, **more: object) -> bytes:
    """The page that is open, on A4."""
    return page.pdf(format="A4", margin=MARGINS, print_background=True, **more)  # type: ignore


def chapter(page: Page, part: str, file: Path, solutions: bool) -> Chapter:
    """Prints one page of the built book."""
    page.goto(file.as_uri(), wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.evaluate(UNFOLD, solutions)
    page.add_style_tag(content=PRINT)
    title = page.locator("article h1").first.evaluate(
        "e => [...e.childNodes].filter(n => !n.classList?.contains('headerlink'))"
        ".map(n => n.textContent).join('').trim()"
    )
    return Chapter(part, title, file, printed(page))


def contents(
    page: Page, title: str, author: str, chapters: list[Chapter], first: list[int]
) -> bytes:
    """The title and the contents, each line a link to its page."""
    lines, part = [], ""
    for one, number in zip(chapters, first, strict=True):
        if one.part != part:
            lines.append(f"<h2>{escape(one.part)}</h2>")
            part = one.part
        link = f'<a href="{one.file.as_uri()}">{escape(one.title)}</a>'
        lines.append(f"<p>{link}<span></span><b>{number}</b></p>")
    style = """body { font: 11pt sans-serif } h1 { margin-top: 3cm } h2 { margin: 1em 0 .3em;
      font-size: 1em; break-after: avoid } p { display: flex; margin: .2em 0 } a { color: inherit;
      text-decoration: none } span { flex: 1; border-bottom: 1px dotted; margin: 0 .5em .3em }
      b { font-weight: normal }"""
    page.set_content(
        f"<html lang=en><style>{style}</style><h1>{escape(title)}</h1><div>{escape(author)}</div>"
        f"<h2>Contents</h2>{''.join(lines)}</html>"
    )
    return printed(page)


def numbers(page: Page, count: int) -> bytes:
    """So many empty pages with their numbers, to be laid over the others."""
    page.set_content("".join('<div style="break-after: page">&nbsp;</div>' for _ in range(count)))
    footer = (
        '<div style="width: 100%; text-align: center; font-size: 9px" class="pageNumber"></div>'
    )
    return printed(
        page, display_header_footer=True, header_template="<i></i>", footer_template=footer
    )


def target(annotation: DictionaryObject, starts: dict[str, int]) -> int | None:
    """The page in the whole to which a link of Chromium's leads, if it leads into the book."""
    uri = str(annotation.get("/A", {}).get("/URI", ""))
    return starts.get(unquote(urlsplit(uri).path)) if uri.startswith("file:") else None


def joined(front: bytes, chapters: list[Chapter], overlay: bytes, title: str) -> PdfWriter:
    """One document: contents and chapters, with numbers, an outline and links that work."""
    writer, starts, parent, part = PdfWriter(), {}, None, ""
    writer.append(io.BytesIO(front))
    for one in chapters:
        start = starts[one.file.as_posix()] = len(writer.pages)
        writer.append(io.BytesIO(one.pdf), import_outline=False)
        if one.part != part:
            part, parent = one.part, writer.add_outline_item(title=one.part, page_number=start)
        writer.add_outline_item(title=one.title, page_number=start, parent=parent)
    for page, number in zip(writer.pages, PdfReader(io.BytesIO(overlay)).pages, strict=True):
        page.merge_page(number)
        for reference in page.get("/Annots", ()):
            link = reference.get_object()
            if (place := target(link, starts)) is not None:
                top = [writer.pages[place].indirect_reference, NameObject("/Fit")]
                link[NameObject("/Dest")] = ArrayObject(top)
                del link["/A"]
    writer.add_metadata({"/Title": title})
    writer.compress_identical_objects()
    return writer


def build(browser: Browser, html: Path, pages: list[tuple[str, list[str]]], solutions: bool):
    """The joined document of the pages that are named."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    tab = browser.new_context(color_scheme="light").new_page()
    chapters = [
        chapter(tab, part, html / f"{name}.html", solutions)
        for part, names in pages
        for name in names
    ]
    lengths = [len(PdfReader(io.BytesIO(one.pdf)).pages) for one in chapters]
    front, length = b"", 0
    for _ in range(2):  # its own length moves all others
        first = [length + sum(lengths[:k]) + 1 for k in range(len(chapters))]
        front = contents(tab, config["title"], config["author"], chapters, first)
        length = len(PdfReader(io.BytesIO(front)).pages)
    return joined(front, chapters, numbers(tab, length + sum(lengths)), config["title"])


def executable() -> str | None:
    """An installed Chromium; none for Playwright's own."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--html", type=Path, default=ROOT / "_build/html")
    parser.add_argument("--out", type=Path, default=ROOT / "_build/book.pdf")
    parser.add_argument("--solutions", action="store_true", help="with hints and solutions")
    given = parser.parse_args()
    if not (given.html / "index.html").is_file():
        sys.exit(f"{given.html} holds no built book: run `make book` first.")
    pages = parts(yaml.safe_load((ROOT / "_toc.yml").read_text("utf8")))
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        writer = build(browser, given.html.resolve(), pages, given.solutions)
        browser.close()
    writer.write(given.out)
    print(f"{given.out}: {len(writer.pages)} pages")


if __name__ == "__main__":
    main()
