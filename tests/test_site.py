"""The rendered site in a real browser, without a network, and the checker that guards its links."""

import functools
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "_docs"
PAGES = sorted(p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.html"))
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CHINESE = r"[\u4e00-\u9fff]{2,4}"
ENGLISH = r"\b[a-z]{6,14}\b"
TOGGLE = ".quarto-color-scheme-toggle"
MAX_WEIGHT = 1_500_000
# What stands beyond the right edge, and in no box of its own that scrolls.
CUT_OFF = """[...document.querySelectorAll("main *")].filter(e => {
  if (e.getBoundingClientRect().right <= innerWidth + 1 || e.closest("svg, .visually-hidden")) return false;
  for (let a = e.parentElement; a; a = a.parentElement) if (/auto|scroll/.test(getComputedStyle(a).overflowX)) return false;
  return true;
}).map(e => e.outerHTML.slice(0, 120))"""


def load_tool(name: str, path: Path):
    "Import a tool by its path."
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


check = load_tool("site_check", ROOT / "tools" / "site" / "check.py")


# ---- the link checker


@pytest.fixture
def small_site(tmp_path):
    "A site of two pages with nothing wrong."
    (tmp_path / "part").mkdir()
    (tmp_path / "style.css").write_text("body { color: red }")
    head = '<link rel="stylesheet" href="{0}style.css">'
    (tmp_path / "index.html").write_text(
        f'{head.format("")}<a href="part/one.html#here">one</a> <a href="https://example.org">out</a>'
    )
    (tmp_path / "part" / "one.html").write_text(
        f'{head.format("../")}<h2 id="here">Here</h2> <a href="../index.html">home</a>'
    )
    return tmp_path


def test_checker_passes_a_sound_site(small_site):
    weights, problems = check.check_site(small_site)
    assert problems == []
    assert weights["index.html"] == sum(
        (small_site / name).stat().st_size for name in ("index.html", "style.css")
    )


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ('<a href="missing.html">x</a>', "no such file"),
        ('<a href="part/one.html#nowhere">x</a>', "no element with id 'nowhere'"),
        ('<a href="#nowhere">x</a>', "no element with id 'nowhere'"),
        ('<a href="part/">x</a>', "is a folder"),
        ('<a href="../../elsewhere.html">x</a>', "leads outside the site"),
        ('<svg><a xlink:href="gone.html">x</a></svg>', "no such file"),
        ('<img src="gone.png">', "no such file"),
        ('<script src="https://cdn.example.org/x.js"></script>', "is loaded from another site"),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "is loaded from another site"),
        (
            "<style>@import url(https://fonts.example.org/css)</style>",
            "is loaded from another site",
        ),
        (f"<p>{'x' * MAX_WEIGHT}</p>", "weighs"),
    ],
)
def test_checker_finds_planted_faults(small_site, planted, reason):
    with (small_site / "index.html").open("a") as page:
        page.write(planted)
    _, problems = check.check_site(small_site)
    assert [p.page for p in problems] == ["index.html"]
    assert reason in problems[0].reason


def test_checker_follows_stylesheets(small_site):
    (small_site / "style.css").write_text("@font-face { src: url(fonts/gone.woff) }")
    _, problems = check.check_site(small_site)
    assert {(p.page, p.link) for p in problems} == {("style.css", "fonts/gone.woff")}


# ---- what the build does to a notebook


@pytest.fixture(scope="module")
def tool():
    "The site's build script as a module."
    pytest.importorskip("nbdev", reason="the site is built with nbdev")
    return load_tool("site_build", ROOT / "tools" / "site" / "build.py")


