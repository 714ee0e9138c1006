"""A Qiskit `BackendV2` or `SamplerV2`, given as an object, as a backend of this package."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from qiskit.primitives import BaseSamplerV2

from qtnml.backends.base import DENSITY_MATRIX_QUBITS, Capabilities
from qtnml.backends.qiskit_jobs import DeviceJobs, QiskitBackend, SamplerJobs, takes_seeds
from qtnml.backends.translation import Translation, Translator


def device_digest(device: Any) -> str:
    """Tells Qiskit backends of one name apart: by their options, noise and description."""
    options = dict(getattr(getattr(device, "options", None), "__dict__", {}) or {})
    options = dict(options.get("_fields", options))
    noise = options.pop("noise_model", None)
    parts = [type(device).__name__, str(device.name), repr(sorted(options.items(), key=lambda item: item[0]))]
    if noise is not None:
        parts.append(json.dumps(noise.to_dict(serializable=True), sort_keys=True, default=str))
    if getattr(device, "target", None) is not None:
        parts.append(f"{device.target.num_qubits} {sorted(device.target.operation_names)}")
    # An address in memory is another one in the next process.
    text = re.sub(r" at 0x[0-9a-f]+", "", "\n".join(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def device_capabilities(device: Any, **known: Any) -> Capabilities:
    """What a Qiskit backend says of itself, where nothing more is `known`."""
    names = device.target.operation_names if getattr(device, "target", None) is not None else ()
    found = {
        "resets": "reset" in names,
        "seeds": takes_seeds(device),
        "durable": hasattr(device, "retrieve_job"),
        "paid": not takes_seeds(device),
        "num_qubits": getattr(device, "num_qubits", None),
        "simulated_qubits": DENSITY_MATRIX_QUBITS if takes_seeds(device) else None,
        "max_circuits": getattr(device, "max_circuits", None),
    }
    return Capabilities(**{**found, **known})


def from_device(
    device: Any,
    *,
    name: str | None = None,
    run_options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    known: Mapping[str, Any] | None = None,
    jobs: type[DeviceJobs] = DeviceJobs,
    version: str = "",
    **how: Any,
) -> QiskitBackend:
    """A Qiskit `BackendV2` as a backend.

    Args:
        device: The Qiskit backend.
        name: Its name here.
        run_options: More options of its `run`.
        seed: Of submissions that have none of their own, where it takes seeds.
        known: Capabilities that it does not tell by itself.
        jobs: How its jobs start and are read.
        version: Of a simulator.
        how: Of the translation (`optimization_level`, `transpiler_seed`, `qubits`).
    """
    translation = Translation(**how)
    options: dict[str, Any] = {"run_options": dict(run_options)} if run_options else {}
    if name is None:  # an object: its name alone says too little
        options["device"] = device_digest(device)
    return QiskitBackend(
        jobs(device, run_options),
        name or f"qiskit:{device.name}",
        device_capabilities(device, **(known or {})),
        translation.settings() | options,
        Translator(device, translation),
        target=translation.target(device),
        seed=seed,
        version=version,
    )


def from_sampler(
    sampler: BaseSamplerV2,
    *,
    device: Any = None,
    name: str | None = None,
    known: Mapping[str, Any] | None = None,
    **how: Any,
) -> QiskitBackend:
    """A `SamplerV2` as a backend.

    Args:
        sampler: The primitive.
        device: What it runs on, to translate circuits for; its own by default, else none is needed.
        name: Its name here.
        known: Capabilities: a sampler tells none.
        how: Of the translation (`optimization_level`, `transpiler_seed`, `qubits`).
    """
    if device is None:
        own = getattr(sampler, "backend", None)
        device = own() if callable(own) else own
    translation = Translation(**how)
    # Qiskit's StatevectorSampler runs no resets and nothing in the middle; others do as their device says.
    is_dense = type(sampler).__name__ == "StatevectorSampler"
    settings = translation.settings()
    if device is None:
        found = {"resets": not is_dense, "mid_circuit_measurement": not is_dense, **(known or {})}
        capabilities = Capabilities(**found)
    else:
        settings |= {"device": f"{device.name} {device_digest(device)}"} if name is None else {}
        capabilities = device_capabilities(device, **{"seeds": False, "durable": False, **(known or {})})
    return QiskitBackend(
        SamplerJobs(sampler),
        name or f"sampler:{type(sampler).__name__}",
        capabilities,
        settings,
        Translator(device, translation),
        target=translation.target(device),
    )
