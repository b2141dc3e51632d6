"""Runs any primitive and names none: calls come in, transitions go out together, due instances are claimed and run."""
