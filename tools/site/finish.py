"""What is done to rendered pages: maths to MathML, pictures to files, styles and fonts to what the site uses, local search."""

import base64
import hashlib
import html
import io
import json
import logging
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

Cached = Callable[
    [str, str, Callable[[], bytes]], bytes
]  # `cached(kind, key, build)` keeps what `build()` returns
MATHS = re.compile(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', re.DOTALL)
PICTURE = re.compile(r'<img src="data:image/(png|jpeg|gif);base64,([^"]+)"')
CDN = re.compile(r'<(?:link|script)\b[^>]*="https://cdn\.jsdelivr\.net[^>]*>(?:</script>)?')
REMOTE_IMPORT = re.compile(
    r"@import\s+(?:url\()?[\"']?(?:https?:)?//(?:\([^)]*\)|[^;)\"']|;(?=[^{}]*\)))*[\"']?\)?[^;{}]*;"
)
WORDS = re.compile(r"[\w-]+")


class MathsError(Exception):
    "A formula that cannot be drawn, with the page and the reason."


class Maths:
    "Turns TeX into MathML."

    def __init__(self):
        from math_core import LatexToMathML

        self.converter = LatexToMathML(
            fancy_error=False, allow_unreliable_rendering=True, annotation=False
        )

    def convert(
        self,
        tex: str,  # TeX without its dollar signs
        display: bool,  # Whether it stands on lines of its own
        page: str = "",  # The page, for the message when it fails
    ) -> str:  # A `<math>` element that carries its TeX for screen readers and copying
        "Convert one formula."
        from math_core import LatexError

        source = re.sub(r"\\mathop\{\\arg\\?,?\\(min|max)\}", r"\\operatorname*{arg\\,\1}", tex)
        source = re.sub(
            r"\\mathop\{\\(?:mathrm|text|rm)\{([\w ]+)\}\}", r"\\operatorname*{\1}", source
        )
        try:
            out = self.converter.convert_with_local_state(source, displaystyle=display)
        except LatexError as error:
            raise MathsError(f"{page}: the formula {tex!r} cannot be drawn: {error}") from error
        return out.replace("<math", f'<math aria-label="{html.escape(tex)}"', 1)


def draw_maths(text: str, maths: Maths, page: str) -> str:
    "Replace the TeX of a page with MathML."

    def formula(match: re.Match) -> str:
        drawn = maths.convert(html.unescape(match[2]).strip(), match[1] == "display", page)
        return f'<span class="math {match[1]}">{drawn}</span>'

    return MATHS.sub(formula, text)


def image_size(kind: str, data: bytes) -> str:
    "The width and height attributes of a PNG, so that the page does not jump while it loads."
    if kind != "png" or data[12:16] != b"IHDR":
        return ""
    width, height = struct.unpack(">II", data[16:24])
    return f' width="{width}" height="{height}"'


def squeezed(kind: str, data: bytes) -> bytes:
    "A PNG packed as tightly as it can be without loss; other pictures as they are."
    from PIL import Image

    if kind != "png":
        return data
    out, image = io.BytesIO(), Image.open(io.BytesIO(data))
    if image.mode == "RGBA" and image.getextrema()[3] == (
        255,
        255,
    ):  # Nothing shines through: the fourth channel is dead weight
        image = image.convert("RGB")
    image.save(out, "PNG", optimize=True)
    return min(data, out.getvalue(), key=len)


def save_pictures(text: str, page: Path, cached: Cached) -> str:
    "Move the pictures inside a page to files beside it."
    folder = page.with_name(page.stem + "_files")

    def picture(match: re.Match) -> str:
        data = cached("picture 2", match[2], lambda: squeezed(match[1], base64.b64decode(match[2])))
        file = folder / f"{hashlib.sha256(data).hexdigest()[:12]}.{match[1]}"
        folder.mkdir(exist_ok=True)
        file.write_bytes(data)
        return f'<img src="{folder.name}/{file.name}" alt="Figure: the output of the cell above" loading="lazy"{image_size(match[1], data)}'

    return PICTURE.sub(picture, text)


def finish_page(path: Path, maths: Maths, cached: Cached) -> None:
    "Finish one page: maths, pictures, nothing from a CDN, local search."
    text = draw_maths(path.read_text(encoding="utf-8"), maths, path.name)
    text = save_pictures(CDN.sub("", text), path, cached)
    path.write_text(
        text.replace("site_libs/fuse/fuse.min.js", "site_libs/search.js"), encoding="utf-8"
    )


def css_blocks(css: str):
    "The top-level blocks of a stylesheet: what stands before the brace, and what is inside (None for a statement)."
    i = 0
    while i < len(css):
        brace, semi = css.find("{", i), css.find(";", i)
        if brace < 0 or 0 <= semi < brace:
            if semi < 0:
                return
            yield css[i : semi + 1], None
            i = semi + 1
            continue
        depth, j = 1, brace + 1
        while depth and j < len(css):
            depth += {"{": 1, "}": -1}.get(css[j], 0)
            j += 1
        yield css[i:brace].strip(), css[brace + 1 : j - 1]
        i = j


def used_selector(selector: str, words: set[str]) -> bool:
    "Whether every class in a selector occurs somewhere in the site's pages and scripts."
    positive = re.sub(r":not\([^)]*\)", "", selector)
    return all(
        name.replace("\\", "") in words for name in re.findall(r"\.((?:[\w-]|\\.)+)", positive)
    )


def purge(
    css: str,  # A stylesheet
    words: set[str],  # Every word in the site's pages and scripts
) -> str:  # The stylesheet without the rules that no page can use, and without comments
    "Drop the rules whose classes the site does not use."
    out = []
    for head, body in css_blocks(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)):
        if body is None:
            out.append(head)
        elif head.startswith(("@media", "@supports")):
            inner = purge(body, words)
            out.append(f"{head}{{{inner}}}" if inner else "")
        elif head.startswith("@"):
            out.append(f"{head}{{{body}}}")
        else:
            kept = [s for s in re.split(r",(?![^(]*\))", head) if used_selector(s, words)]
            out.append(f"{','.join(kept)}{{{body}}}" if kept else "")
    return "".join(out)


