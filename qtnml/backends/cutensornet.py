"""NVIDIA cuTensorNet: circuits contracted as tensor networks, at any number of qubits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.backends.base import Capabilities, Counts
from qtnml.backends.extras import require
from qtnml.backends.translation import Translator
from qtnml.errors import BackendError

Contraction: TypeAlias = Callable[[QuantumCircuit, list[Any]], NDArray]
_MARGINAL_BITS = 20  # outcomes of so many bits are held at once


class CuTensorNet:
    """Exact probabilities and samples of circuits without resets.

    The measured qubits' reduced density matrix is contracted: `CircuitToEinsum` leaves out every gate that
    they cannot see, and one contraction path serves all circuits of a template.

    Args:
        method: "einsum" (exact), or "mps": a matrix product state of at most `max_bond`, for deep circuits
            (it cuts silently, and compiled chains, whose qubit 0 meets all others, exceed 64: compare two
            values).
        max_bond: Of the "mps" method.
        device: "gpu", or "cpu" to evaluate the same einsum expression with opt_einsum, to check a conversion.
        dtype: "complex128" or "complex64".
        hyper_samples: Contraction paths tried.

    Several GPUs: start the script with `mpiexec -n GPUS python script.py`; cuTensorNet's MPI mode (the
    environment variable CUTENSORNET_COMM_LIB) then spreads each contraction over all ranks.
    """

    name = "cutensornet"

    def __init__(
        self,
        method: Literal["einsum", "mps"] = "einsum",
        *,
        max_bond: int = 64,
        device: Literal["gpu", "cpu"] = "gpu",
        dtype: Literal["complex128", "complex64"] = "complex128",
        hyper_samples: int = 8,
    ) -> None:
        require("cuquantum.tensornet", "gpu")
        import cuquantum

        self.version = f"cuquantum {cuquantum.__version__}"
        if method not in ("einsum", "mps") or device not in ("gpu", "cpu"):
            raise BackendError(
                f"method must be 'einsum' or 'mps' and device 'gpu' or 'cpu', got {method!r} and {device!r}"
            )
        if method == "mps" and device == "cpu":
            raise BackendError("method 'mps' needs a GPU; use method='einsum' on the CPU")
        if device == "gpu" and not _has_gpu():
            raise BackendError(
                "cuTensorNet needs an NVIDIA GPU and finds none; use get_backend('cutensornet', "
                "device='cpu') to contract the same expressions slowly, or get_backend('aer')"
            )
        self._method, self._max_bond, self._device = method, max_bond, device
        self._dtype, self._hyper_samples = dtype, hyper_samples
        given = {"method": method, "max_bond": max_bond, "device": device, "dtype": dtype}
        usual = {"method": "einsum", "device": "gpu", "dtype": "complex128"}
        self.settings: Mapping[str, Any] = {
            name: value
            for name, value in given.items()
            if usual.get(name) != value and (name != "max_bond" or method == "mps")
        }
        self.capabilities = Capabilities(resets=False, mid_circuit_measurement=False, exact=True, seeds=True)

    def sample(self, circuits: Sequence[QuantumCircuit], shots: int, seed: int | None) -> list[Counts]:
        """Counts of each circuit, drawn from its exact probabilities (or by cuTensorNet, if many bits)."""
        rng = np.random.default_rng(seed)
        found: list[Counts] = []
        for circuit, measured, contract in self._measured(circuits):
            if len(measured) > _MARGINAL_BITS:
                found.append(self._sampled(circuit, measured, shots, int(rng.integers(2**31))))
                continue
            drawn = rng.multinomial(shots, contract(circuit, measured))
            found.append({int(k): int(drawn[k]) for k in np.flatnonzero(drawn)})
        return found

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes)."""
        rows = []
        for circuit, measured, contract in self._measured(circuits):
            if len(measured) > _MARGINAL_BITS:
                raise BackendError(f"{len(measured)} measured bits have too many outcomes to list; use shots")
            rows.append(contract(circuit, measured))
        return np.array(rows)

    def _measured(
        self, circuits: Sequence[QuantumCircuit]
    ) -> "Iterator[tuple[QuantumCircuit, list[Any], Contraction]]":
        """Gates of each circuit, the qubits of its bits, and how it is contracted."""
        for group in Translator(None).groups(circuits):
            contract = self._contractor()
            for circuit in group.circuits():
                yield (*without_measurements(circuit), contract)

    def _contractor(self) -> "Contraction":
        """A function that contracts circuits of one structure, each by the path found for the first."""
        if self._method == "mps":
            return self._mps_probabilities
        contract = Einsum(self._dtype, on_gpu=self._device == "gpu", hyper_samples=self._hyper_samples)
        return contract.probabilities

    def _mps_probabilities(self, circuit: QuantumCircuit, measured: list[Any]) -> NDArray:
        with self._state(circuit) as state:
            return _as_probabilities(
                state.compute_reduced_density_matrix(measured, diagonal=True), len(measured)
            )

    def _sampled(self, circuit: QuantumCircuit, measured: list[Any], shots: int, seed: int) -> Counts:
        if self._device == "cpu":
            raise BackendError(f"{len(measured)} measured bits are sampled on a GPU only")
        with self._state(circuit) as state:
            strings = state.compute_sampling(shots, modes=measured, seed=seed)
        return {int(bits, 2): int(n) for bits, n in strings.items()}

    def _state(self, circuit: QuantumCircuit) -> Any:
        from cuquantum.tensornet.experimental import MPSConfig, NetworkState

        config = MPSConfig(max_extent=self._max_bond) if self._method == "mps" else None
        return NetworkState.from_circuit(circuit, dtype=self._dtype, config=config)


