"""Evidence for a label of a row beside the base model, and the stage that weighs it."""
