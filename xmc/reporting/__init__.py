"""What a model does well and where it goes wrong: figures with intervals, pages and pictures."""
