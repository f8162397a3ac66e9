"The array signals against plain Python, any text as input, and the promises of limits, filters and the classifier."

import random
import re
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data import quality
from llm_practice.data.cleaning import clean
from llm_practice.data.quality import (
    FILTERS,
    GROUPS,
    STOP_WORDS,
    Filter,
    Limit,
    LowScore,
    derive_limit,
    plot_limits,
    signals,
    tokenise,
    train_score,
)
from llm_practice.data.sources import load

PIECES = (
    ["the", "The", "of", "cat", "sat", "don't", "it's", "we'll", "5km", "1,000", "R&B", "J.", "U.S.", "e.g.", "--", "a-b", "x;--", "-5", "- "]
    + [" ", " ", " ", "\n", "\n\n", "\r\n", "\r", "\t", "\u3000", "\u2028", "\x85", "\x0c", ".", "...", "....", "…", "#", "•", "-", "!", "?", ",", ";", '"']
    + ["{", "}", "lorem ipsum", "Lorem Ipsum", "javascript", "uses cookies", "Terms of Use", "privacy policy", "一", "的", "了", "不", "。", "”", "！", "中文"]
    + ["\u200b", "\u0301", "\ud800", "\x00", "\ufffd", "👨‍👩‍👧", "١٢", "ａ", "É", "'", "’s", "a" * 1001, "the cat sat on the mat. " * 3]
)
MIX = st.lists(st.one_of(st.sampled_from(PIECES), st.characters(exclude_categories=())), max_size=60).map("".join)
ENDS = set(quality._ENDS)
PUNCTUATION = {c for c in map(chr, range(0x110000)) if quality._kinds()[ord(c)] & quality._SIGN}


def top(words: list[str], n: int) -> int:
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    return max(len(gram) * times for gram, times in grams.most_common(1)) if grams else 0


def repeated(words: list[str], n: int) -> int:
    seen, total, at = set(), 0, 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            total, at = total + sum(map(len, gram)), at + n
        else:
            seen.add(gram)
            at += 1
    return total


def again(parts: list[str]) -> tuple[int, int]:
    seen, number, characters = set(), 0, 0
    for part in parts:
        if part in seen:
            number, characters = number + 1, characters + len(part)
        seen.add(part)
    return number, characters


def reference(text: str, language: str) -> dict[str, float]:
    "What datatrove's loops compute, on our tokens."
    words = tokenise(text, language)
    real = [w for w in words if any(c not in PUNCTUATION for c in w)]
    per, lines, size = max(1, len(words)), text.splitlines(), max(1, len(text))
    starts, stops = [line.lstrip() for line in lines], [line.rstrip() for line in lines]
    paragraphs, rows = re.split(r"\n{2,}", text.strip()) if text.strip() else [], re.split(r"\n+", text)
    full = [row for row in text.split("\n") if row.strip()]
    out = {
        "words": len(real), "word_length": sum(map(len, real)) / max(1, len(real)), "hash_signs": text.count("#") / per,
        "ellipses": (text.count("...") + text.count("…")) / per,
        "bullet_lines": sum(s.startswith(("•", "-")) for s in starts) / max(1, len(lines)),
        "ellipsis_lines": sum(s.endswith(("...", "…")) for s in stops) / max(1, len(lines)),
        "alpha_words": sum(any(map(str.isalpha, w)) for w in words) / per,
        "stop_words": len(set(STOP_WORDS[language]) & set(words)), "characters": len(text),
        "repeated_paragraphs": again(paragraphs)[0] / max(1, len(paragraphs)), "repeated_paragraph_chars": again(paragraphs)[1] / size,
        "repeated_lines": again(rows)[0] / len(rows), "repeated_line_chars": again(rows)[1] / size,
        "ended_rows": sum(row[-1] in ENDS for row in full) / max(1, len(full)),
        "short_rows": sum(len(row) <= quality._SHORT[language] for row in full) / max(1, len(full)),
        "repeated_row_chars": again(full)[1] / max(1, len(text) - text.count("\n")), "breaks": text.count("\n") / per,
    }  # fmt: skip
    out |= {f"top_{n}gram": top(words, n) / size for n in (2, 3, 4)}
    return out | {f"repeated_{n}grams": repeated(words, n) / size for n in range(5, 11)}


