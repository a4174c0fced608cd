"""The only place that touches botocore."""
