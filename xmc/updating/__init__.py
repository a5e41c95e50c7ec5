"""New rows and labels for a trained model, and labels that go, without training it again."""
