"""What every module that talks to AWS documents the same (module_utils/slipway/aws/session.py, AWS_ARGUMENTS)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  region:
    description: AWS region. E(AWS_REGION), or the profile's, when omitted.
    type: str
  profile:
    description: Profile of the AWS configuration. Excludes O(access_key).
    type: str
  access_key:
    description: AWS access key id. Prefer a profile or an instance role.
    type: str
  secret_key:
    description: AWS secret access key.
    type: str
  session_token:
    description: Session token of temporary credentials.
    type: str
  endpoint_url:
    description: Another address of the AWS API. E(AWS_ENDPOINT_URL) when omitted.
    type: str
  aws_ca_bundle:
    description: File with the certificates to trust.
    type: path
  validate_certs:
    description: Whether to verify the TLS certificates of the AWS API.
    type: bool
    default: true
requirements:
  - botocore
"""
