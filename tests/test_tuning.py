"""A search for settings: what it tries next, what it keeps, and what it refuses."""

import errno
import json
import os
import re
import shutil
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import planted
import pytest
import scipy.sparse as sp
from planted_names import named_texts
from sklearn.base import clone

from xmc import DataError, ModelError, OneVsAllClassifier, ParameterError
from xmc.errors import quoted
from xmc.io import tensors
from xmc.labelled_rows import LabelledRows, to_hold_out
from xmc.metrics import scorer
from xmc.params import LabelTreeParams, TextParams
from xmc.settings import model_of
from xmc.tuning import Trial, halving, search, space, tune
from xmc.tuning.given import as_labelled_rows
from xmc.tuning.halving import Halving, Rung, rungs_of
from xmc.tuning.plot import front_of, plot, rounded
from xmc.tuning.space import Space
from xmc.tuning.trials import best_of, joined, keep, key_of

X, Y = planted.X, planted.Y
RUNGS = (Rung(100), Rung(300), Rung(900))
AGAIN = (Rung(300), Rung(900), Rung(900, (1, 2)))
RUN = {"n_jobs": 1, "random_state": 0, "verbose": 0}
PACE = 0.01  # seconds a row
HELD = to_hold_out(300, 30, 0)


@pytest.fixture
def small_rungs(monkeypatch):
    """Rungs of few rows: 90 and 270 of the planted ones, and 270 again."""
    monkeypatch.setattr(halving, "LEAST_ROWS", 50)


def planted_score(settings):
    """The nearer to C=4 and one-vs-all, the better: known by construction."""
    return 50 - abs(np.log2(settings.get("C", 1.0) / 4)) + 5 * ("method" in settings)


def trial(settings, rung, figure, seconds=1.0):
    return Trial(settings, *rung, seconds, seconds, 1000, {"P@5": figure})


def halver(seed=0, rungs=RUNGS):
    tried = Space(5000, 40, "P@5", {})
    # Settings unlike any before take as long as the defaults.
    return Halving(tried, rungs, lambda own: own.figures["P@5"], seed, lambda s, n: n * PACE)


def on(job):
    return Rung(job.n_rows, job.parts)


def searched(own, budget, n_trials=80, score=planted_score):
    """The trials of a search whose figures are planted, more rows being better.

    In another figure all of them differ.
    """
    trials = []
    while len(trials) < n_trials:
        job = own.next(trials, budget - sum(t.spent for t in trials))
        if job is None:
            break
        figure = score(job.settings) + job.n_rows / 1000
        came = trial(job.settings, on(job), figure, len(job.parts) * job.n_rows * PACE)
        came.figures["P@1"] = float(len(trials))
        trials.append(came)
    return trials


def test_rungs_have_a_third_of_the_rows_each_as_long_as_these_say_enough():
    assert rungs_of(90_000, 10) == (Rung(10_000), Rung(30_000), Rung(90_000))
    assert rungs_of(18_000, 10)[0] == Rung(2000)


def test_of_few_rows_others_are_held_out_on_further_rungs():
    assert rungs_of(6000, 10) == (Rung(2000), Rung(6000), Rung(6000, (1, 2)))
    assert rungs_of(5999, 10) == (Rung(5999), Rung(5999, (1, 2)), Rung(5999, (3, 4)))
    assert rungs_of(5999, 4) == (Rung(5999), Rung(5999, (1, 2)))
    assert rungs_of(10, 1) == (Rung(10),)


def test_the_defaults_go_up_to_all_rows_first():
    first = searched(halver(), np.inf, 3)
    assert [(t.settings, on(t)) for t in first] == [({}, rung) for rung in RUNGS]


