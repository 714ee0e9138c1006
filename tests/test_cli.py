import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit import qasm3, qpy

from qtnml import JobStore, TreeRegressor, cli, load_model
from qtnml.compile import import_circuit
from qtnml.errors import QtnmlError


@pytest.fixture
def model(run, tmp_path: Path) -> Path:
    path = tmp_path / "model.qtnml"
    status, _, err = run(
        "train", "digits", "--size", 4, "--classes", "3,5", "--epochs", 10, "-o", path, "--json"
    )
    assert (status, "error" in err) == (0, False)
    return path


@pytest.mark.parametrize(
    "command", [[], ["demo"], ["train"], ["compile"], ["predict"], ["noise"], ["born"], ["born", "fit"]]
)
def test_help_is_there(run, command: list[str]) -> None:
    status, out, _ = run(*command, "--help")
    assert status == 0
    assert "Usage: qtnml" in out


@pytest.mark.slow
def test_compile_with_passes(run, model: Path, tmp_path: Path) -> None:
    target = ("--target", "fake:torino", "--num-qubits", "5")
    status, out, _ = run("compile", model, *target, "--pass", "merge", "--pass", "decouple", "--json")
    assert status == 0
    assert json.loads(out)["passes"] == ["merge", "decouple"]
    status, out, _ = run("compile", model, *target, "--pass", "auto", "-o", tmp_path / "c.qpy", "--json")
    assert status == 0
    assert json.loads(out)["passes"][-1] == "hold-reads"
    assert import_circuit(tmp_path / "c.qpy").passes == tuple(json.loads(out)["passes"])
    status, _, err = run("compile", model, "--pass", "melt")
    assert status != 0
    assert "unknown pass 'melt'" in err
    status, _, err = run("compile", model, "--pass", "auto")
    assert "give target=" in err


