"""The only place that touches boto3."""
