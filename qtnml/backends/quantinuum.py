"""Quantinuum's ion traps through Nexus, and the local emulator: all-to-all, with measurement and reset in the
middle.

Circuits are translated here: by Qiskit into rotations and ZZ interactions, then by pytket into the trap's own
gates. Nexus receives the final circuits. Uploading circuits costs nothing. One call submits and pays for a
job, under a name by which it can be found.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Measure, Parameter, Reset
from qiskit.circuit.library import RXGate, RYGate, RZGate, RZZGate
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from qtnml.backends.base import Backend, Capabilities, Counts, version_of
from qtnml.backends.extras import require
from qtnml.backends.faults import polling_faults
from qtnml.backends.local import LocalBackend
from qtnml.backends.qiskit_jobs import QiskitBackend
from qtnml.backends.translation import Group, Translation, Translator
from qtnml.errors import BackendError

_MOST_SHOTS = 10_000
#: Of a layer of two-qubit gates, seconds. Only its ratio to T2 counts: the vendor gives the memory error of a
#: layer.
_LAYER = 1e-3
_DONE = frozenset({"COMPLETED"})
_FAILED = frozenset({"ERROR", "TERMINATED", "DEPLETED"})


def quantinuum(
    device: str = "H2-1LE",
    *,
    project: str = "qtnml",
    user_group: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    **how: Any,
) -> Backend:
    """`quantinuum:H2-1LE`, the emulator on this machine; `quantinuum:H2-1`, `H2-1E`, `H2-1SC`: through Nexus.

    Names ending in E are Quantinuum's emulators with noise, those in SC syntax checkers, which cost nothing.
    The account is that of `qnx login`.

    Args:
        device: Its name.
        project: Of Nexus, where circuits and jobs are kept; made if it is not there.
        user_group: Of the account, which pays.
        options: More of `qnexus.QuantinuumConfig`, such as `noisy_simulation`.
        seed: Of submissions to the local emulator that have none of their own.
        how: Of the translation (`optimization_level`, `transpiler_seed`, `qubits`).

    Raises:
        MissingExtraError: The extra `quantinuum` is not installed.
        BackendError: No such device.
    """
    require("pytket.extensions.quantinuum", "quantinuum")
    require("pytket.extensions.qiskit", "quantinuum")
    trap, translation = Trap(device), Translation(**how)
    if device.endswith("LE"):
        return LocalBackend(Emulator(trap, translation), seed=seed)
    if seed is not None:
        raise BackendError(f"backend 'quantinuum:{device}' takes no seed: leave seed={seed!r} out")
    require("qnexus", "quantinuum")
    billing = {"project": project if project != "qtnml" else None, "user_group": user_group}
    return QiskitBackend(
        NexusJobs(trap, project, user_group, options or {}),
        f"quantinuum:{device}",
        Capabilities(
            resets=True,
            durable=True,
            searchable=True,
            paid=not device.endswith("SC"),
            num_qubits=trap.num_qubits,
            max_circuits=300,
            max_shots=_MOST_SHOTS,
        ),
        translation.settings() | ({"options": dict(options)} if options else {}),
        Translator(trap, translation),
        target=translation.target(trap),
        billing={name: value for name, value in billing.items() if value is not None},
    )


class Trap(BackendV2):
    """A trap as Qiskit describes devices: every pair of qubits interacts.

    Its errors are those that pytket-quantinuum ships, of the day it names (`calibration`). Two-qubit gates
    err with the vendor's p2 as their average infidelity, and a layer of them lets every qubit that waits err
    by its memory error.

    Args:
        device: Its name at Quantinuum.
    """

    def __init__(self, device: str) -> None:
        super().__init__(name=device)
        info = _known(device)
        specs = info.misc.get("noise_specs") or {}
        #: Day of the errors it comes with (ISO 8601); None where there are none.
        self.calibration: str | None = specs.get("date")
        self._target = _target(int(info.n_nodes), specs, f"{device} (Quantinuum)")

    @property
    def target(self) -> Target:
        """Qiskit's description."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """No limit of its own."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        """Circuits run through `NexusJobs` or `Emulator`."""
        raise NotImplementedError("use get_backend('quantinuum:...')")


@lru_cache(maxsize=8)
def _known(device: str) -> Any:
    """What the client knows of a trap, or of the one an emulator stands for, without an account."""
    from pytket.extensions.quantinuum import QuantinuumAPIOffline, QuantinuumBackend

    trap = device.removesuffix("SC").removesuffix("LE").removesuffix("E")
    known = ("H1-1", "H2-1", "H2-2")
    if trap not in known:
        raise BackendError(
            f"no trap {device!r}; choose quantinuum: and one of {', '.join(known)}, with LE (local "
            "emulator), E (emulator) or SC (syntax checker) after it. Helios takes other programs than "
            "circuits"
        )
    return QuantinuumBackend(trap, api_handler=QuantinuumAPIOffline()).backend_info


