import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from qtnml.data import load_dataset, named, read_samples
from qtnml.data.mixed import read_table
from qtnml.errors import DataError, InvalidInputError

pytestmark = pytest.mark.portable


def idx_bytes(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def idx_folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A folder `mnist` with four small IDX files, two of them gzipped."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, count in (("train", 30), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 6, 6), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 3
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return folder


def test_digits_split_is_stratified_and_seeded() -> None:
    first, again = load_dataset("digits", seed=3), load_dataset("digits", seed=3)
    assert np.array_equal(first.X_test, again.X_test)
    assert not np.array_equal(first.X_test, load_dataset("digits", seed=4).X_test)
    shares = [np.bincount(y) / len(y) for y in (first.y_train, first.y_test)]
    np.testing.assert_allclose(*shares, atol=0.005)
    assert first.X_train.min() == 0
    assert first.X_train.max() == 1


def test_dataset_is_immutable_and_draws_a_sample_again() -> None:
    raster, z = load_dataset("digits"), load_dataset("digits", order="z")
    assert np.array_equal(z.image(z.X_test), raster.X_test.reshape(-1, 8, 8))
    with pytest.raises(ValueError, match="read-only"):
        z.X_train[0, 0] = 1
    with pytest.raises(AttributeError):
        z.name = "other"  # type: ignore[misc]
    with pytest.raises(InvalidInputError, match=r"has 64 features, got shape \(3,\)"):
        z.image(np.ones(3))


def test_classes_and_train_size() -> None:
    data = load_dataset("digits", classes=(5, 3), train_size=50)
    assert data.classes.tolist() == [3, 5]
    assert data.X_train.shape == (50, 64)
    with pytest.raises(InvalidInputError, match=r"got \(3, 11\); it has \[0, 1, 2"):
        load_dataset("digits", classes=(3, 11))
    with pytest.raises(InvalidInputError, match="at least two labels"):
        load_dataset("digits", classes=(3,))
    with pytest.raises(InvalidInputError, match="train_size must be 1 to 1347, got 9999"):
        load_dataset("digits", train_size=9999)
    with pytest.raises(InvalidInputError, match="test_fraction must lie between 0 and 1, got 1.5"):
        load_dataset("digits", test_fraction=1.5)


def test_named_set_is_found_by_environment_variable(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTNML_DATA", str(idx_folder.parent))
    data = load_dataset("mnist", size=3, order="z", classes=(0, 2))
    assert data.X_train.shape == (20, 9)
    assert data.image_shape == (3, 3)
    same = load_dataset(idx_folder, size=3, order="z", classes=(0, 2))
    assert np.array_equal(data.X_test, same.X_test)


def test_single_idx_file_is_split(idx_folder: Path) -> None:
    data = load_dataset(idx_folder / "train-images-idx3-ubyte.gz", test_fraction=0.2)
    assert (len(data.X_train), len(data.X_test)) == (24, 6)


def test_offline_error_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QTNML_DATA", raising=False)
    monkeypatch.setattr(named, "cache_folder", lambda name: tmp_path / name)
    unreachable = named.Mirrored(("http://127.0.0.1:9/",), named.MIRRORED["mnist"].sha256)
    monkeypatch.setitem(named.MIRRORED, "mnist", unreachable)
    with pytest.raises(DataError, match=r"cannot fetch .*put the four IDX files into .*QTNML_DATA.*'digits'"):
        load_dataset("mnist")
    assert not [file for _, _, files in os.walk(tmp_path) for file in files]


def test_download_checks_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """A mirror with other content is refused, the next one is used, and the file is kept."""
    images = idx_bytes(rng.integers(0, 256, (12, 4, 4), dtype=np.uint8))
    labels = idx_bytes(np.arange(12, dtype=np.uint8) % 2)
    served = {name: gzip.compress(images if "images" in name else labels) for name in named.FILES.values()}

    class FakeDownloader:
        def __init__(self, **_: object) -> None: ...

        def __call__(self, url: str, output: str, _: object) -> None:
            name = url.rsplit("/", 1)[1].removesuffix(".gz")
            Path(output).write_bytes(b"a login page" if "evil" in url else served[name])

    sha = {
        part: hashlib.sha256(images if part.startswith("X") else labels).hexdigest() for part in named.FILES
    }
    monkeypatch.delenv("QTNML_DATA", raising=False)
    monkeypatch.setattr("pooch.HTTPDownloader", FakeDownloader)
    monkeypatch.setattr(named, "cache_folder", lambda name: tmp_path / name)
    mirrored = named.Mirrored(("http://evil/", "http://good/"), sha)
    monkeypatch.setitem(named.MIRRORED, "mnist", mirrored)
    assert load_dataset("mnist").X_train.shape == (12, 16)
    assert sorted(p.name for p in (tmp_path / "mnist").iterdir()) == sorted(
        f"{n}.gz" for n in named.FILES.values()
    )
    monkeypatch.setitem(named.MIRRORED, "fashion-mnist", named.Mirrored(("http://evil/",), sha))
    with pytest.raises(DataError, match="http://evil/ served other content"):
        load_dataset("fashion-mnist")


def test_npz_with_and_without_its_own_split(tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.normal(5, 10, (40, 3)), np.arange(40) % 2
    np.savez(tmp_path / "one.npz", X=X, y=y)
    data = load_dataset(tmp_path / "one.npz")
    assert data.X_train.shape == (30, 3)
    assert data.X_train.min() == 0
    assert data.X_train.max() == 1
    np.savez(tmp_path / "two.npz", x_train=X, y_train=y, x_test=X[:5], y_test=y[:5])
    again = load_dataset(tmp_path / "two.npz")
    np.testing.assert_allclose(again.raw(again.X_train), X, atol=1e-12)
    np.savez(tmp_path / "odd.npz", samples=X)
    with pytest.raises(DataError, match=r"holds \['samples'\]; expected X and y"):
        load_dataset(tmp_path / "odd.npz")
    np.savez(tmp_path / "short.npz", X=X, y=y[:3])
    with pytest.raises(DataError, match="one label per sample"):
        load_dataset(tmp_path / "short.npz")


def test_pickled_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", X=np.array([{}, {}], dtype=object), y=np.arange(2))
    with pytest.raises(DataError, match="cannot read .*no objects"):
        load_dataset(tmp_path / "objects.npz")


def test_csv_with_header_and_text_labels(tmp_path: Path) -> None:
    rows = "\n".join(f"{'cat' if k % 2 else 'dog'},{k},{k * k}" for k in range(20))
    path = tmp_path / "pets.csv"
    path.write_text(f"kind,weight,height\n{rows}\n")
    data = load_dataset(path, target="kind")
    assert data.feature_names == ("weight", "height")
    assert data.classes.tolist() == ["cat", "dog"]
    with pytest.raises(DataError, match=r"has no column 'colour'; its columns are \['kind', 'weight'"):
        load_dataset(path, target="colour")
    with pytest.raises(InvalidInputError, match=r"size=8 is for pictures; 'pets.csv' is a table"):
        load_dataset(path, target="kind", size=8)
    X, y = read_samples(path, 2, target="kind")
    assert X.shape == (20, 2)
    assert y is not None
    path.write_text("1,2\n3,4\n")
    X, y = read_samples(path, 2)
    assert y is None
    assert X.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match="the model takes 5 features"):
        read_samples(path, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("1\n2\n", "at least two comma-separated columns"),
        ("a,b,label\n1,2,x\n1,oops,y\n", "line 3, column 2: 'oops' is not a number"),
        ("a,b,label\n1,2,x\n1,,y\n", "line 3, column 2: '' is not a number.*fill missing values"),
        ("1,2,3\n1,2\n", "line 2: 2 columns where the first line has 3"),
        ("a,a,label\n1,2,x\n1,3,y\n", "several columns called 'a'"),
        (",b,label\n0,2,x\n1,3,y\n", "a column without a name, which looks like row numbers"),
        ("a,b,label\n1,2,x\n\n\n1,oops,y\n", "line 5, column 2"),
        ("a,b,label\n1,2,x\n1,3,\n", "line 3, column 3: the label is missing"),
        ("a;b;label\n1;2;x\n", "separated by semicolons"),
        ("a,b,label\n1,2,x\n", "cannot split 1 samples.*at least two samples, these have one: .'x'."),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_dataset(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"PK\3\4 a zip file", "not an IDX file"),
        (b"\0\0\x08\3\0\0", "ends inside its IDX header"),
        (b"\0\0\x08\1\0\0\0\5abc", "has 11 bytes where its IDX header promises 13"),
        (b"\x1f\x8b broken gzip", "cannot read"),
        (b"\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "promises"),
    ],
)
def test_bad_idx(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(2, dtype=np.uint8)))
    with pytest.raises(DataError, match=message):
        load_dataset(path)


def test_table_corner_cases(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("0,1,2,target\r" + "\r".join(f"{k},{k},7,{k % 2}.0" for k in range(8)))
    data = load_dataset(path)  # a pandas header of positions, old line ends, whole numbers as floats
    assert (len(data.X_train) + len(data.X_test), data.classes.tolist()) == (8, [0, 1])
    big = 9007199254740992
    path.write_text("a,label\n" + "\n".join(f"{1.7e308 * (-1) ** k},{big + k // 4}" for k in range(8)))
    data = load_dataset(path)
    assert data.classes.tolist() == [big, big + 1]
    assert set(data.X_train.ravel()) == {0.0, 1.0}
    np.testing.assert_allclose(np.abs(data.raw(data.X_train)), 1.7e308)
    path = tmp_path / "broken.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,3")[:-9] + b"rubbish!!")
    with pytest.raises(DataError, match="cannot read"):
        load_dataset(path)


