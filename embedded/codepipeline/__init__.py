"""AWS CodePipeline for the embedded AWS, by its documented behaviour.

The way a request goes: service (one answer per request) -> shapes (botocore's model) -> operations (one file per
subject) -> engine (what runs when; interventions: what people do to it) -> actions (one file per kind) -> ministack
(S3, Lambda, SNS, STS, EventBridge of the same process). store holds what survives a restart, records finds it there.
No thread asks again and again: whatever waits is woken by a request, by an action's end, or by its deadline.

Left out, and refused where a pipeline asks for it: conditions and rules of stages, cross-region actions, webhooks,
third-party jobs, and every AWS action but those in actions/.
"""
