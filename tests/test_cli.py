"The command line: examples, formats, errors for people."

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipelines import texts, write

from llm_practice.cli import main
from llm_practice.data.pipeline import process

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return run


def test_help_is_there_at_once_and_without_torch():
    code = "import sys; from llm_practice.cli import main\ntry: main(['process', '--help'])\nfinally: print(*sys.modules)"
    start = time.perf_counter()
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "worked example:" in shown and time.perf_counter() - start < 5
    assert not {"torch", "datasets", "pandas", "numpy", "pyarrow"} & set(shown.split())


@pytest.mark.parametrize("name", ["clean", "dedup", "augment", "tokenize", "process"])
def test_the_worked_examples_work(name, tmp_path, capsys):
    if not Path("/bin/sh").exists():
        pytest.skip("no shell on this system")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    example = capsys.readouterr().out.split("worked example:\n")[1].split("\n\n")[0]
    example = example.replace("\n  ", "\n").strip()
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "llm-practice").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; from llm_practice.cli import main; sys.exit(main())" "$@"\n'
    )
    (bin / "llm-practice").chmod(0o755)
    example = (
        example.replace("limit: 5000", "limit: 200")
        .replace("- bbc-news", "- {name: bbc-news, limit: 600}")
        .replace("less ", "cat ")
    )
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-ec", example], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    wanted = {"clean": '{"text": "Call me: [PHONE]", "n": 1}', "dedup": "2  kept → out.txt\nIt rained.\nIt snowed.", "process": "near_dedup: of bbc-news#", "augment": '"label": 1, "augmented": "s',
              "tokenize": '{"text": "It rained in Paris.", "input_ids": [101, 2009, '}  # fmt: skip
    assert wanted[name] in done.stdout


def test_formats_columns_and_the_removed(cli, tmp_path):
    write(
        tmp_path / "in.jsonl",
        [
            {"body": "It rained.", "n": 1, "tags": ["a"]},
            {"body": "it rained", "n": 2},
            {"body": '雪,\n"x"', "x": 0.5},
        ],
    )
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.csv.zst", "a.parquet"):
        code, out, _ = cli(
            "dedup",
            "in.jsonl",
            "-o",
            name,
            "--text",
            "body",
            "--exact",
            "--removed",
            "gone.jsonl",
            "--overwrite",
        )
        assert code == 0 and "2  kept" in out
        assert [p.name for p in tmp_path.glob(".*")] == []
        again = process(
            {"sources": [{"files": str(tmp_path / name), "text": "body"}], "steps": []},
            tmp_path / f"again-{name}",
            workers=1,
        )
        rows = list(again.rows())
        assert [row["text"] for row in rows] == ["It rained.", '雪,\n"x"'] and json.loads(
            rows[0]["meta"]
        )["n"] in (1, "1")
    assert json.loads((tmp_path / "gone.jsonl").read_text())["reasons"].startswith(
        "exact_dedup: of input/in.jsonl@"
    )
    table = pq.read_table(tmp_path / "a.parquet")
    assert (
        table.schema.field("n").type == pa.int64() and table.schema.field("x").type == pa.float64()
    )
    assert cli("dedup", "in.jsonl", "-o", "a.txt", "--text", "body", "--exact")[0] == 0
    assert (tmp_path / "a.txt").read_text() == 'It rained.\n雪, "x"\n'


def test_errors_of_the_command_line_are_for_people(cli, tmp_path):
    write(tmp_path / "in.jsonl", [{"text": "It rained."}])
    (tmp_path / "there.txt").write_text("old")
    (tmp_path / "r.yaml").write_text("sources: [in.jsonl]\nsteps: [exact_dedup]\n")
    for code, message, *arguments in (
        (1, "there.txt: this file is there already; use another name, or replace it with --overwrite", "dedup", "in.jsonl", "-o", "there.txt"),
        (2, "o.xlsx: a result can be .txt, .jsonl", "dedup", "in.jsonl", "-o", "o.xlsx"),
        (2, "nothing is there. Did you mean in.jsonl?", "dedup", "inn.jsonl", "-o", "o.txt"),
        (2, "no such recipe. Did you mean r.yaml?", "process", "rr.yaml", "-o", "out"),
        (2, "rules='gopher' is unknown: use one of basic, gopher_quality, gopher_repetition, c4, fineweb. Did you mean gopher_", "clean", "in.jsonl", "-o", "o.txt", "--rules", "gopher"),
        (1, "there is no corpus here", "removed", "nowhere"),
        (2, "step='dedup' is unknown: use one of ", "steps", "dedup"),
    ):  # fmt: skip
        found, out, err = cli(*arguments)
        assert (found, out) == (code, "") and message in err and "Traceback" not in err
    assert (tmp_path / "there.txt").read_text() == "old"
    with pytest.raises(SystemExit, match="2"):
        cli("clan")