def test_integer_pictures_are_scaled_by_their_range(tmp_path: Path) -> None:
    images = np.arange(8 * 4).reshape(8, 2, 2) % 17
    np.savez(tmp_path / "i.npz", X=images.astype(np.int64), y=np.arange(8) % 2)
    assert load_dataset(tmp_path / "i.npz").X_train.max() == 1.0


def test_pictures_and_labels_must_belong_together(tmp_path: Path, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (12, 4, 4), dtype=np.uint8)
    path, labels = tmp_path / "my-images.bin", tmp_path / "my-labels.bin"
    path.write_bytes(idx_bytes(images))
    labels.write_bytes(idx_bytes(np.arange(12, dtype=np.uint8) % 2))
    assert load_dataset(path).X_train.shape == (9, 16)  # known by its content, not its name
    labels.write_bytes(idx_bytes(np.arange(9, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"12 samples but labels of shape \(9,\)"):
        load_dataset(path)
    path.write_bytes(idx_bytes(images[..., None]))
    with pytest.raises(DataError, match=r"got uint8 of shape \(12, 4, 4, 1\)"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "4"}, "size must be a side or"),
        ({"size": True}, "size must be a side or"),
        ({"size": (4,)}, "size must be a side or"),
        ({"classes": 3}, "classes must be a sequence of labels"),
        ({"classes": ("²", "5")}, "classes must name at least two labels"),
        ({"order": ["z"]}, "order must be the name"),
        ({"train_size": 1.5}, "train_size must be a positive integer, got 1.5"),
        ({"test_fraction": "a"}, "test_fraction must lie between 0 and 1, got 'a'"),
    ],
)
def test_options_of_the_wrong_kind(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        load_dataset("digits", **options)  # type: ignore[arg-type]


def test_numpy_integers_are_integers() -> None:
    assert load_dataset("digits", size=np.int64(4)).num_features == 16  # type: ignore[arg-type]


def test_unknown_name_format_and_nan(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match="unknown data set 'minst': neither a file nor one of digits, iris, ",
    ):
        load_dataset("minst")
    (tmp_path / "data.xyz").write_text("1")
    with pytest.raises(DataError, match="cannot tell the format"):
        load_dataset(tmp_path / "data.xyz")
    np.savez(tmp_path / "nan.npz", X=np.full((8, 2), np.nan), y=np.arange(8) % 2)
    with pytest.raises(DataError, match="NaN or infinite values in its training samples"):
        load_dataset(tmp_path / "nan.npz")


REAL = os.environ.get("QTNML_DATA")


@pytest.mark.skipif(not REAL or not (Path(REAL) / "mnist").is_dir(), reason="full MNIST not in QTNML_DATA")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_files_have_the_known_content(name: str) -> None:
    for part, file in named.FILES.items():
        path = named._find(name, file)
        assert path is not None
        content = named.read_bytes(path)
        assert hashlib.sha256(content).hexdigest() == named.MIRRORED[name].sha256[part]
    data = load_dataset(name, size=8, order="z")
    assert data.X_train.shape == (60_000, 64)
    assert data.X_test.shape == (10_000, 64)


def test_values_to_predict_are_floats(tmp_path: Path, rng: np.random.Generator) -> None:
    """Numbers that are not whole and do not repeat; a column of few such labels stays what it was."""
    X, y = rng.random((40, 2)), rng.random(40)
    rows = [f"{a},{b},{c}" for (a, b), c in zip(X, y, strict=True)]
    (tmp_path / "values.csv").write_text("a,b,target\n" + "\n".join(rows) + "\n")
    data = load_dataset(tmp_path / "values.csv")
    assert data.y_train.dtype == np.float64
    assert len(data.y_train) == 30
    rows = [f"{a},{b},{c}" for (a, b), c in zip(X, [0.5, 1.5] * 20, strict=True)]
    (tmp_path / "labels.csv").write_text("a,b,target\n" + "\n".join(rows) + "\n")
    assert load_dataset(tmp_path / "labels.csv").classes.tolist() == ["0.5", "1.5"]


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("2019,2020,kind\n0.31,0.77,a\n0.2,0.1,b\n0.4,0.3,a\n", ["2019", "2020", "kind"], [0.31, 0.77, "a"]),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n6.1,2.9,virginica\n", ["x0", "x1", "x2"], [5.1, 3.5, "setosa"]),
        ("a,2,b\n1,2,3\n", ["a", "2", "b"], [1, 2, 3]),
        ("1,2,3\n4,5,6\n", ["x0", "x1", "x2"], [1, 2, 3]),
        ("0,1,2\n4,5,6\n", ["0", "1", "2"], [4, 5, 6]),  # as pandas writes columns without names
        ("0.1,a\n0.2,b\n", ["x0", "x1"], [0.1, "a"]),
        ("id,7\nx,1.5\ny,2.5\n", ["id", "7"], ["x", 1.5]),
    ],
)
def test_headers_are_told_from_records(
    text: str, names: list[str], first: list[object], tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    found, cells = read_table(path)
    assert (found, cells[0].tolist()) == (names, first)
    assert len(read_table(path, header=False)[1]) == text.count("\n")
    assert len(read_table(path, header=True)[1]) == text.count("\n") - 1


def test_codes_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code,zip,size,count\n1_0,01234,1e-3,1\n10,1234,.5,-2\n1_1,00007,2.,+3\n11,7,0,\n")
    cells = read_table(path)[1]
    assert cells[:, 0].tolist() == ["1_0", "10", "1_1", "11"]
    assert cells[:, 1].tolist() == ["01234", "1234", "00007", "7"]
    assert cells[:, 2].tolist() == [1e-3, 0.5, 2.0, 0.0]
    assert cells[:, 3].tolist() == [1, -2, 3, None]
    path.write_text("a,b\n1,inf\n2,3\n")
    with pytest.raises(DataError, match="column 'b' has an infinite value"):
        read_table(path)


def test_targets_beyond_double_precision_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{k},{9007199254740992 + k % 2}.0\n" for k in range(8))
    path.write_text(f"a,y\n{rows}")
    assert set(load_dataset(path).classes.tolist()) == {9007199254740992, 9007199254740993}


def test_the_label_column_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,way,b\n" + "".join(f"{k},{k % 2},{k}\n" for k in range(8)))
    assert load_dataset(path, target="way").target_name == "way"
    assert load_dataset("digits").target_name is None
