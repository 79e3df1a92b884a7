"""kdflow: what does a small student gain from a teacher under a restricted number of epochs?

`config` holds every option, `data`, `models` and `distillers` the things that are chosen by name, `train` the one
training loop, `tracking` everything MLflow, and `study` puts them together: a teacher, a cohort of students, a
comparison. `cli` is the same from a shell.
"""

__version__ = "0.1.0"
