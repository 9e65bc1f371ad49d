"""Changes to mmengine, each with its reason."""
