"""Where logs come in: one component a protocol."""