@pytest.mark.parametrize(
    "name", ["clean", "dedup", "augment", "tokenize", "process", "removed", "steps"]
)
def test_every_command_has_help_with_an_example(cli, capsys, name):
    with pytest.raises(SystemExit, match="0"):
        cli(name, "--help")
    assert (
        "worked example:\n  " in (shown := capsys.readouterr().out)
        and f"llm-practice {name}" in shown
    )


def test_process_twice_and_another_recipe(cli, tmp_path):
    write(tmp_path / "in.jsonl", [{"text": t} for t in texts(30)])
    (tmp_path / "r.yaml").write_text("sources: [in.jsonl]\nsteps: [exact_dedup]\n")
    assert cli("process", "r.yaml", "-o", "out", "--quiet") == (0, "", "")
    assert cli("process", "r.yaml", "-o", "out")[0] == 0
    (tmp_path / "r.yaml").write_text("sources: [in.jsonl]\nsteps: []\n")
    code, _, err = cli("process", "r.yaml", "-o", "out")
    assert code == 1 and "result of another recipe" in err and "--overwrite" in err
    assert cli("process", "r.yaml", "-o", "out", "--overwrite")[0] == 0
    code, out, _ = cli("removed", "out")
    assert code == 0 and "30  kept" in out


def test_ctrl_c_says_how_to_go_on(cli, tmp_path, monkeypatch):
    write(tmp_path / "in.jsonl", [{"text": "x"}])
    monkeypatch.setattr(
        "llm_practice.data.pipeline.process",
        lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    code, _, err = cli("dedup", "in.jsonl", "-o", "o.txt")
    assert code == 130 and "type the same command again to go on" in err


def test_a_dry_run_says_how_and_writes_nothing(cli, tmp_path):
    table = "编号;text\n1;房间很大\n"
    (tmp_path / "in.csv").write_bytes(table.encode("gb18030"))
    write(tmp_path / "in.jsonl", [{"text": "a", "n": 1}])
    before = sorted(tmp_path.rglob("*"))
    command = ["dedup", "in.csv", "in.jsonl", "-o", "out.jsonl", "--removed", "gone.jsonl"]
    said = ["--encoding", "gb18030"]
    code, out, _ = cli(*command[:2], *command[3:], *said, "--dry-run")
    assert code == 0 and sorted(tmp_path.rglob("*")) == before
    size = len(table.encode("gb18030"))
    assert f"in.csv: {size} bytes, gb18030, separator ';', columns 编号, text" in out
    assert out.endswith("would write  out.jsonl\nwould write  gone.jsonl\n")
    code, out, _ = cli(*command[:2], *command[3:], *said)
    assert code == 0 and "1  of the files read as gb18030 (see --encoding), parted by ';'" in out
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"text": "房间很大", "编号": "1"}
    assert cli("dedup", "in.jsonl", "-o", "x.txt", "--text", "t", "--dry-run")[0] == 2


def test_separators_and_whole_files_can_be_said(cli, tmp_path):
    (tmp_path / "in.csv").write_text("a:text\n1:x\n")
    assert cli("dedup", "in.csv", "-o", "out.jsonl", "--delimiter", ":")[0] == 0
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"text": "x", "a": "1"}
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    assert "1  kept" in cli("dedup", "in.txt", "-o", "whole.jsonl", "--document", "file")[1]
    assert "2  kept" in cli("dedup", "in.txt", "-o", "lines.jsonl")[1]


