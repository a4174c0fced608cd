"""What became of a release: the verdict of one ECS deployment, and the reason where it failed."""