@pytest.fixture
def chapter(tool, tmp_path):
    "A chapter read from a notebook of its own."
    import nbformat
    from nbformat import v4

    cells = [
        v4.new_markdown_cell(
            "# Sources (数据来源)\n\n> Where text comes from.\n\nMore in the first cell."
        ),
        v4.new_code_cell("#| default_exp data.sources"),
        v4.new_code_cell("#| export\ndef load(): ..."),
        v4.new_code_cell("#| hide\nsecret = 1"),
    ]
    path = tmp_path / "data" / "05_sources.ipynb"
    path.parent.mkdir()
    nbformat.write(v4.new_notebook(cells=cells), path)
    return tool.book.read_chapter(path, tmp_path)


def test_chapter_is_read(chapter):
    assert (chapter.out, chapter.number, chapter.module) == (
        "data/sources.html",
        "5",
        "data.sources",
    )
    assert (chapter.title, chapter.chinese, chapter.subtitle) == (
        "Sources",
        "数据来源",
        "Where text comes from.",
    )


def test_exported_code_stays_and_hidden_code_goes(chapter):
    text = "\n".join(c.source for c in chapter.nb.cells)
    assert "def load" in text and "More in the first cell." in text
    assert "secret" not in text and "default_exp" not in text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[x](12_tokenizers.ipynb)", "[x](tokenizers.html)"),
        (
            "[x](../data/12_tokenizers.ipynb#Word-Piece-(词片))",
            "[x](tokenizers.html#word-piece-词片)",
        ),
        ("[x](../index.ipynb)", "[x](../index.html)"),
        ("[x](#Some-Heading)", "[x](#some-heading)"),
        ("[x](https://example.org/05_a.ipynb)", "[x](https://example.org/05_a.ipynb)"),
    ],
)
def test_links_to_notebooks_become_links_to_pages(tool, chapter, written, shown):
    preparer = tool.book.Preparer([chapter], [])
    preparer.out |= {
        "data/12_tokenizers.ipynb": "data/tokenizers.html",
        "index.ipynb": "index.html",
    }
    assert preparer.markdown(written, chapter) == shown


def test_widgets_leave_their_still(tool, chapter):
    widget = {tool.book.WIDGET: {}, "text/plain": "interactive(…)"}
    outputs = [
        {"data": dict(widget)},
        {"data": {**widget, "image/png": "…"}},
        {"name": "stdout", "text": "kept"},
    ]
    kept = tool.book.Preparer([chapter], []).outputs(outputs, chapter)
    assert (
        len(kept) == 2
        and tool.book.WIDGET not in kept[0]["data"]
        and "image/png" in kept[0]["data"]
    )


def test_links_in_markdown_outputs_are_rewritten(tool, chapter):
    outputs = [{"data": {"text/markdown": "| [Sources](../data/05_sources.ipynb) |"}}]
    kept = tool.book.Preparer([chapter], []).outputs(outputs, chapter)
    assert kept[0]["data"]["text/markdown"] == "| [Sources](sources.html) |"


@pytest.mark.parametrize(
    "tex", [r"\mathop{\arg\min}_{\theta} J", r"\operatorname*{arg\,min}_{\theta} J", r"\max_x f"]
)
def test_limits_stand_below(tool, tex):
    assert "<munder>" in tool.finish.Maths().convert(tex, display=True)


def test_bad_formula_is_named(tool):
    with pytest.raises(tool.finish.MathsError, match=r"sources\.html.*nonsense"):
        tool.finish.Maths().convert(r"\nonsense", display=False, page="sources.html")


# ---- the site in a browser


@pytest.fixture(scope="session")
def server():
    "The site served on this machine."

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(DOCS))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/"
        httpd.shutdown()


