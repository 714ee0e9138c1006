"""Makes an optimiser from its name."""

from collections.abc import Callable
from typing import Any

from qtnml.errors import InvalidInputError
from qtnml.registry import register
from qtnml.train.optimizer import OptaxOptimizer, Optimizer
from qtnml.train.riemannian_adam import RiemannianAdam
from qtnml.train.spsa import SPSA, CalibratedSPSA

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "adam": RiemannianAdam,
    "spsa": CalibratedSPSA,
    "spsa-as-printed": SPSA,
    "spsa-later": SPSA.later,
}

for _class in (RiemannianAdam, SPSA, CalibratedSPSA):
    register("optimizer", _class)


def get_optimizer(optimizer: Any) -> Optimizer:
    """Return the optimiser called `optimizer`. An object, also one of optax, is accepted too."""
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        return OPTIMIZERS[optimizer]()
    if isinstance(optimizer, type):
        raise InvalidInputError(
            f"optimizer={optimizer.__name__} is a class; pass an object, {optimizer.__name__}()"
        )
    if hasattr(optimizer, "init") and hasattr(optimizer, "step") and hasattr(optimizer, "needs_gradient"):
        return optimizer  # type: ignore[no-any-return]
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        return OptaxOptimizer(optimizer)
    raise InvalidInputError(
        f"unknown optimizer {optimizer!r}; choose one of {sorted(OPTIMIZERS)} or pass an object of "
        "qtnml.train or an optax gradient transformation"
    )
