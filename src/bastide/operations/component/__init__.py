"""Components: what firmware and devices are made of, and in which order their versions stand."""
