"""The life of a CloudFormation stack: read, plan, apply, report."""
