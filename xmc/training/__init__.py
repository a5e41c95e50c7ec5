"""Training: label trees, negatives, and the linear scorers of every level."""
