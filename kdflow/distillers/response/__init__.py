"""What a student takes from the teacher's logits."""
