"""Jenkins over HTTP, from the host it runs on. Standard library only: modules run there with the system's Python."""
