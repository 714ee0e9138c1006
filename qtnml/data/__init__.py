"""Loading of real data: named data sets, files, averaging, pixel orders, tables as levels."""

from qtnml.data.augmentation import Augmentation, PictureAugmentation
from qtnml.data.dataset import Dataset
from qtnml.data.dates import date_parts
from qtnml.data.load import load_dataset
from qtnml.data.orders import PIXEL_ORDERS, pixel_order
from qtnml.data.resize import area_average
from qtnml.data.samples import read_samples
from qtnml.data.table_encoder import TableEncoder

__all__ = [
    "PIXEL_ORDERS",
    "Augmentation",
    "Dataset",
    "PictureAugmentation",
    "TableEncoder",
    "area_average",
    "date_parts",
    "load_dataset",
    "pixel_order",
    "read_samples",
]
