#!/usr/bin/env python
"""Look at a built site as its readers will: links, screen readers, phones, the search.

Every link and picture must be there, and nothing may come from another host. Then a browser opens
the pages: no serious finding of axe in light and dark, no scrolling sideways at 390 pixels, no
message on the console. Prints what is wrong, a line each, and ends with 1 if there is anything.

\b
.venv/site/bin/python docs/site/check.py output/site
.venv/site/bin/python docs/site/check.py output/site --sample 4
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

PHONE = 390  # pixels
WORD = "rknn"  # stands on a page in every language
BROWSER = "/usr/bin/chromium"
# Pages that a run made by itself; their own tests look at them.
OF_A_RUN = ("report.html", "try.html")


class Page(HTMLParser):
    """The links of a page, what it loads, and the anchors that it has."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        loaded = given.get("src") if tag != "a" else None
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            loaded = given.get("href")
        if loaded:
            self.loads.append(loaded)


def faulty_links(site: Path) -> Iterator[str]:
    """Links that lead nowhere, and what would be loaded from another host."""
    pages = {path: Page(path) for path in pages_of(site)}
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in page.loads + page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    yield f"{name}: loads {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.is_relative_to(site) or not target.is_file():
                yield f"{name}: {link} leads nowhere"
            elif parts.fragment and not _has(pages.get(target), unquote(parts.fragment)):
                yield f"{name}: {link}: no such place"


def pages_of(site: Path) -> list[Path]:
    """All pages of a site, without the theme's own."""
    return [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]


def _has(page: Page | None, anchor: str) -> bool:
    """Whether a page has an anchor; what is no page of the site is not looked into."""
    return page is None or anchor in page.anchors


def faults_in_browser(site: Path, pages: list[Path]) -> Iterator[str]:
    """What a browser finds: axe, width on a phone, messages, requests, the search."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    axe = Axe()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        for path in pages:
            name = path.relative_to(site)
            for scheme in ("light", "dark"):
                context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
                page = context.new_page()
                heard: list[str] = []
                page.on("console", lambda m, heard=heard: heard.extend(_complaint(m)))
                page.on("pageerror", lambda e, heard=heard: heard.append(f"error: {e}"))
                page.on("request", lambda r, heard=heard: heard.extend(_elsewhere(r.url)))
                page.goto(path.as_uri())
                yield from (f"{name}, {scheme}: {line}" for line in heard)
                for found in axe.run(page).response["violations"]:
                    if found["impact"] in ("serious", "critical"):
                        where = found["nodes"][0]["target"]
                        yield f"{name}, {scheme}: {found['id']}, {len(found['nodes'])} x, {where}"
                page.set_viewport_size({"width": PHONE, "height": 800})
                wide = page.evaluate("document.documentElement.scrollWidth")
                if wide > PHONE:
                    yield f"{name}: {wide} pixels wide on a phone of {PHONE}"
                context.close()
        yield from _faults_of_search(browser, site)
        browser.close()


def _complaint(message) -> list[str]:
    return [f"console: {message.text}"] if message.type in ("warning", "error") else []


def _elsewhere(address: str) -> list[str]:
    return [] if address.startswith(("file:", "data:", "blob:")) else [f"asks for {address}"]


def _faults_of_search(browser, site: Path) -> Iterator[str]:
    for search in sorted(site.glob("*/search.html")):
        page = browser.new_page()
        page.goto(f"{search.as_uri()}?q={WORD}")
        try:
            page.wait_for_selector("#search-results li a", timeout=20_000)
        except Exception as error:
            yield f"{search.relative_to(site)}: finds nothing: {error}"
        page.close()


@click.command("check", help=__doc__)
@click.argument("site", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--sample", type=int, help="Pages that the browser opens; else all.")
def check(site: Path, sample: int | None) -> None:
    site = site.resolve()
    pages = [path for path in pages_of(site) if path.name not in (*OF_A_RUN, "index.html")]
    step = max(1, len(pages) // sample) if sample else 1
    found = [*faulty_links(site), *faults_in_browser(site, pages[::step])]
    print(*found or [f"{len(pages[::step])} pages, nothing found"], sep="\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    check()
