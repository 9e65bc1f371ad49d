"""Studies of what each part of a method brings: a grid of runs, their order, their tables."""
