"""`save` of all estimators."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.errors import ModelFileError
from qtnml.storage import save_archive

Entry = tuple[dict[str, Any], dict[str, NDArray]]
_FORMAT: list[tuple[Callable[[Any], Entry], Callable[..., Any]]] = []


def set_format(entry_of: Callable[[Any], Entry], restored_model: Callable[..., Any]) -> None:
    """How estimators become JSON types and arrays, and back; the file format says so once it is imported."""
    _FORMAT[:] = [(entry_of, restored_model)]


class SavedToFile:
    """Adds `save`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, atomically; `qtnml.load_model` reads it.

        Raises:
            ModelFileError: It could not be read again: parameters were changed after `fit`, or it is of a
                class of the user's own.
            WriteError: Nothing was written.
        """
        check_is_fitted(self)
        entry_of, restored_model = _FORMAT[0]
        try:
            header, arrays = entry_of(self)
        except ModelFileError:
            raise  # which says its own cure
        except Exception as error:
            raise self._unsaved(error) from error
        try:
            restored_model(header, arrays)
        except Exception as error:  # whatever settings or notes of any type make the parts above raise
            raise self._unsaved(error) from error
        save_archive(Path(path), header, arrays)

    def _unsaved(self, error: Exception) -> ModelFileError:
        return ModelFileError(
            f"this {type(self).__name__} cannot be saved: {error}; fit it again, or set its parameters "
            "back to those of its fit"
        )
