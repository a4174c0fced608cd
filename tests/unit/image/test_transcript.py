"""What a build prints, understood."""

from __future__ import annotations

from slipway.docker.transcript import Transcript

BUILDKIT = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:e589698ae253f1f02a47b72bc7e62d9705a675d695a372f8a1c68386a2e8ac34
#1 transferring dockerfile: 155B done
#1 DONE 0.0s

#7 [1/3] FROM docker.io/library/base:1
#7 DONE 0.0s
#4 [2/3] RUN echo hello
#4 0.359 hello
#4 DONE 0.8s
#6 [3/3] RUN ls /nope
#6 0.354 ls: cannot access '/nope'
#6 ERROR: executor failed running [/bin/sh -c ls /nope]: exit code: 2
------
 > [3/3] RUN ls /nope:
------
executor failed running [/bin/sh -c ls /nope]: exit code: 2
"""


def read(text: str) -> tuple[Transcript, list[str]]:
    told: list[str] = []
    transcript = Transcript(told.append, lambda line: None)
    for line in text.splitlines():
        transcript.buildkit(line)
    return transcript, told


def test_buildkit_tells_each_instruction_once() -> None:
    assert read(BUILDKIT)[1] == ["build: [1/3] FROM docker.io/library/base:1", "build: [2/3] RUN echo hello",
                                 "build: [3/3] RUN ls /nope"]


def test_buildkit_failure_leads_with_the_instruction() -> None:
    error = read(BUILDKIT)[0].failure()
    assert error.message.startswith("The build failed at [3/3] RUN ls /nope:\n    ls: cannot access '/nope'\n")
    assert error.details["failed_instruction"] == "[3/3] RUN ls /nope"


def test_a_failure_before_any_instruction_shows_what_the_builder_said() -> None:
    error = read("#2 [internal] load .dockerignore\nfailed to solve: dockerfile parse error line 2\n")[0].failure()
    assert "dockerfile parse error line 2" in error.message


def test_a_cancelled_step_is_not_the_cause() -> None:
    text = "#3 [a 1/2] RUN sleep 9\n#4 [b 1/2] RUN false\n#3 ERROR: context canceled\n#4 ERROR: exit code: 1\n"
    assert read(text)[0].failure().details["failed_instruction"] == "[b 1/2] RUN false"


def test_classic_failure_leads_with_the_instruction() -> None:
    told: list[str] = []
    transcript = Transcript(told.append, lambda line: None)
    for text in ("Step 1/2 : FROM base", "\n", " ---> d4c099bd6661\n", "Step 2/2 : RUN false\n",
                 " ---> Running in 1\n", "\x1b[91moops\n\x1b[0m", "Removing intermediate container 1\n"):
        transcript.classic(text)
    error = transcript.failure("The command '/bin/sh -c false' returned a non-zero code: 1")
    assert told == ["build: [1/2] FROM base", "build: [2/2] RUN false"]
    assert error.details["build_output"] == ["oops", "The command '/bin/sh -c false' returned a non-zero code: 1"]


def test_a_full_disk_is_named() -> None:
    error = read("#4 [2/2] RUN x\n#4 ERROR: write /x: no space left on device\n")[0].failure()
    assert "docker system df" in error.remedy
