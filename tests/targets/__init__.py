"""Servers that take exactly what their documentation says, and fail the test at all else."""
