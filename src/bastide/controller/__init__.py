"""The controller process: API, console, device endpoints and workers."""
