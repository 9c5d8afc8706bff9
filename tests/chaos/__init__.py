"""Flows of jobs under fire: `python -m tests.chaos --help`.

Real workers process seeded flows while faults strike; then everything settles and what happened is checked
against the rules, from a log that the database itself has kept.
"""
