"""What a command does: study, session, resuming, trainings as MLflow runs, comparing, sync, doctor, the catalogue."""
