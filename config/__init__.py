"""What the processes are told: the settings of a site, Celery's configuration, queues, schedule, logging."""
