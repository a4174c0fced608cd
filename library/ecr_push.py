#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""ecr_push: build once, push what is new, return the digest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_push
short_description: Build an image and push it to Amazon ECR, unless ECR holds that content already
description:
  - Everything that decides what a build makes has one digest - the build context after C(.dockerignore), the
    Dockerfile, arguments, base images, target, platforms and labels. ECR keeps it as a second tag, C(content-...).
  - When ECR holds that content, nothing is built and nothing pushed; missing tags are put on the image in ECR.
  - Times, owners and the order of directory listings do not count; permission bits and link targets do.
  - The registry's password lives in this process's memory and is never written to C(~/.docker), an argument or a log.
  - In check mode the result says what would be done, with RV(built), RV(pushed) and RV(tag) as they would be.
options:
  repository:
    description: Name of the ECR repository, without the registry's host.
    type: str
    required: true
  path:
    description: The build context, a directory on the host that runs the module.
    type: path
    required: true
  dockerfile:
    description: Path of the Dockerfile, relative to O(path) or absolute.
    type: str
    default: Dockerfile
  target:
    description: Stage to build. The last one when omitted.
    type: str
  build_args:
    description: Values for the Dockerfile's C(ARG). They can be read in the image's history.
    type: dict
    default: {}
  build_secrets:
    description:
      - Values for C(RUN --mount=type=secret,id=KEY), by id. They need BuildKit, and leave no trace in the image.
      - Another value of a secret does not make another content; use O(force) to build again with it.
    type: dict
    default: {}
  platforms:
    description: Platforms such as C(linux/arm64). Several make one image for all of them and need buildx.
    type: list
    elements: str
    default: []
  labels:
    description:
      - Labels of the image, besides C(org.opencontainers.image.source), C(revision), C(version) and C(created).
      - They are part of the content.
    type: dict
    default: {}
  tag:
    description:
      - The image's tag. A tag that already names the same image is fine.
      - When omitted, the newest tag that the content has in ECR, otherwise a unique one - UTC date and time, then the
        short source revision when the context is in git, then C(-dirty) when files of the context are not committed.
    type: str
  extra_tags:
    description: Further tags to put on the image.
    type: list
    elements: str
    default: []
  cache:
    description:
      - Where BuildKit keeps its cache, as C(repository:tag) in the same registry or a full reference. The tag must be
        one that may move; in a repository made here those are the tags that begin with C(cache-).
      - Written by buildx with a builder that can export caches - an engine with the containerd image store, or a
        builder with another driver than C(docker). Other builders only read it.
    type: str
  force:
    description: Build and push although ECR holds the content, without the engine's cache.
    type: bool
    default: false
  pull:
    description: Take base images as their registries have them now, instead of the engine's copies.
    type: bool
    default: false
  revision:
    description: The source revision, where the context is not in git (a pipeline's artifact).
    type: str
  source:
    description: URL of the source for the image's label. The origin of the git repository when omitted.
    type: str
  registry_id:
    description: AWS account of the registry, when it is not the caller's.
    type: str
  create:
    description: Whether to create the repository when it is missing.
    type: bool
    default: true
  image_tag_mutability:
    description:
      - Whether tags may move. Untouched when omitted.
      - A repository made here is V(immutable_with_exclusion) by default, with the exclusion C(cache-*).
    type: str
    choices: [mutable, immutable, mutable_with_exclusion, immutable_with_exclusion]
  image_tag_exclusions:
    description:
      - Patterns of tags, up to five with up to two asterisks each, for which the opposite of O(image_tag_mutability)
        holds.
      - When omitted, those that the repository has, otherwise C(cache-*).
    type: list
    elements: str
  scan_on_push:
    description: Whether ECR scans what is pushed. Untouched when omitted; on for a repository made here.
    type: bool
  encryption:
    description: Encryption of a repository made here. ECR cannot change it later, so another value is an error.
    type: dict
    suboptions:
      type:
        description: V(KMS) when a key is given, V(AES256) otherwise.
        type: str
        choices: [AES256, KMS, KMS_DSSE]
      kms_key:
        description: ARN or id of the key.
        type: str
  lifecycle_policy:
    description:
      - The lifecycle policy, as a mapping or JSON. Untouched when omitted, removed by C({}).
      - Rules by tag prefix should leave out the prefix C(content-), which every image made here has.
    type: json
  repository_tags:
    description: Tags of the repository as an AWS resource. Untouched when omitted.
    type: dict
  purge_repository_tags:
    description: Whether to remove resource tags that O(repository_tags) does not name.
    type: bool
    default: true
  max_severity:
    description: The worst finding that is allowed. When given, the scan of the image is awaited and judged.
    type: str
    choices: [none, informational, low, medium, high, critical]
  scan_timeout:
    description: Seconds to wait for the scan.
    type: int
    default: 300
requirements:
  - docker (the Python package)
  - a container engine
attributes:
  check_mode:
    support: full
    description: Says whether it would build, push or only tag.
  diff_mode:
    support: full
    description: Shows settings of the repository, the image and its tags.
author:
  - the slipway maintainers
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: The image of this commit
  ecr_push:
    repository: shop/web
    path: "{{ playbook_dir }}/../app"
  register: image

- name: Release it
  cfn_stack:
    name: shop-web
    parameters:
      ImageTag: "{{ image.tag }}"

- name: With arguments, a secret that stays out of the image, and a name of its own
  ecr_push:
    repository: shop/web
    path: app
    build_args:
      PHP_VERSION: "8.2"
    build_secrets:
      composer: "{{ vault_composer_token }}"
    tag: v1.4.0
    extra_tags: [stable-1.4]

- name: Nothing worse than medium goes out
  ecr_push:
    repository: shop/web
    path: app
    max_severity: medium
    scan_timeout: 600

- name: A repository with a policy, made on the way
  ecr_push:
    repository: tools/lint
    path: lint
    image_tag_mutability: immutable
    lifecycle_policy:
      rules:
        - rulePriority: 1
          description: untagged images go after a week
          selection: {tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 7}
          action: {type: expire}
"""

RETURN = r"""
repository:
  description: The repository's name.
  type: str
  returned: always
repository_uri:
  description: The repository's address in the registry. C((known after apply)) in check mode when it does not exist.
  type: str
  returned: always
  sample: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web
image_uri:
  description: The image by its tag.
  type: str
  returned: always
  sample: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:20261123-082433-1a2b3c4
image_uri_by_digest:
  description: The image by its digest.
  type: str
  returned: always
tag:
  description: The image's tag.
  type: str
  returned: always
  sample: 20261123-082433-1a2b3c4
tags:
  description: All tags of the image but those that mark its content, sorted.
  type: list
  elements: str
  returned: always
digest:
  description: The image's digest in the registry. C((known after apply)) in check mode when it would be built.
  type: str
  returned: always
  sample: sha256:0f3d...
content_digest:
  description:
    - The digest of what the build is made from. C(unresolved) in check mode with a base image or a repository that is
      not yet known.
  type: str
  returned: always
size_bytes:
  description: Compressed size of the image, as ECR counts it.
  type: int
  returned: always
layers_pushed:
  description: Layers that were sent.
  type: int
  returned: always
layers_existing:
  description: Layers that the registry had already.
  type: int
  returned: always
action:
  description: What was to be done - V(build) (then push and tag), V(tag) only, or V(nothing).
  type: str
  returned: always
built:
  description: Whether the image was built.
  type: bool
  returned: always
pushed:
  description: Whether the image was pushed.
  type: bool
  returned: always
msg:
  description: What was done, in one sentence.
  type: str
  returned: always
phases:
  description: Seconds by phase - look, hash, build, push, tag, scan, and total.
  type: dict
  returned: always
  sample: {look: 0.2, hash: 0.01, build: 2.1, push: 0.8, tag: 0.05, total: 3.3}
api_calls:
  description: AWS calls by operation.
  type: dict
  returned: always
  sample: {ecr.DescribeImages: 1, ecr.DescribeRepositories: 1}
retries:
  description: Number of calls that were repeated because AWS throttled them or failed for a moment.
  returned: always
  type: int
findings:
  description: Findings of the scan by severity.
  type: dict
  returned: when max_severity is given
scan_status:
  description: State of the scan.
  type: str
  returned: when max_severity is given
worst_findings:
  description: The findings above the limit, worst first.
  type: list
  elements: str
  returned: when the scan found too much
failed_instruction:
  description: The instruction of the Dockerfile that failed.
  type: str
  returned: when the build failed
build_output:
  description: Its last lines.
  type: list
  elements: str
  returned: when the build failed
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
from ansible.module_utils.slipway.image.publish import publish
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "repository": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "dockerfile": {"type": "str", "default": "Dockerfile"},
    "target": {"type": "str"},
    "build_args": {"type": "dict", "default": {}},
    "build_secrets": {"type": "dict", "default": {}, "no_log": True},
    "platforms": {"type": "list", "elements": "str", "default": []},
    "labels": {"type": "dict", "default": {}},
    "tag": {"type": "str"},
    "extra_tags": {"type": "list", "elements": "str", "default": []},
    "cache": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "pull": {"type": "bool", "default": False},
    "revision": {"type": "str"},
    "source": {"type": "str"},
    "registry_id": {"type": "str"},
    "create": {"type": "bool", "default": True},
    "image_tag_mutability": {"type": "str", "choices": ["mutable", "immutable", "mutable_with_exclusion",
                                                        "immutable_with_exclusion"]},
    "image_tag_exclusions": {"type": "list", "elements": "str"},
    "scan_on_push": {"type": "bool"},
    "encryption": {"type": "dict", "options": {
        "type": {"type": "str", "choices": ["AES256", "KMS", "KMS_DSSE"]},
        "kms_key": {"type": "str", "no_log": False},
    }},
    "lifecycle_policy": {"type": "json"},
    "repository_tags": {"type": "dict"},
    "purge_repository_tags": {"type": "bool", "default": True},
    "max_severity": {"type": "str", "choices": ["none", "informational", "low", "medium", "high", "critical"]},
    "scan_timeout": {"type": "int", "default": 300},
    **AWS_ARGUMENTS,
    **PROGRESS_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
        return publish(module.params, module.check_mode, progress, module.warn)

    run(module, work)


if __name__ == "__main__":
    main()
