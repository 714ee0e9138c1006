import subprocess
import sys

import pytest
from qiskit import QuantumCircuit

from qtnml import get_backend
from qtnml.errors import BackendError, MissingExtraError


def test_names_and_details() -> None:
    assert get_backend("aer:statevector").settings == {"method": "statevector"}
    assert get_backend("aer", device="CPU").settings == {"device": "CPU"}
    aer = get_backend("aer")
    assert get_backend(aer) is aer
    assert repr(get_backend("aer", method="statevector")) == "get_backend('aer', method='statevector')"


def test_what_cannot_be_a_backend() -> None:
    for wrong, message in (
        ("ear", r"unknown backend 'ear'; choose one of \['aer', 'aqt', 'braket'"),
        (7, "a backend must be a name such as 'aer', a Qiskit BackendV2 or SamplerV2, .* got int"),
        ("fake:nowhere", "no snapshot 'fake:nowhere'; choose fake: and one of .*torino"),
        ("ibm", "name a device: get_backend"),
        ("pennylane:nothing", "PennyLane cannot open device 'nothing'"),
    ):
        with pytest.raises(BackendError, match=message):
            get_backend(wrong)
    with pytest.raises(BackendError, match="mode must be one of"):
        get_backend("fake:torino", mode="hurry")
    with pytest.raises(BackendError, match="'fake:torino' does not take these options: .*colour"):
        get_backend("fake:torino", colour="blue")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("ibm:x", "qiskit_ibm_runtime", "ibm"),
        ("pennylane", "pennylane", "pennylane"),
        ("cutensornet", "cuquantum", "gpu"),
        ("braket", "qiskit_braket_provider", "braket"),
        ("aqt", "qiskit_aqt_provider", "aqt"),
        ("iqm", "iqm", "iqm"),
        ("ionq", "qiskit_ionq", "ionq"),
    ],
)
def test_a_missing_extra_says_which_to_install(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        MissingExtraError, match=rf"{package}.* is not installed; pip install 'qtnml\[{extra}\]'"
    ):
        get_backend(name)


def test_help_does_not_import_vendors() -> None:
    code = (
        "import sys, qtnml.backends, qtnml.jobs\n"
        "vendors = {'qiskit_ibm_runtime', 'pennylane', 'cuquantum', 'qiskit_aer'}\n"
        "print(sorted(vendors & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_qiskit_objects_keep_their_target() -> None:
    pytest.importorskip("qiskit_ibm_runtime")
    from qiskit_ibm_runtime.fake_provider import FakeTorino

    device = FakeTorino()
    backend = get_backend(device, optimization_level=1)
    assert backend.name == "qiskit:fake_torino"
    assert backend.settings["optimization_level"] == 1
    assert backend.target is device.target  # type: ignore[attr-defined]
    assert backend.capabilities.num_qubits == 133
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    seconds = backend.seconds_per_shot(circuit)  # type: ignore[attr-defined]
    assert 1.5e-6 < seconds < 3e-6  # one SX and a read-out of 1.56 us
