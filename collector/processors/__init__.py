"""What may change records, or take some out, between a receiver and the store."""
