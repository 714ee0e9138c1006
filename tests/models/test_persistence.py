import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from qtnml import (
    AmplitudeMPSClassifier,
    MPSClassifier,
    MPSRegressor,
    TreeClassifier,
    TreeRegressor,
    load_model,
)
from qtnml.ansatz import BrickWall
from qtnml.data import Dataset
from qtnml.encoding import MultiQubitEncoding
from qtnml.errors import ModelFileError, WriteError
from qtnml.storage import write_atomically
from qtnml.structure import balanced, balanced_tree, mps
from qtnml.train import SPSA, CrossEntropy, HingePower

pytestmark = pytest.mark.portable

NETWORK = {
    "topology": balanced_tree(16).to_dict(),
    "discard": "trace",
    "encoding": {"name": "AngleEncoding", "trainable": False},
    "ansatz": {"name": "FullUnitary"},
}


@pytest.fixture
def saved(trained: TreeClassifier, tmp_path: Path) -> Path:
    path = tmp_path / "model.qtnml"
    trained.save(path)
    return path


def rewrite(path: Path, change: dict[str, object] | None = None, **members: bytes | None) -> None:
    """Change keys of a model's header, or replace (None: drop) its members."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(content["model.json"]) | (change or {})
    content["model.json"] = json.dumps(header).encode()
    for name, data in members.items():
        content[name.replace("__", ".")] = data  # type: ignore[assignment]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_round_trip_is_exact(trained: TreeClassifier, saved: Path, small_digits: Dataset) -> None:
    loaded = load_model(saved)
    np.testing.assert_array_equal(
        loaded.predict_proba(small_digits.X_test), trained.predict_proba(small_digits.X_test)
    )
    assert loaded.get_params() == trained.get_params()
    assert loaded.history_ == trained.history_
    assert loaded.compile().two_qubit_gates == trained.compile().two_qubit_gates


@pytest.mark.parametrize("loss", ["hinge", CrossEntropy(3.0), HingePower(0.1, 2.0)])
@pytest.mark.parametrize("labels", [["b", "a"], [True, False], [7, -7]])
def test_losses_labels_and_names_survive(loss: object, labels: list[object], tmp_path: Path) -> None:
    frame = pd.DataFrame({"width": [0.0, 1.0, 0.1, 0.9], "height": [1.0, 2.0, 3.0, 4.0]})
    clf = TreeClassifier(loss=loss, epochs=2, random_state=np.random.RandomState(0))  # type: ignore[arg-type]
    for y in (np.array(labels * 2), np.array(labels * 2, dtype=object)):
        if y.dtype == object and not isinstance(labels[0], str):
            continue
        clf.fit(frame, y).save(tmp_path / "m")
        loaded = load_model(tmp_path / "m")
        assert loaded.loss == loss
        assert loaded.classes_.dtype == clf.classes_.dtype
        assert loaded.classes_.tolist() == clf.classes_.tolist()
        np.testing.assert_array_equal(loaded.predict(frame), clf.predict(frame))


def test_bad_files(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file .*missing.qtnml"):
        load_model(tmp_path / "missing.qtnml")
    with pytest.raises(ModelFileError, match="cannot read .*Is a directory"):
        load_model(tmp_path)
    (tmp_path / "text").write_text("not a zip file at all")
    with pytest.raises(ModelFileError, match="is not a model file, or it is damaged"):
        load_model(tmp_path / "text")
    content = saved.read_bytes()
    for length in range(0, len(content), len(content) // 23):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            load_model(tmp_path / "cut")


def test_every_flipped_byte_is_noticed_or_harmless(saved: Path, trained: TreeClassifier) -> None:
    """A damaged file raises this package's error or loads the very same weights; nothing else."""
    content = saved.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 60)):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        saved.write_bytes(bytes(damaged))
        try:
            loaded = load_model(saved)
        except ModelFileError:
            continue
        np.testing.assert_array_equal(loaded.network_.unitaries[0], trained.network_.unitaries[0])


AMPLITUDES = {
    "tree": balanced(16).to_dict(),
    "leaf_dims": [2] * 16,
    "bond_dims": [3] * 14 + [1],
    "classes": [2, 14],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "its header does not say 'qtnml-model'"),
        ({"version": 99}, "format version 99, this release reads 2"),
        ({"model": "Forest"}, "the estimator 'Forest' is not known here"),
        ({"parameters": {"depth": 3, "loss": "hinge", "feature_range": "learn"}}, "is damaged: TypeError"),
        (
            {"network": NETWORK | {"topology": {"leaf_widths": [1, 1], "nodes": [[[0, 1], 0, 1]]}}},
            "nodes do not fit its topology",
        ),
        ({"network": NETWORK | {"topology": 3}}, "is damaged: .*a topology has leaf_widths and nodes"),
        ({"network": {"amplitudes": AMPLITUDES, "encoding": "angle"}}, "not of the model's kind"),
        ({"network": NETWORK | {"ansatz": {"name": "Diagonal"}}}, "the ansatz 'Diagonal' is not known here"),
        ({"network": NETWORK | {"discard": "keep"}}, "discard must be 'trace' or"),
        ({"history": [[1]]}, "is damaged: TypeError"),
        ({"best_epoch": float("inf")}, "Infinity is no finite number"),
        ({"network": NETWORK | {"topology": {"leaf_widths": [1.0], "nodes": []}}}, "made of integers"),
    ],
)
def test_headers_that_do_not_fit(saved: Path, change: dict[str, object], message: str) -> None:
    rewrite(saved, change)
    with pytest.raises(ModelFileError, match=message):
        load_model(saved)