def test_settings_go_on_only_from_the_best_third_of_a_rung():
    trials = searched(halver(), np.inf)
    n_up = 0
    for n, own in enumerate(trials):
        rung = RUNGS.index(on(own))
        if rung and own.settings:
            below = [t for t in trials[:n] if on(t) == RUNGS[rung - 1]]
            best = sorted(below, key=lambda t: -t.figures["P@5"])[: len(below) // 3]
            assert own.key in [t.key for t in best]
            n_up += 1
    assert n_up > 5
    counts = [sum(on(t) == rung for t in trials) for rung in RUNGS]
    assert counts[0] > counts[1] > counts[2] > 0


def test_the_search_comes_to_the_planted_best():
    through = [t for t in searched(halver(), np.inf) if on(t) == RUNGS[-1]]
    assert planted_score(best_of(through, "P@5").settings) == 55


def test_what_comes_next_depends_on_seed_and_trials_alone():
    once = searched(halver(), np.inf, 40)
    for n in (1, 7, 23):
        again = halver().next(once[:n], np.inf)
        assert (again.settings, on(again)) == (once[n].settings, on(once[n]))
    other = searched(halver(seed=1), np.inf, 40)
    assert [t.settings for t in once] != [t.settings for t in other]


def test_settings_that_rank_as_earlier_ones_go_no_further():
    own = halver()
    seen = [trial({}, rung, 50.0) for rung in RUNGS]
    seen += [trial({"C": 2.0 + n}, RUNGS[0], 40.0 + n) for n in range(8)]
    better = trial({"n_trees": 3}, RUNGS[0], 60.0)
    assert own.due(own.ways([*seen, better]))[0].settings == {"n_trees": 3}
    twin = trial({"n_trees": 3, "beam_size": 20}, RUNGS[0], 60.0, 0.5)
    twin.figures["ECE@5"] = 0.1  # by another curve
    for trials in ([*seen, better, twin], [*seen, twin, better]):
        ways = own.ways(trials)
        assert [way.settings for way in own.due(ways)[:2]] == [trials[-2].settings, {"C": 9.0}]
        assert [way.settings for way in own.challengers(ways)] == [trials[-2].settings]
        assert len(own.distinct(ways)) == len(ways) - 1
    others = twin._replace(figures={"P@5": 60.0, "P@1": 70.0})
    assert len(own.challengers(own.ways([*seen, better, others]))) == 2


@pytest.mark.parametrize("budget", [25, 40, 77, 150])
def test_a_budget_is_kept_and_used(budget):
    trials = searched(halver(), budget, 1000)
    assert budget - 30 < sum(t.spent for t in trials) <= budget


def test_time_is_kept_only_for_what_can_be_through_in_it():
    own = halver()
    seen = [trial({}, rung, 50.0, rung.n_rows * PACE) for rung in RUNGS]
    slow = trial({"n_trees": 3}, RUNGS[0], 60.0, 10.0)  # and better, 10 s x (3^1.2 + 9^1.2) more
    assert on(own.next([*seen, slow], 100)) == RUNGS[0]
    assert own.next([*seen, slow], 100).settings != slow.settings


def test_before_the_time_is_over_what_promises_most_is_trained_on_all_rows():
    trials = searched(halver(), 13 + 20)  # the defaults go up in 13; 20 are enough for another one
    best = best_of([t for t in trials if on(t) == RUNGS[-1]], "P@5")
    assert best.settings.get("method") == "one-vs-all"


def test_nothing_is_begun_that_can_not_be_finished():
    own = halver()
    defaults = [trial({}, rung, 50.0, rung.n_rows * PACE) for rung in RUNGS]
    assert own.next(defaults, 12.9) is None
    assert own.next([], 1) is None
    slow = [trial({}, RUNGS[0], 50.0, 10.0)]
    assert own.next(slow, 100) is None  # 10 s x 3^1.2, and x 9^1.2
    assert on(own.next(slow, 200)) == RUNGS[1]
    assert own.needed_first(slow) == pytest.approx(10 * (3**1.2 + 9**1.2))


def test_what_there_was_no_time_for_is_told():
    own = halver()
    better = {"method": "one-vs-all"}
    trials = [*(trial({}, rung, 50.0) for rung in RUNGS), trial(better, RUNGS[0], 60.0)]
    (job,) = [job for job in own.waiting(trials) if job.settings == better]
    assert job.seconds == pytest.approx(1 * (3**1.2 + 9**1.2))


def test_what_there_is_no_room_for_is_not_waiting(monkeypatch):
    own = halver()
    trials = [trial({}, rung, 50.0) for rung in RUNGS]
    everything = own.waiting(trials)
    without_room = [job.settings for job in everything if job.settings.get("method")]
    assert 0 < len(without_room) < len(everything)
    monkeypatch.setattr(own, "_forecast", lambda s, n: np.inf if s in without_room else 1.0)
    own._forecasts.clear()
    assert not any(job.settings in without_room for job in own.waiting(trials))
    assert len(own.waiting(trials)) == len(everything) - len(without_room)


def test_of_equals_the_faster_is_the_best_and_of_ece_the_least():
    slow, fast = trial({}, RUNGS[0], 50.001, 3.0), trial({"C": 2.0}, RUNGS[0], 50.002, 2.0)
    assert best_of([slow, fast], "P@5") is fast
    better, worse = trial({}, RUNGS[0], 50.01), trial({}, RUNGS[0], 60.0)
    assert best_of([better, fast], "P@5") is better
    assert best_of([worse, better], "P@5", -1) is better
    less, more = (trial({}, RUNGS[0], 0)._replace(figures={"ECE@1": ece}) for ece in (0.011, 0.013))
    assert best_of([more, less._replace(seconds=2.0)], "ECE@1", -1).figures["ECE@1"] == 0.011
    assert best_of([better._replace(error="no")], "P@5") is None


def test_figures_of_several_parts_held_out_are_means_over_the_parts():
    trials = [trial({}, rung, 10.0 * n, float(n)) for n, rung in enumerate(AGAIN, 1)]
    own = joined(trials)
    assert own.parts == (0, 1, 2)
    assert own.figures["P@5"] == pytest.approx((20 + 2 * 30) / 3)
    assert own.seconds == pytest.approx((2 + 2 * 3) / 3)
    assert joined(trials[:1]) is trials[0]
    assert joined([*trials[:2], trials[2]._replace(error="no")]).error == "no"


def test_defaults_that_fit_on_all_rows_only_once_are_an_answer():
    own = halver(rungs=AGAIN)
    assert on(own.next([], 15)) == AGAIN[0]  # 3 and 11 s; other rows held out would be 22 more
    up = [trial({}, AGAIN[0], 50.0, 3.0)]
    assert on(own.next(up, 12)) == AGAIN[1]
    assert own.next([*up, trial({}, AGAIN[1], 50.0, 9.0)], 1) is None
    assert own.needed_first(up) == pytest.approx(3 * 3**1.2)


SPACES = {
    "texts": Space(None, 5000, "PSP@5", {"language": "en"}),
    "texts, fixed": Space(None, 40, "P@5", {"method": "one-vs-all", "C": 3.0}),
    "matrices": Space(50, 5000, "P@5", {}),
    "matrices, fixed": Space(50, 40, "P@5", {"beam_size": 7}),
    "low rank": Space(50, 5000, "P@5", {"method": "low-rank"}),  # of 100 settings in all
}


@pytest.mark.parametrize("name", SPACES)
def test_all_that_is_tried_makes_a_model_and_holds_what_is_fixed(name, rng):
    own, seen = SPACES[name], set()
    for settings in own.first():
        for _ in range(60):
            model_of(settings, RUN, own.of_texts)
            assert settings.items() >= own.fixed.items()
            assert own.plain(settings) == settings
            seen.add(key_of(settings))
            settings = own.stepped(settings, rng)
    assert len(seen) > (30 if name == "low rank" else 100)


def test_defaults_are_never_written_down():
    defaults = {f.name: f.default for of in (LabelTreeParams, TextParams) for f in fields(of)}
    own = Space(None, 5000, "P@5", {})
    assert own.plain({**defaults, "method": None, "rerank": "auto", "costs": None}) == {}
    assert own.plain({"costs": "equal"}) == {"costs": "equal"}  # one-vs-all has others by itself
    assert own.plain({"costs": "equal", "method": "tree"}) == {"method": "tree"}
    assert own.plain({"method": "tree", "rerank": False}) == {"rerank": False}


def test_settings_that_change_nothing_are_left_out():
    own = Space(50, 5000, "P@5", {})
    assert own.plain({"max_leaf_size": 50}) == {}  # a shallow tree's leaves come of its arity
    assert len(own.plain({"max_leaf_size": 50, "tree": "balanced"})) == 2
    one = {"method": "one-vs-all"}
    assert own.plain({**one, "n_trees": 3, "beam_size": 5}) == one
    assert own.plain({"method": "reranked", "C": 2.0}) == {"method": "reranked"}
    low = {"method": "low-rank", "implicit_weight": 0.3}
    assert own.plain(low) == {"method": "low-rank"}  # which weighs all alike in closed form
    assert len(own.plain({**low, "factorization": "als"})) == 3


@pytest.mark.parametrize(
    "of, name, beside",
    [
        (50, "tail_share", {"calibration": "isotonic"}),
        (50, "costs", {"solver": "liblinear"}),
        (None, "rerank", {"method": "reranked"}),
    ],
    ids=lambda own: own if isinstance(own, str) else "",
)
def test_what_does_not_go_together_is_not_tried(of, name, beside, rng):
    own = Space(of, 5000, "P@5", beside)
    seen = own.first()
    for _ in range(200):
        seen.append(own.stepped(seen[rng.integers(len(seen))], rng))
    assert not any(name in settings for settings in seen)
    assert len({key_of(settings) for settings in seen}) > 10


def test_a_setting_that_only_another_kind_has_chooses_it():
    own = Space(50, 5000, "P@5", {"neighbors": False})
    assert own.first()[0] == {"method": "reranked", "neighbors": False}


def test_only_kinds_of_models_are_tried_that_have_what_is_fixed():
    assert Space(50, 40, "P@5", {"beam_size": 7}).methods == ["tree"]
    assert Space(50, 40, "P@5", {"C": 2.0}).methods == ["tree", "one-vs-all"]
    assert Space(None, 40, "P@5", {"min_df": 2}).methods == ["tree", "one-vs-all", "reranked"]


def test_pairs_are_tried_where_features_are_few():
    few, many = (Space(n, 40, "P@5", {}) for n in (1000, 1001))
    names = [{choice.name for choice in own.choices} for own in (few, many)]
    assert names[0] - names[1] == {"pairs"} and "tfidf" in names[1]
    assert any("pairs" in own for own in few.first())
    assert not any("pairs" in own for own in many.first())
    assert Space(1001, 40, "P@5", {"pairs": 0.5}).first()[0] == {"pairs": 0.5}
    texts = Space(None, 40, "P@5", {})
    assert not {"tfidf", "pairs"} & {choice.name for choice in texts.choices}


def test_with_pairs_a_training_is_another_kind_that_takes_longer():
    own = halver()
    trials = [trial({}, rung, 50.0) for rung in RUNGS]
    one = {"method": "one-vs-all"}
    way = halving.Way({**one, "pairs": 0.7}, [])
    trials.append(trial(one, RUNGS[0], 60.0, 0.5))
    assert own.needed(halving.Way({**one, "C": 2.0}, []), own.ways(trials), 1) == 0.5
    assert own.needed(way, own.ways(trials), 1) == RUNGS[0].n_rows * PACE


def told(found):
    return [(t.settings, on(t), t.figures, t.n_bytes) for t in found.trials]


def test_a_search_that_goes_on_makes_the_trials_of_one_that_was_not_stopped(small_rungs, tmp_path):
    whole = tune(X, Y, tmp_path / "a", n_trials=7)
    tune(X, Y, tmp_path / "b", n_trials=3)
    lines = []
    parts = tune(X, Y, tmp_path / "b", n_trials=7, tell=lines.append)
    assert told(parts) == told(whole)
    assert lines[0] == f"goes on after 3 trials in {tmp_path / 'b'}"
    assert [line.split(",")[0] for line in lines[1:]] == [f"trial {n}" for n in (4, 5, 6, 7)]
    kept = (tmp_path / "b" / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["settings"] for line in kept] == [t.settings for t in whole.trials]
    assert {t.n_rows for t in whole.trials} == {90, 270}


def test_the_best_is_a_trial_on_all_rows_and_its_model_has_its_figures(tmp_path):
    found = tune(X, Y, tmp_path / "t", n_trials=6)
    assert found.best.parts == (0, 1, 2, 3, 4)
    order, shares = np.random.default_rng(0).permutation(300), []
    for held in np.sort(order[:150].reshape(5, 30)):
        kept = np.setdiff1d(np.arange(300), held)
        best = clone(found.model).fit(X[kept], Y[kept]).predict_topk(X[held], 5).labels
        true = planted.row_sets(Y[held])
        shares += [len(set(own) & t) / 5 for own, t in zip(best, true, strict=True)]
    assert found.best.figures["P@5"] == pytest.approx(100 * np.mean(shares))
    assert found.defaults.settings == {}
    assert found.best.figures["P@5"] >= found.defaults.figures["P@5"]


def test_texts_are_searched_and_settings_stay_fixed(tmp_path, few_trees):
    texts, labels = named_texts(200, 0)
    fixed = {"rerank": False, "opening": 0}
    found = tune(texts, labels, tmp_path / "t", settings=fixed, n_trials=5, metric="nDCG@3")
    assert all(t.settings.items() >= fixed.items() for t in found.trials)
    assert len({t.key for t in found.trials}) == 3
    assert type(found.model.fit(texts, labels).classifier_).__name__ in (
        "LabelTreeClassifier",
        "OneVsAllClassifier",
    )


@pytest.mark.parametrize("of_texts", [False, True])
def test_what_is_tried_first_is_compiled_before_it_is_timed(
    monkeypatch, tmp_path, few_trees, of_texts
):
    rows, labels = named_texts(60, 0) if of_texts else (X[:60], Y[:60])
    fitted, teach = [], LabelledRows.teach

    def made(settings, *how):
        model = model_of(settings, *how)
        model.settings = settings
        return model

    def noted(own, model, **how):
        done = teach(own, model, **how)
        fitted.append(model.settings)
        return done

    def timed(own, *job):
        assert all(any(known.items() >= tried.items() for known in fitted) for tried in most)
        raise KeyboardInterrupt

    first = Space(None if of_texts else X.shape[1], 40, "P@5", {}).first()
    most = [{key: own[key] for key in own if key != "min_df"} for own in first]
    monkeypatch.setattr(search, "model_of", made)
    monkeypatch.setattr(LabelledRows, "teach", noted)
    monkeypatch.setattr(search._Search, "run", timed)
    with pytest.raises(KeyboardInterrupt):
        tune(rows, labels, tmp_path / "t")


def test_settings_that_fail_are_kept_as_such_and_the_search_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(space, "FIRST_OF_MATRICES", ({}, {"memory": 1}, {"n_trees": 3}))
    found = tune(X, Y, tmp_path / "t", n_trials=5)
    assert "memory" in found.trials[3].error and found.trials[3].figures == {}
    assert [t.settings for t in found.trials] == [{}, {}, {}, {"memory": 1}, {"n_trees": 3}]
    assert not found.best.error
    assert told(tune(X, Y, tmp_path / "t", n_trials=5)) == told(found)


def test_a_repeat_that_fails_leaves_what_was_found_before(monkeypatch, tmp_path):
    own = search._Search._trained

    def trained(self, settings, n_rows, part, folder):
        if part:
            raise MemoryError
        return own(self, settings, n_rows, part, folder)

    monkeypatch.setattr(search._Search, "_trained", trained)
    found = tune(X, Y, tmp_path / "t", n_trials=2)
    assert [t.error for t in found.trials] == ["", "no memory is left"]
    assert found.best == found.defaults == found.trials[0]


def test_settings_whose_forecast_has_no_room_are_not_begun(monkeypatch, tmp_path):
    def forecast(*given):
        raise MemoryError

    monkeypatch.setattr(OneVsAllClassifier, "forecast", forecast)
    found = tune(X, Y, tmp_path / "t", n_trials=12, budget=1e6)
    methods = [t.settings.get("method") for t in found.trials]
    assert "one-vs-all" not in methods and len(methods) == 12


def test_numbers_of_numpy_and_one_weight_for_all_rows_are_as_any_others(tmp_path):
    given = {"settings": {"n_trees": np.int64(2), "C": np.float32(2)}, "n_trials": 1}
    once = tune(X, Y, tmp_path / "t", random_state=np.int64(3), valid=np.float32(0.25), **given)
    plain = {"settings": {"n_trees": 2, "C": 2.0}, "n_trials": 1}
    again = tune(X, Y, tmp_path / "t", random_state=3, valid=0.25, **plain)
    assert told(once) == told(again)
    weighed = tune(X, Y, tmp_path / "w", sample_weight=1.0, n_trials=1)
    assert told(weighed) == told(tune(X, Y, tmp_path / "n", n_trials=1))


def test_names_come_by_id_as_for_a_fit():
    texts, labels = ["a", "b", "c"], [["x"], ["y"], ["x", "y"]]
    data = as_labelled_rows(texts, labels, None, {"y": "Why", "z": "Zed"}, None)
    assert (data.label_ids, data.label_names) == (["x", "y"], ["x", "Why"])
    with pytest.raises(DataError, match="label_names by id needs label_ids"):
        as_labelled_rows(X, Y, None, {"y": "Why"}, None)


def test_if_the_defaults_fail_so_does_the_search(tmp_path):
    with pytest.raises(DataError, match="memory"):
        tune(X, Y, tmp_path / "t", settings={"memory": 1})
    assert not (tmp_path / "t" / "trials.jsonl").exists()


@pytest.mark.parametrize("metric", ["macro-R@5", "ECE@1", "coverage@2", "PSP@05", "ECE@03"])
def test_every_metric_can_be_searched_for(tmp_path, metric):
    found = tune(X, Y, tmp_path / "t", metric=metric, n_trials=1)
    model = model_of({}, RUN).fit(*(planted_rows[~HELD] for planted_rows in (X, Y)))
    wanted = scorer(metric)(model, X[HELD], Y[HELD])
    as_percent = -1 if metric.startswith("ECE") else 100
    name = metric.replace("@0", "@")
    assert found.metric == name
    assert found.best.figures[name] == pytest.approx(as_percent * wanted)


def test_the_plot_has_a_mark_for_each_trial_in_both_panels(small_rungs, tmp_path):
    found = tune(X, Y, tmp_path / "t", n_trials=6)
    drawn = (tmp_path / "t" / "trials.svg").read_text()
    times = Counter(t.key for t in found.trials)
    through = [key for key, n in times.items() if n == max(times.values())]
    n_others = sum(t.key not in through or t.n_rows < 270 for t in found.trials)
    n_named = 1 + (found.best.key != found.defaults.key)
    assert drawn.count('r="6.5"') == 2 * n_named
    assert drawn.count('r="4.5"') == 2 * (len(through) + n_named) + 1  # and one of the legend
    assert drawn.count('r="3"') == 2 * n_others + 1
    assert n_others > 0


@pytest.mark.parametrize("name", ["trials.svg", "trials.jsonl"])
@pytest.mark.parametrize("make, got", [(Path.mkdir, "a folder"), (os.mkfifo, "something else")])
def test_what_is_no_file_is_refused_before_any_trial(tmp_path, monkeypatch, name, make, got):
    tune(X, Y, tmp_path / "t", n_trials=1)
    path = tmp_path / "t" / name
    path.unlink()
    make(path)
    monkeypatch.delattr(search._Search, "run")
    with pytest.raises(DataError, match=f"{name}: expected a file, got {got}$"):
        tune(X, Y, tmp_path / "t", n_trials=2)


@pytest.mark.parametrize("sign", [1, -1])
def test_names_in_the_plot_lie_on_sides_that_the_other_mark_is_not_on(sign):
    less, more = trial({}, RUNGS[0], 50.0), trial({"C": 2.0}, RUNGS[0], 50.01)
    best, defaults = (more, less) if sign > 0 else (less, more)
    drawn = str(plot([less, more], [less, more], "P@5", best, defaults, sign))
    for panel in (0, 1):
        y = {
            told: float(re.findall(f'y="([0-9.]+)"[^>]*>{told}<', drawn)[panel])
            for told in ("best", "defaults")
        }
        assert sign * (y["defaults"] - y["best"]) > 25
    assert str(plot([less], [less], "P@5", less, less)).count(">best: the defaults<") == 2


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (38.4, 49.0, ["40", "42", "44", "46", "48"]),
        (73.2, 74.2, ["73.2", "73.4", "73.6", "73.8", "74.0", "74.2"]),
        (-0.022, 0.295, ["0.00", "0.05", "0.10", "0.15", "0.20", "0.25"]),
        (0.0, 100.0, ["0", "20", "40", "60", "80", "100"]),
    ],
)
def test_numbers_on_an_axis_are_round(low, high, told):
    assert [own for _, own in rounded(low, high)] == told


