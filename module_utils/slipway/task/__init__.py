"""A task that runs once with a new image before its service changes, such as a database's migration."""
