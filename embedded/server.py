"""The embedded AWS as a process: MiniStack with our extension, on loopback and on its own bridge network only.

Run by embedded.process; `python -m embedded.server GATEWAY_ADDRESS` in the foreground for a look at it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from . import settings


def configure() -> None:
    """Set what MiniStack reads from its environment at import."""
    os.environ.update({
        "GATEWAY_PORT": str(settings.PORT),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_REGION": settings.REGION,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(settings.STATE_FILES),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(settings.STATE / "s3"),
        # Neither device broker nor file transfer belongs to this project; their listeners would take ports.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "ECS_RESTORE_RECONCILE_DELAY_SECONDS": "0.1",
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        # By this and the port it tells its containers from those of another one.
        "MINISTACK_HOSTNAME": settings.OWNER,
        # MiniStack looks for itself as a container of this name; it is none.
        "HOSTNAME": "",
    })


async def serve(gateway: str) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    from . import extension

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    config = Config()
    config.bind = [f"127.0.0.1:{settings.PORT}"]
    if gateway:
        config.bind.append(f"{gateway}:{settings.PORT}")
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    background = [asyncio.create_task(job(stop)) for job in extension.BACKGROUND]
    await hypercorn_serve(extension.wrap(extension.app), config, shutdown_trigger=stop.wait)
    stop.set()
    await asyncio.gather(*background)


def main() -> None:
    configure()
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else ""))


if __name__ == "__main__":
    main()
