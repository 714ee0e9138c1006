"""Explanations against brute force, and in words."""

import json

import numpy as np
import pandas as pd
import pytest

from qtnml import MPSBornMachine, TableEncoder, TreeBornMachine
from qtnml.born import TreeState
from qtnml.explain import ModelExplanation, RecordExplanation, explain_record
from qtnml.explain.record import chain_rule
from tests.born.trees import TREES, dense


@pytest.mark.parametrize("name", TREES)
def test_contributions_and_conditionals(name: str, rng: np.random.Generator) -> None:
    tree = TREES[name]
    state = TreeState.random(tree, 3, rng, is_complex=True)
    distribution, dims = np.abs(dense(state)) ** 2, state.sites.dims
    levels = np.array([rng.integers(0, dim) for dim in dims])
    names, labels = [f"f{k}" for k in range(len(dims))], [[f"v{k}" for k in range(dim)] for dim in dims]
    found = explain_record(state, levels, names, labels)
    assert found.log_likelihood == pytest.approx(np.log(distribution[tuple(levels)]), abs=1e-9)
    assert sum(f.contribution for f in found.features) == pytest.approx(found.log_likelihood, abs=1e-9)
    for k, feature in enumerate(found.features):
        row = [*levels[:k], slice(None), *levels[k + 1 :]]
        conditional = distribution[tuple(row)] / distribution[tuple(row)].sum()
        np.testing.assert_allclose(found.conditionals[k], conditional, atol=1e-10)
        assert feature.conditional == pytest.approx(conditional[levels[k]], abs=1e-10)
        assert feature.expected == f"v{conditional.argmax()}"
        marginal = distribution.sum(axis=tuple(j for j in range(distribution.ndim) if j != k))
        assert feature.marginal == pytest.approx(marginal[levels[k]], abs=1e-10)
        left_out = {
            j: distribution[tuple(slice(None) if i in (j, k) else v for i, v in enumerate(levels))].sum(
                axis=int(j > k)
            )
            for j in range(len(dims))
            if j != k
        }
        likelier = {j: (each / each.sum())[levels[k]] for j, each in left_out.items()}
        against = max(likelier, key=likelier.__getitem__)
        if feature.against:
            assert feature.against == f"f{against}"
            assert feature.without == pytest.approx(likelier[against], abs=1e-10)
        else:
            assert feature.surprise < 0.5 or np.log(likelier[against] / feature.conditional) <= 0.5
        prefix = distribution[tuple(levels[: k + 1])].sum() / distribution[tuple(levels[:k])].sum()
        assert feature.contribution == pytest.approx(np.log(prefix), abs=1e-9)
    assert [f.surprise for f in found.ranked] == sorted((f.surprise for f in found.features), reverse=True)


def test_missing_values_explain_nothing(rng: np.random.Generator) -> None:
    state = TreeState.random(TREES["chain"], 3, rng)
    levels = np.array([1, -1, 0, -1, 1])
    assert chain_rule(state, levels)[[1, 3]].tolist() == [0, 0]
    found = explain_record(state, levels, list("abcde"), [["0", "1", "2"]] * 5)
    assert found.features[1].value == "missing"
    assert np.isnan(found.features[1].conditional)
    assert len(found.ranked) == 3


@pytest.fixture(scope="module")
def model() -> MPSBornMachine:
    rng = np.random.default_rng(0)
    kind = rng.choice(["mail", "web"], 400)
    table = pd.DataFrame(
        {
            "kind": kind,
            "port": np.where(kind == "mail", 25, 80) + 0.0,
            "size": rng.normal(size=400) + 4 * (kind == "web"),
        }
    )
    encoder = TableEncoder(bins=6, max_values=4)
    return MPSBornMachine(6, encoder=encoder, random_state=0, complex_amplitudes=True).fit(table)


def test_a_record_in_words(model: MPSBornMachine) -> None:
    strange = model.explain(pd.DataFrame({"kind": ["mail"], "port": [80.0], "size": [4.0]}))
    assert isinstance(strange, RecordExplanation)
    text = str(strange)
    assert text.splitlines()[0].startswith("ln P = -")
    assert "kind is mail" in text
    assert "make web likeliest (99." in text
    usual = model.explain(pd.DataFrame({"kind": ["web"], "port": [80.0], "size": [4.0]}))
    assert "No feature is surprising given the others." in str(usual)
    assert json.loads(json.dumps(strange.to_dict()))["features"][0]["name"] == "kind"


def test_a_model_in_words_and_numbers(model: MPSBornMachine) -> None:
    found = model.explain()
    assert isinstance(found, ModelExplanation)
    assert found.names == ("kind", "port", "size")
    assert found.labels[0] == ("mail", "web")
    first, second, information = found.strongest_pairs(1)[0]
    assert {first, second} == {"kind", "port"}
    assert information == pytest.approx(np.log(2), abs=0.05)
    assert found.classical_information[0, 0] == pytest.approx(np.log(2), abs=0.01)
    # Between two sites a measurement shows less than there is; of one site it shows more.
    off = ~np.eye(3, dtype=bool)
    assert (found.mutual_information >= found.classical_information - 1e-6)[off].all()
    assert (np.diag(found.mutual_information) <= np.diag(found.classical_information) + 1e-6).all()
    assert len(found.bond_entropies) == 2
    assert "3 features, 2 bonds." in str(found)
    text = json.dumps(found.to_dict())
    assert "decay_exponents" in text


def test_bits_and_one_feature_have_explanations(rng: np.random.Generator) -> None:
    bits = np.repeat(rng.integers(0, 2, size=(60, 1)), 3, axis=1)
    tree = TreeBornMachine(2, random_state=0).fit(bits)
    assert "x1 is 1" in str(tree.explain([0, 1, 0]))
    alone = TreeBornMachine(random_state=0).fit(bits[:, :1]).explain()
    assert alone.bond_entropies.size == 0
    assert str(alone).startswith("1 features, 0 bonds.")
