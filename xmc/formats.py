"""Names of file formats and their suffixes; imports nothing, because `xmc --help` reads it."""

FORMATS = ("npz", "xmc", "svmlight", "tsv", "text")
SUFFIXES = {".npz": "npz", ".tsv": "tsv", ".svm": "svmlight"}  # .txt is told by its first line
PREDICTION_FORMATS = ("npz", "tsv", "jsonl")
