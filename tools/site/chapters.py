"""Chapters on their way to pages: notebooks read with nbdev's processors, then prepared cell by cell."""

import ast
import hashlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from posixpath import join, normpath, relpath
from urllib.parse import quote, unquote

import api
import diagrams
import yaml
from execnb.nbio import mk_cell, read_nb, write_nb
from nbdev.config import get_config
from nbdev.processors import (
    FilterDefaults,
    add_links,
    add_show_docs,
    clean_show_doc,
    exec_show_docs,
    insert_warning,
    mv_exports,
    rm_export,
)

PARTS = {
    "": "",
    "theory": "Theory",
    "data": "Data processing",
    "pretraining": "Pretraining",
    "finetuning": "Fine-tuning",
    "evaluation": "Evaluation",
    "deployment": "Deployment",
    "applications": "Applications",
    "appendix": "Appendix",
    "engine": "Engine room",
}
NUMBER = re.compile(r"^(e?)0*(\d+)_")  # `07_cleaning`; `e07_rows` in the engine room
TITLE_CELL = re.compile(r"\A\s*(# [^\n]+)\n*((?:>[^\n]*\n?)*)(.*)\Z", re.DOTALL)
CHINESE_TITLE = re.compile(r"^(.*?)\s*[(（]([^()（）]*[\u4e00-\u9fff][^()（）]*)[)）]$")
NOTEBOOK_LINK = re.compile(
    r"""(?<=[("])([^()"\s:]+\.ipynb)((?:#(?:[^()"\s]|\([^()"\s]*\))*)?)(?=[)"\s])"""
)
PAGE_ANCHOR = re.compile(r"(?<=\]\()#((?:[^()\s]|\([^()\s]*\))+)(?=\))")
CODE_NAME = re.compile(r"(?<![\[`\w])`([A-Za-z_][\w.]*)(\(\))?`(?![`\]\w])")
WIDGET = "application/vnd.jupyter.widget-view+json"
LONG = 40  # Lines of an exported cell from which it is folded


class BookFilter(FilterDefaults):
    "nbdev's processors for a book: the code of exported cells is what the chapter teaches, so it stays, and no cell is run."

    dropped = (
        add_show_docs,
        exec_show_docs,
        clean_show_doc,
        rm_export,
        insert_warning,
        mv_exports,
        add_links,
    )

    def base_procs(self):
        "nbdev's processors, less the ones that put API tables in the place of code; those have pages of their own."
        return [p for p in super().base_procs() if p not in self.dropped] + [drop_hidden]


def drop_hidden(cell) -> None:
    "Drop hidden cells and the one that names the module."
    if cell.directives_.keys() & {"hide", "default_exp"}:
        del cell["source"]


@dataclass
class Chapter:
    "A notebook on its way to a page."

    src: str  # Its path below the source folder, such as `data/05_sources.ipynb`
    nb: object  # The notebook
    out: str  # Its page, such as `data/sources.html`
    number: str | None  # Its number in the book, such as `7` or `E7`; none for the front matter
    title: str  # Its English title
    chinese: str  # Its Chinese title, or empty
    subtitle: str  # The sentence under its title
    module: str | None  # The module it exports, such as `data.sources`

    @property
    def part(self) -> str:
        "The part's folder."
        return os.path.dirname(self.src)

    @property
    def label(self) -> str:
        "The number and the English title, as the sidebar shows them."
        return f"{self.number} · {self.title}" if self.number else self.title


def cached(kind: str, key: str, build: Callable[[], bytes]) -> bytes:
    "What `build()` returns, kept in the user's cache folder under a hash of `key`."
    from llm_practice.book import cache_dir

    file = cache_dir() / "site" / kind / hashlib.sha256(key.encode()).hexdigest()[:24]
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_bytes(build())
        part.replace(file)
    return file.read_bytes()


# ---- reading


def split_title_cell(nb) -> None:
    "Leave only the title and the subtitle in the first cell: nbdev makes front matter of that cell and drops the rest."
    cell = next((c for c in nb.cells if c.cell_type == "markdown"), None)
    match = cell and TITLE_CELL.match(cell.source)
    if not match:
        return
    quoted = " ".join(line.lstrip("> ").strip() for line in match[2].splitlines())
    cell.source = f"{match[1]}\n\n> {quoted}" if quoted.strip() else match[1]
    if match[3].strip():
        nb.cells.insert(nb.cells.index(cell) + 1, mk_cell(match[3].strip(), "markdown"))


