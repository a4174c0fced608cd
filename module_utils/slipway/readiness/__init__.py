"""Whether AWS is ready for a release: what is asked before anything is made."""