def test_the_front_are_the_points_that_none_beats():
    points = [(3.0, 5.0), (1.0, 2.0), (2.0, 2.0), (1.0, 1.0), (4.0, 5.0), (2.0, 4.0)]
    assert front_of(points) == [1, 5, 0]
    assert front_of([]) == []


def test_a_line_that_was_cut_off_is_run_again(tmp_path):
    whole = tune(X, Y, tmp_path / "t", n_trials=3)
    path = tmp_path / "t" / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert told(tune(X, Y, tmp_path / "t", n_trials=3)) == told(whole)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_trial_whose_line_is_taken_out_is_run_again(tmp_path, n):
    whole = tune(X, Y, tmp_path / "t", n_trials=3)
    path = tmp_path / "t" / "trials.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for at, line in enumerate(lines) if at != n))
    again = tune(X, Y, tmp_path / "t", n_trials=3)
    assert sorted(told(again), key=str) == sorted(told(whole), key=str)
    assert again.best.figures == whole.best.figures
    assert again.best.parts == whole.best.parts == (0, 1, 2, 3, 4)


def test_a_line_that_is_there_twice_counts_once(tmp_path):
    whole = tune(X, Y, tmp_path / "t", n_trials=2)
    path = tmp_path / "t" / "trials.jsonl"
    path.write_text(2 * path.read_text())
    assert tune(X, Y, tmp_path / "t", n_trials=4).best.figures == whole.best.figures


