"""The release runner: what a host needs to release a service, packed here and installed there."""
