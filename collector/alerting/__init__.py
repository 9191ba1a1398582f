"""Alerts: rules over the stored records, and those who are told when one fires."""
