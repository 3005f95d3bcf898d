"""What other sites show of a page that is linked there (Open Graph), and a map for search engines.

A page's card is its title, its first sentences and its first picture. All addresses begin with the
one that `scripts/address.py` reads from `_config.yml`; the pages fetch none of them.
"""

import re
import sys
from html import escape
from pathlib import Path
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
import address

PICTURE = re.compile(r'<img\b[^>]*\bsrc="(?:\.\./)*(_images/[^"]+\.(?:png|jpe?g|gif))"[^>]*>')
ALT = re.compile(r'\balt="([^"]*)"')
LONGEST = 200  # characters of a description


def summary(doctree: nodes.document) -> str:
    """The first words of a page, whole ones."""
    paragraphs = (p.astext() for p in doctree.findall(nodes.paragraph))
    text = " ".join(next(paragraphs, "").split())
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST].rpartition(' ')[0]} …"


def tags(title: str, about: str, url: str, home: str, site: str, body: str) -> str:
    """The page's card as tags of its head."""
    words = {
        "og:site_name": site,
        "og:type": "article",
        "og:title": title,
        "og:description": about,
        "og:url": url,
    }
    if picture := PICTURE.search(body):
        alt = ALT.search(picture[0])
        words |= {"og:image": f"{home}/{picture[1]}", "og:image:alt": alt[1] if alt else title}
    lines = [f'<meta name="description" content="{escape(about)}">']
    lines += [f'<meta property="{k}" content="{escape(v)}">' for k, v in words.items()]
    card = "summary_large_image" if picture else "summary"
    return "\n".join([*lines, f'<meta name="twitter:card" content="{card}">', ""])


def page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if doctree is None:
        return
    home, title = app.config.public_address, app.env.titles[pagename].astext()
    url = f"{home}/{quote(pagename)}.html"
    given = (title, summary(doctree), url, home, app.config.html_title, context.get("body", ""))
    context["metatags"] = context.get("metatags", "") + tags(*given)


def sitemap(app: Sphinx, failed: Exception | None) -> None:
    """Write `sitemap.xml` with every page of the book."""
    if failed or app.builder.name != "html":
        return
    pages = sorted(app.env.found_docs)
    urls = [f"<url><loc>{app.config.public_address}/{quote(p)}.html</loc></url>" for p in pages]
    lines = ['<?xml version="1.0" encoding="utf-8"?>']
    lines += [
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
        *urls,
        "</urlset>",
        "",
    ]
    (Path(app.outdir) / "sitemap.xml").write_text("\n".join(lines), "utf8")


def read(app: Sphinx, config) -> None:
    text = (Path(app.srcdir) / "_config.yml").read_text("utf8")
    config.public_address = address.pages(text)


def setup(app: Sphinx) -> dict:
    app.add_config_value("public_address", "", "html")
    app.connect("config-inited", read)
    app.connect("html-page-context", page, priority=850)
    app.connect("build-finished", sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
