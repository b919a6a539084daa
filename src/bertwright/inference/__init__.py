"""A trained model at work: fill masks, encode text."""
