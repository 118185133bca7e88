"""From the newest state of every symbol to any number of WebSocket clients: protocol `cottage.v1`.

The bridge serves its link to broadcasters with it, the broadcaster its clients.

    newest.py    what is newest, by (epoch, seq)
    protocol.py  what is said: requests, answers, close codes
    turn.py      what one turn of the event loop brought, and what is owed of it
    session.py   one client: what it wants, what it is owed
    group.py     clients that want the same: built once, handed to all
    hub.py       all clients: who gets what
    limits.py    what clients may take
    frames.py    ready-made WebSocket frames, below the public face of `websockets`
    gateway.py   the sockets
"""
