"""IBM Quantum: real devices through qiskit-ibm-runtime, and its snapshots of them on the local machine."""

import atexit
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from qiskit import QuantumCircuit

from qtnml.backends.base import DENSITY_MATRIX_QUBITS, Capabilities, Counts, version_of
from qtnml.backends.extras import require
from qtnml.backends.qiskit_jobs import (
    QiskitBackend,
    calibration_time,
    in_utc,
    sampler_counts,
    sampler_pub,
)
from qtnml.backends.translation import Group, Translation, Translator, active_qubits
from qtnml.errors import BackendError

_MODES = ("job", "batch", "session")


class RuntimeJobs:
    """Jobs of IBM's sampler, on a device or in the client's local testing mode: one code path for both.

    Args:
        device: An `IBMBackend`, or one of the client's fake backends.
        service: The account's service; None in local mode.
        mode: "job" (each on its own), "batch" (jobs run together when their turn comes) or "session" (the
            device is reserved, and paid, from the first job until the backend's `close`, or the end of the
            process).
        options: Of the sampler, as nested dictionaries: `{"twirling": {"enable_gates": True}}`.
        instance: IBM's name (CRN) for what is billed; None for the service's own choice.
    """

    def __init__(
        self, device: Any, service: Any, mode: str, options: Mapping[str, Any], instance: str | None = None
    ) -> None:
        self._device, self._service, self._mode_name = device, service, mode
        self._instance = instance
        self._options = options
        self._mode: Any = None
        self._simulators: dict[frozenset[int], Any] = {}  # the last one

    def launch(self, groups: Iterable[Group], shots: int, seed: int | None, tag: str | None) -> Any:
        """Submit one unit of work per template."""
        options = _merged(self._options, {"environment": {"job_tags": [tag]}} if tag else {})
        groups = list(groups)
        mode = self._execution_mode()
        if self._service is None:
            if seed is not None:
                options = _merged(options, {"simulator": {"seed_simulator": seed % 2**31}})
            mode = self._simulator(groups)
        return _sampler(mode, options).run([sampler_pub(group) for group in groups], shots=shots)

    def _simulator(self, groups: Iterable[Group]) -> Any:
        """Aer with the snapshot's noise on the qubits that circuits use.

        IBM's client makes the noise of all the device's qubits anew for each job, and Aer reads it for each
        job: 5 s for 133 qubits, and milliseconds for the few that circuits use.
        """
        from qiskit_aer import AerSimulator

        from qtnml.backends.aer_noise import errors_on_qubits

        used = frozenset(
            group.template.find_bit(qubit).index
            for group in groups
            for qubit in active_qubits(group.template)
        )
        if used not in self._simulators:
            method = "density_matrix" if len(used) <= DENSITY_MATRIX_QUBITS else "automatic"
            noise = errors_on_qubits(self._device, used)
            made = AerSimulator(method=method, noise_model=noise, fusion_threshold=1)
            made.set_max_qubits(self._device.num_qubits)
            self._simulators = {used: made}
        return self._simulators[used]

    def counts(self, job: Any) -> list[Counts]:
        """Wait for a job's counts, in order."""
        return sampler_counts(job.result())

    def retrieve(self, job_id: str) -> Any:
        """A job of the account; a local one lives in its process only."""
        return None if self._service is None else self._service.job(job_id)

    def find(self, tag: str) -> str | None:
        """By the tags kept with every job."""
        if self._service is None:
            return None
        for instance in self._instances():
            jobs = self._service.jobs(
                job_tags=[tag], limit=1, backend_name=self._device.name, instance=instance
            )
            if jobs:
                return str(jobs[0].job_id())
        return None

    def _instances(self) -> list[str | None]:
        """Where to look: the service searches one instance at a time, and an account may have several."""
        if self._instance is not None:
            return [self._instance]
        others = [each.get("crn") for each in self._service.instances()]
        return [None, *(crn for crn in others if crn)]

    def calibration(self, job: Any) -> str | None:
        """Of the properties the device had when the job ran."""
        properties = job.properties() if hasattr(job, "properties") else None
        found = getattr(properties, "last_update_date", None)
        return calibration_time(self._device) if found is None else in_utc(found)

    def calibration_now(self) -> str | None:
        """Of the device's properties as the vendor has them now."""
        if self._service is not None and hasattr(self._device, "refresh"):
            self._device.refresh()
        return calibration_time(self._device)

    def _execution_mode(self) -> Any:
        if self._mode_name == "job" or self._service is None:
            return self._device
        if self._mode is None:
            from qiskit_ibm_runtime import Batch, Session

            self._mode = (Batch if self._mode_name == "batch" else Session)(backend=self._device)
            # An open session is paid for until IBM's own limit ends it.
            atexit.register(self.close)
        return self._mode

    def close(self) -> None:
        """End the session or batch: jobs that were sent still run, new ones open another."""
        if self._mode is not None:
            mode, self._mode = self._mode, None
            atexit.unregister(self.close)
            mode.close()


