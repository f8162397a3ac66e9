"""Render the book as a site: `python tools/site/build.py [SOURCE]` turns the notebooks in SOURCE (default: nbs) into `_docs/`.

nbdev's processors prepare the notebooks in `_proc/` under the names of their pages; Quarto renders them where it is
installed, else smalldocs. Both read the same `_quarto.yml` and give the same addresses. At the end every link is checked.
"""

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import yaml
from nbdev.config import get_config

ASSETS = Path(__file__).resolve().parent
ROOT = ASSETS.parent.parent
sys.path[:0] = [str(ASSETS), str(ROOT)]

import api
import chapters as book
import check
import finish
from chapters import PARTS, Chapter

ASSET_SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".css"}


def write_api(modules: list[api.Module], chapters: list[Chapter], proc: Path) -> None:
    "Write the API pages."
    cfg, folder = get_config(), proc / "api"
    folder.mkdir(parents=True, exist_ok=True)
    for m in modules:
        source = f"{cfg.git_url}/blob/{cfg.branch}/{m.path}"
        links = {c.label: f"../{c.out}" for c in chapters if c.module == m.name} | {
            "View source": source
        }
        front = {"title": f"{cfg.lib_path.name}.{m.name}", "description": m.doc.split("\n\n")[0]}
        write_page(folder / f"{m.name}.qmd", front, api.module_markdown(m, links, source))
    front = {
        "title": "API",
        "description": f"Everything that the chapters export, importable from `{cfg.lib_path.name}`.",
    }
    write_page(folder / "index.qmd", front, api.index_markdown(modules))


def write_page(path: Path, front: dict, body: str) -> None:
    "Write a page of Markdown."
    path.write_text(
        f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False)}---\n\n{body}",
        encoding="utf-8",
    )


def sidebar(chapters: list[Chapter], modules: list[api.Module]) -> list:
    "The sidebar: parts and chapters that exist, then the API."
    contents: list = []
    for part, title in PARTS.items():
        pages = [
            {"text": c.label, "href": str(Path(c.out).with_suffix(".ipynb"))}
            for c in chapters
            if c.part == part
        ]
        contents += pages if not part else [{"section": title, "contents": pages}] if pages else []
    if modules:
        pages = [{"text": m.name, "href": f"api/{m.name}.qmd"} for m in modules]
        contents.append({"section": "API", "href": "api/index.qmd", "contents": pages})
    return contents


def write_config(chapters: list[Chapter], modules: list[api.Module], proc: Path) -> None:
    "Write `_quarto.yml` with what settings.ini and the notebooks know."
    cfg = get_config()
    config = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    config["project"] |= {"output-dir": "_docs", "resources": ["llms.txt"]}
    web = config["website"]
    web |= {
        "title": cfg.title,
        "description": cfg.description,
        "site-url": cfg.doc_host + cfg.doc_baseurl,
        "repo-url": cfg.git_url,
    }
    web["sidebar"]["contents"] = sidebar(chapters, modules)
    web["navbar"]["tools"] = [{"icon": "github", "href": cfg.git_url, "text": "Source code"}]
    (proc / "_quarto.yml").write_text(
        yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8"
    )


def copy_assets(source: Path, proc: Path) -> None:
    "Copy the style and the pictures that notebooks refer to."
    for folder in (ROOT / "nbs", source):
        for file in folder.rglob("*"):
            rel = file.relative_to(folder)
            if file.suffix in ASSET_SUFFIXES and not any(
                p.startswith((".", "_")) for p in rel.parts
            ):
                (proc / rel).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, proc / rel)
    for name in ("site.css", "favicon.svg"):
        shutil.copy2(ASSETS / name, proc / name)


def write_llms(chapters: list[Chapter], proc: Path) -> None:
    "Write llms.txt (llmstxt.org): what the book is, and each chapter with its sentence."
    cfg = get_config()
    base = cfg.doc_host + cfg.doc_baseurl
    parts = [f"# {cfg.title}\n\n> {cfg.description}\n"]
    for part, title in PARTS.items():
        rows = [f"- [{c.label}]({base}/{c.out}): {c.subtitle}" for c in chapters if c.part == part]
        parts += [f"## {title or 'Start here'}\n", "\n".join(rows) + "\n"] if rows else []
    parts.append(
        f"## Optional\n\n- [API]({base}/api/index.html): every exported function and class, with its parameters\n- [Source]({cfg.git_url})\n"
    )
    (proc / "llms.txt").write_text("\n".join(parts), encoding="utf-8")


def prepare(source: Path, proc: Path) -> None:
    "Fill `_proc/` with everything that the renderer needs."
    shutil.rmtree(proc, ignore_errors=True)
    proc.mkdir()
    chapters, modules = book.read_chapters(source), api.read_package(get_config().lib_path)
    copy_assets(source, proc)
    preparer = book.Preparer(chapters, modules)
    for chapter in chapters:
        preparer.write(chapter, proc)
    write_api(modules, chapters, proc)
    write_config(chapters, modules, proc)
    write_llms(chapters, proc)


# ---- rendering


def render(proc: Path) -> str:
    "Render `_proc/` into `_proc/_docs`, and name the program that did."
    if shutil.which("quarto"):
        subprocess.run(["quarto", "render", "--no-execute"], cwd=proc, check=True)
        return "quarto"
    from smalldocs.site import build

    site = build(proc, quiet=True)
    for warning in site.warnings:
        if (
            "html-math-method" not in warning and "broken link" not in warning
        ):  # ours is MathML; links are checked below
            print(f"smalldocs: {warning}", file=sys.stderr)
    return "smalldocs"


def publish(site: Path, docs: Path) -> None:
    "Put the finished site in the place of the old one."
    shutil.rmtree(docs, ignore_errors=True)
    shutil.move(site, docs)


def report(docs: Path) -> int:
    "Check the site, print what is wrong and where it is, and return the exit status."
    weights, problems = check.check_site(docs)
    for p in problems:
        print(f"{p.page}: {p.link or 'the page'}: {p.reason}", file=sys.stderr)
    heaviest = max(weights, key=weights.get)
    print(
        f"{len(weights)} pages, the heaviest {heaviest} with {weights[heaviest]:,} bytes; {len(problems)} problems"
    )
    print(f"The site is at {os.path.relpath(docs / 'index.html')}")
    return 1 if problems else 0


def main() -> int:
    "Render and check the site."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "source", nargs="?", default="nbs", help="folder of the notebooks (default: nbs)"
    )
    source = Path(parser.parse_args().source).resolve()
    os.chdir(ROOT)
    if not shutil.which("quarto") and not find_spec("smalldocs"):
        print(
            "No site was rendered: install Quarto (https://quarto.org), or use Python 3.11 or newer for smalldocs"
        )
        return 0
    proc, docs = ROOT / "_proc", ROOT / "_docs"
    prepare(source, proc)
    try:
        render(proc)
        finish.finish(proc / "_docs", ASSETS, book.cached)
    except finish.MathsError as error:
        sys.exit(str(error))
    publish(proc / "_docs", docs)
    return report(docs)


if __name__ == "__main__":
    sys.exit(main())
