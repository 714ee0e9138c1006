"""Samples of a Born machine as levels of its sites, and back: what it learns from, whatever it is given."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.data.frames import Table, frame_columns, row_weights
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import IncompleteDataWarning, InvalidInputError, warn_user
from qtnml.models.born_data import bits
from qtnml.models.validation import hold_out_rows
from qtnml.train.born_loop import Strings


class LevelInput(BaseEstimator):
    """Bits as they are, tables through an encoder that is learnt from the training rows."""

    encoder: TableEncoder | None
    encoder_: TableEncoder | None
    n_features_in_: Any
    validation_fraction: float
    warm_start: bool

    def encoded_split(
        self, X: Any, sample_weight: Any, rng: np.random.Generator, *, held_out: Any = None
    ) -> tuple[TableEncoder | None, NDArray, NDArray, tuple[NDArray, NDArray]]:
        """The fitted encoder, levels (rows, columns), weights, and rows of training and held-out ones.

        Samples that are `held_out` come behind X.
        """
        if held_out is not None:
            encoder, levels = encoded(self, X)
            weights = row_weights(sample_weight, len(levels))
            others = bits(held_out) if encoder is None else encoder.transform(held_out)
            if others.shape[1] != levels.shape[1]:
                raise InvalidInputError(f"validation has {others.shape[1]} features, X has {levels.shape[1]}")
            complete = np.flatnonzero((others >= 0).all(axis=1))
            if not len(complete):
                raise InvalidInputError("validation needs rows without missing values, got none")
            kept, _ = self._split(np.all(levels >= 0, axis=1), weights, rng, share=0.0)
            both = np.concatenate([weights, np.ones(len(others))])
            return encoder, np.concatenate([levels, others]), both, (kept, len(levels) + complete)
        encoder = known_encoder(self)
        if encoder is None and self.encoder is not None:
            # Rows are held out before anything is learnt: the edges of bins are learnt as well.
            table = Table.of(X)
            weights = row_weights(sample_weight, len(table))
            kept, held = self._split(table.complete, weights, rng)
            held_out = np.isin(np.arange(len(table)), held)
            encoder = clone(self.encoder).fit_table(table, weights, held_out)
            # Values that only rows of no weight have are not there.
            levels = encoder.transform_quietly(table)[0]
            return encoder, levels, weights, (kept, held)
        levels = bits(X) if encoder is None else encoder.transform(X)
        weights = row_weights(sample_weight, len(levels))
        return encoder, levels, weights, self._split(np.all(levels >= 0, axis=1), weights, rng)

    def _split(
        self, complete: NDArray, weights: NDArray, rng: np.random.Generator, *, share: float | None = None
    ) -> tuple[NDArray, NDArray]:
        """Rows to train on and held-out ones, of positive weight and without missing values."""
        used = weights > 0
        dropped = int((used & ~complete).sum())
        if dropped and not (used & complete).any():
            raise InvalidInputError(
                "every row has a missing value; training needs complete rows (leave columns out, or fill in)"
            )
        if dropped:
            warn_user(
                f"{dropped} of {int(used.sum())} rows have missing values and are left out of training "
                "(scoring and sampling take them)",
                IncompleteDataWarning,
            )
        rows = np.flatnonzero(used & complete)
        kept, held = hold_out_rows(len(rows), self.validation_fraction if share is None else share, rng)
        return rows[kept], rows[held]

    def remember_features(self, X: Any, count: int) -> None:
        """Number and names of the features of training samples X."""
        self.n_features_in_ = count
        names = frame_columns(X)
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def levels(self, X: Any) -> NDArray:
        """Levels (samples, sites) of samples, -1 where missing, as the model sees them."""
        check_is_fitted(self, "state_")
        if self.encoder_ is not None:
            return self.encoder_.transform(X)
        levels = bits(X)
        if levels.shape[1] != self.n_features_in_:
            raise InvalidInputError(
                f"X has {levels.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        given = frame_columns(X)
        if given is not None and hasattr(self, "feature_names_in_"):
            names = [str(name) for name in given]
            if names != self.feature_names_in_.tolist():
                raise InvalidInputError(
                    "The feature names should match those that were passed during fit: "
                    f"{self.feature_names_in_.tolist()}, got {names}"
                )
        return levels

    def decode(self, levels: NDArray, random_state: Any = None) -> Any:
        """Samples from levels: bits as they are; a table through the encoder's `inverse_transform`."""
        check_is_fitted(self, "state_")
        if self.encoder_ is None:
            found = np.asarray(levels)
            if (
                found.ndim != 2
                or found.shape[1] != self.n_features_in_
                or not np.isin(found, (-1, 0, 1)).all()
            ):
                raise InvalidInputError(
                    f"expected bits of shape (samples, {self.n_features_in_}), got shape {found.shape}"
                )
            return found
        return self.encoder_.inverse_transform(levels, random_state)


def strings_of(encoder: TableEncoder | None, levels: NDArray, weights: NDArray) -> Strings:
    """What levels (samples, sites) are to learn from; sites behind the encoder's columns are categories."""
    if encoder is None:
        return Strings.of(levels, weights)
    behind = [None] * (levels.shape[1] - len(encoder.columns_))
    maps = (*encoder.site_maps_, *behind)
    numbers = (*encoder.level_numbers_, *behind)
    return Strings.of(levels, weights, numbers, maps if any(map_ is not None for map_ in maps) else ())


def encoded(model: LevelInput, X: Any) -> tuple[TableEncoder | None, NDArray]:
    """A model's encoder, fitted to samples (None for bits), and the samples as levels."""
    known = known_encoder(model)
    if known is not None:
        return known, known.transform(X)
    if model.encoder is None:
        return None, bits(X)
    table = Table.of(X)
    encoder = clone(model.encoder).fit_table(table, np.ones(len(table)))
    return encoder, encoder.transform_quietly(table)[0]


def known_encoder(model: LevelInput) -> TableEncoder | None:
    """The encoder of the last fit where training goes on from it: what was learnt is about its levels."""
    if model.encoder is not None and not isinstance(model.encoder, TableEncoder):
        raise InvalidInputError(f"encoder must be a qtnml.TableEncoder or None, got {model.encoder!r}")
    known = getattr(model, "encoder_", None)
    return (
        known if model.warm_start and model.encoder is not None and isinstance(known, TableEncoder) else None
    )
