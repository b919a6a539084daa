"""Checkpoints: Hugging Face folders in and out, run folders, atomic and verified writing."""
