"""CodeCommit of the embedded AWS: real git repositories, their remote by git's smart HTTP, and the service's API."""
