"""`CircuitBornMachine`: a parameterised circuit as a Born machine, started from a tensor network."""

from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import _check_feature_names, check_is_fitted

from qtnml.arrays import NDArray
from qtnml.backends import get_backend
from qtnml.born import TreeState
from qtnml.compile import GenerativeCircuit
from qtnml.compile.circuit import compile_gates
from qtnml.data.frames import row_weights
from qtnml.errors import InvalidInputError, TrainingInterruptedWarning, warn_user
from qtnml.hybrid import CMAES
from qtnml.models.backend_born import BackendBornMachine
from qtnml.models.born import MPSBornMachine
from qtnml.models.born_data import bits
from qtnml.models.saved import SavedToFile
from qtnml.models.validation import generator
from qtnml.progress import progress_bar
from qtnml.shallow import approximate
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.emit import nodes_of
from qtnml.shallow.extension import extended_by, extension_pairs
from qtnml.shallow.layouts import staircase
from qtnml.shallow.optimise import OnIteration, Optimised, adam, lbfgs
from qtnml.shallow.search import stacked
from qtnml.shallow.vector import OnVector, discrepancy, divergence
from qtnml.states import from_vector

_MOST_COMPILED = 12  # qubits that one node of a compiled circuit holds


class CircuitBornMachine(SavedToFile, DensityMixin, BaseEstimator):
    """A circuit of SU(4) gates whose measured bits are samples; all gates are trained on the exact loss.

    What a tensor network has learnt classically is where it starts (arXiv:2208.13673): staircases near the
    trained machine, and further gates at the identity, on pairs that no gate joins yet.

    Args:
        layers: Staircases of gates.
        extend: Further gates: "all" pairs that no staircase joins, "neighbours", None, a device (the edges
            around a line of its qubits), or pairs.
        start: "identity" (near it) or "random" gates, where no machine is given; see `from_born`.
        loss: "nll", the mean negative log-likelihood, or "mmd", the squared maximum mean discrepancy.
        optimizer: "adam" or "lbfgs", both on the manifold of unitaries, or "cma-es", an evolution strategy
            that asks for losses alone (extra `cmaes`).
        iterations: Steps on all samples at once; of "cma-es" populations.
        learning_rate: Of Adam: largest turn of a step in radians.
        warm_start: Go on from the gates there are; a machine of `from_born` does. Without it every `fit`
            starts anew.
        random_state: Seed of the start.
        verbose: 1 shows a bar.

    Attributes:
        blocks_, point_: The circuit, and the numbers of its gates.
        history_: Loss after each step; nats for "nll".
        n_features_in_, feature_names_in_: Bits of a sample, and their names where they have some.
        notes_: JSON types of your own, saved with the machine if you set it.

    >>> X = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0]], 10, axis=0)
    >>> born = MPSBornMachine(max_bond=2, random_state=0).fit(X)
    >>> circuit = CircuitBornMachine.from_born(born, iterations=60, random_state=0).fit(X)
    >>> round(circuit.score(X), 1)  # -ln 2
    -0.7
    """

    def __init__(
        self,
        layers: int = 2,
        *,
        extend: Any = "all",
        start: Literal["identity", "random"] = "identity",
        loss: Literal["nll", "mmd"] = "nll",
        optimizer: Literal["adam", "lbfgs", "cma-es"] = "adam",
        iterations: int = 500,
        learning_rate: float = 0.02,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.layers = layers
        self.extend = extend
        self.start = start
        self.loss = loss
        self.optimizer = optimizer
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_born(cls, born: Any, layers: int = 2, **settings: Any) -> Self:
        """A circuit near a trained Born machine (or a state), fitted as far as it goes; `fit` trains it on.

        Args:
            born: A fitted `MPSBornMachine` or `TreeBornMachine`, a `State` or a `TreeState`, of bits.
            layers: Staircases that approximate it.
            **settings: Of the constructor.
        """
        model = cls(layers, **({"warm_start": True} | settings))
        model.check_settings()
        found = approximate(born, layers=int(layers), blocks="su4", random_state=0, verbose=model.verbose)
        if set(found.target.bits) != {1}:
            raise InvalidInputError("a circuit Born machine is of bits; this state has sites of more levels")
        places = found.target.sites
        # Qubit k is site k: the chain may have another order.
        pairs = tuple((places[a], places[b]) for a, b in found.blocks.pairs)
        blocks = Blocks(found.blocks.num_places, pairs, found.blocks.kind)
        model._begin(blocks, found.point)
        return model

    def _begin(self, blocks: Blocks, point: Point) -> None:
        """Take a circuit as the start, with the further gates that `extend` says."""
        rng = generator(self.random_state)
        more = extension_pairs(self.extend, blocks.num_places, blocks.pairs)
        self.blocks_, self.point_ = extended_by(blocks, point, more, rng)
        self.n_features_in_ = blocks.num_places
        self.history_: list[float] = []
        self.notes_: dict[str, Any] = {}

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Train all gates on samples X (samples, features) of bits.

        Ctrl-C ends training with the best gates so far.

        Args:
            X: Bits, none missing.
            y: Ignored.
            sample_weight: (samples,), how often each counts.
        """
        self.check_settings()
        strings = self._strings(X)
        if not (self.warm_start and hasattr(self, "point_")):
            self._fresh(strings.shape[1])
            _check_feature_names(self, X, reset=True)
        elif not hasattr(self, "feature_names_in_"):  # of a machine that came from another
            _check_feature_names(self, X, reset=True)
        if strings.shape[1] != self.n_features_in_:
            raise InvalidInputError(
                f"X has {strings.shape[1]} features, the circuit {self.n_features_in_} qubits"
            )
        make = divergence if self.loss == "nll" else discrepancy
        objective: OnVector = make(self.blocks_, strings, sample_weight)
        with progress_bar("circuit", int(self.iterations), show=bool(self.verbose)) as advance:
            best = _Kept()

            def on_iteration(done: int, losses: NDArray) -> bool:
                advance(done, f"{self.loss} {losses[0]:.4g}")
                return False

            run: Any = {"adam": adam, "lbfgs": lbfgs, "cma-es": self._evolved}[self.optimizer]
            rate = {"learning_rate": float(self.learning_rate)} if self.optimizer == "adam" else {}
            try:
                found = run(
                    best.watching(objective),
                    stacked([self.point_]),
                    self.blocks_.dimension,
                    iterations=int(self.iterations),
                    tolerance=1e-9,
                    on_iteration=on_iteration,
                    **rate,
                )
                point, history = Point(*(part[0] for part in found.points)), found.history[:, 0]
            except KeyboardInterrupt:
                if best.point is None:
                    raise
                warn_user(
                    "training was interrupted; the best gates so far are kept", TrainingInterruptedWarning
                )
                point, history = best.point, np.array(best.losses)
        entropy = _entropy(strings, sample_weight) if self.loss == "nll" else 0.0
        self.point_, self.history_ = point, (history + entropy).tolist()
        return self

    def check_settings(self) -> None:
        """Refuse settings that cannot be used.

        Raises:
            InvalidInputError: What, its value and the cure.
        """
        for name, known in (
            ("start", ("identity", "random")),
            ("loss", ("nll", "mmd")),
            ("optimizer", ("adam", "lbfgs", "cma-es")),
        ):
            if getattr(self, name) not in known:
                raise InvalidInputError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        for name in ("layers", "iterations"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise InvalidInputError(f"{name} must be an integer of at least 1, got {value!r}")
        rate = self.learning_rate
        is_number = isinstance(rate, float | int | np.floating) and not isinstance(rate, bool)
        if not is_number or not 0 < rate < np.pi:
            raise InvalidInputError(f"learning_rate must be between 0 and pi, got {rate!r}")

    def _evolved(
        self,
        objective: Any,
        points: Point,
        dimension: int,
        *,
        iterations: int,
        tolerance: float,  # noqa: ARG002 - of the other optimisers
        on_iteration: OnIteration,
    ) -> Optimised:
        """Populations of steps from one circuit; the best circuit of all is kept."""
        seed = int(generator(self.random_state).integers(2**31))
        strategy = CMAES().strategy(np.zeros(dimension), {}, seed)
        size = strategy.population_size
        start = Point(*(np.repeat(part, size, axis=0) for part in points))
        best, best_loss, history = points, float(objective(points, np.zeros((1, dimension)))[1][0]), []
        history.append(best_loss)
        for iteration in range(iterations):
            steps = np.stack([strategy.ask() for _ in range(size)])
            moved, losses, _ = objective(start, steps)
            strategy.tell([(step, float(loss)) for step, loss in zip(steps, losses, strict=True)])
            chosen = int(np.argmin(losses))
            if losses[chosen] < best_loss:
                best_loss = float(losses[chosen])
                best = Point(*(part[chosen : chosen + 1] for part in moved))
            history.append(best_loss)
            if on_iteration(iteration + 1, np.array([best_loss])):
                break
        return Optimised(best, np.array([best_loss]), np.array(history)[:, None])

    def _fresh(self, count: int) -> None:
        """A start without a machine."""
        blocks = Blocks(count, staircase(count, int(self.layers)), "su4")
        rng = generator(self.random_state)
        spread = 0.01 if self.start == "identity" else 3.0
        self._begin(blocks, blocks.start(rng, spread))
        if self.start == "random":
            self.point_ = self.blocks_.start(rng, spread)

    def levels(self, X: Any) -> NDArray:
        """Samples as levels of sites (samples, sites): the bits themselves."""
        return self._strings(X)

    def _strings(self, X: Any) -> NDArray:
        found = bits(X)
        if (found < 0).any():
            raise InvalidInputError("samples of a circuit have no missing values; leave those rows out")
        return found

    def _vector(self) -> NDArray:
        check_is_fitted(self, "point_")
        return OnVector(self.blocks_, _nothing, ()).vector(self.point_)

    @property
    def state_(self) -> TreeState:
        """What the circuit prepares, as a chain."""
        return from_vector(self._vector()).tree_state

    def score_samples(self, X: Any) -> NDArray:
        """ln P of samples of bits in nats, (samples,)."""
        strings, vector = self._strings(X), self._vector()
        if hasattr(self, "feature_names_in_"):
            _check_feature_names(self, X, reset=False)
        if strings.shape[1] != self.n_features_in_:
            raise InvalidInputError(
                f"X has {strings.shape[1]} features, the circuit {self.n_features_in_} qubits"
            )
        index = strings @ (1 << np.arange(self.n_features_in_ - 1, -1, -1))
        return np.asarray(np.log(np.maximum(np.abs(vector[index]) ** 2, 1e-300)))

    log_likelihood = score_samples

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Mean ln P of samples, nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> NDArray:
        """Independent samples (n_samples, bits)."""
        probabilities = np.abs(self._vector()) ** 2
        drawn = generator(random_state).choice(
            len(probabilities), int(n_samples), p=probabilities / probabilities.sum()
        )
        shifts = np.arange(self.n_features_in_ - 1, -1, -1)
        return np.asarray((drawn[:, None] >> shifts) & 1)

    def compile(
        self,
        *,
        reuse_qubits: bool = True,
        num_qubits: int | None = None,
        target: Any = None,
        samples: Any = None,
        passes: Any = (),
    ) -> GenerativeCircuit:
        """The circuit itself, for Qiskit, a backend or a device; arguments as for `MPSBornMachine.compile`.

        Raises:
            InvalidInputError: Gates on all pairs of more than 12 qubits.
        """
        check_is_fitted(self, "point_")
        count = self.n_features_in_
        joined = any(abs(a - b) > 1 for a, b in self.blocks_.pairs)
        if joined and count > _MOST_COMPILED:
            raise InvalidInputError(
                f"circuits that join far qubits are compiled up to {_MOST_COMPILED} qubits, got {count}; "
                "take extend='neighbours' or None"
            )
        shape, nodes = nodes_of(self.blocks_, self.point_, [1] * count, range(count))
        return compile_gates(
            shape,
            nodes,
            self.state_,
            infidelity=0.0,
            reuse_qubits=reuse_qubits,
            num_qubits=num_qubits,
            target=target,
            samples=None if samples is None else self._strings(samples),
            passes=passes,
        )

    def to_backend(self, backend: Any, *, shots: int = 1024, **settings: Any) -> Any:
        """The circuit on a backend, drawn from and trained further there: a `BackendBornMachine`.

        Args:
            backend, shots: As for `MPSBornMachine.to_backend`.
            **settings: Other arguments of `BackendBornMachine` (jobs, training, label, verbose).
        """
        machine = MPSBornMachine.from_state(self.state_)
        return BackendBornMachine(machine, self.compile(), get_backend(backend), shots=shots, **settings)


class _Kept:
    """The best circuit that an objective was asked about, for Ctrl-C."""

    def __init__(self) -> None:
        self.point: Point | None = None
        self.losses: list[float] = []

    def watching(self, objective: OnVector) -> Any:
        def asked(points: Point, steps: NDArray) -> tuple[Point, NDArray, NDArray]:
            moved, losses, slopes = objective(points, steps)
            best = int(np.argmin(losses))
            if not self.losses or losses[best] < min(self.losses):
                self.point = Point(*(part[best] for part in moved))
            self.losses.append(float(losses[best]))
            return moved, losses, slopes

        return asked


def _nothing(vector: Any, data: Any) -> Any:  # noqa: ARG001
    return 0.0


def _entropy(strings: NDArray, weights: Any) -> float:
    """Of the samples' frequencies, nats: what a divergence lacks to a negative log-likelihood."""
    _, inverse = np.unique(strings, axis=0, return_inverse=True)
    shares = np.bincount(inverse.reshape(-1), row_weights(weights, len(strings)))
    shares = shares[shares > 0] / shares.sum()
    return float(-(shares * np.log(shares)).sum())
