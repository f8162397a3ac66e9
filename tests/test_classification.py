"The classifier learns, does not see its padding, and the naive pieces agree with the fast ones."

import pytest
import torch
from transformers import BertConfig, BertModel

from llm_practice.data.batching import Batches, encode, pad
from llm_practice.data.sources import find_model
from llm_practice.finetuning.classification import (
    TextClassificationDataset,
    TextClassifier,
    best_inside,
    draw,
    evaluate,
    lead,
    still_to_try,
    text_classifier,
    train_epoch,
)
from llm_practice.pretraining.training import compute, train

CPU = compute("cpu", torch.float32)


def toy(dropout=0.0):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                        max_position_embeddings=24, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)  # fmt: skip
    return TextClassifier(BertModel(config, add_pooling_layer=False), 2, dropout)


def toy_rows(count=120):
    "Class 1 has token 7 somewhere."
    generator, rows = torch.Generator().manual_seed(0), []
    for i in range(count):
        ids = torch.randint(10, 60, (4 + i % 12,), generator=generator).tolist()
        rows.append({"input_ids": [2, *ids, *([7] if i % 2 else []), 3], "labels": i % 2})
    return rows


def test_it_learns_what_a_word_means():
    model, rows = toy(), toy_rows()
    assert evaluate(model, rows, on=CPU)["f1"] < 0.8
    train(model, Batches(rows, 16), epochs=12, lr=5e-3, on=CPU, show=False)
    result = evaluate(model, rows, ["without", "with"], on=CPU)
    assert result["f1"] > 0.95
    assert "without" in result["report"] and len(result["predictions"]) == len(rows)
    torch.testing.assert_close(result["probabilities"].sum(1), torch.ones(len(rows)))


def test_padding_changes_nothing():
    model, rows = toy().eval(), toy_rows(6)
    with torch.inference_mode():
        short = torch.cat([model(**pad([row])).logits for row in rows])
        long = model(**pad(rows, length=24)).logits
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-4)


def test_the_naive_way_trains_the_same_model():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(find_model("minilm"))
    texts, labels = ["good film", "bad film", "very good", "very bad"] * 8, [1, 0] * 16
    data = TextClassificationDataset(texts, labels, tokenizer, max_length=16)
    assert all(tensor.shape == (16,) for name, tensor in data[0].items() if name != "labels")
    model = text_classifier(find_model("minilm"), 2, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    first, second = (train_epoch(model, data, 8, optimizer) for _ in range(2))
    assert second < first
    assert evaluate(model, encode(tokenizer, texts, labels), on=CPU)["f1"] == 1.0
    with pytest.raises(ValueError, match="2 texts but 1 labels"):
        TextClassificationDataset(["a", "b"], [0], tokenizer)


def test_a_random_start_has_the_same_shape_and_other_weights():
    known, fresh = (text_classifier(find_model("minilm"), 5, pretrained=p) for p in (True, False))
    assert [p.shape for p in known.parameters()] == [p.shape for p in fresh.parameters()]
    assert not torch.equal(
        known.encoder.embeddings.word_embeddings.weight,
        fresh.encoder.embeddings.word_embeddings.weight,
    )


def test_lead_and_draw():
    assert lead("Headline\n\n \nFirst.\nSecond.") == "Headline\nFirst."
    rows = toy_rows(100)
    drawn = draw(rows, 20, seed=3)
    assert sum(row["labels"] for row in drawn) == 10 and drawn == draw(rows, 20, seed=3) != draw(
        rows, 20, seed=4
    )
    assert draw(rows, None, 0) == rows


@pytest.mark.parametrize("best, rounds", [(-6, 1), (-9, 4), (-2, 5)])
def test_a_search_grows_until_its_best_is_inside(best, rounds):
    tried, count = {}, 0
    while missing := still_to_try(tried, (-7, -6, -5)):
        tried |= {k: -abs(k - best) for k in missing}
        count += 1
    assert max(tried, key=tried.get) == best and min(tried) < best < max(tried) and count == rounds


def test_a_part_of_the_reviews_has_both_classes():
    rows = [{"labels": 0, "id": i} for i in range(60)] + [{"labels": 1, "id": i} for i in range(40)]
    assert sum(row["labels"] for row in draw(rows, 20, seed=0)) == 8


def test_a_search_on_a_plateau_comes_to_an_end():
    tried, count = {}, 0
    while missing := still_to_try(tried, (-7, -6, -5)):
        tried |= {k: 0.3 if k <= -7 else 0.2 for k in missing}
        count += 1
    assert count == 2 and best_inside(tried) == -7


@pytest.mark.parametrize("label", [-1, 2, 0.5, None, "x"])
def test_evaluation_names_a_label_that_the_model_does_not_know(label):
    rows = toy_rows(6)
    rows[4]["labels"] = label
    with pytest.raises(ValueError, match="labels of the rows: number 4"):
        evaluate(toy(), rows, on=CPU)
    with pytest.raises(ValueError, match="number 4 is None"):
        evaluate(toy(), [*rows[:4], {"input_ids": [2, 3]}], on=CPU)


def test_the_report_and_the_score_agree_where_a_class_does_not_occur():
    torch.manual_seed(0)
    model = TextClassifier(toy().encoder, 5)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([9.0, 9.0, -99.0, -99.0, -99.0]))
    result = evaluate(model, toy_rows(20), list("abcde"), on=CPU)
    macro = next(line for line in result["report"].splitlines() if "macro avg" in line)
    assert float(macro.split()[-2]) == pytest.approx(result["f1"], abs=6e-4)
    with pytest.raises(ValueError, match="2 names for 5 classes"):
        evaluate(model, toy_rows(20), ["a", "b"], on=CPU)


@pytest.mark.parametrize(
    ("texts", "labels", "error"),
    [("ab", [0, 1], TypeError), (["a", None], [0, 1], TypeError), (["a"], ["x"], ValueError)],
)
def test_a_naive_data_set_of_what_is_no_text_or_class(texts, labels, error):
    with pytest.raises(error):
        TextClassificationDataset(texts, labels, None)
