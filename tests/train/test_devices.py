"""Training shared over several devices is training on one.

In double precision: Adam divides by the size of a gradient, so that in single precision rounding in
directions without any effect on the loss becomes steps of full size.
"""

import json
import socket
import subprocess
import sys

import pytest

SHARED = """
import json, sys
import jax
import qtnml
from qtnml import AmplitudeMPSClassifier, MPSClassifier, TreeClassifier, load_dataset
from qtnml.errors import InvalidInputError

assert jax.device_count() == 4
jax.config.update("jax_enable_x64", True)
data = load_dataset("digits", size=4, classes=(3, 5), order="z")
runs = {}
for name, clf, counts in (
    ("tree", TreeClassifier(), (None, 2, 3, 4)),
    ("mps", MPSClassifier(), (None, 2)),
    ("amplitude", AmplitudeMPSClassifier(3), (None, 4)),
    ("shots", TreeClassifier(optimizer="spsa", shots=100), (None, 3)),  # 3 does not divide the batch
):
    for devices in counts:
        clf.set_params(epochs=2, batch_size=50, feature_range=(0, 1), random_state=0, devices=devices)
        clf.fit(data.X_train, data.y_train)
        runs.setdefault(name, []).append(clf.predict_proba(data.X_test).ravel().tolist())
bits = (data.X_train > 0.5).astype(int)
for name, born, counts in (
    ("born chain", qtnml.MPSBornMachine(4, complex_amplitudes=True), (None, 2, 3, 4)),
    ("born tree", qtnml.TreeBornMachine(4), (None, 4)),
):
    for devices in counts:
        born.set_params(method="gradient", epochs=2, batch_size=50, precision="double")
        born.set_params(random_state=0, devices=devices)
        runs.setdefault(name, []).append(born.fit(bits).log_likelihood(bits).tolist())
try:
    TreeClassifier(devices=5).fit(data.X_train, data.y_train)
except InvalidInputError as error:
    assert "devices=5, but JAX has 4" in str(error)
else:
    raise AssertionError
print(json.dumps(runs))
"""


@pytest.mark.slow
def test_two_to_four_devices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    done = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True, check=True)
    for alone, *shared in json.loads(done.stdout).values():
        for probabilities in shared:
            assert max(abs(a - b) for a, b in zip(alone, probabilities, strict=True)) < 1e-5


TWO_PROCESSES = """
import sys
import jax
import numpy as np
number, port = int(sys.argv[1]), sys.argv[2]
if number >= 0:
    jax.distributed.initialize(f"localhost:{port}", 2, number)
    assert jax.process_count() == jax.device_count() == 2
import qtnml
X = np.random.default_rng(0).integers(0, 2, (300, 8))
X[:, 5] = X[:, 1]
born = qtnml.TreeBornMachine(
    4, method="gradient", epochs=3, precision="double", devices=2 if number >= 0 else None, random_state=0
).fit(X)
print(*born.log_likelihood(X[:20]).tolist())
"""


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return str(listener.getsockname()[1])


@pytest.mark.slow
def test_two_processes_train_one_born_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with a device of its own, over `jax.distributed` on one machine."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    command, port = [sys.executable, "-c", TWO_PROCESSES], _free_port()
    both = [
        subprocess.Popen([*command, str(number), port], stdout=subprocess.PIPE, text=True)
        for number in (0, 1)
    ]
    found = [[float(word) for word in process.communicate(timeout=120)[0].split()[-20:]] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    done = subprocess.run([*command, "-1", port], capture_output=True, text=True, check=True)
    alone = [float(word) for word in done.stdout.split()]
    assert len(alone) == 20
    for shared in found:
        assert max(abs(a - b) for a, b in zip(alone, shared, strict=True)) < 1e-9
