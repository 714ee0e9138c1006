"""scikit-learn's own contract: every check passes, none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from qtnml import AmplitudeMPSClassifier, MPSClassifier, MPSRegressor, TreeClassifier, TreeRegressor


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")
@parametrize_with_checks([TreeClassifier()])
def test_check_estimator(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")
@parametrize_with_checks(
    [
        MPSClassifier(2),
        TreeRegressor(2, encoding="multi-qubit", epochs=60),
        MPSRegressor(2, encoding="multi-qubit"),
        AmplitudeMPSClassifier(8),
        AmplitudeMPSClassifier(8, method="sweeps"),
    ]
)
def test_check_the_other_estimators(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]
