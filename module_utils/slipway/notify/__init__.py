"""Telling people what became of a release."""