def test_exit_codes_and_steps_that_are_not_there(cli, tmp_path):
    (tmp_path / "in.jsonl").write_text("{broken\n[1]\n")
    code, _, err = cli("dedup", "in.jsonl", "-o", "out.jsonl")
    assert code == 1 and "nothing could be read" in err
    write(tmp_path / "in.jsonl", [{"text": "a"}])
    code, _, err = cli("dedup", "in.jsonl", "-o", "x.jsonl", "--workers", "0")
    assert code == 2 and "workers=0: at least one is needed" in err
    (tmp_path / "r.yaml").write_text("sources: [in.jsonl]\nsteps: [exact_dedup]\n")
    assert cli("process", "r.yaml", "-o", "out")[0] == 0
    code, _, err = cli("removed", "out", "--step", "near_dedup")
    assert code == 2 and "step='near_dedup' is unknown: use one of exact_dedup" in err
    assert cli("removed", "out", "-n", "-1")[0] == 2


@pytest.mark.parametrize("module", ["llm_practice", "llm_practice.cli"])
def test_python_can_run_the_package(module):
    run = [sys.executable, "-m", module, "steps", "mask"]
    assert "[EMAIL]" in subprocess.run(run, capture_output=True, text=True, check=True).stdout


def test_a_run_that_keeps_nothing_says_why(cli):
    Path("reviews.csv").write_text("review,stars\nThe room was nice.,5\nToo loud for me.,2\n")
    code, out, err = cli(
        "clean", "reviews.csv", "-o", "o.csv", "--text", "review", "--language", "en"
    )
    assert code == 0 and "0  kept" in out
    assert "2 of 2 documents fell to filter" in err and "basic, or none" in err
    more = ["--removed", "gone.csv", "--overwrite", "--language", "en"]
    assert "gone.csv" in cli("clean", "reviews.csv", "-o", "o.csv", "--text", "review", *more)[2]


def test_what_is_removed_holds_no_personal_data_either(cli):
    rows = [
        {"text": "Mail me: jo@example.org."},
        {"text": "Schreib mir an jo@example.org, bitte sehr."},
    ]
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli("clean", "in.jsonl", "-o", "o.jsonl", "--removed", "gone.jsonl")[0] == 0
    both = Path("gone.jsonl").read_text() + Path("o.jsonl").read_text()
    assert both.count("[EMAIL]") == 2 and "jo@" not in both


def test_a_line_that_cannot_be_read_is_kept_in_its_own_letters(cli):
    lines = [
        "id,text",
        "1,Un café agréable et calme",
        "2,Un café agréable,trop",
        "3,Très bon hôtel",
    ]
    Path("in.csv").write_bytes("\n".join(lines).encode("cp1252") + b"\n")
    assert cli("dedup", "in.csv", "-o", "o.csv", "--removed", "gone.jsonl")[0] == 0
    assert "2,Un café agréable,trop" in Path("gone.jsonl").read_text(encoding="utf-8")


def test_what_a_name_cannot_be_is_said(cli):
    Path("in.csv").write_text("review\nIt rained.\n")
    code, _, err = cli("dedup", "in.csv", "-o", "-", "--text", "review")
    assert code == 2 and "not through a pipe" in err and not Path("-").exists()
    assert "--text COLUMN" in cli("dedup", "in.csv", "-o", "o.csv")[2]
    code, _, err = cli(
        "tokenize", "in.csv", "-o", "o.txt", "--tokenizer", "minilm", "--text", "review"
    )
    assert code == 2 and "holds no tokens" in err


def test_a_reason_that_no_document_has_is_named(cli):
    Path("in.txt").write_text("It rained.\nIt rained.\n")
    recipe = {"sources": ["in.txt"], "steps": ["exact_dedup"]}
    process(recipe, "corpus", workers=1, progress=False)
    assert "exact_dedup" in cli("removed", "corpus", "--reason", "exact")[1]
    code, _, err = cli("removed", "corpus", "--reason", "gopher_few_words")
    assert code == 2 and "exact_dedup" in err


def test_a_package_that_is_not_there_is_one_line(cli, monkeypatch):
    def process(*args, **settings):
        raise ImportError("this needs the package py3langid: pip install py3langid")

    monkeypatch.setattr("llm_practice.data.pipeline.process", process)
    Path("in.txt").write_text("It rained.\n")
    code, _, err = cli("clean", "in.txt", "-o", "o.txt")
    assert code == 1 and err.startswith("llm-practice clean: this needs the package py3langid")
