"""scikit-learn's own checks."""

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from qtnml import TreeClassifier

# The checks predict far outside the training range on purpose.
pytestmark = pytest.mark.filterwarnings("ignore")


@parametrize_with_checks([TreeClassifier()])
def test_scikit_learn_check(estimator: TreeClassifier, check: Callable[[Any], None]) -> None:
    check(estimator)
