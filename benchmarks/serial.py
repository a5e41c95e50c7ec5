"""How much of a training only one thread can do, and where: what bounds it on many processors.

xmc datasets synth --like amazon-670k --scale 0.25 --out sets/amazon-670k-0.25
python benchmarks/serial.py sets/amazon-670k-0.25

It looks every few milliseconds how many threads run jobs, and where the main thread is while fewer
than all do. The serial share is that of all work: time with no job, or with one where there could
be more, over the time of all threads that ran any. By Amdahl's law, s of the work being serial, n
processors are at most 1 / (s + (1 - s) / n) times as fast as one.
"""

import argparse
import json
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.parallel import Threads

EVERY = 0.004  # seconds between two looks
NESTED = {"grow", "job", "<lambda>"}  # jobs that run jobs of their own
CLASSES = {"tree": LabelTreeClassifier, "one-vs-all": OneVsAllClassifier}


class Watch:
    """Looks at the threads of this process while `fit` runs."""

    def __init__(self, n_threads):
        self.n_threads, self.running, self.stopped = n_threads, 0, False
        self.looks, self.places = Counter(), Counter()
        self.lock, self.main = threading.Lock(), threading.main_thread().ident
        outcomes = Threads.outcomes

        def counted(own, function, jobs):
            named = getattr(function, "__name__", "")
            return outcomes(own, function if named in NESTED else self.counting(function), jobs)

        Threads.outcomes = counted
        threading.Thread(target=self.look, daemon=True).start()

    def counting(self, function):
        def call(*job):
            with self.lock:
                self.running += 1
            try:
                return function(*job)
            finally:
                with self.lock:
                    self.running -= 1

        return call

    def look(self):
        while not self.stopped:
            time.sleep(EVERY)
            running = self.running
            self.looks[running] += 1
            if running < self.n_threads:
                stack = traceback.extract_stack(sys._current_frames()[self.main])
                own = [frame for frame in stack if "/xmc/" in frame.filename][-3:]
                where = " > ".join(f"{Path(frame.filename).stem}.{frame.name}" for frame in own)
                self.places[running, where] += 1

    def serial_share(self):
        """Of all work."""
        alone = self.looks[0] + self.looks[1]
        return alone / (alone + sum(n * times for n, times in self.looks.items() if n > 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with X.trn.npz and Y.trn.npz")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--method", choices=CLASSES, default="tree")
    parser.add_argument("--set", action="append", default=[], help="a setting of the model, C=2")
    args = parser.parse_args()
    pairs = (pair.partition("=")[::2] for pair in args.set)
    settings = {name: json.loads(v) if v[:1].isdigit() else v for name, v in pairs}
    X, Y = (sp.load_npz(args.data / f"{name}.trn.npz") for name in "XY")
    model = CLASSES[args.method](n_jobs=args.threads, random_state=0, **settings)
    model.fit(X, Y)  # compiles whatever it needs
    watch, wall, cpu = Watch(args.threads), time.perf_counter(), time.process_time()
    model.fit(X, Y)
    watch.stopped = True
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    looks, share = sum(watch.looks.values()), watch.serial_share()
    told = ", ".join(f"{n}: {times / looks:.1%}" for n, times in sorted(watch.looks.items()))
    print(f"{wall:.1f} s, {cpu:.1f} CPU seconds; time by threads that run a job: {told}")
    print(f"serial share of the work: {share:.1%}")
    for n in (4, 16, 64):
        print(f"{n} processors: at most {1 / (share + (1 - share) / n):.1f} times as fast as one")
    for (running, where), times in watch.places.most_common(12):
        if times / looks >= 0.001:
            print(f"{times / looks:6.1%} with {running} running: {where}")


if __name__ == "__main__":
    main()
