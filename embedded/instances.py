"""EC2 instances of the embedded AWS that are real hosts: systemd boots them, sshd answers (embedded/hosts.py).

Imported by extension.py, and like it a file that touches MiniStack's inside. What is added, and why:

- CloudFormation: AWS::EC2::Instance and EIP, which MiniStack has not; a template's instance is a host that SSH reaches
- EC2: terminating, stopping, starting and rebooting such an instance does it to the host; key pairs keep their keys
- the image parameters of Debian, the one system that a host can be made of here without an image from elsewhere
- the instance metadata service at its own address in the host, so that AWS's SDKs find the instance's role there
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import os
import tarfile
import time
from collections.abc import Callable
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import new_uuid, request_scope
from ministack.services import cloudformation as cfn
from ministack.services import ec2, ssm
from ministack.services.cloudformation import provisioners

from . import engine, hosts, network, settings

log = logging.getLogger("slipway")
Json = dict[str, Any]

#: Images that can be launched here, by their public SSM parameter: the AMI's id and the host's system.
IMAGES = {
    "/aws/service/debian/release/12/latest/amd64": ("ami-0deb0000000000012", "debian-12"),
    "/aws/service/debian/release/13/latest/amd64": ("ami-0deb0000000000013", "debian-13"),
}
SYSTEMS = dict(IMAGES.values())
#: The account's key pair from the start; its private half is hosts/id_ed25519 in the state directory.
KEY_PAIR = "slipway"
#: Packages for hosts without a way to the vendor's repository; they see the directory where it is there.
PACKAGES = (settings.PACKAGES, "/srv/packages")
METADATA_ADDRESS = "169.254.169.254"
#: Provisioning blocks until the host is up, so CloudFormation does it on a worker thread.
TYPE = "AWS::EC2::Instance"


def say(text: str) -> None:
    log.warning("%s", text)


# --- key pairs ------------------------------------------------------------------------------------------------------

_import_key_pair = ec2._import_key_pair
_describe_key_pairs = ec2._describe_key_pairs


def _import_with_key(params: Json) -> Any:
    """As MiniStack's, but the key is kept, and refused where it is none."""
    name = ec2._p(params, "KeyName")
    try:
        key = base64.b64decode(ec2._p(params, "PublicKeyMaterial") or "", validate=True).decode().strip()
        fingerprint = _fingerprint(key)
    except (ValueError, IndexError):
        return ec2._error("InvalidKey.Format", "Key is not in valid OpenSSH public key format", 400)
    if name in ec2._key_pairs:
        return ec2._error("InvalidKeyPair.Duplicate", f"The key pair '{name}' already exists", 400)
    answer = _import_key_pair(params)
    if name in ec2._key_pairs:
        ec2._key_pairs[name].update(PublicKey=key, KeyFingerprint=fingerprint)
    return answer


def _fingerprint(key: str) -> str:
    """Of an OpenSSH public key, as EC2 shows it for ED25519 keys. Raises ValueError or IndexError where it is none."""
    blob = base64.b64decode(key.split()[1], validate=True)
    return base64.b64encode(hashlib.sha256(blob).digest()).decode()


def _describe_with_ours(params: Json) -> Any:
    _key_pair(KEY_PAIR)
    return _describe_key_pairs(params)


def _key_pair(name: str) -> Json:
    """The key pair's record. Raises ValueError with EC2's words where there is none."""
    if name == KEY_PAIR and name not in ec2._key_pairs:
        key = hosts.public_key().strip()
        ec2._key_pairs[name] = {"KeyName": name, "KeyPairId": f"key-{new_uuid().replace('-', '')[:17]}",
                                "KeyFingerprint": _fingerprint(key), "PublicKey": key}
    record: Json | None = ec2._key_pairs.get(name)
    if record is None:
        raise ValueError(f"The key pair '{name}' does not exist (Service: Ec2, Status Code: 400)")
    return record


# --- an instance's life ---------------------------------------------------------------------------------------------


def _launch(inst: Json, system: str, public_key: str) -> None:
    """Make the host of an instance, and write its addresses into the record."""
    mounts = [(str(PACKAGES[0]), PACKAGES[1])] if PACKAGES[0].is_dir() else []
    inst["_host"] = {"name": f"{settings.PORT}-{inst['InstanceId']}", "system": system, "mounts": mounts}
    _wake(inst, public_key)


