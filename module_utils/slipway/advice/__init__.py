"""How long a rollout has to take by its settings, and which of them to change. Pure."""
