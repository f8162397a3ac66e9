"The metrics give the numbers of scikit-learn and seqeval, on anything."

import numpy as np
import pytest
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
])  # fmt: skip
def test_errors_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
