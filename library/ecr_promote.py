#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""ecr_promote: the same image under another tag, or in another repository, registry or region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_promote
short_description: Give an image in Amazon ECR another tag, or copy it to another repository, registry or region
description:
  - The digest stays what it is, so what was tested is what is released. Nothing is built, and no engine is needed.
  - Within one repository only tags are added. Elsewhere the layers are streamed from registry to registry, those that
    are there already left out, and the manifest goes last.
  - Afterwards every tag is read back and compared.
options:
  repository:
    description: Name of the repository that has the image.
    type: str
    required: true
  tag:
    description: The image by one of its tags.
    type: str
  digest:
    description: The image by its digest.
    type: str
  to_tags:
    description: Tags to put on it. O(tag) when omitted.
    type: list
    elements: str
  to_repository:
    description: Name of the repository to put it in. O(repository) when omitted.
    type: str
  to_region:
    description: Region of that repository. The module's region when omitted.
    type: str
  registry_id:
    description: AWS account of the registry that has the image, when it is not the caller's.
    type: str
  to_registry_id:
    description: AWS account of the registry to put it in. O(registry_id) when omitted.
    type: str
  create:
    description:
      - Whether to create the target repository when it is missing, with immutable tags but for C(cache-*), and scanned
        on push.
    type: bool
    default: false
requirements:
  - requests
attributes:
  check_mode:
    support: full
    description: Says what would be copied and tagged.
  diff_mode:
    support: full
    description: Shows the repository, the image and its tags.
author:
  - the slipway maintainers
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: What runs in staging goes to production
  ecr_promote:
    repository: shop/web
    tag: "{{ staging_tag }}"
    to_repository: shop/web-production

- name: Another name for a digest
  ecr_promote:
    repository: shop/web
    digest: "{{ image.digest }}"
    to_tags: [v1.4.0]

- name: A copy for the other region
  ecr_promote:
    repository: shop/web
    tag: v1.4.0
    to_region: eu-central-1
    create: true
"""

RETURN = r"""
digest:
  description: The image's digest, the same in both places.
  type: str
  returned: always
tag:
  description: The first of the wanted tags.
  type: str
  returned: always
tags:
  description: All tags of the image in the target repository.
  type: list
  elements: str
  returned: always
repository:
  description: Name of the target repository.
  type: str
  returned: always
repository_uri:
  description: Its address. C((known after apply)) in check mode when it does not exist.
  type: str
  returned: always
image_uri:
  description: The image there by its tag.
  type: str
  returned: always
image_uri_by_digest:
  description: The image there by its digest.
  type: str
  returned: always
size_bytes:
  description: Compressed size of the image.
  type: int
  returned: always
layers_pushed:
  description: Layers and configurations that were sent.
  type: int
  returned: always
layers_existing:
  description: Those that the target had already.
  type: int
  returned: always
phases:
  description: Seconds by phase - look, copy, verify.
  type: dict
  returned: always
api_calls:
  description: AWS calls by operation.
  type: dict
  returned: always
existing_digest:
  description: The digest that an immutable tag names.
  type: str
  returned: on a conflict of tags
wanted_digest:
  description: The digest that the tag was wanted for.
  type: str
  returned: on a conflict of tags
remedy:
  description: What to do about a failure.
  type: str
  returned: on failure
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.image.promote import promote
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "repository": {"type": "str", "required": True},
    "tag": {"type": "str"},
    "digest": {"type": "str"},
    "to_tags": {"type": "list", "elements": "str"},
    "to_repository": {"type": "str"},
    "to_region": {"type": "str"},
    "registry_id": {"type": "str"},
    "to_registry_id": {"type": "str"},
    "create": {"type": "bool", "default": False},
    **AWS_ARGUMENTS,
    **PROGRESS_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True,
                           mutually_exclusive=[("tag", "digest")], required_one_of=[("tag", "digest")])

    def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
        return promote(module.params, module.check_mode, progress)

    run(module, work)


if __name__ == "__main__":
    main()
