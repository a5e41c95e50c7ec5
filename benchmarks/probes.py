"""What a process measures of itself, with the standard library alone."""

import os
import time

MB = 2**20


class Clock:
    """`with Clock() as clock:` gives clock.wall and clock.cpu in seconds.

    cpu counts all threads, and children that have ended.
    """

    def __enter__(self):
        self.cpu_started = cpu_seconds()
        self.started = time.perf_counter()
        return self

    def __exit__(self, *error):
        self.wall = time.perf_counter() - self.started
        self.cpu = cpu_seconds() - self.cpu_started


def cpu_seconds():
    """CPU seconds of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def resident_mb():
    """Memory of this process now."""
    return _status("VmRSS")


def peak_mb():
    """The most memory that this process had since `reset_peak`.

    Where the system doesn't let the peak be reset, since the start of the process.
    """
    return _status("VmHWM")


def reset_peak():
    """Begin the peak anew."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def size_mb(folder):
    """Bytes of all files in a folder, as MB."""
    return (
        sum(
            os.path.getsize(os.path.join(where, name))
            for where, _, names in os.walk(folder)
            for name in names
        )
        / MB
    )


def _status(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024
