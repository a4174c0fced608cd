"""CodePipeline's own limits and times, as its quotas say; tests shorten times by environment variables."""

from __future__ import annotations

import os

#: A job that nobody ends fails after an hour ("all other actions" among the quotas); seconds.
JOB_SECONDS = float(os.environ.get("SLIPWAY_CODEPIPELINE_JOB_SECONDS", "3600"))
#: An invoked function has to answer in 20 minutes; every continuation token gives it as many again, up to a day.
LAMBDA_SECONDS = float(os.environ.get("SLIPWAY_CODEPIPELINE_LAMBDA_SECONDS", "1200"))
LAMBDA_ACTION_SECONDS = 86_400
#: An approval that nobody gives fails after a week, or after its own timeoutInMinutes.
APPROVAL_SECONDS = float(os.environ.get("SLIPWAY_CODEPIPELINE_APPROVAL_SECONDS", str(7 * 86400)))
#: A job that ended with a continuation token comes back after this; how long AWS takes is not documented.
CONTINUATION_SECONDS = float(os.environ.get("SLIPWAY_CODEPIPELINE_CONTINUATION_SECONDS", "1"))
#: The credentials that a job gets for its artifacts.
CREDENTIAL_SECONDS = 900
#: How often a source action with PollForSourceChanges looks.
POLL_SECONDS = float(os.environ.get("SLIPWAY_CODEPIPELINE_POLL_SECONDS", "60"))

MAX_STAGES = 50
MAX_ACTIONS = 1000
MAX_STAGE_ACTIONS = 100
MAX_PIPELINES = 1000
MAX_CUSTOM_TYPES = 50
MAX_TAGS = 50
#: Executions at once in the modes QUEUED and PARALLEL.
MAX_EXECUTIONS = 50
#: All output variables of an action together, in bytes.
MAX_VARIABLE_BYTES = 122_880
#: AWS remembers executions for a year; here as many of each pipeline.
KEPT_EXECUTIONS = 500