def test_if_the_defaults_fail_on_all_rows_that_is_told(small_rungs, tmp_path, monkeypatch):
    train = search._Search._trained

    def failing(self, settings, n_rows, part, folder):
        if n_rows == 270:
            raise MemoryError
        return train(self, settings, n_rows, part, folder)

    monkeypatch.setattr(search._Search, "_trained", failing)
    with pytest.raises(DataError) as error:
        tune(X, Y, tmp_path / "t", n_trials=2)
    assert str(error.value) == "tune: training on 270 rows failed: no memory is left"


def test_a_full_disk_ends_the_search_and_is_no_failure_of_settings(tmp_path, monkeypatch):
    tune(X, Y, tmp_path / "t", n_trials=1)
    before = (tmp_path / "t" / "trials.jsonl").read_bytes()

    def full(*args, **how):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tensors, "write", full)
        with pytest.raises(DataError) as error:
            tune(X, Y, tmp_path / "t", n_trials=2)
    place = tmp_path / "t" / "model"
    assert str(error.value) == f"{place}: can't be written: No space left on device"
    assert (tmp_path / "t" / "trials.jsonl").read_bytes() == before
    assert not any(own.error for own in tune(X, Y, tmp_path / "t", n_trials=2).trials)


def test_a_trial_that_can_not_be_kept_is_told(tmp_path):
    (tmp_path / "trials.jsonl").symlink_to("/dev/full")
    with pytest.raises(DataError) as error:
        keep(tmp_path, trial({}, RUNGS[0], 50.0))
    place = tmp_path / "trials.jsonl"
    assert str(error.value) == f"{place}: can't be written: No space left on device"


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder that keeps a search on the planted rows."""
    folder = tmp_path_factory.mktemp("begun") / "t"
    tune(X, Y, folder, n_trials=1)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": planted.X_TEST, "labels": planted.Y_TEST}, "keeps a tuning on other labels; "),
        ({"labels": Y[:, ::-1]}, "keeps a tuning on other labels; "),
        ({"metric": "P@1"}, "keeps a tuning with metric='P@5', this one has 'P@1'; "),
        ({"valid": 0.2}, "keeps a tuning with valid=0.1, this one has 0.2; "),
        ({"random_state": 1}, "keeps a tuning with seed=0, this one has 1; "),
        ({"settings": {"C": 2.0}}, "keeps a tuning with C=None, this one has 2.0; "),
    ],
)
def test_another_search_is_refused(begun, change, message):
    given = {"rows": X, "labels": Y} | change
    before = (begun / "trials.jsonl").read_bytes()
    with pytest.raises(ModelError) as error:
        tune(given.pop("rows"), given.pop("labels"), begun, n_trials=1, **given)
    rest = "give another folder, or remove this one"
    assert str(error.value) == f"{begun}: {message}{rest}"
    assert (begun / "trials.jsonl").read_bytes() == before


@pytest.mark.parametrize("line", ["{", "[]", '{"settings": {}}', '{"n_rows": "a"}', "[" * 9999])
def test_a_damaged_line_is_refused_with_its_number(begun, tmp_path, line):
    tune(X, Y, tmp_path / "t", n_trials=1)
    with open(tmp_path / "t" / "trials.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(ModelError) as error:
        tune(X, Y, tmp_path / "t")
    place = f"{tmp_path / 't' / 'trials.jsonl'}:2: expected a trial as JSON, got {quoted(line)}"
    assert str(error.value) == f"{place}; without the line, it is run again"


IMPOSSIBLE = (
    {"n_rows": 0},
    {"n_rows": 269},
    {"n_rows": 270.0},
    {"parts": []},
    {"parts": [9]},
    {"figures": {}},
    {"figures": {"P@1": 50.0}},
    {"figures": {"P@5": float("nan")}},
    {"figures": {"P@5": float("inf")}},
    {"figures": {"P@5": 10**400}},
    {"seconds": float("inf")},
    {"spent": -1e9},
    {"spent": 10**400},
    {"n_bytes": "1"},
    {"error": 5},
    {"error": "it failed, and yet there are figures"},
    {"settings": {"depth": 1}},
    {"settings": {"n_trees": -3}},
    {"settings": {"C": {"a": 1}}},
    {"settings": {"method": "forest"}},
    {"settings": {"method": "one-vs-all", "n_trees": 3}},
)


@pytest.mark.parametrize("change", IMPOSSIBLE, ids=str)
def test_a_trial_that_can_not_have_been_is_refused_with_its_number(begun, tmp_path, change):
    shutil.copytree(begun, tmp_path / "t")
    path = tmp_path / "t" / "trials.jsonl"
    path.write_text(json.dumps(json.loads(path.read_text()) | change) + "\n")
    with pytest.raises(ModelError, match=r"trials.jsonl:1: expected a trial as JSON, got "):
        tune(X, Y, tmp_path / "t", n_trials=2)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ModelError, match="expected a checkpoint or an empty folder, got another"):
        tune(X, Y, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"depth": 3}}, "tune: there is no setting 'depth' of such rows"),
        ({"settings": {"min_df": 3}}, "tune: there is no setting 'min_df' of such rows"),
        ({"settings": {"n_jobs": 3}}, "tune: there is no setting 'n_jobs' of such rows"),
        ({"settings": {"method": "forest"}}, "method must be one of 'tree', "),
        (
            {"settings": {"rank": 5}},
            "tune: none of tree, one-vs-all, reranked has rank; give a method that does",
        ),
        (
            {"settings": {"beam_size": 5, "neighbors": True}},
            "tune: none of tree, one-vs-all, reranked has beam_size, neighbors; give a method that",
        ),
        (
            {"settings": {"method": "one-vs-all", "beam_size": 5}},
            "tune: method 'one-vs-all' has no beam_size",
        ),
        (
            {"settings": {"tree": planted}},
            "tune: tree must be a value that a file can keep, got module",
        ),
        ({"settings": {"C": -1}}, "LabelTreeClassifier: C must be "),
        ({"metric": "accuracy"}, "scorer: expected one of P, nDCG, "),
        ({"metric": "P@41"}, "tune: metric must have a k of at most 40, the number of labels, got"),
        ({"n_trials": 0}, "tune: n_trials must be at least 1, as the defaults are tried on 270 "),
        ({"n_trials": 2.5}, "tune: n_trials must be an int or None, got 2.5"),
        ({"budget": np.nan}, "tune: budget must be a finite number of seconds > 0, got nan"),
        ({"budget": np.inf}, "tune: budget must be a finite number of seconds > 0, got inf"),
        ({"budget": -1.0}, "tune: budget must be a finite number of seconds > 0, got -1.0"),
        ({"budget": "15m"}, "tune: budget must be a finite number of seconds > 0, got '15m'"),
        ({"valid": np.nan}, "tune: valid must be a number > 0 and < 1, got nan"),
        ({"valid": 0}, "tune: valid must be a number > 0 and < 1, got 0"),
        ({"random_state": None}, "tune: random_state must be an int >= 0, got None"),
        ({"random_state": -1}, "tune: random_state must be an int >= 0, got -1"),
        ({"valid": 0.999}, "tune: expected rows left to train on, --valid 0.999 holds 300 of 300"),
        ({"rows": X[:19], "labels": Y[:19]}, "tune: expected at least 20 rows, to hold some "),
        ({"rows": X[:30]}, "tune: expected labels for 30 rows, got 300"),
        ({"labels": sp.csr_matrix(Y.shape)}, "tune: expected labels in rows held out, got 30 "),
        ({"budget": 1e-9}, "tune: expected a budget for one training on 270 rows, about "),
    ],
)
def test_what_can_not_be_searched_is_refused(tmp_path, change, message):
    given = {"rows": X, "labels": Y} | change
    with pytest.raises((DataError, ParameterError)) as error:
        tune(given.pop("rows"), given.pop("labels"), tmp_path / "t", **given)
    assert str(error.value).startswith(message)
    assert not (tmp_path / "t" / "trials.jsonl").exists()
