"""Middleware for web services: ids for each request, and one log line about it."""
