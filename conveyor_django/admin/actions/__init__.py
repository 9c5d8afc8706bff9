"""What users do to jobs and queues from the admin: it asks first, acts through the transitions, and logs."""
