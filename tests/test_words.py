"What the chapter on words promises: places that point at what they name, any text, scores, lists, errors that help."

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from segmented import ALL, LINES, TEXT

from llm_practice.data import words as module
from llm_practice.data.words import (
    LEMMA_METHODS,
    SEGMENTERS,
    STOP_LISTS,
    default_segmenter,
    lemmas,
    segment,
    stop_words,
    word_f1,
    words,
)
from llm_practice.engine.segmenter import Segmenter

SCRIPT = Path(__file__).parent.parent / "bench" / "segment.py"


@settings(deadline=None, max_examples=300)
@given(TEXT, st.sampled_from(["en", "zh"]), st.booleans(), st.booleans())
@example("www." * 30 + " www.... http://", "en", True, True)
@example("\u0301 \u0301a\u0301", "zh", True, True)
@example("can't-won't n't 't o'-'s x’S", "en", True, True)
def test_places_point_at_what_they_name_and_gaps_give_the_text_back(
    text, language, contractions, hyphens
):
    found = words(text, language, contractions=contractions, hyphens=hyphens, segmenter=ALL[-1])
    at, again = 0, ""
    for word in found:
        assert word.text and word.text == text[word.start : word.end] and word.start >= at
        again += text[at : word.start] + word.text
        assert re.fullmatch(
            "[\\s\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*", text[at : word.start]
        )
        at = word.end
    assert again + text[at:] == text
    assert {word.kind for word in found} <= {"word", "number", "url", "email", "tag", "sign"}


@pytest.mark.parametrize("text", ["www." * 20000, "a." * 20000, "1." * 20000, "a-" * 20000, "@" * 40000, "a\u0301" * 20000, "http://" * 9000,
                                  "a" * 64 + "@" + "a." * 20000, "7" * 40000 + "x", "🏽\u200d" * 20000, "1." * 9000 + "国"])  # fmt: skip
def test_no_text_takes_the_rules_more_than_linear_time(text):
    import time

    start = time.process_time()
    for language in ("en", "zh"):
        words(text, language, segmenter=ALL[0])
    assert time.process_time() - start < 5


def test_one_call_segments_by_every_method():
    for method in SEGMENTERS:
        if method == "rjieba":
            pytest.importorskip("rjieba")
        assert "".join(segment("他说的 确实在理", method)) == "他说的确实在理"
    assert default_segmenter() is default_segmenter("best")
    assert segment("研究生命的起源") == ["研究", "生命", "的", "起源"]


def test_word_f1_by_hand():
    gold, ours = [["研究", "生命", "的"], ["好"]], [["研究生", "命", "的"], ["好"]]
    scores = word_f1(ours, gold, known=["研究", "的"])
    assert scores["precision"] == scores["recall"] == scores["f1"] == 0.5
    assert (
        scores["oov_rate"] == 0.5 and scores["oov_recall"] == 0.5 and scores["known_recall"] == 0.5
    )
    assert word_f1([], []) == {"precision": 0, "recall": 0, "f1": 0}
    with pytest.raises(ValueError, match="text 1 is not the same"):
        word_f1([["a"], ["b"]], [["a"], ["c"]])
    with pytest.raises(ValueError):
        word_f1([["a"]], [])


@pytest.mark.parametrize(
    "text, found",
    [
        ("I don't know, it's Anna's.", "I do n't know , it 's Anna 's ."),
        ("We’ve won’t CAN'T", "We ’ve wo n’t CA N'T"),
        ("rock 'n' roll, players' '90s", "rock ' n ' roll , players ' ' 90s"),
        ("state-of-the-art end- -start", "state-of-the-art end - - start"),
        ("$1,234.50 at 10:30 on 21st, 3D 4GB", "$ 1,234.50 at 10:30 on 21st , 3D 4GB"),
        ("The U.S. and e.g. Dr. Who etc.", "The U.S. and e.g. Dr. Who etc."),
        (
            "See https://bbc.co.uk/news?id=1. Or www.x.org!",
            "See https://bbc.co.uk/news?id=1 . Or www.x.org !",
        ),
        (
            "Mail a.b+c@mail.example.com, @bbc #news #1",
            "Mail a.b+c@mail.example.com , @bbc #news # 1",
        ),
        ("Wait... what?! -- yes", "Wait ... what ? ! -- yes"),
        ("👩🏽\u200d💻🇨🇳ok", "👩🏽\u200d💻 🇨🇳 ok"),
        ("中文ok", "中 文 ok"),
        ("co\u00adop soft", "co\u00adop soft"),
    ],
)
def test_english_rules(text, found):
    assert [word.text for word in words(text)] == found.split(" ")


def test_options_of_words():
    assert [w.text for w in words("don't", contractions=False)] == ["don't"]
    assert [w.text for w in words("a well-known end", hyphens=True)] == [
        "a",
        "well",
        "-",
        "known",
        "end",
    ]
    assert [w.text for w in words("don't-know's", hyphens=True)] == ["don't", "-", "know", "'s"]
    kinds = {w.text: w.kind for w in words("e.g. 3.5 x@y.org http://z.cn/ #a it 3D !")}
    assert kinds == {
        "e.g.": "word",
        "3.5": "number",
        "x@y.org": "email",
        "http://z.cn/": "url",
        "#a": "tag",
        "it": "word",
        "3D": "word",
        "!": "sign",
    }