def test_train_compile_predict(run, model: Path, tmp_path: Path) -> None:
    clf = load_model(model)
    assert clf.n_features_in_ == 16

    status, out, _ = run("compile", model, "--json", "-o", tmp_path / "c.qasm", "--draw", tmp_path / "c.png")
    facts = json.loads(out)
    assert (status, facts["num_qubits"], facts["two_qubit_gates"]) == (0, 5, 44)
    assert facts["infidelity"] < 1e-10
    text = (tmp_path / "c.qasm").read_text()
    assert text.startswith(
        "// Inputs are angles in radians, encoding 'angle', of features scaled and clipped"
    )
    low, high = (array[3] for array in (clf.scaler_.low, clf.scaler_.high))
    assert f"// _x_3_ = pi * f, feature 3: low {low:.17g}, high {high:.17g}\n" in text
    assert text.count("input float") == 16
    assert (tmp_path / "c.png").stat().st_size > 10_000
    run("compile", model, "-o", tmp_path / "c.qpy", "--free-weights", "--no-reuse")
    with (tmp_path / "c.qpy").open("rb") as file:
        (circuit,) = qpy.load(file)
    assert circuit.num_qubits == 16
    assert circuit.num_parameters == 16 + len(clf.compile().w)

    status, out, _ = run("predict", model, "digits", "--json", "-o", tmp_path / "p.csv")
    exact = json.loads(out)
    assert exact["accuracy"] > 0.7
    rows = list(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows[0] == ["predicted", "p(3)", "p(5)"]
    assert len(rows) == exact["samples"] + 1
    status, out, _ = run("predict", model, "digits", "--backend", "aer", "--limit", 5, "--shots", 64)
    assert status == 0
    assert "accuracy" in out
    assert "aer" in out


def test_qasm_is_the_same_circuit(run, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("qiskit_qasm3_import", reason="Qiskit reads OpenQASM 3 through this extra package")
    run("compile", model, "-o", tmp_path / "c.qasm")
    circuit = qasm3.loads((tmp_path / "c.qasm").read_text())
    assert circuit.count_ops()["cx"] == 44


@pytest.mark.filterwarnings("always::qtnml.errors.TrainingSamplesWarning")
@pytest.mark.filterwarnings("always::qtnml.errors.ClippedDataWarning")  # one test row of 30 lies far outside
@pytest.mark.filterwarnings("always::qtnml.errors.TrainingSamplesWarning")
def test_own_table_in_its_own_units(run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(50, 20, (120, 3))
    y = np.where(X[:, 0] > X[:, 1], "up", "down")
    table, bare = tmp_path / "t.csv", tmp_path / "bare.csv"
    lines = [",".join(f"{v:.6f}" for v in row) for row in X]
    table.write_text(
        "a,b,c,way\n" + "\n".join(f"{line},{label}" for line, label in zip(lines, y, strict=True))
    )
    bare.write_text("\n".join(lines))
    model = tmp_path / "m.qtnml"
    status, out, _ = run("train", table, "-b", 2, "--epochs", 150, "-o", model, "--json")
    assert status == 0
    assert json.loads(out)["test_accuracy"] > 0.8
    facts = json.loads(out)
    assert (facts["train_samples"], facts["test_samples"], facts["label_column"]) == (90, 30, "way")
    _, out, err = run("predict", model, table, "--json")
    assert "is the file that the model was trained on: 90 of its 120 rows are training samples" in err
    labelled = json.loads(out)
    assert labelled["samples"] == 120
    assert labelled["accuracy"] > 0.85
    _, out, _ = run("predict", model, bare, "--json")
    assert json.loads(out)["predicted"] == labelled["predicted"]
    swapped = tmp_path / "swapped.csv"
    swapped.write_text("c,a,b\n" + "\n".join(f"{c:.6f},{a:.6f},{b:.6f}" for a, b, c in X))
    _, out, _ = run("predict", model, swapped, "--json")
    assert json.loads(out)["predicted"] == labelled["predicted"]
    swapped.write_text("c,a,d\n1,2,3\n")
    assert "has no column 'b'; its columns are ['c', 'a', 'd']" in run("predict", model, swapped)[2]
    _, out, _ = run("predict", model, table, "--classes", "up", "--json")
    assert json.loads(out)["samples"] == (y == "up").sum()
    np.save(tmp_path / "bare.npy", X)
    _, out, _ = run("predict", model, tmp_path / "bare.npy", "--json")
    assert json.loads(out)["predicted"] == labelled["predicted"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "minst"], "unknown data set 'minst'"),
        (["train", "digits", "-b", "9"], "bond_qubits must be 1 to 3, got 9"),
        (["train", "digits", "--classes", "3,99"], "classes must name at least two labels"),
        (["train", "digits", "--order", "hilbert"], "unknown pixel order 'hilbert'"),
        (["train", "digits", "-o", "no/such/folder/m.qtnml"], "there is no folder no/such/folder"),
        (["train", "digits", "--leaf", "green"], "leaf must be 'data' or 'fresh'"),
        (["compile", "missing.qtnml"], "no model file missing.qtnml"),
        (["predict", "missing.qtnml", "digits"], "no model file missing.qtnml"),
    ],
)
def test_errors_are_one_line(run, arguments: list[str], message: str) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_what_is_read_is_not_written_over(run, model: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b,label\n" + "0,1,x\n1,0,y\n" * 4)
    before = table.read_bytes(), model.read_bytes()
    for command in (
        ("train", table, "-o", table),
        ("train", table, "-o", tmp_path / "m", "--checkpoint", table),
        ("train", table, "-o", tmp_path / "m", "--checkpoint", tmp_path / "m"),
        ("predict", model, "digits", "-o", model),
        ("compile", model, "-o", model),
        ("study", table, "-o", table),
    ):
        status, _, err = run(*command)
        assert (status, "is another file of this command; choose another place" in " ".join(err.split())) == (
            2,
            True,
        )
    assert (table.read_bytes(), model.read_bytes()) == before
    assert "it is a folder" in " ".join(run("train", table, "-o", tmp_path)[2].split())


def test_labels_are_printed_as_they_are(run, tmp_path: Path) -> None:
    """Square brackets mean markup to the printer."""
    (tmp_path / "t.csv").write_text("a,b,label\n" + "0,1,[/b]\n1,0,[red]a\n" * 4)
    status, out, _ = run("train", tmp_path / "t.csv", "--epochs", 1, "-o", tmp_path / "m")
    assert status == 0
    assert "[/b], [red]a" in out


def test_errors_around_a_model(run, model: Path) -> None:
    assert "--shots 5 needs a backend to measure on" in run("predict", model, "digits", "--shots", 5)[2]
    err = run("predict", model, "digits", "--size", 8)[2]
    assert "digits has 64 features, the model takes 16; give the --size" in err
    err = run("predict", model, "digits", "--classes", "1,3")[2]
    assert "labels ['1'], which the model never saw; it knows [3, 5]: choose with --classes" in err
    assert "has no sample of ['12']" in run("predict", model, "digits", "--classes", "12")[2]
    assert "cannot draw c.xyz; end it in .png, .svg or .pdf" in run("compile", model, "--draw", "c.xyz")[2]
    assert "end it in .qasm or .qpy" in run("compile", model, "-o", model.with_suffix(".txt"))[2]
    assert "unknown backend 'ear'" in run("predict", model, "digits", "--size", 4, "--backend", "ear")[2]


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["qtnml", "--debug", "compile", "missing.qtnml"])
    with pytest.raises(QtnmlError, match="no model file"):
        cli.main()


def test_version(run) -> None:
    from qtnml import __version__

    assert run("--version")[:2] == (0, f"qtnml {__version__}\n")


