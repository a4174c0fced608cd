"""The aws-codepipeline plugin by its documented behaviour: a job worker of AWS CodePipeline."""
