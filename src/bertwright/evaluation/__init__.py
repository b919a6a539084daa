"""Losses and metrics on held-out text."""
