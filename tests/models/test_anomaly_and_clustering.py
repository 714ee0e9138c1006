"""Outliers and clusters by Born machines."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from qtnml import (
    AnomalyDetector,
    BornMixture,
    MPSBornMachine,
    SchmidtClustering,
    TableEncoder,
    TreeBornMachine,
    load_model,
)
from qtnml.born import log_amplitudes
from qtnml.errors import InvalidInputError, ModelFileError, UnseenCategoryWarning
from qtnml.models.built_persistence import entry_of
from qtnml.storage import save_archive


@pytest.fixture(scope="module")
def normal() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 500)
    return pd.DataFrame({"kind": kind, "size": rng.normal(size=500) + 6 * (kind == "b"), "flag": kind == "b"})


def test_outliers(normal: pd.DataFrame) -> None:
    detector = AnomalyDetector(contamination=0.05, random_state=0).fit(normal)
    assert (detector.predict(normal) == -1).mean() < 0.1
    np.testing.assert_array_equal(detector.decision_function(normal) < 0, detector.predict(normal) == -1)
    swapped = normal.assign(flag=~normal["flag"])
    both = pd.concat([normal, swapped])
    truth = np.repeat([0, 1], len(normal))
    assert roc_auc_score(truth, -detector.score_samples(both)) > 0.99
    assert (detector.predict(swapped) == -1).mean() > 0.95
    assert "flag is" in str(detector.explain(swapped.iloc[0]))
    assert detector.feature_names_in_.tolist() == ["kind", "size", "flag"]


def test_unseen_and_missing_values(normal: pd.DataFrame) -> None:
    detector = AnomalyDetector(unseen=-7.0, random_state=0).fit(normal)
    row = normal.head(1)
    hole, strange = row.assign(kind=[None]), row.assign(kind=["c"])
    known, missing, unseen = (detector.score_samples(x)[0] for x in (row, hole, strange))
    assert missing >= known
    assert unseen == pytest.approx(missing - 7)


def test_a_value_never_seen_is_told_of_once(normal: pd.DataFrame) -> None:
    born = MPSBornMachine(2, encoder=TableEncoder(unseen="missing"), random_state=0).fit(normal)
    strange = normal.head(1).assign(kind=["c"])
    with pytest.warns(UnseenCategoryWarning, match="'c' in column 'kind'") as told:
        found = born.score_samples(strange)
    assert len(told) == 1
    np.testing.assert_allclose(found, born.score_samples(normal.head(1).assign(kind=[None])))


def test_numbers_far_outside_of_what_was_seen_are_strange(normal: pd.DataFrame) -> None:
    far = normal.assign(size=normal["size"] + 40)
    further = normal.assign(size=normal["size"] + 400)
    for by in ("record", "feature", "both"):
        detector = AnomalyDetector(by=by, random_state=0).fit(normal)  # type: ignore[arg-type]
        assert (detector.predict(far) == -1).all()
        assert (detector.score_samples(further) < detector.score_samples(far)).all()
    coarse = AnomalyDetector(density=False, random_state=0).fit(normal)
    np.testing.assert_array_equal(coarse.score_samples(far), coarse.score_samples(further))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contamination": 0.5}, "contamination must be at least 0 and below 0.5"),
        ({"unseen": -np.inf}, "unseen must be a finite number of at most 0, got -inf"),
        ({"unseen": 1}, "unseen must be a finite number of at most 0, got 1"),
        ({"model": "mps"}, "model must be a Born machine or None, got 'mps'"),
    ],
)
def test_bad_settings(normal: pd.DataFrame, settings: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        AnomalyDetector(**settings).fit(normal)


@pytest.fixture(scope="module")
def groups() -> tuple[np.ndarray, np.ndarray]:
    """Copies of two patterns, with noise."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    X = np.array([[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0, 1, 1]])[labels]
    return X ^ (rng.random(X.shape) < 0.03), labels


