"""How good a model is: metrics, each said once, and the scores of a finished run."""
