"""Tokenizers and sentences."""
