"""A device's numbers: checked, scaled, renumbered, and read from Qiskit."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SuperOp
from qiskit.transpiler import InstructionProperties
from qiskit_aer.noise import NoiseModel

from qtnml import get_backend
from qtnml.backends import exact_probabilities
from qtnml.backends.ibm import fake_device
from qtnml.errors import InvalidInputError
from qtnml.noise import (
    Channel,
    DeviceNoise,
    Instruction,
    NoisyCircuit,
    bit_flip,
    depolarizing,
    noise_from_settings,
    noise_settings,
    thermal_relaxation,
)
from qtnml.program import Program, timeline

NOISE = DeviceNoise(
    t1=(100e-6, 50e-6, 80e-6),
    t2=(80e-6, 90e-6, 70e-6),
    one_qubit_time=35e-9,
    two_qubit_time=70e-9,
    reset_time=1e-6,
    readout_time=1e-6,
    one_qubit_error=1e-3,
    two_qubit_error=8e-3,
    reset_error=0.01,
    readout_error=((0.01, 0.02), (0.03, 0.04), (0.05, 0.06)),
    excited_population=0.02,
)


def test_a_gate_errs_as_calibrated_relaxation_included():
    channel = NOISE.gate_channel("cx", (0, 1))
    assert 1 - channel.average_fidelity == pytest.approx(8e-3, abs=1e-12)
    assert 1 - NOISE.gate_channel("ry", (2,)).average_fidelity == pytest.approx(1e-3, abs=1e-12)


def test_an_error_below_that_of_relaxation_adds_nothing():
    noise = DeviceNoise(t1=1e-6, t2=1e-6, one_qubit_time=1e-7, one_qubit_error=1e-4)
    assert noise.depolarizing_probability("u", (0,)) == 0
    relaxed = thermal_relaxation(1e-6, 1e-6, 1e-7).transfer_map
    np.testing.assert_allclose(noise.gate_channel("u", (0,)).transfer_map, relaxed)


def test_virtual_gates_cost_nothing_and_known_ones_what_they_are_known_for():
    noise = DeviceNoise(
        t1=1e-4, t2=1e-4, one_qubit_time=1e-7, instructions=(Instruction("cz", (1, 0), 3e-7, 0.02),)
    )
    assert noise.duration("rz", (0,)) == 0
    assert noise.gate_channel("rz", (0,)).average_fidelity == 1
    assert noise.duration("cz", (0, 1)) == noise.duration("cz", (1, 0)) == 3e-7
    assert noise.error("cz", (0, 1)) == 0.02
    assert noise.duration("cz", (0, 2)) == 0


def test_a_channel_of_ones_own_comes_after_every_gate():
    noise = DeviceNoise(one_qubit_channel=bit_flip(0.1), two_qubit_channel=bit_flip(0.2))
    np.testing.assert_allclose(noise.gate_channel("u", (0,)).transfer_map, bit_flip(0.1).transfer_map)
    both = bit_flip(0.2).tensor(bit_flip(0.2)).transfer_map
    np.testing.assert_allclose(noise.gate_channel("cx", (0, 1)).transfer_map, both)


def test_scaled_noise():
    none, half = NOISE.scaled(0), NOISE.scaled(0.5)
    assert none.gate_channel("cx", (0, 1)).average_fidelity == 1
    assert none.readout(1) == (0, 0)
    assert [half.relaxation_times(q)[0] for q in range(3)] == [200e-6, 100e-6, 160e-6]
    for name, qubits in (("cx", (0, 1)), ("u", (0,))):
        p = NOISE.depolarizing_probability(name, qubits)
        assert half.depolarizing_probability(name, qubits) == pytest.approx(p / 2, abs=1e-12)
    assert half.readout(2) == (0.025, 0.03)
    whole = NOISE.scaled(1.0)
    np.testing.assert_allclose(
        whole.gate_channel("cx", (0, 1)).transfer_map,
        NOISE.gate_channel("cx", (0, 1)).transfer_map,
        atol=1e-12,
    )
    with pytest.raises(InvalidInputError, match="cannot be 30 times as large"):
        NOISE.scaled(30.0)
    # Whatever the qubits' own times, and however few there are.
    uneven = DeviceNoise(t1=(1e-6, 1e-3), two_qubit_time=1e-6, two_qubit_error=0.05, one_qubit_error=5e-3)
    assert uneven.scaled(1.0).two_qubit_error == 0.05
    one = DeviceNoise(t1=(1e-4,), one_qubit_error=0.01)
    assert one.scaled(0.5).depolarizing_probability("u", (0,)) == one.depolarizing_probability("u", (0,)) / 2
    own = DeviceNoise(one_qubit_channel=bit_flip(0.1))
    weak = own.scaled(0.5).gate_channel("u", (0,)).transfer_map
    np.testing.assert_allclose(weak, bit_flip(0.05).transfer_map)
    with pytest.raises(InvalidInputError, match="cannot be made stronger"):
        own.scaled(2.0)


def test_a_digest_tells_channels_apart():
    flips = [bit_flip(0.1), Channel(np.diag([1, 0.8, 0.8, 1]), "bit flip 0.1")]
    digests = {DeviceNoise(one_qubit_channel=channel).digest for channel in (*flips, None)}
    assert len(digests) == 3
    assert NOISE.digest == replace(NOISE).digest


def test_renumbered_qubits():
    noise = DeviceNoise(
        t1=NOISE.t1, t2=NOISE.t2, instructions=(Instruction("cz", (0, 2), 1e-7, 0.01),), readout_error=0.1
    )
    moved = noise.on((2, 0))
    assert (moved.t1, moved.t2) == ((80e-6, 100e-6), (70e-6, 80e-6))
    assert moved.error("cz", (0, 1)) == 0.01
    assert NOISE.on((2, 0)).readout(0) == (0.05, 0.06)
    with pytest.raises(InvalidInputError, match=r"has qubits 0 to 2, got \[3\]"):
        NOISE.on((3,))
    with pytest.raises(InvalidInputError, match="qubits must differ"):
        NOISE.on((1, 1))
    with pytest.raises(InvalidInputError, match="qubits must be integers, got 'ab'"):
        NOISE.on("ab")
    with pytest.raises(InvalidInputError, match="at least 0"):
        NOISE.on((-1, 0))


def test_there_and_back_as_json_types():
    import json

    settings = json.loads(json.dumps(noise_settings(NOISE)))
    again = noise_from_settings(settings)
    assert again == NOISE
    known = DeviceNoise(instructions=(Instruction("cz", (0, 1), 1e-7, 0.01),))
    assert noise_from_settings(json.loads(json.dumps(noise_settings(known)))) == known
    assert noise_from_settings({"channel": "depolarizing", "p": 0.1, "num_qubits": 2}).num_qubits == 2
    with pytest.raises(InvalidInputError, match="unknown channel 'x'"):
        noise_from_settings({"channel": "x"})
    with pytest.raises(InvalidInputError, match="arguments that do not fit"):
        noise_from_settings({"t3": 1})
    with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
        noise_settings(DeviceNoise(one_qubit_channel=depolarizing(0.1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torino", "sherbrooke"])
def test_calibrations_are_read_as_aer_reads_them(name):
    device = fake_device(f"fake:{name}")
    noise, theirs = DeviceNoise.from_backend(device), NoiseModel.from_backend(device)
    compared = 0
    for gate, errors in theirs._local_quantum_errors.items():
        for qubits, error in list(errors.items())[::7]:
            if gate in ("reset", "measure", "delay"):
                continue
            ours = noise.gate_channel(gate, qubits).to_superop().data
            np.testing.assert_allclose(ours, SuperOp(error).data, atol=1e-12)
            compared += 1
    assert compared > 50
    for (qubit,), error in theirs._local_readout_errors.items():
        up, down = noise.readout(qubit)
        np.testing.assert_allclose(error.probabilities, [[1 - up, up], [down, 1 - down]], atol=1e-12)


def test_the_layout_decides_whose_calibration_counts():
    device = fake_device("fake:torino")
    noise = DeviceNoise.from_backend(device, layout=(22, 21, 23))
    whole = DeviceNoise.from_backend(device)
    assert noise.relaxation_times(0) == whole.relaxation_times(22)
    assert noise.error("cz", (0, 1)) == whole.error("cz", (22, 21))
    # A circuit for no device in particular counts what its gates are translated into.
    assert noise.error("cx", (0, 2)) == whole.error("cz", (22, 23))
    assert noise.duration("u", (1,)) == 2 * whole.duration("sx", (21,))
    assert noise.duration("rz", (1,)) == 0


BAD = {
    "t2=0.0003 s is longer than 2 t1=0.0002 s": {"t1": 1e-4, "t2": 3e-4},
    "t1 must be a number of seconds of at least 1e-15, got -1.0": {"t1": -1},
    "t1 must be seconds, one number or one for each qubit, got 'x'": {"t1": "x"},
    "2 values of t1 but 3 of t2": {"t1": (1e-4, 1e-4), "t2": (1e-4, 1e-4, 1e-4)},
    "two_qubit_time must be a number of seconds from 0 to 1e+06, got -1e-09": {"two_qubit_time": -1e-9},
    "one_qubit_time must be a number of seconds from 0 to 1e+06, got inf": {"one_qubit_time": math.inf},
    "two_qubit_error must be a probability from 0 to 1, got 1.5": {"two_qubit_error": 1.5},
    "readout_error must be a probability from 0 to 1, got 2": {"readout_error": (0.1, 2)},
    "readout_error must be a probability, a pair": {"readout_error": "x"},
    "two_qubit_channel must be a Channel on at most 2 qubit(s)": {"two_qubit_channel": 0.1},
    "instructions are qtnml.noise.Instruction objects": {"instructions": ("cx",)},
    "instructions are qtnml.noise.Instruction objects, got None": {"instructions": None},
    "t1 must be seconds, one number or one for each qubit, got '12'": {"t1": "12"},
    "the error of cx on (0, 1) must be a probability": {
        "instructions": (Instruction("cx", (0, 1), 0.0, 2.0),)
    },
}


@pytest.mark.parametrize("message", BAD)
def test_impossible_physics_is_refused(message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        DeviceNoise(**BAD[message])


def test_delays_are_waiting_and_id_is_a_gate():
    """Delays that a circuit writes out relax its qubits, on Aer and in the exact contraction alike."""
    noise = DeviceNoise(t1=1e-6, one_qubit_time=10e-9, dt=0.5e-9)
    for delay in ((5, "us"), (5e-6, "s"), (10_000, "dt")):
        circuit = QuantumCircuit(1, 1)
        circuit.x(0)
        circuit.delay(delay[0], 0, delay[1])
        circuit.measure(0, 0)
        found = exact_probabilities(get_backend("aer", noise=noise), [circuit])[0]
        assert found[1] == pytest.approx(np.exp(-5 - 10e-9 / 1e-6), abs=1e-9)
        assert timeline(circuit, noise).duration == pytest.approx(5.01e-6)
    for free in (QuantumCircuit(1), QuantumCircuit(1)):
        free.delay(10, 0, "dt")
        with pytest.raises(InvalidInputError, match="a delay of 10 dt takes a device's clock to be known"):
            timeline(free, DeviceNoise())
    unbound = QuantumCircuit(1)
    unbound.delay(Parameter("t"), 0, "s")
    with pytest.raises(InvalidInputError, match="has no length yet"):
        timeline(unbound, DeviceNoise())
    assert noise.duration("id", (0,)) == 10e-9
    assert DeviceNoise(one_qubit_error=0.1).error("id", (0,)) == 0.1
    assert noise.digest != replace(noise, dt=None).digest
    assert DeviceNoise.from_backend(fake_device("fake:torino")).dt == fake_device("fake:torino").dt


def test_delays_in_a_compiled_circuit(trained, small_digits):
    compiled, X = trained.compile(), small_digits.X_test[:3]
    delayed = compiled.circuit.copy_empty_like()
    for instruction in compiled.circuit.data:
        delayed.append(instruction)
        if len(instruction.qubits) == 2:
            delayed.delay(2, instruction.qubits[0], "us")
            delayed.id(instruction.qubits[1])
    delayed = replace(compiled, program=Program.read(delayed, compiled.x))
    noise = DeviceNoise(t1=40e-6, t2=30e-6, one_qubit_time=30e-9, two_qubit_time=70e-9, one_qubit_error=1e-3)
    found = NoisyCircuit(delayed, noise).probabilities(X)
    exact = exact_probabilities(get_backend("aer", noise=noise), list(delayed.bind(X)))
    np.testing.assert_allclose(found, np.array(exact)[:, :2], atol=1e-10)
    assert np.abs(found - NoisyCircuit(compiled, noise).probabilities(X)).max() > 0.01


def test_a_broken_read_out_tells_nothing():
    backend = GenericBackendV2(3, seed=0)
    backend.target["measure"][(1,)] = InstructionProperties(1e-6, 1.0)
    backend.target["measure"][(2,)] = InstructionProperties(1e-6, float("nan"))
    noise = DeviceNoise.from_backend(backend)
    assert noise.readout(1) == noise.readout(2) == (0.5, 0.5)
    assert max(noise.readout(0)) < 0.1


@pytest.mark.parametrize(
    "settings",
    [{"two_qubit_time": 1e308}, {"t1": 1e-300, "t2": 1e-300}, {"strength": 1e300}, {"reset_time": 1e307}],
)
def test_extreme_noise_is_refused_or_finite(settings, trained, small_digits):
    try:
        noise = DeviceNoise(**settings)
    except InvalidInputError:
        return
    assert np.isfinite(NoisyCircuit(trained.compile(), noise).probabilities(small_digits.X_test[:2])).all()
