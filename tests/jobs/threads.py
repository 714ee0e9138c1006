"""Threads that ask one ledger for the same jobs at the same moment, on a slow database and at a slow vendor.

`python -m tests.jobs.threads FOLDER THREADS TRIALS` prints one JSON object for each trial.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from qiskit import QuantumCircuit

from qtnml import JobStore
from qtnml.errors import BudgetError
from tests.jobs.killed import QUICK
from tests.jobs.vendor import Vendor

SHOTS = 100
CIRCUITS = 6


@dataclass(frozen=True)
class Spec:
    """A trial.

    Attributes:
        threads: How many.
        own_stores: Each thread opens the ledger for itself.
        different: Each thread asks for circuits of its own, under one budget that does not suffice for all.
        slow: Seconds that each step takes at most, at random.
        url: Of the ledger; a SQLite file by default.
        lag: Seconds after which the vendor lists a job; half of the answers to submissions are then lost.
    """

    threads: int
    own_stores: bool = False
    different: bool = False
    slow: float = 0.003
    url: str | None = None
    lag: float = 0.0


@dataclass
class Outcome:
    """What came of it."""

    counts: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refused: int = 0


def circuit(angle: float) -> QuantumCircuit:
    made = QuantumCircuit(1, 1)
    made.ry(angle, 0)
    made.measure(0, 0)
    return made


def trial(folder: Path, spec: Spec, number: int) -> dict[str, Any]:
    """One trial."""
    rng = random.Random(number)
    slowly = slow_steps(rng, spec.slow)
    budget = CIRCUITS * SHOTS * 3 // 2 if spec.different else CIRCUITS * SHOTS
    location = spec.url or str(folder / f"{number}.sqlite")

    def store() -> JobStore:
        from dataclasses import replace

        made = JobStore(
            location,
            patience=replace(QUICK, search_for=4 * spec.lag + 0.2),
            max_shots=budget,
            budget=f"trial {number}",
        )
        sa.event.listen(made.ledger.database.engine, "commit", lambda *_: slowly("commit"))
        return made

    faults = {"submit": [rng.choice([None, "deaf"]) for _ in range(40)]} if spec.lag else None
    vendor = Vendor(
        folder / f"vendor-{number}", tick=slowly, settings={"n": number}, faults=faults, lag=spec.lag
    )
    outcome, shared = Outcome(), store()
    barrier, lock = threading.Barrier(spec.threads), threading.Lock()

    def work(place: int) -> None:
        mine = store() if spec.own_stores else shared
        first = place * CIRCUITS if spec.different else 0
        circuits = [circuit(0.01 * (first + k)) for k in range(CIRCUITS)]
        barrier.wait()
        try:
            found = mine.run(circuits, vendor, shots=SHOTS, label=f"trial {number}")
        except BudgetError:
            with lock:
                outcome.refused += 1
        except Exception as error:
            with lock:
                outcome.errors.append(f"{type(error).__name__}: {error}")
        else:
            with lock:
                outcome.counts.append(found)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(spec.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    accepted = vendor.asked()
    return {
        "trial": number,
        "hung": sum(thread.is_alive() for thread in threads),
        "errors": outcome.errors,
        "refused": outcome.refused,
        "answers": len(outcome.counts),
        "equal": all(found == outcome.counts[0] for found in outcome.counts),
        "bought_circuits": sum(asked["circuits"] for asked in accepted),
        "bought_shots": sum(asked["circuits"] * asked["shots"] for asked in accepted),
        "spent_shots": shared.spent.shots,
        "budget": budget,
        "states": sorted({str(found.state) for found in shared.submissions(label=f"trial {number}")}),
    }


def slow_steps(rng: random.Random, longest: float) -> Callable[[str], None]:
    """Waits a little, so that threads meet in the middle of every step."""

    def tick(_: str) -> None:
        time.sleep(rng.random() * longest)

    return tick


def is_sound(found: dict[str, Any], spec: Spec) -> bool:
    """Nothing bought twice, nothing lost, no budget exceeded, nobody hung or in error."""
    sound = not found["hung"] and not found["errors"] and found["states"] == ["done"]
    sound &= found["bought_shots"] == found["spent_shots"] <= found["budget"]
    if spec.different:
        return sound and found["answers"] == 1 and found["refused"] == spec.threads - 1
    return (
        sound and found["answers"] == spec.threads and found["equal"] and found["bought_circuits"] == CIRCUITS
    )


def specs(threads: int) -> list[Spec]:
    """The kinds of trials with so many threads."""
    return [
        Spec(threads),
        Spec(threads, own_stores=True),
        Spec(threads, different=True),
        Spec(threads, own_stores=True, different=True),
    ]


def main(folder: Path, threads: int, trials: int) -> None:
    """Print what came of each trial."""
    kinds = specs(threads)
    for number in range(trials):
        spec = kinds[number % len(kinds)]
        found = trial(folder, spec, number)
        print(json.dumps(found | {"sound": is_sound(found, spec)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
