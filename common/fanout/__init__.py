"""From the newest state of every symbol to any number of WebSocket clients: protocol `cottage.v1`.

The bridge serves its link to broadcasters with it, the broadcaster its clients.

    newest.py    what is newest, by (epoch, seq)
    protocol.py  what is said: requests, answers, close codes
    session.py   one client: what it wants, what it is owed
    hub.py       all clients: who gets what of one turn of the event loop
    frames.py    ready-made WebSocket frames, below the public face of `websockets`
    gateway.py   the sockets
"""
