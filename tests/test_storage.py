"""Files from strangers: nothing is allocated that a file does not hold, and nothing is lost in writing."""

import gzip
import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from qtnml import MPSBornMachine, TreeClassifier, load_dataset, load_model
from qtnml.compile import export_circuit, import_circuit
from qtnml.data import read_samples
from qtnml.errors import CircuitFileError, DataError, ModelFileError, WriteError
from qtnml.gates import Synthesis
from qtnml.storage import load_archive, save_figure, write_atomically

pytestmark = pytest.mark.portable

_GIGABYTES = 2  # of address space beyond what is in use


@pytest.fixture
def little_memory() -> Any:
    """Memory for what these files hold, and not for what they claim."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _GIGABYTES * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def _changed(source: Path, target: Path, change: Any) -> Path:
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(parts["model.json"])
    change(header)
    parts["model.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target


def test_headers_that_claim_more_than_there_is(
    trained: TreeClassifier, tmp_path: Path, little_memory: None
) -> None:
    source = tmp_path / "m"
    trained.save(source)
    wide = {"leaf_widths": [1] * 16, "nodes": [[list(range(16)), 0, 1]]}
    fresh = {"leaf_widths": [1] * 16, "nodes": [[[0, 1], 10, 1], *[[[k], 0, 1] for k in range(2, 16)]]}
    for topology in (wide, fresh, {"leaf_widths": [10**30] * 16, "nodes": [[list(range(16)), 0, 1]]}):
        path = _changed(source, tmp_path / "h", lambda h, t=topology: h["network"].update(topology=t))
        with pytest.raises(ModelFileError, match="is damaged"):
            load_model(path)


def test_an_amplitude_chain_that_claims_a_bond_of_thousands(tmp_path: Path, little_memory: None) -> None:
    from qtnml import AmplitudeMPSClassifier

    X, y = np.random.default_rng(0).random((20, 4)), np.arange(20) % 2
    source = tmp_path / "m"
    AmplitudeMPSClassifier(2, epochs=1).fit(X, y).save(source)
    for bond in (15_000, 10**9):
        path = _changed(
            source,
            tmp_path / "h",
            lambda h, b=bond: h["network"]["amplitudes"].update(bond_dims=[2, b, 2, 1]),
        )
        with pytest.raises(ModelFileError, match="do not fit its topology"):
            load_model(path)


def _npy_header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def test_bombs(
    trained: TreeClassifier, tmp_path: Path, little_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, bomb = tmp_path / "m", tmp_path / "bomb"
    trained.save(source)
    block = bytes(2**23)

    def with_member(name: str, blocks: int) -> Path:
        with (
            zipfile.ZipFile(source) as old,
            zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
        ):
            for member in old.namelist():
                if member != name:
                    new.writestr(member, old.read(member))
            with new.open(name, "w", force_zip64=True) as file:
                file.write(_npy_header((blocks * 2**20,)))
                for _ in range(blocks):
                    file.write(block)
        return bomb

    with_member("extra.npy", 64)  # which no model has: it is not unpacked
    monkeypatch.setenv("QTNML_LARGEST_FILE", str(2**28))
    np.testing.assert_array_equal(load_model(bomb).scaler_.low, trained.scaler_.low)
    with pytest.raises(
        ModelFileError, match="feature_low.npy unpacks to 536,8.* bytes; .*QTNML_LARGEST_FILE"
    ):
        load_model(with_member("feature_low.npy", 64))
    packed = tmp_path / "t.csv.gz"
    with gzip.open(packed, "wb", compresslevel=1) as file:
        for _ in range(50):
            file.write(b"1,2,3\n" * 2**20)
    with pytest.raises(DataError, match="t.csv.gz unpacks to more than 268,435,456 bytes"):
        load_dataset(packed)
    arrays = tmp_path / "d.npz"
    with (
        zipfile.ZipFile(arrays, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
        new.open("X.npy", "w") as file,
    ):
        for _ in range(40):
            file.write(block)
    with pytest.raises(DataError, match="d.npz unpacks to 335,544,320 bytes"):
        load_dataset(arrays)


def test_an_array_that_is_smaller_than_it_says(
    trained: TreeClassifier, tmp_path: Path, little_memory: None
) -> None:
    source, short = tmp_path / "m", tmp_path / "short"
    trained.save(source)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(short, "w") as new:
        for member in old.namelist():
            content = _npy_header((2**33,)) if member == "feature_low.npy" else old.read(member)
            new.writestr(member, content)
    with pytest.raises(ModelFileError, match="does not fit its 128 bytes"):
        load_model(short)
    for content in (_npy_header((2**33, 4)), b"\x93NUMPY\x01\x00v\x00((((", b"", b"\x93NUMPY\x09"):
        (tmp_path / "x.npy").write_bytes(content)
        with pytest.raises(DataError, match="cannot read .*x.npy"):
            read_samples(tmp_path / "x.npy", 4)


def test_programs_that_were_changed_are_not_parsed(trained: TreeClassifier, tmp_path: Path) -> None:
    path = tmp_path / "c.qasm"
    export_circuit(trained.compile(), path)
    path.write_text(f"{path.read_text()}qubit[1000000000] z;\n")
    with pytest.raises(CircuitFileError, match="its gates are not those that were written"):
        import_circuit(path)


@pytest.mark.parametrize("gate", ["cx", "cz", "ecr", "rzz"])
def test_every_two_qubit_gate_comes_back_from_openqasm(
    gate: Any, trained: TreeClassifier, tmp_path: Path
) -> None:
    compiled = trained.compile(synthesis=Synthesis(two_qubit_gate=gate))
    export_circuit(compiled, tmp_path / "c.qasm")
    X = np.random.default_rng(0).random((2, 16))
    np.testing.assert_allclose(
        import_circuit(tmp_path / "c.qasm").probabilities(X), compiled.probabilities(X), atol=1e-9
    )


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_private_file_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "m"
    born = MPSBornMachine(2, epochs=1).fit(np.eye(4, dtype=int))
    born.save(path)
    path.chmod(0o600)
    born.save(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_keeps_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pathlib import Path; from matplotlib.figure import Figure\n"
        "from qtnml.errors import WriteError; from qtnml.storage import save_figure\n"
        "try: save_figure(Figure(), Path(sys.argv[1]))\n"
        "except WriteError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "cannot write" in done.stdout
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["old.png"]
    figure = Figure()
    figure.subplots()
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        save_figure(figure, tmp_path / f"new.{ending}")
        assert (tmp_path / f"new.{ending}").read_bytes().startswith(start)


def test_arrays_are_unpacked_when_they_are_asked_for(trained: TreeClassifier, tmp_path: Path) -> None:
    trained.save(tmp_path / "m")
    _, arrays = load_archive(tmp_path / "m")
    assert {"feature_low", "nodes_0"} <= set(arrays)
    assert len(arrays) == len(list(arrays))
    assert arrays["feature_low"] is arrays["feature_low"]
    assert "nothing" not in arrays
    with pytest.raises(WriteError, match="choose another place"):
        write_atomically(tmp_path / "no" / "where", b"")
