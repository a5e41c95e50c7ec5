"""What a loaded model answers: labels by ids and names, rows by their features."""

import pandas as pd
import pytest
from planted import uncertain
from serving_tools import colours, numbers

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier, load
from xmc.serving.fields import Refused
from xmc.serving.loaded import Loaded


def test_labels_without_ids_are_called_by_their_numbers():
    model = Loaded(numbers(), 1)
    assert [model.place_of(label) for label in ("0", "2")] == [0, 2]
    for label in ("3", "-1", "01", "x", "²", "9" * 30):
        with pytest.raises(Refused, match="^label: expected the id of a label, got "):
            model.place_of(label)


def test_one_class_per_row_is_answered_by_its_name(tmp_path):
    texts = ["a red plum", "a blue sky", "the red one", "blue"]
    model = TextClassifier(min_df=1, rerank=False).fit(texts, ["red", "blue", "red", "blue"])
    model.save(tmp_path / "model")
    ((best,),) = Loaded(str(tmp_path / "model"), 1).answers(["red"], 1)
    assert (best["id"], best["name"]) == ("red", "red")


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_features_of_a_data_frame_go_by_their_names(tmp_path):
    X = pd.DataFrame({"width": [1.0, 0, 1, 0], "height": [0, 1.0, 0, 1]})
    LabelTreeClassifier(random_state=0).fit(X, [0, 1, 0, 1]).save(tmp_path / "model")
    model = Loaded(str(tmp_path / "model"), 1)
    rows = model.read("rows", [{"height": 2.0}, {"width": 1}])
    assert [row[0]["id"] for row in model.answers(rows, 1)] == ["1", "0"]
    with pytest.raises(Refused, match='^rows: expected the name of a feature, got "depth"'):
        model.read("rows", [{"depth": 1}])


def test_the_features_of_a_row_may_come_in_any_order():
    model = Loaded(numbers(), 1)
    rows = [{"5": 1.0, "0": 0.5, "3": 2.0}, {"0": 0.5, "3": 2.0, "5": 1.0}]
    one, other = model.answers(model.read("rows", rows), 3)
    assert one == other


def test_the_answers_are_the_model_s_own():
    found = load(colours()).suggest("a green apple", 3)
    (answers,) = Loaded(colours(), 1).answers(["a green apple"], 3)
    assert [(own["id"], own["name"]) for own in answers] == [own[:2] for own in found]


def test_no_answer_depends_on_what_others_ask(tmp_path):
    """Labels are best for many rows together where somebody has many; requests are answered one by
    one, however they are put together.
    """
    X, Y = uncertain(300, 0)
    model = OneVsAllClassifier(calibration="isotonic", optimize="coverage", random_state=0)
    model.fit(X, Y).save(tmp_path / "model")
    own = [(row.indices.tolist(), row.data.tolist()) for row in X[:20]]
    served = Loaded(str(tmp_path / "model"), 1)
    alone = [served.answers([row], 1)[0][0]["id"] for row in own]
    assert [found[0]["id"] for found in served.answers(own, 1)] == alone
    assert [str(label) for label in model.predict_topk(X[:20], 1).labels[:, 0]] != alone
