"""Check a rendered site: every internal link and anchor leads somewhere, nothing is loaded from elsewhere, pages are light."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

MAX_WEIGHT = 1_500_000  # Bytes of a page with everything it loads
LOADED_RELS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch"}
CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+(?!url))["']?([^"')\s;]+)""")


class Problem(NamedTuple):
    "One thing that is wrong with a page."

    page: str  # The page, relative to the site's root
    link: str  # The link as written
    reason: str  # What is wrong with it


class Page(HTMLParser):
    "What a page contains: its ids, the links a reader can follow, and the files that it loads."

    def __init__(
        self,
        text: str,  # The page's HTML
    ):
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        "Note the ids, links and loads of one tag."
        a = {k: v or "" for k, v in attrs}
        self.ids |= {a[k] for k in ("id", "name") if a.get(k) and (k == "id" or tag == "a")}
        self.in_style = tag == "style"
        self.loads += CSS_URL.findall(a.get("style", ""))
        href = a.get("href") or a.get("xlink:href")
        if href and tag in ("a", "area"):
            self.links.append(href)
        elif href and (
            tag in ("use", "image") or tag == "link" and LOADED_RELS & set(a.get("rel", "").split())
        ):
            self.loads.append(href)
        if a.get("src"):
            self.loads.append(a["src"])
        self.loads += [part.split()[0] for part in a.get("srcset", "").split(",") if part.strip()]

    def handle_endtag(self, tag: str) -> None:
        "Leave a style element."
        self.in_style = self.in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        "Note what a style element loads."
        if self.in_style:
            self.loads += CSS_URL.findall(data)


class Site:
    "A rendered site on disk."

    def __init__(
        self,
        root: Path,  # The site's folder
    ):
        self.root = root.resolve()
        self.pages = {
            p: Page(p.read_text(encoding="utf-8")) for p in sorted(self.root.rglob("*.html"))
        }
        self.styles: dict[Path, list[str]] = {}

    def name(self, path: Path) -> str:
        "A file's path from the site's root."
        return path.relative_to(self.root).as_posix()

    def target(self, base: Path, link: str) -> Path:
        "The file that a relative link points at."
        path = unquote(urlsplit(link).path)
        file = self.root / path.lstrip("/") if path.startswith("/") else base.parent / path
        return file.resolve() if path else base

    def broken(self, base: Path, link: str) -> str | None:
        "Why an internal link is broken, or None."
        if urlsplit(link).scheme or link.startswith("//"):
            return None
        file, fragment = self.target(base, link), unquote(urlsplit(link).fragment)
        if file != self.root and self.root not in file.parents:
            return "leads outside the site"
        if not file.is_file():
            return (
                "is a folder, which a browser cannot open from disk"
                if file.is_dir()
                else "no such file"
            )
        if fragment and file in self.pages and fragment not in self.pages[file].ids:
            return f"no element with id {fragment!r} on that page"
        return None

    def remote(self, link: str) -> bool:
        "Whether loading this would leave the site."
        return link.startswith("//") or urlsplit(link).scheme in ("http", "https")

    def loaded(self, base: Path, links: list[str], seen: set[Path]) -> list[Problem]:
        "Check what a page or stylesheet loads, and gather the files in `seen`."
        problems = []
        for link in links:
            if self.remote(link):
                problems.append(Problem(self.name(base), link, "is loaded from another site"))
            elif urlsplit(link).scheme == "data" or link.startswith("#"):
                continue
            elif reason := self.broken(base, link):
                problems.append(Problem(self.name(base), link, reason))
            elif (file := self.target(base, link)) not in seen:
                seen.add(file)
                if file.suffix == ".css":
                    inner = self.styles.setdefault(
                        file, CSS_URL.findall(file.read_text(encoding="utf-8"))
                    )
                    problems += self.loaded(file, inner, seen)
        return problems

    def check(self, path: Path, max_weight: int = MAX_WEIGHT) -> tuple[int, list[Problem]]:
        "A page's weight in bytes with all that it loads, and its problems."
        page, seen = self.pages[path], {path}
        problems = self.loaded(path, page.loads, seen)
        problems += [
            Problem(self.name(path), link, reason)
            for link in page.links
            if (reason := self.broken(path, link))
        ]
        weight = sum(file.stat().st_size for file in seen)
        if weight > max_weight:
            heaviest = ", ".join(
                f"{self.name(f)} {f.stat().st_size:,}"
                for f in sorted(seen, key=lambda f: -f.stat().st_size)[:4]
            )
            problems.append(
                Problem(
                    self.name(path), "", f"weighs {weight:,} bytes, over {max_weight:,}: {heaviest}"
                )
            )
        return weight, problems


def check_site(
    root: Path,  # The folder of a rendered site
) -> tuple[dict[str, int], list[Problem]]:  # Each page's weight in bytes, and every problem found
    "Check a whole site: links, anchors, loads from elsewhere, and the weight of each page."
    site = Site(root)
    results = {path: site.check(path) for path in site.pages}
    weights = {site.name(path): weight for path, (weight, _) in results.items()}
    return weights, list(dict.fromkeys(p for _, problems in results.values() for p in problems))
