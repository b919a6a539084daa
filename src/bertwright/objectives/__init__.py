"""What a model is pre-trained for."""
