"Tags of words and labels of tokens, there and back, and the entities that tags spell."

import pytest
from hostile import texts_of_all_kinds
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from transformers import AutoTokenizer

from llm_practice.data.sources import find_model, load
from llm_practice.data.tokenizers import TRAINERS
from llm_practice.engine.tags import align_tags, spans, word_tags

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture(scope="module")
def four():
    reviews, articles = load("chinese-reviews")["text"], load("bbc-news")["text"]
    texts = [*reviews[:2000], *reviews[-2000:], *articles[:100]]
    some = [*texts[::5], "Café au lait, 早餐。\n\n"] * 2
    return {name: train(some, 4500) for name, train in TRAINERS.items()}


@given(st.lists(st.sampled_from([*NAMES, "B-ORG", "I-ORG"]), max_size=12))
def test_spans_are_those_of_seqeval(tags):
    assert spans(tags) == [(kind, first, last + 1) for kind, first, last in get_entities(tags)]


@pytest.mark.parametrize("tag", ["PER", "S-PER", "B", "I-", "", "O-PER"])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(
        ValueError, match=f"tag {tag!r} of word 1 is not BIO: use O, B-TYPE or I-TYPE"
    ):
        spans(["B-PER", tag])


def test_tags_of_english_and_chinese_words(four):
    bert = AutoTokenizer.from_pretrained(find_model("minilm"))
    words, tags = (
        ["Thierry", "Henry", "left", "Highbury", "."],
        ["B-PER", "I-PER", "O", "B-LOC", "O"],
    )
    first = align_tags(words, tags, bert, names=NAMES)
    assert first.tokens()[1:9] == ["thierry", "henry", "left", "high", "##bury", ".", "[SEP]"][:8]
    assert first["labels"] == [-100, 1, 2, 0, 3, -100, 0, -100]
    assert align_tags(words, tags, bert, names=NAMES, pieces="all")["labels"] == [
        -100,
        1,
        2,
        0,
        3,
        4,
        0,
        -100,
    ]
    assert align_tags(words, tags, bert, pieces="all")["labels"][4:6] == ["B-LOC", "I-LOC"]
    assert align_tags(words, [1, 2, 0, 3, 0], bert)["labels"] == first["labels"]
    zh = align_tags(
        ["北京", "可以", "的"], ["B-LOC", "O", "O"], four["wordpiece"], names=NAMES, pieces="all"
    )
    assert zh.tokens() == ["[CLS]", "北", "京", "可", "以", "的", "[SEP]"] and zh["labels"] == [
        -100,
        3,
        4,
        0,
        0,
        0,
        -100,
    ]
    assert word_tags(zh["labels"], zh.word_ids(), 3) == [3, 0, 0]


def test_a_name_whose_first_word_has_no_piece_begins_at_the_next(four):
    words, tags = (
        ["\u200b", "Henry", "Smith", "in", "\u200b", "Rome"],
        ["B-PER", "I-PER", "I-PER", "O", "B-LOC", "B-LOC"],
    )
    found = align_tags(words, tags, four["wordpiece"])
    assert word_tags(found["labels"], found.word_ids(), 6) == [
        "O",
        "B-PER",
        "I-PER",
        "O",
        "O",
        "B-LOC",
    ]
    found = align_tags(
        ["\u200b", "\u200b", "Henry", "x"], ["B-PER", "I-PER", "I-LOC", "O"], four["wordpiece"]
    )
    assert word_tags(found["labels"], found.word_ids(), 4) == ["O", "O", "I-LOC", "O"]


@given(
    st.lists(
        st.tuples(texts_of_all_kinds.filter(lambda text: len(text) < 80), st.sampled_from(NAMES)),
        max_size=8,
    ),
    st.sampled_from(["first", "all"]),
    st.sampled_from(["", " "]),
)
@settings(max_examples=150, deadline=None)
def test_tags_survive_the_way_to_tokens_and_back(four, pairs, pieces, space):
    words, tags = [word for word, _ in pairs], [tag for _, tag in pairs]
    for model in four.values():
        found = align_tags(words, tags, model, names=NAMES, pieces=pieces, space=space)
        owners = found.word_ids()
        assert len(found["labels"]) == len(found["input_ids"]) == len(owners)
        assert (
            all((label == -100) == (owner is None) for label, owner in zip(found["labels"], owners))
            or pieces == "first"
        )
        back = word_tags(found["labels"], owners, len(words), missing=None)
        for i, (tag, label) in enumerate(zip(tags, back)):
            assert (label is None) == (i not in owners)
            assert (
                label is None
                or NAMES[label] == tag
                or tag.startswith("I-")
                and NAMES[label] == "B" + tag[1:]
            )
        begun = [
            label for label in found["labels"] if label != -100 and NAMES[label].startswith("B-")
        ]
        assert len(begun) <= sum(tag != "O" for tag in tags)


def test_space_makes_words_as_in_running_text(four):
    words = ["The", "hotel", "was", "good"]
    running = four["bytes"](" ".join(words))["input_ids"]
    assert align_tags(words, ["O"] * 4, four["bytes"], space=" ")["input_ids"] == running
    assert align_tags(words, ["O"] * 4, four["bytes"])["input_ids"] != running
    assert (
        align_tags(words, ["O"] * 4, four["bpe"])["input_ids"]
        == four["bpe"](" ".join(words))["input_ids"]
    )


def test_tags_errors_name_the_value_and_the_way_out(four):
    model = four["wordpiece"]
    for call, error, pattern in [
        (lambda: align_tags("Henry", ["O"], model), TypeError, "one string.*list of words"),
        (lambda: align_tags(["a", "b"], ["O"], model), ValueError, "2 words have 1 tags"),
        (
            lambda: align_tags(["a"], ["B-FOO"], model, names=NAMES),
            ValueError,
            "'B-FOO' is not among the names: O, B-PER",
        ),
        (lambda: align_tags(["a"], [9], model, names=NAMES), ValueError, "tag 9 is not among"),
        (lambda: align_tags(["a"], [-1], model, names=NAMES), ValueError, "tag -1 is not among"),
        (
            lambda: align_tags(["a"], [None], model, names=NAMES),
            ValueError,
            "tag None is not among",
        ),
        (
            lambda: align_tags(["a"], ["O"], model, pieces="last"),
            ValueError,
            "pieces='last' is unknown: use one of first, all",
        ),
        (
            lambda: align_tags(["北京"], ["B-X"], model, names=["O", "B-X"], pieces="all"),
            ValueError,
            "'I-X' is needed.*pieces='first'",
        ),
        (lambda: align_tags(["a"], ["O"], object()), TypeError, "use a fast tokenizer"),
        (
            lambda: align_tags(["a"], ["O"], model, return_overflowing_tokens=True),
            ValueError,
            "cut the words up",
        ),
        (lambda: word_tags([1, 2], [0], 1), ValueError, "2 labels for 1 tokens"),
    ]:
        with pytest.raises(error, match=pattern):
            call()


def test_tags_with_truncation_and_padding(four):
    found = align_tags(
        ["好"] * 50, ["O"] * 50, four["wordpiece"], names=NAMES, truncation=True, max_length=12
    )
    assert len(found["labels"]) == 12 and found["labels"][-1] == -100
    found = align_tags(
        ["好"], ["O"], four["wordpiece"], names=NAMES, padding="max_length", max_length=6
    )
    assert found["labels"] == [-100, 0, -100, -100, -100, -100]
    assert word_tags(found["labels"], found.word_ids(), 1) == [0]
