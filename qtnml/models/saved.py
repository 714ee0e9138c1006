"""`save` of Born machines and of the estimators built on them."""

import os
from pathlib import Path

from sklearn.utils.validation import check_is_fitted

from qtnml.storage import save_archive


class SavedToFile:
    """Adds `save`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, atomically; `qtnml.load_model` reads it."""
        from qtnml.models.built_persistence import entry_of

        check_is_fitted(self)
        header, arrays = entry_of(self)
        save_archive(Path(path), header, arrays)
