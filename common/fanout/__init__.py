"""The fan-out: from the newest state of every symbol to any number of WebSocket clients, by protocol `cottage.v1`.

The bridge serves its link to broadcasters with it, and the broadcaster its clients. All modules but `frames` and
`server` are pure: they know no sockets.

    hub               takes updates, events and statements, and keeps the newest; one for each process
    distributor       sends them to the groups that want them: at once, or in batch windows
    group             the sessions of one subscription: what is built for one is handed to all
    session           one client: what it subscribed to, its backlog while it is a slow consumer
    conflation        what is left of many updates for who was not sent them all
    last_value_cache  the newest PHYSICS_UPDATE of every symbol, by (epoch, seq)
    limits            what clients may take
    frames            ready-made WebSocket frames, below the public face of `websockets`
    server            accepts connections, and closes those that are too slow, silent or greedy
"""
