"""A search for the best values of a config: many short trainings, kept in a study of Optuna."""
