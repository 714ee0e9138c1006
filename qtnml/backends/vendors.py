"""Other vendors' own Qiskit clients, each an extra: Amazon Braket, AQT, IQM, IonQ."""

import types
from collections.abc import Iterable, Mapping
from typing import Any

from qtnml.backends.base import version_of
from qtnml.backends.extras import require
from qtnml.backends.qiskit_jobs import DeviceJobs, QiskitBackend, in_utc
from qtnml.backends.qiskit_objects import from_device
from qtnml.backends.translation import Group
from qtnml.errors import BackendError


def braket(device: str = "local", **options: Any) -> QiskitBackend:
    """`braket:local`, the simulator on this machine, or `braket:NAME`, a device of the AWS account."""
    require("qiskit_braket_provider", "braket")
    from qiskit_braket_provider import BraketLocalBackend, BraketProvider

    local = device in ("", "local")
    found = BraketLocalBackend() if local else BraketProvider().get_backend(device)
    # Braket has no resets; a task of several circuits is a batch of its own, fetched in one process.
    return from_device(
        found,
        name=f"braket:{device or 'local'}",
        known={
            "resets": False,
            "mid_circuit_measurement": False,
            "durable": hasattr(found, "retrieve_job"),
            "paid": not local,
        },
        version=version_of("amazon-braket-default-simulator") if local else "",
        **options,
    )


def aqt(device: str = "offline", **options: Any) -> QiskitBackend:
    """`aqt:offline`, `aqt:offline-noisy`: simulators on this machine; `aqt:WORKSPACE/DEVICE`: AQT's cloud.

    The cloud takes the token of AQT_TOKEN or of the client's own login.
    """
    require("qiskit_aqt_provider", "aqt")
    from qiskit_aqt_provider import AQTProvider

    provider = AQTProvider()
    local = device in ("", "offline", "offline-noisy")
    if local:
        found = provider.offline.noisy() if device == "offline-noisy" else provider.offline.ideal()
    else:
        workspace, slash, name = device.partition("/")
        if not slash:
            raise BackendError(f"name a workspace and a device, such as aqt:default/ibex, got aqt:{device}")
        found = provider.cloud().get_workspace(workspace).get_backend(name)
    return from_device(
        found,
        name=f"aqt:{device or 'offline'}",
        known={
            "resets": False,
            "mid_circuit_measurement": False,
            "seeds": False,
            "durable": False,
            "paid": not local,
            "max_shots": 2000,  # AQT's own limit
        },
        version=version_of("qiskit-aqt-provider", "qiskit-aer") if local else "",
        **options,
    )


_IQM_SNAPSHOTS = {"adonis": "IQMFakeAdonis", "aphrodite": "IQMFakeAphrodite", "apollo": "IQMFakeApollo"}


def iqm(device: str = "aphrodite", **options: Any) -> QiskitBackend:
    """`iqm:adonis`, `iqm:aphrodite`, `iqm:apollo`: snapshots on this machine; `iqm:https://...`, a server.

    A server takes the token of IQM_TOKEN.
    """
    require("iqm.qiskit_iqm", "iqm")
    from iqm import qiskit_iqm

    local = device in _IQM_SNAPSHOTS
    if local:
        found = getattr(qiskit_iqm, _IQM_SNAPSHOTS[device])()
    elif device.startswith("https://"):
        found = qiskit_iqm.IQMProvider(device).get_backend()
    else:
        raise BackendError(
            f"no snapshot {device!r}; choose iqm: and one of {sorted(_IQM_SNAPSHOTS)}, or a server's address"
        )
    return from_device(
        found,
        name=f"iqm:{device}",
        known={
            "mid_circuit_measurement": not local,
            "seeds": False,
            "durable": not local and hasattr(found, "retrieve_job"),
            "paid": not local,
        },
        version=version_of("iqm-client", "qiskit-aer") if local else "",
        **options,
    )


def ionq(
    device: str = "simulator",
    *,
    url: str | None = None,
    run_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> QiskitBackend:
    """`ionq:simulator` or `ionq:qpu.NAME`, with the key of IONQ_API_KEY.

    Circuits with resets, or measurements in the middle, are sent as OpenQASM 3, one to a job. The simulator
    takes them with a noise model: `run_options={"noise_model": "aria-1"}`; without noise it tells no shots of
    them.

    Args:
        device: Its name at IonQ.
        url: Of IonQ's interface, if it is another one.
        run_options: More options of its `run`.
        options: As for any Qiskit backend (`optimization_level`, `transpiler_seed`).
    """
    require("qiskit_ionq", "ionq")
    from qiskit_ionq import IonQProvider

    found = IonQProvider(url=url).get_backend(device or "simulator")
    client = found.client
    # The client repeats a submission whose answer was lost, which may buy it twice: ask once, and let the
    # ledger find out what became of it. A release without that decorator does not repeat.
    once = getattr(type(client).submit_job, "__wrapped__", None)
    if once is not None:
        client.submit_job = types.MethodType(once, client)
    simulated = device in ("", "simulator")
    tells_shots = not simulated or (run_options or {}).get("noise_model", "ideal") != "ideal"
    return from_device(
        found,
        name=f"ionq:{device or 'simulator'}",
        run_options=run_options,
        jobs=IonQJobs,
        known={
            "resets": tells_shots,
            "mid_circuit_measurement": tells_shots,
            "max_circuits_in_the_middle": 1,
            "seeds": False,
            "durable": True,
            "paid": True,
        },
        **options,
    )


class IonQJobs(DeviceJobs):
    """Jobs of IonQ: named by their tag, so that a person finds them."""

    def launch(self, groups: Iterable[Group], shots: int, seed: int | None, tag: str | None) -> Any:  # noqa: ARG002
        """Submit bound circuits; a single one as such, for the client takes resets in no list."""
        circuits = [circuit for group in groups for circuit in group.circuits()]
        options = {"shots": shots, **self._run_options, **({} if tag is None else {"name": tag})}
        return self._device.run(circuits[0] if len(circuits) == 1 else circuits, **options)

    def calibration_now(self) -> str | None:
        """Of the characterisation that IonQ publishes; None of the simulator."""
        found = self._device.calibration()
        return None if found is None else in_utc(getattr(found, "date", None))

    def calibration(self, job: Any) -> str | None:  # noqa: ARG002
        """That of now: the client does not say under which a job ran."""
        return self.calibration_now()
