"""What people and programs reach over HTTP: the process `web`."""
