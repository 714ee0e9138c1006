"""kill -9 at any step of a run loses nothing and buys nothing twice."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.killed import CIRCUITS, SHOTS, Spec, as_argument


def trials(folder: Path, spec: Spec) -> list[dict[str, Any]]:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.jobs.killed", str(folder), as_argument(spec)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=3000,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def check(found: dict[str, Any], *, at_vendor: bool = True) -> None:
    """Done once, or lost with word of what to do; after a person has decided, all done once."""
    first = found["first"]
    assert set(first["states"]) <= {"done", "lost", "cancelled"}, found
    assert first["accepted_circuits"] <= CIRCUITS, found
    assert all("look for a job of" in error and "--send-again" in error for error in first["lost"]), found
    assert found["decided"] == len(first["lost"]), found
    assert set(found["states"]) <= {"done", "cancelled"}, found
    assert found["jobs_done"] == found["different_jobs_done"] == CIRCUITS, found
    assert found["stored_shots"] == [SHOTS] * CIRCUITS, found
    assert found["spent_shots"] == SHOTS * CIRCUITS, found
    if at_vendor:
        assert found["accepted_circuits"] == CIRCUITS, found
        assert found["accepted_tags"] == found["accepted"], found


def test_killed_at_random_steps(tmp_path: Path) -> None:
    found = trials(tmp_path, Spec("vendor", trials=8, kills=2, seed=1))
    assert sum(any(trial["killed"]) for trial in found) == 8
    for trial in found:
        check(trial)


@pytest.mark.slow
def test_a_simulators_jobs_are_computed_again_and_counted_once(tmp_path: Path) -> None:
    for trial in trials(tmp_path, Spec("aer", trials=4, seed=2)):
        check(trial, at_vendor=False)


@pytest.mark.slow
def test_a_vendor_that_cannot_be_asked(tmp_path: Path) -> None:
    for trial in trials(tmp_path, Spec("unsearchable", trials=6, seed=3)):
        check(trial)


@pytest.mark.slow
def test_a_vendor_that_lists_its_jobs_late_and_other_host_names(tmp_path: Path) -> None:
    for trial in trials(
        tmp_path, Spec("vendor", trials=5, kills=2, seed=6, lag=0.2, search_for=0.6, hosts=True)
    ):
        check(trial)


@pytest.mark.slow
def test_a_database_that_goes_away(tmp_path: Path) -> None:
    for trial in trials(tmp_path, Spec("vendor", trials=5, kills=2, seed=7, faults=True)):
        check(trial)


@pytest.mark.slow
def test_killed_at_every_step(tmp_path: Path) -> None:
    found = trials(tmp_path, Spec("vendor"))
    assert len(found) == found[0]["of"]
    for trial in found:
        check(trial)
    unsearchable = trials(tmp_path / "unsearchable", Spec("unsearchable"))
    assert any(trial["first"]["lost"] for trial in unsearchable)
    for trial in unsearchable:
        check(trial)
    for trial in trials(tmp_path / "aer", Spec("aer")):
        check(trial, at_vendor=False)


@pytest.mark.slow
def test_killed_three_times_at_random_steps(tmp_path: Path) -> None:
    found = trials(tmp_path, Spec("vendor", trials=200, kills=3, seed=4))
    assert sum(sum(trial["killed"]) for trial in found) > 200
    for trial in found:
        check(trial)