class Einsum:
    """Contracts circuits that differ only in their gates' angles.

    Args:
        dtype: "complex128" or "complex64".
        on_gpu: By cuTensorNet; otherwise by opt_einsum.
        hyper_samples: Contraction paths tried on the GPU.
    """

    def __init__(self, dtype: str, *, on_gpu: bool, hyper_samples: int = 8) -> None:
        self._dtype, self._on_gpu, self._hyper_samples = dtype, on_gpu, hyper_samples
        self._expression: str | None = None
        self._contract: Any = None

    def expression(self, circuit: QuantumCircuit, measured: list[Any]) -> tuple[str, list[Any]]:
        """cuQuantum's einsum expression of the reduced density matrix of the measured qubits."""
        from cuquantum.tensornet import CircuitToEinsum

        converter = CircuitToEinsum(circuit, dtype=self._dtype, backend="cupy" if self._on_gpu else "numpy")
        expression, operands = converter.reduced_density_matrix(measured)
        return expression, list(operands)

    def probabilities(self, circuit: QuantumCircuit, measured: list[Any]) -> NDArray:
        """Exact probabilities of the measured qubits, the last one the most significant bit."""
        expression, operands = self.expression(circuit, measured)
        if expression != self._expression:
            self._expression, self._contract = expression, self._planned(expression, operands)
        return _as_probabilities(_diagonal(self._contract(operands), len(measured)), len(measured))

    def _planned(self, expression: str, operands: list[Any]) -> Any:
        if not self._on_gpu:
            import opt_einsum

            path, _ = opt_einsum.contract_path(expression, *operands, optimize="greedy")
            return lambda ops: opt_einsum.contract(expression, *ops, optimize=path)
        from cuquantum.tensornet import Network

        network = Network(expression, *operands)
        network.contract_path(optimize={"samples": self._hyper_samples})

        def contract(ops: list[Any]) -> Any:
            network.reset_operands(*ops)
            return network.contract()

        return contract


def without_measurements(circuit: QuantumCircuit) -> tuple[QuantumCircuit, list[Any]]:
    """The gates alone, and the qubit of each classical bit in order."""
    gates = circuit.copy_empty_like()
    bits: dict[int, Any] = {}
    for instruction in circuit.data:
        if instruction.operation.name == "measure":
            bits[circuit.find_bit(instruction.clbits[0]).index] = instruction.qubits[0]
        elif instruction.operation.name not in ("barrier", "delay"):
            gates.append(instruction)
    if len(bits) < circuit.num_clbits:
        raise BackendError(f"{circuit.num_clbits - len(bits)} classical bits are never measured; remove them")
    return gates, [bits[bit] for bit in sorted(bits)]


def _diagonal(density: Any, bits: int) -> Any:
    return density.reshape(2**bits, 2**bits).diagonal()


def _as_probabilities(diagonal: Any, bits: int) -> NDArray:
    """Indexed by outcomes: the first measured qubit is the least significant bit."""
    host = diagonal.get() if hasattr(diagonal, "get") else np.asarray(diagonal)
    cube = np.real(host).astype(np.float64).reshape((2,) * bits)
    flat = np.maximum(cube.transpose(range(bits)[::-1]).reshape(-1), 0.0)
    return np.asarray(flat / flat.sum())


def _has_gpu() -> bool:
    try:
        import cupy

        return bool(cupy.cuda.runtime.getDeviceCount() > 0)
    except Exception:  # no driver, no library, no device: all the same here
        return False
