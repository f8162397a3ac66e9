"The metrics give the numbers of scikit-learn and seqeval, on anything."

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as sklearn_confusion

from llm_practice.engine.tags import spans
from llm_practice.finetuning.metrics import F1, Accuracy, EntityF1, confusion_matrix

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"])
SENTENCES = st.lists(
    st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=12), min_size=1, max_size=6
)
few = settings(max_examples=60, deadline=None)


@few
@given(PAIRS)
@pytest.mark.filterwarnings("ignore")
def test_classification_scores_are_those_of_sklearn(pairs):
    references, predictions = zip(*pairs)
    for average in ("macro", "micro", "weighted"):
        ours = F1().compute(predictions=predictions, references=references, average=average)
        theirs = precision_recall_fscore_support(
            references, predictions, average=average, zero_division=0
        )
        assert [ours["precision"], ours["recall"], ours["f1"]] == pytest.approx(theirs[:3])
    assert Accuracy().compute(predictions=predictions, references=references)[
        "accuracy"
    ] == pytest.approx(accuracy_score(references, predictions))
    assert (
        confusion_matrix(references, predictions, 5)
        == sklearn_confusion(references, predictions, labels=range(5))
    ).all()


@few
@given(SENTENCES)
@pytest.mark.filterwarnings("ignore")
def test_entity_scores_are_those_of_seqeval(sentences):
    references, predictions = (
        [[r for r, _ in s] for s in sentences],
        [[p for _, p in s] for s in sentences],
    )
    ours = EntityF1().compute(predictions=predictions, references=references)
    theirs = [f(references, predictions) for f in (precision_score, recall_score, f1_score)]
    assert [ours["precision"], ours["recall"], ours["f1"]] == pytest.approx(theirs)


def test_batches_add_up():
    metric = F1()
    for p, r in (([0, 1], [0, 0]), ([1, 1], [1, 0])):
        metric.add_batch(predictions=p, references=r)
    assert metric.compute() == F1().compute(predictions=[0, 1, 1, 1], references=[0, 0, 1, 0])


def test_every_class_its_own_number():
    scores = F1().compute(predictions=[0, 1, 1], references=[0, 0, 1], average=None)
    assert np.allclose(scores["f1"], [2 / 3, 2 / 3])


@pytest.mark.parametrize("call, message", [
    (lambda: confusion_matrix([0, 1], [0]), "2 references but 1 predictions"),
    (lambda: confusion_matrix([], []), "nothing to score"),
    (lambda: confusion_matrix([0, 7], [0, 1], 3), "class 7 is out of range: 3 classes"),
    (lambda: F1().compute(predictions=[0], references=[0], average="mean"), "average='mean' is unknown: use macro"),
    (lambda: spans(["B-PER", "PER"]), "tag 'PER' of word 1 is not BIO"),
    (lambda: EntityF1().compute(predictions=[["O"]], references=[["O", "O"]]), "sentence 0 has 2 words but 1 predicted"),
    (lambda: EntityF1().compute(predictions=[["O"], ["O", None]], references=[["O"], ["O", "O"]]), "word 1 of sentence 1 has no tag"),
])  # fmt: skip
def test_errors_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


SCORED = [Accuracy, F1]


