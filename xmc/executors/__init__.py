"""Where jobs can run besides threads: processes, a Dask cluster, a Ray cluster."""

from __future__ import annotations

from .on_dask import Dask
from .on_ray import Ray
from .processes import Processes
from .remote import Remote

__all__ = ["Dask", "Processes", "Ray", "Remote"]
