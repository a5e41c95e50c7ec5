"""One adapter per peer, which imports nothing but numpy, scipy and the peer."""
