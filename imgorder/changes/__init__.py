"""Renaming photos so that a crash, a second process or a mistake never costs one: ``docs/renaming.md``."""
