"""scikit-learn's own contract: every check passes, but two of detectors that judge by held-out records."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from qtnml import (
    AmplitudeMPSClassifier,
    AmplitudeTreeClassifier,
    AnomalyDetector,
    BornClassifier,
    BornMixture,
    MPSBornMachine,
    MPSClassifier,
    MPSRegressor,
    SchmidtClustering,
    TableEncoder,
    TreeBornMachine,
    TreeClassifier,
    TreeRegressor,
)

LENIENT = TableEncoder(unseen="missing")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")  # rows of weight zero lie outside
@parametrize_with_checks([TreeClassifier()])
def test_check_estimator(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")  # rows of weight zero lie outside
@parametrize_with_checks(
    [
        MPSClassifier(2),
        TreeRegressor(2, encoding="multi-qubit", epochs=60),
        MPSRegressor(2, encoding="multi-qubit"),
        AmplitudeMPSClassifier(8),
        AmplitudeMPSClassifier(8, method="sweeps"),
        AmplitudeTreeClassifier(8),
    ]
)
def test_check_the_other_estimators(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def _expected(estimator: object) -> dict[str, str]:
    if isinstance(estimator, AnomalyDetector) and estimator.calibration_fraction:
        held_out = "the threshold is that of records which were held out, not of all that fit was given"
        return dict.fromkeys(("check_outliers_train", "check_outliers_fit_predict"), held_out)
    return {}


@pytest.mark.filterwarnings("ignore::qtnml.errors.IncompleteDataWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.UnseenCategoryWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.ZeroProbabilityWarning")
@parametrize_with_checks(
    [
        MPSBornMachine(4, epochs=3, encoder=TableEncoder()),
        TreeBornMachine(4, epochs=3, encoder=TableEncoder()),
        BornClassifier(MPSBornMachine(4, epochs=10, encoder=TableEncoder())),
        TableEncoder(),
    ]
)
def test_check_born_machines(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.IncompleteDataWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.UnseenCategoryWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.ZeroProbabilityWarning")
@parametrize_with_checks(
    [
        AnomalyDetector(MPSBornMachine(4, epochs=3, encoder=LENIENT)),
        AnomalyDetector(MPSBornMachine(4, epochs=3, encoder=LENIENT), calibration_fraction=0.0),
        BornMixture(MPSBornMachine(1, epochs=10, encoder=TableEncoder(4, unseen="missing")), 3, n_init=4),
        SchmidtClustering(MPSBornMachine(3, epochs=30, encoder=LENIENT, random_state=0), n_clusters=3),
    ],
    expected_failed_checks=_expected,
)
def test_check_detectors_and_clusters(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]
