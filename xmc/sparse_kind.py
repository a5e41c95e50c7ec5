"""Which of scipy's two kinds a sparse answer is: csr_matrix or csr_array."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
from sklearn import get_config


def like(X: Any, csr: sp.csr_matrix) -> sp.csr_matrix | sp.csr_array:
    """The answer to X: a csr_array if X is one of scipy's sparse arrays, a csr_matrix if X is one
    of its matrices.

    Where X is neither (texts, a frame, a dense array), it is what scikit-learn is set to give,
    `sparse_interface`, which its versions before 1.9 don't have.
    """
    if sp.issparse(X):
        wants_array = isinstance(X, sp.sparray)
    else:
        wants_array = get_config().get("sparse_interface") == "sparray"
    return sp.csr_array(csr) if wants_array else csr
