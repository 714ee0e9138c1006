"""Any Qiskit backend or sampler primitive as a backend of this package."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from functools import partial
from pickle import PicklingError
from typing import Any, Protocol

from qiskit import QuantumCircuit
from qiskit.primitives import BaseSamplerV2
from qiskit.primitives.containers.bindings_array import BindingsArray

from qtnml.backends.base import (
    Capabilities,
    Counts,
    JobStatus,
    Result,
    Seeds,
    check_circuits,
    check_shots,
    keep,
    run_circuits,
)
from qtnml.backends.faults import polling_faults, submission_faults
from qtnml.backends.translation import Group, Translator
from qtnml.compile import can_compile_for
from qtnml.errors import BackendError
from qtnml.program.device import device_of
from qtnml.program.timing import timeline

_STATUS = {
    "INITIALIZING": JobStatus.QUEUED,
    "QUEUED": JobStatus.QUEUED,
    "VALIDATING": JobStatus.QUEUED,
    "RUNNING": JobStatus.RUNNING,
    "DONE": JobStatus.DONE,
    "COMPLETED": JobStatus.DONE,
    "ERROR": JobStatus.FAILED,
    "FAILED": JobStatus.FAILED,
    "CANCELLED": JobStatus.CANCELLED,
}


class Launcher(Protocol):
    """How jobs of one kind start, are found again and read."""

    def launch(self, groups: Iterable[Group], shots: int, seed: int | None, tag: str | None) -> Any:
        """Submit translated circuits; return the vendor's job."""

    def counts(self, job: Any) -> list[Counts]:
        """Wait for a job's counts, in order."""

    def retrieve(self, job_id: str) -> Any:
        """A job that another process submitted; None if that cannot be."""

    def find(self, tag: str) -> str | None:
        """The id of the job submitted under a tag."""

    def calibration(self, job: Any) -> str | None:
        """When the device was calibrated that ran the job (ISO 8601)."""

    def calibration_now(self) -> str | None:
        """When the device was calibrated last (ISO 8601)."""

    def close(self) -> None:
        """Release what is reserved at the vendor's."""


