"""The named data sets: those that come with scikit-learn, (Fashion-)MNIST from disk or public mirrors."""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from qtnml.arrays import NDArray
from qtnml.data.idx import parse_idx, read_bytes
from qtnml.data.raw import RawData, as_float_images, check_pairs, stratified_split
from qtnml.errors import DataError

FILES = {
    "X_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "X_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class Mirrored:
    """A data set of four IDX files: where to fetch them, and what they must contain.

    The SHA-256 are of the unpacked contents, because mirrors compress the same file differently.
    """

    mirrors: tuple[str, ...]
    sha256: dict[str, str]


MIRRORED = {
    "mnist": Mirrored(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        sha256={
            "X_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "X_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": Mirrored(
        mirrors=(
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        sha256={
            "X_train": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "y_train": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "X_test": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "y_test": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}

#: Every name `load_dataset` knows.
DATASET_NAMES = ("digits", "iris", "breast-cancer", *MIRRORED)


def load_named(name: str, *, test_fraction: float, seed: int) -> RawData:
    """Load a set named in `DATASET_NAMES`; those of scikit-learn are split here (by `seed`)."""
    if name not in MIRRORED:
        return _load_built_in(name, test_fraction, seed)
    arrays = {part: _mirrored_array(name, part) for part in FILES}
    for part in ("train", "test"):
        check_pairs(arrays[f"X_{part}"], arrays[f"y_{part}"], f"{name}, {part} part")
        arrays[f"X_{part}"] = as_float_images(arrays[f"X_{part}"])
    return RawData(arrays["X_train"], arrays["y_train"], arrays["X_test"], arrays["y_test"])


def _load_built_in(name: str, test_fraction: float, seed: int) -> RawData:
    from sklearn import datasets

    if name == "digits":
        found = datasets.load_digits()
        return stratified_split(found.images / 16.0, found.target, test_fraction=test_fraction, seed=seed)
    found = datasets.load_iris() if name == "iris" else datasets.load_breast_cancer()
    return stratified_split(
        found.data,
        found.target_names[found.target].astype(str),
        test_fraction=test_fraction,
        seed=seed,
        feature_names=tuple(map(str, found.feature_names)),
    )


def _mirrored_array(name: str, part: str) -> NDArray:
    path = _find(name, FILES[part]) or _download(name, part)
    content = read_bytes(path)
    return parse_idx(content, str(path))


def _find(name: str, file: str) -> Path | None:
    """Look in `$QTNML_DATA/<name>`, then in the user cache."""
    folders = []
    if root := os.environ.get("QTNML_DATA"):
        folders.append(Path(root).expanduser() / name)
    with suppress(DataError):  # there is no cache
        folders.append(cache_folder(name))
    for folder in folders:
        for candidate in (folder / file, folder / f"{file}.gz"):
            if candidate.is_file():
                return candidate
    return None


def cache_folder(name: str) -> Path:
    """Where a downloaded set is kept.

    Raises:
        DataError: The user has no home folder.
    """
    try:
        return Path(platformdirs.user_cache_dir("qtnml")) / name
    except RuntimeError as error:
        raise DataError(
            f"there is no folder to keep {name!r} in ({error}); point QTNML_DATA at a folder that holds it"
        ) from error


def _download(name: str, part: str) -> Path:
    """Fetch one file from the first mirror that serves the right content, and keep it."""
    import pooch

    source, file = MIRRORED[name], f"{FILES[part]}.gz"
    folder, failures = cache_folder(name), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write to the cache {folder}: {error.strerror}; "
            f"point QTNML_DATA at a folder that holds {name!r}"
        ) from error
    pooch.get_logger().setLevel("ERROR")
    for mirror in source.mirrors:
        fetch = pooch.HTTPDownloader(progressbar=_progress_bar(file), timeout=30)
        partial = folder / f".{file}.{os.getpid()}.part"
        try:
            fetch(mirror + file, str(partial), pooch.create(folder, mirror))
            found = hashlib.sha256(read_bytes(partial)).hexdigest()
            if found != source.sha256[part]:
                failures.append(f"{mirror} served other content (SHA-256 {found[:16]}...)")
                continue
            return partial.replace(folder / file)
        except (OSError, DataError) as error:  # every requests error is an OSError
            failures.append(f"{mirror}: {type(error).__name__}")
        finally:
            partial.unlink(missing_ok=True)
    raise DataError(
        f"cannot fetch {file} of {name!r} ({'; '.join(failures)}); put the four IDX files into "
        f"{folder} or into a folder {name!r} of the directory named by QTNML_DATA, or use 'digits', "
        "which needs no download"
    )


class _progress_bar:  # noqa: N801 - a callable that pooch drives, not a type users meet
    """The four members pooch asks of a progress bar, drawn by rich on standard error."""

    def __init__(self, file: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._display = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._display.add_task(f"fetching {file}")
        self.total = 0

    def update(self, size: int) -> None:
        self._display.start()
        self._display.update(self._task, total=self.total, advance=size)

    def reset(self) -> None:
        self._display.reset(self._task)

    def close(self) -> None:
        self._display.stop()
