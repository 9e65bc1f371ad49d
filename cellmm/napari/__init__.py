"""The napari plugin: results as editable layers, and a widget that runs, corrects, saves and fine-tunes.

Only ``widget`` needs Qt and napari; the rest is plain Python.
"""
