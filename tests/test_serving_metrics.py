"""Counters are those of all workers, in Prometheus' format."""

import os
import re

from xmc.serving.metrics import SECONDS, Metrics

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+')


def test_workers_add_to_one_sum():
    metrics = Metrics(["/predict"], ["m"], n_workers=3)
    for worker in range(3):
        process = os.fork()
        if not process:
            metrics.as_worker(worker)
            metrics.add("xmc_batches_total", "m", by=worker + 1)
            os._exit(0)
        os.waitpid(process, 0)
    assert metrics.value("xmc_batches_total", "m") == 6


def test_a_worker_that_takes_a_dead_one_s_place_goes_on_counting():
    metrics = Metrics(["/predict"], ["m"])
    metrics.add("xmc_batches_total", "m")
    metrics.add("xmc_requests_in_flight")
    metrics.as_worker(0)
    metrics.add("xmc_batches_total", "m")
    assert metrics.value("xmc_batches_total", "m") == 2
    assert metrics.value("xmc_requests_in_flight") == 0


def test_a_time_is_in_each_bucket_that_ends_above_it():
    metrics = Metrics(["/predict"], ["m"])
    metrics.count_request("/predict", 200, 0.03)
    lines = metrics.text().splitlines()
    counts = [line.rpartition(" ")[2] for line in lines if "_bucket" in line]
    assert counts == [str(int(bound >= 0.03)) for bound in SECONDS] + ["1"]
    assert 'xmc_request_seconds_bucket{endpoint="/predict",le="+Inf"} 1' in lines
    assert 'xmc_request_seconds_sum{endpoint="/predict"} 0.029999999999999999' in lines


def test_each_line_is_one_of_the_format_and_each_family_has_its_type_once():
    metrics = Metrics(["/predict", "/"], ["m"])
    metrics.count_request("/predict", 200, 0.03)
    metrics.count_request("/", 418, 11.0)
    lines = metrics.text().splitlines()
    plain = [line for line in lines if not line.startswith("#")]
    assert all(map(LINE.fullmatch, plain))
    assert 'xmc_requests_total{endpoint="/",status="other"} 1' in plain
    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) == len(metrics.families)


def test_names_of_models_are_escaped():
    metrics = Metrics([], ['a"b\\c\nd'])
    assert 'xmc_items_total{model="a\\"b\\\\c\\nd"} 0' in metrics.text().splitlines()
