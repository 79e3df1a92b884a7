"""What a student takes from relations between the images of a batch."""
