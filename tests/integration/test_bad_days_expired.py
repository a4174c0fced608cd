"""A pipeline that gave a release up too early: on AWS after an hour, here after seconds, in an embedded AWS of
its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.integration.bad_days import Works, at_work
from tests.integration.conftest import PORT, embedded_aws

JOB, SERVICE = "shop", "slow"
SECONDS = 6


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    state, folder = tmp_path_factory.mktemp("aws"), tmp_path_factory.mktemp("expired")
    with (embedded_aws(state, PORT + 6, SLIPWAY_CODEPIPELINE_JOB_SECONDS=str(SECONDS)) as aws,
          at_work(folder, aws, SERVICE, JOB) as made):
        yield made


def test_a_job_that_expired_although_its_release_succeeded(works: Works) -> None:
    works.shop.write(SERVICE, "late but there")
    slow = (works.shop.folder / SERVICE / "Dockerfile").read_text() + f"RUN sleep {2 * SECONDS}\n"
    pipeline = works.pipeline(JOB, works.application("late but there", Dockerfile=slow))
    # The pipeline says that nobody answered in time.
    code, message, _ = works.failure(pipeline, pipeline.first())
    assert code == "JobTimedOut"
    assert f"reported no result within {SECONDS} seconds" in message
    # The release goes on to its end, is live, and is recorded as what it is.
    number = works.jenkins.took_its_job(JOB)["number"]
    assert works.shop.page(SERVICE) == "late but there"
    record = works.shop.records(SERVICE)[-1]
    assert (record["verdict"], record["commit"]) == ("completed", works.revision(pipeline, pipeline.first()))
    assert record["build_url"].endswith(f"/job/{JOB}/{number}/")
    # Whoever wonders about the two answers finds both in the build's log.
    said = works.jenkins.console(JOB, number)
    assert re.search(rf"image +\S+ -> {record['tag']} ", said), said
    assert re.search(r"the job \S+ is in the state TimedOut\..* Error Code: InvalidJobStateException", said), said
    # The next commit finds nothing in its way.
    assert not works.shop.items(SERVICE).get("lock", {}).get("started")