def ibm(
    device: str = "",
    *,
    instance: str | None = None,
    account: str | None = None,
    mode: Literal["job", "batch", "session"] = "job",
    options: Mapping[str, Any] | None = None,
    service: Any = None,
    **how: Any,
) -> QiskitBackend:
    """A device of IBM Quantum, `get_backend("ibm:NAME")`.

    The account is one saved by `QiskitRuntimeService.save_account`, or the environment variables
    QISKIT_IBM_TOKEN, QISKIT_IBM_INSTANCE and QISKIT_IBM_CHANNEL.

    Args:
        device: Its name; "least_busy" takes the one with the shortest queue.
        instance: IBM's name (CRN) for what is billed.
        account: Name of the saved account.
        mode: "job", "batch" or "session" (see `RuntimeJobs`).
        options: Of IBM's sampler, for error suppression, as nested dictionaries.
        service: A `QiskitRuntimeService` to use instead of a new one.
        how: Of the translation (`optimization_level`, `transpiler_seed`, `qubits`).

    Raises:
        MissingExtraError: The extra `ibm` is not installed.
        BackendError: No such device, or no account.
    """
    require("qiskit_ibm_runtime", "ibm")
    if not device:
        raise BackendError("name a device: get_backend('ibm:ibm_torino'), or 'ibm:least_busy'")
    _check_mode(mode)
    from qtnml.backends.faults import polling_faults

    with polling_faults(f"ibm:{device}", "be reached"):
        from qiskit_ibm_runtime import QiskitRuntimeService

        if service is None:
            given = {"name": account, "instance": instance}
            service = QiskitRuntimeService(**{k: v for k, v in given.items() if v is not None})
        if device == "least_busy":
            found = service.least_busy(operational=True, simulator=False)
        else:
            found = service.backend(device)
    _check_options(found, options)
    capabilities = Capabilities(
        resets="reset" in found.target.operation_names,
        durable=True,
        searchable=True,
        paid=True,
        num_qubits=found.num_qubits,
        max_shots=getattr(found, "max_shots", None),
    )
    translation = Translation(**how)
    billing = {"instance": instance, "account": account, "mode": mode if mode != "job" else None}
    return QiskitBackend(
        RuntimeJobs(found, service, mode, options or {}, instance),
        f"ibm:{found.name}",
        capabilities,
        _settings(options, translation),
        Translator(found, translation, finish=_with_mid_circuit_instructions(found)),
        target=translation.target(found),
        billing={name: value for name, value in billing.items() if value is not None},
    )


