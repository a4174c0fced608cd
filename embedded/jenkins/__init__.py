"""The stand-in Jenkins: a package named jenkins, its plugins and their tool, for tests without Jenkins' repository."""