@pytest.mark.filterwarnings("ignore::qtnml.errors.TrainingInterruptedWarning")
@pytest.mark.parametrize("epoch", [0, 2])
def test_ctrl_c_saves_what_was_learnt(run, model: Path, monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Status 130; the file holds the best so far, or what it held before if there was no epoch yet."""
    from qtnml.train import steps

    before, calls = model.read_bytes(), []
    original = steps.GradientStep.epoch

    def interrupted(self, *arguments):
        if len(calls) == epoch:
            raise KeyboardInterrupt
        calls.append(epoch)
        return original(self, *arguments)

    monkeypatch.setattr(steps.GradientStep, "epoch", interrupted)
    status, _, _ = run("train", "digits", "--size", 4, "--classes", "3,5", "--seed", 1, "-o", model)
    assert status == 130
    assert (model.read_bytes() == before) == (epoch == 0)
    assert load_model(model).n_iter_ == (10 if epoch == 0 else 2)


def test_usage_errors_exit_2(run) -> None:
    status, _, err = run("train", "digits", "--bogus")
    assert status == 2
    assert "bogus" in err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from qtnml import cli; print([m for m in ('jax', 'qiskit', 'sklearn', "
        "'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--model", "mps", "-b", 2, "--ansatz", "brick-wall", "--encoding", "rational"), "MPSClassifier"),
        (("--discard", "postselect", "--learning-rate", 0.05), "TreeClassifier"),
        (("--optimizer", "spsa", "--shots", 100, "--loss", "hinge"), "TreeClassifier"),
        (("--model", "amplitude-mps", "--max-bond", 6), "AmplitudeMPSClassifier"),
        (("--model", "tree-regressor"), "TreeRegressor"),
        (
            ("--set", "topology=chow-liu", "--set", 'loss={"name": "cross-entropy", "sharpness": 4}'),
            "TreeClassifier",
        ),
        (
            ("--model", "amplitude-mps", "--set", "method=sweeps", "--set", "cutoff=0.01"),
            "AmplitudeMPSClassifier",
        ),
    ],
)
def test_every_kind_of_model(run, tmp_path: Path, options: tuple[object, ...], kind: str) -> None:
    path = tmp_path / "m.qtnml"
    common = ("digits", "--size", 4, "--classes", "3,5", "--epochs", 2, "-o", path, "--json")
    status, out, _ = run("train", *common, *options)
    assert status == 0
    assert json.loads(out)["kind"] == kind == type(load_model(path)).__name__
    status, out, _ = run("predict", path, "digits", "--limit", 5, "-o", tmp_path / "p.csv", "--json")
    assert (status, json.loads(out)["samples"]) == (0, 5)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 6


@pytest.mark.slow
def test_from_postselected_to_traced(run, tmp_path: Path) -> None:
    """Also: what has no circuit says so, and every prediction tells its success probability."""
    common = ("digits", "--size", 4, "--classes", "3,5", "--json", "-o", tmp_path / "m")
    assert run("train", *common, "--epochs", 2, "--discard", "postselect")[0] == 0
    facts = json.loads(run("predict", tmp_path / "m", "digits", "--json", "-o", tmp_path / "p.csv")[1])
    assert facts["mean_log_success"] < 0
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == "predicted,p(3),p(5),log_success"
    homotopy = ("--epochs", 3, "--warm-start", tmp_path / "m", "--set", "homotopy=2")
    assert run("train", *common, *homotopy)[0] == 0
    assert run("compile", tmp_path / "m", "--json")[0] == 0
    status, _, err = run("train", *common, "--model", "mps", "--warm-start", tmp_path / "m")
    assert (status, "holds a TreeClassifier, not a MPSClassifier" in " ".join(err.split())) == (2, True)


@pytest.mark.slow
def test_a_circuit_learns_from_an_amplitude_model(run, tmp_path: Path) -> None:
    common = ("digits", "--size", 4, "--classes", "3,5", "--epochs", 3, "--json")
    assert run("train", *common, "--model", "amplitude-tree", "--max-bond", 8, "-o", tmp_path / "a")[0] == 0
    assert run("train", *common, "--teacher", tmp_path / "a", "-o", tmp_path / "m")[0] == 0
    assert load_model(tmp_path / "m").notes_["teacher"] == "a"
    assert run("compile", tmp_path / "m", "--json")[0] == 0
    for model in ("tree-regressor", "amplitude-mps"):
        command = (*common, "--model", model, "--teacher", tmp_path / "a", "-o", tmp_path / "b")
        status, _, err = run("train", *command)
        assert (status, "models tree and mps" in " ".join(err.split())) == (2, True)


def test_amplitude_classifiers_are_circuits_on_the_command_line(run, tmp_path: Path) -> None:
    common = ("digits", "--size", 2, "--classes", "3,5", "--epochs", 1, "-o", tmp_path / "m")
    run("train", *common, "--model", "amplitude-mps", "--max-bond", 2)
    status, out, _ = run("compile", tmp_path / "m", "-o", tmp_path / "m.qasm", "--json")
    assert status == 0
    assert json.loads(out)["num_qubits"] <= 4
    assert "measure" in (tmp_path / "m.qasm").read_text()
    assert run("predict", tmp_path / "m", "digits", "--backend", "exact", "--limit", 2)[0] == 0
    assert run("noise", tmp_path / "m", "--t2", "8e-5", "--limit", 20, "--json")[0] == 0


def test_training_goes_on_from_a_checkpoint(run, tmp_path: Path) -> None:
    command = ("train", "digits", "--size", 4, "--classes", "3,5", "--epochs", 3, "--json")
    command += ("-o", tmp_path / "m", "--checkpoint", tmp_path / "c")
    first = json.loads(run(*command)[1])
    assert (tmp_path / "c").exists()
    again = json.loads(run(*command)[1])
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    status, _, err = run(*command, "--batch-size", 10)
    assert status == 2
    assert "belongs to a run with other data, model or settings" in err


def test_study_of_pairs(run, tmp_path: Path) -> None:
    command = ("study", "digits", "--size", 4, "--pairs", "--classes", "0,1,2", "--models", "tree,mps")
    command += ("--epochs", 1, "--engine", "serial", "-o", tmp_path / "r.jsonl", "--json")
    facts = json.loads(run(*command)[1])
    assert facts["tasks"] == 6
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 6
    assert json.loads(run(*command)[1]) == facts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "digits", "--model", "forest"), "unknown model 'forest'; choose one of"),
        (("train", "digits", "--model", "amplitude-mps", "--shots", 5), "--shots 5 has no meaning for"),
        (("train", "digits", "--model", "amplitude-mps", "-b", 3), "--bond-qubits 3 has no meaning for"),
        (("train", "digits", "--max-bond", 9), "--max-bond 9 has no meaning for tree"),
        (("train", "digits", "--set", "reuploads"), "--set takes NAME=VALUE, got 'reuploads'"),
        (("train", "digits", "--set", "depth=3"), "TreeClassifier has no argument 'depth'; it has ansatz,"),
        (("train", "digits", "--set", 'ansatz={"name": "wall"}'), "is none of ['BrickWall', 'FullUnitary',"),
        (("study", "digits", "--bonds", "1,x"), "--bonds takes integers separated by commas, got '1,x'"),
        (("study", "digits", "--engine", "dask"), "needs the address of a scheduler"),
    ],
)
def test_impossible_wishes(run, tmp_path: Path, arguments: tuple[object, ...], message: str) -> None:
    status, _, err = run(*arguments, "-o", tmp_path / "out")
    assert status == 2
    assert message in " ".join(err.split())


def test_measuring_on_a_backend_is_planned_labelled_and_bought_once(
    run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "jobs.sqlite"
    measure = [
        "predict",
        model,
        "digits",
        "--backend",
        "aer",
        "--limit",
        3,
        "--shots",
        50,
        "--jobs",
        ledger,
        "--json",
    ]
    plan = json.loads(run(*measure, "--plan")[1])
    assert (plan["new_circuits"], plan["shots"], plan["paid"]) == (3, 150, False)
    _, out, err = run(*measure, "--label", "mine")
    first = json.loads(out)
    assert (first["bought_circuits"], first["bought_shots"]) == (3, 150)
    assert f"0 of 3 circuits were in the ledger, 3 were run (150 shots); ledger: sqlite:///{ledger}" in err
    _, out, err = run(*measure)
    assert json.loads(out) == first | {"bought_circuits": 0, "bought_shots": 0}
    assert "3 of 3 circuits were in the ledger, 0 were run (0 shots)" in err
    assert json.loads(run(*measure, "--plan")[1])["shots"] == 0
    status, _, err = run(*measure, "--repeat", 1, "--max-shots", 100)
    assert status == 2
    assert "max_shots=100 leaves 100; nothing more was bought" in err
    assert "max_jobs=2 leaves 2" in run(*measure, "--repeat", 1, "--max-jobs", 2)[2]
    (listed,) = json.loads(run("jobs", "list", "--jobs", ledger, "--json")[1])
    assert (listed["state"], listed["circuits"], listed["label"]) == ("done", 3, "mine")
    monkeypatch.setenv("COLUMNS", "80")
    (row,) = [line for line in run("jobs", "list", "--jobs", ledger)[1].splitlines() if "s1" in line]
    assert row.split()[:5] == ["s1", "done", "aer", "3", "150"]  # shots of all circuits
    assert row.split()[-1] == "mine"
    assert "s1 was done before: nothing to cancel" in run("jobs", "cancel", "s1", "--jobs", ledger)[2]
    assert json.loads(run("jobs", "list", "--jobs", ledger, "--label", "other", "--json")[1]) == []
    shown = json.loads(run("jobs", "show", "s1", "--jobs", ledger, "--json")[1])
    job = json.loads(run("jobs", "show", shown["job_ids"][0][:12], "--jobs", ledger, "--split", "--json")[1])
    assert job["shots"] == sum(job["counts"].values()) == 50
    assert job["by_calibration"][0]["calibration"] is None
    assert "Submission s1" in run("jobs", "show", "s1", "--jobs", ledger)[1]
    out = tmp_path / "results.jsonl"
    assert run("jobs", "export", "-o", out, "--jobs", ledger)[0] == 0
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 3
    assert len(run("jobs", "export", "--jobs", ledger)[1].splitlines()) == 3
    assert "nothing to do" in run("jobs", "resume", "--jobs", ledger)[1]
    assert json.loads(run("jobs", "fetch", "--jobs", ledger, "--json")[1]) == []
    assert "s1 done" in run("jobs", "cancel", "s1", "--jobs", ledger)[1]


def test_wrong_words_to_the_ledger(run, model: Path, tmp_path: Path) -> None:
    ledger = ["--jobs", tmp_path / "jobs.sqlite"]
    assert "there is no ledger" in run("jobs", "list", *ledger)[2]  # a mistyped name makes no empty one
    assert not (tmp_path / "jobs.sqlite").exists()
    JobStore(tmp_path / "jobs.sqlite").close()
    for arguments, message in (
        (["show", "s1"], "has no submission s1"),
        (["show", "xyz"], "at least its first 6 hexadecimal digits, got 'xyz'"),
        (["cancel", "1"], "a submission is called s1, s2, ... as `qtnml jobs list` shows, got '1'"),
        (["list", "--state", "gone"], "no state 'gone'; choose of"),
        (["fetch", "--vendor-id", "x"], "--vendor-id belongs to one submission"),
        (["resume", "--send-again"], "send_again buys again: name the submissions"),
    ):
        status, _, err = run("jobs", *arguments, *ledger)
        assert status == 2
        assert message in err
    assert "--plan needs a backend" in run("predict", model, "digits", "--plan")[2]
    err = run("predict", model, "digits", "--backend", "aer", "--backend-set", "colour", *ledger)[2]
    assert "--backend-set takes NAME=VALUE, got 'colour'" in err


def test_paid_time_is_asked_for(run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qtnml.backends import Capabilities
    from qtnml.backends.aer import Aer

    real = Aer.__init__

    def paid(self: Aer, *arguments: object, **options: object) -> None:
        real(self, *arguments, **options)  # type: ignore[arg-type]
        self.capabilities = Capabilities(resets=True, seeds=True, paid=True)

    monkeypatch.setattr(Aer, "__init__", paid)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    measure = [
        "predict",
        model,
        "digits",
        "--backend",
        "aer",
        "--limit",
        1,
        "--shots",
        5,
        "--jobs",
        tmp_path / "j",
    ]
    status, _, err = run(*measure)
    assert status == 2
    assert "To buy on aer: 1 of 1 circuits in 1 submission, 5 shots" in err
    assert "give --yes" in err
    assert run(*measure, "--yes")[0] == 0


def test_accuracy_under_noise(run, model: Path, tmp_path: Path) -> None:
    circuit = ("--t2", 8e-5, "--two-qubit-time", 7e-8, "--reset-time", 1e-6)
    table, figure = tmp_path / "noise.csv", tmp_path / "noise.png"
    status, out, err = run(
        "noise", model, *circuit, "--grid", "t1=1e-6,1e-4", "-o", table, "--figure", figure, "--json"
    )
    assert (status, "error" in err) == (0, False)
    rows = json.loads(out)["rows"]
    assert [row["t1"] for row in rows] == [1e-6, 1e-4]
    assert rows[0]["accuracy"] < rows[1]["accuracy"]
    assert len(table.read_text().splitlines()) == 3
    assert figure.stat().st_size > 1000
    status, out, _ = run("noise", model, *circuit, "--t1", 1e-4, "--limit", 20)
    assert (status, "->" in out, "qubits)" in out) == (0, True, True)
    status, out, _ = run("noise", model, *circuit, "--t1", 1e-4, "--limit", 20, "--sensitivity")
    assert (status, "waiting" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--t1", 1e-5, "--t2", 1e-4), "no qubit can have"),
        (("--grid", "t1=x"), "--grid takes AXIS=V,V,..."),
        (("--grid", "t9=1"), "unknown axis 't9'"),
        (("--grid", "t1=1", "--device", "fake:torino"), "a backend has its own t1; of it, strength"),
        (("--grid", "t1=1", "-o", "x.txt"), "takes a .csv or .json file"),
        (("--t1", 1e-4, "-o", "x.csv"), "-o writes a grid's table"),
        (("--t1", 1e-4, "--figure", "x.png"), "--figure draws a grid or --sensitivity"),
        (("--device", "fake:torino", "--t1", 1e-4), "leave --t1 and the others out"),
        (("--sensitivity", "--grid", "t1=1"), "--sensitivity is about one point"),
        (("--device", "fake:atlantis",), "no snapshot 'fake:atlantis'"),
        (("--grid", "num_qubits=2"), "qubits, got num_qubits=2"),
    ],
)  # fmt: skip
def test_noise_that_cannot_be(run, model: Path, arguments: tuple[object, ...], message: str) -> None:
    status, _, err = run("noise", model, *arguments)
    assert (status, message in err) == (2, True), err


def test_mitigation_on_the_command_line(run, model: Path, tmp_path: Path) -> None:
    where = ("--backend", "aer", "--limit", 5, "--shots", 256, "--jobs", tmp_path / "j.sqlite")
    status, _, err = run("predict", model, "digits", *where, "--mitigation", "readout+zne")
    assert (status, "folding factors 1, 3, 5" in err) == (0, True), err
    status, _, err = run("predict", model, "digits", "--mitigation", "zne")
    assert (status, "needs a backend" in err) == (2, True)
    status, _, err = run("predict", model, "digits", *where, "--mitigation", "magic")
    assert (status, "unknown mitigation 'magic'" in err) == (2, True)


@pytest.mark.parametrize("noise", ["dephasing=0.2", '{"two_qubit_error": 0.01, "t1": 1e-4, "t2": 1e-4}'])
def test_training_under_noise(run, tmp_path: Path, noise: str) -> None:
    path = tmp_path / "m.qtnml"
    status, _, err = run(
        "train",
        "digits",
        "--size",
        4,
        "--classes",
        "3,5",
        "--epochs",
        3,
        "--noise",
        noise,
        "-o",
        path,
        "--json",
    )
    assert status == 0, err
    assert load_model(path).notes_["noise"] == noise


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--noise", "hail"), "noise is 'fake:NAME', one of dephasing=NUMBER"),
        (("--noise", "dephasing=2"), "p must be a probability"),
        (("--noise", '{"t9": 1}'), "arguments that do not fit"),
        (("--noise", "dephasing=0.1", "--model", "amplitude-mps"), "--noise is for trees and chains"),
    ],
)
def test_noise_that_cannot_be_trained_under(
    run, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    status, _, err = run(
        "train",
        "digits",
        "--size",
        4,
        "--classes",
        "3,5",
        "--epochs",
        1,
        "-o",
        tmp_path / "m.qtnml",
        *options,
    )
    assert (status, message in err) == (2, True), err


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A table of text, numbers and a hole."""
    path = tmp_path / "records.csv"
    rng = np.random.default_rng(0)
    rows = [["kind", "size", "label"]]
    for k in range(60):
        kind = "ab"[k % 2]
        rows.append([kind, f"{rng.normal() + 5 * (kind == 'a'):.3f}", str(k % 2)])
    rows[5][0] = ""
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


@pytest.mark.filterwarnings("always::qtnml.errors.IncompleteDataWarning")
def test_a_born_machine_from_the_command_line(run, records: Path, tmp_path: Path) -> None:
    model = tmp_path / "born.qtnml"
    status, out, err = run("born", "fit", records, "--ignore", "label", "-b", 4, "-o", model, "--json")
    assert status == 0
    facts = json.loads(out)
    assert (facts["features"], facts["samples"]) == (2, 60)
    assert "1 of 60 rows have missing values" in err

    _, out, _ = run("born", "sample", model, "-n", 5, "--seed", 0)
    rows = list(csv.reader(out.splitlines()))
    assert rows[0] == ["kind", "size"]
    assert len(rows) == 6
    assert {row[0] for row in rows[1:]} <= {"a", "b"}
    _, out, _ = run("born", "sample", model, "-n", 3, "--backend", "aer", "--json")
    assert len(json.loads(out)) == 3

    scores = tmp_path / "scores.csv"
    _, out, _ = run("born", "score", model, records, "-o", scores, "--quantile", 0.1, "--json")
    assert json.loads(out)["anomalies"] <= 6
    written = list(csv.DictReader(scores.read_text().splitlines()))
    logs = [float(row["score"]) for row in written]
    assert logs == sorted(logs)
    assert all(int(row["label"]) == int(row["row"]) % 2 for row in written)  # not of the model, but beside it

    _, out, _ = run("born", "explain", model, records, "--row", 0, "--figure", tmp_path / "why.png")
    assert out.startswith("ln P = ")
    assert (tmp_path / "why.png").stat().st_size > 1000
    _, out, _ = run("born", "explain", model, "--json")
    assert json.loads(out)["names"] == ["kind", "size"]

    filled = tmp_path / "filled.csv"
    _, out, _ = run("born", "impute", model, records, "-o", filled, "--json")
    assert json.loads(out)["filled_cells"] == 1
    rows = list(csv.reader(filled.read_text().splitlines()))
    assert rows[5][0] in ("a", "b")
    kept = list(csv.reader(records.read_text().splitlines()))
    assert [row[2] for row in rows] == [row[2] for row in kept]
    assert [row[0] for row in rows[6:]] == [row[0] for row in kept[6:]]
    _, out, _ = run("born", "impute", model, records, "--method", "sample", "--seed", 1)
    assert len(out.splitlines()) == 61

    _, out, _ = run("compile", model, "-o", tmp_path / "born.qasm", "--json")
    assert json.loads(out)["num_sites"] == 2
    assert "measure" in (tmp_path / "born.qasm").read_text()
    assert qasm3.loads((tmp_path / "born.qasm").read_text()).num_clbits == 4
    _, out, _ = run("compile", model, "-o", tmp_path / "born.qpy")
    with (tmp_path / "born.qpy").open("rb") as file:
        assert qpy.load(file)[0].metadata["qtnml"]["site_bits"][0] == [0]


@pytest.mark.filterwarnings("always::qtnml.errors.IncompleteDataWarning")
def test_dates_and_strange_combinations_on_the_command_line(run, tmp_path: Path) -> None:
    path, model, scores = tmp_path / "visits.csv", tmp_path / "born.qtnml", tmp_path / "scores.csv"
    rng = np.random.default_rng(0)
    days = rng.integers(0, 700, 120)
    begun = np.datetime64("2023-01-01") + days
    rows = [[f"V{k:03}", str(begun[k]), "old" if days[k] < 350 else "new"] for k in range(120)]
    rows[7][2] = "new" if days[7] < 350 else "old"
    rows[9][1] = ""
    path.write_text("\n".join(map(",".join, [["id", "begun", "kind"], *rows])) + "\n")
    status, _, err = run("born", "fit", path, "--ignore", "id", "--bins", 4, "-b", 2, "-o", model)
    assert status == 0, err
    drawn = list(csv.DictReader(run("born", "sample", model, "-n", 5, "--seed", 0)[1].splitlines()))
    assert all("2023-01-01" <= row["begun"] <= "2024-12-31" and len(row["begun"]) == 10 for row in drawn)
    assert run("born", "impute", model, path, "-o", tmp_path / "filled.csv")[0] == 0
    filled = list(csv.reader((tmp_path / "filled.csv").read_text().splitlines()))[1:]
    assert [row for k, row in enumerate(filled) if k != 9] == [row for k, row in enumerate(rows) if k != 9]
    assert len(filled[9][1]) == 10
    folded = ("born", "score", model, path, "--by", "dependence", "--folds", 4, "-o", scores, "--json")
    assert json.loads(run(*folded)[1])["lowest_rows"][0] == 7
    assert next(csv.DictReader(scores.read_text().splitlines()))["id"] == "V007"
    by_feature = ("born", "score", model, path, "--by", "feature", "--json")
    assert json.loads(run(*by_feature)[1])["lowest_rows"][0] == 7
    for options, message in (
        (("--by", "row"), "--by is one of record, dependence, feature, got 'row'"),
        (("--folds", 121), "--folds 121 of 120 records leaves some empty"),
    ):
        status, _, err = run("born", "score", model, path, *options)
        assert (status, message in err) == (2, True), err


def test_born_machines_of_pictures(run, tmp_path: Path) -> None:
    model = tmp_path / "digits.qtnml"
    _, out, _ = run(
        "born",
        "fit",
        "digits",
        "--size",
        4,
        "--model",
        "tree",
        "-b",
        2,
        "--set",
        "epochs=2",
        "-o",
        model,
        "--json",
    )
    assert json.loads(out)["features"] == 16
    _, out, _ = run("born", "score", model, "digits", "--json")
    assert json.loads(out)["records"] > 100


def test_born_commands_take_pictures_of_ones_own(run, records: Path, tmp_path: Path) -> None:
    pictures, born = tmp_path / "mine.npz", tmp_path / "born.qtnml"
    np.savez(pictures, X=np.random.default_rng(0).random((40, 3, 3)), y=np.arange(40) % 2)
    _, out, _ = run("born", "fit", pictures, "-b", 2, "--set", "epochs=2", "-o", born, "--json")
    assert json.loads(out)["features"] == 9
    _, out, _ = run("born", "score", born, pictures, "--json")
    assert json.loads(out)["records"] > 0
    status, _, err = run("born", "score", born, records)
    assert status == 2
    assert "is a table: the model is of pictures" in err


@pytest.mark.filterwarnings("always::qtnml.errors.IncompleteDataWarning")
def test_errors_of_born_commands(run, model: Path, records: Path, tmp_path: Path) -> None:
    born = tmp_path / "born.qtnml"
    assert run("born", "fit", records, "-b", 2, "--set", "epochs=2", "-o", born)[0] == 0
    for arguments, message in (
        (("born", "sample", model), "class TreeClassifier; this command takes Born machines"),
        (
            ("predict", born, records),
            "is no trained classifier or regressor; for generative models see `qtnml born --help`",
        ),
        (("noise", born), "TreeBornMachine is no trained classifier or regressor"),
        (("compile", born, "--target", "aer"), "backend 'aer' has no map of its qubits"),
        (("born", "fit", records, "--ignore", "nothing"), "has no column 'nothing'"),
        (("born", "fit", records, "--model", "rbm"), "unknown model 'rbm'"),
        (("born", "fit", "digits", "--threshold", "nan"), "threshold must be a finite number"),
        (("born", "fit", records, "--functions", "sines"), "functions must be None or among"),
        (("born", "fit", "digits", "--functions", "legendre"), "--functions is for tables"),
        (("born", "score", born, "digits"), "digits is no CSV file: the model is of a table"),
        (("born", "explain", born, records, "--row", 999), "has rows 0 to 59, got --row 999"),
        (("born", "explain", born, "--figure", tmp_path / "x.txt"), "end it in .png, .svg or .pdf"),
        (("compile", born, "-o", tmp_path / "c.txt"), "end it in .qasm or .qpy"),
    ):
        status, _, err = run(*arguments)
        assert status == 2
        assert message in err


@pytest.mark.slow
def test_a_device_may_be_named_wherever_a_circuit_is_made(run, model: Path, tmp_path: Path) -> None:
    _, out, _ = run("compile", model, "--target", "fake:torino", "--num-qubits", 5, "--json")
    facts = json.loads(out)
    assert (facts["num_qubits"], facts["device"], len(facts["layout"])) == (5, "fake_torino", 5)
    assert 0 < facts["estimated_success"] < 1
    plan = ("predict", model, "digits", "--backend", "fake:torino", "--limit", 1, "--plan", "--json")
    assert json.loads(run(*plan)[1])["new_circuits"] == 1
    ledger = tmp_path / "j.sqlite"
    for width in ((), ("--num-qubits", 5)):
        measure = ("predict", model, "digits", "--backend", "fake:torino", "--limit", 1, "--shots", 20)
        status, out, _ = run(*measure, *width, "--jobs", ledger, "--json")
        assert status == 0
        assert json.loads(out)["samples"] == 1
    status, _, err = run("predict", model, "digits", "--num-qubits", 5)
    assert (status, "--num-qubits 5 needs a backend to measure on" in err) == (2, True)
    status, _, err = run("compile", model, "--target", "aer")
    assert (status, "backend 'aer' has no map of its qubits" in err) == (2, True)


def test_circuits_of_born_machines_are_drawn_and_options_checked_first(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tmp_path / "r.csv"
    records.write_text("kind,size\n" + "".join(f"{'ab'[k % 2]},{k % 7 / 10}\n" for k in range(60)))
    born, drawing = tmp_path / "b.qtnml", tmp_path / "b.png"
    assert run("born", "fit", records, "-b", 2, "-o", born)[0] == 0
    assert run("compile", born, "--draw", drawing)[0] == 0
    assert drawing.read_bytes()[:4] == b"\x89PNG"
    status, out, err = run(
        "born", "sample", born, "-n", 5, "--backend", "aer", "--num-qubits", 4, "--seed", 0
    )
    assert (status, len(out.splitlines())) == (0, 6)
    assert "shots were in the ledger" in err
    written = tmp_path / "b.qpy"
    status, out, _ = run(
        "compile", born, "--report", "--target", "fake:torino", "--verify", records, "-o", written, "--json"
    )
    facts = json.loads(out)
    assert status == 0
    assert facts["largest_deviation"] < 1e-8
    assert facts["report"]["device"] == "fake_torino"
    assert facts["expected"]["excess_nll"] > 0
    assert import_circuit(written).expected.to_dict() == facts["expected"]
    from qtnml.models import BornMachine

    monkeypatch.setattr(BornMachine, "compile", None)  # nothing is compiled before options are checked
    status, _, err = run("compile", born, "-o", tmp_path / "b.txt")
    assert (status, "end it in .qasm or .qpy" in err) == (2, True)


def test_a_terminal_that_is_not_utf8_shows_what_it_can(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = "".join(f"{k * 0.37 % 1:.2f},{k % 3},{'äö'[k % 2]}\n" for k in range(40))
    table.write_text(f"größe,f,y\n{rows}", encoding="utf-8")
    code = "from qtnml.cli import main; main()"
    command = [sys.executable, "-c", code, "train", str(table), "--epochs", "1", "-o", str(tmp_path / "m")]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "\\xe4" in done.stdout  # ä


def test_without_a_home_folder_everything_but_the_ledger_works(tmp_path: Path) -> None:
    """As in a container whose user has no entry in the table of users."""
    code = (
        "import platformdirs\n"
        "def homeless(*_, **__): raise RuntimeError('could not determine the home directory')\n"
        "platformdirs.user_cache_dir = platformdirs.user_data_dir = homeless\n"
        "from qtnml.cli import main; main()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "QTNML_JOBS"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    model = str(tmp_path / "m")
    done = run("train", "digits", "--classes", "3,5", "--size", "4", "--epochs", "1", "-o", model)
    assert done.returncode == 0, done.stderr
    done = run("jobs", "list")
    assert done.returncode == 2
    assert "set QTNML_JOBS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("study", "iris", "--set", "random_state=1"), "has an option of its own here: --seeds"),
        (("study", "iris", "--set", "bond_qubits=1"), "has an option of its own here: --bonds"),
        (("jobs", "show", "s²"), "a job's id is at least its first 6 hexadecimal digits"),
        (("jobs", "resume", "s²"), "a submission is called s1, s2"),
        (("jobs", "show", "s99999999999999999999"), "a job's id is at least"),
        (("train", "iris", "--noise", '{"channel": ["a"]}'), "unknown channel ['a']"),
        (("train", "iris", "--noise", '{"instructions": [{"name": "cx"}]}'), "instructions"),
        (("train", "iris", "--noise", '{"t1": 1' + "0" * 400 + "}"), "t1 must be"),
        (("train", "iris", "--noise", '{"channel": "depolarizing", "p": 0.1, "num_qubits": 9}'), "1 to 6"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line(run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    extra = ("-o", tmp_path / "out.jsonl") if arguments[0] != "jobs" else ()
    status, _, err = run(*arguments, *extra)
    assert status == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_a_regressor_and_a_target_that_is_no_number(run, tmp_path: Path) -> None:
    model, table = tmp_path / "reg.qtnml", tmp_path / "reg.csv"
    rng = np.random.default_rng(0)
    TreeRegressor(epochs=1, random_state=0).fit(rng.random((40, 3)), rng.random(40)).save(model)
    table.write_text("a,b,c,price\n0.1,0.2,0.3,1.5\n0.2,0.1,0.4,n/a\n")
    status, _, err = run("predict", model, table)
    assert (status, "has a target that is no number" in err) == (2, True)


def test_a_header_can_be_said_to_be_one(run, tmp_path: Path) -> None:
    table, model = tmp_path / "t.csv", tmp_path / "m.qtnml"
    table.write_text("1,2,3\n" + "".join(f"{k % 5},{k % 3},{k % 2}\n" for k in range(40)))
    for option, samples in (("--header", 40), ("--no-header", 41)):
        _, out, _ = run("born", "fit", table, option, "-b", 2, "-o", model, "--json")
        assert json.loads(out)["samples"] == samples
    _, out, _ = run("born", "score", model, table, "--json")
    assert json.loads(out)["records"] == 41  # the model remembers


def test_what_nobody_foresaw_is_one_line(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtnml.data.load_dataset", lambda *_, **__: 1 / 0)
    status, _, err = run("train", "digits")
    assert status == 70
    assert "ZeroDivisionError: division by zero (a defect of qtnml; please report it" in err
    monkeypatch.setattr(sys, "argv", ["qtnml", "--debug", "train", "digits"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_help_has_a_short_name_and_shells_complete(run) -> None:
    assert "Usage: qtnml train" in run("train", "-h")[1]
    assert "--install-completion" in run("--help")[1]
    assert run("--version")[1].startswith("qtnml ")


def test_records_with_classes(run, tmp_path: Path) -> None:
    """Joint distribution of a table and the classes in a column: classified, drawn by class, scored."""
    rng = np.random.default_rng(0)
    city = rng.choice(["Oslo", "Rome"], 60)
    wanted = np.where(city == "Oslo", "yes", "no")
    rows = [
        f"{k},{c},{n},{w}"
        for k, (c, n, w) in enumerate(zip(city, rng.integers(0, 9, 60), wanted, strict=True))
    ]
    table, model = tmp_path / "t.csv", tmp_path / "j.qtnml"
    table.write_text("\n".join(["id,city,number,buys", *rows]))
    fitting = ("born", "fit", table, "--ignore", "id", "--label", "buys", "-o", model, "-b", 4, "--json")
    status, out, err = run(*fitting)
    assert status == 0, err
    facts = json.loads(out)
    assert (facts["kind"], facts["classes"], facts["features"]) == ("BornClassifier", ["no", "yes"], 2)
    status, out, err = run("born", "classify", model, table, "--json")
    assert (status, json.loads(out)["accuracy"]) == (0, 1.0), err
    status, out, _ = run("born", "sample", model, "-n", 5, "--label", "yes", "--seed", 0)
    assert out.splitlines()[0] == "city,number,buys"
    assert all(line.startswith("Oslo,") and line.endswith(",yes") for line in out.splitlines()[1:])
    assert run("born", "score", model, table)[0] == 0
    plain = tmp_path / "b.qtnml"
    assert run("born", "fit", table, "--ignore", "id", "-o", plain, "-b", 2)[0] == 0
    for words, message in (
        (("born", "sample", model, "--label", "maybe"), "--label is one of ['no', 'yes'], got 'maybe'"),
        (("born", "sample", plain, "--label", "yes"), "--label is of models with classes"),
        (("born", "classify", plain, table), "knows no classes; fit one with --label"),
        (("born", "explain", model), "fit one without --label for this"),
        (("born", "fit", "digits", "--label", "x", "-o", model), "--label is for tables"),
    ):
        status, _, err = run(*words)
        assert status == 2
        assert message in " ".join(err.split())
