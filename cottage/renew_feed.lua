-- Renew the announcement of a feed, without sending it again.
-- KEYS: the feed's key.
-- ARGV: how every announcement of this process begins; its lifetime in ms.
-- Answers 1 where it was renewed, else 0: it is gone, or another process has the ID.
local current = redis.pcall('GET', KEYS[1])
if type(current) ~= 'string' or string.sub(current, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
