"""What clients of `xmc serve` do, for locust, a load generator that anybody can install.

    pip install locust
    xmc serve MODEL --port 8000 --quiet &
    TEXTS=test.tsv locust -f benchmarks/serving.py --headless -H http://127.0.0.1:8000 \\
        -u 50 -r 50 -t 60s Steady

Steady: each user asks for the labels of one text a second on average, at random moments, so 50
users ask 50 times a second. (Users with a fixed rhythm drift into step with each other, and then
it is the queue of 50 requests at once that is measured.)
Busy: each user asks again as soon as it has an answer; BATCH texts a request, 1 unless set.
TEXTS is a file of lines id,id<TAB>text, or of texts.
"""

from __future__ import annotations

import gzip
import os
import random
import time

from locust import FastHttpUser, task

PATH = os.environ.get("TEXTS", "test.tsv")
with (gzip.open if PATH.endswith(".gz") else open)(PATH, "rt", encoding="utf-8") as file:
    TEXTS = [text for line in file if (text := line.rpartition("\t")[2].strip())]
BATCH = int(os.environ.get("BATCH", "1"))


class Steady(FastHttpUser):
    def on_start(self) -> None:
        time.sleep(random.random())  # users that come together would ask together

    def wait_time(self) -> float:
        return random.expovariate(1.0)

    @task
    def predict(self) -> None:
        self.client.post("/predict", json={"text": random.choice(TEXTS), "k": 5})


class Busy(FastHttpUser):
    @task
    def predict(self) -> None:
        asked = {"texts": random.choices(TEXTS, k=BATCH), "k": 5}
        self.client.post("/predict", json=asked)
