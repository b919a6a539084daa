"""A trained model at work: fills masks, writes, gives vectors, does the task it was trained for."""
