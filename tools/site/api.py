"""API pages from docments, read from the source without importing it: signature, meaning of each parameter, links."""

import ast
import html
import io
import tokenize
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Param:
    "A parameter, a dataclass field, or what a function returns."

    name: str  # Its name; empty for the value returned
    type: str  # Its annotation, or empty
    default: str  # Its default as written, or empty
    doc: str  # Its docment


@dataclass
class Symbol:
    "A public function, class, method or constant."

    name: str  # Its name, such as `load` or `Trainer.fit`
    line: int  # The line where it is defined
    signature: str  # Python that shows how it is called
    doc: str  # Its docstring
    params: list[Param]  # Its parameters, and last what it returns
    members: list["Symbol"]  # The public methods of a class


@dataclass
class Module:
    "An exported module."

    name: str  # Its name below the package, such as `data.sources`
    doc: str  # Its docstring
    path: str  # Its file, from the repository's root
    symbols: list[Symbol]  # What it exports, in the order of the file

    @property
    def page(self) -> str:
        "Its page, from the site's root."
        return f"api/{self.name}.html"


def comments(source: str) -> dict[int, str]:
    "The comment on each line that has one."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def text(node: ast.AST | None) -> str:
    "The Python of a node, or nothing."
    return ast.unparse(node) if node is not None else ""


class Reader:
    "Reads the public symbols of one module."

    def __init__(self, source: str):
        self.comments = comments(source)
        self.tree = ast.parse(source)

    def params(self, fn: ast.FunctionDef) -> list[Param]:
        "A function's parameters and what it returns, each with the comment on its line."
        a = fn.args
        positional = [*a.posonlyargs, *a.args]
        defaults = [None] * (len(positional) - len(a.defaults)) + a.defaults
        rows = list(zip([""] * len(positional), positional, defaults))
        rows += [("*", a.vararg, None)] if a.vararg else []
        rows += list(zip([""] * len(a.kwonlyargs), a.kwonlyargs, a.kw_defaults))
        rows += [("**", a.kwarg, None)] if a.kwarg else []
        rows = [row for row in rows if row[1].arg not in ("self", "cls")]
        close = fn.returns.end_lineno if fn.returns else 0
        out = [
            Param(
                star + arg.arg,
                text(arg.annotation),
                text(default),
                self.comments.get(arg.lineno, "") if arg.lineno != close else "",
            )
            for star, arg, default in rows
        ]
        if fn.returns and (self.comments.get(close) or text(fn.returns) != "None"):
            out.append(Param("", text(fn.returns), "", self.comments.get(close, "")))
        return out

    def function(self, fn: ast.FunctionDef, name: str) -> Symbol:
        "A function or method."
        params = self.params(fn)
        return Symbol(
            name, fn.lineno, signature(name, params), ast.get_docstring(fn) or "", params, []
        )

    def klass(self, node: ast.ClassDef) -> Symbol:
        "A class, with the parameters of its `__init__` or its fields, and its public methods."
        methods = [m for m in node.body if isinstance(m, (ast.FunctionDef, ast.AsyncFunctionDef))]
        init = next((m for m in methods if m.name == "__init__"), None)
        fields = [
            Param(
                f.target.id, text(f.annotation), text(f.value), self.comments.get(f.end_lineno, "")
            )
            for f in node.body
            if isinstance(f, ast.AnnAssign)
            and isinstance(f.target, ast.Name)
            and not f.target.id.startswith("_")
        ]
        params = [p for p in self.params(init) if p.name] if init else fields
        members = [
            self.function(m, f"{node.name}.{m.name}")
            for m in methods
            if not m.name.startswith("_") and ast.get_docstring(m)
        ]
        shown = (
            signature(node.name, params)
            if params
            else f"{node.name}({', '.join(map(text, node.bases))})"
        )
        return Symbol(
            node.name, node.lineno, f"class {shown}", ast.get_docstring(node) or "", params, members
        )

    def symbols(self) -> list[Symbol]:
        "The module's public symbols."
        out = []
        for node in self.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                out.append(self.function(node, node.name))
            elif isinstance(node, ast.ClassDef):
                out.append(self.klass(node))
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                out.append(self.constant(node))
        return [s for s in out if not s.name.startswith("_")]

    def constant(self, node: ast.Assign) -> Symbol:
        "A constant, with its value cut to one line."
        code = ast.unparse(node)
        return Symbol(
            node.targets[0].id,
            node.lineno,
            code if len(code) <= 100 else code[:97] + "…",
            self.comments.get(node.lineno, ""),
            [],
            [],
        )


