"""Checkpoint files: written whole, read as data, compared with the model that takes them."""
