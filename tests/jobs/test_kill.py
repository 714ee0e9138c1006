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
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def check_all_done_once(found: dict[str, Any], *, at_vendor: bool) -> None:
    assert set(found["states"]) == {"done"}, found
    assert found["jobs_done"] == found["different_jobs_done"] == CIRCUITS, found
    assert found["stored_shots"] == [SHOTS] * CIRCUITS, found
    if at_vendor:
        assert found["accepted_circuits"] == CIRCUITS, found
        assert found["accepted_tags"] == found["accepted"], found


def check_known_or_said(found: dict[str, Any]) -> None:
    """With a vendor that cannot be asked: done once, or lost with word of what to do; never bought twice."""
    assert set(found["states"]) <= {"done", "lost"}, found
    assert found["jobs_done"] == found["different_jobs_done"], found
    assert found["stored_shots"] == [SHOTS] * found["jobs_done"], found
    assert found["accepted_circuits"] <= CIRCUITS, found
    assert all("look for a job of" in error and "--send-again" in error for error in found["lost"]), found
    if not found["lost"]:
        check_all_done_once(found, at_vendor=True)


def test_killed_at_random_steps(tmp_path: Path) -> None:
    found = trials(tmp_path, Spec("vendor", trials=20, kills=2, seed=1))
    assert sum(any(trial["killed"]) for trial in found) == 20
    for trial in found:
        check_all_done_once(trial, at_vendor=True)


def test_a_simulators_jobs_are_computed_again_and_counted_once(tmp_path: Path) -> None:
    for trial in trials(tmp_path, Spec("aer", trials=6, seed=2)):
        check_all_done_once(trial, at_vendor=False)


def test_a_vendor_that_cannot_be_asked(tmp_path: Path) -> None:
    for trial in trials(tmp_path, Spec("unsearchable", trials=10, seed=3)):
        check_known_or_said(trial)


@pytest.mark.slow
def test_killed_at_every_step(tmp_path: Path) -> None:
    found = trials(tmp_path, Spec("vendor"))
    assert len(found) == found[0]["of"]
    for trial in found:
        check_all_done_once(trial, at_vendor=True)
    unsearchable = trials(tmp_path / "unsearchable", Spec("unsearchable"))
    assert any(trial["lost"] for trial in unsearchable)
    for trial in unsearchable:
        check_known_or_said(trial)
    for trial in trials(tmp_path / "aer", Spec("aer")):
        check_all_done_once(trial, at_vendor=False)


@pytest.mark.slow
def test_killed_three_times_at_random_steps(tmp_path: Path) -> None:
    found = trials(tmp_path, Spec("vendor", trials=200, kills=3, seed=4))
    assert sum(sum(trial["killed"]) for trial in found) > 200
    for trial in found:
        check_all_done_once(trial, at_vendor=True)
