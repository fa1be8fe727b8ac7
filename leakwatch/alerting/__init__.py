"""Carries what was found to where an operator looks."""
