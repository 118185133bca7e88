-- Give a lease back.
-- KEYS: the lease.
-- ARGV: how every record of this holder begins.
-- Answers 1 where it was this holder's, else 0.
local current = redis.pcall('GET', KEYS[1])
if type(current) ~= 'string' or string.sub(current, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