def test_a_mixture_finds_groups(groups: tuple[np.ndarray, np.ndarray]) -> None:
    X, labels = groups
    mixture = BornMixture(MPSBornMachine(1, epochs=10), 2, random_state=0, n_init=2).fit(X)
    assert adjusted_rand_score(labels, mixture.labels_) > 0.9
    assert mixture.weights_.sum() == pytest.approx(1)
    single = MPSBornMachine(1, epochs=10, random_state=0).fit(X)
    assert mixture.score(X) > single.score(X) + 1
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X), abs=0.05)
    np.testing.assert_allclose(mixture.predict_proba(X).sum(axis=1), 1)
    drawn, which = mixture.sample(200, random_state=0)
    assert drawn.shape == (200, 8)
    assert adjusted_rand_score(mixture.predict(drawn), which) > 0.8
    assert mixture.converged_ or mixture.n_iter_ == 20


def test_schmidt_vectors_are_groups(groups: tuple[np.ndarray, np.ndarray]) -> None:
    X, labels = groups
    model = MPSBornMachine(4, random_state=0, complex_amplitudes=True)
    clusters = SchmidtClustering(model, 2).fit(X)
    assert adjusted_rand_score(labels, clusters.labels_) > 0.7
    assert (np.diff(clusters.schmidt_values_) <= 0).all()
    shares = clusters.contributions(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    # All terms together are the amplitude.
    fitted = clusters.model_
    bond = clusters.bond_
    everything = SchmidtClustering(model, fitted.bond_dims_[bond], bond=bond).fit(X)
    assert everything.contributions(X).shape[1] == fitted.bond_dims_[clusters.bond_]
    terms = everything.terms(X)
    logs, phases = log_amplitudes(everything.model_.state_, X)
    ratio = terms.sum(axis=1) / (np.exp(logs) * phases)
    np.testing.assert_allclose(np.abs(ratio), 1, rtol=1e-8)


def test_bad_clusterings(groups: tuple[np.ndarray, np.ndarray]) -> None:
    X, _ = groups
    for make, message in (
        (lambda: BornMixture("mps"), "model must be a Born machine"),  # type: ignore[arg-type]
        (lambda: BornMixture(MPSBornMachine(), 0), "n_components must be an integer of at least 1, got 0"),
        (lambda: BornMixture(MPSBornMachine(), 999), "999 components need as many samples, got 300"),
        (lambda: SchmidtClustering(MPSBornMachine(2), 0), "n_clusters must be an integer of at least 1"),
        (lambda: SchmidtClustering(MPSBornMachine(2), bond=7), "bond must be from 0 to 6, got 7"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            make().fit(X)
    with pytest.raises(InvalidInputError, match="a model of one node has no bond to cut"):
        SchmidtClustering(MPSBornMachine(2)).fit(X[:, :1])
    with pytest.raises(InvalidInputError, match="missing values have no cluster"):
        SchmidtClustering(MPSBornMachine(2, random_state=0)).fit(X).predict([[np.nan] * 8])


def test_mixture_of_tables(normal: pd.DataFrame) -> None:
    mixture = BornMixture(
        MPSBornMachine(1, epochs=5, encoder=TableEncoder(bins=4)), 2, random_state=0, max_iter=5
    )
    mixture.fit(normal)
    drawn, which = mixture.sample(10, random_state=0)
    assert list(drawn.columns) == ["kind", "size", "flag"]
    assert len(which) == 10


def test_fresh_normal_records_are_inliers() -> None:
    rng = np.random.default_rng(0)
    detector = AnomalyDetector(random_state=0).fit(rng.normal(size=(400, 3)))
    assert (detector.predict(rng.normal(size=(2000, 3))) == -1).mean() < 0.05
    assert detector.predict([[1e9, 1e9, -1e9]]).tolist() == [-1]
    text = str(detector.explain([1e9, 0.0, 0.0]))
    assert "x0 lies far outside the range seen in training." in text
    assert "costs" not in text  # a number has its cost in the density
    bins = AnomalyDetector(density=False, random_state=0).fit(rng.normal(size=(400, 3)))
    assert "This costs 10 nats of the score." in str(bins.explain([1e9, 0.0, 0.0]))
    assert "Each of these costs 10 nats of the score." in str(bins.explain([1e9, 1e9, 0.0]))
    training = AnomalyDetector(calibration_fraction=0, contamination=0.1, random_state=0)
    X = rng.normal(size=(300, 2)) @ [
        [1.0, 1.0],
        [0.0, 0.5],
    ]  # all pairs of bins of independent numbers are alike
    assert (training.fit(X).predict(X) == -1).mean() == pytest.approx(0.1, abs=0.03)


def test_unseen_categories_are_explained(normal: pd.DataFrame) -> None:
    detector = AnomalyDetector(random_state=0).fit(normal)
    found = detector.explain(normal.head(1).assign(kind=["zzz"]))
    assert "kind has a value never seen in training." in str(found)
    assert "costs 10 nats of the score." in str(found)
    assert found.to_dict()["remarks"][0].startswith("kind")


def test_nothing_learnt_is_lost_when_fit_fails(normal: pd.DataFrame) -> None:
    detector = AnomalyDetector(random_state=0).fit(normal)
    before = detector.score_samples(normal)
    with pytest.raises(InvalidInputError):
        detector.fit(normal[["size"]], sample_weight=np.ones(3))
    np.testing.assert_array_equal(detector.score_samples(normal), before)


@pytest.mark.slow
def test_clusters_of_long_strings_do_not_underflow() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (30, 1300))
    clusters = SchmidtClustering(MPSBornMachine(2, epochs=1, random_state=0), 2).fit(X)
    np.testing.assert_allclose(clusters.contributions(rng.integers(0, 2, (5, 1300))).sum(axis=1), 1)
    with pytest.warns(ConvergenceWarning, match="has 2 terms: fewer clusters than n_clusters=50"):
        many = SchmidtClustering(MPSBornMachine(2, epochs=1, random_state=0), 50).fit(X)
    assert many.contributions(X).shape == (30, 2)


@pytest.fixture(scope="module")
def fitted(normal: pd.DataFrame, groups: tuple[np.ndarray, np.ndarray]) -> list[tuple[Any, Any]]:
    X, _ = groups
    table = MPSBornMachine(2, epochs=3, random_state=0, encoder=TableEncoder(4))
    return [
        (AnomalyDetector(unseen=-3.0, random_state=0).fit(normal), normal),
        (AnomalyDetector(clone(table), contamination=0.1).fit(normal), normal),
        (BornMixture(clone(table), 2, max_iter=2, random_state=0).fit(normal), normal),
        (SchmidtClustering(MPSBornMachine(2, epochs=3, random_state=0), 2).fit(X), X),
    ]


def test_files_hold_all_of_them(fitted: list[tuple[Any, Any]], tmp_path: Path) -> None:
    for estimator, X in fitted:
        estimator.save(tmp_path / "model.qtnml")
        loaded = load_model(tmp_path / "model.qtnml")
        assert type(loaded) is type(estimator)
        assert str(loaded.get_params()) == str(estimator.get_params())
        np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))
        for method in ("score_samples", "predict_proba", "decision_function", "contributions"):
            if hasattr(estimator, method):
                np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(estimator, method)(X))
        for name in set(vars(estimator)) - {"model", "models_", "model_"}:
            np.testing.assert_array_equal(getattr(loaded, name), getattr(estimator, name), name)


