"""Measurements, run by ``make bench``; ratios within one run are what they are for."""
