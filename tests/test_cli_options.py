"""Options made from the estimators' signatures: all of them, with what Python says of them."""

from pathlib import Path

import pytest

import qtnml
from qtnml import TreeClassifier, load_dataset, load_model
from qtnml.cli.options import settings_of


def test_every_argument_of_the_estimators_is_an_option(run) -> None:
    text = " ".join(run("train", "--help")[1].split())
    for name in TreeClassifier().get_params().keys() - {
        *("encoder", "augment", "callback", "noise", "random_state", "resume", "reuse_qubits", "verbose")
    }:
        assert f"--{name.replace('_', '-')}" in text
    assert "Not for amplitude-mps, amplitude-tree." in text
    assert "[default: 250]" in text


def test_options_are_read_off_the_source_as_python_sees_it() -> None:
    for name in ("TreeClassifier", "AmplitudeTreeClassifier", "TreeBornMachine", "MPSBornMachine"):
        estimator = getattr(qtnml, name)()
        for setting in settings_of({"model": name}):
            value = estimator.get_params()[setting.name]
            assert repr(value) == setting.defaults["model"] or float(value) == float(
                setting.defaults["model"]
            ), setting
            assert setting.text, (name, setting.name)


def test_options_take_what_python_takes(run, tmp_path: Path) -> None:
    path = tmp_path / "m.qtnml"
    command = ("train", "digits", "--size", 4, "--classes", "3,5", "--epochs", 1, "-o", path)
    assert run(*command, "--feature-range", "0,1")[0] == 0
    assert list(load_model(path).feature_range) == [0, 1]
    options = ("--feature-range", "[0, 1]", "--topology", "chow-liu", "--reuploads", 1)
    assert run(*command, *options, "--ansatz", '{"name": "BrickWall", "depth": 2}')[0] == 0
    clf = load_model(path)
    assert (clf.topology, clf.reuploads, clf.ansatz.depth) == ("chow-liu", 1, 2)
    assert list(clf.feature_range) == [0, 1]


def test_bound_circuits_are_written(run, tmp_path: Path) -> None:
    path, out = tmp_path / "m.qtnml", tmp_path / "bound.qasm"
    run("train", "digits", "--size", 4, "--classes", "3,5", "--epochs", 1, "-o", path)
    common = ("compile", path, "-o", out)
    assert run(*common, "--bind", "digits", "--rows", "0,1", "--qasm-version", 2)[0] == 0
    assert "OPENQASM 2.0" in (tmp_path / "bound-1.qasm").read_text()
    for options, message in [
        (("--qasm-version", 2), "bind samples with --bind"),
        (("--bind", "digits", "--rows", "x"), "got --rows x"),
        (("--bind", "digits", "--rows", "100000"), "got --rows 100000"),
        (("--bind", "digits", "--free-weights"), "leave it out"),
    ]:
        status, _, err = run(*common, *options)
        assert status == 2
        assert message in " ".join(err.split())


@pytest.mark.filterwarnings("default::qtnml.errors.PixelOrderWarning")
def test_models_of_scripts_do_not_say_how_pixels_were_read(run, tmp_path: Path) -> None:
    data = load_dataset("digits", size=4, classes=(3, 5))
    path = tmp_path / "m.qtnml"
    clf = TreeClassifier(feature_range=(0, 1), epochs=1, random_state=0)
    clf.fit(data.X_train, data.y_train).save(path)
    common = ("noise", path, "--data", "digits", "--classes", "3,5", "--size", 4, "--t1", 1e-4)
    status, _, err = run(*common)
    assert (status, "z order is taken: give --order" in " ".join(err.split())) == (0, True), err
    status, _, err = run(*common, "--order", "raster")
    assert (status, "give --order" in err) == (0, False)
    status, _, err = run("compile", path, "-o", tmp_path / "a.qasm", "--bind", "digits")
    assert (status, "bind samples in Python" in " ".join(err.split())) == (2, True)
