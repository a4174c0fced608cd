"""Who releases now, and what was released before: one lock and one list of records for each service."""