@pytest.mark.parametrize("metric", SCORED)
@pytest.mark.parametrize("wrong, message", [
    ([0.8, 0.3, 0.6], "predictions: number 0 is 0.8, .*argmax"),
    (torch.tensor([1.0, 0.25, 0.0]), "predictions: number 1 is 0.25"),
    (np.array([1, 0, np.nan]), "predictions: number 2 is nan"),
    (["1", "0", "1"], "predictions: number 0 is '1', .*number the classes"),
    ([1, None, 0], "predictions: number 1 is None"),
    ([[0.1, 0.9]] * 3, "predictions are lists of several numbers.*argmax"),
    ([1, 0, -1], r"class -1 is out of range: 2 classes .*predictions: number 2"),
])  # fmt: skip
def test_what_is_no_class_is_refused_by_its_place(metric, wrong, message):
    with pytest.raises(ValueError, match=message):
        metric().compute(predictions=wrong, references=[1, 0, 1])
    with pytest.raises(ValueError, match=message.replace("predictions", "references")):
        metric().compute(references=wrong, predictions=[1, 0, 1])
    with pytest.raises(ValueError, match=message):
        confusion_matrix([1, 0, 1], wrong)
    with pytest.raises(ValueError, match=message):
        one = metric()
        one.add_batch(predictions=wrong, references=[1, 0, 1])
        one.compute()


@pytest.mark.parametrize("metric", SCORED)
def test_one_at_a_time_is_checked_too(metric):
    one = metric()
    with pytest.raises(ValueError, match="predictions: number 0 is 0.7"):
        one.add(prediction=0.7, reference=1)
    for prediction in (1, True, 1.0, np.int8(1), torch.tensor(1)):
        one.add(prediction=prediction, reference=1)
    assert set(one.compute().values()) == {1.0}


def test_whole_numbers_of_any_kind_are_classes():
    expected = confusion_matrix([1, 0, 2], [1, 2, 2])
    for kind in (np.float32, np.uint8, np.int64):
        assert (
            confusion_matrix(np.array([1, 0, 2], kind), np.array([1, 2, 2], kind)) == expected
        ).all()
    assert (confusion_matrix(torch.tensor([1, 0, 2]), [1.0, 2.0, 2.0]) == expected).all()
    assert (confusion_matrix([True, False], [1, 0]) == [[1, 0], [0, 1]]).all()


def test_large_numbers_are_classes_like_others():
    references, predictions = [7, 10**9, 7, 10**15], [7, 10**9, 10**9, 7]
    small = dict(references=[0, 1, 0, 2], predictions=[0, 1, 1, 0])
    large = dict(references=references, predictions=predictions)
    for metric in SCORED:
        assert metric().compute(**large) == metric().compute(**small)
    with pytest.raises(ValueError, match="1000000001 classes make 1e.18 cells.*number the classes"):
        confusion_matrix([10**9], [0])


@pytest.mark.parametrize(
    "wrong", [{0, 1}, {0: 1, 1: 0}, None, 1, np.array(1), "01", b"01"], ids=repr
)
def test_what_has_no_order_is_no_column(wrong):
    with pytest.raises(TypeError, match="references (are given as|is one string).*pass a list"):
        confusion_matrix(wrong, [0, 1])


def test_labels_that_can_be_read_once_are_checked_too():
    with pytest.raises(ValueError, match="references: number 1 is 0.5"):
        confusion_matrix((x for x in [0, 0.5]), [0, 1])
    assert confusion_matrix(iter([0, 1.0]), (x for x in [0, 1])).trace() == 2


@pytest.mark.parametrize("wrong", [2**70, 1e300, np.uint64(2**63 + 1)], ids=repr)
def test_numbers_that_fit_no_integer_are_named(wrong):
    for values in ([0, wrong], np.array([0, wrong]) if wrong != 2**70 else [0, wrong]):
        with pytest.raises(ValueError, match="predictions: number 1 is .* no class number"):
            confusion_matrix([0, 1], values)


@pytest.mark.parametrize("classes", [0, -1, 2.5, "3", True, float("nan")])
def test_a_number_of_classes_is_whole(classes):
    with pytest.raises(ValueError, match=f"classes={classes!r}: it must be a whole number from 1"):
        confusion_matrix([0, 1], [0, 1], classes)
    assert confusion_matrix([0, 1], [0, 1], 3.0).shape == (3, 3)


def test_no_sentences_are_no_score():
    with pytest.raises(ValueError, match="nothing to score"):
        EntityF1().compute(predictions=[], references=[])
