"What the cleaning chapter promises, for any string and on the packaged texts."

from functools import partial

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_practice.data import cleaning
from llm_practice.data.cleaning import (
    PHRASES,
    RULES,
    STEPS,
    boilerplate,
    broken_characters,
    clean,
    dedup_key,
    drop_invisible,
    drop_tags,
    few_letters,
    fold_width,
    join_surrogates,
    many_digits,
    much_punctuation,
    normalise,
    reasons,
    repetitive,
    squeeze_punctuation,
    squeeze_spaces,
    too_long,
    too_short,
    trace,
    unescape,
    unify_line_ends,
    wrong_script,
)
from llm_practice.data.sources import load

# Any code point, halves of surrogate pairs included, and many of those that the steps look for
ANY = st.text(st.characters(exclude_categories=()))
NASTY = st.lists(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from(
            ["&amp;", "&", "#", "3", "８", ";", "amp;", "lt;", "<", ">", "br", "<br/>", "<!--", "-->", "<p", " class='"]
            + ["\u200b", "\u200d", "\ufeff", "\u202e", "\ud83d", "\ude00", "\r", "\n", "\u2028", "\x85", " ", "\u3000"]
            + ["\xa0", "ａ", "！", "!", "e", "\u0301", "\u0323", "👨", "\ufe0f", "中", "가", "\u1100", "\u1161", "'"]
        ),
    ),
    max_size=40,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(ANY, NASTY))
@example("&amp;amp;amp;lt;br&gt;")
@example("&#3８;lt;")
@example("&l\u200bt;br>")
@example("<<br>br>")
@example("\ud83d\u200b\ude00")
@example("!" * 3 + "\u200b" + "!" * 3)
@example("e\u200b\u0301")
@example("\n \n \n \n")
def test_normalise_is_idempotent_and_writable(text):
    once = normalise(text)
    assert normalise(once) == once
    once.encode("utf-8")


@settings(max_examples=200, deadline=None)
@given(NASTY)
def test_a_normal_form_is_a_fixed_point_of_every_step(text):
    once = normalise(text)
    assert all(step(once) == once for step in STEPS)


@settings(max_examples=200, deadline=None)
@given(NASTY)
def test_the_key_does_not_depend_on_the_form(text):
    assert dedup_key(normalise(text)) == dedup_key(text)


@settings(max_examples=200, deadline=None)
@given(st.one_of(ANY, NASTY))
def test_rules_take_any_text(text):
    for language in RULES:
        assert all(": " in reason for reason in reasons(text, RULES[language]))


def test_steps_that_never_settle_are_an_error():
    def grow(text):
        return text + "x"

    with pytest.raises(ValueError, match="do not settle.*grow"):
        normalise("a", [grow])


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (join_surrogates, "a\ud83d\ude00b", "a😀b"),
        (join_surrogates, "a\ud83d", "a\ufffd"),
        (unescape, "clich&#233;d &lt;b&gt; &#x4E2D;", "clichéd <b> 中"),
        (unescape, "AT&T ?a=1&copy=2 &nosuch; &#12", "AT&T ?a=1&copy=2 &nosuch; &#12"),
        (unify_line_ends, "a\r\nb\rc\u2028d\x85e", "a\nb\nc\nd\ne"),
        (drop_invisible, "\ufeffa\u200bb\u202ec\x00d\xade", "abcde"),
        (drop_invisible, "👨‍👩‍👧 中\u200d文", "👨‍👩‍👧 中文"),
        (drop_invisible, "tab\tline\n", "tab\tline\n"),
        (drop_tags, "<p class='x'>a<br/>b</p><!-- c -->", "\na\nb\n"),
        (drop_tags, "<三国演义>和<<色戒>> a < b > c <brand>", "<三国演义>和<<色戒>> a < b > c <brand>"),
        (fold_width, "１９９８年，Ａｂ！　ｚ", "1998年，Ab！ z"),
        (fold_width, "，。！？：；（）《》、…—％．①²㎡", "，。！？：；（）《》、…—％．①²㎡"),
        (squeeze_spaces, " a\t b \n\n\n\n c\u3000\xa0d ", "a b\n\nc d"),
        (squeeze_punctuation, "好！！！！！ 哈哈哈哈哈 ... ...... ????", "好！！！ 哈哈哈哈哈 ... ... ???"),
    ],
)
def test_each_step(step, before, after):
    assert step(before) == after


