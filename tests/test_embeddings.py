"Training the embedding rows that occur ends as training the whole table does."

import pytest
import torch

from llm_practice.data.batching import pad
from llm_practice.engine.embeddings import only_used_rows


def small_bert(seed=0):
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    shape = {
        "vocab_size": 60,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 20,
    }
    return BertModel(
        BertConfig(**shape, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        add_pooling_layer=False,
    )


def steps(model, rows, count=12):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    for number in range(count):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (1 + number % 3)
        batch = pad(rows[number % 4 :: 4])
        (
            model(**batch).last_hidden_state[..., 0] * batch["attention_mask"]
        ).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def test_used_rows_end_as_the_whole_table_does():
    rows = [{"input_ids": [1 + (i * j) % 23 for j in range(1, 2 + i % 9)]} for i in range(24)]
    whole, some = small_bert(), small_bert()
    before = some.get_input_embeddings().weight.detach().clone()
    steps(whole, rows)
    with only_used_rows(some, rows):
        assert some.get_input_embeddings().weight.shape[0] <= 25
        steps(some, rows)
    assert list(some.state_dict()) == list(whole.state_dict())
    for (name, a), b in zip(whole.named_parameters(), some.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=name)
    assert not torch.allclose(before[40:], some.get_input_embeddings().weight[40:])


def test_used_rows_come_back_after_an_error_and_an_unknown_token_is_named():
    model = small_bert()
    before, table = (
        model.get_input_embeddings().weight.detach().clone(),
        model.get_input_embeddings(),
    )
    with (
        pytest.raises(IndexError, match="token 7 is not in the rows"),
        only_used_rows(model, [{"input_ids": [3, 5]}]),
    ):
        model(torch.tensor([[3, 7]]))
    assert model.get_input_embeddings() is table and torch.equal(table.weight, before)


def test_a_shared_output_layer_is_refused():
    from transformers import BertConfig, BertForMaskedLM

    model = BertForMaskedLM(
        BertConfig(
            vocab_size=30,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
        )
    )
    with (
        pytest.raises(ValueError, match="BertForMaskedLM uses its embedding as output layer"),
        only_used_rows(model, []),
    ):
        pass
