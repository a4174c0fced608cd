"""The API's operations: each takes the request as the service's model describes it and returns the answer likewise."""