def test_trace_shows_only_the_steps_that_work():
    assert list(trace("a&amp;b １").index) == ["unescape", "fold_width"]
    assert trace("nothing to do").empty


@pytest.mark.parametrize("name", ["bbc-news", "chinese-reviews", "peoples-daily"])
def test_normalise_is_idempotent_on_real_text(name):
    for text in load(name, "train[:300]+train[-300:]", quiet=True)["text"]:
        once = normalise(text)
        assert normalise(once) == once


def test_keys():
    assert dedup_key("很好，很快！") == dedup_key(" 很好 很快 ") == dedup_key("很好很快")
    assert dedup_key("The END.") == dedup_key("the end") == dedup_key("Ｔｈｅ　ｅｎｄ")
    assert dedup_key("Room 12") != dedup_key("Room 13")
    assert dedup_key(":)") != dedup_key(":(") and dedup_key("") == dedup_key(" \u200b")
    assert len(dedup_key("x")) == 32


def test_keys_find_the_known_copies_of_the_news():
    assert len({dedup_key(text) for text in load("bbc-news", quiet=True)["text"]}) == 2121


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (partial(too_short, minimum=3, unit="characters"), "好 。", "很好。"),
        (partial(too_short, minimum=3, unit="words"), "very good", "very good indeed"),
        (partial(too_long, maximum=3, unit="characters"), "很好很好", "很 好 了"),
        (partial(few_letters, minimum=0.6), "12:30 a", "很好，很快！了"),
        (partial(much_punctuation, maximum=0.3), "好！！！", "很好了！"),
        (partial(many_digits, maximum=0.3), "１２３4 a", "room 1"),
        (partial(repetitive, maximum=0.3, n=2, unit="characters"), "好的好的好的", "天气很好，我们出去"),
        (partial(repetitive, maximum=0.3, n=2, unit="words"), "buy now buy now buy now", "buy it now or never"),
        (partial(wrong_script, script="han", minimum=0.5), "good hotel", "很好的酒店hotel"),
        (partial(wrong_script, script="latin", minimum=0.5), "很好的酒店", "café 123"),
        (broken_characters, "caf\ufffd", "café"),
        (broken_characters, "羆\ue5ee", "服务"),
        (partial(boilerplate, phrases=PHRASES["zh"]), "宾馆反馈 2008年8月7日", "我看到宾馆反馈 2008年"),
        (partial(boilerplate, phrases=PHRASES["en"]), "News\nAll rights reserved.", "It has all rights reserved."),
    ],
)
def test_each_rule(rule, bad, good):
    name = (rule.func if isinstance(rule, partial) else rule).__name__
    assert rule(bad).startswith(f"{name}: ") and rule(good) is None


def test_rules_have_no_default_thresholds():
    shares = (few_letters, much_punctuation, many_digits, repetitive)
    for rule in (too_short, too_long, *shares, wrong_script, boilerplate):
        with pytest.raises(TypeError, match="missing"):
            rule("text")


def test_unknown_unit_and_script_name_the_way_out():
    with pytest.raises(ValueError, match="unit='letters' is unknown: use words"):
        too_short("a", minimum=1, unit="letters")
    with pytest.raises(ValueError, match="script='cjk' is unknown: use one of latin, han"):
        wrong_script("a", minimum=1, script="cjk")


def test_the_languages_have_different_rules():
    text = "这家酒店的位置很好，离地铁站只有五分钟，服务员也很热情。"
    assert reasons(text, RULES["zh"]) == []
    assert {reason.split(":")[0] for reason in reasons(text, RULES["en"])} == {"too_short", "wrong_script"}


