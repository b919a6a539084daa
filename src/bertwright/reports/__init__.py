"""Figures drawn from a run."""
