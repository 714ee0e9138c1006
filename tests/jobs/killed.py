"""Processes that are killed with SIGKILL at a given step of a run, and others that go on.

A step is every SQL statement and every commit, before and after, and every call to the vendor, before and
after it takes effect. `python -m tests.jobs.killed FOLDER SPEC` prints one JSON object for each trial.
"""

import json
import os
import random
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from qiskit import QuantumCircuit

from qtnml import JobStore, get_backend
from qtnml.errors import JobError
from qtnml.jobs import Patience, State
from qtnml.ledger import OPEN
from tests.jobs.vendor import Vendor

SHOTS = 10
CIRCUITS = 6
QUICK = Patience(attempts=3, first_wait=0.001, longest_wait=0.002, search_for=0.2, lease=0.15)


@dataclass(frozen=True)
class Spec:
    """A series of trials.

    Attributes:
        backend: "vendor", "unsearchable" or "aer".
        trials: How many; None kills at every single step.
        kills: Processes killed one after the other in a trial, each at a random step.
        seed: Of the random steps.
        url: Of the ledger; a SQLite file in the folder by default. Each trial has labels of its own.
        lag: Seconds after which the vendor lists a job.
        search_for: Seconds for which a job is looked for.
        hosts: Whether each process believes to be on a host of its own.
        faults: Whether, instead of a kill, the ledger's database fails at that step and all that follow, for
            that process.
    """

    backend: str
    trials: int | None = None
    kills: int = 1
    seed: int = 0
    url: str | None = None
    lag: float = 0.0
    search_for: float = 0.2
    hosts: bool = False
    faults: bool = False


class Trial:
    """One ledger, one vendor, several processes."""

    def __init__(self, folder: Path, spec: Spec, number: int) -> None:
        self.spec, self.number, self.folder = spec, number, folder / str(number)
        self.folder.mkdir(parents=True)
        self.location = spec.url or str(self.folder / "jobs.sqlite")

    def circuits(self) -> list[QuantumCircuit]:
        circuits = []
        for k in range(CIRCUITS):
            circuit = QuantumCircuit(1, 1)
            circuit.ry(0.1 * k + self.number, 0)
            circuit.measure(0, 0)
            circuits.append(circuit)
        return circuits

    def backend(self, tick: Callable[[str], None] = lambda _: None) -> Any:
        if self.spec.backend == "aer":
            return get_backend("aer")
        return Vendor(
            self.folder / "vendor",
            searchable=self.spec.backend == "vendor",
            tick=tick,
            settings={"n": self.number},
            lag=self.spec.lag,
        )

    def store(self) -> JobStore:
        return JobStore(
            self.location,
            patience=replace(QUICK, search_for=self.spec.search_for),
            max_shots=CIRCUITS * SHOTS,
            budget=f"trial {self.number}",
        )

    def work(self, store: JobStore, tick: Callable[[str], None]) -> None:
        """What a user does: run; after a crash, resume and run again."""
        backend = self.backend(tick)
        store.resume([found.id for found in self.open(store)], backend=backend)
        try:
            store.run(self.circuits(), backend, shots=SHOTS, label=f"trial {self.number}")
        except JobError as error:
            if "lost" not in str(error) and "may or may not have been bought" not in str(error):
                raise

    def decide(self) -> int:
        """What a person does about lost submissions: look at the vendor's, then adopt or send again."""
        store, backend = self.store(), self.backend()
        lost = [found for found in self.open(store) if found.state == State.LOST]
        for found in lost:
            there = [k for k, asked in enumerate(backend.asked(), 1) if asked["tag"] == found.tag]
            if there:
                store.adopt(found.id, f"job-{there[0]}", backend=backend)
            else:
                store.resume([found.id], backend=backend, send_again=True)
        store.run(self.circuits(), backend, shots=SHOTS, label=f"trial {self.number}")
        return len(lost)

    def open(self, store: JobStore) -> list[Any]:
        return store.submissions(states=OPEN, label=f"trial {self.number}")

    def in_a_process(self, kill_at: int) -> int:
        """Steps of a process that is killed at one of them (never, if there are fewer)."""
        told, telling = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(told)
                steps = self._counted(kill_at)
                os.write(telling, str(steps).encode())
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        os.close(telling)
        with os.fdopen(told) as pipe:
            steps = pipe.read()
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return -1
        if status:
            raise RuntimeError(f"trial {self.number}: the process failed by itself")
        return int(steps)

    def _counted(self, kill_at: int) -> int:
        steps = 0

        def tick(what: str) -> None:
            nonlocal steps
            steps += 1
            if steps == kill_at and not self.spec.faults:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.spec.faults and 0 < kill_at <= steps and what == "sql":
                raise sa.exc.OperationalError("any", {}, OSError("the database has gone"))

        if self.spec.hosts:
            socket.gethostname = lambda: f"host-{os.getpid()}"
        store = self.store()
        engine = store.ledger.database.engine
        for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(engine, event, lambda *_: tick("sql"))
        try:
            self.work(store, tick)
        except JobError:
            if not self.spec.faults:
                raise
        return steps

    def outcome(self) -> dict[str, Any]:
        """What the ledger and the vendor say in the end."""
        store = self.store()
        mine = store.submissions(label=f"trial {self.number}")
        results = [counts for found in mine for _, counts in store.ledger.results(found.id)]
        jobs = [job for found in mine if found.state == State.DONE for job in store.ledger.job_ids(found.id)]
        backend = self.backend()
        accepted = backend.asked() if isinstance(backend, Vendor) else []
        return {
            "trial": self.number,
            "states": sorted(str(found.state) for found in mine),
            "lost": [found.error for found in mine if found.state == State.LOST],
            "stored_shots": [sum(counts.values()) for counts in results],
            "jobs_done": len(jobs),
            "different_jobs_done": len(set(jobs)),
            "accepted_circuits": sum(asked["circuits"] for asked in accepted),
            "accepted_tags": len({asked["tag"] for asked in accepted}),
            "accepted": len(accepted),
            "spent_shots": store.spent.shots,
        }


def main(folder: Path, spec: Spec) -> None:
    """Run all trials; the processes are forked from this one, which holds no database and no thread."""
    rng = random.Random(spec.seed)
    whole = Trial(folder, spec, 0).in_a_process(kill_at=-1)
    points = (
        list(range(1, whole + 1))
        if spec.trials is None
        else [rng.randint(1, whole) for _ in range(spec.trials)]
    )
    for number, point in enumerate(points, start=1):
        trial = Trial(folder, spec, number)
        killed = [trial.in_a_process(point) == -1]
        for _ in range(spec.kills - 1):
            killed.append(trial.in_a_process(rng.randint(1, whole)) == -1)
        trial.in_a_process(kill_at=-1)
        found = {"point": point, "of": whole, "killed": killed, "first": trial.outcome()}
        decided = trial.decide() if found["first"]["lost"] else 0
        print(json.dumps(found | {"decided": decided, **trial.outcome()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Spec(**json.loads(sys.argv[2])))


def as_argument(spec: Spec) -> str:
    """A spec for the command line."""
    return json.dumps(asdict(spec))