@pytest.fixture
def small():
    features = Features({"id": Value("int64"), "text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    texts = ["很好的一本书，值得看！", "好", "很好的一本书,值得看", "888888 888", "这个酒店的服务不错 ", "very good hotel indeed, sir"]
    return Dataset.from_dict({"id": range(6), "text": texts, "label": [1, 0, 1, 0, 1, 0]}, features=features)


def test_clean_keeps_the_papers(small):
    cleaned = clean(small, "zh")
    assert cleaned.kept["id"][:] == [0, 4] and cleaned.kept["text"][1] == "这个酒店的服务不错"
    assert cleaned.kept.features == small.features and cleaned.changed == 1
    assert cleaned.removed["row"][:] == [1, 2, 3, 5] == cleaned.removed["id"][:]
    why = cleaned.removed["reasons"][:]
    assert why[1] == ["duplicate: of row 0"]
    assert {reason.split(":")[0] for reason in why[2]} == {"few_letters", "many_digits", "repetitive"}
    assert cleaned.removed.features["label"].names == ["no", "yes"]
    assert len(cleaned.kept) + len(cleaned.removed) == len(small)


def test_report_and_examples(small):
    cleaned = clean(small, "zh")
    report = cleaned.report()
    assert report.loc["duplicate", "documents"] == 1 and report.loc["many_digits", "by it alone"] == 0
    assert report.loc["removed by any", "documents"] == 4
    assert cleaned.examples("too_short")["text"].tolist() == ["好"]
    assert cleaned.examples("boilerplate").empty


def test_a_duplicate_of_a_removed_text_is_judged_by_the_rules_only():
    short = partial(too_short, minimum=3, unit="characters")
    cleaned = clean(Dataset.from_dict({"text": ["好", "好", "好！！"]}), [short])
    assert cleaned.kept["text"][:] == ["好！！"]
    assert [why[0].split(":")[0] for why in cleaned.removed["reasons"]] == ["too_short", "too_short"]


def test_clean_options(small):
    assert len(clean(small, "zh", duplicates=False).kept) == 3
    assert len(clean(small, [], duplicates=False).kept) == 6 and len(clean(small, [], duplicates=False).removed) == 0
    none_kept = clean(small, [lambda text: "never: good enough"])
    assert len(none_kept.kept) == 0 and none_kept.report().loc["never", "documents"] == 6
    renamed = clean(small.rename_column("text", "body"), "zh", column="body")
    assert renamed.kept.column_names == ["id", "body", "label"]


def test_clean_errors(small):
    with pytest.raises(TypeError, match="rules"):
        clean(small)
    with pytest.raises(ValueError, match="rules='fr' is unknown: use one of en, zh"):
        clean(small, "fr")
    with pytest.raises(ValueError, match="column='body' is not there: use one of id, text, label"):
        clean(small, "zh", column="body")
    with pytest.raises(ValueError, match="has a column 'reasons'"):
        clean(clean(small, "zh").removed, "zh")
    with pytest.raises(ValueError, match="nothing to clean"):
        clean(small.select([]), "zh")


def test_cleaning_twice_removes_nothing_more():
    once = clean(load("chinese-reviews", "train[:2000]", quiet=True), "zh")
    twice = clean(once.kept, "zh")
    assert len(twice.removed) == 0 and twice.changed == 0


def test_good_news_passes_and_chinese_does_not_pass_for_english():
    news = load("bbc-news", "train[:200]", quiet=True)
    assert len(clean(news, "en", duplicates=False).kept) == 200
    assert len(clean(load("chinese-reviews", "train[:200]", quiet=True), "en").kept) < 10


def test_a_changed_library_is_not_served_from_a_cache(tmp_path, monkeypatch):
    Dataset.from_dict({"text": ["a b c d e f"]}).save_to_disk(tmp_path / "d")
    stored = Dataset.load_from_disk(tmp_path / "d")
    assert clean(stored, []).kept["text"][:] == ["a b c d e f"]
    monkeypatch.setattr(cleaning, "normalise", lambda text: text.upper())
    assert clean(stored, []).kept["text"][:] == ["A B C D E F"]
