"""Amplitude MPS, 64 sites, ten classes: ours, TensorKrowch in its best setting, a plain JAX scan."""

import itertools
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from contest import BATCH, Contestant

from qtnml.contract import AmplitudeModel
from qtnml.train import CrossEntropy, RiemannianAdam

SITES, CLASSES = 64, 10
LOSS = CrossEntropy(sharpness=1.0)


class ChainProblem:
    """Samples, labels, and cores at bond dimension D."""

    def __init__(self, bond_dim: int) -> None:
        rng = np.random.default_rng(0)
        self.bond_dim, self.model = bond_dim, AmplitudeModel.mps(SITES, CLASSES, bond_dim)
        start = self.model.start(rng)
        self.parameters = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), start)
        self.X = jnp.asarray(rng.random((BATCH, SITES)), jnp.float32)
        self.y = jnp.asarray(rng.integers(0, CLASSES, BATCH))


def ours(problem: ChainProblem) -> Contestant:
    adam = RiemannianAdam()  # plain Adam for cores, whose rank is not 3
    state = {"parameters": problem.parameters, "adam": adam.init(problem.parameters)}

    def loss(parameters: Any) -> jax.Array:
        return jnp.mean(LOSS(problem.model.outcomes(parameters, problem.X)[0], problem.y))

    @jax.jit
    def step(parameters: Any, adam_state: Any) -> Any:
        return adam.update(jax.grad(loss)(parameters), adam_state, parameters, 1e-4)

    def run() -> None:
        state["parameters"], state["adam"] = step(state["parameters"], state["adam"])
        jax.block_until_ready(state["parameters"])

    return Contestant("qtnml", run, calls=20)


def scan_amplitudes(parameters: Any, X: jax.Array) -> jax.Array:
    """One scan from the left, one from the right: (classes, batch)."""
    ends, inner, (centre,) = (
        parameters.nodes
    )  # cores (parent, child, site, 1), and (1, left, right, site, label)
    half = SITES // 2
    features = jnp.stack([jnp.cos(jnp.pi / 2 * X), jnp.sin(jnp.pi / 2 * X)], axis=-1)

    def step(carried: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        core, site = inputs
        return jnp.einsum("bl,bs,rls->br", carried, site, core[..., 0]), None

    sites = features.transpose(1, 0, 2)
    first, last = sites[0] @ ends[0, :, :, 0].T, sites[-1] @ ends[1, :, :, 0].T
    from_left = jax.lax.scan(step, first, (inner[: half - 1], sites[1:half]))[0]
    from_right = jax.lax.scan(step, last, (inner[half - 1 :], sites[half + 1 : -1][::-1]))[0]
    return jnp.einsum("bl,bs,lrsc,br->cb", from_left, sites[half], centre[0], from_right)


def plain_scan(problem: ChainProblem) -> Contestant:
    f = scan_amplitudes(problem.parameters, problem.X[:5])
    theirs, mine = f**2 / jnp.sum(f**2, axis=0), problem.model.apply(problem.parameters, problem.X[:5]).T
    if not float(jnp.abs(theirs - mine).max()) < 1e-4:
        raise AssertionError("probabilities differ")
    optimizer = optax.adam(1e-4)
    state = {"parameters": problem.parameters, "adam": optimizer.init(problem.parameters)}

    def loss(parameters: Any) -> jax.Array:
        f = scan_amplitudes(parameters, problem.X)
        return jnp.mean(LOSS(f**2 / jnp.sum(f**2, axis=0), problem.y))

    @jax.jit
    def step(parameters: Any, adam_state: Any) -> Any:
        updates, adam_state = optimizer.update(jax.grad(loss)(parameters), adam_state)
        return optax.apply_updates(parameters, updates), adam_state

    def run() -> None:
        state["parameters"], state["adam"] = step(state["parameters"], state["adam"])
        jax.block_until_ready(state["parameters"])

    return Contestant("plain JAX scan", run, note="one scan from each end, optax Adam")


def tensorkrowch(problem: ChainProblem) -> Contestant:
    """`MPSLayer` with every combination of its options; the fastest takes part."""
    options = ("auto_stack", "auto_unbind", "inline_input", "inline_mats")
    best: tuple[float, Any, tuple[bool, ...]] | None = None
    for chosen in itertools.product((False, True), repeat=4):
        run = _krowch_step(problem, dict(zip(options, chosen, strict=True)))
        for _ in range(2):
            run()
        took = statistics.median(_timed(run) for _ in range(3))
        if best is None or took < best[0]:
            best = took, run, chosen
    assert best is not None
    on = [name for name, value in zip(options, best[2], strict=True) if value]
    return Contestant(
        "TensorKrowch", best[1], note=f"MPSLayer, fastest of 16 option sets: {', '.join(on) or 'none'}"
    )


def _timed(run: Any) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _krowch_step(problem: ChainProblem, options: dict[str, bool]) -> Any:
    import tensorkrowch as tk
    import torch

    layer = tk.models.MPSLayer(
        n_features=SITES + 1,
        in_dim=2,
        out_dim=CLASSES,
        bond_dim=problem.bond_dim,
        boundary="obc",
        init_method="randn_eye",
        std=1e-3,
    )
    layer.auto_stack, layer.auto_unbind = options["auto_stack"], options["auto_unbind"]
    inline = {name: options[name] for name in ("inline_input", "inline_mats")}
    angles = torch.tensor(np.pi / 2 * np.asarray(problem.X))
    data = torch.stack([torch.cos(angles), torch.sin(angles)], dim=-1)
    layer.trace(torch.zeros(1, SITES, 2), **inline)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-4)
    labels, criterion = torch.tensor(np.asarray(problem.y), dtype=torch.long), torch.nn.CrossEntropyLoss()

    def run() -> None:
        optimizer.zero_grad()
        criterion(layer(data, **inline), labels).backward()
        optimizer.step()

    return run


def tn4ml(problem: ChainProblem) -> Contestant:
    """A spaced matrix product operator (output on the first site only), stepped as its `train` does."""
    import contextlib
    import io

    from tn4ml.embeddings import TrigonometricEmbedding
    from tn4ml.initializers import randn
    from tn4ml.metrics import CrossEntropySoftmax
    from tn4ml.models.smpo import SMPO_initialize
    from tn4ml.util import TrainingType

    model = SMPO_initialize(
        SITES,
        initializer=randn(1e-2, dtype=jnp.float32),
        key=jax.random.key(0),
        dtype=jnp.float32,
        shape_method="even",
        spacing=SITES,
        bond_dim=problem.bond_dim,
        phys_dim=(2, CLASSES),
        add_identity=True,
    )
    model.configure(
        strategy="global",
        optimizer=optax.adam,
        learning_rate=1e-4,
        loss=CrossEntropySoftmax,
        train_type=TrainingType.SUPERVISED,
        device=("cpu", 0),
    )
    X, labels = np.asarray(problem.X), np.eye(CLASSES, dtype=np.float32)[np.asarray(problem.y)]
    embedding = TrigonometricEmbedding()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model.train(X, targets=labels, epochs=1, batch_size=BATCH, embedding=embedding, dtype=jnp.float32)
    batch = (problem.X, jnp.asarray(labels))
    state = {"parameters": model.arrays, "adam": model.opt_state}

    def run() -> None:
        state["parameters"], state["adam"], loss = model.step(state["parameters"], state["adam"], batch)
        jax.block_until_ready((state["parameters"], loss))

    return Contestant("tn4ml", run, note="SpacedMatrixProductOperator, the step of its `train`, optax Adam")
