"""Ablation studies: a grid of runs with equal budgets, their execution, their tables."""
