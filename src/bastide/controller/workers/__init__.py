"""What runs in the controller besides answering requests. Each worker has ``run``, which ends only when cancelled."""
