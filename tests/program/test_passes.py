"""Passes: what a program computes stays the same, and each does what it is for."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Delay, Parameter
from qiskit.circuit.library import CZGate, RZGate, SXGate
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Operator
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from scipy.stats import chisquare

from qtnml import get_backend, load_model
from qtnml.ansatz import TensorNetwork
from qtnml.born import TreeState
from qtnml.compile import (
    CompiledCircuit,
    compile_network,
    compile_state,
    export_circuit,
    import_circuit,
)
from qtnml.errors import InvalidInputError
from qtnml.hybrid import HybridTraining
from qtnml.models import TreeClassifier
from qtnml.noise import CircuitDistribution, DeviceNoise, NoisyCircuit
from qtnml.noise.device import Instruction
from qtnml.program import Check, FlipIf, Gate, Program, Reset, device_of, timeline
from qtnml.program.operations import Operation, Wait
from qtnml.program.passes import PASSES, Decouple, HoldReads, Merge, SkipResets, Twirl, passes_of
from qtnml.program.passes.waits import flat_steps
from qtnml.structure import balanced_tree
from qtnml.structure.sites import site_chain
from tests.references import ENCODING

NATIVE = ["rz", "sx", "x"]


@cache
def line_of(size: int, gate: str = "cz") -> GenericBackendV2:
    """A device whose qubits stand in a line."""
    pairs = [[a, a + 1] for a in range(size - 1)]
    both = pairs + [[b, a] for a, b in pairs]
    return GenericBackendV2(size, basis_gates=[*NATIVE, gate], coupling_map=both, seed=1)


def network(leaves: int = 8, scale: float = 2.0) -> TensorNetwork:
    return TensorNetwork.random(balanced_tree(leaves), np.random.default_rng(0), scale=scale)


@cache
def circuits() -> dict[str, Any]:
    """Inward with and without a device, post-selected, and outward."""
    state = TreeState.random(site_chain([2] * 6), 2, np.random.default_rng(0))
    return {
        "inward": compile_network(network(), ENCODING),
        "on a device": compile_network(network(), ENCODING, target=line_of(5)),
        "ecr": compile_network(network(), ENCODING, target=line_of(5, "ecr")),
        "post-selected": compile_network(network(scale=0.5), ENCODING, discard="postselect"),
        "outward": compile_state(state),
        "outward, no reset": compile_state(state, reuse_qubits=False, target=line_of(6)),
    }


def deviation(compiled: Any) -> float:
    if isinstance(compiled, CompiledCircuit):
        return compiled.verify(np.random.default_rng(0).random((5, 8)))
    state = TreeState.random(site_chain([2] * 6), 2, np.random.default_rng(0))
    return float(compiled.verify(state, np.random.default_rng(0).integers(0, 2, (20, 6))))


WITHOUT_CONDITIONS = [name for name in PASSES if name != "feed-forward"]


@pytest.mark.parametrize(
    "passes",
    [[name] for name in WITHOUT_CONDITIONS] + [WITHOUT_CONDITIONS, ["twirl-5", "merge"]],
    ids=str,
)
@pytest.mark.parametrize(
    "name", ["inward", "on a device", "ecr", "post-selected", "outward", "outward, no reset"]
)
def test_what_a_circuit_computes_stays_the_same(name: str, passes: list[str]) -> None:
    rewritten = circuits()[name].with_passes(passes)
    assert deviation(rewritten) < 1e-9
    assert [p.split("-")[0] for p in rewritten.passes] == [p.split("-")[0] for p in passes]
    assert ", ".join(rewritten.passes) in str(rewritten.report())
    assert rewritten.report().to_dict()["passes"] == list(rewritten.passes)


@pytest.mark.parametrize(
    "passes", [["feed-forward"], ["feed-forward", "twirl", "merge", "hold-reads"]], ids=str
)
def test_flips_by_what_was_read_are_resets(passes: list[str]) -> None:
    assert deviation(circuits()["outward"].with_passes(passes)) < 1e-9


def test_no_pass_changes_nothing() -> None:
    compiled = circuits()["inward"]
    assert compiled.with_passes(()) is compiled
    assert compiled.with_passes(None) is compiled
    assert "passes" not in str(compiled.report())


class TestMerge:
    def test_joins_pulses_and_leaves_pairs(self) -> None:
        before = circuits()["on a device"]
        after = before.with_passes("merge")
        count = {c: c.trained_circuit.count_ops() for c in (before, after)}
        assert count[after]["sx"] < 0.9 * count[before]["sx"]
        assert count[after]["cz"] == count[before]["cz"]
        assert set(count[after]) <= {"rz", "sx", "x", "cz", "reset", "measure"}
        assert after.estimated_success > before.estimated_success

    def test_weights_are_bound(self) -> None:
        merged = circuits()["inward"].with_passes("merge")
        assert len(merged.w) == len(merged.weights) == 0
        assert {p.name[0] for p in merged.circuit.parameters} == {"x"}
        with pytest.raises(InvalidInputError, match="weights are bound .*before that pass"):
            merged.with_weights(np.zeros(3))
        with pytest.raises(InvalidInputError, match="weights are bound"):
            merged.bind_angles(np.zeros((1, 8)), np.zeros(3))

    def test_outward_gates_are_still_known(self) -> None:
        merged = circuits()["outward"].with_passes("merge")
        for core, wanted in zip(merged.state().cores, circuits()["outward"].state().cores, strict=True):
            np.testing.assert_allclose(core, wanted, atol=1e-12)


class TestSkipResets:
    def test_only_after_checks(self) -> None:
        before = circuits()["post-selected"]
        after = before.with_passes("skip-resets")
        assert before.num_resets
        assert after.num_resets == 0
        assert after.duration() < before.duration()
        assert circuits()["inward"].with_passes("skip-resets").num_resets == circuits()["inward"].num_resets

    def test_a_qubit_used_since_is_reset(self) -> None:
        circuit = QuantumCircuit(2)
        reset = Reset((0,))
        check = Check((0,), 0)
        used = Program.read(circuit)
        gate = next(step for step in circuits()["inward"].program.steps if isinstance(step, Gate))
        between = replace(gate, qubits=(0,) * len(gate.qubits))
        program = replace(used, operations=(check, between, reset, check, reset))
        kept = SkipResets()(program, None)
        assert kept.operations == (check, between, reset, check)


class TestTwirl:
    @pytest.mark.parametrize("gate", ["cx", "cz", "ecr", "swap", "iswap", "cy"])
    def test_every_frame_leaves_the_gate(self, gate: str) -> None:
        circuit = QuantumCircuit(2)
        getattr(circuit, gate)(0, 1)
        program = Program.read(circuit)
        seen = set()
        for seed in range(60):
            twirled = Twirl(seed)(program, None).circuit()
            assert Operator(twirled).equiv(Operator(circuit))
            seen.add(tuple(twirled.count_ops().items()))
        assert len(seen) > 6

    def test_gates_by_an_angle(self) -> None:
        circuit = QuantumCircuit(2)
        circuit.rzz(0.3, 1, 0)
        for seed in range(20):
            twirled = Twirl(seed)(Program.read(circuit), None).circuit()
            assert Operator(twirled).equiv(Operator(circuit))

    def test_an_average_over_frames_leaves_pauli_errors(self) -> None:
        """Relaxation moves states towards |0>; averaged over Paulis around the gate it does not."""
        noise = DeviceNoise(t1=1e-6, t2=1e-6, two_qubit_time=300e-9)
        circuit = QuantumCircuit(2, 2)
        circuit.cx(0, 1)
        circuit.measure([0, 1], [0, 1])

        def mean(prepared: tuple[int, ...], seeds: range) -> float:
            found = []
            for seed in seeds:
                start = QuantumCircuit(2, 2)
                for qubit in prepared:
                    start.x(qubit)
                program = Program.read(start.compose(circuit))
                twirled = Twirl(seed)(program, None).circuit()
                found.append(CircuitDistribution(twirled, (), noise).probabilities(np.empty((1, 0)))[0])
            right = {(): 0, (0,): 3}[prepared]
            return float(np.mean(found, axis=0)[right])

        plain = {
            prepared: CircuitDistribution(_prepared(prepared, circuit), (), noise).probabilities(
                np.empty((1, 0))
            )[0][right]
            for prepared, right in (((), 0), ((0,), 3))
        }
        assert plain[()] == pytest.approx(1.0)
        assert plain[(0,)] < 0.6
        twirled = [mean(prepared, range(400)) for prepared in ((), (0,))]
        assert twirled[0] == pytest.approx(twirled[1], abs=0.06)

    def test_paulis_are_those_of_the_device(self) -> None:
        twirled = circuits()["on a device"].with_passes("twirl")
        assert set(twirled.circuit.count_ops()) <= {"rz", "sx", "x", "cz", "reset", "measure"}
        assert twirled.passes == ("twirl-0",)
        assert len(twirled.w) == len(circuits()["on a device"].w)

    def test_bad_seeds(self) -> None:
        with pytest.raises(InvalidInputError, match="seed must be a non-negative integer, got -1"):
            Twirl(-1)
        with pytest.raises(InvalidInputError, match="seed must be a non-negative integer, got 0.5"):
            Twirl(0.5)  # type: ignore[arg-type]


def _prepared(qubits: tuple[int, ...], circuit: QuantumCircuit) -> QuantumCircuit:
    start = QuantumCircuit(2, 2)
    for qubit in qubits:
        start.x(qubit)
    return start.compose(circuit)


def detuned(program: Program, times: Any, rate: float) -> Program:
    """Every wait turns its qubit about Z."""
    line = timeline(program, times)
    operations: list[Operation] = []
    for row, operation in flat_steps(program):
        operations.append(operation)
        waits = () if row is None else line.waits[row]
        for qubit, seconds in zip(operation.qubits, waits, strict=False):
            operations.append(Gate(RZGate(rate * seconds), (qubit,)))
    return replace(program, operations=tuple(operations))


class TestDecouple:
    def test_undoes_a_constant_drift(self) -> None:
        compiled = circuits()["on a device"]
        X = np.random.default_rng(0).random((5, 8))
        ideal = compiled.probabilities(X)
        off = {}
        for passes in ((), "decouple"):
            rewritten = compiled.with_passes(passes)
            program = detuned(rewritten.trained_program, compiled.device, 2e5)
            clock = DeviceNoise(dt=compiled.device.dt)
            found = NoisyCircuit(replace(rewritten, program=program), clock).probabilities(X)
            off[str(passes)] = np.abs(found - ideal).max()
        assert off["()"] > 0.02
        # Pulses stand on the device's clock: half a cycle may be left over.
        assert off["decouple"] < 0.05 * off["()"]

    def test_takes_no_time(self) -> None:
        compiled = circuits()["on a device"]
        decoupled = compiled.with_passes("decouple")
        assert sum(isinstance(step, Wait) for step in decoupled.program.steps) >= 3
        assert decoupled.duration() == pytest.approx(compiled.duration(), rel=1e-3)

    def test_devices_without_the_pulse(self) -> None:
        target = Target(num_qubits=2, description="without x")
        target.add_instruction(CZGate(), {(0, 1): InstructionProperties()})
        target.add_instruction(SXGate(), {(k,): InstructionProperties() for k in range(2)})
        with pytest.raises(
            InvalidInputError, match="'without x' has no delays; leave the pass 'decouple' out"
        ):
            Decouple()(circuits()["inward"].program, device_of(target))
        with pytest.raises(InvalidInputError, match="leave the pass 'hold-reads' out"):
            HoldReads()(circuits()["inward"].program, device_of(target))
        target.add_instruction(Delay(Parameter("t")), {(k,): None for k in range(2)})
        with pytest.raises(InvalidInputError, match="'without x' has no x gate"):
            Decouple()(circuits()["inward"].program, device_of(target))
        with pytest.raises(InvalidInputError, match="'without x' has no gates for a Pauli"):
            Twirl()(circuits()["inward"].program, device_of(target))


class TestHoldReads:
    def test_reads_come_at_once_when_a_device_schedules(self) -> None:
        """Qiskit schedules as late as possible: with the delays, its read-outs start when ours do."""
        backend = line_of(6)
        compiled = circuits()["outward, no reset"]
        late, held = (
            transpile(
                each.trained_circuit,
                backend,
                optimization_level=0,
                scheduling_method="alap",
                initial_layout=range(6),
            )
            for each in (compiled, compiled.with_passes("hold-reads"))
        )
        waiting = [_before_reads(each) for each in (late, held)]
        assert waiting[0] > 0
        assert waiting[1] < 0.05 * waiting[0]

    def test_the_distribution_counts_on_it(self) -> None:
        compiled = circuits()["outward, no reset"]
        noise = DeviceNoise.from_backend(line_of(6))
        values = np.empty((1, 0))
        found = [
            CircuitDistribution(each.trained_circuit, (), noise).probabilities(values)
            for each in (compiled, compiled.with_passes("hold-reads"))
        ]
        np.testing.assert_allclose(found[0], found[1], atol=1e-12)

    def test_short_waits_stay(self) -> None:
        compiled = circuits()["outward, no reset"].with_passes(HoldReads(shortest=1.0))
        assert not any(isinstance(step, Wait) for step in compiled.program.steps)


def _before_reads(circuit: QuantumCircuit) -> int:
    """Cycles of delays between measurements and the last gate that joined their qubit to another."""
    waited: dict[Any, int] = {}
    total = 0
    for entry in circuit.data:
        qubit = entry.qubits[0]
        if entry.operation.name == "measure":
            total += waited.get(qubit, 0)
        elif entry.operation.name == "delay":
            waited[qubit] = waited.get(qubit, 0) + int(entry.operation.duration)
        elif len(entry.qubits) > 1:
            waited |= dict.fromkeys(entry.qubits, 0)
    return total


class TestNames:
    def test_names_and_objects(self) -> None:
        assert [each.name for each in passes_of(["merge", Twirl(3), "twirl-4", "twirl"])] == [
            "merge",
            "twirl-3",
            "twirl-4",
            "twirl-0",
        ]
        assert passes_of("merge") == (Merge(),)

    @pytest.mark.parametrize("bad", ["melt", 3, Merge, ["merge", "twirl--1"]])
    def test_unknown_passes(self, bad: Any) -> None:
        with pytest.raises(
            InvalidInputError, match="unknown pass .*; choose of skip-resets, feed-forward, twirl, merge"
        ):
            circuits()["inward"].with_passes(bad)

    def test_a_pass_of_ones_own(self) -> None:
        class Twice:
            name = "twice"
            binds_weights = False

            def __call__(self, program: Program, device: Any) -> Program:
                return program

        assert circuits()["inward"].with_passes([Twice(), "merge"]).passes == ("twice", "merge")


def test_files_keep_passes(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((3, 8))
    compiled = circuits()["on a device"].with_passes(["twirl-2", "merge", "decouple", "hold-reads"])
    export_circuit(compiled, tmp_path / "c.qpy", free_weights=True)
    back = import_circuit(tmp_path / "c.qpy")
    assert back.passes == compiled.passes == ("twirl-2", "merge", "decouple", "hold-reads")
    np.testing.assert_allclose(back.probabilities(X), compiled.probabilities(X), atol=1e-12)


class TestChosen:
    @pytest.mark.slow
    def test_no_worse_than_none_by_its_own_measure(self, trained: TreeClassifier) -> None:
        backend = line_of(6)
        plain = trained.compile(target=backend, num_qubits=5)
        chosen = trained.compile(target=backend, num_qubits=5, passes="auto")
        assert plain.expected is not None
        assert chosen.expected is not None
        assert chosen.expected.rank >= plain.expected.rank
        assert chosen.passes[-1] == "hold-reads"
        measured = NoisyCircuit(chosen, DeviceNoise.from_backend(backend))
        assert chosen.verify(np.full((2, 16), 0.3)) < 1e-9
        assert measured.probabilities(np.full((2, 16), 0.3)).shape == (2, 2)

    def test_needs_a_device(self, trained: TreeClassifier) -> None:
        with pytest.raises(
            InvalidInputError, match="passes='auto' compares by a device's noise; give target="
        ):
            trained.compile(passes="auto")

    def test_named_ones_are_expected_anew(self, trained: TreeClassifier) -> None:
        merged = trained.compile(target=line_of(6), num_qubits=5, passes="merge")
        assert merged.passes == ("merge",)
        assert merged.expected is not None

    def test_on_a_backend(self, trained: TreeClassifier, small_digits: Any) -> None:
        measured = trained.to_backend("exact", passes=["twirl", "merge"], jobs=None, shots=200)
        assert measured.compiled.passes == ("twirl-0", "merge")
        assert measured.predict(small_digits.X_test[:5]).shape == (5,)


class TestFeedForward:
    """A flip by the bit that was read, instead of a reset."""

    def test_it_replaces_resets_after_reads_and_takes_less_time(self) -> None:
        before = circuits()["outward"]
        after = before.with_passes("feed-forward")
        assert after.num_resets == 0
        assert sum(isinstance(step, FlipIf) for step in after.program.steps) == before.num_resets > 0
        assert after.duration() < before.duration()
        inward = circuits()["inward"]
        assert inward.with_passes("feed-forward").num_resets == inward.num_resets  # nothing is read there

    def test_written_and_read(self) -> None:
        program = circuits()["outward"].with_passes("feed-forward").program
        again = Program.read(program.circuit(), (), "outward")
        flips = [(s.qubits, s.bit) for s in program.steps if isinstance(s, FlipIf)]
        assert [(s.qubits, s.bit) for s in again.steps if isinstance(s, FlipIf)] == flips
        assert again.written_as(program.circuit()).steps is not None

    def test_the_exact_distribution_against_aer(self) -> None:
        """Misread bits leave their qubit in |1>: shots of Aer, which runs the conditional gates."""
        up, down, shots = 0.1, 0.05, 50_000
        circuit = circuits()["outward"].with_passes("feed-forward").trained_circuit
        noise = DeviceNoise(readout_error=((up, down),) * circuit.num_qubits)
        distribution = CircuitDistribution(circuit, (), noise).probabilities(np.empty((1, 0)))[0]
        plain = CircuitDistribution(circuits()["outward"].trained_circuit, (), noise).probabilities(
            np.empty((1, 0))
        )[0]
        assert np.abs(distribution - plain).sum() > 0.05  # the two are different things
        model = NoiseModel()
        model.add_all_qubit_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]))
        counts = (
            AerSimulator(noise_model=model).run(circuit, shots=shots, seed_simulator=1).result().get_counts()
        )
        seen = np.zeros(64)
        for bits, number in counts.items():
            seen[int(bits, 2)] += number
        assert chisquare(seen, distribution * shots).pvalue > 1e-3

    def test_relaxation_after_the_flip(self) -> None:
        """By a density matrix: read, flip, wait, read again."""
        circuit = QuantumCircuit(2, 3)
        circuit.h(0)
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(0)
        circuit.cx(0, 1)
        circuit.measure([0, 1], [1, 2])
        noise = DeviceNoise(
            readout_error=0.1,
            t1=10e-6,
            instructions=(Instruction("if_else", (0,), 2e-6, 0.0), Instruction("if_else", (1,), 2e-6, 0.0)),
        )
        distribution = CircuitDistribution(circuit, (), noise).probabilities(np.empty((1, 0)))[0]
        # After a misread bit the qubit is in |1>, and decays while the device decides.
        kept = np.exp(-2e-6 / 10e-6)
        wanted = np.zeros(8)
        for first, read in ((0, 0), (0, 1), (1, 0), (1, 1)):
            p = 0.5 * (0.9 if first == read else 0.1)
            one = kept if first != read else 0.0
            for value, weight in ((0, 1 - one), (1, one)):
                for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    right = (0.9 if a == value else 0.1) * (0.9 if b == value else 0.1)
                    wanted[read + 2 * a + 4 * b] += p * weight * right
        np.testing.assert_allclose(distribution, wanted, atol=1e-12)

    def test_other_control_flow_is_refused(self) -> None:
        circuit = QuantumCircuit(2, 1)
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.h(1)
        with pytest.raises(InvalidInputError, match="knows no 'if_else'"):
            CircuitDistribution(circuit, (), DeviceNoise())

    def test_devices_without_it(self) -> None:
        with pytest.raises(InvalidInputError, match="has no gates that depend on a bit"):
            circuits()["outward, no reset"].with_passes("feed-forward")


@pytest.mark.slow
class TestChecksWithoutResets:
    """A misread check leaves its qubit in |1>, which the next data then meet."""

    def test_against_aer(self) -> None:
        compiled = compile_network(network(4, 2.0), ENCODING, discard="postselect").with_passes("skip-resets")
        noise = DeviceNoise(readout_error=0.2, start_error=0.1, t1=1e-4, two_qubit_time=1e-6)
        angles, shots = compiled.angles(np.full((1, 4), 0.3)), 400_000
        found, log = NoisyCircuit(compiled, noise).evaluate(angles)
        with_resets = compile_network(network(4, 2.0), ENCODING, discard="postselect")
        assert np.abs(NoisyCircuit(with_resets, noise).evaluate(angles)[0] - found).max() > 1e-3
        (counts,) = get_backend("aer", noise=noise).run(compiled.bind_angles(angles), shots=shots, seed=1)
        kept = np.array([counts.get(0, 0), counts.get(1, 0)])
        expected = found[0] * np.exp(log[0]) * shots
        assert (np.abs(kept - expected) < 5 * np.sqrt(expected)).all()

    def test_large_ones_are_refused(self) -> None:
        compiled = compile_network(network(64, 0.5), ENCODING, discard="postselect").with_passes(
            "skip-resets"
        )
        with pytest.raises(InvalidInputError, match="entangled at once|uploaded"):
            NoisyCircuit(compiled, DeviceNoise(readout_error=0.1)).evaluate(
                compiled.angles(np.full((1, 64), 0.3))
            )


@pytest.mark.sampled
@pytest.mark.parametrize("basis", [["cx", "ry", "rz"], ["cz", "rx", "ry", "rz"], ["cx", "u"]], ids=str)
def test_paulis_and_choices_in_other_gates(basis: list[str], trained: TreeClassifier) -> None:
    pairs = [[a, b] for a in range(6) for b in (a - 1, a + 1) if 0 <= b < 6]
    backend = GenericBackendV2(6, basis_gates=basis, coupling_map=pairs, seed=1)
    twirled = trained.compile(target=backend, num_qubits=5, passes=["twirl-3", "merge"])
    assert twirled.verify(np.full((2, 16), 0.3)) < 1e-9
    assert set(twirled.circuit.count_ops()) <= {*backend.target.operation_names}
    assert trained.compile(target=backend, num_qubits=5, passes="auto").passes


def test_delays_in_plans_mitigation_and_files(
    trained: TreeClassifier, small_digits: Any, tmp_path: Path
) -> None:
    X = small_digits.X_test[:3]
    measured = trained.to_backend(
        line_of(6), num_qubits=5, passes="decouple", jobs=False, shots=50, mitigation="readout"
    )
    assert measured.plan(X).expected is not None
    assert measured.predict_proba(X).shape == (3, 2)
    plain = trained.compile(passes="decouple")  # for no device: delays in nanoseconds
    for name in ("c.qpy", "c.qasm"):
        export_circuit(plain, tmp_path / name)
        back = import_circuit(tmp_path / name)
        assert back.duration() == pytest.approx(plain.duration())
        np.testing.assert_allclose(back.probabilities(X), plain.probabilities(X), atol=1e-8)
    free = trained.to_backend("exact", passes="decouple", jobs=False, shots=100)
    free.save(tmp_path / "b.qtnml")
    assert load_model(tmp_path / "b.qtnml").compiled.duration() == pytest.approx(plain.duration())


def test_bound_weights_are_not_trained(trained: TreeClassifier, small_digits: Any) -> None:
    X, y = small_digits.X_test[:6], small_digits.y_test[:6]
    measured = trained.to_backend("exact", passes="merge", jobs=False, training=HybridTraining(steps=2))
    with pytest.raises(InvalidInputError, match="has no weights to train"):
        measured.plan_fit(X)
    with pytest.raises(InvalidInputError, match="has no weights to train"):
        measured.fit(X, y)


def test_auto_stands_alone(trained: TreeClassifier) -> None:
    for given in ("auto", ["auto", "merge"]):
        with pytest.raises(InvalidInputError, match="passes='auto' stands alone"):
            circuits()["inward"].with_passes(given)
