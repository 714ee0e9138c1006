"""Matrix products keep the precision of float32 on devices whose default is less (TF32 on GPUs)."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qtnml.ansatz import BrickWall, HermitianExponential
from qtnml.contract import AmplitudeModel, Model
from qtnml.noise.wires import no_noise
from qtnml.structure import balanced_tree, mps
from qtnml.train import CrossEntropy, RiemannianAdam
from qtnml.train.directions import coordinates_like, move

ADAM, LOSS = RiemannianAdam(), CrossEntropy()
MODELS = {
    "tree": Model(balanced_tree(8, 2)),
    "chain": Model(mps(6, 1)),
    "exponential": Model(balanced_tree(4), ansatz=HermitianExponential()),
    "brick wall": Model(balanced_tree(4), ansatz=BrickWall(2)),
    "post-selected": Model(balanced_tree(4), discard="postselect"),
    "amplitude": AmplitudeModel.mps(5, 3, 2),
}


def products(jaxpr: Any) -> Iterator[Any]:
    """Precision of every matrix product, in inner programs as well."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr") or hasattr(v, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def step_precisions(model: Any) -> list[Any]:
    params = jax.tree.map(
        lambda a: jnp.asarray(a, jnp.complex64 if np.iscomplexobj(a) else jnp.float32),
        model.start(np.random.default_rng(0)),
    )
    X, y = jnp.zeros((3, model.num_features)), jnp.zeros(3, int)

    def loss(params: Any) -> jax.Array:
        return jnp.mean(LOSS(jnp.moveaxis(model.apply(params, X), -1, 0), y))

    def step(params: Any, state: Any) -> Any:
        params, state = ADAM.update(jax.grad(loss)(params), state, params, 0.1)
        return move(params, coordinates_like(params)), state

    return list(products(jax.make_jaxpr(step)(params, ADAM.init(params)).jaxpr))


@pytest.mark.parametrize("name", MODELS)
def test_every_product_of_a_step_is_of_full_precision(name: str) -> None:
    found = step_precisions(MODELS[name])
    assert len(found) > 3
    assert set(found) == {(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)}


def test_a_precision_that_the_user_chose_is_kept() -> None:
    with jax.default_matmul_precision("bfloat16"):
        found = step_precisions(MODELS["tree"])
    assert (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST) not in found
    assert jax.config.jax_default_matmul_precision is None


def test_noise_keeps_it_as_well() -> None:
    noise = jax.tree.map(jnp.asarray, no_noise(balanced_tree(4)))
    found = list(products(jax.make_jaxpr(lambda n, s: n.at(s))(noise, 0.5).jaxpr))
    assert len(found) >= 2
    assert set(found) == {(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)}
