"""Images: what is in a build, what it is called, and what is left to do."""