def fake(
    device: str = "",
    *,
    mode: Literal["job", "batch", "session"] = "job",
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    **how: Any,
) -> QiskitBackend:
    """A snapshot of an IBM device with its calibration, `get_backend("fake:torino")`, run on this machine.

    The same code as for a real device, in the client's local testing mode; arguments as for `ibm`. Options
    for error suppression have no effect here; `seed` decides submissions that have none of their own.
    Qubits that wait do not relax in that mode, so that results are nearer to those without noise than plans
    and `compiled.expected` say; `get_backend("exact", noise="fake:torino")` and `"aer"` have that as well.
    """
    _check_mode(mode)
    found, translation = fake_device(f"fake:{device}"), Translation(**how)
    _check_options(found, options)
    return QiskitBackend(
        RuntimeJobs(found, None, mode, options or {}),
        f"fake:{device}",
        Capabilities(
            resets="reset" in found.target.operation_names,
            seeds=True,
            num_qubits=found.num_qubits,
            simulated_qubits=DENSITY_MATRIX_QUBITS,
        ),
        _settings(options, translation),
        Translator(found, translation, finish=_with_mid_circuit_instructions(found)),
        target=translation.target(found),
        seed=seed,
        billing={} if mode == "job" else {"mode": mode},
        # The snapshot comes with the client.
        version=version_of("qiskit-aer", "qiskit-ibm-runtime", ours=True),
    )


@lru_cache(maxsize=4)
def fake_device(name: str) -> Any:
    """Qiskit's backend behind a name such as "fake:torino"; reading its calibration takes a second."""
    require("qiskit_ibm_runtime", "ibm")
    from qiskit_ibm_runtime import fake_provider

    classes = {
        each.lower().removeprefix("fake").removesuffix("v2"): each
        for each in dir(fake_provider)
        if each.startswith("Fake") and not each.startswith("FakeProvider")
    }
    kind, _, device = name.partition(":")
    found = classes.get(device.removeprefix("fake_").replace("_", ""))
    if kind != "fake" or found is None:
        raise BackendError(f"no snapshot {name!r}; choose fake: and one of {', '.join(sorted(classes))}")
    return getattr(fake_provider, found)()


def _check_mode(mode: str) -> None:
    if mode not in _MODES:
        raise BackendError(f"mode must be one of {_MODES}, got {mode!r}")


def _check_options(device: Any, options: Mapping[str, Any] | None) -> None:
    """Refuse options of the sampler that it does not know, when the backend is made."""
    if not options:
        return
    try:
        _sampler(device, options)
    except Exception as error:  # whatever the client's checks raise
        raise BackendError(f"IBM's sampler does not take options={dict(options)!r}: {error}") from error


def _settings(options: Mapping[str, Any] | None, translation: Translation) -> dict[str, Any]:
    return translation.settings() | ({"options": dict(options)} if options else {})


def _with_mid_circuit_instructions(device: Any) -> Any:
    """IBM's own pass to the quicker resets and measurements in the middle, where the device lists them."""
    if not {"reset_2", "measure_2"} & set(device.target.operation_names):
        return None
    from qiskit.transpiler import PassManager
    from qiskit_ibm_runtime.transpiler.passes import ConvertToMidCircuitResetAndMeasure

    passes = PassManager([ConvertToMidCircuitResetAndMeasure(device.target)])

    def converted(circuit: QuantumCircuit) -> QuantumCircuit:
        return passes.run(circuit)

    return converted


def _sampler(mode: Any, options: Mapping[str, Any]) -> Any:
    """IBM's sampler: the one that prepares jobs on the client where the client has it, else the old one."""
    try:
        from qiskit_ibm_runtime.executor_sampler import Sampler
    except ImportError:  # before 0.46
        from qiskit_ibm_runtime import SamplerV2

        return SamplerV2(mode=mode, options=dict(options))
    return Sampler(mode=mode, options=dict(options))


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Nested options; the second wins, lists are joined."""
    merged = dict(one)
    for name, value in other.items():
        before = merged.get(name)
        if isinstance(value, Mapping):
            merged[name] = _merged(before or {}, value)
        elif isinstance(value, list):
            merged[name] = [*(before or []), *value]
        else:
            merged[name] = value
    return merged