def exported_module(nb) -> str | None:
    "The module that a notebook exports."
    found = re.search(
        r"^#\|\s*default_exp\s+(\S+)",
        "\n".join(c.source for c in nb.cells if c.cell_type == "code"),
        re.MULTILINE,
    )
    return found[1] if found else None


def read_chapter(path: Path, source: Path) -> Chapter:
    "Read a notebook and run nbdev's processors over it."
    nb = read_nb(path)
    module = exported_module(nb)
    split_title_cell(nb)
    for i, cell in enumerate(nb.cells):
        cell.idx_ = i
    BookFilter()(nb)
    front = nb.frontmatter_
    nb.cells = [c for c in nb.cells if c.cell_type != "raw"]
    src = path.relative_to(source).as_posix()
    title = str(front.get("title") or path.stem)
    chinese = CHINESE_TITLE.match(title)
    found = NUMBER.match(path.name)
    number = (found[1] + found[2]).upper() if found else None
    return Chapter(
        src=src,
        nb=nb,
        out=join(os.path.dirname(src), NUMBER.sub("", path.with_suffix(".html").name)),
        number=number if number != "0" else None,
        title=chinese[1] if chinese else title,
        chinese=chinese[2] if chinese else "",
        subtitle=str(front.get("description") or ""),
        module=module,
    )


def read_chapters(source: Path) -> list[Chapter]:
    "Every notebook of the book, in the book's order."
    paths = [
        p
        for p in source.rglob("*.ipynb")
        if not any(part.startswith((".", "_")) for part in p.relative_to(source).parts)
    ]
    chapters = [read_chapter(p, source) for p in paths]
    unknown = [c.src for c in chapters if c.part not in PARTS]
    if unknown:
        sys.exit(
            f"{', '.join(unknown)}: not in a part of the book; the parts are {', '.join(p for p in PARTS if p)}"
        )
    order = list(PARTS)
    return sorted(chapters, key=lambda c: (order.index(c.part), c.src != "index.ipynb", c.src))


# ---- preparing