@pytest.fixture(scope="session")
def browser():
    "A Chromium that talks to nobody of its own accord."
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    if not PAGES:
        pytest.skip("the site is not rendered: run `make site`")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    "Open a page in a fresh context; everything that went wrong gathers in `page.troubles`, responses in `page.responses`."
    contexts = []

    def open_page(url: str, width: int = 1280, scheme: str = "light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.troubles, page.responses, page.urls = [], [], []
        page.on(
            "console",
            lambda m: page.troubles.append(m.text) if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("requestfailed", lambda request: page.troubles.append(f"failed: {request.url}"))
        page.on("request", lambda request: page.urls.append(request.url))
        page.on("response", lambda response: page.responses.append(response))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


def pages_with(mark: str) -> list[str]:
    "The pages whose HTML contains a text."
    return [p for p in PAGES if mark in (DOCS / p).read_text(encoding="utf-8")]


@functools.cache
def search_index() -> list[dict]:
    "The rows that the search looks in."
    script = (DOCS / "search-index.js").read_text(encoding="utf-8")
    return json.loads(script.removeprefix("window.searchIndex = ").rstrip(";\n"))


@functools.cache
def rare_word(pattern: str) -> tuple[str, str]:
    "A word that occurs in one section of the site only, as far down a page as possible, and that section's address."
    entries = search_index()
    found = [
        (word, entry["href"])
        for entry in entries
        for word in set(re.findall(pattern, entry["text"]))
    ]
    times = Counter(word for word, _ in found)
    texts = [entry["text"] + entry["title"] + entry["section"] for entry in entries]
    rare = [
        (word, href)
        for word, href in found
        if times[word] == 1 and sum(word in text for text in texts) == 1
    ]
    return rare[-1]


def search(page, word: str) -> None:
    "Search, and open the first result."
    page.locator("#quarto-search input").fill(word)
    page.locator(".search-result").first.click()
    page.wait_for_load_state()


def is_dark(page) -> bool:
    "Whether the page's background is dark."
    page.wait_for_timeout(120)
    rgb = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)"
    )
    return sum(rgb[:3]) < 300


site = pytest.mark.site


@site
@pytest.mark.parametrize("path", PAGES)
def test_page_opens_clean_local_and_light(visit, server, path):
    page = visit(server + path)
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    page.wait_for_load_state("networkidle")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    assert page.troubles == []
    assert [r.url for r in page.responses if r.status >= 400] == []
    assert [u for u in page.urls if not u.startswith((server, "data:"))] == []
    assert sum(len(r.body()) for r in page.responses) <= MAX_WEIGHT
    assert page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == []


