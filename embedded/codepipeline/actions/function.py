"""Invoke: a Lambda function gets the job as its event, and reports the result as a worker does."""

from __future__ import annotations

import time
from functools import partial

from .. import engine, jobs, ministack, records, settings
from ..errors import ActionFailed
from ..store import store
from . import Json, Kind, register
from .background import in_background

#: An asynchronous invocation that fails is repeated, at most twice, as Lambda does it; there after minutes, here after
#: these seconds.
_PAUSES = (0.0, 0.5, 1.0)


class Function(Kind):
    def begin(self, action: Json) -> None:
        job = jobs.create(action, "InProgress", settings.LAMBDA_SECONDS)
        store.after(partial(in_background, partial(self._invoke, job["id"]), action["id"]))

    def resume(self, action_id: str) -> None:
        with store.changing():
            if not records.alive(action_id):
                return
            job = store.jobs[store.actions[action_id]["job"]]
            jobs.watch(job)
        in_background(partial(self._invoke, job["id"]), action_id)

    def again(self, job: Json) -> None:
        """Invoke once more with the continuation token of the last result."""
        in_background(partial(self._invoke, job["id"]), job["action"])

    def abandon(self, action: Json) -> None:
        jobs.close(action, "Failed")

    def _invoke(self, job_id: str, action_id: str) -> None:
        with store.reading():
            action, job = records.alive(action_id), store.jobs.get(job_id)
            if action is None or job is None or job["status"] != "InProgress":
                return
            name, event = action["resolved"]["FunctionName"], {"CodePipeline.job": _event(job)}
        _check(action, name)
        problem = ""
        for pause in _PAUSES[:1 + ministack.function_retries(name)]:
            time.sleep(pause)
            problem = ministack.invoke_function(name, event)
            if not problem or store.jobs.get(job_id, {}).get("status") != "InProgress":
                return
        with store.changing():
            if store.jobs.get(job_id, {}).get("status") == "InProgress":
                jobs.close(action, "Failed")
                engine.fail(action_id, "JobFailed", f"The AWS Lambda function {name} failed to return a result. Check "
                            "the function to verify that it has permission to call the PutJobSuccessResult action and "
                            f"that it made a call to PutJobSuccessResult. Its last error: {problem}")


def _check(action: Json, name: str) -> None:
    arn = f"arn:aws:lambda:{ministack.region_name()}:{ministack.account_id()}:function:{name}"
    try:
        ministack.check_role(action["roleArn"], "lambda:InvokeFunction", arn)
    except ministack.Denied as error:
        raise ActionFailed("PermissionError", "The service role or action role doesn't have the permissions required "
                           f"to invoke the AWS Lambda function {name}. Update the IAM role permissions, and then try "
                           f"again. Error: {error}") from error
    if not ministack.function_exists(name):
        raise ActionFailed("ConfigurationError", f"The AWS Lambda function {name} cannot be found. Make sure that the "
                           "function exists in this region.")


def _event(job: Json) -> Json:
    data = jobs.data(job)
    action = store.actions[job["action"]]
    # A function is not told where it runs: it has its environment.
    given = {key: value for key, value in data.items() if key not in ("actionTypeId", "pipelineContext")}
    wanted = {key: value for key, value in action["resolved"].items() if key in ("FunctionName", "UserParameters")}
    given["actionConfiguration"] = {"configuration": wanted}
    return {"id": job["id"], "accountId": ministack.account_id(), "data": given}


FUNCTION = Function()
register("AWS", "Lambda", FUNCTION)