class QiskitBackend:
    """Circuits are translated to a device once for all samples, and run as the vendor's jobs.

    Args:
        launcher: Starts and reads jobs.
        name: What `get_backend` takes to make it again, or a name for people.
        capabilities: What it can do.
        settings: What tells it apart from others of its name.
        translator: Into the gates of the device.
        target: Qiskit's description of the device, for `compile(target=...)`.
        seed: Of submissions that have none of their own, where the device takes seeds.
        billing: Arguments of `get_backend` that say who pays and how jobs are queued, not what is measured.
        version: Of a simulator: another one's results are others.
    """

    run = run_circuits

    def __init__(
        self,
        launcher: Launcher,
        name: str,
        capabilities: Capabilities,
        settings: Mapping[str, Any],
        translator: Translator,
        *,
        target: Any = None,
        seed: int | None = None,
        billing: Mapping[str, Any] | None = None,
        version: str = "",
    ) -> None:
        if seed is not None and not capabilities.seeds:
            raise BackendError(f"backend {name!r} takes no seed: leave seed={seed!r} out")
        self._seeds = Seeds(seed)
        self.name, self.capabilities = name, capabilities
        self.settings: Mapping[str, Any] = {
            **settings,
            **({} if seed is None else {"seed": self._seeds.seed}),
        }
        self.billing: Mapping[str, Any] = dict(billing or {})
        self.version = version
        self.target = target
        self._launcher, self._translator = launcher, translator
        self._jobs: dict[str, Any] = {}
        self._tags: dict[str, str] = {}

    def close(self) -> None:
        """Release what is reserved at the vendor's (a session of IBM's); jobs that were sent still run."""
        self._launcher.close()

    def __enter__(self) -> "QiskitBackend":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __deepcopy__(self, _: Any) -> "QiskitBackend":
        return self  # jobs run once, whoever holds a copy (scikit-learn's clone, say)

    def __reduce__(self) -> Any:
        """Another process makes the backend again by its name: no account and no connection is written.

        Raises:
            PicklingError: It is not known by a name.
        """
        from qtnml.backends.registry import BACKENDS, get_backend

        if self.name.partition(":")[0] not in BACKENDS:
            raise PicklingError(
                f"{self.name!r} is a Qiskit object that has no name to make it again by; pickle with "
                "set_params(backend=None), and give the backend anew"
            )
        rehearsed = {"priced": True} if self.capabilities.priced else {}
        return partial(get_backend, self.name, **self.settings, **self.billing, **rehearsed), ()

    def __repr__(self) -> str:
        given = {**self.settings, **self.billing}
        settings = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"get_backend({self.name!r}{settings})"

    def submit(
        self,
        circuits: Sequence[QuantumCircuit],
        *,
        shots: int,
        seed: int | None = None,
        tag: str | None = None,
    ) -> str:
        """Submit a job over all circuits and return the vendor's id; see `Backend.submit`."""
        check_circuits(circuits, self)
        check_shots(shots, seed)
        if not len(circuits):
            raise BackendError("a job needs at least one circuit")
        groups, seed = list(self._translator.groups(circuits)), self._seeds.next(seed)
        with submission_faults(self.name):
            job = self._launcher.launch(groups, int(shots), seed, tag)
            job_id = str(job.job_id())
        keep(self._jobs, job_id, job)
        if tag is not None:
            keep(self._tags, tag, job_id)
        return job_id

    def calibration_now(self) -> str | None:
        """When the device was calibrated last (ISO 8601); None where it does not say."""
        with polling_faults(self.name, "tell its calibration"):
            return self._launcher.calibration_now()

    def charged_seconds(self, job_id: str) -> float | None:
        """Time on the device that the vendor charges for a job that has ended; None until it tells."""
        return _charged_seconds(self._job(job_id))

    def seconds_per_shot(self, circuit: QuantumCircuit) -> float | None:
        """Duration of a circuit on the device; None where it does not tell its gates' times."""
        if self.target is None or not can_compile_for(self.target):
            return None
        return timeline(self._translator.translated(circuit), device_of(self.target)).duration

    def status(self, job_id: str) -> JobStatus:
        """Where a job stands."""
        job = self._job(job_id)
        with polling_faults(self.name, f"tell the status of job {job_id}"):
            status = job.status()
        name = str(getattr(status, "name", status)).upper()
        if name not in _STATUS:
            raise BackendError(f"backend {self.name!r} calls the status of job {job_id} {name!r}")
        return _STATUS[name]

    def fetch(self, job_id: str) -> Result:
        """Wait for a job and return its counts."""
        job = self._job(job_id)
        with polling_faults(self.name, f"give the result of job {job_id}"):
            counts = self._launcher.counts(job)
            seconds = _charged_seconds(job) if self.capabilities.paid else None
            return Result(counts, self._launcher.calibration(job), seconds)

    def cancel(self, job_id: str) -> None:
        """Stop a job if it has not ended and the vendor can."""
        job = self._job(job_id)
        if self.status(job_id) in (JobStatus.QUEUED, JobStatus.RUNNING):
            with polling_faults(self.name, f"cancel job {job_id}"), suppress(NotImplementedError):
                job.cancel()  # some clients cannot: the job goes on, as its status says

    def find(self, tag: str) -> str | None:
        """The id of the job submitted under a tag."""
        if tag in self._tags:
            return self._tags[tag]
        with polling_faults(self.name, f"look for the job tagged {tag}"):
            return self._launcher.find(tag)

    def _job(self, job_id: str) -> Any:
        if job_id not in self._jobs:
            with polling_faults(self.name, f"find job {job_id!r}"):
                job = self._launcher.retrieve(job_id)
            if job is None:
                raise BackendError(f"no job {job_id!r} on this backend in this process")
            keep(self._jobs, job_id, job)
        return self._jobs[job_id]


