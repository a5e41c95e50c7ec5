"""Texts in, names out: a TextClassifier owns a vectoriser, and ids and names of its labels."""

import tempfile

from xmc import OneVsAllClassifier, TextClassifier, load

texts = [
    "simple mail client for the terminal",
    "mail server with spam filter",
    "library to parse mail headers",
    "web browser with tabs",
    "small web server for static pages",
    "library for web requests",
    "terminal editor with syntax colours",
    "graphical editor for photos",
    "library to read photos and scans",
]
labels = [
    ["mail", "program"],
    ["mail", "server"],
    ["mail", "library"],
    ["web", "program"],
    ["web", "server"],
    ["web", "library"],
    ["program"],
    ["program", "image"],
    ["library", "image"],
]
names = {
    "mail": "E-mail",
    "web": "World Wide Web",
    "image": "Images",
    "program": "A program",
    "server": "A server",
    "library": "A library",
}
model = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1)
model.fit(texts, labels, label_names=names)

for text in ("library for mail", "small web server"):
    print(text)
    for suggestion in model.suggest(text, k=2):
        print(f"  {suggestion.score:.2f}  {suggestion.name} ({suggestion.id})")

# The folder holds the vectoriser and the names; `xmc predict FOLDER --text ...` takes it, too.
with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/model")
    top = load(f"{folder}/model").predict_topk(["parse mail"], k=1)
    print("after loading:", model.label_ids_[top.labels[0, 0]])