def subset_font(
    path: Path,  # A font file
    characters: set[int],  # The characters to keep
) -> bytes:  # A WOFF font
    "Cut a font down to some characters (and what its MATH table makes of them)."
    from fontTools import subset
    from fontTools.ttLib import TTFont

    logging.getLogger("fontTools").setLevel(logging.ERROR)
    options = subset.Options(
        flavor="woff",
        hinting=False,
        notdef_outline=True,
        layout_features=["ssty", "dtls", "kern", "mark", "mkmk", "ccmp"],
    )
    options.drop_tables += ["DSIG"]
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]  # With the copyright and the licence
    font = TTFont(path)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    font.flavor = "woff"
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def math_characters(pages: list[str]) -> set[int]:
    "The characters that the site's formulas use, with the italic letters that browsers put for single ones."
    text = "".join(re.findall(r"<math\b[^>]*>(.*?)</math>", "".join(pages), re.DOTALL))
    used = {ord(c) for c in html.unescape(re.sub(r"<[^>]+>", "", text))}
    italic = {*range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C), 0x210E}
    drawn = {0x221A, 0x2016, 0x2223}  # The radical sign of <msqrt> is in no text
    return used | italic | drawn | set(range(0x20, 0x7F)) | set(range(0x391, 0x3CA))


def add_math_font(site: Path, pages: list[str], cached: Cached) -> None:
    "Write the font of the formulas, STIX Two Math, cut down to what the site uses."
    import ziamath

    source = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    characters = math_characters(pages)
    font = cached("font", f"math 2 {sorted(characters)}", lambda: subset_font(source, characters))
    (site / "fonts").mkdir(exist_ok=True)
    (site / "fonts" / "math.woff").write_bytes(font)


def trim_icons(libs: Path, words: set[str], cached: Cached) -> None:
    "Cut the icon font and its stylesheet down to the icons that the site shows."
    folder = libs / "bootstrap-icons"
    sheet = folder / "bootstrap-icons.min.css"
    css = purge(re.sub(r"@font-face\{[^}]*\}", "", sheet.read_text(encoding="utf-8")), words)
    codes = set(
        re.findall(
            r"\\(f[0-9a-f]{3})\"", css + (libs / "smalldocs.css").read_text(encoding="utf-8")
        )
    )
    font = cached(
        "font",
        f"icons 2 {sorted(codes)}",
        lambda: subset_font(folder / "fonts" / "bootstrap-icons.woff", {int(c, 16) for c in codes}),
    )
    for old in (folder / "fonts").iterdir():
        old.unlink()
    (folder / "fonts" / "icons.woff").write_bytes(font)
    sheet.write_text(
        '@font-face{font-display:block;font-family:bootstrap-icons;src:url("fonts/icons.woff") format("woff")}'
        + css,
        encoding="utf-8",
    )


