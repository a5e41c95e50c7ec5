"""What docs/scikit_learn.md says of keeping models: pickles, and folders within pipelines."""

import pickle

import joblib
import numpy as np
import pytest
from planted import X_TEST, X, Y, same_answer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler
from sklearn.utils.validation import check_is_fitted

from xmc import OneVsAllClassifier, TextClassifier, Vocabulary, load

TEXTS = ["a red apple", "green grass", "a blue plum", "a red rose"] * 4
LABELS = [["fruit", "red"], ["green"], ["fruit"], ["red"]] * 4
NAMES = Vocabulary.of([("fruit", "Fruit", "preferred", None), ("red", "Red", "preferred", None)])
ONE_VS_ALL = OneVsAllClassifier(random_state=0)
TEXT_MODELS = {
    "words": TextClassifier(ONE_VS_ALL, min_df=1, opening=0),
    "stems": TextClassifier(ONE_VS_ALL, min_df=1, analyzer="stems+chars", language="en"),
    "stage": TextClassifier(ONE_VS_ALL, min_df=1, rerank=True, vocabulary=NAMES),
}


@pytest.fixture(scope="module", params=TEXT_MODELS)
def model(request):
    return TEXT_MODELS[request.param].fit(TEXTS, LABELS)


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def test_a_pickled_model_of_texts_answers_the_same(model):
    again = pickled(model)
    assert same_answer(again.predict_topk(TEXTS, 3), model.predict_topk(TEXTS, 3))
    assert again.suggest(TEXTS[0], 2) == model.suggest(TEXTS[0], 2)
    assert again.explain(TEXTS[0], "red").to_dict() == model.explain(TEXTS[0], "red").to_dict()


def test_a_loaded_model_can_be_pickled_and_a_pickled_one_saved(model, tmp_path):
    model.save(tmp_path / "model")
    pickled(load(tmp_path / "model")).save(tmp_path / "again")
    for name in ("model.json", "arrays.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_an_unfitted_model_is_pickled_with_its_settings():
    for model in (ONE_VS_ALL, TextClassifier(ONE_VS_ALL, min_df=7)):
        assert repr(pickled(model)) == repr(model)


def test_a_ranker_can_be_sent_to_another_process(model):
    rank = model.ranker()
    assert same_answer(pickled(rank)(TEXTS[0], 2), rank(TEXTS[0], 2))


def test_joblib_keeps_a_model_with_arrays_mapped(model, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert same_answer(again.predict_topk(TEXTS, 3), model.predict_topk(TEXTS, 3))


def test_a_pipeline_is_put_together_around_a_loaded_model(tmp_path):
    whole = make_pipeline(MaxAbsScaler(), ONE_VS_ALL).fit(X, Y)
    joblib.dump(whole[:-1], tmp_path / "features.joblib")
    whole[-1].save(tmp_path / "model")
    again = make_pipeline(joblib.load(tmp_path / "features.joblib"), load(tmp_path / "model"))
    check_is_fitted(again)
    assert abs(again.predict_proba(X_TEST) - whole.predict_proba(X_TEST)).nnz == 0


def test_a_loaded_model_of_texts_ends_a_pipeline(tmp_path):
    TextClassifier(ONE_VS_ALL, min_df=1).fit(TEXTS, LABELS).save(tmp_path / "model")
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = Pipeline([("lower", lower), ("model", load(tmp_path / "model"))])
    upper = [text.upper() for text in TEXTS]
    assert np.array_equal(pipeline.predict(upper).toarray(), pipeline.predict(TEXTS).toarray())
    assert pipeline.score(upper, LABELS) == 1
