"Vectors of texts, and pairs of like vectors."

from itertools import combinations

import numpy as np
import torch

from llm_practice.data.dedup import embed
from llm_practice.engine.vectors import mean_pool, semantic_pairs


def test_mean_pool_leaves_padding_out():
    hidden = torch.randn(3, 5, 4, dtype=torch.bfloat16)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    pooled = mean_pool(hidden, mask)
    assert pooled.dtype == torch.float32 and (pooled[2] == 0).all()
    torch.testing.assert_close(pooled[0], hidden[0].float().mean(0))
    torch.testing.assert_close(pooled[1], hidden[1, :2].float().mean(0))


def test_semantic_pairs_do_not_depend_on_the_block():
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = {(i, j) for i, j in combinations(range(50), 2) if vectors[i] @ vectors[j] >= 0.5}
    for block in (7, 50, 1000):
        pairs, cosines = semantic_pairs(vectors, 0.5, block)
        assert set(map(tuple, pairs.tolist())) == expected and (cosines >= 0.5).all()


def test_vectors_of_like_texts_are_like():
    vectors = embed(
        [
            "The bank left interest rates unchanged.",
            "Interest rates were held by the bank.",
            "He scored a goal.",
            "",
        ]
    )
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.7 > vectors[0] @ vectors[2]


def test_a_vector_does_not_depend_on_its_neighbours():
    texts = [
        "A short one.",
        "The bank left interest rates unchanged. " * 9,
        "He scored a goal.",
        "",
    ]
    together, alone = embed(texts, batch_size=2), np.concatenate([embed([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-5)