def _wake(inst: Json, public_key: str = "") -> None:
    made = inst["_host"]
    host = hosts.create(made["name"], made["system"], settings.PORT, [tuple(m) for m in made["mounts"]], say)
    inst.update(PrivateIpAddress=host.address, PublicIpAddress=host.address, PublicDnsName=host.address,
                PrivateDnsName=f"ip-{host.address.replace('.', '-')}.ec2.internal",
                State={"Code": 16, "Name": "running"})
    client = engine.client()
    container = client.containers.get(hosts.container_name(host.name))
    if public_key:
        container.put_archive("/", _tar({f"home/{hosts.USER}/.ssh/authorized_keys": (public_key + "\n", 0o600, 1000)}))
    _serve_metadata(container, network.ensure_network(client))


def _serve_metadata(container: Any, gateway: str) -> None:
    """The instance metadata service at its address inside the host, through systemd's own proxy."""
    units = {
        "slipway-metadata-address.service":
            "[Unit]\nBefore=slipway-metadata.socket\nDefaultDependencies=no\n"
            "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
            f"ExecStart=/sbin/ip address replace {METADATA_ADDRESS}/32 dev lo\n",
        "slipway-metadata.socket":
            "[Unit]\nRequires=slipway-metadata-address.service\nAfter=slipway-metadata-address.service\n"
            f"DefaultDependencies=no\n[Socket]\nListenStream={METADATA_ADDRESS}:80\n[Install]\nWantedBy=multi-user.target\n",
        "slipway-metadata.service":
            "[Unit]\nRequires=slipway-metadata.socket\nAfter=slipway-metadata.socket\n"
            f"[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd {gateway}:{settings.PORT}\n",
        # The plugin of the stand-in asks this AWS, and often enough that nobody waits for it.
        "jenkins.service.d/slipway-embedded.conf":
            f"[Service]\nEnvironment=AWS_ENDPOINT_URL={settings.ENDPOINT}\n"
            f"Environment=JENKINS_STAND_IN_POLL_SECONDS={settings.JENKINS_POLL_SECONDS}\n"
            f"Environment=JENKINS_STAND_IN_JITTER_SECONDS={settings.JENKINS_JITTER_SECONDS}\n",
    }
    container.put_archive("/", _tar({f"etc/systemd/system/{unit}": (text, 0o644, 0) for unit, text in units.items()}))
    for command in (["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "slipway-metadata.socket"]):
        code, output = container.exec_run(command)
        if code:
            raise ValueError(f"The host's metadata service does not start: {output.decode(errors='replace').strip()}")


def _tar(files: dict[str, tuple[str, int, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, (text, mode, owner) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(text.encode()), mode, int(time.time())
            entry.uid = entry.gid = owner
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _to_the_hosts(original: Callable[[Json], Any], work: Callable[[str], Any]) -> Callable[[Json], Any]:
    """An EC2 action on instances that also does `work` to the host of each, beside the answer as on AWS."""

    def action(params: Json) -> Any:
        answer = original(params)
        if answer[0] < 400:
            for instance_id in ec2._parse_member_list(params, "InstanceId"):
                made = (ec2._instances.get(instance_id) or {}).get("_host")
                if made:
                    spawn_background(work, made["name"], thread_name=f"ec2-{instance_id}")
        return answer

    return action


def _with_container(work: Callable[[Any], Any]) -> Callable[[str], None]:
    def on_host(name: str) -> None:
        try:
            work(engine.client().containers.get(hosts.container_name(name)))
        except Exception as error:  # in the background there is nobody to tell but the log
            log.warning("Host %s: %s", name, error)
    return on_host


for _action, _work in (("TerminateInstances", lambda name: hosts.remove([name])),
                       ("StopInstances", _with_container(lambda container: container.stop())),
                       ("StartInstances", _with_container(lambda container: container.start())),
                       ("RebootInstances", _with_container(lambda container: container.restart()))):
    ec2._ACTION_MAP[_action] = _to_the_hosts(ec2._ACTION_MAP[_action], _work)
ec2._ACTION_MAP["ImportKeyPair"] = _import_with_key
ec2._ACTION_MAP["DescribeKeyPairs"] = _describe_with_ours


async def wake_hosts() -> None:
    """After a start: the hosts of the instances that are running, where the engine or the machine was restarted."""
    for (account, region, _), inst in list(ec2._instances.all_items()):
        if inst.get("_host") and inst["State"]["Name"] == "running":
            with request_scope(account, region):
                try:
                    await asyncio.to_thread(_wake, inst)
                except Exception as error:  # the others are to be woken all the same
                    log.warning("Instance %s does not come back: %s", inst["InstanceId"], error)


# --- CloudFormation -------------------------------------------------------------------------------------------------

_REPLACING = ("AvailabilityZone", "ImageId", "KeyName", "LaunchTemplate", "PrivateIpAddress", "SubnetId")


def _create(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
    data: Json = {}
    if props.get("LaunchTemplate"):
        data, _, error = ec2._resolve_launch_template_data(
            {key: str(value) for key, value in props["LaunchTemplate"].items()})
        if error:
            raise ValueError(error[2].decode())
    merged = {**data, **{key: value for key, value in props.items() if value not in (None, "")}}
    image, system = _image(str(merged.get("ImageId", "")))
    key = _key_pair(str(merged["KeyName"]))["PublicKey"] if merged.get("KeyName") else ""
    # MiniStack's Ref of a profile is its ARN; AWS's is its name.
    profile, error = ec2._resolve_iam_instance_profile(
        iam_name=str(merged.get("IamInstanceProfile") or "").rpartition("/")[2])
    if error:
        raise ValueError(f"Invalid IAM Instance Profile name '{merged['IamInstanceProfile']}'")
    (inst,) = ec2._launch_instances_internal(
        image_id=image, instance_type=str(merged.get("InstanceType", "m1.small")), count=1,
        subnet_id=str(merged["SubnetId"]), key_name=str(merged.get("KeyName", "")),
        sg_ids=[str(g) for g in merged.get("SecurityGroupIds") or []], iam_profile=profile)
    # Known to the stack before it is up, so that a rollback or a kill finds it. In an update the record is the
    # predecessor's, which stays until the end.
    (cfn._stacks.get(stack_name) or {}).setdefault("_resources", {}).setdefault(logical_id, {
        "PhysicalResourceId": inst["InstanceId"], "ResourceType": TYPE, "ResourceStatus": "CREATE_IN_PROGRESS",
        "LogicalResourceId": logical_id, "Properties": props, "Attributes": {}, "Timestamp": inst["LaunchTime"]})
    try:
        _dress(inst, merged)
        _launch(inst, system, key)
    except Exception as error:
        _delete(inst["InstanceId"], props)
        raise ValueError(f"The host of instance {inst['InstanceId']} could not be made: {error}") from error
    return inst["InstanceId"], _attributes(inst)


def _image(name: str) -> tuple[str, str]:
    """(AMI, system) of an image id, or of `resolve:ssm:PARAMETER`."""
    if name.startswith("resolve:ssm:"):
        parameter, error = ssm._select_parameter(name.removeprefix("resolve:ssm:"))
        if error:
            raise ValueError(f"The SSM parameter of '{name}' does not exist (InvalidParameterValue)")
        name = parameter["Value"]
    if name not in SYSTEMS:
        raise ValueError(f"The image id '[{name}]' does not exist in the embedded AWS. It can launch those of the "
                         "parameters " + " and ".join(IMAGES) + ".")
    return name, SYSTEMS[name]


def _dress(inst: Json, props: Json) -> None:
    """What the template says of the instance beside its host."""
    volume = ec2._volumes[inst["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]]
    for mapping in props.get("BlockDeviceMappings") or []:
        disk = mapping.get("Ebs") or {}
        volume.update(Size=int(disk.get("VolumeSize", volume["Size"])),
                      VolumeType=disk.get("VolumeType", volume["VolumeType"]),
                      Encrypted=str(disk.get("Encrypted", False)).lower() == "true")
    subnet = ec2._subnets.get(inst["SubnetId"]) or {}
    if subnet.get("AvailabilityZone"):
        volume["AvailabilityZone"] = inst["Placement"]["AvailabilityZone"] = subnet["AvailabilityZone"]
    ec2._tags[inst["InstanceId"]] = _tags(props)


def _tags(props: Json) -> list[Json]:
    return [{"Key": str(tag["Key"]), "Value": str(tag.get("Value", ""))} for tag in props.get("Tags") or []]


def _update(physical_id: str, _old: Json, new: Json, _stack_name: str) -> tuple[str, Json]:
    inst = ec2._instances[physical_id]
    groups = [str(g) for g in new.get("SecurityGroupIds") or []]
    inst.update(InstanceType=str(new.get("InstanceType", inst["InstanceType"])), SecurityGroups=[
        {"GroupId": g, "GroupName": (ec2._security_groups.get(g) or {}).get("GroupName", g)} for g in groups])
    ec2._tags[physical_id] = _tags(new)
    return physical_id, _attributes(inst)


def _delete(physical_id: str, _props: Json) -> None:
    inst = ec2._instances.get(physical_id)
    if inst is None or inst["State"]["Name"] == "terminated":
        return
    if inst.get("_host"):
        hosts.remove([inst["_host"]["name"]])
    for mapping in inst.get("BlockDeviceMappings", []):
        ec2._volumes.pop(mapping["Ebs"]["VolumeId"], None)
    inst.update(State={"Code": 48, "Name": "terminated"}, _terminated_at=time.time())
    association = ec2._find_active_iam_instance_profile_association(physical_id)
    if association:
        ec2._mark_iam_instance_profile_association_disassociated(association)


def _attributes(inst: Json) -> Json:
    return {"InstanceId": inst["InstanceId"], "PrivateIp": inst["PrivateIpAddress"],
            "PublicIp": inst["PublicIpAddress"], "PrivateDnsName": inst["PrivateDnsName"],
            "PublicDnsName": inst["PublicDnsName"], "VpcId": inst["VpcId"],
            "AvailabilityZone": inst["Placement"]["AvailabilityZone"]}


def _address_create(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
    """An elastic address. A host has the one address that the engine gave it, so that is the one it gets."""
    allocation = f"eipalloc-{hashlib.sha256(f'{stack_name}/{logical_id}/{new_uuid()}'.encode()).hexdigest()[:17]}"
    return allocation, _associate(allocation, props)


def _associate(allocation: str, props: Json) -> Json:
    inst = ec2._instances.get(str(props.get("InstanceId"))) or {}
    address = str(inst.get("PublicIpAddress") or ec2._random_ip("54."))
    ec2._addresses[allocation] = {
        "AllocationId": allocation, "PublicIp": address, "Domain": "vpc", "InstanceId": inst.get("InstanceId"),
        "AssociationId": f"eipassoc-{allocation.partition('-')[2]}" if inst else None, "NetworkInterfaceId": None,
        "PrivateIpAddress": inst.get("PrivateIpAddress")}
    ec2._tags[allocation] = _tags(props)
    return {"AllocationId": allocation, "PublicIp": address}


def _address_delete(physical_id: str, _props: Json) -> None:
    ec2._addresses.pop(physical_id, None)
    ec2._tags.pop(physical_id, None)


provisioners._RESOURCE_HANDLERS["AWS::EC2::EIP"] = {
    "create": _address_create, "delete": _address_delete,
    "update": lambda physical_id, _old, new, _stack: (physical_id, _associate(physical_id, new))}
provisioners._REPLACING_PROPERTIES["AWS::EC2::EIP"] = ("Domain", "NetworkBorderGroup")
provisioners._STACK_TAG_PROPERTY["AWS::EC2::EIP"] = ("Tags", "list")
provisioners._RESOURCE_HANDLERS[TYPE] = {"create": _create, "update": _update, "delete": _delete}
provisioners._REPLACING_PROPERTIES[TYPE] = _REPLACING
provisioners._STACK_TAG_PROPERTY[TYPE] = ("Tags", "list")
ssm._PUBLIC_AMI_PARAMETERS.update({name: image for name, (image, _) in IMAGES.items()})
# As on an instance that demands IMDSv2: without a token the metadata service refuses.
os.environ["MINISTACK_IMDS_V2_REQUIRED"] = "1"