def test_arrays_that_do_not_fit(saved: Path, tmp_path: Path) -> None:
    good = saved.read_bytes()
    cases = {
        "not unitary": {"nodes_0__npy": npy(np.ones((15, 4, 4), dtype=complex))},
        "nodes are not finite": {"nodes_0__npy": npy(np.full((15, 4, 4), np.nan, dtype=complex))},
        "nodes do not fit its topology and ansatz": {"nodes_0__npy": npy(np.eye(4)[None])},
        "KeyError": {"feature_low__npy": None},
        "feature ranges do not fit": {"feature_low__npy": npy(np.zeros(3))},
        "feature ranges are not finite and in order": {"feature_low__npy": npy(np.full(16, 2.0))},
        "not a list of different labels": {"classes__npy": npy(np.array([3, 3]))},
        "5 classes do not fit 1 root qubits": {"classes__npy": npy(np.arange(5))},
        "and type object does not fit": {"classes__npy": npy(np.array([{}, 1], dtype=object))},
    }
    for message, members in cases.items():
        saved.write_bytes(good)
        rewrite(saved, **members)  # type: ignore[arg-type]
        with pytest.raises(ModelFileError, match=message):
            load_model(saved)


def test_save_is_atomic(saved: Path, trained: TreeClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(WriteError, match="cannot write .*: No space left on device"):
        trained.save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_links_are_followed_and_pipes_stay_pipes(trained: TreeClassifier, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    trained.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load_model(tmp_path / "real").n_features_in_ == 16
    write_atomically(Path("/dev/null"), b"gone")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("bounds", [(np.float32(0), np.float32(1)), np.array([0.0, 1.0])])
def test_numpy_parameters_are_saved_as_numbers(bounds: object, tmp_path: Path) -> None:
    clf = TreeClassifier(feature_range=bounds, epochs=np.int64(1), loss=CrossEntropy(np.float32(4)))  # type: ignore[arg-type]
    clf.fit([[0.0, 1.0], [1.0, 0.0]], [0, 1]).save(tmp_path / "m")
    assert load_model(tmp_path / "m").feature_range == (0.0, 1.0)


def test_what_cannot_be_saved(trained: TreeClassifier, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        TreeClassifier().save(tmp_path / "m")
    with pytest.raises(WriteError, match="cannot write .*No such file or directory"):
        trained.save(tmp_path / "nowhere" / "m")

    class MyLoss(CrossEntropy):
        pass

    clf = TreeClassifier(epochs=1, loss=MyLoss()).fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    with pytest.raises(ModelFileError, match="loss .*cannot be saved: its class MyLoss is not registered"):
        clf.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "model",
    [
        MPSClassifier(2, ansatz=BrickWall(2, "rzz", "ry"), encoding="trainable-angle", epochs=2),
        pytest.param(
            TreeClassifier(encoding=MultiQubitEncoding(2, "frequency"), discard="postselect", epochs=2),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            TreeClassifier(topology="chow-liu", optimizer="spsa", shots=10, homotopy=1, epochs=2),
            marks=pytest.mark.slow,
        ),
        TreeClassifier(topology="chow-liu", reuploads=1, epochs=1),
        MPSClassifier(topology=mps(4), ansatz="orthogonal", optimizer=SPSA.later(), epochs=2),
        TreeRegressor(2, ansatz="hermitian", encoding="rational", epochs=2),
        MPSRegressor(epochs=2, feature_range=(0, 1)),
        AmplitudeMPSClassifier(3, epochs=2),
        AmplitudeMPSClassifier(4, method="sweeps", epochs=1, loss=CrossEntropy(2.0, label_smoothing=0.1)),
    ],
    ids=str,
)
def test_every_model_comes_back(model: TreeClassifier, tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.random((60, 4))
    y = X.sum(axis=1) if isinstance(model, TreeRegressor | MPSRegressor) else (X[:, 0] > X[:, 1]).astype(int)
    model.set_params(random_state=0).fit(X, y).save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert type(loaded) is type(model)
    assert loaded.model_ == model.model_
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    for one, other in zip(loaded.params_, model.params_, strict=True):
        for stack, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(stack, same)
    loaded.save(tmp_path / "again")
    assert load_model(tmp_path / "again").get_params() == loaded.get_params()


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    long = tmp_path / ("a" * 250)
    write_atomically(long, b"kept")
    assert long.read_bytes() == b"kept"
    (tmp_path / "plain.txt").write_text("x")
    for path in (tmp_path / "plain.txt" / "m.q", tmp_path / ("a" * 300), tmp_path / "a\0b"):
        with pytest.raises(WriteError, match="cannot write"):
            write_atomically(path, b"lost")
