"""The API: ``/api/v1``. Every route says who may (routes.py), every error is a problem document (problems.py)."""
