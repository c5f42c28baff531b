"""Who is it? Ranked device types with calibrated confidence, from what a device says of itself and how it behaves.

``observation`` is what was seen of one device; ``tokens`` turns it into words that another unit of the same type would
say too (no addresses, no serials); ``model`` is the learned fingerprint base as plain data; ``learn`` makes one from
labelled observations; ``answer`` gives the candidates, the tokens that speak for each, siblings, or *unknown*.
"""