def _target(num_qubits: int, specs: Mapping[str, Any], name: str) -> Target:
    one = float(specs.get("1q_gate_error", {}).get("p1", 0.0))
    two = float(specs.get("2q_gate_error", {}).get("p2", 0.0))
    spam = specs.get("spam_error", {})
    read = (float(spam.get("p_meas_0", 0.0)) + float(spam.get("p_meas_1", 0.0))) / 2
    memory = float(specs.get("memory_error", {}).get("memory_error", 0.0))
    # Average infidelity of dephasing for a time t is (1 - exp(-t/T2)) / 3.
    t2 = -_LAYER / np.log1p(-3 * memory) if memory else None
    waiting = [QubitProperties(t1=None, t2=t2) for _ in range(num_qubits)]
    target = Target(description=name, num_qubits=num_qubits, qubit_properties=waiting)
    single = [(qubit,) for qubit in range(num_qubits)]
    angle = Parameter("angle")
    for gate, error in ((RXGate(angle), one), (RYGate(angle), one), (RZGate(angle), 0.0)):
        target.add_instruction(gate, {q: InstructionProperties(duration=0.0, error=error) for q in single})
    pairs = list(permutations(range(num_qubits), 2))
    target.add_instruction(
        RZZGate(angle), {q: InstructionProperties(duration=_LAYER, error=two) for q in pairs}
    )
    target.add_instruction(Measure(), {q: InstructionProperties(duration=0.0, error=read) for q in single})
    # Optical pumping errs far less than reading; the vendor gives no number.
    target.add_instruction(Reset(), {q: InstructionProperties(duration=0.0, error=0.0) for q in single})
    return target


def to_tket(circuit: QuantumCircuit) -> Any:
    """A bound circuit in the trap's own gates, its bits one register `c` in Qiskit's order.

    Raises:
        BackendError: pytket does not take it.
    """
    from pytket.circuit import OpType
    from pytket.extensions.qiskit import qiskit_to_tk
    from pytket.passes import AutoRebase

    flat = QuantumCircuit(circuit.num_qubits)
    flat.add_register(ClassicalRegister(circuit.num_clbits, "c"))
    for gate in circuit.data:
        qubits = [circuit.find_bit(qubit).index for qubit in gate.qubits]
        bits = [circuit.find_bit(bit).index for bit in gate.clbits]
        flat.append(gate.operation, qubits, bits)
    try:
        found = qiskit_to_tk(flat)
        own = {OpType.PhasedX, OpType.Rz, OpType.ZZPhase, OpType.Measure, OpType.Reset, OpType.Barrier}
        AutoRebase(own).apply(found)
        found.remove_blank_wires(keep_blank_classical_wires=True)
    except Exception as error:  # whatever pytket finds fault with
        raise BackendError(f"pytket cannot translate the circuit: {error}") from error
    return found


def counts_of(result: Any) -> Counts:
    """Counts of a pytket result: bit k of register `c` has the value 2**k."""
    from pytket.circuit import Bit

    bits = sorted((bit for bit in result.get_bitlist() if bit.reg_name == "c"), key=lambda bit: bit.index[0])
    width = bits[-1].index[0] + 1 if bits else 0
    found: Counts = {}
    for read, shots in result.get_counts(cbits=[Bit("c", k) for k in range(width)]).items():
        outcome = sum(int(value) << k for k, value in enumerate(read))
        found[outcome] = found.get(outcome, 0) + int(shots)
    return found


def credits_of(circuit: QuantumCircuit, shots: int) -> float:
    """What one circuit costs in Quantinuum's credits (HQC): 5 + shots (N_1q + 10 N_2q + 5 N_m) / 5000.

    N counts one-qubit gates, two-qubit gates, and preparations, measurements and resets, in the trap's own
    gates (Quantinuum's user guide; rotations about Z are free).
    """
    from pytket.circuit import OpType

    found = to_tket(circuit)
    ones = found.n_gates_of_type(OpType.PhasedX)
    moved = found.n_qubits + found.n_gates_of_type(OpType.Measure) + found.n_gates_of_type(OpType.Reset)
    return float(5 + shots * (ones + 10 * found.n_gates_of_type(OpType.ZZPhase) + 5 * moved) / 5000)