@site
@pytest.mark.parametrize("path", PAGES)
def test_page_fits_a_phone(visit, server, path):
    page = visit(server + path, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("(window.scrollTo(500, 0), window.scrollX)") == 0
    assert page.evaluate(CUT_OFF) == []


@site
def test_maths_is_drawn(visit, server):
    pages = pages_with("<math")
    assert pages, "no page has a formula"
    for path in pages:
        page = visit(server + path)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        page.evaluate(
            "document.querySelectorAll('.collapse').forEach(e => { e.classList.add('show') })"
        )
        boxes = page.evaluate(
            "[...document.querySelectorAll('main math')].map(m => m.getBoundingClientRect()).map(b => b.width * b.height)"
        )
        assert boxes and min(boxes) > 0, path
        assert (
            page.evaluate("document.fonts.load('16px \"STIX Two Math\"').then(f => f.length)") == 1
        )
        assert not re.search(
            r"\\(frac|sum|mathcal|begin|theta)\b",
            page.locator("main p").all_text_contents().__str__().replace("\\\\", "\\"),
        ), path


@site
def test_diagrams_are_drawn_and_their_links_work(visit, server):
    pages = pages_with('class="diagram"')
    assert pages, "no page has a diagram"
    for path in pages:
        page = visit(server + path)
        for svg in page.locator("figure.diagram svg").all():
            box = svg.bounding_box()
            assert box["width"] > 50 and box["height"] > 20 and svg.text_content().strip(), path
    linked = [
        p
        for p in pages
        if re.search(
            r'<figure class="diagram">(?:(?!</figure>).)*<a [^>]*href="[^"#]+\.html',
            (DOCS / p).read_text(encoding="utf-8"),
            re.DOTALL,
        )
    ]
    assert linked, "no diagram links to a chapter"
    for path in linked[:1]:
        page = visit(server + path)
        link = page.locator("figure.diagram svg a").first
        target = link.get_attribute("href").split("#")[0].rsplit("/", 1)[-1]
        link.click()
        page.wait_for_url(f"**/{target}*")


@site
@pytest.mark.parametrize("pattern", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_search_leads_to_the_page(visit, server, pattern):
    word, href = rare_word(pattern)
    page = visit(server + PAGES[-1])
    search(page, word)
    assert page.url == server + href or page.url.startswith(server + href.split("#")[0])
    assert word in page.locator("main").text_content()
    assert page.troubles == []


@site
def test_search_finds_every_page_by_its_title(visit, server):
    titles = {entry["href"]: entry["title"] for entry in search_index() if not entry["section"]}
    assert set(titles) == set(PAGES)
    page = visit(server + "index.html")
    box = page.locator("#quarto-search input")
    for href, title in titles.items():
        box.fill(title)
        page.wait_for_timeout(200)
        assert href in [
            a.get_attribute("href").removeprefix("./") for a in page.locator(".search-result").all()
        ], title


@site
def test_theme_switches_and_stays(visit, server):
    page = visit(server + "index.html")
    assert not is_dark(page)
    page.locator(TOGGLE).click()
    assert is_dark(page)
    page.reload()
    assert is_dark(page)
    page.goto(server + PAGES[0])
    assert is_dark(page)
    page.locator(TOGGLE).click()
    assert not is_dark(page)


@site
def test_theme_follows_the_system(visit, server):
    assert is_dark(visit(server + "index.html", scheme="dark"))


@site
@pytest.mark.parametrize(
    "path", ["index.html", next((p for p in PAGES if p.startswith("data/")), "index.html")]
)
def test_site_works_from_disk(visit, path):
    page = visit((DOCS / path).as_uri())
    word, href = rare_word(CHINESE)
    page.locator(TOGGLE).click()
    assert is_dark(page)
    search(page, word)
    assert page.url.startswith((DOCS / href.split("#")[0]).as_uri())
    assert is_dark(page)
    assert page.troubles == []
    assert [u for u in page.urls if not u.startswith(("file:", "data:"))] == []


@site
def test_chinese_has_real_glyphs(visit, server):
    if not shutil.which("fc-list"):
        pytest.skip("fc-list, which names the installed fonts, is not here")
    listed = subprocess.run(
        ["fc-list", ":lang=zh", "family"], capture_output=True, text=True, check=True
    ).stdout
    families = {name.strip() for name in re.split(r"[,\n]", listed) if name.strip()}
    if not families:
        pytest.skip("no Chinese font is installed")
    page = visit(
        server
        + next(
            p
            for p in PAGES
            if re.search(r"<p>[^<]*[\u4e00-\u9fff]", (DOCS / p).read_text(encoding="utf-8"))
        )
    )
    page.evaluate(
        "[...document.querySelectorAll('main p')].find(p => /[\\u4e00-\\u9fff]/.test(p.textContent)).id = 'chinese-text'"
    )
    session = page.context.new_cdp_session(page)
    for domain in ("DOM", "CSS"):
        session.send(f"{domain}.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": "#chinese-text"})[
        "nodeId"
    ]
    used = {
        font["familyName"]
        for font in session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    }
    assert used & families, (
        f"Chinese text is drawn with {used}, and none of them has Chinese glyphs"
    )


# ---- the files


@site
def test_rendered_site_has_no_broken_link():
    if not PAGES:
        pytest.skip("the site is not rendered: run `make site`")
    assert check.check_site(DOCS)[1] == []


@site
def test_llms_txt_lists_pages_that_exist():
    if not PAGES:
        pytest.skip("the site is not rendered: run `make site`")
    text = (DOCS / "llms.txt").read_text(encoding="utf-8")
    assert re.match(r"# .+\n\n> .+\n", text)
    links = re.findall(r"\]\((\S+?\.html)\)", text)
    assert links and all(any(link.endswith("/" + page) for page in PAGES) for link in links)