def replace_once(text: str, old: str, new: str, where: str) -> str:
    "Replace text that must occur exactly once."
    if text.count(old) != 1:
        raise RuntimeError(
            f"{where} has {old!r} {text.count(old)} times, not once: smalldocs has changed, adapt tools/site/finish.py"
        )
    return text.replace(old, new)


def plain(markup: str) -> str:
    "The text of some HTML on one line."
    return " ".join(
        html.unescape(re.sub(r"<style\b.*?</style>|<[^>]+>", " ", markup, flags=re.DOTALL)).split()
    )


def page_row(path: Path, site: Path) -> dict:
    "A page's own row of the search index: its title, its subtitle and the labels of its diagrams, which smalldocs leaves out."
    text, href = path.read_text(encoding="utf-8"), path.relative_to(site).as_posix()
    title = re.search(r'<h1 class="title">(.*?)</h1>', text, re.DOTALL)
    subtitle = re.search(r'<meta name="description" content="([^"]*)"', text)
    labels = re.findall(r'<figure class="diagram">(.*?)</figure>', text, re.DOTALL)
    found = plain(" ".join([subtitle[1] if subtitle else "", *labels]))
    return {
        "href": href,
        "title": plain(title[1]) if title else path.stem,
        "section": "",
        "text": found,
    }


def search_rows(site: Path, entries: list[dict]) -> list[dict]:
    "The search index: a row for each page, then a row for each of its sections."
    chapters_first = sorted(
        site.rglob("*.html"), key=lambda path: (path.parent.name == "api", path)
    )
    rows = {path.relative_to(site).as_posix(): [page_row(path, site)] for path in chapters_first}
    for entry in entries:
        text = " ".join(entry["text"].split()).removeprefix(
            "source "
        )  # The API's links to the source
        own = rows[entry["href"].split("#")[0]]
        if entry["section"]:
            own.append(
                {
                    "href": entry["href"],
                    "title": own[0]["title"],
                    "section": entry["section"],
                    "text": text,
                }
            )
        else:
            own[0]["text"] += " " + text
    return [row for own in rows.values() for row in own]


def local_search(site: Path, assets: Path) -> None:
    "Make the search work over file:// too and find Chinese: the index is a script, loaded when a reader first searches."
    index, libs = site / "search.json", site / "site_libs"
    entries = search_rows(site, json.loads(index.read_text(encoding="utf-8")))
    data = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    (site / "search-index.js").write_text(f"window.searchIndex = {data};\n", encoding="utf-8")
    index.unlink()
    shutil.rmtree(libs / "fuse")
    (libs / "search.js").write_bytes((assets / "search.js").read_bytes())
    script = libs / "smalldocs.js"
    old = 'const r = await fetch(offset + "search.json");\n      index = await r.json();'
    new = 'index = await window.loadSearchIndex(offset + "search-index.js");'
    script.write_text(
        replace_once(script.read_text(encoding="utf-8"), old, new, script.name), encoding="utf-8"
    )


def finish_smalldocs(site: Path, assets: Path, cached: Cached) -> None:
    "Finish a site that smalldocs rendered."
    maths = Maths()
    for page in site.rglob("*.html"):
        finish_page(page, maths, cached)
    libs = site / "site_libs"
    local_search(site, assets)
    scripts = [*site.rglob("*.html"), *libs.rglob("*.js")]
    words = set(WORDS.findall("".join(p.read_text(encoding="utf-8") for p in scripts)))
    for sheet in (libs / "themes").glob("*.css"):
        css = sheet.read_text(encoding="utf-8")
        sheet.write_text(purge(REMOTE_IMPORT.sub("", css), words), encoding="utf-8")
    trim_icons(libs, words, cached)


def finish(
    site: Path,  # A rendered site
    assets: Path,  # The folder of this file, with `search.js`
    cached: Cached,  # Keeps what is slow to make
) -> None:
    "Finish a rendered site, whichever program rendered it."
    if (site / "site_libs" / "smalldocs.js").exists():
        finish_smalldocs(site, assets, cached)
    for sheet in site.rglob("*.css"):
        css = sheet.read_text(encoding="utf-8")
        if REMOTE_IMPORT.search(css):
            sheet.write_text(REMOTE_IMPORT.sub("", css), encoding="utf-8")
    add_math_font(site, [p.read_text(encoding="utf-8") for p in site.rglob("*.html")], cached)