def assert_equal(texts: list[str], language: str) -> None:
    table = signals(texts, language)
    for row, text in enumerate(texts):
        wanted = reference(text, language)
        if not text:
            wanted["repeated_lines"] = 0.0
        got = table.loc[row, list(wanted)].astype(float)
        np.testing.assert_allclose(got.to_numpy(), np.array(list(wanted.values()), float), atol=1e-12, err_msg=repr((text, list(wanted))))


@settings(max_examples=250, deadline=None)
@given(st.lists(MIX, min_size=1, max_size=5), st.sampled_from(["en", "zh"]))
@example(["\n", "\n\n", "a\n", "\na", " \n \n", "", "\r\n", "\r"], "en")
@example(["a b a b a b a b", "a b", "b a b", "a", "", "a b a b c d a b a b c d"], "en")
@example(["x ...\n…\n....\n......\n. . .", "-\n•\n - a", "..\n."], "en")
def test_signals_equal_the_loops(texts, language):
    assert_equal(texts, language)


def test_signals_equal_the_loops_on_real_text():
    news, plays = load("bbc-news", quiet=True)["text"][:60], load("shakespeare", quiet=True)["text"][:3]
    assert_equal([*news, *(play[:15_000] for play in plays), news[0] * 3, "\n".join([news[1][:200]] * 5)], "en")
    daily = load("peoples-daily", quiet=True)["text"]
    assert_equal(["\n".join(daily[i : i + 9]) for i in range(0, 300, 9)], "zh")


@settings(max_examples=100, deadline=None)
@given(st.lists(MIX, min_size=2, max_size=6), st.sampled_from(["en", "zh"]))
def test_a_document_does_not_depend_on_its_neighbours(texts, language):
    together = signals(texts, language)
    alone = pd.concat([signals([text], language) for text in texts], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, check_dtype=False)


def test_batches_are_cut_at_any_size(monkeypatch):
    texts = [*load("bbc-news", "train[:40]", quiet=True)["text"], "", "x" * 3000, ""]
    whole = signals(texts)
    for size in (1, 500, 5000):
        monkeypatch.setattr(quality, "_BATCH", size)
        pd.testing.assert_frame_equal(signals(texts), whole)
    assert len(signals([])) == 0 and list(signals([]).columns) == list(whole.columns)


@settings(max_examples=200, deadline=None)
@given(MIX, st.sampled_from(["en", "zh"]))
def test_tokens_are_the_text_without_its_spaces(text, language):
    tokens = tokenise(text, language)
    assert "".join(tokens) == "".join(c for c in text if not c.isspace())
    assert all(tokens) and not any(c.isspace() for token in tokens for c in token)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's we'll don't can't I'm you've.", "It 's we 'll do n't ca n't I 'm you 've ."),
        ("the players' goal, rock'n'roll", "the players ' goal , rock'n'roll"),
        ("$1,000.50 and 40% of 5km at 8am", "$ 1,000.50 and 40 % of 5 km at 8 am"),
        ("U.S. J. Smith e.g. this.That end.", "U.S. J. Smith e.g. this . That end ."),
        ("share-holder 2004-05 -5 well,-- no--yes --", "share - holder 2004 - 05 -5 well,-- no -- yes --"),
        ("R&B AC/DC 9/11 12:30 a:b", "R&B AC / DC 9/11 12:30 a : b"),
        ("Wait... what?! (yes)", "Wait ... what ? ! ( yes )"),
    ],
)
def test_english_is_cut_as_spacy_cuts_it(text, tokens):
    assert tokenise(text) == tokens.split()


def test_chinese_is_cut_into_characters():
    assert tokenise("他在R&B店花了1,000元。", "zh") == ["他", "在", "R&B", "店", "花", "了", "1,000", "元", "。"]


