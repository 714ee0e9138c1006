"""Every exception and warning of the toolkit.

A message says what is wrong, the value, and the cure, in one line.
"""

import os
import sys
import warnings
from pathlib import Path

_PACKAGE = f"{Path(__file__).parent}{os.sep}"


class QtnmlError(Exception):
    """Base of every error the toolkit raises on purpose."""


class InvalidInputError(QtnmlError, ValueError):
    """An argument or a data array cannot be used as it is."""


class InvalidTypeError(InvalidInputError, TypeError):
    """Data of a type that cannot be numbers or labels; scikit-learn raises TypeError there."""


def invalid_input(error: Exception) -> InvalidInputError:
    """A library's complaint about data, in its own words, as this package's error."""
    kind = InvalidTypeError if isinstance(error, TypeError) else InvalidInputError
    return kind(str(error))


class DataError(QtnmlError, ValueError):
    """A data set is unknown, cannot be read, or cannot be fetched."""


class ModelFileError(QtnmlError, ValueError):
    """A saved model is missing, damaged, foreign, or of a newer format."""


class NotRegisteredError(ModelFileError):
    """A file names a class that is not known here."""


class CircuitFileError(QtnmlError, ValueError):
    """A circuit file is missing, damaged, foreign or of a newer format."""


class WriteError(QtnmlError, OSError):
    """A file cannot be written; what was there before is still there."""


class MissingExtraError(QtnmlError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class BackendError(QtnmlError, RuntimeError):
    """A backend is unknown, or cannot run what it was asked to run."""


class BackendBusyError(BackendError):
    """A backend cannot be reached or takes no more jobs now; nothing was submitted, try again."""


class UnknownSubmissionError(BackendError):
    """The answer to a submission was lost: the job may or may not have been accepted."""


class JobError(QtnmlError, RuntimeError):
    """A job failed, is lost, or the ledger of jobs cannot be used."""


class BudgetError(JobError):
    """A run would exceed its budget; nothing was submitted."""


class ResultTimeoutError(JobError, TimeoutError):
    """A job has not ended in the time given; it goes on."""


class TrainingError(QtnmlError, RuntimeError):
    """Training cannot go on (the loss is not finite)."""


class StudyError(QtnmlError, RuntimeError):
    """Some tasks of a study failed; the results of the others are kept."""


class ClippedDataWarning(UserWarning):
    """New data lay outside the range the model learnt, and were clipped to it."""


class MergedBinsWarning(UserWarning):
    """A column has too few different numbers for as many bins as were asked for."""


class UnseenCategoryWarning(UserWarning):
    """A value was not seen in training; it counts as missing."""


class PixelOrderWarning(UserWarning):
    """A model does not say in which order it takes pixels, and one is assumed."""


class LargeCircuitWarning(UserWarning):
    """A circuit has far more gates than today's devices carry."""


class LongChainWarning(UserWarning):
    """A chain is so long that its label hardly learns from the far end."""


class NoShotsWarning(UserWarning):
    """No shot of a sample counts, so nothing is known of it."""


class SamplerWarning(UserWarning):
    """A circuit is handed out that some samplers simulate wrongly without a word."""


class ZeroProbabilityWarning(UserWarning):
    """Records are impossible under a model; their log-likelihood is a finite stand-in."""


class PinnedCircuitWarning(UserWarning):
    """A circuit is kept as it was bought with, though today's calibration would choose another."""


class DamagedLedgerWarning(UserWarning):
    """A row of the ledger of jobs cannot be read; the others can."""


class StateWarning(UserWarning):
    """A state is not as near to what it was made from as was asked."""


class IndependentColumnsWarning(UserWarning):
    """Nothing was learnt that explains new rows better than independent columns."""


class IncompleteDataWarning(UserWarning):
    """Training samples with missing values were left out."""


class TrainingSamplesWarning(UserWarning):
    """Samples that a model is tested on are among those it was trained on."""


class TrainingInterruptedWarning(UserWarning):
    """Training was stopped by the user; the best weights so far were kept."""


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the line outside this package that led here, where a user can do something about it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_internal(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_internal(file: str) -> bool:
    """Ours, or scikit-learn's, whose `score` calls our `predict`."""
    return file.startswith(_PACKAGE) or f"{os.sep}sklearn{os.sep}" in file
