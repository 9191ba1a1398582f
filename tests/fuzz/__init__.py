"""Wild input for a time: ``make fuzz MINUTES=30``."""