@pytest.mark.parametrize(
    ("text", "sentences", "lorem", "curly"),
    [
        ("One two three. Four five six.\nSeven eight nine!\nno end here\ntoo short.", 3, 0, 0),
        ('He said "go away now." Then he left us.\nIs it? Yes it is, U.S. law says.', 4, 0, 0),
        ("This is fine here.\nYou need JavaScript to see it.\nThis site uses cookies a lot.", 1, 0, 0),
        ("A { b c.\nLorem ipsum dolor sit amet.", 2, 1, 1),
        ("A { without an end\nlorem ipsum and so on", 0, 0, 0),
        ("It goes on and on...\n" + "a" * 1001 + " b c d.", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_c4(text, sentences, lorem, curly):
    row = signals([text], groups=["c4"]).iloc[0]
    assert (row["sentences"], row["lorem_ipsum"], row["curly_brackets"]) == (sentences, lorem, curly)


GOOD = next(text for text in load("bbc-news", quiet=True)["text"] if all(rule(text) is None for rule in FILTERS["en"].values()))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gopher_few_words", " ".join(["the cat and"] * 16)),
        ("gopher_short_words", " ".join(["a be to of it"] * 30)),
        ("gopher_long_words", " ".join(["internationalisation the and"] * 1 + ["internationalisations"] * 60)),
        ("gopher_hash_signs", " # ".join(["the cat of and"] * 30)),
        ("gopher_ellipses", "... ".join(["the cat of and"] * 50)),
        ("gopher_bullets", "\n".join(["- the cat of and"] * 30)),
        ("gopher_cut_lines", "\n".join(["the cat of and ..."] * 30)),
        ("gopher_few_letters", " ".join(["the 1 2 3 and 17 of 44"] * 30)),
        ("gopher_stop_words", " ".join(["Katze sass auf Matte"] * 30)),
        ("gopher_empty", ""),
        ("gopher_paragraphs", "a b c\n\na b c\n\nd"),
        ("gopher_lines", "a b c\na b c\nd"),
        ("gopher_top_2gram", "go on " * 9),
        ("gopher_repeated_10grams", "one two three four five six seven eight nine ten eleven " * 2),
        ("c4_sentences", "One two three. Four."),
        ("c4_curly_brackets", "if a { b }."),
        ("c4_lorem_ipsum", "Lorem ipsum dolor sit."),
        ("fineweb_ended_rows", "no end\n" * 9),
        ("fineweb_short_rows", "short.\n" * 9),
        ("fineweb_repeated_rows", "again and again.\n" * 2),
        ("fineweb_breaks", "a\nb\nc\nd"),
    ],
)
def test_each_english_limit_fires(name, text):
    assert name in {reason.split(":")[0] for rule in FILTERS["en"].values() for reason in rule.batch([text])[0]}


def test_the_limits_are_those_of_the_papers():
    limits = {limit.name: (limit.minimum, limit.maximum) for rule in FILTERS["en"].values() for limit in rule.limits}
    assert limits["gopher_few_words"][0] == 50 and limits["gopher_many_words"][1] == 100_000 and limits["gopher_stop_words"][0] == 2
    assert limits["gopher_short_words"][0] == 3 and limits["gopher_long_words"][1] == 10 and limits["gopher_few_letters"][0] == 0.8
    assert [limits[f"gopher_top_{n}gram"][1] for n in (2, 3, 4)] == [0.2, 0.18, 0.16]
    assert [limits[f"gopher_repeated_{n}grams"][1] for n in range(5, 11)] == [0.15, 0.14, 0.13, 0.12, 0.11, 0.1]
    assert [limits[f"fineweb_{n}"] for n in ("ended_rows", "short_rows", "repeated_rows", "breaks")] == [
        (0.12, np.inf), (-np.inf, 0.67), (-np.inf, 0.01), (-np.inf, 0.3),
    ]  # fmt: skip
    assert limits["c4_sentences"][0] == 5 and len(limits) == 10 + 14 + 3 + 4


def test_a_limit_is_broken_beyond_it_and_not_at_it():
    limit = Limit("few", "words", minimum=3, maximum=5)
    assert limit.broken(np.array([2, 3, 5, 6])).tolist() == [True, False, False, True]
    assert limit.reason(2) == "few: 2 < 3" and limit.reason(6) == "few: 6 > 5"


def test_filters_are_rules_for_clean():
    texts = [GOOD, "Buy now! " * 60, "", "a\nb"]
    rule = FILTERS["en"]["gopher_repetition"]
    assert rule(GOOD) is None and rule("Buy now! " * 60).startswith("gopher_top_2gram: ")
    assert rule.keep(texts).tolist()[:3] == [True, False, False]
    assert [bool(found) for found in rule.batch(texts)] == (~rule.keep(texts)).tolist() and rule.batch([]) == []
    judged = clean(Dataset.from_dict({"text": texts}), [*FILTERS["en"].values()], duplicates=False)
    assert len(judged.kept) == 1 and judged.kept["text"][0].split() == GOOD.split() and {"gopher_few_words", "c4_sentences"} <= set(judged.report().index)


def test_but_moves_a_limit():
    rule = FILTERS["en"]["gopher_quality"]
    assert rule.but(gopher_few_words=5).limits[0].minimum == 5 and len(rule.but(gopher_bullets=None).limits) == len(rule.limits) - 1
    assert rule.but(gopher_bullets=0.5).limits[6].maximum == 0.5 and rule.but() == rule
    with pytest.raises(ValueError, match="no limit is named nosuch: use gopher_few_words"):
        rule.but(nosuch=1)


def test_errors_name_the_way_out():
    with pytest.raises(ValueError, match="language='fr' is unknown: use one of en, zh"):
        signals(["a"], "fr")
    with pytest.raises(ValueError, match=r"groups=\['gofer'\] are unknown: use some of gopher_quality"):
        signals(["a"], groups=["gofer"])
    with pytest.raises(ValueError, match="single string"):
        signals("a")
    with pytest.raises(ValueError, match="signal='wrods' is unknown: use one of words"):
        Filter("en", (Limit("few", "wrods", minimum=1),)).keep(["a"])
    with pytest.raises(ValueError, match="side='up' is unknown: use minimum or maximum"):
        derive_limit([np.zeros(3)], "up")
    with pytest.raises(ValueError, match="0 good and 1 bad documents"):
        train_score([], ["x"])


def test_derived_limits_cost_what_they_may():
    rng = np.random.default_rng(0)
    values = [rng.random(5000), rng.random(3000) * 0.5]
    high, low = derive_limit(values, "maximum", 0.01), derive_limit(values, "minimum", 0.01)
    assert all((v > high).mean() <= 0.01 and (v < low).mean() <= 0.01 for v in values)
    assert high == round(high, 2) and derive_limit([np.zeros(9)], "maximum") == 0.0
    assert derive_limit([np.array([0.0231] * 50)], "maximum") == 0.024 and derive_limit([np.array([0.0231] * 50)], "minimum") == 0.023


def test_english_news_stay_and_chinese_news_stay_with_their_own_limits():
    everything = {code: Filter(code, sum((rule.limits for rule in rules.values()), ())) for code, rules in FILTERS.items()}
    assert everything["en"].keep(load("bbc-news", quiet=True)["text"][:300]).mean() > 0.9
    daily = [text for text in load("peoples-daily", quiet=True)["text"] if len(text) > 300][:300]
    assert everything["zh"].keep(daily).mean() > 0.9 and everything["en"].keep(daily).mean() < 0.05


def test_the_classifier_learns_and_judges():
    news = load("bbc-news", quiet=True)["text"][:200]
    code = [f"def f{i}(x):\n    return x[{i}] + {{'a': {i}}}[x]\n" * 5 for i in range(150)]
    rule = LowScore(train_score(news[:100], code[:100]), minimum=0.5)
    assert (rule.score(news[100:]) > 0.5).mean() > 0.95 and (rule.score(code[100:]) < 0.5).mean() > 0.95
    assert rule(code[120]).startswith("low_score: 0.") and rule(news[120]) is None and rule.batch([]) == [] and rule("") is not False
    assert len(rule.score(["", "\x00", "\ufffd" * 9])) == 3


def test_plot_limits_draws_one_figure_for_each():
    table = signals(load("bbc-news", quiet=True)["text"][:50])
    figure = plot_limits({"news": table}, FILTERS["en"]["fineweb"].limits)
    assert len(figure.axes) == 4 and figure.axes[0].get_xlabel() == "ended_rows"
    assert plot_limits({"news": table}, FILTERS["en"]["fineweb"].limits[:1]).axes


SHAPES = {
    "one line": "a", "spaces": " ", "line ends": "\n", "marks": "e\u0301\u0316", "invisible": "a\u200b", "direction": "\u202ea", "zeros": "\0",
    "half pairs": "\ud800", "broken": "\ufffd", "emoji": "👨‍👩‍👧", "dots": "...", "dashes": "-a", "digits": "1.", "Chinese": "的中", "mixed": "a中1!",
    "quotes": "'s", "again": "the cat ", "brackets": "{[", "returns": "\r\n",
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear_in_the_size(shape):
    seconds = []
    for size in (100_000, 800_000):
        text = SHAPES[shape] * (size // len(SHAPES[shape]))
        start = time.process_time()
        signals([text], "zh" if shape == "Chinese" else "en")
        seconds.append(time.process_time() - start)
    assert seconds[1] < 8 * 4 * max(seconds[0], 0.02), seconds


@pytest.mark.nightly
@pytest.mark.parametrize("shape", SHAPES)
def test_ten_megabytes_of_anything(shape):
    text = SHAPES[shape] * (10_000_000 // len(SHAPES[shape]))
    start = time.process_time()
    signals([text, "a"], "en"), signals([text, "a"], "zh")
    assert time.process_time() - start < 120


def fuzz(number: int, seed: int) -> list[str]:
    "Random documents: pieces, random code points, damaged real text."
    rng = random.Random(seed)
    real = load("bbc-news", quiet=True)["text"][:50] + load("chinese-reviews", quiet=True)["text"][:200]
    documents = []
    for _ in range(number):
        kind = rng.random()
        if kind < 0.4:
            text = "".join(rng.choices(PIECES, k=rng.randrange(60)))
        elif kind < 0.6:
            text = "".join(chr(rng.choice((rng.randrange(0x110000), rng.randrange(0x250), rng.randrange(0xD800, 0xE000)))) for _ in range(rng.randrange(80)))
        else:
            text = rng.choice(real)[: rng.randrange(600)]
            for _ in range(rng.randrange(6)):
                at, piece = rng.randrange(len(text) + 1), rng.choice(PIECES)
                text = text[:at] + piece * rng.choice((1, 1, 1, 9)) + text[at + rng.randrange(4) :]
        documents.append(text)
    return documents


@pytest.mark.parametrize("number", [2000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_random_documents(number):
    documents = fuzz(number, seed=number)
    for language in FILTERS:
        table = signals(documents, language)
        assert len(table) == number and np.isfinite(table.to_numpy(float)).all() and (table.to_numpy(float) >= 0).all()
        shares = [name for name in table if name.startswith(("repeated", "alpha", "ended", "short", "bullet"))]
        assert (table[shares].to_numpy() <= 1).all()
        for rule in FILTERS[language].values():
            assert [not found for found in rule.batch(documents[:500])] == rule.keep(documents[:500]).tolist()
    if number <= 2000:
        assert_equal(documents[::10], "en"), assert_equal(documents[::10], "zh")


def test_groups_are_independent():
    texts = load("bbc-news", quiet=True)["text"][:20]
    whole = signals(texts)
    for group in GROUPS:
        part = signals(texts, groups=[group])
        pd.testing.assert_frame_equal(part, whole[list(part.columns)])
