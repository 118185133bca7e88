"""What every HTTP and WebSocket port has in common: which requests are answered, and how.

The ops port of each process, the physics API, the bridge's link and the broadcaster's port all use it.

    names    hosts and origins as requests and settings spell them, in one normal form
    proxies  what trusted reverse proxies say of a request's client
    access   which requests are answered, by their Host and Origin headers; headers of every answer
    asgi     serves an ASGI application: the ops ports and the physics API

`names` and `proxies` are pure.
"""
