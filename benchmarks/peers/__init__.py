"""One adapter per peer, each in a module that the peer's own environment can import, with numpy,
scipy and the peer.
"""
