"""Faults, and what is left after them: what was acknowledged, once."""
