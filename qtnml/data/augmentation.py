"""Augmentation: training pictures are shifted, rotated, scaled and mirrored a little in every epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.orders import pixel_order
from qtnml.errors import InvalidInputError

#: What a classifier's `augment` is: samples (samples, features) and a generator to samples of that shape.
Augmentation = Callable[[NDArray, np.random.Generator], NDArray]
_CHUNK_PIXELS = 2**22


@dataclass(frozen=True)
class PictureAugmentation:
    """Random shifts, rotations, scalings and mirrors of pictures, with bilinear interpolation; 0 outside.

    A call with samples (samples, pixels) and a `numpy.random.Generator` returns changed pictures of the same
    shape. Use it as the argument `augment` of classifiers. They then see each training picture a little
    differently in every epoch. Held-out and test pictures stay unchanged.

    Args:
        shape: Rows and columns of a picture.
        order: The pixel order of the samples, as for `qtnml.load_dataset`.
        shift: Largest shift in each direction, in pixels.
        whole_pixels: Shift by whole numbers of pixels, so that a picture that is only moved or mirrored stays
            as sharp as it was.
        turn: Largest angle of rotation, in degrees.
        zoom: Largest change of size, as a fraction: 0.1 means from 1/1.1 to 1.1 times.
        shear: Largest shear, as a fraction of the height.
        mirror: Swap left and right with probability 1/2. Useful for clothes, not for digits.

    >>> augment = PictureAugmentation((2, 3), mirror=True, shift=0.0)
    >>> pictures = augment(np.array([[1.0, 2, 3, 4, 5, 6]] * 20), np.random.default_rng(0))
    >>> np.unique(pictures, axis=0).tolist()
    [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]]
    """

    shape: tuple[int, int]
    order: str = "raster"
    shift: float = 1.0
    turn: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    mirror: bool = False
    whole_pixels: bool = False

    def __post_init__(self) -> None:
        shape: Any = self.shape
        is_pair = isinstance(shape, tuple | list) and len(shape) == 2
        if not is_pair or not all(isinstance(side, int | np.integer) and side >= 1 for side in shape):
            raise InvalidInputError(f"shape is rows and columns of a picture, got {self.shape!r}")
        rows, columns = self.shape
        for name in ("shift", "turn", "zoom", "shear"):
            value = getattr(self, name)
            if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value >= 0):
                raise InvalidInputError(f"{name} must be a number of at least 0, got {value!r}")
        if self.whole_pixels and self.shift != int(self.shift):
            raise InvalidInputError(f"whole_pixels needs a whole number as shift, got {self.shift!r}")
        pixel_order(self.order, rows, columns)

    def __call__(self, X: NDArray, rng: np.random.Generator) -> NDArray:
        """Changed pictures (samples, pixels)."""
        rows, columns = self.shape
        if X.shape[1] != rows * columns:
            raise InvalidInputError(
                f"pictures of {rows}x{columns} have {rows * columns} pixels; samples have {X.shape[1]}"
            )
        order = pixel_order(self.order, rows, columns)
        maps = self._maps(len(X), rng)
        out = np.empty_like(X)
        step = max(1, _CHUNK_PIXELS // X.shape[1])
        for start in range(0, len(X), step):
            part = slice(start, start + step)
            raster = np.empty_like(X[part])
            raster[:, order] = X[part]
            pictures = raster.reshape(-1, rows, columns)
            only_shifted = self.whole_pixels and not (self.turn or self.zoom or self.shear)
            moved = (_shifted if only_shifted else _resampled)(pictures, maps[part])
            out[part] = moved.reshape(len(raster), -1)[:, order]
        return out

    def _maps(self, samples: int, rng: np.random.Generator) -> NDArray:
        """From a pixel's place (row, column, 1), from the middle, to where it comes from: (samples, 2, 3)."""

        def drawn(most: float) -> NDArray:
            return np.asarray(rng.uniform(-most, most, samples))

        angle = np.deg2rad(drawn(self.turn))
        size = (1 + self.zoom) ** drawn(1.0)
        shear, shift = drawn(self.shear), (drawn(self.shift), drawn(self.shift))
        if self.whole_pixels:
            # Every whole shift is as likely as any other, those at the edges too.
            most = int(self.shift)
            shift = (rng.integers(-most, most + 1, samples), rng.integers(-most, most + 1, samples))
        sign = np.where(rng.random(samples) < 0.5, -1.0, 1.0) if self.mirror else np.ones(samples)
        cosine, sine = np.cos(angle) / size, np.sin(angle) / size
        maps = np.stack([cosine, -sine, shift[0], sine, cosine, shift[1]], axis=1).reshape(-1, 2, 3)
        maps[:, :, 0] += shear[:, None] * maps[:, :, 1]
        maps[:, :, 1] *= sign[:, None]
        return maps


def _shifted(pictures: NDArray, maps: NDArray) -> NDArray:
    """As `_resampled`, for maps that only mirror and shift by whole pixels: copies, shift by shift."""
    samples, rows, columns = pictures.shape
    mirrored = (maps[:, 1, 1] < 0)[:, None, None]
    shifts = (maps[:, :, 2] * np.column_stack([np.ones(samples), np.sign(maps[:, 1, 1])])).astype(int)
    edge = int(np.abs(shifts).max(initial=0))
    sides = ((0, 0), (edge, edge), (edge, edge))
    padded = np.pad(np.where(mirrored, pictures[:, :, ::-1], pictures), sides)
    out = np.empty_like(pictures)
    for down, right in np.unique(shifts, axis=0):
        own = np.flatnonzero((shifts == (down, right)).all(axis=1))
        top, left = edge + down, edge + right
        out[own] = padded[own, top : top + rows, left : left + columns]
    return out


def _resampled(pictures: NDArray, maps: NDArray) -> NDArray:
    """Pictures (samples, rows, columns) at the places that `maps` says, between pixels by their shares."""
    samples, rows, columns = pictures.shape
    middle = np.array([(rows - 1) / 2, (columns - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(rows) - middle[0], np.arange(columns) - middle[1], indexing="ij"))
    places = np.vstack([grid.reshape(2, -1), np.ones(rows * columns)])
    source: Any = (maps @ places) + middle[:, None]  # (samples, 2, pixels)
    corner = np.floor(source).astype(np.int64)
    share = source - corner
    flat = np.pad(pictures, ((0, 0), (1, 1), (1, 1))).reshape(samples, -1)
    out = np.zeros((samples, rows * columns), dtype=pictures.dtype)
    for down in (0, 1):
        for right in (0, 1):
            row = np.clip(corner[:, 0] + down, -1, rows) + 1
            column = np.clip(corner[:, 1] + right, -1, columns) + 1
            weight = (share[:, 0] if down else 1 - share[:, 0]) * (share[:, 1] if right else 1 - share[:, 1])
            out += weight * np.take_along_axis(flat, row * (columns + 2) + column, axis=1)
    return out
