import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qtnml import TreeClassifier, get_backend
from qtnml.backends.aer import _exact_method, _sampling_method
from qtnml.backends.base import is_backend
from qtnml.errors import BackendError

pytestmark = pytest.mark.portable


def bell(bits: str = "01") -> QuantumCircuit:
    """|01> on qubits 0 (=1), 1 (=0), measured into bits of the same number."""
    circuit = QuantumCircuit(2, 2)
    for qubit, bit in enumerate(bits):
        if bit == "1":
            circuit.x(qubit)
    circuit.measure([0, 1], [0, 1])
    return circuit


def test_bit_order_and_counts() -> None:
    backend = get_backend("aer")
    assert is_backend(backend)
    assert backend.run([bell("10"), bell("01")], shots=5) == [{1: 5}, {2: 5}]
    np.testing.assert_allclose(backend.probabilities([bell("10")]), [[0, 1, 0, 0]], atol=1e-15)


def test_seeds_and_batches(trained: TreeClassifier, small_digits) -> None:
    backend, circuits = get_backend("aer"), [*trained.compile().bind(small_digits.X_test[:1])] * 3
    first = backend.run(circuits, shots=500, seed=1)
    assert first == backend.run(circuits, shots=500, seed=1)
    assert first != backend.run(circuits, shots=500, seed=2)
    assert not first[0] == first[1] == first[2]  # equal circuits of one job draw their own shots
    assert [sum(counts.values()) for counts in first] == [500] * 3


def test_submit_and_fetch() -> None:
    backend = get_backend("aer")
    jobs = [backend.submit([bell(bits)], shots=3) for bits in ("10", "11")]
    assert backend.fetch(jobs[1]).counts == [{3: 3}]
    assert backend.fetch(jobs[0]).counts == [{1: 3}]
    with pytest.raises(BackendError, match="no job 'aer-7' on this backend in this process"):
        backend.fetch("aer-7")


def test_nothing_to_run() -> None:
    assert get_backend("aer").run([], shots=10) == []
    assert get_backend("aer").probabilities([]).shape[0] == 0


def test_bad_circuits_and_shots() -> None:
    free = QuantumCircuit(1, 1)
    free.rx(Parameter("t"), 0)
    free.measure(0, 0)
    backend = get_backend("aer")
    with pytest.raises(
        BackendError, match=r"circuit 0 has 1 unbound parameters \(t, ...\); bind samples first"
    ):
        backend.run([free], shots=1)
    with pytest.raises(BackendError, match="circuit 0 measures nothing"):
        backend.run([QuantumCircuit(1)], shots=1)
    with pytest.raises(BackendError, match="shots must be an integer of at least 1, got 0"):
        backend.run([bell()], shots=0)
    with pytest.raises(BackendError, match=r"unknown backend 'ear'; choose one of \['aer', 'aqt'"):
        get_backend("ear")


@pytest.mark.parametrize("order", [1, -1])
def test_each_circuit_of_a_batch_keeps_its_exact_method(order: int) -> None:
    """A circuit without resets beside one with them must not turn the latter into samples."""
    plain, reset = QuantumCircuit(2, 1), QuantumCircuit(2, 1)
    for circuit in (plain, reset):
        circuit.h(0)
        circuit.cx(0, 1)
    reset.reset(1)
    for circuit in (plain, reset):
        circuit.measure(0, 0)
    backend = get_backend("aer")
    found = backend.probabilities([plain, reset, plain, reset][::order])
    np.testing.assert_allclose(found, [[0.5, 0.5]] * 4, atol=1e-12)
    one = QuantumCircuit(2, 1)
    one.x(0)
    one.measure(0, 0)
    counts = backend.run([one, reset, one][::order], shots=50, seed=0)
    assert [counts[0], counts[2]] == [{1: 50}, {1: 50}]
    with pytest.raises(BackendError, match="method 'statevector' samples resets"):
        get_backend("aer", method="statevector").probabilities([reset])


def test_exact_probabilities_refuse_what_is_not_final() -> None:
    after, unmeasured = QuantumCircuit(1, 1), QuantumCircuit(2, 2)
    after.measure(0, 0)
    after.x(0)
    unmeasured.measure(0, 1)
    conditional = QuantumCircuit(2, 2)
    conditional.measure(0, 0)
    with conditional.if_test((conditional.clbits[0], 1)):
        conditional.x(1)
    conditional.measure(1, 1)
    backend = get_backend("aer")
    for circuit, message in (
        (after, "'x' follows one or depends on one; use shots"),
        (conditional, "'if_else' follows one"),
        (unmeasured, "every classical bit measured, got 1 of 2"),
    ):
        with pytest.raises(BackendError, match=message):
            backend.probabilities([circuit])


