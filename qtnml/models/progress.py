"""Progress bars of training."""

from collections.abc import Callable

from qtnml.train import Callback, EpochRecord


def each_epoch(advance: Callable[[int, str], None], loss: str, callback: Callback | None) -> Callback:
    """A callback of training that moves a progress bar, then calls the user's."""

    def called(record: EpochRecord) -> bool | None:
        bond = "" if record.largest_bond is None else f", bonds to {record.largest_bond}"
        advance(record.epoch, f"{loss} {record.score:.4g}{bond}")
        return None if callback is None else callback(record)

    return called
