"""Read and write data sets, matrices and predictions.

The formats are npz, sparse matrices as text, XMC text, SVMlight, labelled documents, plain text,
folders of rows, and JSON lines.
"""

from ..formats import FORMATS
from .datasets import (
    Dataset,
    count_rows,
    format_of,
    read,
    read_blocks,
    read_matrix,
    write,
    write_matrix,
)
from .files import check_target, read_lines, replacing
from .label_ids import align_labels, read_label_names
from .predictions import Predictions, prediction_rows, read_predictions, write_predictions

__all__ = [
    "FORMATS",
    "Dataset",
    "Predictions",
    "align_labels",
    "check_target",
    "count_rows",
    "format_of",
    "prediction_rows",
    "read",
    "read_blocks",
    "read_label_names",
    "read_lines",
    "read_matrix",
    "read_predictions",
    "replacing",
    "write",
    "write_matrix",
    "write_predictions",
]
