from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data():
    """real_data(name): the folder of a real data set beside the checkout; the test is skipped where
    there is none.
    """

    def folder(name):
        if not (SHARED / name).is_dir():
            pytest.skip(f"real data are needed: no folder {name} in ../shared/data")
        return SHARED / name

    return folder