@pytest.mark.parametrize(
    ("circuits", "options", "message"),
    [
        (bell(), {"shots": 1}, "give a list of circuits, got QuantumCircuit"),
        (["qasm"], {"shots": 1}, "circuit 0 is no QuantumCircuit but str"),
        ([bell()], {"shots": 1.5}, "shots must be an integer of at least 1, got 1.5"),
        ([bell()], {"shots": None}, "shots must be an integer of at least 1, got None"),
        ([bell()], {"shots": 1, "seed": "a"}, "seed must be None or a non-negative integer, got 'a'"),
        ([QuantumCircuit(1, 1)], {"shots": 1}, "circuit 0 measures nothing"),
    ],
)
def test_wrong_kinds_are_refused(circuits: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        get_backend("aer").run(circuits, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "abacus"}, "Aer does not take these options: .*Invalid simulation method abacus"),
        ({"colour": "red"}, "Aer does not take these options: .*Invalid option colour"),
        ({"optimization_level": 7}, "optimization_level must be 0, 1, 2 or 3, got 7"),
        ({"transpiler_seed": -1}, "transpiler_seed must be an integer of at least 0, got -1"),
        ({"qubits": (1, 1)}, "qubits must be different numbers"),
        ({"seed": "one"}, "seed must be None or a non-negative integer, got 'one'"),
    ],
)
def test_options_are_checked_when_the_backend_is_made(options: dict, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        get_backend("aer", **options)


@pytest.mark.parametrize(
    "name",
    ["aer", pytest.param("fake:torino", marks=pytest.mark.slow), "pennylane:default.qubit"],
)
def test_a_seed_makes_submissions_repeatable(name: str) -> None:
    coin = QuantumCircuit(1, 1)
    coin.ry(1.2, 0)
    coin.measure(0, 0)
    first, second = ([get_backend(name, seed=s).run([coin], shots=500) for _ in range(2)] for s in (1, 2))
    assert first[0] == first[1]
    assert first[0] != second[0]
    backend = get_backend(name, seed=1)
    runs = [backend.run([coin], shots=500) for _ in range(3)]
    assert runs[0] == first[0]
    assert not runs[0] == runs[1] == runs[2]  # a sequence, as of any generator
    assert backend.settings["seed"] == 1
    assert backend.run([coin], shots=500, seed=7) == get_backend(name).run([coin], shots=500, seed=7)


def test_method_is_chosen_by_circuit() -> None:
    def circuit(width: int, *, reset: bool) -> QuantumCircuit:
        made = QuantumCircuit(width, 1)
        made.x(range(width))
        if reset:
            made.reset(0)
        made.measure(0, 0)
        return made

    assert _sampling_method(circuit(7, reset=True)) == "density_matrix"
    assert _sampling_method(circuit(12, reset=True)) == "statevector"
    midway = circuit(7, reset=True)
    midway.reset(0)
    assert _sampling_method(midway) == "statevector"
    waiting = circuit(7, reset=True)
    waiting.delay(100, 0)  # nothing that a result could show
    assert _sampling_method(waiting) == "density_matrix"
    conditional = circuit(7, reset=True)
    with conditional.if_test((conditional.clbits[0], 1)):
        conditional.x(1)
    assert _sampling_method(conditional) == "statevector"
    assert _sampling_method(circuit(64, reset=False)) == "matrix_product_state"
    assert _exact_method(circuit(12, reset=False)) == "statevector"
    assert _exact_method(circuit(12, reset=True)) == "density_matrix"
    with pytest.raises(BackendError, match="14 qubits are more than 13; use shots, or compile with reuse"):
        _exact_method(circuit(14, reset=True))


def test_wide_circuit_runs_exactly_as_a_matrix_product_state(digits) -> None:
    clf = TreeClassifier(epochs=3, feature_range=(0, 1), random_state=0).fit(digits.X_train, digits.y_train)
    X = digits.X_test[:2]
    found = get_backend("aer").probabilities(clf.compile(reuse_qubits=False).bind(X))
    np.testing.assert_allclose(found, clf.predict_proba(X), atol=1e-8)
