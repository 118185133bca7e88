"""The fan-out: from the newest state of every symbol to any number of WebSocket clients, by protocol `cottage.v1`.

The bridge uses it to serve broadcasters, and the broadcaster uses it to serve its clients. All modules but `frames`,
`doorkeeper` and `server` are pure: they do no input or output.

    hub               takes updates, events and freshness statements and keeps the newest; one in each process
    distributor       hands them to the groups that subscribed to them: at once, or at the end of batch windows
    audience          what was asked and is granted: the key of a group
    pattern_index     whose patterns a symbol matches
    group             the sessions of one audience: a frame is built once and written to all of them
    session           one client: its subscription, and its backlog while it is a slow consumer
    conflation        reduces many updates of a symbol to the newest, for a client that was not sent all of them
    last_value_cache  the newest PHYSICS_UPDATE of every symbol, by (epoch, seq)
    doorkeeper        judges tokens, and says when their time is over
    first_frame       the one frame that is read before that
    handshake_errors  our words for handshakes that the library refuses
    limits            limits on connections, handshakes and requests
    frames            the connections: ready-made WebSocket frames, written below the public API of `websockets`
    server            accepts connections, and closes those that are too slow, silent, or over their limits
"""
