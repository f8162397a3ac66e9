"""Mermaid diagrams drawn at build time: static SVG, with links, that needs no script in the reader's browser."""

import hashlib
import html
import re
from collections.abc import Callable

FENCE = re.compile(r"^(`{3,})\{?mermaid\}?[ \t]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
CAPTION = re.compile(r"^%%\|\s*fig-cap:\s*[\"']?(.*?)[\"']?\s*$", re.MULTILINE)
WIDE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uf900-\ufaff\uff01-\uff60]")
WIDENED = re.compile(r"—([\ufe00-\ufe0f]{4})")
FONT = '"Noto Sans", "Helvetica Neue", Arial, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif'
VERSION = "2"  # Change it when the drawing changes
CONFIG = {
    "theme": "base",
    "themeVariables": {
        "fontFamily": FONT.replace('"', "'"),
        "fontSize": "15px",
        "primaryColor": "#eaf1fb",
        "primaryTextColor": "#1d2733",
        "primaryBorderColor": "#6f95c9",
        "secondaryColor": "#e9f6ee",
        "tertiaryColor": "#f6f7f9",
        "clusterBkg": "#f6f7f9",
        "clusterBorder": "#c9d1db",
        "lineColor": "#5b6b7d",
        "textColor": "#1d2733",
        "edgeLabelBackground": "#ffffff",
        "noteBkgColor": "#fff7dd",
        "noteBorderColor": "#d9bf6a",
    },
    "flowchart": {"curve": "basis", "padding": 12},
}


def widen(text: str) -> str:
    "Write each full-width character as a dash of its width with its code in zero-width marks: the drawer's font lacks Chinese."
    return WIDE.sub(
        lambda m: "—" + "".join(chr(0xFE00 + int(digit, 16)) for digit in f"{ord(m[0]):04x}"), text
    )


def narrow(text: str) -> str:
    "Undo `widen`."
    return WIDENED.sub(
        lambda m: chr(int("".join(f"{ord(mark) - 0xFE00:x}" for mark in m[1]), 16)), text
    )


def svg_of(source: str) -> str:
    "The SVG of a diagram, laid out for the true width of Chinese labels where the syntax allows."
    import mermaidx

    try:
        return narrow(mermaidx.render(widen(source), config=CONFIG).svg())
    except mermaidx.diagram.MermaidRenderError:  # Chinese stands where Mermaid wants a name
        return mermaidx.render(source, config=CONFIG).svg()


def draw(
    source: str,  # The diagram's Mermaid text
) -> bytes:  # Its SVG, UTF-8
    "Draw one diagram; ids are made unique, so that several can stand on a page."
    own = "mermaid-" + hashlib.sha256(source.encode()).hexdigest()[:8]
    svg = svg_of(source).replace("my-svg", own).replace("xlink:href", "href")
    width, height = (
        round(float(x)) for x in re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg).groups()
    )
    size = (
        f'width="{width}" height="{height}" style="min-width: min({round(width * 0.7)}px, 36rem)"'
    )
    return re.sub(r'width="100%"(.*?) style="[^"]*"', rf"{size}\1", svg, count=1).encode()


def inline_diagrams(
    text: str,  # A Markdown cell
    cached: Callable[
        [str, str, Callable[[], bytes]], bytes
    ],  # `cached(kind, key, build)` keeps what `build()` returns
) -> str:  # The cell with each Mermaid block replaced by its drawing
    "Put drawings in the place of Mermaid blocks."

    def drawing(match: re.Match) -> str:
        source = match[2]
        caption = CAPTION.search(source)
        svg = cached(
            "mermaid",
            VERSION + repr(CONFIG) + source,
            lambda: draw(re.sub(r"^%%\|.*\n", "", source, flags=re.MULTILINE)),
        ).decode()
        below = f"\n<figcaption>{html.escape(caption[1])}</figcaption>" if caption else ""
        return f'```{{=html}}\n<figure class="diagram">\n<div class="diagram-box" tabindex="0">{svg}</div>{below}\n</figure>\n```'

    return FENCE.sub(drawing, text)