class Emulator:
    """Quantinuum's emulator on this machine, without noise: a `Simulator` for `LocalBackend`."""

    def __init__(self, trap: Trap, translation: Translation) -> None:
        from pytket.extensions.quantinuum import QuantinuumBackend

        self._trap, self._backend = trap, QuantinuumBackend(trap.name)
        self._translator = Translator(trap, translation)
        self.name = f"quantinuum:{trap.name}"
        self.target = translation.target(trap)
        self.capabilities = Capabilities(
            resets=True, seeds=True, num_qubits=trap.num_qubits, simulated_qubits=16
        )
        self.settings: Mapping[str, Any] = translation.settings()
        self.version = version_of("pytket-quantinuum", "pytket-pecos")

    def __reduce__(self) -> Any:
        """Made again in another process: the client's objects do not travel."""
        return _emulator, (self._trap.name, dict(self.settings))

    def sample(self, circuits: Sequence[QuantumCircuit], shots: int, seed: int | None) -> list[Counts]:
        """Counts of each circuit; equal seeds, equal counts."""
        found = []
        bound = (circuit for group in self._translator.groups(circuits) for circuit in group.circuits())
        for number, circuit in enumerate(bound):
            own = {} if seed is None else {"seed": (seed + 7919 * number) % 2**31}
            handle = self._backend.process_circuit(to_tket(circuit), shots, noisy_simulation=False, **own)
            found.append(counts_of(self._backend.get_result(handle)))
        return found

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> Any:  # noqa: ARG002
        """It has none."""
        raise BackendError("the emulator has no exact probabilities; use shots, or get_backend('exact')")


def _emulator(device: str, settings: Mapping[str, Any]) -> Emulator:
    return Emulator(Trap(device), Translation(**settings))


class NexusJob:
    """A job of Nexus with the members that `QiskitBackend` asks for."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def job_id(self) -> str:
        """Of Nexus."""
        return str(self._job.id)

    def status(self) -> str:
        """In the words of `qiskit_jobs`."""
        import qnexus

        told = str(qnexus.jobs.status(self._job).status.value)
        if told in _DONE:
            return "DONE"
        if told in _FAILED:
            return "FAILED"
        return {"RUNNING": "RUNNING", "CANCELLING": "RUNNING", "CANCELLED": "CANCELLED"}.get(told, "QUEUED")

    def results(self) -> list[Any]:
        """pytket results, in order; waits for them."""
        import qnexus

        wait = 0.1
        while (status := self.status()) in ("QUEUED", "RUNNING"):
            time.sleep(wait)
            wait = min(1.5 * wait, 10.0)
        if status != "DONE":
            raise BackendError(f"the job was {status.lower()}: {qnexus.jobs.status(self._job).message}")
        return [each.download_result() for each in qnexus.jobs.results(self._job)]

    def cancel(self) -> None:
        """Ask Nexus to stop it."""
        import qnexus

        qnexus.jobs.cancel(self._job)


class NexusJobs:
    """Jobs of Quantinuum Nexus: a `Launcher`.

    Args:
        trap: The device.
        project: Where they are kept.
        user_group: Which pays.
        options: More of `qnexus.QuantinuumConfig`.
    """

    def __init__(self, trap: Trap, project: str, user_group: str | None, options: Mapping[str, Any]) -> None:
        self._trap, self._project, self._user_group = trap, project, user_group
        self._options = dict(options)

    def launch(self, groups: Iterable[Group], shots: int, seed: int | None, tag: str | None) -> Any:  # noqa: ARG002
        """Upload bound circuits, then buy them in one call under the tag as their name."""
        import qnexus

        name = tag or f"qtnml {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        try:
            config = qnexus.QuantinuumConfig(device_name=self._trap.name, **self._options)
        except (TypeError, ValueError) as error:
            raise BackendError(f"Quantinuum does not take options={self._options!r}: {error}") from error
        circuits = [to_tket(circuit) for group in groups for circuit in group.circuits()]
        # Nothing is bought by an upload, so that one that failed may be tried again.
        with polling_faults(f"quantinuum:{self._trap.name}", "take circuits"):
            project = self._nexus_project()
            uploaded = [
                qnexus.circuits.upload(circuit=circuit, name=f"{name} {k}", project=project)
                for k, circuit in enumerate(circuits)
            ]
        given = {} if self._user_group is None else {"user_group": self._user_group}
        job = qnexus.start_execute_job(
            programs=uploaded,
            n_shots=[shots] * len(uploaded),
            backend_config=config,
            name=name,
            project=project,
            **given,
        )
        return NexusJob(job)

    def _nexus_project(self) -> Any:
        import qnexus

        return qnexus.projects.get_or_create(name=self._project)

    def counts(self, job: Any) -> list[Counts]:
        """Wait for a job's counts, in order."""
        return [counts_of(result) for result in job.results()]

    def retrieve(self, job_id: str) -> Any:
        """A job of the account."""
        import qnexus

        return NexusJob(qnexus.jobs.get(id=job_id))

    def find(self, tag: str) -> str | None:
        """By its name."""
        import qnexus

        found = qnexus.jobs.get_all(name_exact=[tag], project=self._nexus_project()).list()
        return str(found[0].id) if found else None

    def calibration(self, job: Any) -> str | None:  # noqa: ARG002
        """Nexus does not tell: of the errors that the client comes with."""
        return self._trap.calibration

    def calibration_now(self) -> str | None:
        """Of the errors that the client comes with."""
        return self._trap.calibration

    def close(self) -> None:
        """Nothing is reserved."""