class DeviceJobs:
    """Jobs of a Qiskit `BackendV2`: bound circuits in, counts out."""

    def __init__(self, device: Any, run_options: Mapping[str, Any] | None = None) -> None:
        self._device, self._run_options = device, dict(run_options or {})

    def launch(self, groups: Iterable[Group], shots: int, seed: int | None, tag: str | None) -> Any:  # noqa: ARG002
        """Submit bound circuits."""
        circuits = [circuit for group in groups for circuit in group.circuits()]
        options = {"shots": shots, **self._run_options}
        if seed is not None and takes_seeds(self._device):
            options["seed_simulator"] = seed % 2**31
        return self._device.run(circuits, **options)

    def counts(self, job: Any) -> list[Counts]:
        """Wait for a job's counts, in order."""
        result = job.result()
        if getattr(result, "success", True) is False:
            raise BackendError(f"the job failed: {getattr(result, 'status', 'no reason given')}")
        found = result.get_counts()
        several = found if isinstance(found, list) else [found]
        return [{int(bits.replace(" ", ""), 2): int(n) for bits, n in each.items()} for each in several]

    def retrieve(self, job_id: str) -> Any:
        """A job submitted before, where the vendor's client can find it."""
        retrieve = getattr(self._device, "retrieve_job", None)
        return None if retrieve is None else retrieve(job_id)

    def find(self, tag: str) -> str | None:  # noqa: ARG002
        """Jobs of a plain Qiskit backend have no tags."""
        return None

    def calibration(self, job: Any) -> str | None:  # noqa: ARG002
        """Of the device's properties now, where it has any."""
        return calibration_time(self._device)

    def calibration_now(self) -> str | None:
        """Of the device's properties, where it has any."""
        return calibration_time(self._device)

    def close(self) -> None:
        """Nothing is reserved."""


class SamplerJobs:
    """Jobs of a Qiskit `SamplerV2`: one circuit and an array of values for all samples of a template."""

    def __init__(self, sampler: BaseSamplerV2) -> None:
        self._sampler = sampler

    def launch(self, groups: Iterable[Group], shots: int, seed: int | None, tag: str | None) -> Any:  # noqa: ARG002
        """Submit one unit of work per template."""
        return self._sampler.run([sampler_pub(group) for group in groups], shots=shots)

    def counts(self, job: Any) -> list[Counts]:
        """Wait for a job's counts, in order."""
        return sampler_counts(job.result())

    def retrieve(self, job_id: str) -> Any:  # noqa: ARG002
        """Only a service could."""
        return None

    def find(self, tag: str) -> str | None:  # noqa: ARG002
        """A bare sampler has no tags."""
        return None

    def calibration(self, job: Any) -> str | None:  # noqa: ARG002
        """Unknown."""
        return None

    def calibration_now(self) -> str | None:
        """Unknown."""
        return None

    def close(self) -> None:
        """Nothing is reserved."""


def sampler_pub(group: Group) -> tuple[QuantumCircuit, BindingsArray]:
    """A template and its values as a primitive takes them."""
    if not group.parameters:
        return group.template, BindingsArray()
    return group.template, BindingsArray({tuple(p.name for p in group.parameters): group.values})


def sampler_counts(results: Any) -> list[Counts]:
    """Counts of every row of every unit of work."""
    found: list[Counts] = []
    for result in results:
        bits = result.join_data()
        places = range(bits.shape[0]) if bits.shape else [None]
        found += [{int(k): int(n) for k, n in bits.get_int_counts(place).items()} for place in places]
    return found


def takes_seeds(device: Any) -> bool:
    """Whether a Qiskit backend's `run` takes `seed_simulator`."""
    return hasattr(getattr(device, "options", None), "seed_simulator")


def calibration_time(device: Any) -> str | None:
    """Time of a device's last calibration (ISO 8601), None where it does not say."""
    properties = getattr(device, "properties", None)
    if not callable(properties):
        return None
    return in_utc(getattr(properties(), "last_update_date", None))


def in_utc(when: Any) -> str | None:
    """A time as ISO 8601, in UTC where it has a zone: hosts in other zones, and winter, tell it alike."""
    if when is None:
        return None
    zoned = getattr(when, "tzinfo", None) is not None
    return str((when.astimezone(UTC) if zoned else when).isoformat())


def _charged_seconds(job: Any) -> float | None:
    """What the vendor says of a job's time; None while it still adds it up."""
    metrics, usage = getattr(job, "metrics", None), getattr(job, "usage", None)
    try:
        if callable(metrics):
            told = metrics().get("usage", {})
            charged = told.get("qpu_charge_time_seconds")
            return None if told.get("status", "pending") == "pending" or charged is None else float(charged)
        if callable(usage):
            return float(usage()) or None
    except Exception:  # a figure for information; results must not be lost for it
        return None
    return None
