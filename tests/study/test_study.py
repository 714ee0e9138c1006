"""Studies: engines agree, restarts skip what is done, crashes lose nothing, a worker may die."""

import os
from pathlib import Path

import numpy as np
import pytest

from qtnml.errors import BackendError, DataError, InvalidInputError, StudyError
from qtnml.models import run_trial, trial
from qtnml.study import ResultsFile, run_study, task_key
from tests.study.tasks import square, square_or_die


@pytest.mark.parametrize("engine", ["serial", "loky"])
def test_results_stand_in_the_order_of_the_tasks(engine: str, tmp_path: Path) -> None:
    tasks = [{"x": x} for x in (5, 1, 5, 3)]
    seen: list[int] = []
    results = run_study(
        square,
        tasks,
        tmp_path / "r",
        engine=engine,
        workers=2,
        on_result=lambda task, _: seen.append(task["x"]),
    )
    assert [r["square"] for r in results] == [25, 1, 25, 9]
    assert sorted(seen) == [1, 3, 5]
    assert len((tmp_path / "r").read_text().splitlines()) == 3


def test_a_restart_does_what_is_left(tmp_path: Path) -> None:
    path, log = tmp_path / "r", tmp_path / "log"
    tasks = [{"x": x, "log": str(log), "bad": None} for x in range(4)]
    run_study(square, tasks[:2], path, engine="serial")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])  # as a crash in the middle of a line would leave it
    results = run_study(square, tasks, path, engine="serial")
    assert [r["square"] for r in results] == [0, 1, 4, 9]
    assert log.read_text().split() == ["0", "1", "1", "2", "3"]
    assert len(ResultsFile(path).read()) == 4


def test_failures_are_reported_and_tried_again(tmp_path: Path) -> None:
    tasks = [{"x": x, "bad": 1} for x in range(3)]
    with pytest.raises(
        StudyError, match="1 of 3 tasks failed, the others are in .*ValueError: no square today"
    ):
        run_study(square, tasks, tmp_path / "r", engine="serial")
    assert len(ResultsFile(tmp_path / "r").read()) == 2
    with pytest.raises(StudyError, match="1 of 3 tasks failed"):
        run_study(square, tasks, tmp_path / "r", engine="serial")


@pytest.mark.parametrize("unwritable", [float("nan"), np.float32(1), {1, 2}])
def test_a_result_that_cannot_be_written_is_a_failure_of_its_task(unwritable: object, tmp_path: Path) -> None:
    def function(settings: dict[str, int]) -> dict[str, object]:
        return {"value": unwritable if settings["x"] == 1 else settings["x"]}

    with pytest.raises(StudyError, match="1 of 3 tasks failed"):
        run_study(function, [{"x": x} for x in range(3)], tmp_path / "r", engine="serial")
    assert len(ResultsFile(tmp_path / "r").read()) == 2


def test_keys_depend_on_settings_alone() -> None:
    assert task_key({"a": 1, "b": [1, 2]}) == task_key({"b": [1, 2], "a": 1})
    assert task_key({"a": 1}) != task_key({"a": 2})
    for bad in (np.nan, {1, 2}):
        with pytest.raises(InvalidInputError, match="settings of a task must be JSON types"):
            task_key({"a": bad})


@pytest.mark.parametrize("content", [b'{"my": "one-line JSON"}', b"\xff\xfe\x00", b"notes"])
def test_files_of_others_are_left_alone(content: bytes, tmp_path: Path) -> None:
    """A line without an end looks like one that a crash cut short only if it begins like ours."""
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(DataError, match="holds no results of a study; choose another file"):
        run_study(square, [{"x": 1}], tmp_path / "r", engine="serial")
    assert (tmp_path / "r").read_bytes() == content


def test_files_that_are_no_results(tmp_path: Path) -> None:
    (tmp_path / "r").write_text('{"key": "x"}\n')
    with pytest.raises(DataError, match="line 1 of .* is not a result of a study"):
        run_study(square, [{"x": 1}], tmp_path / "r", engine="serial")


def test_engines_that_cannot_run(tmp_path: Path) -> None:
    for options in ({"engine": "slurm"}, {"engine": "dask"}, {"engine": "loky", "scheduler": "tcp://x:1"}):
        with pytest.raises(
            InvalidInputError, match="unknown engine 'slurm'|needs the address of a scheduler"
        ):
            run_study(square, [{"x": 1}], tmp_path / "r", **options)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    original = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, **_: original(address, timeout="1s"))
    with pytest.raises(BackendError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        run_study(square, [{"x": 1}], tmp_path / "r", engine="dask", scheduler="tcp://127.0.0.1:9")


@pytest.mark.filterwarnings("ignore")
def test_dask_cluster_with_a_worker_killed_in_the_middle(tmp_path: Path) -> None:
    from distributed import LocalCluster

    tasks = [{"x": x, "marker": str(tmp_path / "marker")} for x in range(8)]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        results = run_study(
            square_or_die, tasks, tmp_path / "r", engine="dask", scheduler=cluster.scheduler_address
        )
    assert (tmp_path / "marker").exists()
    assert [r["square"] for r in results] == [x**2 for x in range(8)]
    assert os.getpid() not in {r["pid"] for r in results}
    assert len(ResultsFile(tmp_path / "r").read()) == 8


@pytest.mark.slow
def test_a_trial_is_a_training_and_its_test(tmp_path: Path) -> None:
    options = {"epochs": 3, "random_state": 0, "ansatz": {"name": "BrickWall", "depth": 2}}
    settings = trial("digits", "mps", size=4, classes=[0, 1], bond_qubits=2, **options)
    result = run_trial(settings, str(tmp_path / "checkpoints"))
    assert result["test_accuracy"] > 0.8
    assert (result["nodes"], result["qubits_with_reuse"], result["epochs"]) == (14, 3, 3)
    assert result["two_qubit_gates"] == 14 * 2
    again = run_trial(settings, str(tmp_path / "checkpoints"))
    assert {**again, "train_seconds": 0} == {**result, "train_seconds": 0}
    parity = run_trial(trial("digits", "tree", size=4, parity=True, epochs=1, random_state=0))
    assert parity["train_samples"] > 1000
    with pytest.raises(
        InvalidInputError, match=r"model must be one of .*'amplitude-tree', 'mps', 'tree'., got 'forest'"
    ):
        run_trial(trial("digits", "forest"))  # type: ignore[arg-type]
