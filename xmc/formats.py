"""Names of file formats and the suffixes that say them; a light module, as `xmc --help` needs it."""

FORMATS = ("npz", "xmc", "svmlight", "tsv", "text")
SUFFIXES = {".npz": "npz", ".tsv": "tsv", ".svm": "svmlight"}  # .txt is told by its first line
PREDICTION_FORMATS = ("npz", "tsv", "jsonl")
