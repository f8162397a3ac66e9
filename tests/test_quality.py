"The promises of limits, filters and the classifier."

import numpy as np
import pytest
from datasets import Dataset

from llm_practice.data.cleaning import clean
from llm_practice.data.quality import (
    FILTERS,
    Filter,
    Limit,
    LowScore,
    derive_limit,
    plot_limits,
    signals,
    train_score,
)
from llm_practice.data.sources import load

GOOD = next(
    text
    for text in load("bbc-news", quiet=True)["text"]
    if all(rule(text) is None for rule in FILTERS["en"].values())
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gopher_few_words", " ".join(["the cat and"] * 16)),
        ("gopher_short_words", " ".join(["a be to of it"] * 30)),
        (
            "gopher_long_words",
            " ".join(["internationalisation the and"] * 1 + ["internationalisations"] * 60),
        ),
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
    assert name in {
        reason.split(":")[0] for rule in FILTERS["en"].values() for reason in rule.batch([text])[0]
    }


def test_the_limits_are_those_of_datatrove():
    limits = {
        limit.name: (limit.minimum, limit.maximum)
        for rule in FILTERS["en"].values()
        for limit in rule.limits
    }
    assert (
        limits["gopher_few_words"][0] == 50
        and limits["gopher_many_words"][1] == 100_000
        and limits["gopher_stop_words"][0] == 2
    )
    assert (
        limits["gopher_short_words"][0] == 3
        and limits["gopher_long_words"][1] == 10
        and limits["gopher_few_letters"][0] == 0.8
    )
    assert [limits[f"gopher_top_{n}gram"][1] for n in (2, 3, 4)] == [0.2, 0.18, 0.16]
    assert [limits[f"gopher_repeated_{n}grams"][1] for n in range(5, 11)] == [
        0.15,
        0.14,
        0.13,
        0.12,
        0.11,
        0.1,
    ]
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
    assert [bool(found) for found in rule.batch(texts)] == (
        ~rule.keep(texts)
    ).tolist() and rule.batch([]) == []
    judged = clean(Dataset.from_dict({"text": texts}), [*FILTERS["en"].values()], duplicates=False)
    assert (
        len(judged.kept) == 1
        and judged.kept["text"][0].split() == GOOD.split()
        and {"gopher_few_words", "c4_sentences"} <= set(judged.report().index)
    )


def test_with_limits_moves_a_limit():
    rule = FILTERS["en"]["gopher_quality"]
    assert (
        rule.with_limits(gopher_few_words=5).limits[0].minimum == 5
        and len(rule.with_limits(gopher_bullets=None).limits) == len(rule.limits) - 1
    )
    assert (
        rule.with_limits(gopher_bullets=0.5).limits[6].maximum == 0.5 and rule.with_limits() == rule
    )
    with pytest.raises(ValueError, match="limit='nosuch' is unknown: use one of gopher_few_words"):
        rule.with_limits(nosuch=1)


def test_errors_name_the_way_out():
    with pytest.raises(ValueError, match="signal='wrods' is unknown: use one of words"):
        Filter("en", (Limit("few", "wrods", minimum=1),)).keep(["a"])
    with pytest.raises(ValueError, match="side='up' is unknown: use one of minimum, maximum"):
        derive_limit([np.zeros(3)], "up")
    with pytest.raises(ValueError, match="0 good and 1 bad documents"):
        train_score([], ["x"])


def test_derived_limits_cost_what_they_may():
    rng = np.random.default_rng(0)
    values = [rng.random(5000), rng.random(3000) * 0.5]
    high, low = derive_limit(values, "maximum", 0.01), derive_limit(values, "minimum", 0.01)
    assert all((v > high).mean() <= 0.01 and (v < low).mean() <= 0.01 for v in values)
    assert high == round(high, 2) and derive_limit([np.zeros(9)], "maximum") == 0.0
    assert (
        derive_limit([np.array([0.0231] * 50)], "maximum") == 0.024
        and derive_limit([np.array([0.0231] * 50)], "minimum") == 0.023
    )


def test_english_news_stay_and_chinese_news_stay_with_their_own_limits():
    everything = {
        code: Filter(code, sum((rule.limits for rule in rules.values()), ()))
        for code, rules in FILTERS.items()
    }
    assert everything["en"].keep(load("bbc-news", quiet=True)["text"][:300]).mean() > 0.9
    daily = [text for text in load("peoples-daily", quiet=True)["text"] if len(text) > 300][:300]
    assert everything["zh"].keep(daily).mean() > 0.9 and everything["en"].keep(daily).mean() < 0.05


def test_the_classifier_learns_and_judges():
    news = load("bbc-news", quiet=True)["text"][:200]
    code = [f"def f{i}(x):\n    return x[{i}] + {{'a': {i}}}[x]\n" * 5 for i in range(150)]
    rule = LowScore(train_score(news[:100], code[:100]), minimum=0.5)
    assert (rule.score(news[100:]) > 0.5).mean() > 0.95 and (
        rule.score(code[100:]) < 0.5
    ).mean() > 0.95
    assert (
        rule(code[120]).startswith("low_score: 0.")
        and rule(news[120]) is None
        and rule.batch([]) == []
        and rule("") is not False
    )
    assert len(rule.score(["", "\x00", "\ufffd" * 9])) == 3


def test_plot_limits_draws_one_figure_for_each():
    table = signals(load("bbc-news", quiet=True)["text"][:50])
    figure = plot_limits({"news": table}, FILTERS["en"]["fineweb"].limits)
    assert len(figure.axes) == 4 and figure.axes[0].get_xlabel() == "ended_rows"
    assert plot_limits({"news": table}, FILTERS["en"]["fineweb"].limits[:1]).axes
