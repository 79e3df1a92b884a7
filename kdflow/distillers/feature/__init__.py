"""What a student takes from activations inside the teacher."""
