"""The circuits of a submission as bytes, so that another process can send them."""

import hashlib
import io
import json
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from qiskit import QuantumCircuit

from qtnml.backends.translation import Translator
from qtnml.compile import BoundCircuits
from qtnml.errors import JobError
from qtnml.program.qpy_bytes import circuits_of, qpy_bytes


def packed(circuits: Sequence[QuantumCircuit]) -> tuple[bytes, dict[str, bytes]]:
    """The values of all circuits, and the QPY of each template by its SHA-256."""
    templates: dict[str, bytes] = {}
    plan, arrays = [], io.BytesIO()
    for group in Translator(None).groups(circuits):
        digest, templates_qpy = _qpy_of(group.template, keep=isinstance(circuits, BoundCircuits))
        templates[digest] = templates_qpy
        plan.append([digest, *group.values.shape])
        arrays.write(np.ascontiguousarray(group.values, dtype="<f8").tobytes())
    header = json.dumps(plan).encode()
    return zlib.compress(len(header).to_bytes(8, "little") + header + arrays.getvalue(), 6), templates


def _qpy_of(template: QuantumCircuit, *, keep: bool) -> tuple[str, bytes]:
    """SHA-256 and QPY; training writes the same template down in every step, so it is kept."""
    # A template is kept beside its bytes: as long as it lives, its id is no other's.
    known = _written.get(id(template)) if keep else None
    if known is None or known[0] is not template or known[3] != len(template.data):
        content = qpy_bytes(template)
        known = (template, hashlib.sha256(content).hexdigest(), content, len(template.data))
        _written.clear()
        if keep:
            _written[id(template)] = known
    return known[1:3]


_written: dict[int, tuple[QuantumCircuit, str, bytes, int]] = {}


def digests_of(work: bytes) -> set[str]:
    """SHA-256 of the templates that circuits need; none of a damaged cell."""
    try:
        content = zlib.decompress(work)
        return {digest for digest, *_ in json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])}
    except (zlib.error, ValueError, TypeError):
        return set()


def unpacked(work: bytes, template: Callable[[str], bytes]) -> Sequence[QuantumCircuit]:
    """The circuits again; `template` gives the QPY of a SHA-256.

    Raises:
        JobError: The ledger is damaged.
    """
    try:
        content = zlib.decompress(work)
        start = 8 + int.from_bytes(content[:8], "little")
        plan = json.loads(content[8:start])
        circuits: list[QuantumCircuit] = []
        for digest, rows, columns in plan:
            blob = template(digest)
            if hashlib.sha256(blob).hexdigest() != digest:
                raise ValueError("a circuit is not the one that was written")
            circuit = circuits_of(blob)[0]
            size = rows * columns * 8
            values = np.frombuffer(content[start : start + size], dtype="<f8").reshape(rows, columns)
            start += size
            bound = BoundCircuits(circuit, tuple(circuit.parameters), values)
            if len(plan) == 1:
                return bound
            circuits += list(bound)
        return circuits
    except Exception as error:  # a damaged ledger makes the parsers raise whatever they like
        raise JobError(f"a submission in the ledger is damaged ({type(error).__name__}: {error})") from error
