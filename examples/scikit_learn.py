"""The estimators are scikit-learn's: pipelines, cross-validation, searches for settings."""

from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from xmc import OneVsAllClassifier
from xmc.datasets import load_sample

sample = load_sample()
X, Y = sample.X[::6], sample.Y[::6]

pipeline = make_pipeline(TfidfTransformer(sublinear_tf=True), OneVsAllClassifier(random_state=0))
grid = {
    "tfidftransformer__use_idf": [False, True],
    "onevsallclassifier__C": [0.1, 1.0],
}
search = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)  # by `score`, which is P@1

for settings, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"{100 * score:.1f}%", settings)
print("best:", search.best_params_)
print(f"P@1 on test rows: {100 * search.score(sample.X_test, sample.Y_test):.1f}%")
