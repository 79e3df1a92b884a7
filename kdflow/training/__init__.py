"""One training: the loop, a member, a cohort, schedules, checkpoints; without MLflow and without a journal."""
