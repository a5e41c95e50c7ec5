"""What the process holds, and how it gives back what it freed."""

from __future__ import annotations

import ctypes
import os
import sys

# glibc's numbers of two settings, and bytes for them; the last are what it comes to by itself.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGE = 1 << 22
KEPT_AT_THE_END, KEPT_BETWEEN = 1 << 26, 1 << 25
TOLD = "MALLOC_TRIM_THRESHOLD_"  # the variable by which glibc is told
LIBRARIES = 128 << 20  # bytes of their files that are mapped, about


def held_bytes() -> int:
    """Memory that the process holds now; its peak so far where the system doesn't tell.

    Pages of files count up to LIBRARIES. What is beyond are arrays that are mapped, and the system
    can drop those whenever it needs the room.
    """
    try:
        with open("/proc/self/statm") as file:
            resident, of_files = map(int, file.read().split()[1:3])
        page = os.sysconf("SC_PAGE_SIZE")
        return (resident - of_files) * page + min(of_files * page, LIBRARIES)
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def machine_bytes() -> int:
    """Memory that the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def return_freed_arrays() -> None:
    """From now on give large arrays back to the system as soon as they are freed.

    This sets a threshold of glibc's malloc for the whole process, and does nothing with another C
    library. So only who owns the process calls it: the commands that train, or your own program
    before `fit`. Otherwise glibc learns to keep freed arrays below 32 MiB, which adds 50 MB to the
    peak of a training on EURLex-57K.
    """
    _set({MMAP_THRESHOLD: LARGE})


def keep_freed_arrays() -> None:
    """From now on let glibc use freed arrays below 32 MiB again, where the environment tells it to
    give them back: it does so by itself elsewhere.

    For the processes of a cluster, whose environment is not the user's choice.
    """
    if TOLD in os.environ:
        _set({TRIM_THRESHOLD: KEPT_AT_THE_END, MMAP_THRESHOLD: KEPT_BETWEEN})


def _set(settings: dict[int, int]) -> None:
    """Set malloc's settings, if this is glibc's."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for name, value in settings.items():
            libc.mallopt(name, value)
