"""The truth about every job and message, as it lies in Redis: key names, layouts, scripts."""
