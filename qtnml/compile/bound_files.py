"""Fully bound circuits as files that every tool reads: OpenQASM 2 or 3, QPY."""

import os
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit, qasm2, qasm3, transpile

from qtnml.arrays import NDArray
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.generative import GenerativeCircuit
from qtnml.errors import InvalidInputError
from qtnml.program.qpy_bytes import qpy_bytes
from qtnml.storage import write_atomically

_BASIS = ["rx", "ry", "rz", "cx", "cz"]
_VERSIONS: dict[int, Any] = {2: qasm2, 3: qasm3}


def export_bound(
    compiled: CompiledCircuit | GenerativeCircuit,
    path: str | os.PathLike[str],
    X: NDArray | None = None,
    *,
    qasm_version: int = 3,
) -> list[Path]:
    """Write circuits with weights and samples bound, atomically, for tools without symbolic parameters.

    A `.qasm` file holds one circuit. With several samples, each sample gets its own file with its row in the
    name. Any reader of OpenQASM reads the files; `import_circuit` does not.

    Args:
        compiled: A network's circuit or a generative circuit.
        path: Ends in `.qasm` or `.qpy`.
        X: Samples (samples, features); None for a generative circuit, which has no inputs.
        qasm_version: 3, or 2 for tools that do not read OpenQASM 3. Version 2 writes rotations, CX and CZ,
            and no feed-forward.

    Returns:
        The files.

    >>> import tempfile
    >>> from qtnml import TreeClassifier, load_dataset
    >>> data = load_dataset("iris")
    >>> compiled = TreeClassifier(epochs=1, random_state=0).fit(data.X_train, data.y_train).compile()
    >>> folder = Path(tempfile.mkdtemp())
    >>> [file.name for file in export_bound(compiled, folder / "iris.qasm", data.X_test[:2], qasm_version=2)]
    ['iris-0.qasm', 'iris-1.qasm']
    """
    path = Path(path)
    if path.suffix not in (".qasm", ".qpy"):
        raise InvalidInputError(f"cannot tell the circuit format of {path}; end it in .qasm or .qpy")
    if qasm_version not in _VERSIONS:
        raise InvalidInputError(f"qasm_version must be 2 or 3, got {qasm_version!r}")
    circuits = _circuits(compiled, X)
    if path.suffix == ".qpy":
        write_atomically(path, qpy_bytes(circuits))
        return [path]
    texts = [_text(circuit, qasm_version) for circuit in circuits]
    files = [path]
    if len(texts) > 1:
        files = [path.with_name(f"{path.stem}-{row}{path.suffix}") for row in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        write_atomically(file, text.encode())
    return files


def _circuits(compiled: CompiledCircuit | GenerativeCircuit, X: NDArray | None) -> list[QuantumCircuit]:
    if isinstance(compiled, GenerativeCircuit):
        if X is not None:
            raise InvalidInputError("a circuit that draws strings has no inputs; leave X out")
        return [compiled.trained_circuit]
    if X is None:
        raise InvalidInputError("a network's circuit has inputs; give the samples to bind, X[:1] for one")
    return list(compiled.bind(X))


def _text(circuit: QuantumCircuit, version: int) -> str:
    try:
        if version == 2:  # whose standard gates know no `u`
            circuit = transpile(circuit, basis_gates=_BASIS, optimization_level=0)
        return str(_VERSIONS[version].dumps(circuit))
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise InvalidInputError(
            f"this circuit is not to be written as OpenQASM {version}: {first}; leave passes such as "
            "feed-forward out, or write .qpy"
        ) from error
