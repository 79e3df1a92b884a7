"""What a command does: study, session, resuming, trainings as MLflow runs, comparing, upkeep, the catalogue."""
