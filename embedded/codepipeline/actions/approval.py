"""Approval: a person answers, with the token that the state of the pipeline shows."""

from __future__ import annotations

import time
from functools import partial

from .. import engine, ministack, records, settings
from ..scheduler import scheduler
from ..store import store
from . import Json, Kind, register
from .background import log

_CONSOLE = "https://console.aws.amazon.com/codesuite/codepipeline/pipelines"


class Approval(Kind):
    def begin(self, action: Json) -> None:
        minutes = records.action_of(action).get("timeoutInMinutes")
        action["token"] = ministack.new_uuid()
        action["expires"] = time.time() + (minutes * 60 if minutes else settings.APPROVAL_SECONDS)
        scheduler.at(action["expires"], partial(self._expired, action["id"]))
        if action["resolved"].get("NotificationArn"):
            store.after(partial(ministack.background, self._notify, action["id"]))

    def resume(self, action_id: str) -> None:
        action = records.alive(action_id)
        if action:
            scheduler.at(action["expires"], partial(self._expired, action_id))

    def _expired(self, action_id: str) -> None:
        with store.changing():
            engine.fail(action_id, "JobTimedOut", "Nobody answered the approval in time.")

    def _notify(self, action_id: str) -> None:
        with store.reading():
            action = records.alive(action_id)
            if action is None:
                return
            topic, message = action["resolved"]["NotificationArn"], _message(action)
        try:
            ministack.check_role(action["roleArn"], "sns:Publish", topic)
            told = ministack.publish(topic, f"APPROVAL NEEDED: AWS CodePipeline {action['pipeline']} for action "
                                     f"{action['action']}"[:100], message)
        except ministack.Denied as error:
            log.warning("The approval %s was not announced: %s", action["action"], error)
            return
        if not told:
            with store.changing():
                engine.fail(action_id, "ConfigurationError", f"The Amazon SNS topic {topic} does not exist.")


def _message(action: Json) -> Json:
    where = f"{_CONSOLE}/{action['pipeline']}/view?region={action['region']}"
    approval = {"pipelineName": action["pipeline"], "stageName": action["stage"], "actionName": action["action"],
                "token": action["token"], "expires": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(action["expires"])),
                "externalEntityLink": action["resolved"].get("ExternalEntityLink"),
                "approvalReviewLink": f"{where}#/{action['stage']}/{action['action']}/approve/{action['token']}",
                "customData": action["resolved"].get("CustomData")}
    return {"region": action["region"], "consoleLink": where, "approval": approval}


register("AWS", "Manual", Approval())
