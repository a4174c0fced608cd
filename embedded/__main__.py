"""The embedded AWS from the command line, and hosts to configure beside it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict

from . import engine, network, process, settings


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def up(for_demo: bool) -> None:
    """Engine, base images, network and AWS, each made only where it is missing.

    for_demo: also what the demo's host of Jenkins installs, and builds on.
    """
    from . import images

    settings.STATE.mkdir(parents=True, exist_ok=True)
    engine.ensure_engine(settings.STATE, say)
    client = engine.client()
    images.ensure_command("git", "git", "keeps the repositories of the embedded CodeCommit")
    images.ensure_base_images(client, settings.STATE, say)
    if for_demo and settings.WITH_JENKINS:
        _build_packages()
    process.start(network.ensure_network(client), say)
    if for_demo and settings.WITH_JENKINS:
        from . import base_image

        base_image.offer(client, say)


def _build_packages() -> None:
    from .jenkins import repository, tools

    try:
        repository.build(settings.PACKAGES, say)
    except tools.BuildError as error:
        raise process.EmbeddedError(str(error)) from error


def engine_alone() -> None:
    """The Docker engine alone, for what brings all else with it."""
    settings.STATE.mkdir(parents=True, exist_ok=True)
    engine.ensure_engine(settings.STATE, say)


def down(keep_images: bool) -> None:
    """Stop and remove everything that up, and the playbooks against the embedded AWS, made on this machine.

    keep_images: base images and those of hosts stay, so that the next up does not make them again.
    """
    from . import hosts, images

    process.check_ours()
    process.stop(say)
    if engine.answers():
        client = engine.client()
        hosts.remove_ours()
        network.remove_containers(client)
        gone = network.remove_network(client)
        removed = images.remove_images(client, f"localhost:{settings.PORT}/")
        if not keep_images and not network.others(client):
            removed += images.remove_base_images(client)
        what = f"{removed} images, the network {settings.NETWORK}" if gone else f"{removed} images"
        say(f"Removed {what} and the state.")
        if not gone:
            say(f"The network {settings.NETWORK} stays until the Docker engine is restarted: the engine still counts a "
                "container that is gone.")
        engine.stop_started_engine(settings.STATE, say)
    else:
        say("The Docker engine does not answer: what is in it stays until it runs and this is run again.")
    shutil.rmtree(settings.STATE, ignore_errors=True)


def env() -> None:
    for name, value in settings.environment().items():
        print(f"export {name}={value}")


def status() -> None:
    answer = process.health()
    print("The embedded AWS is not running." if answer is None
          else f"The embedded AWS answers at {settings.ENDPOINT} (process {answer['pid']}, log {settings.LOG_FILE}).")


def commit_colour(colour: str, pipeline: str) -> None:
    from . import commit

    commit.follow(commit.choose(pipeline), colour, lambda text: print(text, flush=True))


def commands_to_try() -> None:
    from . import commit

    print(commit.commands(commit.choose("")) if settings.WITH_JENKINS else "", end="")


def create_host(name: str, system: str, aws: int | None, mount: Sequence[tuple[str, str]]) -> None:
    from . import hosts

    settings.STATE.mkdir(parents=True, exist_ok=True)
    engine.ensure_engine(settings.STATE, say)
    print(json.dumps(asdict(hosts.create(name, system, aws, mount, say))))


def remove_hosts(names: Sequence[str]) -> None:
    from . import hosts

    if engine.answers():
        hosts.remove(names)


def list_hosts() -> None:
    from . import hosts

    for host in hosts.known() if engine.answers() else []:
        print(json.dumps(host))


def _mount(text: str) -> tuple[str, str]:
    source, _, target = text.rpartition(":")
    if not source or not target.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is no SOURCE:/DIRECTORY")
    return source, target


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, text in ((env, "lines that point a shell at it"), (status, "say whether it runs"),
                          (commands_to_try, "what to try when the demo is there")):
        commands.add_parser(command.__name__.replace("_", "-"), help=text).set_defaults(command=command)
    verb = commands.add_parser("up", help="start it, and all that it needs")
    verb.add_argument("--for-demo", action="store_true", help="prepare what the demo's host of Jenkins needs too")
    verb.set_defaults(command=up)
    verb = commands.add_parser("commit", help="change the application's colour by a commit, and watch it go live")
    verb.add_argument("--colour", default="", help="a colour of CSS; without it one that the page does not have")
    verb.add_argument("--pipeline", default="", help="where there are several: the name of one")
    verb.set_defaults(command=commit_colour)
    commands.add_parser("engine", help="a Docker engine that answers").set_defaults(command=engine_alone)
    verb = commands.add_parser("down", help="stop it, and remove all that was made")
    verb.add_argument("--keep-images", action="store_true", help="keep the images that take long to make")
    verb.set_defaults(command=down)
    verbs = commands.add_parser("host", help="machines to configure: containers with systemd and sshd").add_subparsers(
        required=True, metavar="VERB")
    verb = verbs.add_parser("create", help="make a host where it is missing, and say how to reach it, as JSON")
    verb.add_argument("name")
    verb.add_argument("system", help="debian-12 or debian-13")
    verb.add_argument("--aws", type=int, metavar="PORT", help="an embedded AWS that is on localhost in the host too")
    verb.add_argument("--mount", type=_mount, action="append", default=[], metavar="SOURCE:/DIRECTORY",
                      help="a directory of this machine that the host can read")
    verb.set_defaults(command=create_host)
    verb = verbs.add_parser("remove", help="remove hosts with everything in them")
    verb.add_argument("names", nargs="+", metavar="name")
    verb.set_defaults(command=remove_hosts)
    verbs.add_parser("list", help="every host on the engine, each as JSON").set_defaults(command=list_hosts)
    return parser


def main() -> int:
    arguments = vars(_parser().parse_args())
    command = arguments.pop("command")
    try:
        command(**arguments)
    except (process.EmbeddedError, engine.EngineMissing) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run it again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
