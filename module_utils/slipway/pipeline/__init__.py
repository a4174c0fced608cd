"""The pipeline: its action's version, its first commit, and what becomes of an execution."""
