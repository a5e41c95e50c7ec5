"""What each request may hold, and the limits."""

from __future__ import annotations

from .fields import Field, ListOf, Record, Row, Text, Whole

MOST_BYTES = 10_000_000  # of a body
MOST_ITEMS = 1_000  # texts or rows of a request
MOST_K = 1_000  # labels for each
MOST_LABELS = 100_000  # of an answer, all together
MOST_IDS = 1_000  # accepted or rejected at once
MOST_EXPLAINED = 100_000  # characters of a text that is explained

K = Field(Whole(1, MOST_K), "How many labels, best first; all if there are fewer.", 5)
MODEL = Field(Text(), "The model, by the name that /models tells; needed if there are several.")
TEXT = Field(Text(), "A text to label.")
ROW = Field(Row(), "A row of features, for a model of matrices.")

PREDICT = Record(
    {
        "text": TEXT,
        "texts": Field(ListOf(Text(), MOST_ITEMS, 1), "Several texts, each with its own answer."),
        "rows": Field(ListOf(Row(), MOST_ITEMS, 1), "Rows of features, for a model of matrices."),
        "k": K,
        "model": MODEL,
    },
    one_of=("text", "texts", "rows"),
)
EXPLAIN = Record(
    {
        "text": Field(Text(MOST_EXPLAINED), "A text that was labelled."),
        "row": ROW,
        "label": Field(Text(), "The id of the label to explain; without one, the best k are."),
        "k": K,
        "model": MODEL,
    },
    one_of=("text", "row"),
)
FEEDBACK = Record(
    {
        "text": Field(Text(), "The text that was labelled.", required=True),
        "accepted": Field(ListOf(Text(), MOST_IDS), "Ids of labels that are right.", []),
        "rejected": Field(ListOf(Text(), MOST_IDS), "Ids of labels that are wrong.", []),
        "model": MODEL,
    }
)