def test_damaged_files(fitted: list[tuple[Any, Any]], tmp_path: Path) -> None:
    path = tmp_path / "model.qtnml"
    changes: list[dict[str, Any]] = [
        {"parts": []},
        {"learnt": {}},
        {"parameters": {"surprise": 1}},
        {"given": {"model": "Forest"}},
        {"labels_": np.array([9])},
        {"weights_": np.array([0.5, np.nan])},
        {"schmidt_values_": np.array([-1.0, 5.0])},
        {"learnt": {"offset_": "low", "bond_": 99, "lower_bound_": "low", "n_iter_": 1, "converged_": True}},
    ]
    for estimator, _ in fitted:
        for change in changes:
            header, arrays = entry_of(estimator)
            target: dict[str, Any] = arrays if next(iter(change)).endswith("_") else header
            if target is arrays and not change.keys() <= arrays.keys():
                continue
            target |= change
            save_archive(path, header, arrays)
            with pytest.raises(ModelFileError, match="is damaged"):
                load_model(path)


def test_checkpoints_that_would_be_of_no_use(groups: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, _ = groups
    model = MPSBornMachine(2, epochs=2, random_state=0, checkpoint=tmp_path / "run.ckpt", resume=True)
    with pytest.raises(InvalidInputError, match="needs an integer random_state of the detector, got None"):
        AnomalyDetector(model).fit(X)
    first = AnomalyDetector(model, random_state=0).fit(X)
    assert AnomalyDetector(model, random_state=0).fit(X).offset_ == first.offset_
    with pytest.raises(InvalidInputError, match="needs an integer random_state of the mixture, got None"):
        BornMixture(model).fit(X)


def test_a_clustering_keeps_what_it_learnt(groups: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, _ = groups
    clusters = SchmidtClustering(MPSBornMachine(4, epochs=3, random_state=0), 2).fit(X)
    clusters.set_params(n_clusters=1)
    np.testing.assert_array_equal(clusters.predict(X), clusters.labels_)
    with pytest.raises(ModelFileError, match="fit it again"):
        clusters.save(tmp_path / "c.qtnml")


def test_values_that_do_not_belong_together_are_found(tmp_path: Path) -> None:
    """Every value of the strange records is usual; one of twenty columns is not that of its record."""
    rng = np.random.default_rng(0)

    def records(rows: int) -> np.ndarray:
        kind = rng.integers(0, 2, (rows, 10))
        X = np.repeat(kind, 2, axis=1)
        free = rng.integers(0, 2, (rows, 10))
        return np.concatenate([X ^ (rng.random(X.shape) < 0.005), free], axis=1)

    normal, strange = records(1500), records(400)
    strange[np.arange(400), 2 * rng.integers(0, 10, 400)] ^= 1
    model = TreeBornMachine(2)
    found = {}
    for by in ("record", "feature", "both"):
        detector = AnomalyDetector(model, by=by, contamination=0.05, random_state=0).fit(normal)
        test = records(1000)
        assert (detector.predict(test) == -1).mean() < 0.2
        found[by] = (detector.score_samples(strange)[:, None] < detector.score_samples(test)[None]).mean()
        detector.save(tmp_path / "d.qtnml")
        again = load_model(tmp_path / "d.qtnml")
        np.testing.assert_array_equal(again.score_samples(strange), detector.score_samples(strange))
    assert found["feature"] > 0.9
    assert found["both"] > 0.9
    born = detector.model_
    parts = born.log_conditionals(strange[:5])
    for site in (0, 3, 15):
        without = strange[:5].astype(float)
        without[:, site] = np.nan
        expected = born.log_likelihood(strange[:5]) - born.log_likelihood(without)
        np.testing.assert_allclose(parts[:, site], expected, atol=1e-8)
    with pytest.raises(InvalidInputError, match="by must be one of .*'dependence', got 'row'"):
        AnomalyDetector(model, by="row").fit(normal)  # type: ignore[arg-type]


def test_a_combination_is_strange_though_its_values_are_common(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 2, 400)
    rows = np.column_stack([pair, pair, rng.integers(0, 2, 400), rng.random(400) < 0.01]).astype(int)
    model = MPSBornMachine(2, random_state=0).fit(rows)
    asked = np.array([[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    found = model.log_dependence(asked)
    singles = [marginal[0] for marginal in model.marginals()]
    alone = np.array([sum(np.log(p[v]) for p, v in zip(singles, row, strict=True)) for row in asked])
    np.testing.assert_allclose(found, model.log_likelihood(asked) - alone, atol=1e-9)
    assert found.argmin() == 0  # the rare bit of the second row is no strange combination
    assert model.log_dependence([[0.0, np.nan, np.nan, np.nan]])[0] == pytest.approx(0, abs=1e-9)
    detector = AnomalyDetector(MPSBornMachine(2), by="dependence", random_state=0).fit(rows)
    assert detector.predict(asked[:1]).tolist() == [-1]
    np.testing.assert_allclose(
        detector.score_samples(asked), detector.model_.log_dependence(asked), atol=1e-9
    )
    detector.save(tmp_path / "detector.qtnml")
    again = load_model(tmp_path / "detector.qtnml")
    np.testing.assert_array_equal(again.score_samples(asked), detector.score_samples(asked))
