"""On what a training computes: device, arithmetic, threads, recorded graphs."""
