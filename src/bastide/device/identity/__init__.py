"""Who a device is: the requests for certificates that are accepted, and the form of a device's certificate."""
