import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qtnml.ansatz import unitarity_error
from qtnml.train import RiemannianAdam
from tests.references import random_unitaries


@pytest.mark.sampled
@pytest.mark.parametrize("dim", [2, 4, 16, 64])
@pytest.mark.parametrize("learning_rate", [0.03, 1.0])
def test_float32_steps_stay_unitary(dim: int, learning_rate: float, rng: np.random.Generator) -> None:
    """1,000 steps with noise for gradients, at the default rate and one far too large."""
    adam = RiemannianAdam()
    stacks = (jnp.asarray(random_unitaries(3, dim, 1.0, rng), dtype=jnp.complex64),)
    steps = 1000 if dim < 64 else 100

    @jax.jit
    def run(stacks: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        def step(k, carry):
            stacks, state = carry
            noise = jax.random.normal(jax.random.key(k), (2, *stacks[0].shape))
            return adam.update((noise[0] + 1j * noise[1],), state, stacks, learning_rate)

        return jax.lax.fori_loop(0, steps, step, (stacks, adam.init(stacks)))[0]

    assert unitarity_error(np.asarray(run(stacks)[0])) < 1e-5


@pytest.mark.sampled
@pytest.mark.parametrize("dim", [2, 4, 16, 64])
@pytest.mark.parametrize("learning_rate", [0.03, 0.1, 10.0])
def test_concentrated_gradients_stay_unitary(
    dim: int, learning_rate: float, rng: np.random.Generator
) -> None:
    """Gradients of rank one put a step's whole norm on one angle; check after every step."""
    adam = RiemannianAdam()
    stacks = (jnp.asarray(random_unitaries(2, dim, 0.5, rng), dtype=jnp.complex64),)
    column = rng.normal(size=(2, dim, 1)) + 1j * rng.normal(size=(2, dim, 1))
    gradient = (jnp.asarray(column @ rng.normal(size=(2, 1, dim)), dtype=jnp.complex64),)
    state, update = adam.init(stacks), jax.jit(adam.update)
    for _ in range(20):
        stacks, state = update(gradient, state, stacks, learning_rate)
        assert unitarity_error(np.asarray(stacks[0])) < 1e-5


def test_finds_a_unitary_it_is_pulled_to(rng: np.random.Generator) -> None:
    """Minimise |U - V|^2, whose gradient is real and complex alike, from a far start."""
    target = jnp.asarray(random_unitaries(2, 4, 3.0, rng), dtype=jnp.complex64)
    stacks = (jnp.asarray(random_unitaries(2, 4, 3.0, rng), dtype=jnp.complex64),)
    adam = RiemannianAdam()

    def distance(stacks: tuple[jax.Array, ...]) -> jax.Array:
        difference = stacks[0] - target
        return jnp.sum(difference.real**2 + difference.imag**2)

    state = adam.init(stacks)
    step = jax.jit(lambda stacks, state, rate: adam.update(jax.grad(distance)(stacks), state, stacks, rate))
    for k in range(600):
        stacks, state = step(stacks, state, 0.05 * (1 - k / 600))
    assert float(distance(stacks)) < 1e-4
