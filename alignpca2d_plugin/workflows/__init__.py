"""Workflows of other protocols, for this plugin."""
