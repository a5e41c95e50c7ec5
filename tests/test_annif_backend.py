"""The Annif backend of examples/annif, held against Annif itself where that is installed."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

annif = pytest.importorskip("annif", reason="Annif is not installed: pip install 'annif>=1.4'")
pytest.importorskip("nltk")

from annif.backend import get_backend  # noqa: E402
from annif.corpus import Document, SubjectSet  # noqa: E402
from annif.corpus.document import DocumentList  # noqa: E402
from annif.exception import (  # noqa: E402
    AnnifException,
    ConfigurationException,
    NotInitializedException,
    NotSupportedException,
)
from annif.vocab.subject_index import SubjectIndexFile  # noqa: E402
from annif.vocab.types import Subject  # noqa: E402

HERE = Path(__file__).resolve().parent.parent / "examples" / "annif"
SUBJECTS = ["apples", "bridges", "castles", "dances", "engines", "forests"]
RETIRED = len(SUBJECTS)  # a subject that the vocabulary no longer has
TEXTS = {subject: f"all about {subject} and old {subject} of the country" for subject in SUBJECTS}
DOCUMENTS = [
    Document(f"{TEXTS[subject]}, volume {n} with {SUBJECTS[n % 6]}", SubjectSet({own, n % 6}))
    for n in range(10)
    for own, subject in enumerate(SUBJECTS)
]


class Words:
    """An analyzer that needs no data from elsewhere: words in lower case, without their s."""

    def tokenize_words(self, text):
        return [word.strip(",").removesuffix("s") for word in text.lower().split()]


@pytest.fixture(scope="module")
def xmc_type():
    sys.path.insert(0, str(HERE))  # as ANNIF_CONFIG=xmc_backend.Config finds it
    try:
        importlib.import_module("xmc_backend")
        yield get_backend("xmc")
    finally:
        sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def subjects():
    index = SubjectIndexFile()
    for name in SUBJECTS:
        index.append(Subject(uri=f"http://example.org/{name}", labels={"en": name}, notation=None))
    index.append(Subject(uri="http://example.org/retired", labels=None, notation=None))
    return index


@pytest.fixture
def backend(xmc_type, subjects, tmp_path):
    def made(**params):
        project = SimpleNamespace(subjects=subjects, analyzer=Words(), datadir=str(tmp_path))
        return xmc_type("xmc", params, project)

    return made


@pytest.fixture
def trained(backend):
    def made(**params):
        own = backend(**params)
        own.train(DocumentList(DOCUMENTS), jobs=1)
        return own

    return made


def asked(backend, *texts, **params):
    """For each text the subjects and scores that Annif shows, best first."""
    batch = backend.suggest([Document(text) for text in texts], params)
    return [[(int(own.subject_id), own.score) for own in result] for result in batch]


def test_the_best_subject_is_what_the_text_is_about(trained):
    found = asked(trained(), *TEXTS.values())
    assert [own[0][0] for own in found] == list(range(len(SUBJECTS)))
    assert all(0 < score <= 1 for own in found for _, score in own)


def test_the_analyzer_of_the_project_decides_what_is_one_word(trained):
    backend = trained(opening=0)
    assert asked(backend, "castle") == asked(backend, "castles") != asked(backend, "castling")


def test_a_model_that_was_saved_answers_as_the_one_that_was_trained(trained, backend):
    before = asked(trained(), *TEXTS.values())
    assert asked(backend(), *TEXTS.values()) == before


def test_training_again_from_the_cache_gives_the_same_model(trained, backend):
    before = asked(trained(), *TEXTS.values())
    again = backend()
    again.train("cached", jobs=1)
    assert asked(again, *TEXTS.values()) == before


def test_no_document_is_held_in_files_of_text_and_annif_sees_that_it_is_trained(trained, backend):
    assert not backend().is_trained
    own = trained()
    assert own.is_trained
    kept = {path.name for path in Path(own.datadir).iterdir()}
    assert kept == {"vectorizer", "xmc-model", "xmc-train-X.npz", "xmc-train-Y.npz"}


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_a_limit_keeps_the_best(trained, limit):
    backend = trained(calibration="none")
    every = asked(backend, TEXTS["bridges"])[0]
    assert len(every) > 3
    assert asked(backend, TEXTS["bridges"], limit=limit)[0] == every[:limit]


def test_one_batch_answers_as_its_documents_one_by_one(trained):
    backend = trained()
    one_by_one = [asked(backend, text)[0] for text in TEXTS.values()]
    assert asked(backend, *TEXTS.values()) == one_by_one


def test_a_text_without_a_known_word_has_no_subject(trained):
    found = asked(trained(), "xyzzy", TEXTS["dances"], "")
    assert [len(own) > 0 for own in found] == [False, True, False]


def test_a_subject_that_is_retired_after_training_is_not_suggested(trained, backend, subjects):
    own = trained()
    assert asked(own, TEXTS["engines"])[0][0][0] == SUBJECTS.index("engines")
    fewer = SubjectIndexFile()
    for n in range(len(subjects)):
        gone = n in (RETIRED, SUBJECTS.index("engines"))
        known = subjects._subjects[n]
        fewer.append(known._replace(labels=None) if gone else known)
    later = backend()
    later.project.subjects = fewer
    found = asked(later, TEXTS["engines"])[0]
    assert found and SUBJECTS.index("engines") not in dict(found)


def test_a_vocabulary_that_lost_subjects_needs_a_new_training(trained, backend):
    trained()
    later = backend()
    later.project.subjects = SubjectIndexFile()
    with pytest.raises(AnnifException, match="the vocabulary has 0 subjects, the model was"):
        asked(later, "apples")


def test_equal_scores_keep_their_order_though_annif_sorts_by_score(xmc_type):
    from xmc.topk import TopK

    module = sys.modules[xmc_type.__module__]
    labels = np.array([[4, 0, 2, -1]], np.int32)
    scores = np.array([[0.5, 0.5, 0.5, -np.inf]], np.float32)
    array = module.score_array(TopK(labels, scores), labels >= 0, 6)
    assert array.shape == (1, 6) and array.has_sorted_indices
    assert array.indices[np.argsort(-array.data)].tolist() == [4, 0, 2]
    assert array.data == pytest.approx(0.5)


def test_a_new_subject_is_learned_without_a_new_training(backend, subjects):
    without = [doc for doc in DOCUMENTS if 5 not in doc.subject_set]
    own = backend()
    own.train(DocumentList(without), jobs=1)
    own.learn(DocumentList([doc for doc in DOCUMENTS if 5 in doc.subject_set]))
    for model in (own, backend()):
        model.initialize()
        found = asked(model, TEXTS["forests"], TEXTS["apples"])
        assert [best[0][0] for best in found] == [5, 0]
    X, Y = own.cached_matrices()
    assert (X.shape[0], Y.shape) == (len(DOCUMENTS), (len(DOCUMENTS), len(subjects)))


def test_learning_needs_a_training_and_documents(trained, backend):
    with pytest.raises(NotInitializedException):
        backend().learn(DocumentList(DOCUMENTS))
    own = trained()
    with pytest.raises(NotSupportedException, match="Cannot learn from no documents"):
        own.learn(DocumentList([]))


def test_calibration_changes_scores_and_no_order(trained):
    raw, calibrated = (
        asked(trained(calibration=kind), *TEXTS.values()) for kind in ("none", "isotonic")
    )
    assert [[s for s, _ in own] for own in raw] == [[s for s, _ in own] for own in calibrated]
    assert raw != calibrated


def test_few_documents_are_trained_on_without_calibration(backend, caplog):
    own = backend(min_df=1)
    with caplog.at_level("WARNING", logger="annif"):
        own.train(DocumentList(DOCUMENTS[:6]), jobs=1)
    assert "6 documents are too few to calibrate" in caplog.text
    assert asked(own, TEXTS["apples"])[0][0][0] == 0


def test_omikujis_names_shape_the_tree(trained):
    flat = trained(max_depth=1)._model
    assert [len(member.layers) for member in flat.members_] == [1]
    two = trained(cluster_balanced="True", cluster_k="2", max_depth="20", n_trees="2")._model
    assert (two.tree, two.arity, two.max_depth, len(two.members_)) == ("balanced", 2, 20, 2)


def test_collapsed_layers_are_refused(trained):
    with pytest.raises(ConfigurationException, match="collapse_every_n_layers must be 0"):
        trained(collapse_every_n_layers=5)


def test_what_xmc_refuses_annif_prints_in_one_line_before_anything_is_written(backend):
    own = backend(C=0)
    with pytest.raises(AnnifException, match="C must be a finite number >= 1e-09") as caught:
        own.train(DocumentList(DOCUMENTS))
    assert "\n" not in caught.value.format_message()
    assert list(Path(own.datadir).iterdir()) == []


def test_without_documents_there_is_no_training(backend):
    unlabelled = [Document("a text", SubjectSet())]
    for documents in ([], unlabelled):
        with pytest.raises(NotSupportedException, match="no documents"):
            backend().train(DocumentList(documents))


def test_before_training_there_is_no_answer_and_no_cache(backend):
    with pytest.raises(NotInitializedException):
        asked(backend(), "apples")
    with pytest.raises(NotInitializedException, match="xmc-train-X.npz not found"):
        backend().train("cached")


def test_hyperopt_recommends_lines_for_the_configuration(trained, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # Annif leaves the trials there
    optimizer = trained().get_hp_optimizer(DocumentList(DOCUMENTS[:12]), "NDCG")
    found = optimizer.optimize(n_trials=2, n_jobs=1, results_file=None)
    assert {line.partition("=")[0] for line in found.lines} == {"C", "costs", "cluster_k"}
    assert 0 < found.score <= 1


def test_annif_finds_the_backend_by_an_environment_variable(tmp_path):
    projects = tmp_path / "projects.cfg"
    projects.write_text("[p]\nname=p\nlanguage=en\nbackend=xmc\nanalyzer=simple\nvocab=v\n")
    own = {
        "ANNIF_CONFIG": "xmc_backend.Config",
        "ANNIF_PROJECTS": str(projects),
        "ANNIF_DATADIR": str(tmp_path / "data"),
        "PYTHONPATH": str(HERE),
    }
    command = [sys.executable, "-c", "from annif.cli import cli; cli()", "list-projects"]
    done = subprocess.run(
        command, env=os.environ | own, capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Could not create backend" not in done.stderr
