"""A paid backend that records its sales, and everything that can go wrong between it and the ledger; see
README.md.

python experiments/ledger/run.py [--smoke] [--postgresql URL]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(ROOT))

from qtnml import JobStore  # noqa: E402
from tests.jobs import killed, threads  # noqa: E402
from tests.jobs.vendor import Vendor  # noqa: E402

#: What happens, the spec of a trial, and trials out of a thousand.
KILLS = {
    "killed twice at random steps": (killed.Spec("vendor", kills=2, seed=11), 400),
    "the same, at a vendor that cannot be searched": (killed.Spec("unsearchable", kills=2, seed=12), 150),
    "the same, on a simulator": (killed.Spec("aer", kills=2, seed=13), 100),
    "the same, listed 0.5 s late, every process on a host of its own": (
        killed.Spec("vendor", kills=2, seed=14, lag=0.5, search_for=1.5, hosts=True),
        150,
    ),
    "the database goes away at a random step": (killed.Spec("vendor", kills=2, seed=15, faults=True), 100),
    "killed twice, on PostgreSQL": (killed.Spec("vendor", kills=2, seed=16), 50),
    "the database goes away, on PostgreSQL": (killed.Spec("vendor", kills=2, seed=17, faults=True), 50),
}


def kill_trials(name: str, spec: killed.Spec, trials: int, url: str | None, folder: Path) -> dict[str, Any]:
    """Many processes, killed one after the other; then a person decides on what is lost."""
    asked = replace(spec, trials=trials, url=url if "PostgreSQL" in name else None)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.jobs.killed",
        str(folder),
        json.dumps(asdict(asked)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=6 * trials + 120)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    at_vendor = spec.backend != "aer"
    wanted = killed.CIRCUITS
    return {
        "what": name,
        "trials": trials,
        "finished": len(found) if not done.returncode else f"{len(found)}: {done.stderr.strip()[-200:]}",
        "kills": sum(sum(each["killed"]) for each in found),
        "lost and said so": sum(len(each["first"]["lost"]) for each in found),
        "bought twice": sum(each["accepted_circuits"] > wanted for each in found) if at_vendor else 0,
        "missing in the end": sum(each["different_jobs_done"] < wanted for each in found),
        "counted twice": sum(each["stored_shots"] != [killed.SHOTS] * wanted for each in found),
        "over the budget": sum(each["spent_shots"] != killed.SHOTS * wanted for each in found),
    }


def thread_trials(count: int, trials: int, folder: Path) -> dict[str, Any]:
    """Threads ask for the same circuits, or for other ones under one budget that does not suffice."""
    kinds = threads.specs(count)
    found = []
    for number in range(trials):
        spec = kinds[number % len(kinds)]
        each = threads.trial(folder, spec, number)
        found.append(each | {"sound": threads.is_sound(each, spec)})
    return {
        "what": f"{count} threads",
        "trials": trials,
        "finished": sum(not each["hung"] for each in found),
        "kills": 0,
        "lost and said so": 0,
        "bought twice": sum(each["bought_shots"] > each["spent_shots"] for each in found),
        "missing in the end": sum(each["states"] != ["done"] for each in found),
        "counted twice": sum(not each["sound"] for each in found),
        "over the budget": sum(each["bought_shots"] > each["budget"] for each in found),
    }


def late_lists(seconds: float, trials: int, folder: Path) -> dict[str, Any]:
    """The answer is lost, and the vendor lists the job so many seconds later; patience is the default one."""
    vendors = [
        Vendor(folder / f"late-{k}", faults={"submit": ["deaf"]}, lag=seconds, settings={"k": k})
        for k in range(trials)
    ]
    stores = [JobStore(folder / f"late-{k}.sqlite") for k in range(trials)]
    counted: list[Any] = []

    def work(k: int) -> None:
        counted.append(stores[k].run([threads.circuit(0.1)], vendors[k], shots=100))

    running = [threading.Thread(target=work, args=(k,)) for k in range(trials)]
    for each in running:
        each.start()
    for each in running:
        each.join(400)
    return {
        "what": f"the answer is lost, and the job listed {seconds:.0f} s later",
        "trials": trials,
        "finished": sum(not each.is_alive() for each in running),
        "kills": 0,
        "lost and said so": sum(len(store.submissions(states=["lost"])) for store in stores),
        "bought twice": sum(len(vendor.asked()) > 1 for vendor in vendors),
        "missing in the end": trials - len(counted),
        "counted twice": sum(sum(each[0].values()) != 100 for each in counted),
        "over the budget": 0,
    }


def rows(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    share = 0.01 if options.smoke else 1.0
    for number, (name, (spec, trials)) in enumerate(KILLS.items()):
        if "PostgreSQL" in name and options.postgresql is None:
            continue
        yield kill_trials(
            name, spec, max(2, round(share * trials)), options.postgresql, folder / f"k{number}"
        )
    for count in (2, 4, 8):
        place = folder / f"t{count}"
        place.mkdir()
        yield thread_trials(count, max(4, round(share * 200)), place)
    yield late_lists(2.0 if options.smoke else 60.0, 2 if options.smoke else 20, folder)


def markdown(found: list[dict[str, Any]]) -> str:
    names = list(found[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return (
        "\n".join([*lines, *("| " + " | ".join(str(row[name]) for name in names) + " |" for row in found)])
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="a hundredth of the trials")
    parser.add_argument("--postgresql", help="URL of an empty database; without it SQLite alone is tried")
    options = parser.parse_args()
    found = []
    began = time.time()
    with tempfile.TemporaryDirectory() as temporary:
        for row in rows(options, Path(temporary)):
            found.append(row)
            print(json.dumps(row), flush=True)
    print(markdown(found), f"{time.time() - began:.0f} s", sep="\n")
    if not options.smoke:
        (FOLDER / "results.json").write_text(json.dumps(found, indent=1) + "\n")
        (FOLDER / "results.md").write_text(markdown(found))


if __name__ == "__main__":
    main()
