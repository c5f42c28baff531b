"""The commands. They start the processes and speak to the API; they never import a process."""
