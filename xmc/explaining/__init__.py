"""Why a label is suggested: what a model knows of it, as people can read it."""
