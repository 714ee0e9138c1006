import jax.numpy as jnp
import numpy as np
import pytest

from qtnml.errors import InvalidInputError
from qtnml.train import CrossEntropy, HingePower, get_loss

P = jnp.array([[0.7, 0.2], [0.2, 0.5], [0.1, 0.3]])
Y = jnp.array([0, 2])


def test_plain_cross_entropy_is_minus_log_p() -> None:
    np.testing.assert_allclose(CrossEntropy(sharpness=1.0)(P, Y), -np.log([0.7, 0.3]), rtol=1e-5)


def test_sharp_cross_entropy_is_that_of_repeated_outcomes() -> None:
    sharp = np.asarray(P) ** 4 / (np.asarray(P) ** 4).sum(axis=0)
    np.testing.assert_allclose(CrossEntropy(sharpness=4.0)(P, Y), -np.log(sharp[[0, 2], [0, 1]]), rtol=1e-4)


def test_cross_entropy_is_finite_at_zero() -> None:
    assert np.isfinite(CrossEntropy()(jnp.array([[0.0], [1.0]]), jnp.array([0]))).all()


def test_hinge_is_the_papers_formula() -> None:
    expected = [max(0.2 - 0.7 + 0.234, 0) ** 5.59, (0.5 - 0.3 + 0.234) ** 5.59]
    np.testing.assert_allclose(HingePower()(P, Y), expected, rtol=1e-4)


def test_losses_by_name_and_bad_ones() -> None:
    assert get_loss("hinge") == HingePower(lam=0.234, eta=5.59)
    assert get_loss(CrossEntropy(2.0)).sharpness == 2.0  # type: ignore[attr-defined]
    with pytest.raises(
        InvalidInputError,
        match=r"unknown loss 'mse'; choose one of \['cross-entropy', 'hinge', 'squared-error'\]",
    ):
        get_loss("mse")
    with pytest.raises(InvalidInputError, match="sharpness must be positive"):
        CrossEntropy(sharpness=0)
    with pytest.raises(InvalidInputError, match="eta must be at least 1, got 0.5"):
        HingePower(eta=0.5)
