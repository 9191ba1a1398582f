"""The commands of people at a terminal, which ask a running collector over HTTP."""
