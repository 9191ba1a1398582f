"""Postgres: with `migrations` the only package that contains SQL."""
