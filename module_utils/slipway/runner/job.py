"""The pipeline's job that a build works for. Best effort: whatever AWS answers, the release goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..aws import pipeline_jobs
from ..aws.session import Aws
from ..errors import AwsError, SlipwayError
from . import failure
from .failure import Failure

_Answer = TypeVar("_Answer")

#: CodePipeline has an answer of the job already, or has given up on it.
ENDED = frozenset({"InvalidJobStateException", "JobNotFoundException"})
#: Ansible starts meanwhile, and on a busy machine takes its time as well.
_READ = 20.0


class Late(Exception):
    """No answer in time."""


def within(seconds: float, work: Callable[[], _Answer]) -> _Answer:
    """work()'s answer, in `seconds` at most. Raises Late, or what work() raised."""
    answers: list[_Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise Late(f"no answer in {seconds:.3g} s")
    return answers[0]


class Job:
    """identifier: of the pipeline's job; build: its number; link: its address; secrets: texts that must not be told.
    region: where the pipeline is, '' for the environment's. patience: seconds for a report. say() gets lines for the
    build's log."""

    def __init__(self, identifier: str, build: str, link: str, say: Callable[[str], None], region: str = "",
                 secrets: frozenset[str] = frozenset(), patience: float = 20.0) -> None:
        self.identifier = identifier
        self._patience = patience
        self._build, self._link, self._say, self._secrets = build, link, say, secrets
        self._params = {"region": region or None}
        self._lock = threading.Lock()
        self._aws: Aws | None = None
        self.told = False
        """Whether CodePipeline has an answer, from us or from somebody before us."""

    def prepare(self) -> None:
        """Be ready to speak: whoever aborts a build leaves little time for it."""
        threading.Thread(target=lambda: self._session().client("codepipeline"), daemon=True).start()

    def revision(self) -> str:
        """The commit that the source was made from, '' where nobody knows."""
        try:
            data = within(_READ, lambda: pipeline_jobs.details(self._session(), self.identifier))
        except (SlipwayError, Late) as error:
            self._say(f"AWS CodePipeline does not tell the commit of this job: {error}")
            return ""
        revisions = [str(artifact.get("revision") or "") for artifact in data.get("inputArtifacts") or []]
        return next((revision for revision in revisions if revision), "")

    def fail(self, cause: Failure) -> bool:
        """Tell the pipeline, once. Whether it took it."""
        if self.told:
            return False
        text = failure.message(cause, self._link, self._secrets)
        try:
            within(self._patience,
                   lambda: pipeline_jobs.fail(self._session(), self.identifier, cause.kind, text, self._build))
        except AwsError as error:
            self.told = error.code in ENDED
            if self.told:
                self._say(f"AWS CodePipeline no longer waits for job {self.identifier} ({error.code}): it timed out, "
                          "was stopped, or has its answer already. What this build did stands.")
            else:
                self._say(f"AWS CodePipeline was not told why this failed: {error}")
            return False
        except (SlipwayError, Late) as error:
            self._say(f"AWS CodePipeline was not told why this failed: {error}")
            return False
        self.told = True
        self._say(f"Told AWS CodePipeline why job {self.identifier} failed ({cause.kind}).")
        return True

    def _session(self) -> Aws:
        with self._lock:
            if self._aws is None:
                self._aws = Aws(self._params)
            return self._aws


def environment_of(variables: Mapping[str, Any]) -> dict[str, str]:
    """The AWS settings that a release's variables bring for its tasks: texts of names that begin with AWS_."""
    given = variables.get("aws_environment")
    return {name: value for name, value in given.items() if name.startswith("AWS_") and isinstance(value, str)} \
        if isinstance(given, Mapping) else {}
