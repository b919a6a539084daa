"""Trainings side by side on one machine: bertwright's and those of any other program, by speed, memory and loss against seconds."""
