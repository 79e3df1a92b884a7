"""What teaches: a frozen network, its one forward for a whole cohort, and its kept logits."""
