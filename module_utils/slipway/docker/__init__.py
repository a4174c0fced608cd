"""The only place that touches the container engine."""