def signature(name: str, params: list[Param]) -> str:
    "A call that shows the parameters, on one line if it fits, else one line each."
    args = [
        p.name + (f": {p.type}" if p.type else "") + (f" = {p.default}" if p.default else "")
        for p in params
        if p.name
    ]
    returns = next((f" -> {p.type}" for p in params if not p.name), "")
    line = f"{name}({', '.join(args)}){returns}"
    return (
        line
        if len(line) <= 76
        else f"{name}(\n" + "".join(f"    {arg},\n" for arg in args) + f"){returns}"
    )


def read_module(path: Path, package: Path) -> Module:
    "Read one exported module."
    source = path.read_text(encoding="utf-8")
    reader = Reader(source)
    name = ".".join(path.relative_to(package).with_suffix("").parts)
    return Module(
        name,
        ast.get_docstring(reader.tree) or "",
        path.relative_to(package.parent).as_posix(),
        reader.symbols(),
    )


def read_package(
    package: Path,  # The folder of the exported package
) -> list[Module]:  # Its modules that nbdev exported and that hold something public, by name
    "Read every exported module of a package."
    paths = [p for p in sorted(package.rglob("*.py")) if not p.name.startswith("_")]
    modules = [
        read_module(p, package) for p in paths if "AUTOGENERATED" in p.read_text(encoding="utf-8")
    ]
    return [m for m in modules if m.symbols]


def cell(value: str) -> str:
    "Text for a cell of a Markdown table."
    return " ".join(value.replace("|", "\\|").split())


def code(value: str) -> str:
    "Code for a cell of a Markdown table."
    return f"`{cell(value)}`" if value else ""


def table(params: list[Param]) -> str:
    "The docments table, or nothing when no parameter says more than the signature."
    if not any(p.doc for p in params):
        return ""
    rows = [
        f"| {code(p.name) or '*returns*'} | {code(p.type)} | {code(p.default)} | {cell(p.doc)} |"
        for p in params
    ]
    return "\n".join(
        ["::: {.docments}", "| | Type | Default | Meaning |", "|:--|:--|:--|:--|", *rows, ":::"]
    )


def symbol_markdown(s: Symbol, source_url: str, level: int = 2) -> str:
    "A symbol's part of its module's page."
    head = f"{'#' * level} {s.name} {{#{s.name} .api-name}}"
    source = f"[source]({source_url}#L{s.line}){{.api-source}}"
    parts = [head, source, f"```python\n{s.signature}\n```", s.doc, table(s.params)]
    return (
        "\n\n".join(p for p in parts if p)
        + "\n\n"
        + "".join(symbol_markdown(m, source_url, level + 1) for m in s.members)
    )


def link_row(
    links: dict[str, str],  # Text and address of each link
    note: str = "",  # What stands after them
) -> str:  # A raw block, so that the search leaves it out
    "The row of links under a page's title."
    row = "\n".join(
        f'<a href="{html.escape(href)}">{html.escape(label)}</a>' for label, href in links.items()
    )
    after = f'\n<span class="ran">{html.escape(note)}</span>' if note else ""
    return f'```{{=html}}\n<div class="page-links">\n{row}{after}\n</div>\n```'


def module_markdown(m: Module, links: dict[str, str], source_url: str) -> str:
    "A module's page, after its front matter."
    return link_row(links) + "\n\n" + "\n".join(symbol_markdown(s, source_url) for s in m.symbols)


def index_markdown(modules: list[Module]) -> str:
    "The API's front page: every module with what it exports."
    parts = []
    for m in modules:
        rows = [
            f"- [`{s.name}`]({m.name}.html#{s.name}){' — ' + s.doc.splitlines()[0] if s.doc else ''}"
            for s in m.symbols
        ]
        parts.append(f"## [{m.name}]({m.name}.html) {{#{m.name}}}\n\n{m.doc}\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"
