"""Who may send, ask, and change: keys, what each route needs, and the sessions of browsers."""