class Preparer:
    "Prepares the cells of every chapter for rendering."

    def __init__(self, chapters: list[Chapter], modules: list[api.Module]):
        self.out = {c.src: c.out for c in chapters}
        self.cfg = get_config()
        self.modules = {m.name: m for m in modules}
        owners: dict[str, list[str]] = {}
        for m in modules:
            for s in m.symbols:
                owners.setdefault(s.name, []).append(f"{m.page}#{s.name}")
        self.symbols = {name: pages[0] for name, pages in owners.items() if len(pages) == 1}

    def anchor(self, fragment: str) -> str:
        "An anchor as Jupyter writes it (`#Some-Heading`), as the site writes it (`#some-heading`)."
        from smalldocs.markdown import pandoc_id

        return pandoc_id(unquote(fragment).replace("-", " ")) if fragment else ""

    def link(self, match: re.Match, chapter: Chapter) -> str:
        "Rewrite a link to a notebook as a link to its page."
        target = normpath(join(chapter.part, unquote(match[1])))
        page = self.out.get(target, re.sub(r"\.ipynb$", ".html", target))
        fragment = self.anchor(match[2][1:])
        return quote(relpath(page, chapter.part or ".")) + (f"#{fragment}" if fragment else "")

    def code_name(self, match: re.Match, chapter: Chapter) -> str:
        "Link a name in backticks to its API entry, if it is unmistakably ours."
        name = match[1].rsplit(".", 1)[-1]
        page = self.symbols.get(name)
        ours = (
            "_" in name
            or name != name.lower()
            or match[2]
            or (page or "").startswith(f"api/{chapter.module}.html")
        )
        if not page or not ours:
            return match[0]
        return f"[{match[0]}]({relpath(page, chapter.part or '.')})"

    def markdown(self, text: str, chapter: Chapter) -> str:
        "A Markdown cell with its links rewritten, its diagrams drawn, and our functions linked."
        text = NOTEBOOK_LINK.sub(lambda m: self.link(m, chapter), text)
        text = PAGE_ANCHOR.sub(lambda m: "#" + self.anchor(m[1]), text)
        blocks = re.split(
            r"(^(?:`{3,}|\$\$).*?^(?:`{3,}|\$\$)[ \t]*$)", text, flags=re.MULTILINE | re.DOTALL
        )
        for i in range(0, len(blocks), 2):
            lines = blocks[i].split("\n")
            blocks[i] = "\n".join(
                x if x.startswith("#") else CODE_NAME.sub(lambda m: self.code_name(m, chapter), x)
                for x in lines
            )
        return diagrams.inline_diagrams("".join(blocks), cached)

    def outputs(self, outputs: list, chapter: Chapter) -> list:
        """A cell's outputs without live widgets: what stands beside a widget is shown, and a widget alone is not.

        Links in Markdown outputs are rewritten like those in prose."""
        kept = []
        for out in outputs:
            data = out.get("data") or {}
            if WIDGET in data:
                del data[WIDGET]
                if not set(data) - {"text/plain"}:
                    continue
            if "text/markdown" in data:
                text = "".join(data["text/markdown"])
                data["text/markdown"] = NOTEBOOK_LINK.sub(lambda m: self.link(m, chapter), text)
            kept.append(out)
        return kept

    def fold(self, cell) -> None:
        "Fold a cell of imports only, and an exported cell too long to read in passing, unless the author has decided."
        if re.search(r"^#\|\s*code-fold", cell.source, re.MULTILINE):
            return
        try:
            body = ast.parse(cell.source).body
        except SyntaxError:
            return
        names = [node.name for node in body if hasattr(node, "name")]
        if body and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body):
            summary = "Imports"
        elif "export" in cell.directives_ and cell.source.count("\n") >= LONG:
            summary = f"Exported code: {', '.join(names)}" if names else "Exported code"
        else:
            return
        cell.source = f'#| code-fold: true\n#| code-summary: "{summary}"\n{cell.source}'

    def page_links(self, c: Chapter) -> str:
        "The row of links under the title: Colab, the notebook's source, the API page, and how long the chapter ran."
        cfg, path = self.cfg, f"nbs/{c.src}"
        colab = f"https://colab.research.google.com/github/{cfg.user}/{cfg.repo}/blob/{cfg.branch}/{path}"
        links = {"Open in Colab": colab, "View source": f"{cfg.git_url}/blob/{cfg.branch}/{path}"}
        if c.module in self.modules:
            links[f"API: {c.module}"] = relpath(self.modules[c.module].page, c.part or ".")
        book = c.nb.metadata.get("book") or {}
        ran = (
            f"Ran in {book['seconds']:.0f} s on {book.get('hardware', 'this machine')}"
            if "seconds" in book
            else ""
        )
        return api.link_row(links, ran)

    def write(self, c: Chapter, proc: Path) -> None:
        "Write a chapter's notebook, ready to render, under the name of its page."
        for cell in c.nb.cells:
            if cell.cell_type == "markdown":
                cell.source = self.markdown(cell.source, c)
            elif cell.cell_type == "code":
                cell.outputs = self.outputs(cell.outputs, c)
                self.fold(cell)
        c.nb.metadata.pop("widgets", None)
        cells = [mk_cell(front_matter(c), "raw"), mk_cell(self.page_links(c), "markdown")]
        c.nb.cells = cells + [cell for cell in c.nb.cells if cell.source.strip()]
        file = proc / Path(c.out).with_suffix(".ipynb")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_nb(c.nb, file)


def front_matter(c: Chapter) -> str:
    "A chapter's front matter."
    number = f"[{c.number} ·]{{.chapter-number}} " if c.number else ""
    chinese = f" [{c.chinese}]{{.zh lang=zh}}" if c.chinese else ""
    front = {
        "title": f"{number}{c.title}{chinese}",
        "pagetitle": f"{c.label} {c.chinese}".strip(),
        "description": c.subtitle,
    }
    return f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False, width=10_000)}---\n"
