"""The formats of results: registered classes that write the cells of an image."""