def test_chinese_stretches_go_to_the_segmenter_that_was_given():
    class Halves(Segmenter):
        def segment_batch(self, texts):
            return [
                [text[: len(text) // 2 or 1], *([text[len(text) // 2 :]] if len(text) > 1 else [])]
                for text in texts
            ]

    found = words("看ABC里的东西，１９９８年", "zh", segmenter=Halves())
    assert [w.text for w in found] == ["看", "ABC", "里的", "东西", "，", "１９", "９８年"]
    assert [(w.start, w.end) for w in found] == [
        (0, 1),
        (1, 4),
        (4, 6),
        (6, 8),
        (8, 9),
        (9, 11),
        (11, 14),
    ]


def test_stop_words_are_lower_case_words_of_their_language():
    for language, sources in STOP_LISTS.items():
        for source in sources:
            if source == "iso":
                pytest.importorskip("stopwordsiso")
            found = stop_words(language, source)
            assert len(found) > 100 and all(word == word.lower().strip() != "" for word in found)
            assert all(bool(re.search("[一-鿿]", word)) == (language == "zh") for word in found)
    assert "the" in stop_words() and "的" in stop_words("zh", "iso") and "没有" in stop_words("zh")


def test_lemmas_and_stems():
    pytest.importorskip("simplemma"), pytest.importorskip("Stemmer")
    assert lemmas(["mice", "were", "studies"]) == ["mouse", "be", "study"]
    assert lemmas(["hopping", "ponies"], method="porter") == ["hop", "poni"]
    assert lemmas(["跑", "跑了"], "zh") == ["跑", "跑了"]
    assert lemmas([]) == [] and lemmas(iter(["cats", "cats"])) == ["cat", "cat"]


@settings(deadline=None, max_examples=100)
@given(st.lists(TEXT, max_size=6), st.sampled_from(LEMMA_METHODS))
def test_lemmas_take_any_text(tokens, method):
    pytest.importorskip("simplemma"), pytest.importorskip("Stemmer")
    found = lemmas(tokens, method=method)
    assert len(found) == len(tokens) and all(bool(a) == bool(b) for a, b in zip(tokens, found))


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: words(None), TypeError, "NoneType: give a string"),
        (lambda: words("a", "de"), ValueError, "language='de' is unknown: use one of en, zh"),
        (
            lambda: segment("a", "best?"),
            ValueError,
            "method='best\\?' is unknown: use one of forward",
        ),
        (lambda: stop_words("de"), ValueError, "language='de'"),
        (
            lambda: stop_words("zh", "sklearn"),
            ValueError,
            "source='sklearn' is unknown: use one of snownlp, iso",
        ),
        (lambda: lemmas("cats"), TypeError, "one string"),
        (lambda: lemmas(["cats"], "de"), ValueError, "language='de'"),
        (lambda: lemmas(["cats"], method="nltk"), ValueError, "method='nltk'"),
    ],
)
def test_errors_name_the_value_and_the_way_out(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize("package, call", [("simplemma", lambda: lemmas(["a"])), ("PyStemmer", lambda: lemmas(["a"], method="porter")),
                                           ("stopwordsiso", lambda: stop_words("en", "iso")), ("rjieba", lambda: segment("一", "rjieba"))])  # fmt: skip
def test_an_absent_package_is_named(package, call, monkeypatch):
    monkeypatch.setitem(sys.modules, {"PyStemmer": "Stemmer"}.get(package, package), None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        call()


def test_the_library_imports_without_the_optional_packages():
    code = "import sys\nfor name in ('simplemma', 'Stemmer', 'stopwordsiso', 'rjieba', 'snownlp', 'sklearn'): sys.modules[name] = None\n"
    code += "from llm_practice.data.words import words\nassert [w.text for w in words('it works')] == ['it', 'works']"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode
        == 0
    )


def test_every_export_has_a_test_or_is_a_list_of_choices():
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(re.search(rf"\b{name}\b", text) for name in module.__all__ if name != "Word")


def test_the_bench_names_what_is_wrong(tmp_path):
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--lines", "10"], capture_output=True, text=True, check=False
    )
    assert run.returncode and "at least 1000" in run.stderr
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps({"train": LINES, "texts": ["研究生命的起源"]}))
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--work", "lattice and model", str(source), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0 and json.loads(target.read_text())["found"] == [
        ["研究", "生命", "的", "起源"]
    ]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("房间小,吵,贵", "房间 小 , 吵 , 贵"), ("很大!下次来;推荐", "很 大 ! 下次 来 ; 推荐"), ("服务[前台]冷淡", "服务 [ 前台 ] 冷淡"), ("早餐(一般)", "早餐 ( 一般 )"),
        ("3.5元,不贵", "3.5 元 , 不 贵"), ("干净?真的", "干净 ? 真的"), ("位置:海边", "位置 : 海边"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["best", "unigram", "both"])
def test_narrow_signs_stick_to_no_word(text, cut, method):
    found = segment(text, method)
    assert "".join(found) == text and (method != "best" or found == cut.split())
    assert all(len(word) == 1 for word in found if set(word) & set(",!;[]()?:"))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("(see http://a.org/b).", "( see http://a.org/b ) ."), ("https://a.org/A_(b)!", "https://a.org/A_(b) !"), ("(www.a.org/x_(y))", "( www.a.org/x_(y) )"), ("[http://a.org]", "[ http://a.org ]"),
        ("the 1990's, the 80’s", "the 1990's , the 80’s"),
    ],
)  # fmt: skip
def test_signs_around_addresses_and_decades(text, pieces):
    assert [word.text for word in words(text)] == pieces.split()


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("我用C++写", "我 用 C++ 写"),
        ("C++好", "C++ 好"),
        ("5贵", "5 贵"),
        ("abc.贵", "abc. 贵"),
        ("A+级", "A+ 级"),
        ("2024年5月", "2024年 5月"),
        ("房间小,吵,贵", "房间 小 , 吵 , 贵"),
        ("C#很难", "C# 很 难"),
    ],
)
def test_letters_digits_and_signs_end_where_chinese_begins(text, cut):
    assert segment(text) == cut.split()
