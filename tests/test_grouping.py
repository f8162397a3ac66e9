"Clusters in any order, and the best of each."

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_practice.engine.grouping import best_of_clusters, merge_clusters, pairs_by_key


@given(st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=2), max_size=30), st.randoms())
@settings(deadline=None)
def test_clusters_are_those_of_a_graph_in_any_order(keys, rng):
    import networkx as nx

    count = len(keys)
    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(
        (i, j)
        for i in range(count)
        for j in range(i)
        if any(a == b for a, b in zip(keys[i], keys[j]))
    )
    rows = [
        (np.uint64(k * 10 + band), doc)
        for doc, pair in enumerate(keys)
        for band, k in enumerate(pair)
    ]
    rng.shuffle(rows)
    labels = np.arange(count)
    for part in (rows[::2], rows[1::2], rows):
        words = np.array([[k] for k, _ in part], np.uint64).reshape(-1, 1)
        labels = merge_clusters(
            labels, pairs_by_key(words, np.array([doc for _, doc in part], np.int64))
        )
    wanted = {doc: min(cluster) for cluster in nx.connected_components(graph) for doc in cluster}
    assert labels.tolist() == [wanted[doc] for doc in range(count)]


def test_the_best_of_a_cluster_stays():
    labels = np.array([0, 0, 2, 0, 2, 5])
    score = np.array([[5, 9], [7, 4], [1, 1], [7, 3], [1, 1], [0, 0]])
    assert best_of_clusters(labels, score).tolist() == [3, 3, -1, -1, 2, -1]
    assert best_of_clusters(np.empty(0, np.int64), np.empty((0, 2))).tolist() == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40), st.randoms())
def test_clusters_are_those_of_plain_sets_in_any_order(pairs, rng):
    groups = [{i} for i in range(21)]
    for a, b in pairs:
        one, other = (next(g for g in groups if x in g) for x in (a, b))
        if one is not other:
            one |= other
            groups.remove(other)
    plain_sets = [min(next(g for g in groups if x in g)) for x in range(21)]
    for _ in range(2):
        ends = np.array(pairs, np.int64).reshape(-1, 2)
        assert merge_clusters(np.arange(21), ends).tolist() == plain_sets
        rng.shuffle(pairs)
