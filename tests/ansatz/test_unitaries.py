import numpy as np
import pytest

from qtnml.ansatz import project_to_unitary, unitarity_error
from tests.references import random_unitaries


@pytest.mark.parametrize("dim", [2, 4, 16, 64])
def test_start_is_unitary_and_near_the_identity(dim: int, rng: np.random.Generator) -> None:
    stack = random_unitaries(5, dim, 0.1, rng)
    assert unitarity_error(stack) < 1e-13
    assert np.linalg.norm(stack - np.eye(dim), ord=2, axis=(1, 2)).max() < 0.3


def test_projection_finds_the_nearest_unitary(rng: np.random.Generator) -> None:
    unitary = random_unitaries(1, 4, 3.0, rng)
    disturbed = unitary + 1e-4 * rng.normal(size=unitary.shape)
    projected = project_to_unitary(disturbed)
    assert unitarity_error(projected) < 1e-14
    assert np.linalg.norm(projected - disturbed) <= np.linalg.norm(unitary - disturbed)


def test_unitarity_error_measures() -> None:
    assert unitarity_error(2 * np.eye(2)[None]) == 3.0
