"""The embedded AWS from the command line: up, down, env, status, summary."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from . import engine, network, process, settings


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def up() -> None:
    """Engine, base images, network and AWS, each made only where it is missing."""
    from . import images

    settings.STATE.mkdir(parents=True, exist_ok=True)
    engine.ensure_engine(settings.STATE, say)
    client = engine.client()
    images.ensure_base_images(client, settings.STATE, say)
    process.start(network.ensure_network(client), say)


def down() -> None:
    """Stop and remove everything that up, and the playbooks against the embedded AWS, made on this machine."""
    from . import images

    process.check_ours()
    process.stop(say)
    if engine.answers():
        client = engine.client()
        network.remove_containers(client)
        network.remove_network(client)
        removed = images.remove_images(client, f"localhost:{settings.PORT}/")
        if not network.others(client):
            removed += images.remove_base_images(client)
        say(f"Removed {removed} images, the network {settings.NETWORK} and the state.")
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


COMMANDS = {"up": up, "down": down, "env": env, "status": status}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args().command]()
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
